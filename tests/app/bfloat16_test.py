"""training.precision = "bfloat16" from outside: bytes, equality over MPI, restarts, refusals, and the loss beside
float32's."""
import pathlib
import sys
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from saved_model import assert_same_arrays, saved_arrays  # noqa: E402
from strait_process import StraitTestCase, write_tokens  # noqa: E402

BFLOAT16 = dict(training__precision="bfloat16")
STOCHASTIC = dict(BFLOAT16, training__stochastic_rounding="true")
MAPL = dict(codec__name="mapl", codec__rank=4, codec__projector_interval=2)
PIPEDREAM = dict(pipeline__schedule="pipedream", training__sequences_per_step=2, model__layers=4)


class Bfloat16(StraitTestCase):
    def run_to(self, name, *arguments, ranks=2, **values):
        output = self.folder / name
        self.succeed("--output", output, *arguments, *self.sets(**values), ranks=ranks, timeout=300)
        return output

    def metrics(self, output, *paths):
        with h5py.File(output / "metrics.h5", "r") as file:
            return [file[path][:] for path in paths]

    def parameters(self, output):
        return saved_arrays(output, groups=("parameters",))

    def equal(self, left, right):
        for a, b in zip(self.metrics(left, "train/loss", "validation/loss"),
                        self.metrics(right, "train/loss", "validation/loss")):
            np.testing.assert_array_equal(a[-len(b):], b)
        assert_same_arrays(self, self.parameters(left), self.parameters(right))

    def test_the_wire_takes_half_and_changes_nothing(self):
        half = self.run_to("half", **BFLOAT16)
        full = self.run_to("full", **BFLOAT16, codec__wire="float32")
        one = self.run_to("one", ranks=1, **BFLOAT16)
        self.equal(half, full)
        np.testing.assert_array_equal(*(self.metrics(output, "train/loss")[0] for output in (half, one)))
        sent = [self.metrics(output, "boundary/0/bytes_forward")[0] for output in (half, full)]
        self.assertGreater(sent[0].min(), 0)
        np.testing.assert_array_equal(2 * sent[0], sent[1])

    def test_checkpoints_hold_masters(self):
        for weights in self.parameters(self.run_to("run", **BFLOAT16)).values():
            self.assertEqual(weights.dtype, np.float32)
        kept = np.concatenate([w.ravel() for w in self.parameters(self.folder / "run").values()])
        low = kept.view(np.uint32) & 0xffff
        self.assertGreater(np.count_nonzero(low), 0.9 * low.size, "bits that bfloat16 does not have")

    def test_restarts_are_bitwise(self):
        for name, values in (("nearest", BFLOAT16), ("stochastic", STOCHASTIC), ("mapl", dict(STOCHASTIC, **MAPL)),
                             ("stash", dict(STOCHASTIC, **PIPEDREAM, **MAPL)),
                             ("none", dict(BFLOAT16, **PIPEDREAM, pipeline__weight_versions="none"))):
            with self.subTest(name):
                values = dict(values, run__steps=9)
                whole = self.run_to(name, **values, checkpoint__interval=4)
                again = self.run_to(f"{name}-again", "--restart", whole / "checkpoints" / "step_4", **values)
                self.equal(whole, again)

    def test_goes_on_from_float32_and_back(self):
        wide = self.run_to("wide", run__steps=8, checkpoint__interval=4)
        narrow = self.run_to("narrow", "--restart", wide / "checkpoints" / "step_4", **BFLOAT16, run__steps=8,
                             checkpoint__interval=2)
        again = self.run_to("again", "--restart", narrow / "checkpoints" / "step_6", run__steps=8)
        wanted, = self.metrics(wide, "train/loss")
        for output, steps in ((narrow, 4), (again, 2)):
            found, = self.metrics(output, "train/loss")
            np.testing.assert_allclose(found[-steps:], wanted[-steps:], rtol=0.02)
            self.assertFalse(np.array_equal(found[-steps:], wanted[-steps:]))

    def test_refusals(self):
        self.refuse(2, ["stochastic_rounding", "float32"], *self.sets(training__stochastic_rounding="true"))
        self.refuse(2, ["delay_compensation", "bfloat16"],
                    *self.sets(**PIPEDREAM, **BFLOAT16, optimizer__delay_compensation=0.5))

    def test_learns_as_float32_does(self):
        write_tokens(self.folder / "train.bin", 40000)
        losses = {}
        for name, values in (("float32", {}), ("bfloat16", BFLOAT16), ("stochastic", STOCHASTIC)):
            output = self.run_to(name, ranks=1, **values, run__steps=150, training__validation_interval=150,
                                 training__validation_sequences=30, output__log_interval=50)
            losses[name] = self.metrics(output, "validation/loss")[0][-1]
        self.assertLess(losses["float32"], 2.5, "something was learnt: a token says most of the next")
        for name in ("bfloat16", "stochastic"):
            self.assertLess(abs(losses[name] / losses["float32"] - 1.0), 0.01, losses)


if __name__ == "__main__":
    unittest.main()
