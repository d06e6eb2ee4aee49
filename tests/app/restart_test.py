"""Restart equals no restart: bitwise on the same ranks, to rounding on another number of stages; after kills too."""
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from saved_model import assert_same_arrays, saved_arrays  # noqa: E402
from strait_process import EXECUTABLE, StraitTestCase  # noqa: E402


class Restart(StraitTestCase):
    def losses(self, output):
        with h5py.File(output / "metrics.h5", "r") as file:
            self.assertEqual(file["train/step"][:].tolist(), list(range(len(file["train/step"]))))
            return file["train/loss"][:]

    def parameters(self, output):
        return saved_arrays(output, groups=("parameters",))

    def equal(self, left, right):
        np.testing.assert_array_equal(self.losses(left), self.losses(right))
        assert_same_arrays(self, self.parameters(left), self.parameters(right))

    def test_bitwise_on_the_same_ranks(self):
        whole, parts = self.folder / "whole", self.folder / "parts"
        self.succeed("--output", whole, *self.sets(run__steps=9))
        # The schedule of the learning rate follows run.steps, so the first part stops early on a time limit
        # of another kind: a checkpoint in the middle and a restart from it.
        self.succeed("--output", parts, *self.sets(run__steps=9, checkpoint__interval=4))
        middle = parts / "checkpoints" / "step_4"
        self.succeed("--output", self.folder / "again", "--restart", middle, *self.sets(run__steps=9))
        self.equal(whole, parts)
        self.equal(whole, self.folder / "again")

    def test_bitwise_in_rotating_bases(self):
        for name in ("basis-rotation", "soap", "nadam"):
            values = dict(optimizer__name=name, run__steps=9)
            if name != "nadam":
                values["optimizer__refresh"] = 3
            whole, again = self.folder / name, self.folder / f"{name}-again"
            self.succeed("--output", whole, *self.sets(checkpoint__interval=4, **values))
            self.succeed("--output", again, "--restart", whole / "checkpoints" / "step_4", *self.sets(**values))
            self.equal(whole, again)

    def test_on_other_numbers_of_stages(self):
        whole = self.folder / "whole"
        self.succeed("--output", whole, *self.sets(run__steps=8, checkpoint__interval=4))
        for ranks in (1, 3):
            output = self.folder / f"ranks{ranks}"
            said = self.succeed("--output", output, "--restart", whole / "checkpoints" / "step_4",
                                *self.sets(run__steps=8), ranks=ranks).stdout
            self.assertNotIn("afresh", said, "the codec has no state")
            np.testing.assert_allclose(self.losses(output), self.losses(whole), rtol=1e-5)

    def test_on_other_numbers_of_stages_in_other_ways(self):
        cases = (("tied", (1, 3), 1e-5, dict(model__tie_embeddings="true")),
                 ("muon", (3,), 1e-5, dict(optimizer__name="muon")),
                 ("float64", (3,), 1e-13, dict(training__precision="float64", codec__wire="float64")))
        for name, others, tolerance, values in cases:
            whole = self.folder / name
            self.succeed("--output", whole, *self.sets(run__steps=8, checkpoint__interval=4, **values))
            for ranks in others:
                with self.subTest(name, ranks=ranks):
                    output = self.folder / f"{name}-{ranks}"
                    self.succeed("--output", output, "--restart", whole / "checkpoints" / "step_4",
                                 *self.sets(run__steps=8, **values), ranks=ranks)
                    np.testing.assert_allclose(self.losses(output), self.losses(whole), rtol=tolerance)

    def test_restart_latest_without_a_checkpoint_starts_fresh(self):
        result = self.succeed("--restart", "latest", *self.sets(run__steps=2))
        self.assertIn("fresh", result.stdout)
        self.assertEqual(len(self.losses(self.output)), 2)

    def test_a_fresh_run_does_not_replace_another(self):
        self.succeed(*self.sets(run__steps=2))
        before = self.losses(self.output)
        ways_out = [str(self.output), "--restart latest", "--output", "remove"]
        self.refuse(2, ways_out, *self.sets(run__steps=3))
        elsewhere = self.folder / "elsewhere"
        self.succeed("--output", elsewhere, *self.sets(run__steps=3))
        self.refuse(2, ways_out, "--restart", elsewhere / "checkpoints" / "step_3", *self.sets(run__steps=4))
        (self.output / "metrics.h5").rename(self.folder / "metrics.h5")
        self.refuse(2, ways_out, *self.sets(run__steps=3))
        (self.folder / "metrics.h5").rename(self.output / "metrics.h5")
        np.testing.assert_array_equal(self.losses(self.output), before)
        own = self.output / "checkpoints" / "step_2"
        self.succeed("--restart", f"{own}/", *self.sets(run__steps=3))
        self.assertEqual(len(self.losses(self.output)), 3)

    def test_restart_latest_replaces_a_run_that_died_before_its_first_checkpoint(self):
        overflow = self.sets(optimizer__learning_rate="1e30", optimizer__clip=0, run__steps=50)
        self.refuse(5, ["finite"], *overflow)
        self.assertTrue((self.output / "metrics.h5").is_file())
        self.refuse(2, ["--restart latest"], *self.sets(run__steps=2))
        self.assertIn("fresh", self.succeed("--restart", "latest", *self.sets(run__steps=2)).stdout)
        self.assertEqual(len(self.losses(self.output)), 2)

    def test_restart_latest_of_a_finished_run_has_nothing_to_do(self):
        self.succeed(*self.sets(run__steps=2))
        self.assertIn("no step", self.succeed("--restart", "latest", *self.sets(run__steps=2)).stdout)
        self.assertEqual(len(self.losses(self.output)), 2)

    def test_a_run_of_no_step_writes_its_checkpoint(self):
        self.succeed(*self.sets(run__steps=0))
        self.assertEqual((self.output / "checkpoints" / "latest").read_text().strip(), "step_0")
        self.assertIn("0 steps done", self.succeed("--restart", "latest", *self.sets(run__steps=2)).stdout)
        self.assertEqual(len(self.losses(self.output)), 2)

    def test_changed_keys_are_said(self):
        def said(**values):
            restarted = self.succeed("--restart", "latest", *self.sets(**values))
            return [line for line in restarted.stdout.splitlines() if line.startswith("restart: ")]

        self.succeed(*self.sets(run__steps=2))
        self.assertEqual(said(run__steps=3, run__name="other", checkpoint__interval=1, output__log_interval=2), [])
        self.assertEqual(said(run__steps=4, run__seed=9, optimizer__learning_rate=0.02, data__order="sequential"),
                         ["restart: run.seed 1 -> 9", 'restart: data.order "shuffled" -> "sequential"',
                          "restart: optimizer.learning_rate 0.01 -> 0.02"])
        lines = said(run__steps=5, codec__name="mapl", codec__rank=4)
        self.assertIn('restart: codec.name "none" -> "mapl"', lines)
        self.assertIn("restart: codec.rank (absent) -> 4", lines)

    def start(self, *arguments, command=None):
        """A run whose first step is done."""
        process = subprocess.Popen(command or self.command(*arguments), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        while not any("step" in line and "loss" in line for line in iter(process.stdout.readline, "")):
            self.assertIsNone(process.poll())
        return process

    def ranks_alive(self):
        found = subprocess.run(["pgrep", "-f", f"^[^ ]*strait {self.folder}"], capture_output=True, text=True)
        return [int(word) for word in found.stdout.split()]

    def latest_is_the_last_step(self):
        steps = len(self.losses(self.output))
        self.assertEqual((self.output / "checkpoints" / "latest").read_text().strip(), f"step_{steps}")

    def test_stop_signal_leaves_a_checkpoint_and_75(self):
        process = self.start(*self.sets(run__steps=1000000))
        for rank in self.ranks_alive():
            os.kill(rank, signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75, stderr)
        self.latest_is_the_last_step()

    def test_stop_signal_to_the_launcher(self):
        # Each rank's own code is written down: MPICH's launcher forwards the signal and then returns 0.
        codes = self.folder / "codes"
        command = self.command(*self.sets(run__steps=1000000))
        at = command.index(EXECUTABLE)
        command[at:at] = ["sh", "-c", f'trap : TERM; "$@"; echo $? >> {codes}', "sh"]
        process = self.start(command=command)
        process.terminate()
        process.communicate(timeout=60)
        if not codes.exists():
            self.skipTest("this launcher ends its ranks instead of forwarding SIGTERM")
        self.assertEqual(codes.read_text().split(), ["75", "75"])
        self.latest_is_the_last_step()

    def test_a_rank_that_is_killed_takes_the_others_along(self):
        process = self.start(*self.sets(run__steps=1000000, checkpoint__interval=1))
        os.kill(self.ranks_alive()[-1], signal.SIGKILL)
        process.communicate(timeout=10)
        self.assertNotEqual(process.returncode, 0)
        deadline = time.monotonic() + 10
        while self.ranks_alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(self.ranks_alive(), [])
        self.succeed("--restart", "latest", *self.sets(run__steps=1))

    def test_time_limit_leaves_a_checkpoint_and_75(self):
        result = self.run_strait(*self.sets(run__steps=1000000, run__time_limit=1.0))
        self.assertEqual(result.returncode, 75, result.stderr)
        self.assertTrue((self.output / "checkpoints" / "latest").is_file())

    def test_killed_twenty_times(self):
        reference = self.folder / "reference"
        options = dict(run__steps=60, checkpoint__interval=1, training__validation_interval=0)
        self.succeed("--output", reference, *self.sets(**options))
        generator = random.Random(7)
        while_writing = 0
        for _ in range(20):
            process = subprocess.Popen(self.command("--restart", "latest", *self.sets(**options)),
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            # Let it come as far as a random number of further lines, so that kills fall anywhere in a step
            # or in the write of a checkpoint.
            for _ in range(generator.randrange(0, 8)):
                if not process.stdout.readline():
                    break
            time.sleep(generator.random() * 0.02)
            for rank in self.ranks_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rank, signal.SIGKILL)
            process.kill()
            process.communicate(timeout=30)
            while_writing += any((self.output / "checkpoints").glob(".step_*.partial"))
        self.assertGreaterEqual(while_writing, 3, "kills must fall into the write of a checkpoint too")
        self.succeed("--restart", "latest", *self.sets(**options))
        self.equal(reference, self.output)


if __name__ == "__main__":
    unittest.main()
