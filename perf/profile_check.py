#!/usr/bin/python3
"""Whether a profile explains a run: the sum of its layers beside the steps of strait on one rank, and the idle
share of schedules on two real ranks beside their formula.

    /usr/bin/python3 perf/profile_check.py [--rounds 3] [--schedules gpipe 1f1b]

The model of perf/compare_small.toml; for the idle shares with a vocabulary of 256, so that the stages are nearly
equal. Ranks are pinned to cores of their own. Needs a release build and python3-h5py; profiles and runs alternate.
Results are appended to perf/RESULTS.md.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import time

import h5py
import numpy

import side_by_side

ROOT = pathlib.Path(__file__).resolve().parent.parent
DECK = ROOT / "perf" / "compare_small.toml"
BALANCED_VOCAB = 256


def idle_formula(schedule, ranks, micro_batches, forward, backward_input, backward_weight, chunks=2):
    """Idle time over all time, with equal stages; the times are a rank's, of all its chunks."""
    work = micro_batches * (forward + backward_input + backward_weight)
    bubble = (ranks - 1) * {
        "gpipe": forward + backward_input + backward_weight,
        "1f1b": forward + backward_input + backward_weight,
        "interleaved": (forward + backward_input + backward_weight) / chunks,
        "zb-h1": forward + backward_input - backward_weight,
    }[schedule]
    return bubble / (work + bubble)


def strait(arguments, cores, options):
    words = [options.build / "mpiexec"]
    for core in cores:
        words += [":"] if core != cores[0] else []
        words += ["-n", "1", "taskset", "-c", str(core), options.build / "strait", *arguments]
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    result = subprocess.run(list(map(str, words)), capture_output=True, text=True, env=environment, cwd=ROOT)
    if result.returncode != 0:
        side_by_side.failed("strait", result.stdout + result.stderr)


def sets(values, options):
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return words + [word for value in options.set for word in ("--set", value)]


def train(values, cores, steps, vocab, micro_batches, options):
    """Medians over the steps but the first: seconds, and of each stage seconds of computation and of waiting."""
    tokens, output = options.work / f"profile_check_{vocab}.bin", options.work / "profile_check"
    tokens.parent.mkdir(parents=True, exist_ok=True)
    numpy.random.default_rng(1).integers(0, vocab, 50_000, dtype=numpy.uint16).tofile(tokens)
    shutil.rmtree(output, ignore_errors=True)
    values = {"run.steps": steps, "data.train": f'["{tokens}"]', "checkpoint.interval": 0,
              "training.sequences_per_step": micro_batches, **values}
    strait([DECK, "--output", output, *sets(values, options)], cores, options)
    with h5py.File(output / "metrics.h5") as file:
        median = lambda path: statistics.median(file[path][1:])
        stages = [(median(f"stage/{s}/seconds_compute"), median(f"stage/{s}/seconds_wait")) for s in range(len(cores))]
        return median("train/seconds"), stages


def profile(values, cores, options):
    path = options.work / "profile_check.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    strait(["profile", DECK, "--seconds", 1, "--output", path, *sets(values, options)], cores, options)
    with h5py.File(path) as file:
        return {name: file[f"layer/{name}"][:, 0] for name in
                ("forward", "backward_input", "backward_weight", "update")}


def sums(options):
    """Pairs of a step as the profile sums it up and as it is."""
    pairs = []
    for _ in range(options.rounds):
        layers = profile({"pipeline.stages": 1}, [0], options)
        passes = sum(layers[name].sum() for name in ("forward", "backward_input", "backward_weight"))
        found, _ = train({"pipeline.stages": 1}, [0], 5, 4096, 4, options)
        pairs.append((4 * passes + layers["update"].sum(), found))
        print("profile {:.3f} s, step {:.3f} s".format(*pairs[-1]), flush=True)
    return pairs


def idle(schedule, options):
    """Shares of the ranks' time: waited, not computed, and by the formula."""
    layers = profile({"model.vocab": BALANCED_VOCAB}, [0, 1], options)
    values = {"pipeline.schedule": schedule, "model.vocab": BALANCED_VOCAB}
    if schedule == "interleaved":
        values["pipeline.chunks"] = 2
    halves = [layers[name].sum() / 2 for name in ("forward", "backward_input", "backward_weight")]
    rows = []
    for _ in range(options.rounds):
        seconds, stages = train(values, [0, 1], 5, BALANCED_VOCAB, 8, options)
        waited = sum(wait for _, wait in stages) / (2 * seconds)
        rows.append((waited, 1 - sum(compute for compute, _ in stages) / (2 * seconds),
                     idle_formula(schedule, 2, 8, *halves)))
        print(schedule, rows[-1], flush=True)
    return [statistics.median(column) for column in zip(*rows)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--schedules", nargs="*", default=["gpipe", "1f1b", "interleaved", "zb-h1"])
    parser.add_argument("--no-sum", action="store_true", help="idle shares alone")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/perf"), help="tokens and output")
    parser.add_argument("--set", action="append", default=[], help="passed on to strait")
    parser.add_argument("--no-record", action="store_true", help="leave perf/RESULTS.md as it is")
    options = parser.parse_args()
    options.build, options.work = options.build.absolute(), options.work.absolute()
    command = shlex.join(["/usr/bin/python3", "perf/profile_check.py", *sys.argv[1:]])
    lines = [f"## {time.strftime('%Y-%m-%d %H:%M')}, profiles beside runs, {side_by_side.processor_name()}", "",
             f"`{command}`"]
    if not options.no_sum:
        lines += ["", "| sum of the profile's layers | step on one rank | profile / step (asked: 0.95 to 1.05) |",
                  "|---|---|---|"]
        lines += [f"| {wanted:.3f} s | {found:.3f} s | {wanted / found:.3f} |" for wanted, found in sums(options)]
    if options.schedules:
        lines += ["", "| schedule, 2 ranks, 8 micro-batches | waited | not computed | formula (asked: within 5 points) |",
                  "|---|---|---|---|"]
        for schedule in options.schedules:
            lines.append(f"| {schedule} | " + " | ".join(f"{100 * x:.1f} %" for x in idle(schedule, options)) + " |")
    print("\n".join(lines))
    if not options.no_record:
        with open(ROOT / "perf" / "RESULTS.md", "a") as results:
            results.write("\n".join(["", *lines]) + "\n")


if __name__ == "__main__":
    main()
