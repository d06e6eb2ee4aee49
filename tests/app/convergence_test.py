"""perf/convergence: runs are queued, resumed and recognised; the report says what the rows say."""
import csv
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import DECK, EXECUTABLE, StraitTestCase  # noqa: E402

FOLDER = pathlib.Path(__file__).parents[2] / "perf" / "convergence"
sys.path.insert(0, str(FOLDER))
import report  # noqa: E402


class Comparison(StraitTestCase):
    def compare(self, *arguments, rate="1e-2"):
        text = DECK.replace("stages = {stages}", "emulate_stages = 3").replace("learning_rate = 1e-2",
                                                                              f"learning_rate = {rate}")
        deck = self.deck(text=text)
        command = [sys.executable, FOLDER / "compare.py", deck, "--strait", EXECUTABLE, "--output", self.output,
                   "--seeds", "1", "--ratios", "4", *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)

    def rows(self):
        with open(self.output / "results.csv") as file:
            return list(csv.DictReader(file))

    def test_runs_once_and_picks_up_what_is_missing(self):
        result = self.compare("--methods", "none", "mapl", "odd", "--with", "odd:codec.name=no such codec")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn('left out   deck/odd-seed1: --set codec.name=no such codec', result.stdout)
        first = self.rows()
        self.assertEqual([row["method"] for row in first], ["none", "mapl"])
        self.assertEqual([float(row["bytes_forward_per_token"]) for row in first], [64.0, 18.0])
        self.assertIn("| mapl | ", (self.output / "table.md").read_text())
        self.assertTrue((self.output / "loss_by_bytes.png").stat().st_size > 0)
        (self.output / "deck" / "none-seed1" / "metrics.h5").unlink()
        result = self.compare("--methods", "none", "mapl")
        self.assertIn("finished   deck/mapl-4x-seed1\n", result.stdout)
        self.assertEqual(self.rows(), first)

    def test_says_when_a_finished_run_had_another_deck(self):
        self.assertEqual(self.compare("--methods", "mapl").returncode, 0)
        result = self.compare("--methods", "mapl", rate="2e-2")
        self.assertEqual(result.returncode, 1)
        self.assertIn("finished   deck/mapl-4x-seed1, with other optimizer.learning_rate\n", result.stdout)


def row(budget, method, ratio, seed, loss):
    return {"budget": str(budget), "tokens_per_parameter": budget, "method": method, "ratio": ratio, "seed": seed,
            "validation_loss": loss}


class Report(unittest.TestCase):
    def test_excess_is_paired_by_seed(self):
        results = report.Results([row(1, "none", 0, 1, 4.0), row(1, "none", 0, 2, 5.0), row(1, "mapl", 4, 1, 4.4),
                                  row(1, "mapl", 4, 2, 5.6)])
        self.assertEqual(report.cell(results, "1", "none", 4), "4.500")
        # The excess is 10 and 12 %: one degree of freedom, deviation sqrt(2), so 12.71 * sqrt(2) / sqrt(2).
        self.assertEqual(report.cell(results, "1", "mapl", 4), "5.000 (+11.0 ± 12.7 %)")

    def test_passing(self):
        rows = [row(budget, method, 4, 1, loss) for budget, mapl, ssn in ((1, 4.0, 3.9), (5, 3.0, 3.1), (20, 2.0, 2.2))
                for method, loss in (("mapl", mapl), ("ssn", ssn))]
        self.assertIn(": ahead at 5, 20; behind at 1 tokens per parameter (one seed).",
                      report.passing(report.Results(rows), 4, "ssn"))
        # Two seeds of which each favours another method: the order is noise.
        losses = {"none": (2.0, 2.0), "mapl": (2.1, 2.2), "ssn": (2.2, 2.11)}
        noisy = [row(1, method, 4 * (method != "none"), seed, losses[method][seed - 1])
                 for method in losses for seed in (1, 2)]
        self.assertIn(": level within noise at 1 tokens", report.passing(report.Results(noisy), 4, "ssn"))
        borrowed = report.passing(report.Results(rows + [{**each, "budget": "2", "tokens_per_parameter": 2}
                                                         for each in noisy]), 4, "ssn")
        self.assertIn(": level within noise at 1, 2, 5, 20 tokens per parameter.", borrowed)
        self.assertIsNone(report.passing(report.Results(rows), 4, "fixed"))

    def test_parameters_are_those_of_blocks_and_last_norm(self):
        model = {"layers": 12, "hidden": 1024, "heads": 16, "ffn_hidden": 2688}
        self.assertEqual(report.parameters(model), 12 * (4 * 1024**2 + 3 * 1024 * 2688 + 2 * 1024) + 1024)


if __name__ == "__main__":
    unittest.main()
