"""The emulated link of [network]: the same run as without, later; what profile, simulate and plan make of it; refusals."""
import csv
import io
import pathlib
import sys
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from saved_model import assert_same_arrays, saved_arrays  # noqa: E402
from strait_process import StraitTestCase  # noqa: E402

BITS = 8 * 4 * 2 * 16 * 16  # of a micro-batch's activations: 2 sequences of 16 tokens of 16 columns
MICRO_BATCHES = 2


class Network(StraitTestCase):
    def train(self, name, **values):
        output = self.folder / name
        self.succeed("--output", output, *self.sets(**values))
        with h5py.File(output / "metrics.h5", "r") as file:
            losses = file["train/loss"][:], file["validation/loss"][:]
            return [*losses, file["boundary/0/bytes_forward"][:]], file["train/seconds"][:]

    def parameters(self, name):
        return saved_arrays(self.folder / name, 4, ("parameters",))

    def test_the_run_is_the_same_and_takes_longer(self):
        bandwidth = 5e5
        wanted, _ = self.train("as-it-is")
        found, seconds = self.train("emulated", network__bandwidth=bandwidth, network__latency=1e-3)
        for left, right in zip(found, wanted):
            np.testing.assert_array_equal(left, right)
        assert_same_arrays(self, self.parameters("emulated"), self.parameters("as-it-is"))
        self.assertGreaterEqual(min(seconds), MICRO_BATCHES * BITS / bandwidth)

    def test_simulate_and_plan_take_the_link_from_the_deck(self):
        def simulate(*arguments):
            text = self.succeed(self.deck(), *arguments, deck="simulate", ranks=1).stdout
            return next(csv.DictReader(io.StringIO(text)))
        sets = self.sets(network__bandwidth=5e5, network__latency=0.25, network__duplex="false")
        row = simulate(*sets)
        self.assertEqual((float(row["bandwidth"]), float(row["latency"]), row["duplex"]), (5e5, 0.25, "half"))
        self.assertEqual(float(simulate("--bandwidth", 1e9, *sets)["bandwidth"]), 1e9)
        self.assertIn("500 kbit/s both ways together", self.succeed(self.deck(), *sets, deck="plan", ranks=1).stdout)

    def test_refusals(self):
        def refuse(words, **values):
            self.refuse(2, ["[network]", *words], *self.sets(**values))
        refuse(["bandwidth", "-1", "bit/s"], network__bandwidth=-1)
        refuse(["bandwidth", "100", "1000", "bit/s"], network__bandwidth=100)
        refuse(["latency", "61"], network__bandwidth=1e6, network__latency=61)
        refuse(["latency", "bandwidth"], network__latency=0.1)
        refuse(["duplex", "bandwidth"], network__duplex="false")
        refuse(["bandwidth", "emulate_stages"], network__bandwidth=1e6, pipeline__emulate_stages=2)


if __name__ == "__main__":
    unittest.main()
