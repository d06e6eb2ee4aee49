"""docs/analysis: the figures are drawn from a run's files, and what they say is right."""
import pathlib
import subprocess
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase  # noqa: E402

ANALYSIS = pathlib.Path(__file__).parents[2] / "docs" / "analysis"
sys.path.insert(0, str(ANALYSIS))
import plot_subspaces  # noqa: E402


class Plots(StraitTestCase):
    def draw(self, script, source):
        figure = self.folder / "figure.png"
        result = subprocess.run([sys.executable, ANALYSIS / script, source, "--output", figure], capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(figure.read_bytes()[1:4], b"PNG")
        return result.stdout

    def test_run_and_subspaces(self):
        self.succeed(ranks=1, *self.sets(pipeline__emulate_stages=3, codec__name="mapl", codec__rank=4,
                                         codec__diagnostics_interval=2, checkpoint__interval=2))
        self.draw("plot_run.py", self.output / "metrics.h5")
        said = self.draw("plot_subspaces.py", self.output)
        self.assertIn("after layer 1: ", said)
        self.assertIn(" degrees to the next", said)
        checkpoints, _ = plot_subspaces.read_checkpoints(self.output)
        self.assertEqual([checkpoint.step for checkpoint in checkpoints], [0, 2, 4])
        self.assertEqual(checkpoints[0].after_layer, [0, 1])

    def test_refuses_a_run_without_projectors(self):
        self.succeed(ranks=1, *self.sets(pipeline__emulate_stages=3))
        result = subprocess.run([sys.executable, ANALYSIS / "plot_subspaces.py", self.output], capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("no checkpoint with a projector", result.stderr)


class Subspaces(unittest.TestCase):
    def test_known_angles(self):
        one, other = np.eye(4)[:, :2], np.eye(4)[:, :2].copy()
        other[:, 1] = [0, np.cos(np.pi / 3), np.sin(np.pi / 3), 0]
        np.testing.assert_allclose(plot_subspaces.principal_angles(one, other), [0, 60], atol=1e-6)

    def test_known_shares(self):
        basis = plot_subspaces.span(np.array([[2.0, 1.0], [0.0, 3.0], [0.0, 0.0]]))
        rows = np.array([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]])
        self.assertAlmostEqual(plot_subspaces.share_within(basis, rows), 10 / 26)


if __name__ == "__main__":
    unittest.main()
