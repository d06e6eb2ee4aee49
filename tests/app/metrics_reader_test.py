"""metrics.h5 can be read with h5py while the run writes it."""
import pathlib
import subprocess
import sys
import time
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase  # noqa: E402


class MetricsReader(StraitTestCase):
    def steps_seen(self):
        """The steps that a fresh reader sees; every value it sees must be whole."""
        with h5py.File(self.output / "metrics.h5", "r", swmr=True) as file:
            steps = file["train/step"][:]
            np.testing.assert_array_equal(steps, np.arange(len(steps)))
            for name in ("train/loss", "train/tokens", "train/seconds", "stage/1/seconds_compute"):
                values = file[name][: len(steps)]
                self.assertEqual(len(values), len(steps), name)
                self.assertTrue((values > 0).all(), name)
            self.assertIn("[model]", file.attrs["deck"])
            self.assertEqual(file["train/loss"].attrs["units"], "nats per token")
        return len(steps)

    def test_readers_follow_a_run(self):
        command = self.command(*self.sets(run__steps=1000000, run__time_limit=6.0))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        seen = set()
        while process.poll() is None:
            try:
                seen.add(self.steps_seen())
            except OSError:  # before the file is open to readers; never afterwards
                self.assertFalse(seen)
            time.sleep(0.05)
        self.assertEqual(process.returncode, 75, process.stderr.read())
        self.assertGreaterEqual(len(seen), 3, "the file must grow while the run goes on")
        self.assertGreater(self.steps_seen(), max(seen) - 1)


if __name__ == "__main__":
    unittest.main()
