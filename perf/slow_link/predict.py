#!/usr/bin/python3
"""Compares simulated steps with measured ones, on two ranks that share memory and on two that share a slow link.

    sudo perf/slow_link/predict.py [--rounds 3] [--rates 100 20] [--schedules gpipe 1f1b]      rates in Mbit/s

Each round of a link and a codec profiles the deck and trains it by each schedule, all on the same two cores and the
same link, without other programs if it can be had; the simulator gets the profile and knows nothing else. The deck, the
codecs and what is needed are those of slow_link.py. Prints a table, and with --record appends it to perf/RESULTS.md.
"""

import argparse
import contextlib
import csv
import io
import pathlib
import shlex
import shutil
import statistics
import sys
import time

import h5py

import link
import slow_link

ROOT = slow_link.ROOT
METHODS = ["none", "mapl 8x"]
STEPS, DROPPED = 6, 2


@contextlib.contextmanager
def memory():
    """Ranks that share memory, as MPI finds them."""
    yield link.Launch([], [], {})


def connection(rate):
    return link.shared(rate * 1e6) if rate else memory()


def compare(rate, method, schedules, options):
    """For each schedule the measured and the predicted step in seconds."""
    words = [slow_link.DECK, "--set", f'data.train=["{options.tokens}"]']
    for key, value in slow_link.METHODS[method].items():
        words += ["--set", f"codec.{key}={value}"]
    strait, mpiexec = options.build / "strait", options.build / "mpiexec"
    profile, output = options.work / "predict.h5", options.work / "predict"

    def measure(launch, sets):
        shutil.rmtree(output, ignore_errors=True)
        link.run(launch, mpiexec, options.cores, [strait, *words, "--output", output, *sets])
        with h5py.File(output / "metrics.h5") as file:
            return statistics.median(map(float, file["train/seconds"][DROPPED:]))

    def predict(sets):
        text = link.run_alone([strait, "simulate", *words, "--profile", profile, *sets])
        return float(next(csv.DictReader(io.StringIO(text)))["seconds_per_step"])

    steps = {}
    with connection(rate) as launch:
        link.run(launch, mpiexec, options.cores, [strait, "profile", *words, "--output", profile])
        for schedule in schedules:
            sets = ["--set", f"pipeline.schedule={schedule}", "--set", f"run.steps={STEPS}"]
            steps[schedule] = measure(launch, sets), predict(sets)
    shutil.rmtree(output)
    return steps


def row(rate, method, schedule, rounds):
    name = f"{rate:g} Mbit/s, half duplex" if rate else "shared memory"
    measured = statistics.median(measured for measured, _ in rounds)
    predicted = statistics.median(predicted for _, predicted in rounds)
    ratios = [predicted / measured for measured, predicted in rounds]
    return (f"| {name} | {method} | {schedule} | {measured:.3f} s | {predicted:.3f} s "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[0, 100, 20], help="Mbit/s; 0: shared memory")
    parser.add_argument("--schedules", nargs="+", default=["gpipe", "1f1b"])
    parser.add_argument("--cores", nargs=2, default=["0", "1"])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "perf", help="tokens and output")
    parser.add_argument("--record", action="store_true", help="append the table to perf/RESULTS.md")
    options = parser.parse_args()
    options.build, options.work = options.build.absolute(), options.work.absolute()
    options.tokens = options.work / "slow_link.bin"
    slow_link.write_tokens(options.tokens)
    command = shlex.join(["perf/slow_link/predict.py", *sys.argv[1:]])
    lines = [f"## {time.strftime('%Y-%m-%d %H:%M')}, simulated and measured steps", "",
             f"`sudo {command}`; {options.rounds} rounds, median (least to most).", "",
             "| link | codec | schedule | measured step | simulated step | simulated / measured |", "|---|---|---|---|---|---|"]
    print("\n".join(lines))
    for rate in options.rates:
        for method in METHODS:
            rounds = [compare(rate, method, options.schedules, options) for _ in range(options.rounds)]
            for schedule in options.schedules:
                lines.append(row(rate, method, schedule, [each[schedule] for each in rounds]))
                print(lines[-1], flush=True)
    if options.record:
        with open(ROOT / "perf" / "RESULTS.md", "a") as results:
            results.write("\n".join(["", *lines]) + "\n")


if __name__ == "__main__":
    main()
