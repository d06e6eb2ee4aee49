"""Bad input: one clear line from one rank, the documented exit code, all ranks gone, nothing lost."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import DECK, EXECUTABLE, StraitTestCase  # noqa: E402

DECK_ERROR, ENVIRONMENT, IO, NUMERICAL, STOPPED = 2, 3, 4, 5, 75


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

    def test_sample_of_more_ids_than_the_model_has(self):
        self.refuse(DECK_ERROR, ["sample_tokens", "257", "64"], *self.sets(output__sample_tokens=5))

    def test_delay_compensation_of_fresh_gradients(self):
        self.refuse(DECK_ERROR, ["delay_compensation", "0.04", "1f1b"],
                    *self.sets(optimizer__delay_compensation=0.04, pipeline__schedule="1f1b"))

    def test_delay_compensation_without_earlier_weights(self):
        self.refuse(DECK_ERROR, ["delay_compensation", "weight_versions", "none"],
                    *self.sets(optimizer__delay_compensation=0.04, pipeline__schedule="pipedream",
                               pipeline__weight_versions="none"))

    def test_refresh_of_other_stages(self):
        self.refuse(DECK_ERROR, ["stage_refresh", "3", "2"],
                    *self.sets(optimizer__name="basis-rotation", optimizer__stage_refresh="[4,4,4]"))

    def test_split_that_does_not_add_up(self):
        self.refuse(DECK_ERROR, ["split", "3"], *self.sets(pipeline__split="[1,1]"))


class BadEnvironment(StraitTestCase):
    def test_more_memory_than_there_is(self):
        options = f"detect_leaks=0:allocator_may_return_null=1:log_path={self.folder}/sanitizer"  # not on stderr
        environment = {**os.environ, "ASAN_OPTIONS": options}
        # More than any address space holds.
        self.refuse(ENVIRONMENT, ["memory"], *self.sets(model__hidden=1_000_000, model__ffn_hidden=2_000_000_000),
                    ranks=1, env=environment)

    def test_console_on_a_full_disk(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run(self.command("--print-deck", ranks=1), stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, IO, result.stderr)
        self.assertIn("space", result.stderr)

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

    def test_damaged_tokenizer(self):
        text, tokenizer = self.folder / "train.txt", self.folder / "tokenizer.json"
        text.write_text("some text")
        tokenizer.write_text('{"model": ')
        self.refuse(IO, ["tokenizer.json", "damaged"], *self.sets(
            data__train=json.dumps([str(text)]), data__format="text", data__tokenizer=tokenizer))

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

    def test_no_codec_hides_a_loss_that_is_not_finite(self):
        for keys in (dict(codec__name="int8"), dict(codec__name="int4"), dict(codec__name="int2"),
                     dict(codec__name="topk", codec__k=1), dict(codec__name="mapl", codec__rank=4)):
            with self.subTest(**keys):
                self.refuse(NUMERICAL, ["finite", "step"], "--output", self.folder / keys["codec__name"],
                            *self.sets(**keys, optimizer__learning_rate="1e30", optimizer__clip=0, run__steps=50))


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


class EveryRank(StraitTestCase):
    """The launcher reports one code; here each rank's own is written down."""

    def codes(self, *arguments):
        file = self.folder / "codes"
        keep = ["sh", "-c", f'"$@"; echo $? >> {file}', "sh"]
        command = self.command(*arguments)
        at = command.index(EXECUTABLE)
        subprocess.run(command[:at] + keep + command[at:], capture_output=True, timeout=60)
        return [int(word) for word in file.read_text().split()]

    def test_success(self):
        self.assertEqual(self.codes(), [0, 0])

    def test_bad_deck(self):
        self.assertEqual(self.codes(*self.sets(model__heads=3)), [DECK_ERROR] * 2)

    def test_wrong_number_of_ranks(self):
        self.assertEqual(self.codes(*self.sets(pipeline__stages=3)), [ENVIRONMENT] * 2)

    def test_missing_data(self):
        (self.folder / "train.bin").unlink()
        self.assertEqual(self.codes(), [IO] * 2)

    def test_bad_token_in_the_middle_of_a_run(self):
        tokens = [1] * 3999 + [999]
        (self.folder / "train.bin").write_bytes(struct.pack("<4000H", *tokens))
        self.assertEqual(self.codes(*self.sets(run__steps=100)), [IO] * 2)

    def test_numbers_that_are_not_finite(self):
        overflow = self.sets(optimizer__learning_rate="1e30", optimizer__clip=0, run__steps=50)
        self.assertEqual(self.codes(*overflow), [NUMERICAL] * 2)

    def test_time_limit(self):
        self.assertEqual(self.codes(*self.sets(run__steps=1000000, run__time_limit=0.5)), [STOPPED] * 2)


@unittest.skipUnless(os.environ["STRAIT_BACKEND"] == "CUDA", "computes on hosts")
class MissingDevice(StraitTestCase):
    """CUDA_VISIBLE_DEVICES hides what GPUs there are."""
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}

    def test_one_line_and_no_traceback(self):
        for ranks in (1, 2):
            self.refuse(ENVIRONMENT, ["rank 0", "GPU", "CUDA"], ranks=ranks, env=self.hidden)


@unittest.skipUnless(os.geteuid() == 0, "mounting a small tmpfs needs root")
class FullDisk(StraitTestCase):
    def small_disk(self, size):
        """Makes the output folder a disk of `size` bytes."""
        self.output.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(size) // 4096 * 4096}", "tmpfs",
                                str(self.output)], capture_output=True, text=True)
        if mount.returncode != 0:
            self.skipTest("no tmpfs can be mounted here: " + mount.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", str(self.output)], check=True)

    def sizes_of_one_step(self):
        elsewhere = self.folder / "elsewhere"
        self.succeed("--output", elsewhere, *self.sets(run__steps=1))
        everything = sum(f.stat().st_size for f in elsewhere.rglob("*") if f.is_file())
        return everything, (elsewhere / "metrics.h5").stat().st_size

    def test_full_disk_while_checkpointing(self):
        # Room for the metrics and about two checkpoints: the third or fourth meets the full disk.
        self.small_disk(2.5 * self.sizes_of_one_step()[0])
        self.refuse(IO, ["space"], *self.sets(run__steps=40, checkpoint__interval=1, checkpoint__keep=50))
        checkpoints = self.output / "checkpoints"
        steps = sorted(int(path.name.removeprefix("step_")) for path in checkpoints.glob("step_*"))
        self.assertTrue(steps, "an earlier checkpoint must have survived")
        self.assertEqual((checkpoints / "latest").read_text().strip(), f"step_{steps[-1]}")
        self.assertEqual(list(checkpoints.glob(".*")), [], "nothing is left of the one that failed")
        # The disk has no room for a restart.
        self.succeed("--output", self.folder / "again", "--restart", checkpoints / f"step_{steps[-1]}",
                     *self.sets(run__steps=steps[-1] + 1))

    def test_full_disk_while_writing_metrics(self):
        # Each column grows by a chunk after 512 steps.
        self.small_disk(self.sizes_of_one_step()[1] + 32768)
        quick = self.sets(run__steps=100000, training__validation_interval=0, output__log_interval=100)
        self.refuse(IO, ["metrics.h5", "space"], *quick, seconds=120, timeout=120)


if __name__ == "__main__":
    unittest.main()
