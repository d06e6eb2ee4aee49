#!/usr/bin/python3
"""Moving averages of codewords in numpy, float64: writes the golden file that
tests/codec/codeword_average_test.cpp compares with.

    /usr/bin/python3 tests/reference/codeword_twin.py [FOLDER]

EnCodec's update (arXiv 2210.13438) with Laplace smoothing, for two residual rounds of three groups; the second
update sees no token in the second round.
"""
import pathlib
import sys

import h5py
import numpy as np

TOKENS, GROUPS, CODEWORDS, WIDTH, ROUNDS, UPDATES = 200, 3, 7, 5, 2, 4
DECAY, EPSILON = 0.9, 1e-5


def main(folder):
    random = np.random.default_rng(5)
    x = random.standard_normal((UPDATES, TOKENS, GROUPS, WIDTH)).astype(np.float32).astype(float)
    codewords = random.standard_normal((ROUNDS, GROUPS, CODEWORDS, WIDTH)).astype(np.float32).astype(float)
    start = codewords.copy()
    counts = np.full((ROUNDS, GROUPS, CODEWORDS), TOKENS / CODEWORDS)
    sums = counts[..., None] * codewords
    indices = np.zeros((UPDATES, ROUNDS, GROUPS, TOKENS), np.int32)
    for update in range(UPDATES):
        seen_counts, seen_sums = np.zeros_like(counts), np.zeros_like(sums)
        used = 1 if update == 1 else ROUNDS
        for group in range(GROUPS):
            residual = x[update, :, group]
            for r in range(used):
                distances = np.sum((residual[:, None] - codewords[r, group]) ** 2, axis=-1)
                nearest = np.argmin(distances, axis=-1)
                indices[update, r, group] = nearest
                np.add.at(seen_counts[r, group], nearest, 1.0)
                np.add.at(seen_sums[r, group], nearest, residual)
                residual = residual - codewords[r, group, nearest]
        counts[:used] = DECAY * counts[:used] + (1 - DECAY) * seen_counts[:used]
        sums[:used] = DECAY * sums[:used] + (1 - DECAY) * seen_sums[:used]
        total = counts.sum(axis=-1, keepdims=True)
        smoothed = (counts + EPSILON) / (total + CODEWORDS * EPSILON) * total
        codewords[:used] = (sums / smoothed[..., None])[:used]

    with h5py.File(folder / "codewords.h5", "w", libver="latest") as out:
        for name, value in dict(tokens=TOKENS, groups=GROUPS, codewords=CODEWORDS, width=WIDTH, rounds=ROUNDS,
                                updates=UPDATES, decay=DECAY, epsilon=EPSILON).items():
            out.attrs[name] = value
        rows = ROUNDS * GROUPS * CODEWORDS
        out["x"] = x.reshape(UPDATES * TOKENS, GROUPS * WIDTH)
        out["start"] = start.reshape(rows, WIDTH)
        out["indices"] = indices
        out["counts"] = counts.reshape(rows)
        out["sums"] = sums.reshape(rows, WIDTH)
        out["updated"] = codewords.reshape(rows, WIDTH)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden"))
