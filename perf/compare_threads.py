#!/usr/bin/python3
"""One rank with two threads beside two ranks of one thread each, and beside one thread.

    /usr/bin/python3 perf/compare_threads.py --openmp-build build/openmp [--modes small,150m] [--rounds 3]

Seconds per step of strait's own ways to use two cores, on the decks and with the method of compare_pytorch.py:
in every round each side runs a few steps in new processes pinned to the same cores, in the opposite order in the
next round. Needs a release build too (build/release), of the Serial back end. Nothing is recorded.
"""

import argparse
import pathlib

import side_by_side
from compare_pytorch import LARGE, SMALL, Mode, measure, spread
from side_by_side import Strait

ONE, TWO, PIPELINE, REPLICAS = "one thread", "one rank, two threads", "two ranks, 1F1B", "two ranks, replicas"
SIDES = [
    Strait(ONE, cores=[0]),
    Strait("one thread of OpenMP", cores=[0], threads=1),
    Strait(TWO, cores=[0, 1], threads=2),
    Strait(PIPELINE, cores=[0, 1]),
    Strait(REPLICAS, cores=[0, 1], overrides=["pipeline.stages=1", "pipeline.replicas=2"]),
]
MODES = {
    "small": Mode(SMALL, "perf/compare_small.toml", steps=5, dropped=2, rounds=3, sides=SIDES),
    "150m": Mode(LARGE, "perf/compare_150m.toml", steps=2, dropped=1, rounds=2, sides=SIDES),
}


def table(blocks):
    others = [ONE, PIPELINE, REPLICAS]
    lines = [f"| side | seconds per step | cores busy | peak memory | {' | '.join(f'speed, of {o}' for o in others)} |",
             "|---|---|---|---|" + "---|" * len(others)]  # fmt: skip
    for side in SIDES:
        own = blocks[side.name]
        ratios = [spread([b.seconds / a.seconds for a, b in zip(own, blocks[other])], 2) for other in others]
        busy = min(block.busy for block in own)
        lines.append(
            f"| {side.name} | {spread([block.seconds for block in own])} | {busy:.2f} of {len(side.cores)} "
            f"| {max(block.peak_bytes for block in own) / 1e9:.2f} GB | {' | '.join(ratios)} |"
        )
    foreign = [block.foreign for own in blocks.values() for block in own]
    return "\n".join([*lines, "", f"Other processes used {spread(foreign, 2)} cores meanwhile."])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", default=",".join(MODES), help="comma-separated")
    parser.add_argument("--rounds", type=int, help="default: 3, for 150m 2")
    parser.add_argument("--steps", type=int, help="per block; default: 5, for 150m 2")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--openmp-build", type=pathlib.Path, required=True)
    parser.add_argument("--python", default=side_by_side.PYTHON, help="with PyTorch, which times a large product")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/perf"), help="tokens and output")
    parser.add_argument("--set", action="append", default=[], help="passed on to strait, e.g. training.micro_batch=2")
    options = parser.parse_args()
    for name in ("build", "openmp_build", "work"):
        setattr(options, name, getattr(options, name).absolute())
    for name in options.modes.split(","):
        print(f"{name}:", flush=True)
        print("\n" + table(measure(MODES[name], options)[0]) + "\n", flush=True)


if __name__ == "__main__":
    main()
