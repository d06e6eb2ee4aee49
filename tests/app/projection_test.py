"""Runs whose boundaries project: diagnostics, checkpoints, restarts on the same and on other cuts."""
import pathlib
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from codec_runs import CodecTestCase  # noqa: E402

STEPS, HIDDEN, RANK = 8, 16, 4
CODEC = dict(codec__name="mapl", codec__rank=RANK, codec__projector_interval=3, codec__diagnostics_interval=2,
             model__layers=4, training__validation_interval=0)


class Projection(CodecTestCase):
    CODEC, STEPS = CODEC, STEPS

    def test_diagnostics(self):
        output, _ = self.run_into("out", ranks=4, codec__anchor_init="embedding")
        for boundary in range(3):
            group = f"boundary/{boundary}/diagnostics/"
            self.assertEqual(list(self.metrics(output, group + "step")), [1, 3, 5, 7])
            self.assertLess(max(self.metrics(output, group + "orthonormality")), 1e-5)
            for name in ("energy_kept", "encode_seconds", "decode_seconds"):
                self.assertGreater(min(self.metrics(output, group + name)), 0.0, name)
            update = self.metrics(output, group + "update_seconds")  # of steps 1, 3, 5, 7; every third updates
            self.assertGreater(update[2], max(update[[0, 1, 3]]))
            error, kept, share = (self.metrics(output, group + name)
                                  for name in ("reconstruction_error", "energy_kept", "anchor_share"))
            np.testing.assert_allclose(error ** 2, (1 - kept) * (1 - share), rtol=1e-3)

    def test_checkpoint_holds_projectors_and_anchors_apart(self):
        output, _ = self.run_into("out", ranks=4)
        with self.checkpoint(output) as file:
            self.assertFalse([name for name in file["parameters"] if "anchor" in name])
            for boundary in range(3):
                a = file[f"boundary/{boundary}/A"][:]
                self.assertEqual(a.shape, (HIDDEN, RANK))
                np.testing.assert_allclose(a.T @ a, np.eye(RANK), atol=1e-5)
                self.assertEqual(file[f"boundary/{boundary}"].attrs["after_layer"], boundary)
            for stage in range(4):
                self.assertEqual(file[f"anchors/{stage}/E"].shape, (64, RANK))
                p = file[f"anchors/{stage}/P"][:]
                np.testing.assert_allclose(p @ p.T, np.eye(RANK), atol=1e-5)
                self.assertGreater(np.abs(file[f"anchors/{stage}/E"][:]).max(), 0)

    def test_emulated_run_is_bitwise_the_same(self):
        distributed, _ = self.run_into("distributed", ranks=3)
        emulated, _ = self.run_into("emulated", ranks=1, pipeline__emulate_stages=3)
        np.testing.assert_array_equal(self.metrics(distributed, "train/loss"), self.metrics(emulated, "train/loss"))

    def test_restart_is_bitwise(self):
        for anchors in ("factorized", "static"):
            for rule in ("spel", "manifold-muon"):
                with self.subTest(anchors=anchors, rule=rule):
                    keys = dict(codec__anchors=anchors, codec__projector=rule, checkpoint__interval=4)
                    whole, _ = self.run_into(f"{anchors}-{rule}", ranks=3, **keys)
                    again, _ = self.run_into(f"{anchors}-{rule}-again", "--restart",
                                             whole / "checkpoints" / "step_4", ranks=3, **keys)
                    np.testing.assert_array_equal(self.metrics(whole, "train/loss"), self.metrics(again, "train/loss"))
                    with self.checkpoint(whole) as left, self.checkpoint(again) as right:
                        for name in ("boundary/0/A", "boundary/1/A", "boundary/0/momentum"):
                            np.testing.assert_array_equal(left[name][:], right[name][:])

    def test_restart_on_other_cuts_keeps_equal_cuts_and_says_what_is_new(self):
        whole, _ = self.run_into("whole", ranks=4, codec__anchor_init="embedding", checkpoint__interval=4)
        # Two stages: only the cut after layer 1 is left, so nothing is new.
        halves, said = self.run_into("halves", "--restart", whole / "checkpoints" / "step_4", ranks=2, run__steps=4)
        self.assertNotIn("new", said)
        # Cuts after layers 0 and 2 of three: the last is not in a file of two stages.
        with self.checkpoint(whole, 4) as old:
            middle, anchors, received = old["boundary/1/A"][:], old["anchors/1/E"][:], old["anchors/2/E"][:]
            mean = old["optimizer/mean/anchors.2.weight"][:]
        fresh, said = self.run_into("fresh", "--restart", whole / "checkpoints" / "step_4", ranks=2, run__steps=5,
                                    codec__projector_interval=100, optimizer__learning_rate=0)
        with self.checkpoint(fresh, 5) as new:
            np.testing.assert_array_equal(new["boundary/0/A"][:], middle)
            np.testing.assert_array_equal(new["anchors/0/E"][:], anchors)
            np.testing.assert_array_equal(new["anchors/1/E"][:], received)
            # Rows of tokens that the one further step did not meet only decay.
            ratio = new["optimizer/mean/anchors.1.weight"][:][mean != 0] / mean[mean != 0]
            self.assertGreater(np.mean(np.abs(ratio - 0.9) < 1e-3), 0.01)
        _, said = self.run_into("moved", "--restart", fresh / "checkpoints" / "step_5", ranks=3,
                                pipeline__split="[1,2,1]")
        self.assertIn("the boundary after layer 0 is new: its codec starts afresh", said)
        self.assertIn("the boundary after layer 2 is new: its codec starts afresh", said)
        self.assertIn("the anchors of layers 1 to 2 are new: they start afresh", said)

    def test_bad_decks_are_refused_with_the_reason(self):
        deck = dict(codec__name="mapl", run__steps=1)
        for values, words in (
                (dict(codec__rank=17), ["rank", "17", "16"]), (dict(codec__rank=0), ["rank", "0"]),
                (dict(codec__rank=4, codec__name="none"), ["rank", "mapl", "none"]),
                (dict(codec__rank=4, codec__name="fixed", codec__projector="spel"), ["projector", "fixed"])):
            self.refuse(2, words, *self.sets(**{**deck, **values}))


if __name__ == "__main__":
    unittest.main()
