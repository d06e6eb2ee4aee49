"""strait profile: a file of measurements, for the deck's model and nothing trained."""
import pathlib
import subprocess
import sys
import unittest

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import EXECUTABLE, StraitTestCase  # noqa: E402

DECK_ERROR, IO = 2, 4


class Profile(StraitTestCase):
    def command(self, *arguments, **options):
        command = super().command(*arguments, **options)
        command.insert(command.index(EXECUTABLE) + 1, "profile")
        return command

    def profile(self, *arguments, ranks=1):
        """The file's numbers by path, and its attributes."""
        path = self.folder / "p.h5"
        self.succeed("--output", path, *arguments, ranks=ranks)
        with h5py.File(path) as file:
            numbers = {}
            file.visititems(lambda name, item: numbers.update({name: item[:]})
                            if isinstance(item, h5py.Dataset) else None)
            return numbers, dict(file.attrs)

    def test_layers_have_times_and_bytes(self):
        numbers, attributes = self.profile()
        self.assertEqual([name.decode() for name in numbers["layer/name"]],
                         ["model.embed_tokens", *(f"model.layers.{i}" for i in range(3)), "lm_head"])
        # hidden 16, ffn 32, vocab 64: table; four projections, three matrices of the ffn, two gains; head and gain
        weights = [4 * n for n in (64 * 16, *[4 * 16 * 16 + 3 * 16 * 32 + 2 * 16] * 3, 64 * 16 + 16)]
        self.assertEqual(list(numbers["layer/parameter_bytes"]), weights)
        self.assertEqual(list(numbers["layer/state_bytes"]), [3 * n for n in weights])  # gradient, AdamW's moments
        self.assertEqual(list(numbers["layer/output_bytes"]), [4 * 2 * 16 * 16] * 4 + [0])
        for name in ("forward", "backward_input", "backward_weight", "update"):
            median, low, high = numbers[f"layer/{name}"].T
            self.assertTrue((low <= median).all() and (median <= high).all(), name)
            self.assertTrue((median[1:-1] > 0).all(), name)
        self.assertEqual(attributes["format"], "strait-profile")
        self.assertEqual((attributes["sequences"], attributes["tokens"], attributes["blocks_measured"]), (2, 32, 3))
        self.assertIn("hidden 16", attributes["model"])
        self.assertEqual(list(numbers["link/bandwidth"]), [0], "one rank has no link")
        self.assertFalse(self.output.exists(), "nothing is trained")

    def test_a_boundary_has_the_bytes_of_a_run_and_ranks_have_a_link(self):
        codec = self.sets(codec__name="mapl", codec__rank=4, codec__projector_interval=1)
        numbers, _ = self.profile(*codec, ranks=2)
        run = self.command(*codec, "--output", self.folder / "run", ranks=2)
        run.remove("profile")
        subprocess.run(run, check=True, capture_output=True)
        with h5py.File(self.folder / "run/metrics.h5") as file:
            boundary = file["boundary/0"]
            micro_batches = 2
            self.assertEqual(numbers["boundary/bytes_forward"][0] * micro_batches, boundary["bytes_forward"][-1])
            self.assertEqual(numbers["boundary/bytes_backward"][0] * micro_batches, boundary["bytes_backward"][-1])
            self.assertEqual(numbers["boundary/bytes_sync_up"][0] + numbers["boundary/bytes_sync_down"][0],
                             boundary["bytes_sync"][-1])
        for name in ("encode", "decode", "encode_gradient", "decode_gradient", "update"):
            self.assertGreater(numbers[f"boundary/{name}"][0, 0], 0, name)
        self.assertGreater(numbers["link/bandwidth"][0], 1e6)
        self.assertGreater(numbers["link/bandwidth_both"][0], 1e6)

    def test_without_output_it_lies_in_the_output_folder(self):
        self.succeed(ranks=1)
        self.assertTrue((self.output / "profile.h5").exists())

    def test_a_file_that_cannot_be_written_is_refused(self):
        self.refuse(IO, ["/proc/nowhere"], "--output", "/proc/nowhere/p.h5", ranks=1)

    def test_options_of_training_are_refused(self):
        self.refuse(DECK_ERROR, ["--dry-run"], "--dry-run", ranks=1)

    def test_bad_arguments_are_refused(self):
        self.refuse(DECK_ERROR, ["--seconds"], "--seconds", "0", ranks=1)
        self.refuse(DECK_ERROR, ["stages", "9"], *self.sets(pipeline__stages=9), ranks=2)


if __name__ == "__main__":
    unittest.main()
