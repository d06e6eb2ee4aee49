#!/usr/bin/python3
"""Times steps of two replicas of one stage behind a throttled link, for several executables of strait in turn: what the
overlap of their gradient sums with the backward gains, against a build without it.

    sudo perf/slow_link/replica_overlap.py [--rounds 2] [--rates 1000 250] STRAIT [STRAIT ...]     rates in Mbit/s

Updates come after every micro-batch of each replica (pipedream), so that each backward has a sum to overlap with. The
link is a token bucket (tc) in each direction. Needs what slow_link.py needs.
"""

import argparse
import pathlib
import shutil
import statistics

import h5py
import numpy

import link

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS, DROPPED, TOKENS, VOCAB = 7, 2, 2048, 512
KEYS = {"run.steps": STEPS, "model.layers": 8, "model.hidden": 256, "model.ffn_hidden": 704, "pipeline.stages": 1,
        "pipeline.replicas": 2, "pipeline.schedule": "pipedream", "training.sequences_per_step": 8,
        "training.micro_batch": 4, "output.log_interval": 100}


def seconds_per_step(rate, executable, options):
    output = options.work / "replica_overlap"
    shutil.rmtree(output, ignore_errors=True)
    program = [executable, ROOT / "perf/slow_link/deck.toml", "--output", output, "--set",
               f'data.train=["{options.tokens}"]']
    for key, value in KEYS.items():
        program += ["--set", f"{key}={value}"]
    with link.LINKS["full duplex"](rate * 1e6) as launch:
        link.run(launch, options.build / "mpiexec", options.cores, program)
    with h5py.File(output / "metrics.h5") as file:
        return float(numpy.median(file["train/seconds"][DROPPED:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("executables", nargs="+", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rates", nargs="+", type=float, default=[1000, 250])
    parser.add_argument("--cores", nargs=2, default=["0", "1"])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    options = parser.parse_args()
    options.work = ROOT / "build/perf"
    options.work.mkdir(parents=True, exist_ok=True)
    options.tokens = options.work / "replica_overlap.bin"
    numpy.random.default_rng(1).integers(0, VOCAB, STEPS * TOKENS + 1, dtype=numpy.uint16).tofile(options.tokens)
    for rate in options.rates:
        times = {executable: [] for executable in options.executables}
        for _ in range(options.rounds):
            for executable in options.executables:
                times[executable].append(seconds_per_step(rate, executable, options))
        for executable, seconds in times.items():
            text = ", ".join(f"{value:.3f}" for value in seconds)
            print(f"{rate:g} Mbit/s  {executable}  {statistics.median(seconds):.3f} s per step ({text})", flush=True)


if __name__ == "__main__":
    main()
