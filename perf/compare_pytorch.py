#!/usr/bin/python3
"""strait beside PyTorch: the same LLaMA, float32, forward + backward + clipping + AdamW, seconds per step.

    /usr/bin/python3 perf/compare_pytorch.py [--modes small-one-core,small-two-cores,150m] [--rounds 5]

Needs a release build (build/release), python3-torch, python3-h5py and, for PyTorch's faster BLAS,
libopenblas0-openmp. In every round each side runs a few steps in new processes pinned to the same cores, one
side after the other and in the opposite order in the next round; the first steps are dropped. A round gives
one ratio per pair of sides; what counts is the median of the ratios, and their range tells what it is worth.
Random tokens, the same file for both sides. Results are appended to perf/RESULTS.md.

PyTorch runs twice: as modules with autograd, the way a user writes a LLaMA, and ("hand-written") with every
backward pass written out and attention in blocks, which is as fast and small as we could make it.
"""

import argparse
import math
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

import numpy

import side_by_side
from side_by_side import Pytorch, Strait

ROOT = pathlib.Path(__file__).resolve().parent.parent

SMALL = dict(layers=8, hidden=512, heads=8, kv_heads=8, ffn=1408, vocab=4096, context=256, sequences=8)
LARGE = dict(layers=12, hidden=768, heads=12, kv_heads=12, ffn=2048, vocab=32000, context=1024, sequences=8)


class Mode:
    """One comparison: sides[0] is strait; `targets` are the smallest ratios asked of it, by opponent."""

    def __init__(self, shape, deck, steps, dropped, rounds, sides, targets, memory_target=None):
        self.shape, self.deck, self.steps, self.dropped, self.rounds = shape, deck, steps, dropped, rounds
        self.sides, self.targets, self.memory_target = sides, targets, memory_target

    def data_file(self, folder):
        return folder / (pathlib.Path(self.deck).stem + ".bin")


# "hand-written": every backward pass written out, attention in blocks: more than a user of PyTorch would write.
MODES = {
    "small-one-core": Mode(
        SMALL, "perf/compare_small.toml", steps=6, dropped=2, rounds=5,
        sides=[
            Strait("strait, one rank", cores=[0], overrides=["training.micro_batch=2"]),
            Pytorch("PyTorch, one thread", cores=[0], autograd=True),
            Pytorch("PyTorch, one thread, hand-written", cores=[0]),
        ],
        targets={"PyTorch, one thread": 1.10, "PyTorch, one thread, hand-written": 1.10},
    ),
    "small-two-cores": Mode(
        SMALL, "perf/compare_small.toml", steps=6, dropped=2, rounds=5,
        sides=[
            Strait("strait, 2-stage 1F1B", cores=[0, 1]),
            Pytorch("PyTorch, 2-stage 1F1B over gloo", cores=[0, 1], pipeline=True, micro_batches=8, autograd=True),
            Pytorch("PyTorch, 2-stage 1F1B, hand-written", cores=[0, 1], pipeline=True, micro_batches=8),
            Pytorch("PyTorch, two threads", cores=[0, 1], autograd=True),
            Pytorch("PyTorch, two threads, hand-written", cores=[0, 1]),
        ],
        targets={
            "PyTorch, 2-stage 1F1B over gloo": 1.15, "PyTorch, 2-stage 1F1B, hand-written": 1.15,
            "PyTorch, two threads": 0.95, "PyTorch, two threads, hand-written": 0.95,
        },
    ),
    "150m": Mode(
        LARGE, "perf/compare_150m.toml", steps=3, dropped=1, rounds=3,
        sides=[
            Strait("strait, 2-stage 1F1B", cores=[0, 1]),
            Pytorch("PyTorch, two threads", cores=[0, 1], micro_batches=8, autograd=True),
            Pytorch("PyTorch, two threads, hand-written", cores=[0, 1], micro_batches=8),
        ],
        targets={"PyTorch, two threads": 1.2, "PyTorch, two threads, hand-written": 1.2}, memory_target=0.6,
    ),
}  # fmt: skip


def write_tokens(path, shape, steps):
    """Uniform random tokens as nanoGPT .bin: enough for every step without wrapping."""
    count = shape["sequences"] * shape["context"] * steps + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    numpy.random.default_rng(1).integers(0, shape["vocab"], count, dtype=numpy.uint16).tofile(path)


def check_first_loss(side, block, shape):
    """Untrained on random tokens, the loss is a little more than ln(vocab) on either side."""
    expected = math.log(shape["vocab"])
    if not expected - 0.05 < block.first_loss < expected + 0.5:
        sys.exit(f"{side.name}: first loss {block.first_loss:.4f}, expected about ln(vocab) = {expected:.4f}")


def measure(mode, options):
    """Blocks by side name, one per round, sides in turn."""
    steps, dropped = options.steps or mode.steps, mode.dropped
    data = mode.data_file(options.work)
    write_tokens(data, mode.shape, steps)
    blocks = {side.name: [] for side in mode.sides}
    for number in range(options.rounds or mode.rounds):
        for side in mode.sides if number % 2 == 0 else reversed(mode.sides):
            block = side.run(mode, data, steps, dropped, options)
            check_first_loss(side, block, mode.shape)
            blocks[side.name].append(block)
            print(
                f"  round {number + 1}  {side.name:34s} {block.seconds:7.3f} s/step  cores busy {block.busy:4.2f}"
                f"  peak memory {block.peak_bytes / 1e9:5.2f} GB  first loss {block.first_loss:.4f}"
                + (f"  (others used {block.foreign:.2f} cores)" if block.foreign > 0.03 else ""),
                flush=True,
            )
    return blocks


def spread(values, digits=3):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def report(name, mode, blocks):
    """Markdown of one mode: a table of the sides and one of the ratios."""
    shape = mode.shape
    tokens = shape["sequences"] * shape["context"]
    lines = [
        f"### {name}: {shape['layers']} layers, hidden {shape['hidden']}, {shape['heads']} heads, ffn {shape['ffn']}, "
        f"vocab {shape['vocab']}, context {shape['context']}, {shape['sequences']} sequences per step",
        "",
        "| side | seconds per step | tokens/s | cores busy | peak memory of all processes | first loss |",
        "|---|---|---|---|---|---|",
    ]
    for side in mode.sides:
        own = blocks[side.name]
        seconds = [block.seconds for block in own]
        lines.append(
            f"| {side.name} | {spread(seconds)} | {tokens / statistics.median(seconds):.0f} "
            f"| {statistics.median(b.busy for b in own):.2f} of {len(side.cores)} "
            f"| {statistics.median(b.peak_bytes for b in own) / 1e9:.2f} GB | {own[0].first_loss:.4f} |"
        )
    lines += ["", "| strait against | speed ratio, round by round | asked for |", "|---|---|---|"]
    ours = blocks[mode.sides[0].name]
    for side in mode.sides[1:]:
        ratios = [theirs.seconds / own.seconds for own, theirs in zip(ours, blocks[side.name])]
        lines.append(f"| {side.name} | {spread(ratios, 2)} | at least {mode.targets[side.name]} |")
        if mode.memory_target:
            ratios = [own.peak_bytes / theirs.peak_bytes for own, theirs in zip(ours, blocks[side.name])]
            lines.append(f"| {side.name}, peak memory | {spread(ratios, 2)} | at most {mode.memory_target} |")
    foreign = [block.foreign for own in blocks.values() for block in own]
    if max(foreign) > 0.03:
        lines += ["", f"Other processes used {spread(foreign, 2)} cores meanwhile."]
    return "\n".join(lines) + "\n"


def heading(arguments):
    def output(*command):
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()

    command = shlex.join(["/usr/bin/python3", "perf/compare_pytorch.py", *arguments])
    return (
        f"## {time.strftime('%Y-%m-%d %H:%M')}, {side_by_side.processor_name()}, "
        f"strait {output('git', 'describe', '--always', '--dirty')}\n\n"
        f"`{command}`; PyTorch {side_by_side.pytorch_version()} on {side_by_side.pytorch_blas()}.\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", default=",".join(MODES), help="comma-separated; default: all")
    parser.add_argument("--rounds", type=int, help="default: 5, for 150m 3")
    parser.add_argument("--steps", type=int, help="per block; default: 6, for 150m 3")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/perf"), help="tokens and output")
    parser.add_argument("--set", action="append", default=[], help="passed on to strait, e.g. training.micro_batch=8")
    parser.add_argument("--only", help="run only sides whose name contains this; nothing is recorded")
    parser.add_argument("--no-record", action="store_true", help="leave perf/RESULTS.md as it is")
    options = parser.parse_args()
    options.build, options.work = (path.absolute() for path in (options.build, options.work))
    text = []
    for name in options.modes.split(","):
        if name not in MODES:
            parser.error(f"no mode {name}; there are {', '.join(MODES)}")
        mode = MODES[name]
        if options.only:
            mode.sides = [side for side in mode.sides if options.only in side.name]
        print(f"{name}:", flush=True)
        blocks = measure(mode, options)
        if not options.only:
            text.append(report(name, mode, blocks))
            print("\n" + text[-1], flush=True)
    if text and not options.no_record:
        results = ROOT / "perf" / "RESULTS.md"
        old = results.read_text() if results.exists() else "# strait beside PyTorch\n"
        results.write_text("\n".join([old, heading(sys.argv[1:]), *text]))
        print(f"appended to {results.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
