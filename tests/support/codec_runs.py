"""Short runs with one codec, and what they leave behind."""
import h5py

from strait_process import StraitTestCase


class CodecTestCase(StraitTestCase):
    """CODEC holds the values of the deck that a class changes for all its runs, STEPS their length."""

    CODEC = {}
    STEPS = 0

    def run_into(self, name, *arguments, ranks=2, **values):
        output = self.folder / name
        result = self.succeed("--output", output, *arguments,
                              *self.sets(**{"run__steps": self.STEPS, **self.CODEC, **values}), ranks=ranks)
        return output, result.stdout

    def metrics(self, output, path):
        with h5py.File(output / "metrics.h5", "r") as file:
            return file[path][:]

    def checkpoint(self, output, step=None):
        step = self.STEPS if step is None else step
        return h5py.File(output / "checkpoints" / f"step_{step}" / "model.h5", "r")
