"""Runs whose model is held in a subspace: bytes, diagnostics, checkpoints, restarts on the same and on other cuts."""
import pathlib
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from codec_runs import CodecTestCase  # noqa: E402

STEPS, TOKENS, HIDDEN, RANK, LAYERS = 8, 64, 16, 4, 4
TABLE = "model.embed_tokens.weight"
CODEC = dict(codec__name="ssn", codec__rank=RANK, codec__diagnostics_interval=2, model__layers=LAYERS,
             training__validation_interval=4, pipeline__split="auto")
NAMES = [f"model.layers.{layer}.{name}.weight" for layer in range(LAYERS) for name in ("self_attn.o_proj", "mlp.down_proj")]


def outside(weight, basis):
    """Of the norm of [out, in], what is not in span(U)."""
    return np.linalg.norm(weight - basis @ (basis.T @ weight)) / np.linalg.norm(weight)


class Subspace(CodecTestCase):
    CODEC, STEPS = CODEC, STEPS

    def test_bytes_are_the_formula(self):
        for wire, width in (("float32", 4), ("bfloat16", 2)):
            output, _ = self.run_into(wire, ranks=3, codec__wire=wire, codec__grassmann_interval=3)
            numbers = TOKENS * RANK * width
            for boundary in range(2):
                group = f"boundary/{boundary}/bytes_"
                self.assertEqual(set(self.metrics(output, group + "forward")), {numbers + TOKENS * 2})
                self.assertEqual(set(self.metrics(output, group + "backward")), {numbers})
                self.assertEqual(list(self.metrics(output, group + "sync")),
                                 [HIDDEN * RANK * 4 if step % 3 == 2 else 0 for step in range(STEPS)])

    def test_nothing_is_lost(self):
        for optimizer in ("adamw", "muon"):
            output, _ = self.run_into(optimizer, ranks=4, optimizer__name=optimizer, codec__grassmann_interval=3)
            loss, past = (self.metrics(output, f"validation/{name}") for name in ("loss", "loss_without_codec"))
            np.testing.assert_allclose(loss, past, rtol=1e-6)
            for boundary in range(3):
                group = f"boundary/{boundary}/diagnostics/"
                self.assertEqual(list(self.metrics(output, group + "step")), [1, 3, 5, 7])
                self.assertLess(max(self.metrics(output, group + "orthonormality")), 1e-5)
                self.assertLess(max(self.metrics(output, group + "reconstruction_error")), 1e-6)
                self.assertGreater(min(self.metrics(output, group + "energy_kept")), 1 - 1e-6)

    def test_checkpoint_is_an_ordinary_model(self):
        output, _ = self.run_into("out", ranks=3, checkpoint__interval=4, pipeline__split="[1,2,1]")
        with self.checkpoint(output, 0) as start, self.checkpoint(output) as end:
            basis = end["boundary/0/U"][:]
            self.assertEqual(basis.shape, (HIDDEN, RANK))
            np.testing.assert_array_equal(basis, end["boundary/1/U"][:])
            np.testing.assert_allclose(basis.T @ basis, np.eye(RANK), atol=1e-5)
            for name in NAMES:
                share = outside(end[f"parameters/{name}"][:], basis)
                self.assertEqual(share < 1e-5, "layers.3" not in name, name)
            # The whole table is there, and training moved it within the subspace.
            table, moved = (file[f"parameters/{TABLE}"][:] for file in (start, end))
            self.assertGreater(np.std(table), 0.9)
            self.assertGreater(outside(table.T, basis), 0.5)
            self.assertGreater(np.abs(moved - table).max(), 1e-3)
            self.assertLess(outside((moved - table).T, basis), 1e-4)

    def test_emulated_run_is_bitwise_the_same(self):
        for ranks in (2, 3, 4):
            distributed, _ = self.run_into(f"{ranks}", ranks=ranks, codec__grassmann_interval=3)
            emulated, _ = self.run_into(f"{ranks}-emulated", ranks=1, pipeline__emulate_stages=ranks,
                                        codec__grassmann_interval=3)
            for dataset in ("train/loss", "train/gradient_norm"):
                np.testing.assert_array_equal(self.metrics(distributed, dataset), self.metrics(emulated, dataset))

    def test_restart_is_bitwise(self):
        for optimizer in ("adamw", "muon"):
            keys = dict(optimizer__name=optimizer, codec__grassmann_interval=3, checkpoint__interval=4)
            whole, _ = self.run_into(optimizer, ranks=3, **keys)
            again, said = self.run_into(f"{optimizer}-again", "--restart", whole / "checkpoints" / "step_4", ranks=3,
                                        **keys)
            self.assertNotIn("projected", said)
            np.testing.assert_array_equal(self.metrics(whole, "train/loss"), self.metrics(again, "train/loss"))
            with self.checkpoint(whole) as left, self.checkpoint(again) as right:
                for name in ("boundary/0/U", "boundary/1/U", "boundary/1/CU", f"parameters/{TABLE}"):
                    np.testing.assert_array_equal(left[name][:], right[name][:])

    def test_restart_on_other_cuts_projects_what_becomes_confined(self):
        keys = dict(codec__grassmann_interval=3, checkpoint__interval=4)
        halves, _ = self.run_into("halves", ranks=2, run__steps=4, pipeline__split="[2,2]", **keys)
        with self.checkpoint(halves, 4) as file:
            basis = file["boundary/0/U"][:]
        # Another cut in the same place of the last boundary: nothing is new, not even U, which has moved.
        thirds, said = self.run_into("thirds", "--restart", halves / "checkpoints" / "step_4", ranks=3, run__steps=5,
                                     pipeline__split="[1,1,2]", **keys)
        self.assertNotIn("new", said)
        self.assertNotIn("projected", said)
        with self.checkpoint(thirds, 5) as file:
            np.testing.assert_array_equal(file["boundary/0/U"][:], basis)
        later, said = self.run_into("later", "--restart", halves / "checkpoints" / "step_4", ranks=2, run__steps=5,
                                    pipeline__split="[3,1]", **keys)
        self.assertIn("codec ssn confines 2 parameters that were not in its subspace", said)
        self.assertIn("model.layers.2.self_attn.o_proj.weight", said)
        with self.checkpoint(later, 5) as file:
            for name in NAMES:
                share = outside(file[f"parameters/{name}"][:], file["boundary/0/U"][:])
                self.assertEqual(share < 1e-5, "layers.3" not in name, name)

    def test_restart_from_another_codec_or_seed(self):
        plain, _ = self.run_into("plain", run__steps=4, codec__name="none", codec__rank=None)
        _, said = self.run_into("held", "--restart", plain / "checkpoints" / "step_4", run__steps=5)
        self.assertIn("codec ssn confines 5 parameters", said)
        # U and the frozen table are those of the run that began.
        seed, _ = self.run_into("seed", run__steps=4)
        other, said = self.run_into("other", "--restart", seed / "checkpoints" / "step_4", run__steps=5, run__seed=9,
                                    codec__table_deviation=0.1)
        self.assertNotIn("projected", said)
        with self.checkpoint(seed, 4) as left, self.checkpoint(other, 5) as right:
            np.testing.assert_array_equal(left["boundary/0/U"][:], right["boundary/0/U"][:])
            self.assertEqual(right["boundary/0"].attrs["table_seed"], 1)

    def test_bad_decks_are_refused_with_the_reason(self):
        deck = dict(codec__name="ssn", run__steps=1)
        for values, words in (
                (dict(codec__rank=17), ["rank", "17", "16"]), (dict(codec__rank=0), ["rank", "0"]),
                (dict(), ["[codec] rank", "missing"]),
                (dict(codec__rank=4, model__tie_embeddings="true"), ["ssn", "tie_embeddings"]),
                (dict(codec__rank=4, codec__projector="spel"), ["projector", "mapl", "ssn"]),
                (dict(codec__rank=4, codec__name="mapl", codec__grassmann_interval=5), ["grassmann_interval", "ssn"])):
            self.refuse(2, words, *self.sets(**{**deck, **values}))

    def sets(self, **values):
        return super().sets(**{key: value for key, value in values.items() if value is not None})


if __name__ == "__main__":
    unittest.main()
