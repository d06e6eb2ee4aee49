#!/usr/bin/env python3
"""Losses in bfloat16 beside float32, on the same text with the same seeds.

    perf/precision.py [--deck inputs/quickstart.toml] [--seeds 1 2 3] [--set table.key=value]...

Runs the deck on one rank in float32, in bfloat16 with weights rounded to nearest and with weights rounded
stochastically, and prints a table of the last validation, of the mean training loss over the last 50 steps and of
seconds per step: what bfloat16 adds, and the spread over seeds that it is to be judged by. Can be stopped and started
at any time: finished runs stay.
"""
import argparse
import pathlib
import statistics
import sys

import h5py

import trainings

PRECISIONS = {
    "float32": {"training.precision": "float32"},
    "bfloat16": {"training.precision": "bfloat16"},
    "bfloat16, stochastic rounding": {"training.precision": "bfloat16", "training.stochastic_rounding": "true"},
}


def make_job(arguments, name, seed):
    values = {"run.seed": seed, "pipeline.stages": 1, "output.sample_tokens": 0, **PRECISIONS[name],
              **dict(setting.split("=", 1) for setting in arguments.set)}
    return trainings.Job(arguments.deck, (name,), values,
                         arguments.output / f"{name.replace(', ', '-').replace(' ', '-')}-seed{seed}")


def read_run(job):
    """Last validation, training loss and seconds per step; None while the run is not finished."""
    if trainings.finished_deck(job.folder / "metrics.h5") is None:
        return None
    with h5py.File(job.folder / "metrics.h5", "r", swmr=True) as file:
        return (float(file["validation/loss"][-1]), float(file["train/loss"][-50:].mean()),
                float(statistics.median(file["train/seconds"][:])))


def table(rows, seeds):
    """`rows`: by precision, for each seed what read_run finds."""
    lines = [f"| precision | validation loss, seeds {' '.join(map(str, seeds))} | mean | against float32, seed by seed "
             "| training loss, last 50 steps | seconds per step |", "|---|---|---|---|---|---|"]
    for name, found in rows.items():
        excess = [100.0 * (a[0] / b[0] - 1.0) for a, b in zip(found, rows["float32"])]
        lines.append(f"| {name} | {' '.join(f'{v:.4f}' for v, _, _ in found)} "
                     f"| {statistics.mean(v for v, _, _ in found):.4f} | {' '.join(f'{e:+.2f} %' for e in excess)} "
                     f"| {statistics.mean(t for _, t, _ in found):.4f} "
                     f"| {statistics.median(s for _, _, s in found):.3f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trainings.add_options(parser, "output/precision")
    parser.add_argument("--deck", type=pathlib.Path, default=trainings.ROOT / "inputs" / "quickstart.toml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", action="append", default=[], metavar="table.key=value")
    arguments = parser.parse_args()
    jobs = {name: [make_job(arguments, name, seed) for seed in arguments.seeds] for name in PRECISIONS}
    workers = trainings.Workers(arguments, [job for some in jobs.values() for job in some])
    workers.run()
    rows = {name: [row for job in some if (row := read_run(job))] for name, some in jobs.items()}
    if all(rows.values()):
        print(table(rows, arguments.seeds))
    sys.exit(workers.exit_code())


if __name__ == "__main__":
    main()
