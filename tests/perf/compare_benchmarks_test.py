"""perf/compare_benchmarks.py on small files of the form that Google Benchmark writes."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("STRAIT_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
SCRIPT = ROOT / "perf" / "compare_benchmarks.py"


def run_of(name, times, unit="us", **counters):
    """Repetitions of one benchmark, with an aggregate that must not be counted."""
    entries = [{"name": name, "run_type": "iteration", "repetition_index": k, "real_time": 10 * time, "cpu_time": time,
                "time_unit": unit, **{key: values[k] for key, values in counters.items()}}
               for k, time in enumerate(times)]
    return [*entries, {"name": name + "_median", "run_type": "aggregate", "real_time": 1e9, "cpu_time": 1e9,
                       "time_unit": unit, "of_gemm": 1e-9}]


class Comparison(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def compare(self, old, new, *options, context=({}, {})):
        paths = []
        for name, runs, own in zip(("old", "new"), (old, new), context):
            path = self.folder / f"{name}.json"
            path.write_text(json.dumps({"context": own, "benchmarks": [entry for run in runs for entry in run]}))
            paths.append(path)
        result = subprocess.run([sys.executable, SCRIPT, *paths, *options], capture_output=True, text=True)
        return result.returncode, result.stdout + result.stderr

    def line(self, output, name):
        return next(line for line in output.splitlines() if line.startswith(name))

    def test_same_is_no_regression(self):
        runs = [run_of("add/small", [10, 10.1, 10.2], of_copy=[0.8, 0.81, 0.79])]
        code, output = self.compare(runs, runs)
        self.assertEqual(code, 0)
        self.assertIn("1 compared at 10 %: 0 slower, 0 faster", output)

    def test_slower_machine_is_no_regression(self):
        """Twice the time, but the machine's own rates have halved too: the shares stay."""
        code, output = self.compare([run_of("a", [10, 10, 10], of_gemm=[0.9, 0.9, 0.9])],
                                    [run_of("a", [20, 20, 20], of_gemm=[0.9, 0.9, 0.9])], "--all")
        self.assertEqual(code, 0)
        self.assertEqual(self.line(output, "a ").split()[-1], "0.500")
        self.assertIn("1.000", self.line(output, "a "))

    def test_regression(self):
        code, output = self.compare([run_of("a", [10, 10, 10], of_gemm=[0.9, 0.9, 0.9])],
                                    [run_of("a", [12, 12, 12], of_gemm=[0.75, 0.75, 0.75])])
        self.assertEqual(code, 1)
        self.assertTrue(self.line(output, "a ").endswith("SLOWER"))
        self.assertIn("0.833", self.line(output, "a "))

    def test_threshold(self):
        old, new = [run_of("a", [10] * 3, of_copy=[0.8] * 3)], [run_of("a", [12] * 3, of_copy=[0.8 / 1.2] * 3)]
        self.assertEqual(self.compare(old, new, "--threshold", "25%")[0], 0)
        self.assertEqual(self.compare(old, new, "--threshold", "0.15")[0], 1)
        self.assertEqual(self.compare(old, new, "--threshold", "much")[0], 2)

    def test_improvement(self):
        code, output = self.compare([run_of("a", [10] * 3, of_copy=[0.4] * 3)],
                                    [run_of("a", [5] * 3, of_copy=[0.8] * 3)])
        self.assertEqual(code, 0)
        self.assertTrue(self.line(output, "a ").endswith("faster"))

    def test_noise_hides_a_change(self):
        """A drop of a fifth, where the repetitions of the new run spread over more than that."""
        old = [run_of("a", [10] * 5, of_gemm=[0.90, 0.91, 0.90, 0.89, 0.90])]
        noisy = [run_of("a", [10] * 5, of_gemm=[0.50, 0.60, 0.75, 0.85, 0.95])]
        steady = [run_of("a", [10] * 5, of_gemm=[0.74, 0.75, 0.75, 0.75, 0.76])]
        self.assertEqual(self.compare(old, noisy)[0], 0)
        self.assertEqual(self.compare(old, steady)[0], 1)

    def test_one_outlier_changes_nothing(self):
        old = [run_of("a", [10] * 5, of_gemm=[0.9] * 5)]
        new = [run_of("a", [10] * 5, of_gemm=[0.9, 0.9, 0.1, 0.9, 0.9])]
        self.assertEqual(self.compare(old, new)[0], 0)

    def test_nearer_roofline_decides(self):
        """Of two shares the larger of the old run; the other may move."""
        code, output = self.compare([run_of("a", [10] * 3, of_gemm=[0.1] * 3, of_copy=[0.8] * 3)],
                                    [run_of("a", [10] * 3, of_gemm=[0.05] * 3, of_copy=[0.8] * 3)], "--all")
        self.assertEqual(code, 0)
        self.assertEqual(self.line(output, "a ").split()[1], "copy")

    def test_time_decides_without_a_share(self):
        code, output = self.compare([run_of("plan", [2] * 3, "ms")], [run_of("plan", [3000] * 3, "us")])
        self.assertEqual(code, 1)
        self.assertEqual(self.line(output, "plan ").split()[1:6], ["time", "2", "ms", "3", "ms"])

    def test_clock_of_the_context(self):
        """On several cores real time counts; one file of each kind, and names without their decoration."""
        code, output = self.compare([run_of("plan", [10] * 3)], [run_of("plan/iterations:1/real_time", [1] * 3)], "--all",
                                    context=({"clock": "processor"}, {"clock": "real", "kokkos": "4.5.1 OpenMP"}))
        self.assertEqual(code, 0, output)
        self.assertIn("processor  ->  real", output)
        self.assertIn("unknown  ->  4.5.1 OpenMP", output)
        self.assertIn("1.000", self.line(output, "plan "))

    def test_missing_and_filter(self):
        old = [run_of("a", [10] * 3), run_of("gone", [10] * 3)]
        new = [run_of("a", [20] * 3), run_of("fresh", [10] * 3)]
        code, output = self.compare(old, new)
        self.assertEqual(code, 1)
        self.assertIn("only in the old file: gone", output)
        self.assertIn("only in the new file: fresh", output)
        self.assertEqual(self.compare(old, new, "--filter", "gone")[0], 2)

    def test_unreadable(self):
        path = self.folder / "broken.json"
        path.write_text("{")
        result = subprocess.run([sys.executable, SCRIPT, path, path], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("broken.json: not a JSON file of Google Benchmark", result.stderr)

    def test_failed_benchmark(self):
        failed = [[{"name": "a", "run_type": "iteration", "error_occurred": True, "error_message": "no memory",
                    "real_time": 0, "cpu_time": 0, "time_unit": "us"}]]
        code, output = self.compare(failed, failed)
        self.assertEqual(code, 2)
        self.assertIn("a failed: no memory", output)


if __name__ == "__main__":
    unittest.main()
