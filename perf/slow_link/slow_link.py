#!/usr/bin/python3
"""Trains on two ranks whose link is slow, with and without a codec, and says how many tokens per second pass.

    sudo perf/slow_link/slow_link.py [--rounds 3] [--rates 1000 100 20] [--duplex]     rates in Mbit/s

The link is a token bucket (tc) that both directions share, or with --duplex one in each direction. MPI over TCP, one
rank per core. Needs root, iproute2, python3-h5py and a release build with MPICH. Every finished run is a row of
results.csv beside this script; the rows that are there are not run again, so it can be stopped and started at any
time. The table of all rows is printed, and with --record appended to perf/RESULTS.md.
"""

import argparse
import csv
import pathlib
import shlex
import shutil
import signal
import statistics
import sys
import time

import h5py
import numpy

import link

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECK = ROOT / "perf" / "slow_link" / "deck.toml"
RESULTS = ROOT / "perf" / "slow_link" / "results.csv"
COLUMNS = ["link", "mbit_per_second", "method", "round", "seconds_per_step", "tokens_per_second", "bytes_per_step",
           "compute_seconds", "steps"]
STEPS, DROPPED, TOKENS, VOCAB = 9, 1, 16384, 512
CODEWORDS = {"rvq.groups": 4, "rvq.rounds": 2, "rvq.codewords": 256, "rvq.backward": "int8"}
METHODS = {
    "none": {"name": "none"},
    "mapl 4x": {"name": "mapl", "rank": 32},
    "mapl 8x": {"name": "mapl", "rank": 16},
    "mapl with codewords 16x": {"name": "mapl", "rank": 20, **CODEWORDS},
}


def write_tokens(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    numpy.random.default_rng(1).integers(0, VOCAB, STEPS * TOKENS + 1, dtype=numpy.uint16).tofile(path)


def train(kind, rate, method, options):
    """One run at `rate` Mbit/s as a row."""
    output = options.work / "slow_link"
    shutil.rmtree(output, ignore_errors=True)
    program = [options.build / "strait", DECK, "--output", output, "--set", f"run.steps={STEPS}",
               "--set", f'data.train=["{options.tokens}"]']
    for key, value in METHODS[method].items():
        program += ["--set", f"codec.{key}={value}"]
    with link.LINKS[kind](rate * 1e6) as launch:
        link.run(launch, options.build / "mpiexec", options.cores, program)
    with h5py.File(output / "metrics.h5") as file:
        mean = lambda path: float(file[path][DROPPED:].mean())
        seconds = mean("train/seconds")
        sent = sum(mean(f"boundary/0/bytes_{account}") for account in ("forward", "backward", "sync"))
        compute = max(mean(f"stage/{stage}/seconds_compute") for stage in range(2))
    shutil.rmtree(output)
    return {"link": kind, "mbit_per_second": rate, "method": method, "seconds_per_step": f"{seconds:.4f}",
            "tokens_per_second": f"{TOKENS / seconds:.1f}", "bytes_per_step": f"{sent:.0f}",
            "compute_seconds": f"{compute:.4f}", "steps": STEPS - DROPPED}


def read_rows():
    if not RESULTS.exists():
        return []
    with open(RESULTS, newline="") as file:
        return list(csv.DictReader(file))


def append(row):
    new = not RESULTS.exists()
    with open(RESULTS, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def values_of(rows, kind, rate, method, column):
    return [float(row[column]) for row in rows
            if (row["link"], float(row["mbit_per_second"]), row["method"]) == (kind, rate, method)]


def table(rows, command):
    lines = [f"## {time.strftime('%Y-%m-%d %H:%M')}, two ranks on a slow link", "",
             f"`{command}`; {STEPS - DROPPED} steps of {TOKENS:,} tokens per run; median (least to most) of the runs.", "",
             "| link | codec | bytes per step | computation of the busier rank | seconds per step | tokens/s | of none |",
             "|---|---|---|---|---|---|---|"]
    links = dict.fromkeys((row["link"], float(row["mbit_per_second"])) for row in rows)
    for kind, rate in sorted(links, key=lambda link: (link[0] != "half duplex", -link[1])):
        base = values_of(rows, kind, rate, "none", "tokens_per_second")
        for method in METHODS:
            columns = {column: values_of(rows, kind, rate, method, column) for column in COLUMNS[4:]}
            speeds = columns["tokens_per_second"]
            if not speeds:
                continue
            middle = {column: statistics.median(values) for column, values in columns.items()}
            spread = f" ({min(speeds):,.0f} to {max(speeds):,.0f})" if len(speeds) > 1 else ""
            of_none = f"{middle['tokens_per_second'] / statistics.median(base):.2f}" if base else ""
            lines.append(f"| {rate:g} Mbit/s, {kind} | {method} | {middle['bytes_per_step'] / 1e6:.2f} MB "
                         f"| {middle['compute_seconds']:.2f} s | {middle['seconds_per_step']:.2f} "
                         f"| {middle['tokens_per_second']:,.0f}{spread} | {of_none} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[1000, 100, 20], help="Mbit/s")
    parser.add_argument("--duplex", action="store_true", help="each direction has a link of its own")
    parser.add_argument("--cores", nargs=2, default=["0", "1"])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "perf", help="tokens and output")
    parser.add_argument("--record", action="store_true", help="append the table to perf/RESULTS.md")
    options = parser.parse_args()
    options.build, options.work = options.build.absolute(), options.work.absolute()
    options.tokens = options.work / "slow_link.bin"
    write_tokens(options.tokens)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # leaves no namespace behind
    kind = "full duplex" if options.duplex else "half duplex"
    for turn in range(options.rounds):
        for rate in options.rates:
            for method in METHODS:
                done = {(row["link"], float(row["mbit_per_second"]), row["method"], int(row["round"]))
                        for row in read_rows()}
                if (kind, rate, method, turn) not in done:
                    append(train(kind, rate, method, options) | {"round": turn})
                    print(f"{kind}, {rate:g} Mbit/s, {method}, round {turn}: {read_rows()[-1]['seconds_per_step']} s")
    lines = table(read_rows(), "sudo " + shlex.join(["perf/slow_link/slow_link.py", *sys.argv[1:]]))
    print("\n".join(lines))
    if options.record:
        with open(ROOT / "perf" / "RESULTS.md", "a") as results:
            results.write("\n".join(["", *lines]) + "\n")


if __name__ == "__main__":
    main()
