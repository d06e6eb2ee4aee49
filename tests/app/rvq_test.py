"""Runs whose boundaries quantise: bytes, statistics, checkpoints, restarts, ranks against one process."""
import pathlib
import subprocess
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from codec_runs import CodecTestCase  # noqa: E402

STEPS, TOKENS, RANK, GROUPS, ROUNDS, CODEWORDS, MICRO_BATCHES = 6, 32, 8, 2, 2, 12, 2
CODEC = dict(codec__name="mapl", codec__rank=RANK, codec__projector_interval=100, codec__diagnostics_interval=1,
             codec__rvq__groups=GROUPS, codec__rvq__rounds=ROUNDS, codec__rvq__codewords=CODEWORDS,
             codec__rvq__checksum_interval=4, model__layers=4, training__validation_interval=3)
PUBLISHED = 2  # the codebook in four steps
INDICES = (TOKENS * GROUPS * ROUNDS * 4 + 7) // 8
BACKWARD = dict(bfloat16=TOKENS * RANK * 2, int8=TOKENS * (RANK + 4), rvq=INDICES)


class Rvq(CodecTestCase):
    CODEC, STEPS = CODEC, STEPS

    def test_bytes_are_the_formula(self):
        for backward, back in BACKWARD.items():
            with self.subTest(backward=backward):
                output, _ = self.run_into(backward, codec__rvq__backward=backward)
                self.assertEqual(set(self.metrics(output, "boundary/0/bytes_forward")),
                                 {MICRO_BATCHES * (INDICES + 2 * TOKENS)})
                self.assertEqual(set(self.metrics(output, "boundary/0/bytes_backward")), {MICRO_BATCHES * back})
                streams = 2 if backward == "rvq" else 1
                word = ROUNDS * RANK * 4
                wanted = [streams * ((PUBLISHED * MICRO_BATCHES + (CODEWORDS - PUBLISHED if step == 0 else 0)) * word
                                     + (8 if step % 4 == 0 else 0)) for step in range(STEPS)]
                self.assertEqual(list(self.metrics(output, "boundary/0/bytes_sync")), wanted)

    def test_statistics_of_use(self):
        output, _ = self.run_into("out", ranks=4)
        for boundary in range(3):
            group = f"boundary/{boundary}/diagnostics/"
            perplexity = self.metrics(output, group + "code_perplexity")
            self.assertTrue(np.all((perplexity > 1) & (perplexity <= CODEWORDS)))
            self.assertTrue(np.all(self.metrics(output, group + "dead_codewords") < GROUPS * ROUNDS * CODEWORDS))
            first, second = (self.metrics(output, group + f"quantisation_error_{r}") for r in range(ROUNDS))
            self.assertTrue(np.all((0 < second) & (second < first) & (first < 1)))

        plot = pathlib.Path(__file__).parents[2] / "docs" / "analysis" / "plot_codewords.py"
        figure = self.folder / "codewords.png"
        subprocess.run([sys.executable, plot, output / "metrics.h5", "--output", figure], check=True,
                       capture_output=True)
        self.assertEqual(figure.read_bytes()[1:4], b"PNG")

    def test_checkpoint_holds_codebooks(self):
        output, _ = self.run_into("out", ranks=3, codec__rvq__backward="rvq")
        with self.checkpoint(output) as file:
            for boundary in range(2):
                for name in ("codebook", "gradient_codebook"):
                    group = file[f"boundary/{boundary}/{name}"]
                    shape = (ROUNDS, GROUPS, CODEWORDS, RANK // GROUPS)
                    self.assertEqual(group["published"].shape, shape)
                    self.assertEqual(group["master"].size, group["published"].size)
                    self.assertGreater(np.abs(group["published"][:]).max(), 0)
                    self.assertEqual(group.attrs["next"], PUBLISHED * (MICRO_BATCHES * STEPS - 1) % CODEWORDS)

    def test_emulated_run_is_bitwise_the_same(self):
        keys = dict(codec__rvq__backward="rvq", codec__rvq__dropout=0.3)
        distributed, _ = self.run_into("distributed", ranks=3, **keys)
        emulated, _ = self.run_into("emulated", ranks=1, pipeline__emulate_stages=3, **keys)
        np.testing.assert_array_equal(self.metrics(distributed, "train/loss"), self.metrics(emulated, "train/loss"))

    def test_restart_is_bitwise(self):
        for name, keys in dict(
                mapl=dict(codec__rvq__backward="rvq", codec__rvq__dropout=0.5, codec__projector_interval=2),
                raw=dict(codec__name="fixed", codec__rank=16, codec__anchors="none", codec__rvq__commitment=0.25),
        ).items():
            with self.subTest(name):
                base = dict(CODEC, run__steps=STEPS, **keys)
                if name == "raw":
                    base.pop("codec__projector_interval")
                output = {}
                for run, arguments in (("whole", ()), ("again", ("--restart", "step_3"))):
                    output[run] = self.folder / f"{name}-{run}"
                    arguments = [output["whole"] / "checkpoints" / a if a == "step_3" else a for a in arguments]
                    self.succeed("--output", output[run], *arguments,
                                 *self.sets(**base, checkpoint__interval=3), ranks=3)
                np.testing.assert_array_equal(self.metrics(output["whole"], "train/loss"),
                                              self.metrics(output["again"], "train/loss"))
                with self.checkpoint(output["whole"]) as left, self.checkpoint(output["again"]) as right:
                    for dataset in ("published", "master", "counts", "sums"):
                        for boundary in range(2):
                            path = f"boundary/{boundary}/codebook/{dataset}"
                            np.testing.assert_array_equal(left[path][:], right[path][:])

    def test_bad_decks_are_refused_with_the_reason(self):
        for values, words in (
                (dict(codec__rvq__groups=3), ["groups", "3", "8"]),
                (dict(codec__rvq__codewords=1), ["codewords", "1", "2"]),
                (dict(codec__rvq__codewords=0), ["codewords", "0", "2"]),
                (dict(codec__rvq__rounds=0), ["rounds", "0"]),
                (dict(codec__rvq__codewords=33), ["codewords", "33", "32 tokens"])):
            self.refuse(2, words, *self.sets(**{**CODEC, **values}))


if __name__ == "__main__":
    unittest.main()
