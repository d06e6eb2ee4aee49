"""Every kernel has a benchmark: the headers of include/strait/kernels are included, and every function that takes an
execution space instance first (which is what makes it a kernel) is called, in perf/*_benchmark.cpp."""

import os
import pathlib
import re
import unittest

ROOT = pathlib.Path(os.environ.get("STRAIT_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
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


if __name__ == "__main__":
    unittest.main()
