"""Asynchronous schedules from outside: the same run over MPI and in one process, through validations, checkpoints
and restarts; refusals; an orderly end when numbers overflow."""
import pathlib
import sys
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from saved_model import assert_same_arrays, saved_arrays  # noqa: E402
from strait_process import StraitTestCase  # noqa: E402

PIPEDREAM = dict(pipeline__schedule="pipedream", training__sequences_per_step=2, model__layers=4)
TWICE = dict(pipeline__schedule="2bw", training__sequences_per_step=8, model__layers=4)
SMALL = {
    "none": {},
    "mapl": dict(codec__name="mapl", codec__rank=4, codec__projector_interval=2),
    "full": dict(codec__name="mapl", codec__rank=4, codec__projector_interval=1, codec__anchors="full"),
    "rvq": {"codec__name": "mapl", "codec__rank": 4, "codec__projector_interval": 2, "codec__rvq.groups": 2,
            "codec__rvq.rounds": 2, "codec__rvq.codewords": 8, "codec__rvq.backward": "rvq",
            "codec__rvq.commitment": 0.5, "codec__rvq.checksum_interval": 1},
    "topk": dict(codec__name="topk", codec__k=4),
    "ssn": dict(codec__name="ssn", codec__rank=4),
}


class Asynchronous(StraitTestCase):
    def run_to(self, name, *arguments, ranks=2, **values):
        output = self.folder / name
        self.succeed("--output", output, *arguments, *self.sets(**values), ranks=ranks, timeout=300)
        return output

    def losses(self, output):
        with h5py.File(output / "metrics.h5", "r") as file:
            self.assertEqual(file["train/step"][:].tolist(), list(range(len(file["train/step"]))))
            return file["train/loss"][:]

    def weights(self, output):
        return saved_arrays(output, groups=("parameters", "anchors", "boundary"))

    def equal(self, left, right):
        np.testing.assert_array_equal(self.losses(left), self.losses(right))
        assert_same_arrays(self, self.weights(left), self.weights(right))

    def test_over_mpi_as_in_one_process(self):
        for rule in ("stash", "vertical-sync", "none"):
            values = dict(PIPEDREAM, run__steps=9, pipeline__weight_versions=rule, **SMALL["mapl"])
            self.equal(self.run_to(f"mpi-{rule}", **values),
                       self.run_to(f"one-{rule}", ranks=1, **values, pipeline__emulate_stages=2))

    def test_restart_is_bitwise_with_micro_batches_in_flight(self):
        # Four emulated stages: three micro-batches in flight, two synchronisations on their way.
        for name, codec in SMALL.items():
            for schedule, base in (("pipedream", PIPEDREAM), ("2bw", TWICE)):
                with self.subTest(codec=name, schedule=schedule):
                    values = dict(base, run__steps=9, pipeline__emulate_stages=4, **codec)
                    whole = self.run_to(f"{name}-{schedule}-whole", ranks=1, **values,
                                        training__validation_interval=0)
                    parts = self.run_to(f"{name}-{schedule}-parts", ranks=1, **values, checkpoint__interval=1,
                                        checkpoint__keep=9)
                    self.equal(whole, parts)  # neither checkpoints nor validations change the run
                    for step in (1, 5, 8):
                        again = self.run_to(f"{name}-{schedule}-{step}", "--restart",
                                            parts / "checkpoints" / f"step_{step}", ranks=1, **values)
                        self.equal(whole, again)

    def test_restart_is_bitwise_over_mpi_and_for_every_rule(self):
        for rule in ("stash", "vertical-sync", "none"):
            with self.subTest(rule=rule):
                values = dict(PIPEDREAM, run__steps=8, pipeline__weight_versions=rule, **SMALL["rvq"])
                whole = self.run_to(f"{rule}-whole", ranks=3, **values, checkpoint__interval=3)
                again = self.run_to(f"{rule}-again", "--restart", whole / "checkpoints" / "step_3", ranks=3, **values)
                self.equal(whole, again)
                emulated = self.run_to(f"{rule}-emulated", "--restart", whole / "checkpoints" / "step_6", ranks=1,
                                       **values, pipeline__emulate_stages=3)
                self.equal(whole, emulated)

    def test_restart_of_replicas_is_bitwise_with_micro_batches_in_flight(self):
        shape = dict(pipeline__stages=3, pipeline__replicas="[3,2,1]", training__sequences_per_step=12, run__steps=4,
                     model__layers=4, optimizer__warmup_steps=2)
        one = dict(pipeline__emulate_stages=3)
        for rule, codec in (("stash", "full"), ("none", "mapl"), ("2bw", "mapl")):
            with self.subTest(rule=rule):
                values = dict(shape, pipeline__schedule="2bw", **SMALL[codec])
                if rule != "2bw":
                    values.update(pipeline__schedule="pipedream", pipeline__weight_versions=rule)
                whole = self.run_to(f"{rule}-whole", ranks=1, **values, **one, training__validation_interval=0)
                parts = self.run_to(f"{rule}-parts", ranks=1, **values, **one, checkpoint__interval=1,
                                    checkpoint__keep=9)
                self.equal(whole, parts)  # neither checkpoints nor validations change the run
                for step, ranks, how in ((1, 1, one), (2, 6, {}), (3, 1, one)):
                    again = self.run_to(f"{rule}-{step}", "--restart", parts / "checkpoints" / f"step_{step}",
                                        ranks=ranks, **values, **how)
                    self.equal(whole, again)
        over_mpi = self.run_to("mpi", ranks=6, **values, checkpoint__interval=1, checkpoint__keep=9)
        self.equal(whole, over_mpi)
        again = self.run_to("mpi-1", "--restart", over_mpi / "checkpoints" / "step_1", ranks=1, **values, **one)
        self.equal(whole, again)

    def test_more_messages_between_steps_than_a_boundary_buffers(self):
        # Four replicas hand one rank four micro-batches before its next step.
        values = dict(PIPEDREAM, pipeline__stages=2, pipeline__replicas="[4,1]", training__sequences_per_step=8,
                      run__steps=4, **SMALL["topk"])
        whole = self.run_to("wide-whole", ranks=5, **values, checkpoint__interval=1, checkpoint__keep=9)
        again = self.run_to("wide-again", "--restart", whole / "checkpoints" / "step_2", ranks=5, **values)
        self.equal(whole, again)

    def test_restart_of_another_pipeline_begins_empty_and_says_so(self):
        values = dict(PIPEDREAM, run__steps=6, checkpoint__interval=3, **SMALL["mapl"])
        whole = self.run_to("whole", ranks=2, **values)
        start = whole / "checkpoints" / "step_3"
        replicas = dict(pipeline__stages=2, pipeline__replicas="[2,1]", training__sequences_per_step=4)
        for name, ranks, change in (("stages", 3, {}), ("rule", 2, dict(pipeline__weight_versions="none")),
                                    ("replicas", 3, replicas), ("seed", 2, dict(run__seed=9))):
            said = self.succeed("--output", self.folder / name, "--restart", start,
                                *self.sets(**{**values, **change}), ranks=ranks).stdout
            self.assertIn("the pipeline begins empty at step 3", said)
        said = self.succeed("--output", self.folder / "same", "--restart", start, *self.sets(**values)).stdout
        self.assertNotIn("begins empty", said)
        synchronous = dict(values, pipeline__schedule="1f1b")
        self.succeed("--output", self.folder / "synchronous", "--restart", start, *self.sets(**synchronous))

    def test_overflow_ends_with_5_and_keeps_the_last_checkpoint(self):
        values = dict(PIPEDREAM, optimizer__learning_rate="1e30", optimizer__clip=0, run__steps=60,
                      checkpoint__interval=1)
        self.refuse(5, ["finite", "the last checkpoint is good"], *self.sets(**values), ranks=3)
        self.assertTrue((self.output / "checkpoints" / "latest").is_file())
        self.assertTrue(np.isfinite(self.losses(self.output)).all())

    def test_a_stop_comes_some_steps_later_with_a_checkpoint(self):
        result = self.run_strait(*self.sets(**PIPEDREAM, run__steps=1000000, run__time_limit=1.0), ranks=3)
        self.assertEqual(result.returncode, 75, result.stderr)
        steps = len(self.losses(self.output))
        self.assertEqual((self.output / "checkpoints" / "latest").read_text().strip(), f"step_{steps}")

    def test_memory_is_what_the_dry_run_says(self):
        values = dict(PIPEDREAM, run__steps=5, pipeline__emulate_stages=3, **SMALL["mapl"])
        said = self.succeed("--dry-run", *self.sets(**values), ranks=1).stdout
        self.assertIn("3 versions of weights", said)
        output = self.run_to("run", ranks=1, **values)
        with h5py.File(output / "metrics.h5", "r") as file:
            for stage in range(3):
                memory = file[f"stage/{stage}/memory_bytes"][:]
                self.assertEqual(set(memory), {memory[0]}, "memory does not grow")

    def test_bad_decks(self):
        self.refuse(2, ["tie_embeddings", "pipedream"], *self.sets(**PIPEDREAM, model__tie_embeddings="true"))
        self.refuse(2, ["sequences_per_step", "micro_batch = 2"], *self.sets(pipeline__schedule="pipedream"))
        self.refuse(2, ["sequences_per_step", "2bw", "at least 2"],
                    *self.sets(pipeline__schedule="2bw", training__sequences_per_step=2))
        self.refuse(2, ["sequences_per_step", "6 x micro_batch = 12", "3-2"],
                    *self.sets(**PIPEDREAM, pipeline__stages=2, pipeline__replicas="[3,2]"), ranks=1)
        self.refuse(2, ["sequences_per_step", "2bw", "at least 5", "multiple of 6"],
                    *self.sets(**TWICE, pipeline__stages=2, pipeline__replicas="[3,2]"), ranks=1)
        self.refuse(2, ["replicas", "differ", "vertical-sync"],
                    *self.sets(**dict(PIPEDREAM, training__sequences_per_step=4), pipeline__stages=2,
                               pipeline__replicas="[2,1]", pipeline__weight_versions="vertical-sync"), ranks=1)
        self.refuse(2, ["weight_versions", "1f1b"], *self.sets(pipeline__weight_versions="none"))
        self.refuse(2, ["weight_versions", "newest"],
                    *self.sets(**PIPEDREAM, pipeline__weight_versions="newest"))
        self.refuse(2, ["grassmann_interval", "asynchronous"],
                    *self.sets(**PIPEDREAM, **SMALL["ssn"], codec__grassmann_interval=2))


if __name__ == "__main__":
    unittest.main()
