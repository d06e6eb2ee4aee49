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

    def test_the_trace_is_one_step_without_overlaps(self):
        self.succeed(*self.sets(training__sequences_per_step=8))
        with h5py.File(self.output / "metrics.h5", "r") as file:
            trace = {name: values[:] for name, values in file["trace"].items()}
            longest = file["train/seconds"][:].max()
        for stage in (0, 1):
            mine = trace["stage"] == stage
            start, end, waited = (trace[name][mine] for name in ("start", "end", "waited"))
            self.assertEqual(start[0], 0.0)
            self.assertTrue((start[1:] >= end[:-1]).all())
            self.assertTrue((waited >= 0).all() and (start + waited <= end + 1e-9).all())
            self.assertLess(end.max(), longest)
            for name in (b"forward", b"backward"):
                self.assertEqual(list(trace["micro_batch"][mine & (trace["action"] == name)]), [0, 1, 2, 3])


if __name__ == "__main__":
    unittest.main()
