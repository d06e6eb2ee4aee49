"""Every kernel has a benchmark: the headers of include/strait/kernels are included, and every function that takes an
execution space instance first (which is what makes it a kernel) is called, in perf/*_benchmark.cpp. And where they are
built, as `make check` does, they run."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("STRAIT_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
PROGRAM = pathlib.Path(os.environ.get("STRAIT_BINARY_DIR", ROOT / "build/release")) / "perf/strait_benchmark"
DECK = """[model]
layers = 4
hidden = 128
heads = 2
ffn_hidden = 192
vocab = 257
context = 128
[training]
sequences_per_step = 4
micro_batch = 2
"""
KERNEL = re.compile(r"\b(\w+)\(const ExecutionSpace& exec\b")
COMMENT = re.compile(r"//[^\n]*")


def missing(headers, benchmarks):
    """What has no benchmark: headers, and functions as header: name. `headers` are texts by name."""
    code = COMMENT.sub("", benchmarks)
    found = [name for name in headers if f'#include "strait/kernels/{name}"' not in code]
    for name, text in headers.items():
        for function in sorted(set(KERNEL.findall(COMMENT.sub("", text)))):
            if not re.search(rf"\b{function}(?:<[\w: ]+>)?\(", code):
                found.append(f"{name}: {function}")
    return found


class Benchmarks(unittest.TestCase):
    def test_finds_what_is_missing(self):
        header = {"a.hpp": "// old(const ExecutionSpace& exec)\nvoid f(const ExecutionSpace& exec, int n);\nint bits(int n);\n"}
        include = '#include "strait/kernels/a.hpp"\n'
        self.assertEqual(missing(header, include + "f<float>(exec, 1);"), [])
        self.assertEqual(missing(header, include + "// f<float>(exec, 1);"), ["a.hpp: f"])
        self.assertEqual(missing(header, "f<float>(exec, 1);"), ["a.hpp"])

    def test_every_kernel(self):
        headers = {path.name: path.read_text() for path in sorted((ROOT / "include/strait/kernels").glob("*.hpp"))}
        kernels = [name for text in headers.values() for name in KERNEL.findall(text)]
        self.assertGreater(len(headers), 15)
        self.assertGreater(len(kernels), 40)
        benchmarks = "".join(path.read_text() for path in sorted((ROOT / "perf").glob("*_benchmark.cpp")))
        self.assertEqual(missing(headers, benchmarks), [])

    @unittest.skipUnless(PROGRAM.exists(), "built without STRAIT_BENCHMARKS")
    def test_they_run(self):
        with tempfile.TemporaryDirectory() as folder:
            deck = pathlib.Path(folder) / "little.toml"
            deck.write_text(DECK)
            once = ["--once", "--benchmark_filter=/little", "--benchmark_format=json"]
            run = subprocess.run([PROGRAM, f"--decks={deck}", *once], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        results = json.loads(run.stdout)["benchmarks"]
        self.assertGreater(len(results), 100)
        self.assertEqual([result["name"] for result in results if result.get("error_occurred")], [])


if __name__ == "__main__":
    unittest.main()
