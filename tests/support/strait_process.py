"""Runs the strait executable as a user would: a deck, token files, ranks, an exit code.

The build passes STRAIT_EXECUTABLE and STRAIT_MPIEXEC in the environment.
"""
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import time
import unittest

EXECUTABLE = os.environ["STRAIT_EXECUTABLE"]
MPIEXEC = os.environ["STRAIT_MPIEXEC"]

DECK = """
[run]
name = "test"
steps = 4
[model]
layers = 3
hidden = 16
heads = 2
ffn_hidden = 32
vocab = 64
context = 16
[data]
train = ["{folder}/train.bin"]
validation = ["{folder}/validation.bin"]
format = "nanogpt"
[training]
sequences_per_step = 4
micro_batch = 2
validation_interval = 2
validation_sequences = 2
[optimizer]
learning_rate = 1e-2
[pipeline]
stages = {stages}
schedule = "1f1b"
[output]
directory = "{folder}/out"
log_interval = 1
"""


def write_tokens(path, count, vocab=64, seed=1):
    """A nanoGPT file: raw uint16 tokens with some structure to learn."""
    generator = random.Random(seed)
    tokens = [0]
    for _ in range(count - 1):
        tokens.append((3 * tokens[-1] + generator.randrange(4)) % vocab)
    pathlib.Path(path).write_bytes(struct.pack(f"<{count}H", *tokens))


class StraitTestCase(unittest.TestCase):
    """A folder with token files, removed afterwards."""

    EXECUTABLE = EXECUTABLE

    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory(prefix="strait-test-")
        self.addCleanup(self._temporary.cleanup)
        self.folder = pathlib.Path(self._temporary.name)
        self.output = self.folder / "out"
        write_tokens(self.folder / "train.bin", 4000)
        write_tokens(self.folder / "validation.bin", 600, seed=2)

    def deck(self, stages=2, text=DECK):
        path = self.folder / "deck.toml"
        path.write_text(text.format(folder=self.folder, stages=stages))
        return path

    def command(self, *arguments, ranks=2, deck=None):
        deck = deck or self.deck(stages=ranks)
        launcher = [MPIEXEC, "-n", str(ranks)] if ranks > 1 else []
        return [*launcher, self.EXECUTABLE, str(deck), *map(str, arguments)]

    def sets(self, **values):
        """--set arguments: sets(run__steps=3) is --set run.steps=3."""
        return [word for key, value in values.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]

    def run_strait(self, *arguments, ranks=2, deck=None, timeout=60, **options):
        return subprocess.run(self.command(*arguments, ranks=ranks, deck=deck), capture_output=True, text=True,
                              timeout=timeout, **options)

    def succeed(self, *arguments, **options):
        result = self.run_strait(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def refuse(self, code, words, *arguments, seconds=20, **options):
        """Expects exit code `code` and exactly one line on stderr that holds all `words`."""
        begin = time.monotonic()
        result = self.run_strait(*arguments, **options)
        self.assertLess(time.monotonic() - begin, seconds)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        return lines[0]
