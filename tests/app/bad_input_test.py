"""Bad input: one clear line from one rank, the documented exit code, all ranks gone, nothing lost."""
import os
import pathlib
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import DECK, StraitTestCase  # noqa: E402

DECK_ERROR, ENVIRONMENT, IO, NUMERICAL = 2, 3, 4, 5


class BadDeck(StraitTestCase):
    def refuse_deck(self, old, new, words, code=DECK_ERROR, ranks=2):
        self.assertIn(old, DECK)
        deck = self.deck(stages=ranks, text=DECK.replace(old, new))
        line = self.refuse(code, words, deck=deck, ranks=ranks)
        self.assertFalse(self.output.exists(), "a refused deck must leave no output")
        return line

    def test_unknown_key_names_the_place_and_the_nearest_key(self):
        line = self.refuse_deck("hidden = 16", "hiden = 16", ["deck.toml", "hiden", "hidden"])
        number = DECK.splitlines().index("hidden = 16") + 1
        self.assertIn(f"deck.toml:{number}:1", line)

    def test_unknown_table(self):
        self.refuse_deck("[training]", "[trainning]", ["trainning", "training"])

    def test_wrong_type(self):
        self.refuse_deck("layers = 3", 'layers = "three"', ["deck.toml:6:", "layers", "integer"])

    def test_missing_key(self):
        self.refuse_deck("vocab = 64\n", "", ["[model]", "vocab"])

    def test_syntax_error(self):
        self.refuse_deck("layers = 3", "layers = = 3", ["deck.toml:6:"])

    def test_heads_must_divide_hidden(self):
        self.refuse_deck("heads = 2", "heads = 3", ["heads", "16"])

    def test_micro_batch_must_divide_the_step(self):
        self.refuse_deck("micro_batch = 2", "micro_batch = 3", ["micro_batch", "4"])

    def test_unknown_override(self):
        self.refuse(DECK_ERROR, ["run.stepps", "steps"], *self.sets(run__stepps=3))

    def test_missing_deck(self):
        self.refuse(DECK_ERROR, ["nowhere.toml"], deck=self.folder / "nowhere.toml")

    def test_unknown_option(self):
        self.refuse(DECK_ERROR, ["--fast"], "--fast")

    def test_more_stages_than_layers(self):
        self.refuse(DECK_ERROR, ["stages", "4"], ranks=4)

    def test_split_that_does_not_add_up(self):
        self.refuse(DECK_ERROR, ["split", "3"], *self.sets(pipeline__split="[1,1]"))


class BadEnvironment(StraitTestCase):
    def test_wrong_number_of_ranks(self):
        self.refuse(ENVIRONMENT, ["2", "3"], ranks=3, deck=self.deck(stages=2))

    def test_output_folder_that_cannot_be_written(self):
        blocked = self.folder / "file"
        blocked.write_text("not a folder")
        self.refuse(IO, ["file"], "--output", blocked / "out")


class BadData(StraitTestCase):
    def test_missing_token_file(self):
        (self.folder / "train.bin").unlink()
        self.refuse(IO, ["train.bin"])

    def test_empty_token_file(self):
        (self.folder / "train.bin").write_bytes(b"")
        self.refuse(IO, ["train.bin"])

    def test_truncated_token_file(self):
        header = struct.pack("<256i", 20240520, 1, 4000, *[0] * 253)
        (self.folder / "train.bin").write_bytes(header + bytes(2 * 1000))
        self.refuse(IO, ["train.bin", "4000"], *self.sets(data__format="llmc"))

    def test_token_beyond_the_vocabulary(self):
        # Every window holds such a token, so the first batch meets it.
        tokens = [999 if i % 8 == 3 else 1 for i in range(4000)]
        (self.folder / "train.bin").write_bytes(struct.pack("<4000H", *tokens))
        self.refuse(IO, ["train.bin", "999", "64"])


class BadNumbers(StraitTestCase):
    def test_non_finite_loss_keeps_earlier_checkpoints(self):
        self.refuse(NUMERICAL, ["finite", "step"],
                    *self.sets(optimizer__learning_rate="1e30", optimizer__clip=0, run__steps=50, checkpoint__interval=1))
        latest = (self.output / "checkpoints" / "latest").read_text().strip()
        self.assertTrue((self.output / "checkpoints" / latest / "model.h5").is_file())


class BadCheckpoint(StraitTestCase):
    def setUp(self):
        super().setUp()
        self.succeed(*self.sets(run__steps=4, checkpoint__interval=2))
        self.checkpoints = self.output / "checkpoints"
        self.assertEqual((self.checkpoints / "latest").read_text().strip(), "step_4")

    def damage(self, step, change):
        path = self.checkpoints / f"step_{step}" / "model.h5"
        data = bytearray(path.read_bytes())
        path.write_bytes(change(data))

    def flip(self, data):
        data[len(data) // 2] ^= 16
        return data

    def test_explicit_restart_from_a_flipped_bit(self):
        self.damage(4, self.flip)
        self.refuse(IO, ["step_4", "model.h5"], "--restart", self.checkpoints / "step_4", *self.sets(run__steps=6))

    def test_latest_skips_a_truncated_checkpoint_with_a_warning(self):
        self.damage(4, lambda data: data[: len(data) // 2])
        result = self.succeed("--restart", "latest", *self.sets(run__steps=6, checkpoint__interval=2))
        self.assertIn("step_4", result.stderr)
        self.assertIn("step_2", result.stdout)

    def test_latest_with_nothing_good(self):
        for folder in self.checkpoints.glob("step_*"):
            self.damage(folder.name.removeprefix("step_"), self.flip)
        self.refuse(IO, ["checkpoint"], "--restart", "latest", *self.sets(run__steps=6))

    def test_restart_with_another_model(self):
        self.refuse(IO, ["shape"], "--restart", "latest", *self.sets(run__steps=6, model__ffn_hidden=48))


@unittest.skipUnless(os.geteuid() == 0, "mounting a small tmpfs needs root")
class FullDisk(StraitTestCase):
    def test_full_disk_while_checkpointing(self):
        # Room for the metrics and about two checkpoints: the third or fourth meets the full disk.
        self.output.mkdir()
        self.succeed(*self.sets(run__steps=1))
        size = sum(f.stat().st_size for f in self.output.rglob("*") if f.is_file())
        for path in sorted(self.output.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(size * 2.5) // 4096 * 4096}", "tmpfs",
                                str(self.output)], capture_output=True, text=True)
        if mount.returncode != 0:
            self.skipTest("no tmpfs can be mounted here: " + mount.stderr.strip())
        try:
            self.refuse(IO, ["space"], *self.sets(run__steps=40, checkpoint__interval=1, checkpoint__keep=50))
            steps = sorted(int(p.name.removeprefix("step_")) for p in (self.output / "checkpoints").glob("step_*"))
            self.assertTrue(steps, "an earlier checkpoint must have survived")
            result = self.succeed("--restart", "latest", *self.sets(run__steps=steps[-1]))
            self.assertIn(f"step_{steps[-1]}", result.stdout)
        finally:
            subprocess.run(["umount", str(self.output)], check=True)


if __name__ == "__main__":
    unittest.main()
