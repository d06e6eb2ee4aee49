"""What checkpoints hold."""
import h5py
import numpy as np


def saved_arrays(output, step=None, groups=("/",)):
    """The datasets below these groups of a model file, by path; of the checkpoint after `step` steps, or the latest.

    A group that is not there holds none.
    """
    checkpoints = output / "checkpoints"
    name = f"step_{step}" if step is not None else (checkpoints / "latest").read_text().strip()
    values = {}

    def keep(_, item):
        if isinstance(item, h5py.Dataset):
            values[item.name.lstrip("/")] = item[()]

    with h5py.File(checkpoints / name / "model.h5", "r") as file:
        for group in groups:
            if group in file:
                file[group].visititems(keep)
    return values


def assert_same_arrays(test, left, right):
    """The same paths, and bit for bit the same values."""
    test.assertEqual(left.keys(), right.keys())
    for path in left:
        np.testing.assert_array_equal(left[path], right[path], err_msg=path)
