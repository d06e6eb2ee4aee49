"""What --dry-run says of a run is what the run then reports."""
import pathlib
import re
import sys
import unittest

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase  # noqa: E402

PREFIX = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


class DryRun(StraitTestCase):
    def planned(self, *arguments, ranks):
        """Bytes of each stage, to the digits that are printed."""
        said = self.succeed("--dry-run", *arguments, ranks=ranks).stdout
        found = re.findall(r"^stage +\d+ .* in flight, ([\d.]+) (\w+)$", said, re.MULTILINE)
        self.assertEqual(len(found), ranks, said)
        return [(number, PREFIX[unit]) for number, unit in found]

    def test_memory_is_what_the_stages_hold(self):
        mapl = dict(codec__name="mapl", codec__rank=4)
        for name, values in (("none", {}), ("tied", dict(model__tie_embeddings="true")), ("mapl", mapl),
                             ("tied-mapl", dict(model__tie_embeddings="true", **mapl)),
                             ("bfloat16", dict(training__precision="bfloat16", **mapl))):
            with self.subTest(name):
                arguments = ["--output", self.folder / name, *self.sets(**values)]
                planned = self.planned(*arguments, ranks=2)
                self.succeed(*arguments, ranks=2)
                with h5py.File(self.folder / name / "metrics.h5", "r") as file:
                    for stage, (number, unit) in enumerate(planned):
                        memory = set(file[f"stage/{stage}/memory_bytes"][:])
                        self.assertEqual(len(memory), 1, "nothing is allocated later")
                        digits = len(number.partition(".")[2])
                        self.assertEqual(f"{memory.pop() / unit:.{digits}f}", number)
                        self.assertGreater(min(file[f"stage/{stage}/resident_bytes"][:]), 1e6)


if __name__ == "__main__":
    unittest.main()
