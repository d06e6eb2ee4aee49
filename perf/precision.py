#!/usr/bin/python3
"""Losses in bfloat16 beside float32, on the same text with the same seeds.

    /usr/bin/python3 perf/precision.py [--deck inputs/quickstart.toml] [--seeds 1 2 3] [--set table.key=value]...

Runs the deck on one rank (pinned to a core, at low priority) in float32, in bfloat16 with weights rounded to nearest and
with weights rounded stochastically, and prints a table of the last validation, of the mean training loss over the last 50
steps and of seconds per step: what bfloat16 adds, and the spread over seeds that it is to be judged by. Needs a release
build (build/release), the deck's text and python3-h5py. Finished runs in the output folder are kept.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys

import h5py

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRECISIONS = {
    "float32": {"training.precision": "float32"},
    "bfloat16": {"training.precision": "bfloat16"},
    "bfloat16, stochastic rounding": {"training.precision": "bfloat16", "training.stochastic_rounding": "true"},
}


def run(name, seed, options):
    output = options.output / f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}"
    done = output / "finished"
    if not done.is_file():
        sets = {"run.seed": seed, "pipeline.stages": 1, "checkpoint.interval": 0, "output.sample_tokens": 0,
                **PRECISIONS[name]}
        words = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
        words += [word for value in options.set for word in ("--set", value)]
        command = ["taskset", "--cpu-list", str(options.core), "nice", "-n", "19", options.build / "strait",
                   options.deck, "--output", output, *words]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(result.stdout + result.stderr)
        done.touch()
    with h5py.File(output / "metrics.h5") as file:
        return (float(file["validation/loss"][-1]), float(file["train/loss"][-50:].mean()),
                float(statistics.median(file["train/seconds"][:])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deck", type=pathlib.Path, default=ROOT / "inputs" / "quickstart.toml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "output" / "precision")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="table.key=value")
    options = parser.parse_args()

    rows = {name: [run(name, seed, options) for seed in options.seeds] for name in PRECISIONS}
    print(f"| precision | validation loss, seeds {' '.join(map(str, options.seeds))} | mean | against float32, seed by seed "
          "| training loss, last 50 steps | seconds per step |")
    print("|---|---|---|---|---|---|")
    for name, found in rows.items():
        excess = [100.0 * (a[0] / b[0] - 1.0) for a, b in zip(found, rows["float32"])]
        print(f"| {name} | {' '.join(f'{v:.4f}' for v, _, _ in found)} | {statistics.mean(v for v, _, _ in found):.4f} "
              f"| {' '.join(f'{e:+.2f} %' for e in excess)} | {statistics.mean(t for _, t, _ in found):.4f} "
              f"| {statistics.median(s for _, _, s in found):.3f} |")


if __name__ == "__main__":
    main()
