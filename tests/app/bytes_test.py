"""What every codec sends over MPI, as metrics.h5 counts it, against the formulas of docs/wire.md written out here."""
import math
import pathlib
import sys
import unittest

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase, write_tokens  # noqa: E402

WIDTH = {"float32": 4, "bfloat16": 2, "float64": 8}  # bytes of a number on the wire
HIDDEN, CONTEXT, MICRO_BATCH, MICRO_BATCHES, VOCAB, STEPS = 18, 16, 2, 2, 64, 5
TOKENS = CONTEXT * MICRO_BATCH


def none(keys, width, **_):
    return TOKENS * HIDDEN * width, TOKENS * HIDDEN * width


def projection(keys, width, vocab, **_):
    numbers = TOKENS * keys["rank"] * width
    ids = 0 if keys.get("anchors") == "none" else TOKENS * (2 if vocab <= 65536 else 4)
    return numbers + ids, numbers


def integers(keys, width, **_):
    bits = int(keys["name"].removeprefix("int"))
    bytes_ = TOKENS * (math.ceil(HIDDEN / keys.get("group_size", 64)) * width + math.ceil(HIDDEN * bits / 8))
    return bytes_, bytes_


def topk(keys, width, **_):
    return TOKENS * keys["k"] * (width + 2), TOKENS * keys["k"] * width


def exchange(keys, number):
    """In the precision of the run. Both ways: half of the projector's gradient, then the new projector. Of ssn one way:
    the new subspace."""
    ways = 2 if "projector_interval" in keys else 1 if "grassmann_interval" in keys else 0
    return ways * HIDDEN * keys["rank"] * number if ways else 0


FORMULAS = {"none": none, "mapl": projection, "fixed": projection, "unconstrained": projection, "ssn": projection,
            "int8": integers, "int4": integers, "int2": integers, "topk": topk}
INTERVAL = 2
CASES = (
    dict(name="none"),
    dict(name="mapl", rank=5, projector_interval=INTERVAL),
    dict(name="mapl", rank=3, anchors="none", projector_interval=INTERVAL),
    dict(name="mapl", rank=18, anchors="full", projector="manifold-muon", projector_interval=INTERVAL),
    dict(name="unconstrained", rank=5, anchors="static", projector_interval=INTERVAL),
    dict(name="fixed", rank=5),
    dict(name="int8"),
    dict(name="int8", group_size=4),
    dict(name="int4", group_size=4),
    dict(name="topk", k=5),
    dict(name="ssn", rank=5),
    dict(name="ssn", rank=5, grassmann_interval=INTERVAL),
    dict(name="int2", group_size=8),
)


def wide_run(steps, sequences):
    """Two layers of width 128, micro-batches of 2,048 tokens."""
    return dict(model__layers=2, model__hidden=128, model__heads=2, model__ffn_hidden=64, model__context=64,
                training__sequences_per_step=sequences, training__micro_batch=32, training__validation_sequences=32,
                training__validation_interval=0, run__steps=steps)


class Bytes(StraitTestCase):
    def run_with(self, codec, ranks=2, **values):
        """Bytes of each boundary and step: rows of (forward, backward, sync)."""
        output = self.folder / f"out-{len(list(self.folder.iterdir()))}"
        keys = {f"codec__{key}": value for key, value in codec.items()}
        self.succeed("--output", output, ranks=ranks, *self.sets(**keys, **values))
        with h5py.File(output / "metrics.h5", "r") as file:
            counts = [[file[f"boundary/{p}/bytes_{what}"][:].tolist() for what in ("forward", "backward", "sync")]
                      for p in range(ranks - 1)]
        return [list(zip(*boundary)) for boundary in counts]

    def check(self, codec, wire, ranks, precision="float32", vocab=VOCAB):
        with self.subTest(**codec, wire=wire, ranks=ranks, precision=precision, vocab=vocab):
            found = self.run_with({**codec, "wire": wire}, ranks, model__hidden=HIDDEN, model__heads=3,
                                  model__vocab=vocab, run__steps=STEPS, training__precision=precision,
                                  training__validation_interval=3)
            forward, backward = FORMULAS[codec["name"]](codec, WIDTH[wire], vocab=vocab)
            synchronised = exchange(codec, WIDTH[precision])
            wanted = [(MICRO_BATCHES * forward, MICRO_BATCHES * backward,
                       synchronised if (step + 1) % INTERVAL == 0 else 0) for step in range(STEPS)]
            self.assertEqual(found, [wanted] * (ranks - 1))

    def test_every_codec_sends_what_its_formula_says(self):
        for codec in CASES:
            self.check(codec, "float32", ranks=2)
            self.check(codec, "bfloat16", ranks=3)

    def test_in_double_precision(self):
        for codec in (CASES[0], CASES[1], CASES[8], CASES[9], CASES[11]):
            self.check(codec, "float64", ranks=2, precision="float64")

    def test_ids_of_large_vocabularies(self):
        self.check(CASES[1], "bfloat16", ranks=2, vocab=70000)

    def total(self, codec, steps, sequences):
        """Bytes of one boundary over `steps` steps, and how often the projector moved."""
        rows, = self.run_with({**codec, "wire": "bfloat16"}, **wide_run(steps, sequences))
        return sum(map(sum, rows)), sum(sync > 0 for _, _, sync in rows)

    def test_an_eighth_of_the_width_is_nearly_an_eighth_of_the_bytes(self):
        # Ids and the exchange of the projector included. They weigh less in wider models: at rank 16, ids are 2 bytes
        # of 66 per token, at rank 64 of 258.
        write_tokens(self.folder / "train.bin", 40000)
        narrow = dict(name="mapl", rank=16)
        for tokens, interval, intervals, ratio in ((32768, 1, 1, 7.5), (2048, 7, 2, 7.2)):
            with self.subTest(tokens=tokens):
                steps = interval * intervals
                whole, _ = self.total(dict(name="none"), steps, tokens // 64)
                part, updates = self.total(narrow, steps, tokens // 64)
                self.assertEqual(updates, intervals)
                self.assertEqual(whole, steps * tokens * 128 * 2 * 2)
                self.assertGreaterEqual(whole / part, ratio)

    def test_codewords_at_a_quarter_of_the_width(self):
        # The second of two steps of 32,768 tokens; the first message has the whole codebook. Here ids are 2 of 70
        # bytes to a token, at width 512 of 274, where the ratios are 7.2 and 13.
        hidden, rank, rounds, groups, codewords, sequences = 128, 32, 2, 2, 256, 512
        tokens, micro_batches = 64 * sequences, sequences // 32
        write_tokens(self.folder / "train.bin", 80000)
        for backward, back, ratio in (("bfloat16", 2 * rank, 7.0), ("int8", 2 + rank, 12.0)):
            with self.subTest(backward=backward):
                rvq = {"rvq.groups": groups, "rvq.rounds": rounds, "rvq.codewords": codewords, "rvq.backward": backward}
                rows, = self.run_with({"name": "mapl", "rank": rank, "wire": "bfloat16", **rvq},
                                      **wide_run(2, sequences))
                forward = groups * rounds + 2
                word = 2 * rounds * rank
                payload = (forward + back) * tokens // micro_batches
                published = min(codewords // micro_batches,
                                max(codewords // (4 * micro_batches), payload * 3 // 200 // word))
                exchange = 2 * hidden * rank * 4  # of the projector, every `interval` steps
                interval = math.ceil(exchange / (0.02 * tokens * (forward + back)))
                for step, words in enumerate((codewords + (micro_batches - 1) * published, micro_batches * published)):
                    sync = words * word + (8 if step == 0 else 0) + exchange * ((step + 1) % interval == 0)
                    self.assertEqual(rows[step], (tokens * forward, tokens * back, sync))
                mean = tokens * (forward + back) + micro_batches * published * word + exchange / interval
                self.assertGreaterEqual(tokens * hidden * 4 / mean, ratio)


if __name__ == "__main__":
    unittest.main()
