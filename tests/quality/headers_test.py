"""Every header compiles alone.

A header that some source of the build includes before all else has been compiled alone by the build; only the
others are compiled here.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import unittest

ROOT = pathlib.Path(os.environ.get("STRAIT_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
BUILD = pathlib.Path(os.environ["STRAIT_BINARY_DIR"])
FIRST_INCLUDE = re.compile(r'^#include ["<]([^">]+)[">]', re.M)


def headers():
    public = list((ROOT / "include").rglob("*.hpp"))
    return public + list((ROOT / "src").rglob("*.hpp")) + list((ROOT / "tests").rglob("*.hpp"))


def proven(sources):
    """Headers that come first in a source of the build."""
    found = set()
    for source in sources:
        match = FIRST_INCLUDE.search(source.read_text())
        for folder in (ROOT / "include", source.parent, ROOT / "tests") if match else ():
            if (folder / match.group(1)).is_file():
                found.add((folder / match.group(1)).resolve())
                break
    return found


def compile_command(commands, header):
    """The compiler's call of a test, which sees all that a header may include; syntax only."""
    entry = next(c for c in commands if c["file"].endswith("tests/support/main.cpp"))
    words = shlex.split(entry["command"])
    words = words[:words.index("-o")] + ["-fsyntax-only", "-I", str(header.parent), "-x", "c++"]
    return [word for word in words if not word.endswith("ccache")], entry["directory"]


class Headers(unittest.TestCase):
    def test_each_compiles_alone(self):
        commands = json.loads((BUILD / "compile_commands.json").read_text())
        if "nvcc_wrapper" in commands[0]["command"]:
            self.skipTest("nvcc takes no source from standard input; a build for hosts has the same headers")
        done = proven([pathlib.Path(c["file"]) for c in commands])
        rest = [header.resolve() for header in headers() if header.resolve() not in done]
        self.assertGreater(len(done), 40)

        def errors(header):
            words, directory = compile_command(commands, header)
            # Through a source that includes it: a header as main file would warn about its #pragma once.
            source = f'#include "{header}"\n'
            result = subprocess.run([*words, "-"], cwd=directory, input=source, capture_output=True, text=True)
            return f"{header}:\n{result.stderr}" if result.returncode else ""

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = [text for text in pool.map(errors, rest) if text]
        print(f"{len(done)} headers come first in a source, {len(rest)} were compiled")
        self.assertFalse(found, "\n".join(found))


if __name__ == "__main__":
    unittest.main()
