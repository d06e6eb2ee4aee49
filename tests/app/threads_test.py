"""Threads of a rank, with back ends of hosts that have several: losses are those of one thread."""
import os
import pathlib
import sys
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase  # noqa: E402

# Large enough that matrix products are divided among threads.
MODEL = dict(model__hidden=128, model__heads=4, model__ffn_hidden=256, model__context=64)


class Threads(StraitTestCase):
    def losses(self, name, threads, ranks=1):
        self.succeed("--output", self.folder / name, *self.sets(**MODEL), ranks=ranks, timeout=300,
                     env=dict(os.environ, OMP_NUM_THREADS=str(threads)))
        with h5py.File(self.folder / name / "metrics.h5", "r") as file:
            return file["train/loss"][:]

    def test_losses_agree_to_rounding(self):
        np.testing.assert_allclose(self.losses("two", 2), self.losses("one", 1), rtol=1e-5)

    def test_losses_are_bitwise_those_of_another_run_and_of_two_ranks(self):
        first = self.losses("first", 2)
        np.testing.assert_array_equal(self.losses("again", 2), first)
        np.testing.assert_array_equal(self.losses("ranks", 2, ranks=2), first)


if __name__ == "__main__":
    unittest.main()
