"""Training over an MPI that flips a bit of a message's codewords: the run must notice and end with its exit code."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase  # noqa: E402

NUMERICAL = 5
RANK, ROUNDS, INTERVAL = 8, 2, 3
CODEC = dict(codec__name="mapl", codec__rank=RANK, codec__projector_interval=100, codec__rvq__groups=2,
             codec__rvq__rounds=ROUNDS, codec__rvq__codewords=12, codec__rvq__checksum_interval=INTERVAL,
             run__steps=8, training__validation_interval=0,
             network__gpu_aware="off")  # the test at start sends too
CHECKSUM = 8  # bytes in front of the codewords of the first message


class DamagedCodebook(StraitTestCase):
    EXECUTABLE = os.environ["STRAIT_DAMAGED_EXECUTABLE"]

    def damage(self, rank, send, byte):
        return dict(os.environ, STRAIT_DAMAGE=f"{rank},{send},{byte}")

    def test_a_flipped_bit_ends_the_run_at_the_next_comparison(self):
        # A step has two micro-batches and no other sends: the fourth message is of step 1, then step 3 compares.
        for send, byte, step in ((0, CHECKSUM + 41, 0), (3, 9, INTERVAL), (11, 0, 2 * INTERVAL)):
            with self.subTest(send=send):
                self.refuse(NUMERICAL, ["boundary 0", "codebooks of the activations", f"step {step}"],
                            "--output", self.folder / str(send), *self.sets(**CODEC), env=self.damage(0, send, byte))

    def test_in_the_codebook_of_the_gradients_too(self):
        self.refuse(NUMERICAL, ["boundary 0", "codebooks of the gradients", f"step {INTERVAL}"],
                    *self.sets(**CODEC, codec__rvq__backward="rvq"), env=self.damage(1, 3, 9))

    def test_a_run_without_damage_ends_well(self):
        self.succeed(*self.sets(**CODEC), env=self.damage(0, 1000, 0))


if __name__ == "__main__":
    unittest.main()
