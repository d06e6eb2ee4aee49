"""Simulated and measured traces have the same rows and actions; `strait simulate` prices links and refuses nonsense."""
import csv
import io
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase  # noqa: E402


class Simulate(StraitTestCase):
    def trace(self, name):
        """Row names, and for each row its actions in the order of time as (name, micro-batch, stage)."""
        events = json.loads((self.folder / name).read_text())["traceEvents"]
        rows = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
        actions = {row: [] for row in rows}
        ends = {row: 0.0 for row in rows}
        for event in events:
            if event["ph"] != "X":
                continue
            self.assertGreaterEqual(event["dur"], 0.0)
            if event["name"] == "wait":
                continue
            row = event["tid"]
            self.assertGreaterEqual(event["ts"], ends[row] - 1e-3, "actions of a row do not overlap")
            ends[row] = event["ts"] + event["dur"]
            actions[row].append((event["name"], event["args"].get("micro_batch"), event["args"]["stage"]))
        return rows, actions

    def rows(self, *arguments):
        """The lines of `strait simulate`."""
        text = self.succeed(self.deck(), *arguments, deck="simulate", ranks=1).stdout
        return list(csv.DictReader(io.StringIO(text)))

    def refuse_to_simulate(self, code, words, *arguments):
        self.refuse(code, words, self.deck(), *arguments, deck="simulate", ranks=1)

    def test_traces_have_the_same_rows_and_actions(self):
        for schedule in ("gpipe", "1f1b", "zb-h1"):
            with self.subTest(schedule):
                sets = self.sets(pipeline__schedule=schedule)
                said = self.succeed("--dry-run", "--trace", self.folder / "simulated.json", *sets, ranks=1,
                                    deck=self.deck()).stdout
                self.assertIn("simulated", said)
                self.succeed("--trace", self.folder / "measured.json", "--output", self.folder / schedule, *sets)
                self.assertEqual(self.trace("simulated.json"), self.trace("measured.json"))

    def test_traces_of_replicas_too(self):
        sets = self.sets(pipeline__replicas="[2,1]")
        self.succeed("--dry-run", "--trace", self.folder / "simulated.json", *sets, ranks=1, deck=self.deck())
        self.succeed("--trace", self.folder / "measured.json", *sets, ranks=3, deck=self.deck())
        self.assertEqual(self.trace("simulated.json"), self.trace("measured.json"))

    def test_replicas_share_the_micro_batches_and_add_up(self):
        def one_stage(bandwidth, replicas):
            row, = self.rows("--bandwidth", bandwidth, *self.sets(pipeline__stages=1, pipeline__replicas=replicas))
            return row
        alone, two = one_stage(1e18, 1), one_stage(1e18, 2)
        self.assertEqual((two["stages"], two["ranks"]), ("1", "2"))
        self.assertAlmostEqual(float(two["seconds_per_step"]) / float(alone["seconds_per_step"]), 0.5, places=3)
        # Each of two ranks sends half of the gradients, and the other half's sum.
        parameters = 2 * 64 * 16 + 3 * (4 * 16 * 16 + 3 * 16 * 32 + 2 * 16) + 16
        self.assertEqual(two["bytes_per_step"], str(2 * 4 * parameters))
        self.assertGreaterEqual(float(one_stage(1e6, 2)["seconds_per_step"]), 4 * parameters * 8 / 1e6)

    def test_narrower_links_are_slower(self):
        rows = self.rows("--bandwidth", 1e6, 1e8, 1e15, *self.sets(pipeline__schedule="gpipe"))
        self.assertEqual([float(row["bandwidth"]) for row in rows], [1e6, 1e8, 1e15])
        seconds = [float(row["seconds_per_step"]) for row in rows]
        self.assertEqual(seconds, sorted(seconds, reverse=True))
        # Two micro-batches of 32 tokens and 16 columns, four bytes each, both ways.
        self.assertEqual(rows[0]["bytes_per_step"], str(2 * 2 * 32 * 16 * 4))
        self.assertGreater(seconds[0], 2 * 2 * 32 * 16 * 4 * 8 / 1e6 / 2)
        speed = float(rows[0]["tokens_per_second"])
        self.assertAlmostEqual(speed * seconds[0], 64, places=5)
        slow = self.rows("--bandwidth", 1e6, "--latency", 0.5, "--half-duplex")
        self.assertGreater(float(slow[0]["seconds_per_step"]), 1.0)
        self.assertEqual(slow[0]["duplex"], "half")

    def test_machine_has_the_links(self):
        machine = self.folder / "machine.toml"
        machine.write_text('[machine]\nlevels = ["cable"]\n[machine.cable]\ncomponents = 2\nbandwidth = 1e6\n')
        row, = self.rows("--machine", machine)
        self.assertEqual(float(row["bandwidth"]), 1e6)
        said = self.succeed("--dry-run", "--machine", machine, ranks=1, deck=self.deck()).stdout
        self.assertIn("simulated", said)
        machine.write_text('[machine]\nlevels = ["cable"]\n[machine.cable]\ncomponents = 1\nbandwidth = 1e6\n')
        self.refuse_to_simulate(2, ["machine.toml", "1 ranks"], "--machine", machine)

    def test_profile_must_be_of_the_deck(self):
        profile = self.folder / "profile.h5"
        codec = self.sets(codec__name="mapl", codec__rank=4)
        self.succeed(self.deck(), "--output", profile, *codec, deck="profile", ranks=2)
        row, = self.rows("--profile", profile, *codec, "--bandwidth", 1e9)
        self.assertGreater(float(row["seconds_per_step"]), 0.0)
        # Synchronised more rarely with fewer micro-batches to a step, whatever those of the profile's steps were.
        step = self.sets(pipeline__schedule="pipedream", training__sequences_per_step=2)
        own = self.folder / "own.h5"
        self.succeed(self.deck(), "--output", own, *codec, *step, deck="profile", ranks=2)
        fitted, = self.rows("--profile", profile, *codec, *step, "--bandwidth", 1e9)
        wanted, = self.rows("--profile", own, *codec, *step, "--bandwidth", 1e9)
        self.assertEqual(fitted["bytes_per_step"], wanted["bytes_per_step"])
        for words, sets in ((["profile of 3 layers"], self.sets(model__layers=4)),
                            (["micro-batches of 2 sequences"], self.sets(training__micro_batch=1)),
                            (["codec.rank = 4"], self.sets(codec__name="mapl", codec__rank=8))):
            self.refuse_to_simulate(2, words, "--profile", profile, *codec, *sets)
        (self.folder / "nonsense.h5").write_text("nonsense")
        self.refuse_to_simulate(4, ["nonsense.h5"], "--profile", self.folder / "nonsense.h5")

    def test_refusals(self):
        self.refuse_to_simulate(2, ["--bandwidth"], "--bandwidth", -1)
        self.refuse_to_simulate(2, ["--latency"], "--latency", -1)
        deck = self.deck()
        self.refuse(2, ["--dry-run"], "--profile", "some.h5", ranks=1, deck=deck)
        self.refuse(4, ["missing"], "--dry-run", "--trace", self.folder / "missing" / "trace.json", ranks=1, deck=deck)


if __name__ == "__main__":
    unittest.main()
