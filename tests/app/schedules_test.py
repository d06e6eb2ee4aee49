"""Every schedule trains over MPI from a deck: the same run whatever the order and the chunks, and restarts in it."""
import pathlib
import re
import sys
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from saved_model import assert_same_arrays, saved_arrays  # noqa: E402
from strait_process import StraitTestCase  # noqa: E402

WAYS = {  # name: (ranks, keys); all with the same four runs of layers
    "gpipe": (4, dict(pipeline__schedule="gpipe")),
    "1f1b": (4, dict(pipeline__schedule="1f1b")),
    "zb-h1": (4, dict(pipeline__schedule="zb-h1")),
    "interleaved": (2, dict(pipeline__schedule="interleaved", pipeline__chunks=2)),
    "emulated": (1, dict(pipeline__schedule="interleaved", pipeline__chunks=2, pipeline__emulate_stages=2)),
}
CODECS = {"none": {}, "mapl": dict(codec__name="mapl", codec__rank=4, codec__projector_interval=3)}
PREFIX = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


class Schedules(StraitTestCase):
    LAYERS = dict(model__layers=5)

    def train(self, name, way, *arguments, **values):
        ranks, keys = WAYS[way]
        output = self.folder / name
        said = self.succeed("--output", output, *arguments, ranks=ranks, **self.options(keys, values)).stdout
        return output, said

    def options(self, keys, values):
        self.arguments = self.sets(**{**self.LAYERS, "training__sequences_per_step": 10, **keys, **values})
        return {}

    def command(self, *arguments, **options):
        return super().command(*arguments, *self.arguments, **options)

    def numbers(self, output):
        with h5py.File(output / "metrics.h5", "r") as file:
            boundaries = [[file[f"boundary/{p}/bytes_{what}"][:].tolist() for what in ("forward", "backward", "sync")]
                          for p in range(len(file["boundary"]))]
            return file["train/loss"][:].tolist(), file["train/gradient_norm"][:].tolist(), boundaries

    def parameters(self, output, step):
        return saved_arrays(output, step, ("parameters", "boundary", "anchors", "optimizer"))

    def assert_same_parameters(self, left, right, step):
        assert_same_arrays(self, self.parameters(left, step), self.parameters(right, step))

    def test_all_are_the_same_run(self):
        for codec, keys in CODECS.items():
            wanted, _ = self.train(f"{codec}-gpipe", "gpipe", **keys)
            self.assertLess(self.numbers(wanted)[0][-1], self.numbers(wanted)[0][0])
            self.assertEqual(len(self.numbers(wanted)[2]), 3, "boundaries")
            for way in WAYS:
                with self.subTest(codec=codec, way=way):
                    found, _ = self.train(f"{codec}-{way}-again", way, **keys)
                    self.assertEqual(self.numbers(found), self.numbers(wanted))
                    self.assert_same_parameters(found, wanted, 4)

    def test_restart_in_the_middle_is_bitwise(self):
        for way in ("interleaved", "zb-h1"):
            with self.subTest(way):
                keys = dict(run__steps=7, checkpoint__interval=4, **CODECS["mapl"])
                whole, _ = self.train(f"{way}-whole", way, **keys)
                again, _ = self.train(f"{way}-again", way, "--restart", whole / "checkpoints" / "step_4", **keys)
                self.assertEqual(self.numbers(again)[0], self.numbers(whole)[0])
                self.assert_same_parameters(again, whole, 7)

    def test_restart_on_other_chunks_and_stages(self):
        keys = dict(run__steps=6, checkpoint__interval=3)
        whole, _ = self.train("whole", "interleaved", **keys)
        for way in ("1f1b", "zb-h1"):
            again, _ = self.train(way, way, "--restart", whole / "checkpoints" / "step_3", **keys)
            self.assertEqual(self.numbers(again)[0], self.numbers(whole)[0], way)
        other, _ = self.train("other", "interleaved", "--restart", whole / "checkpoints" / "step_3",
                              pipeline__split="[2,1,1,1]", **keys)
        np.testing.assert_allclose(self.numbers(other)[0], self.numbers(whole)[0], rtol=1e-5)

    def test_what_a_dry_run_plans_is_held(self):
        for way in ("interleaved", "zb-h1"):
            with self.subTest(way):
                _, said = self.train(way, way, "--dry-run", **CODECS["mapl"])
                planned = re.findall(r"^stage +\d+ .* in flight, ([\d.]+) (\w+)$", said, re.MULTILINE)
                self.assertEqual(len(planned), WAYS[way][0], said)
                output, _ = self.train(way, way, **CODECS["mapl"])
                with h5py.File(output / "metrics.h5", "r") as file:
                    self.assertEqual(len(file["stage"]), len(planned))
                    for stage, (number, unit) in enumerate(planned):
                        memory = file[f"stage/{stage}/memory_bytes"][-1]
                        digits = len(number.partition(".")[2])
                        self.assertEqual(f"{memory / PREFIX[unit]:.{digits}f}", number)

    def test_a_trace_names_every_run_of_layers(self):
        output, _ = self.train("trace", "interleaved")
        with h5py.File(output / "metrics.h5", "r") as file:
            actions = file["trace/action"].asstr()[:]
            forwards = file["trace/stage"][:][actions == "forward"]
        np.testing.assert_array_equal(np.bincount(forwards), [5, 5, 5, 5])

    def test_refusals(self):
        def refuse(code, words, ranks=2, **values):
            self.options({}, values)
            self.refuse(code, words, ranks=ranks)
        refuse(2, ["[pipeline] chunks", "1f1b"], pipeline__chunks=2)
        refuse(2, ["[pipeline] chunks", "layers", "6"], pipeline__schedule="interleaved", pipeline__chunks=3)
        refuse(2, ["[pipeline] split", "4"], pipeline__schedule="interleaved", pipeline__chunks=2,
               pipeline__split="[3,2]")
        refuse(2, ["[training] recompute"], pipeline__schedule="zb-h1", training__recompute="true")
        refuse(3, ["2 ranks", "4"], pipeline__stages=4, pipeline__schedule="zb-h1")


if __name__ == "__main__":
    unittest.main()
