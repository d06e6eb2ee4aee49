"""Replicated stages train over MPI from a deck: the run of unreplicated ones, exact bytes, restarts, refusals."""
import os
import pathlib
import re
import sys
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from saved_model import assert_same_arrays, saved_arrays  # noqa: E402
from strait_process import StraitTestCase  # noqa: E402

STEPS, MICRO_BATCHES, TOKENS, HIDDEN = 5, 6, 2 * 16, 16
DOUBLE = dict(training__precision="float64", codec__wire="float64")
MAPL = dict(codec__name="mapl", codec__rank=4, codec__projector_interval=2)
PREFIX = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


class Replicas(StraitTestCase):
    def train(self, name, replicas, *arguments, **values):
        output = self.folder / name
        ranks = 1 if "pipeline__emulate_stages" in values else sum(replicas)
        keys = dict(pipeline__stages=len(replicas), pipeline__replicas=str(list(replicas)),
                    training__sequences_per_step=2 * MICRO_BATCHES, run__steps=STEPS, model__layers=4)
        said = self.succeed("--output", output, *arguments, *self.sets(**{**keys, **values}), ranks=ranks).stdout
        return output, said

    def series(self, output, path):
        with h5py.File(output / "metrics.h5", "r") as file:
            return file[path][:]

    def test_the_loss_is_that_of_unreplicated_stages(self):
        for codec in ({}, MAPL):
            name = codec.get("codec__name", "none")
            for shape in ((1,), (1, 1), (1, 1, 1)):
                wanted, _ = self.train(f"{name}-{len(shape)}", shape, **codec, **DOUBLE)
                for replicas in {1: ((4,),), 2: ((2, 2), (1, 3)), 3: ((3, 2, 1),)}[len(shape)]:
                    with self.subTest(name, replicas=replicas):
                        found, _ = self.train(f"{name}-{replicas}", replicas, **codec, **DOUBLE)
                        for path in ("train/loss", "validation/loss"):
                            np.testing.assert_allclose(self.series(found, path), self.series(wanted, path), rtol=1e-9)
                        for p in range(len(shape) - 1):
                            for way in ("forward", "backward"):
                                path = f"boundary/{p}/bytes_{way}"
                                np.testing.assert_array_equal(self.series(found, path), self.series(wanted, path))

    def test_in_single_precision_the_first_loss_is_the_same(self):
        wanted, _ = self.train("one", (1, 1))
        found, _ = self.train("replicas", (3, 2))
        found, wanted = self.series(found, "train/loss"), self.series(wanted, "train/loss")
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)
        np.testing.assert_allclose(found, wanted, rtol=1e-4)

    def test_emulated_it_is_bitwise_the_same(self):
        found, _ = self.train("mpi", (3, 2, 1), **MAPL)
        wanted, _ = self.train("emulated", (3, 2, 1), pipeline__emulate_stages=3, **MAPL)
        np.testing.assert_array_equal(self.series(found, "train/loss"), self.series(wanted, "train/loss"))
        assert_same_arrays(self, saved_arrays(found, STEPS), saved_arrays(wanted, STEPS))

    def test_restarts_in_the_middle_and_on_other_replicas(self):
        keys = dict(checkpoint__interval=3, **MAPL)
        whole, _ = self.train("whole", (2, 1), **keys)
        middle = whole / "checkpoints" / "step_3"
        again, _ = self.train("again", (2, 1), "--restart", middle, **keys)
        np.testing.assert_array_equal(self.series(again, "train/loss"), self.series(whole, "train/loss"))
        assert_same_arrays(self, saved_arrays(again, STEPS), saved_arrays(whole, STEPS))
        other, said = self.train("other", (1, 2), "--restart", middle, **keys)
        self.assertNotIn("afresh", said)
        np.testing.assert_allclose(self.series(other, "train/loss"), self.series(whole, "train/loss"), rtol=1e-4)

    def test_what_a_dry_run_plans_is_held_and_sent(self):
        _, said = self.train("planned", (2, 2), "--dry-run", **MAPL)
        self.assertIn("replicas 2-2: 4 ranks", said)
        planned = re.findall(r"^stage +\d+ .* in flight, ([\d.]+) (\w+)$", said, re.MULTILINE)
        self.assertEqual(len(planned), 2, said)
        output, _ = self.train("planned", (2, 2), **MAPL)
        for stage, (number, unit) in enumerate(planned):
            memory = self.series(output, f"stage/{stage}/memory_bytes")[-1]
            digits = len(number.partition(".")[2])
            self.assertEqual(f"{memory / PREFIX[unit]:.{digits}f}", number)

    def test_bytes_between_replicas(self):
        output, _ = self.train("bytes", (4,), model__layers=1)
        parameters = sum(value.size for name, value in saved_arrays(output, STEPS).items()
                         if name.startswith("parameters/"))
        # Each of R ranks sends 2 (R - 1) / R of the gradients: all together 2 (R - 1) times them.
        np.testing.assert_array_equal(self.series(output, "stage/0/bytes_replicas"), [2 * 3 * 4 * parameters] * STEPS)

    def test_refusals(self):
        def refuse(code, words, ranks=2, **values):
            self.refuse(code, words, *self.sets(**values), ranks=ranks)
        refuse(3, ["2 ranks", "replicas 2-1", "3"], pipeline__replicas="[2,1]")
        refuse(3, ["2 ranks", "4"], pipeline__replicas="2")
        refuse(2, ["[pipeline] replicas", "3", "2"], pipeline__replicas="[1,1,1]")
        refuse(2, ["[pipeline] replicas", "0"], pipeline__replicas="[1,0]")
        refuse(2, ["[pipeline] replicas", "3", "2", "micro-batches"], pipeline__replicas="[3,1]")
        refuse(2, ["[pipeline] replicas", "tie_embeddings"], pipeline__replicas="[2,1]", model__tie_embeddings="true")
        refuse(2, ["[pipeline] replicas", "chunks"], pipeline__replicas="[2,1]", pipeline__schedule="interleaved",
               pipeline__chunks=2, model__layers=4)
        refuse(2, ["rvq", "replicas"], pipeline__replicas="2", codec__name="mapl", codec__rank=4,
               codec__rvq__groups=2, codec__rvq__rounds=1, codec__rvq__codewords=4)
        refuse(2, ["grassmann_interval", "replicas"], pipeline__replicas="2", codec__name="ssn", codec__rank=4,
               codec__grassmann_interval=2)


class DamagedReplicas(StraitTestCase):
    EXECUTABLE = os.environ["STRAIT_DAMAGED_EXECUTABLE"]

    def test_replicas_that_differ_end_the_run(self):
        # Of one layer with table and head there are two sums, each sent in two halves: the last message of a step
        # holds a sum, of which the other replica then has other bits.
        damage = dict(os.environ, STRAIT_DAMAGE="1,3,2")
        for schedule in ("1f1b", "pipedream"):
            for later in (dict(checkpoint__interval=3), dict(training__validation_interval=3)):
                with self.subTest(schedule, later=later):
                    keys = dict(pipeline__stages=1, pipeline__replicas=2, pipeline__schedule=schedule,
                                model__layers=1, run__steps=6, training__validation_interval=0,
                                network__gpu_aware="off")  # the test at start sends too
                    self.refuse(5, ["after 3 steps", "stage 0", "ranks 0 and 1", "differ"], "--output",
                                self.folder / f"{schedule}-{len(later)}-{list(later)[0]}",
                                *self.sets(**{**keys, **later}), env=damage)


if __name__ == "__main__":
    unittest.main()
