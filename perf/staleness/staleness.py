#!/usr/bin/env python3
"""Counts the steps to a training loss of asynchronous pipelines of 1 to 32 stages, optimiser by optimiser.

    perf/convergence/prepare_text.py --text FILE... --vocab 512 --output data/staleness       once
    perf/staleness/staleness.py [--stages 1 8 32] [--seeds 1] [--rates 3e-3]

The deck is inputs/staleness.toml: a model of 32 narrow blocks, whose gradients are up to P - 1 updates old when it is
cut into P stages (after figure 1 of arXiv 2602.03515). One rank runs the exact updates of all P
(pipeline.emulate_stages). The study can be stopped and started at any time: finished runs stay, an interrupted one goes
on from its last checkpoint. Afterwards, and with --report at any time, results.csv, table.md and slowdown.png in the
output folder hold what there is at these rates. Of several rates each cell of the table has that with the fewest steps.
"""
import argparse
import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import slowdown  # noqa: E402
import trainings  # noqa: E402

DECK = trainings.ROOT / "inputs" / "staleness.toml"

ROTATION = {"name": "basis-rotation"}
# Settings of [optimizer]. The rate is AdamW's wherever AdamW updates; Muon's orthogonal updates take five times it.
METHODS = {
    "PipeDream": {"name": "adamw"},
    "basis rotation, second, two-sided": {**ROTATION, "source": "second", "two_sided": "true"},
    "PipeDream-LR": {"name": "adamw", "lr_delay_correction": "true"},
    "Nesterov": {"name": "nadam", "beta1": 0.99},
    "basis rotation, first, two-sided": {**ROTATION, "source": "first", "two_sided": "true"},
    "basis rotation, second, one-sided": {**ROTATION, "source": "second", "two_sided": "false"},
    "basis rotation, first, one-sided": {**ROTATION, "source": "first", "two_sided": "false"},
    "SOAP": {"name": "soap"},
    "Muon": {"name": "muon", "matrix_fraction": 5, "vector_fraction": 1},
}


def make_job(deck, method, stages, rate, seed, output):
    name = method.replace(", ", "-").replace(" ", "-").lower()
    values = {f"optimizer.{key}": value for key, value in METHODS[method].items()}
    return trainings.Job(deck, (method,), {"run.seed": seed, "pipeline.emulate_stages": stages,
                                           "optimizer.learning_rate": rate, **values},
                         output / f"stages-{stages}" / f"{name}-rate{rate:g}-seed{seed}")


def queue(arguments):
    """All runs, the most telling first: for each seed and rate the deepest and the shallowest pipelines."""
    depths = sorted(arguments.stages, key=lambda stages: stages in (min(arguments.stages), max(arguments.stages)),
                    reverse=True)
    return [make_job(arguments.deck, method, stages, rate, seed, arguments.output)
            for seed, rate, method, stages in itertools.product(arguments.seeds, arguments.rates, arguments.methods,
                                                                depths)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trainings.add_options(parser, "output/staleness")
    parser.add_argument("--deck", type=pathlib.Path, default=DECK)
    parser.add_argument("--stages", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--rates", nargs="+", type=float, default=[3e-3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD",
                        help="only these: " + "; ".join(METHODS))
    parser.add_argument("--target", type=float, help="training loss; default: the highest that a method ends with")
    arguments = parser.parse_args()
    workers = trainings.Workers(arguments, queue(arguments))
    workers.run()
    slowdown.write(arguments.output, arguments.rates, arguments.target)
    sys.exit(workers.exit_code())


if __name__ == "__main__":
    main()
