"""perf/staleness: runs of several depths are queued and resumed; the tables say what the runs say."""
import csv
import pathlib
import subprocess
import sys
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import DECK, EXECUTABLE, StraitTestCase  # noqa: E402

FOLDER = pathlib.Path(__file__).parents[2] / "perf"
sys.path[:0] = [str(FOLDER), str(FOLDER / "staleness")]
import combination  # noqa: E402
import slowdown  # noqa: E402


class Study(StraitTestCase):
    def study(self, *arguments):
        text = DECK
        for old, new in (("steps = 4", "steps = 110"), ("stages = {stages}", "emulate_stages = 3"),
                         ('"1f1b"', '"pipedream"'), ("sequences_per_step = 4", "sequences_per_step = 2"),
                         ("validation_interval = 2", "validation_interval = 110"),
                         ("learning_rate", "warmup_steps = 4\nlearning_rate"),
                         ("log_interval = 1", "log_interval = 50")):
            text = text.replace(old, new)
        command = [sys.executable, FOLDER / "staleness" / "staleness.py", "--deck", self.deck(text=text), "--strait",
                   EXECUTABLE, "--output", self.output, "--stages", "1", "3", *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)

    def rows(self):
        with open(self.output / "results.csv") as file:
            return list(csv.DictReader(file))

    def test_runs_once_and_picks_up_what_is_missing(self):
        result = self.study("--methods", "PipeDream-LR", "basis rotation, first, one-sided", "--rates", "1e-2")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        first = self.rows()
        self.assertEqual([(row["method"], row["stages"]) for row in first],
                         [("PipeDream-LR", "1"), ("PipeDream-LR", "3"), ("basis rotation, first, one-sided", "1"),
                          ("basis rotation, first, one-sided", "3")])
        losses = [float(row["final_loss"]) for row in first]
        self.assertEqual(len(set(losses)), 4)  # delays and optimisers reach the runs
        self.assertEqual(float(first[0]["target"]), max(losses))
        self.assertTrue(all(100 <= int(row["steps_to_target"]) <= 110 for row in first))
        self.assertIn("| PipeDream-LR | ", (self.output / "table.md").read_text())
        self.assertTrue((self.output / "slowdown.png").stat().st_size > 0)
        (self.output / "stages-3" / "pipedream-lr-rate0.01-seed1" / "metrics.h5").unlink()
        result = self.study("--methods", "PipeDream-LR", "--rates", "1e-2")
        self.assertIn("finished   stages-1/pipedream-lr-rate0.01-seed1\n", result.stdout)
        self.assertEqual(self.rows(), first)


def run(method, stages, rate, seed, losses):
    return slowdown.Run(method, stages, rate, seed, numpy.array(losses), "0000000")


class Results(unittest.TestCase):
    RUNS = [run("plain", 1, 1e-3, 1, [5.0, 3.0, 2.0, 1.0]), run("plain", 1, 1e-3, 2, [5.0, 4.0, 3.0, 1.0]),
            run("plain", 8, 1e-3, 1, [6.0, 5.0, 4.0, 3.5]), run("plain", 8, 1e-2, 1, [6.0, 5.0, 5.0, 3.0])]

    def test_steps_are_those_of_the_best_rate_and_their_mean_over_seeds(self):
        results = slowdown.Results(self.RUNS, 4.0)
        self.assertEqual(results.steps("plain", 1), (101.0, 0))
        self.assertEqual(results.steps("plain", 8), (102.0, 0))  # the rate 1e-2 needs one more
        self.assertAlmostEqual(results.slowdown("plain", 8), 102 / 101)

    def test_target_is_what_all_methods_reach(self):
        self.assertEqual(slowdown.Results(self.RUNS).target, 3.0)

    def test_unreached_target_is_a_bound(self):
        results = slowdown.Results(self.RUNS, 2.0)
        self.assertEqual(slowdown.steps_cell(results, "plain", 8), "> 103 (ends at 3.50)")
        self.assertEqual(slowdown.slowdown_cell(results, "plain", 8), f"> {103 / 102.5:.2f}")


class Combination(unittest.TestCase):
    METHOD = "asynchronous, rotation, mapl 4x"

    def row(self, method, steps, validation):
        losses = 1000.0 - numpy.arange(steps - steps // 20 + 1)
        return {"method": method, "stages": 2, "validation_loss": validation, "losses": losses, "steps": steps,
                "tokens": 400000}

    def test_equal_time_counts_the_steps_that_the_link_lets_pass(self):
        rows = [self.row(combination.REFERENCE, 400, 4.0), self.row(self.METHOD, 1600, 4.1)]
        steps = {combination.REFERENCE: 0.6, self.METHOD: 0.1}
        found = combination.equal_time(rows, 2, steps)
        # A quarter of 400 steps of 0.6 s is 60 s: 100 steps of the one and 600 of the other, less windows of 20 and 80.
        self.assertEqual(found, {combination.REFERENCE: 920.0, self.METHOD: 480.0})
        self.assertEqual(combination.loss_cell(rows, self.METHOD, 2), "4.100 (+2.5 %)")
        text = combination.table(rows, {"20": {2: steps, 8: {}}})
        self.assertIn(f"| {self.METHOD} | 4.100 (+2.5 %) | 2.5 (1.50) | 480.000 |", text)


if __name__ == "__main__":
    unittest.main()
