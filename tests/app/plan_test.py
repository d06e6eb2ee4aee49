"""strait plan from outside: out of the box, with a machine, with a profile, and what it refuses."""
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import DECK, StraitTestCase  # noqa: E402

DECK_ERROR, IO = 2, 4
INPUTS = pathlib.Path(__file__).parents[2] / "inputs"


class PlanTestCase(StraitTestCase):
    """Plans for a deck of 12 layers on one process."""

    def plan(self, *arguments, layers=12):
        return self.succeed(*self.words(arguments, layers), ranks=1).stdout

    def refuse_plan(self, code, words, *arguments, layers=12):
        return self.refuse(code, words, *self.words(arguments, layers), ranks=1)

    def words(self, arguments, layers):
        return [*arguments, *self.sets(model__layers=layers)]

    def command(self, *arguments, deck=None, **options):
        executable, deck, *rest = super().command(*arguments, deck=deck, **options)
        return [executable, "plan", deck, *rest]

    def dry_run(self, *arguments, deck=None):
        words = StraitTestCase.command(self, "--dry-run", *arguments, ranks=1, deck=deck)
        result = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def machine(self, text):
        path = self.folder / "machine.toml"
        path.write_text(text)
        return path

    def lines(self, said):
        """The deck's lines by key."""
        return dict(re.findall(r"^(stages|replicas|split) = (.*)$", said, re.MULTILINE))


class Plan(PlanTestCase):
    def test_out_of_the_box(self):
        said = self.plan("--ranks", 4)
        for word in ("12 layers", "estimated", "bottleneck", "tokens/s", "NOAM", "[pipeline]"):
            self.assertIn(word, said)
        rows = re.findall(r"^\d+ +(\S+) +(\d+)  (\S+)", said, re.MULTILINE)
        self.assertEqual(sum(int(replicas) for _, replicas, _ in rows), 4)

    def test_machines_of_the_inputs(self):
        for path in sorted((INPUTS / "machines").glob("*.toml")):
            with self.subTest(path.name):
                self.assertIn("bottleneck", self.plan("--machine", path))

    def test_slow_ranks_get_fewer_layers(self):
        machine = self.machine('[machine]\nlevels = ["link"]\nspeed = [1, 0.5]\n[machine.link]\ncomponents = 2\n'
                               "bandwidth = 1e13\n")
        self.assertEqual(self.lines(self.plan("--machine", machine, "--replicas", "1,1", "--rate", 1e6))["split"], "[8, 4]")

    def test_the_lines_are_a_deck(self):
        lines = self.lines(self.plan("--ranks", 3, "--replicas", "1,1,1"))
        self.assertEqual(lines["stages"], "3")
        self.assertNotIn("replicas", lines)
        said = self.dry_run(*self.sets(model__layers=12, pipeline__stages=3, pipeline__split=lines["split"]))
        self.assertEqual(len(re.findall(r"^stage +\d", said, re.MULTILINE)), 3)

    def test_measured_profile(self):
        deck = self.deck(stages=2)
        path = self.folder / "profile.h5"
        profile = StraitTestCase.command(self, "--output", path, deck=deck, ranks=1)
        profile.insert(1, "profile")
        subprocess.run(profile, check=True, capture_output=True, timeout=120)
        said = self.succeed("--profile", path, ranks=1, deck=deck).stdout
        self.assertIn(str(path), said)
        self.assertNotIn("estimated", said)
        # The same file balances the stages of a run.
        self.assertIn("stage 1", self.dry_run(*self.sets(pipeline__profile=path), deck=deck))
        line = self.refuse(DECK_ERROR, ["is a profile of 3 layers", "12 layers"], "--profile", path,
                           *self.sets(model__layers=12), ranks=1, deck=deck)
        self.assertIn("profile.h5", line)
        self.refuse(DECK_ERROR, ["micro_batch", "2 sequences"], "--profile", path, *self.sets(training__micro_batch=1),
                    ranks=1, deck=deck)

    def test_help(self):
        said = self.plan("--help")
        for word in ("--profile", "--machine", "--ranks", "--replicas", "--rate"):
            self.assertIn(word, said)


class Refusals(PlanTestCase):
    def test_nothing_fits(self):
        machine = self.machine('[machine]\nlevels = ["link"]\nmemory = 1000\n[machine.link]\ncomponents = 2\n'
                               "bandwidth = 1e9\n")
        self.refuse_plan(DECK_ERROR, ["no plan", "GB"], "--machine", machine)

    def test_malformed_machine(self):
        machine = self.machine('[machine]\nlevels = ["link"]\n[machine.link]\ncomponents = "two"\nbandwidth = 1e9\n')
        self.refuse_plan(DECK_ERROR, ["machine.toml:4:1", "components", "integer"], "--machine", machine)
        self.refuse_plan(DECK_ERROR, ["machine.toml:1:", "not valid TOML"], "--machine", self.machine("= 3\n"))

    def test_missing_files(self):
        self.refuse_plan(IO, ["none.toml"], "--machine", self.folder / "none.toml")
        self.refuse_plan(IO, ["none.h5"], "--profile", self.folder / "none.h5")

    def test_replicas_must_match_the_ranks(self):
        self.refuse_plan(DECK_ERROR, ["--replicas", "6", "4 ranks"], "--ranks", 4, "--replicas", "3,2,1")

    def test_more_stages_than_layers(self):
        self.refuse_plan(DECK_ERROR, ["4 stages", "3 layers"], "--ranks", 4, "--replicas", "1,1,1,1", layers=3)

    def test_unknown_option(self):
        self.refuse_plan(DECK_ERROR, ["--restart"], "--restart", "latest")
        self.refuse_plan(DECK_ERROR, ["--ranks"], "--ranks", 0)


if __name__ == "__main__":
    unittest.main()
