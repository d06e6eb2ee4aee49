"""[network] gpu_aware: direct and staged runs are the same, a damaged message of the test at start is heeded, refusals."""
import os
import pathlib
import sys
import unittest

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from saved_model import assert_same_arrays, saved_arrays  # noqa: E402
from strait_process import StraitTestCase  # noqa: E402

ENVIRONMENT = 3
MAPL = dict(codec__name="mapl", codec__rank=4, codec__projector_interval=2)


class GpuAware(StraitTestCase):
    def train(self, name, **values):
        """Losses, bytes and weights, and how messages travelled."""
        output = self.folder / f"{name}-{values.get('codec__name', 'none')}"
        said = self.succeed("--output", output, *self.sets(**values)).stdout
        with h5py.File(output / "metrics.h5", "r") as file:
            found = {path: file[path][:] for path in ("train/loss", "train/gradient_norm", "validation/loss",
                                                      "boundary/0/bytes_forward", "boundary/0/bytes_sync")}
            path = file.attrs["messages"]
        self.assertIn(path, said)
        return found | saved_arrays(output), path

    def test_staged_runs_are_the_same_bit_for_bit(self):
        for codec in ({}, MAPL):
            with self.subTest(**codec):
                wanted, path = self.train("off", network__gpu_aware="off", **codec)
                self.assertTrue(path.startswith("staged"), path)
                for gpu_aware in ("on", "auto"):
                    found, path = self.train(gpu_aware, network__gpu_aware=gpu_aware, **codec)
                    self.assertTrue(path.startswith("direct"), path)
                    assert_same_arrays(self, found, wanted)

    def test_an_emulated_link_leaves_the_choice(self):
        _, path = self.train("link", network__bandwidth=1e8, network__gpu_aware="off")
        self.assertTrue(path.startswith("staged"), path)

    def test_a_wrong_value_is_refused(self):
        self.refuse(2, ["gpu_aware", "maybe", "auto", "on", "off"], *self.sets(network__gpu_aware="maybe"))
        self.refuse(2, ["gpu_aware"], *self.sets(network__gpu_aware="true"))


class DamagedRing(StraitTestCase):
    """Rank 1's fourth message of the test at start, or rank 0's third on the way back, has a wrong bit."""
    EXECUTABLE = os.environ["STRAIT_DAMAGED_EXECUTABLE"]

    def damage(self, what):
        return dict(os.environ, STRAIT_DAMAGE=what)

    def test_auto_stages(self):
        for what in ("1,3,700", "0,8,5"):
            with self.subTest(what):
                said = self.succeed("--output", self.folder / what, env=self.damage(what)).stdout
                self.assertIn("staged through host memory: the test of MPI on device memory failed on rank", said)

    def test_on_ends_the_run(self):
        words = ["gpu_aware", "\"on\"", "failed on rank 0", "from rank 1 came wrong"]
        on = self.sets(network__gpu_aware="on")
        self.refuse(ENVIRONMENT, words, *on, env=self.damage("1,3,700"))
        self.assertFalse((self.output / "metrics.h5").exists())
        self.refuse(ENVIRONMENT, words, self.deck(), "--seconds", 0.01, *on, deck="profile", env=self.damage("1,3,700"))


if __name__ == "__main__":
    unittest.main()
