#!/usr/bin/python3
"""strait beside PyTorch: the same LLaMA, forward + backward + clipping + AdamW, seconds per step.

    /usr/bin/python3 perf/compare_pytorch.py [--modes small-one-core,small-two-cores,150m] [--rounds 5]
    python3 perf/compare_pytorch.py --modes cuda-150m,cuda-1b --build build/cuda --python python3

Needs a release build (build/release), python3-torch, python3-h5py and, for PyTorch's faster BLAS,
libopenblas0-openmp. In every round each side runs a few steps in new processes pinned to the same cores, one
side after the other and in the opposite order in the next round; the first steps are dropped. A round gives
one ratio per pair of sides; what counts is the median of the ratios, and their range tells what it is worth.
Random tokens, the same file for both sides. Results are appended to perf/RESULTS.md.

PyTorch runs as modules with autograd, the way a user writes a LLaMA; on CPUs also ("hand-written") with every
backward pass written out and attention in blocks, which is as fast and small as we could make it; and, where it is
PyTorch 2, under torch.compile with scaled_dot_product_attention. The modes cuda-* compute in bfloat16 with float32
weights on one GPU, and need a CUDA build of strait. Every round also times a large dense product in PyTorch, in the
mode's precision: model FLOP utilisation is the model's operations against its rate.
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
LARGE_ON_GPU = dict(LARGE, sequences=64)
BILLION = dict(layers=16, hidden=2048, heads=16, kv_heads=16, ffn=8192, vocab=32000, context=2048, sequences=16)



class Mode:
    """One comparison. Every side of strait is held against every side of PyTorch and against the fastest of them."""

    def __init__(self, shape, deck, steps, dropped, rounds, sides, memory_asked="", utilisation_asked="",
                 device="cpu", precision="float32", overrides=()):
        self.shape, self.deck, self.steps, self.dropped, self.rounds = shape, deck, steps, dropped, rounds
        self.sides, self.memory_asked, self.utilisation_asked = sides, memory_asked, utilisation_asked
        self.device, self.precision, self.overrides = device, precision, overrides

    def data_file(self, folder):
        return folder / (pathlib.Path(self.deck).stem + ".bin")

    def flops_per_token(self):
        """As model/config.hpp counts: 6 per weight of a product, and causal attention's 6 layers context hidden."""
        shape = self.shape
        head = shape["hidden"] // shape["heads"]
        block = shape["hidden"] * ((2 * shape["heads"] + 2 * shape["kv_heads"]) * head + 3 * shape["ffn"])
        products = shape["layers"] * block + shape["vocab"] * shape["hidden"]
        return 6 * (products + shape["layers"] * shape["context"] * shape["hidden"])


def on_cuda(shape, deck, micro_batch, utilisation_asked):
    """bfloat16 on one GPU, both sides with the same micro-batches."""
    micro_batches = shape["sequences"] // micro_batch
    return Mode(
        shape, deck, steps=12, dropped=4, rounds=3,
        sides=[
            Strait("strait, one rank", cores=[0], asked="at least 1.0"),
            Strait("strait, two ranks on the GPU", cores=[0, 1]),
            Pytorch("PyTorch, autograd", cores=[0], micro_batches=micro_batches),
            Pytorch("PyTorch, compiled", cores=[0], micro_batches=micro_batches, operations="compiled"),
        ],
        utilisation_asked=utilisation_asked, device="cuda", precision="bfloat16",
        overrides=['training.precision="bfloat16"', 'codec.wire="bfloat16"', f"training.micro_batch={micro_batch}",
                   f"training.sequences_per_step={shape['sequences']}"],
    )  # fmt: skip


MODES = {
    "small-one-core": Mode(
        SMALL, "perf/compare_small.toml", steps=6, dropped=2, rounds=5,
        sides=[
            Strait("strait, one rank", cores=[0], overrides=["training.micro_batch=2"], asked="at least 1.15"),
            Pytorch("PyTorch, one thread", cores=[0]),
            Pytorch("PyTorch, one thread, hand-written", cores=[0], operations="hand-written"),
            Pytorch("PyTorch, one thread, compiled", cores=[0], operations="compiled"),
        ],
    ),
    "small-two-cores": Mode(
        SMALL, "perf/compare_small.toml", steps=6, dropped=2, rounds=5,
        sides=[
            Strait("strait, 2-stage 1F1B", cores=[0, 1], asked="at least 1.0"),
            Strait("strait, 2-stage ZB-H1", cores=[0, 1], overrides=["pipeline.schedule=zb-h1"],
                   asked="one of these at least 1.15"),
            Strait("strait, two replicas", cores=[0, 1], overrides=["pipeline.stages=1", "pipeline.replicas=2"],
                   asked="one of these at least 1.15"),
            Strait("strait, one rank with two threads", cores=[0, 1], threads=2, asked="one of these at least 1.15"),
            Pytorch("PyTorch, 2-stage 1F1B over gloo", cores=[0, 1], pipeline=True, micro_batches=8),
            Pytorch("PyTorch, 2-stage 1F1B, hand-written", cores=[0, 1], pipeline=True, micro_batches=8,
                    operations="hand-written"),
            Pytorch("PyTorch, two threads", cores=[0, 1]),
            Pytorch("PyTorch, two threads, hand-written", cores=[0, 1], operations="hand-written"),
            Pytorch("PyTorch, two threads, compiled", cores=[0, 1], operations="compiled"),
        ],
    ),
    "150m": Mode(
        LARGE, "perf/compare_150m.toml", steps=3, dropped=1, rounds=3,
        sides=[
            Strait("strait, 2-stage 1F1B", cores=[0, 1], asked="one of these at least 1.3"),
            Strait("strait, 2-stage ZB-H1", cores=[0, 1], overrides=["pipeline.schedule=zb-h1"],
                   asked="one of these at least 1.3"),
            Pytorch("PyTorch, two threads", cores=[0, 1], micro_batches=8),
            Pytorch("PyTorch, two threads, hand-written", cores=[0, 1], micro_batches=8, operations="hand-written"),
            Pytorch("PyTorch, two threads, compiled", cores=[0, 1], micro_batches=8, operations="compiled"),
        ],
        memory_asked="at most 0.5",
    ),
    "cuda-150m": on_cuda(LARGE_ON_GPU, "perf/compare_150m.toml", micro_batch=16, utilisation_asked="at least 45 %"),
    "cuda-1b": on_cuda(BILLION, "perf/compare_1b.toml", micro_batch=4, utilisation_asked="at least 50 %"),
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
    """Blocks by side name, one per round, sides in turn; rates of a large product, one per round; the device."""
    steps, dropped = options.steps or mode.steps, mode.dropped
    data = mode.data_file(options.work)
    write_tokens(data, mode.shape, steps)
    blocks, peaks, device = {side.name: [] for side in mode.sides}, [], ""
    for number in range(options.rounds or mode.rounds):
        threads = max(len(side.cores) for side in mode.sides) if mode.device == "cpu" else 1
        peak, device = side_by_side.gemm_rate(mode, threads, options.python)
        peaks.append(peak)
        print(f"  round {number + 1}  a large product in {mode.precision}: {peak / 1e9:.1f} GFLOP/s", flush=True)
        for side in mode.sides if number % 2 == 0 else reversed(mode.sides):
            block = side.run(mode, data, steps, dropped, options)
            check_first_loss(side, block, mode.shape)
            blocks[side.name].append(block)
            print(
                f"  round {number + 1}  {side.name:34s} {block.seconds:7.3f} s/step  "
                f"{percent([utilisation(mode, block, peak)])} of the product's rate  cores busy {block.busy:4.2f}"
                f"  peak memory {block.peak_bytes / 1e9:5.2f} GB  first loss {block.first_loss:.4f}"
                + (f"  (others used {block.foreign:.2f} cores)" if block.foreign > 0.03 else ""),
                flush=True,
            )
    return blocks, peaks, device


def utilisation(mode, block, peak):
    """The model's operations a second, of a large product's."""
    tokens = mode.shape["sequences"] * mode.shape["context"]
    return mode.flops_per_token() * tokens / block.seconds / peak


def spread(values, digits=3):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def percent(values):
    return f"{100 * statistics.median(values):.1f} %"


def ratio_rows(mode, blocks):
    """Strait's sides against PyTorch's, the fastest of these, and strait's first."""
    ours = [side for side in mode.sides if isinstance(side, Strait)]
    theirs = [side for side in mode.sides if isinstance(side, Pytorch)]
    fastest = [min(round_, key=lambda block: block.seconds) for round_ in zip(*(blocks[side.name] for side in theirs))]
    opponents = {side.name: blocks[side.name] for side in theirs}
    for side in ours:
        own = blocks[side.name]
        rows = [(name, their, "") for name, their in opponents.items()]
        rows.append(("**PyTorch's fastest**", fastest, side.asked))
        if side is not ours[0]:
            rows.append((ours[0].name, blocks[ours[0].name], ""))
        for name, their, asked in rows:
            yield f"| {side.name} | {name} | {spread([b.seconds / a.seconds for a, b in zip(own, their)], 2)} | {asked} |"
        if mode.memory_asked:
            ratios = [a.peak_bytes / b.peak_bytes for a, b in zip(own, fastest)]
            yield f"| {side.name} | PyTorch's fastest, peak memory | {spread(ratios, 2)} | {mode.memory_asked} |"


def report(name, mode, blocks, peaks, device, left_out):
    """Markdown of one mode: a table of the sides and one of the ratios."""
    shape = mode.shape
    tokens = shape["sequences"] * shape["context"]
    asked = f" (asked: {mode.utilisation_asked})" if mode.utilisation_asked else ""
    lines = [
        f"### {name}: {shape['layers']} layers, hidden {shape['hidden']}, {shape['heads']} heads, ffn {shape['ffn']}, "
        f"vocab {shape['vocab']}, context {shape['context']}, {shape['sequences']} sequences per step, {mode.precision}",
        "",
        f"A large product in PyTorch{' on ' + device if device else ''}: {spread([p / 1e9 for p in peaks], 1)} GFLOP/s.",
        "",
        f"| side | seconds per step | tokens/s | model FLOP utilisation{asked} | cores busy "
        "| peak host memory of all processes | first loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for side in mode.sides:
        own = blocks[side.name]
        seconds = [block.seconds for block in own]
        lines.append(
            f"| {side.name} | {spread(seconds)} | {tokens / statistics.median(seconds):.0f} "
            f"| {percent([utilisation(mode, block, peak) for block, peak in zip(own, peaks)])} "
            f"| {statistics.median(b.busy for b in own):.2f} of {len(side.cores)} "
            f"| {statistics.median(b.peak_bytes for b in own) / 1e9:.2f} GB | {own[0].first_loss:.4f} |"
        )
    lines += ["", "| side | against | speed ratio, round by round | asked for |", "|---|---|---|---|"]
    lines += ratio_rows(mode, blocks)
    lines += ["", *left_out] if left_out else []
    foreign = [block.foreign for own in blocks.values() for block in own]
    if max(foreign) > 0.03:
        lines += ["", f"Other processes used {spread(foreign, 2)} cores meanwhile."]
    return "\n".join(lines) + "\n"


def heading(arguments, python):
    def output(*command):
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()

    command = shlex.join(["/usr/bin/python3", "perf/compare_pytorch.py", *arguments])
    return (
        f"## {time.strftime('%Y-%m-%d %H:%M')}, {side_by_side.processor_name()}, "
        f"strait {output('git', 'describe', '--always', '--dirty')}\n\n"
        f"`{command}`; PyTorch {side_by_side.pytorch_version(python)} on {side_by_side.pytorch_blas()}.\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [name for name, mode in MODES.items() if mode.device == "cpu"]
    parser.add_argument("--modes", default=",".join(default), help="comma-separated; default: all of the host")
    parser.add_argument("--rounds", type=int, help="default: 5, for 150m and on CUDA 3")
    parser.add_argument("--steps", type=int, help="per block; default: 6, for 150m 3, on CUDA 12")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--openmp-build", type=pathlib.Path, help="a build with OpenMP: one rank with threads too")
    parser.add_argument("--python", default=side_by_side.PYTHON, help="with PyTorch; default: the system's")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/perf"), help="tokens and output")
    parser.add_argument("--set", action="append", default=[], help="passed on to strait, e.g. training.micro_batch=8")
    parser.add_argument("--only", help="run only sides whose name contains this; nothing is recorded")
    parser.add_argument("--no-record", action="store_true", help="leave perf/RESULTS.md as it is")
    options = parser.parse_args()
    options.build, options.work = (path.absolute() for path in (options.build, options.work))
    options.openmp_build = options.openmp_build and options.openmp_build.absolute()
    version = side_by_side.pytorch_version(options.python)
    text = []
    for name in options.modes.split(","):
        if name not in MODES:
            parser.error(f"no mode {name}; there are {', '.join(MODES)}")
        mode = MODES[name]
        missing = {side: side.missing(version, options) for side in mode.sides}
        left_out = [f"Not run: {side.name}, {why}." for side, why in missing.items() if why]
        mode.sides = [side for side in mode.sides if not missing[side]]
        if options.only:
            mode.sides = [side for side in mode.sides if options.only in side.name]
        print("\n".join([f"{name}:", *left_out]), flush=True)
        blocks, peaks, device = measure(mode, options)
        if not options.only:
            text.append(report(name, mode, blocks, peaks, device, left_out))
            print("\n" + text[-1], flush=True)
    if text and not options.no_record:
        results = ROOT / "perf" / "RESULTS.md"
        old = results.read_text() if results.exists() else "# strait beside PyTorch\n"
        results.write_text("\n".join([old, heading(sys.argv[1:], options.python), *text]))
        print(f"appended to {results.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
