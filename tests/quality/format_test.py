"""Every source is as clang-format leaves it (`make format`)."""
import os
import pathlib
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(os.environ.get("STRAIT_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
VERSION = "14"  # versions disagree in details; this is Debian 12's


class Format(unittest.TestCase):
    def test_every_source(self):
        command = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
        if not command or f"version {VERSION}." not in subprocess.run([command, "--version"], capture_output=True,
                                                                     text=True).stdout:
            self.skipTest(f"clang-format {VERSION} is not installed")
        sources = [path for tree in ("include", "src", "tests", "perf") for path in (ROOT / tree).rglob("*.[ch]pp")]
        self.assertGreater(len(sources), 100)
        result = subprocess.run([command, "--dry-run", "--Werror", *sources], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, "run `make format`\n" + result.stderr)


if __name__ == "__main__":
    unittest.main()
