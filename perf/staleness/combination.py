#!/usr/bin/env python3
"""Compares asynchronous pipelines with rotated bases and narrow boundaries with synchronous, uncompressed ones.

    perf/convergence/prepare_text.py --text FILE...                              once
    perf/staleness/combination.py [--stages 2 8] [--seeds 1]                     loss at equal tokens
    sudo perf/staleness/combination.py --link [--rate 20]                        seconds per step on a slow link, Mbit/s

The deck is combination.toml beside this script. One rank computes all stages for the losses, bit for bit those of as
many ranks; the queue can be stopped and started at any time. --link runs two ranks on two cores for a few steps, their
link a token bucket (perf/slow_link), profiles them without it, and simulates more ranks with such links, one in each
direction; it needs a machine without other work. Each writes what it knows to the output folder:
results.csv, steps_<rate>.csv, table.md, and combination.png with the loss by tokens and, on the link, by time.
"""
import argparse
import csv
import io
import itertools
import pathlib
import shutil
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in (".", "slow_link")]
import h5py  # noqa: E402
import matplotlib  # noqa: E402

matplotlib.use("Agg")
import link  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import trainings  # noqa: E402

DECK = pathlib.Path(__file__).with_name("combination.toml")
REFERENCE = "synchronous, AdamW, none"
# Four micro-batches make an update, where asynchronous schedules have four; the rate grows with the batch.
SYNCHRONOUS = {"pipeline.schedule": "1f1b", "training.sequences_per_step": 8, "run.steps": 800,
               "optimizer.warmup_steps": 40, "optimizer.learning_rate": 3e-3}
ROTATION = {"optimizer.name": "basis-rotation"}
MAPL = {"codec.name": "mapl", "codec.rank": 16}  # a quarter of hidden
CODEWORDS = {"codec.rvq.groups": 4, "codec.rvq.rounds": 2, "codec.rvq.codewords": 256, "codec.rvq.backward": "int8"}
METHODS = {
    REFERENCE: SYNCHRONOUS,
    "asynchronous, AdamW, none": {},
    "asynchronous, rotation, none": ROTATION,
    "asynchronous, rotation, mapl 4x": {**ROTATION, **MAPL},
    "asynchronous, rotation, mapl 4x with codewords": {**ROTATION, **MAPL, **CODEWORDS},
    "asynchronous, rotation, mapl 8x": {**ROTATION, **MAPL, "codec.rank": 8},
    "synchronous, rotation, none": {**SYNCHRONOUS, **ROTATION},
    "synchronous, rotation, mapl 4x": {**SYNCHRONOUS, **ROTATION, **MAPL},
}
LINK_STEPS, DROPPED = 30, 8
LATENCY = 1e-4  # seconds, of a simulated link
WINDOW = 20  # a loss of the plot is the mean over the run's steps divided by this
COLUMNS = ["method", "stages", "seed", "tokens", "validation_loss", "training_loss", "strait"]


def make_job(arguments, method, stages, seed):
    name = method.replace(", ", "-").replace(" ", "-").lower()
    values = {"run.seed": seed, "pipeline.emulate_stages": stages, **METHODS[method]}
    return trainings.Job(arguments.deck, (method,), values,
                         arguments.output / f"stages-{stages}" / f"{name}-seed{seed}")


def read_run(folder):
    """A row with the losses of all steps, or None while the run is not finished."""
    deck = trainings.finished_deck(folder / "metrics.h5")
    if deck is None:
        return None
    with h5py.File(folder / "metrics.h5", "r", swmr=True) as file:
        losses = file["train/loss"][:]
        window = len(losses) // WINDOW
        return {"method": (folder / "job").read_text().split("\n")[0], "stages": deck["pipeline"]["emulate_stages"],
                "seed": deck["run"]["seed"], "tokens": int(file["train/tokens"][-1]),
                "validation_loss": round(float(file["validation/loss"][-1]), 4),
                "training_loss": round(float(losses[-window:].mean()), 4), "strait": trainings.revision(file),
                "steps": len(losses), "losses": np.convolve(losses, np.full(window, 1 / window), "valid")}


def time_steps(arguments):
    """Seconds per step of every method on two ranks at the ends of the link, and simulated on more with such links."""
    output, strait = arguments.output / "link", arguments.strait.resolve()
    cores, profile, ranks = list(map(str, arguments.cores)), output / "profile.h5", ["measured", arguments.simulate]
    seconds = {}
    for method, values in METHODS.items():
        shutil.rmtree(output, ignore_errors=True)
        job = trainings.Job(arguments.deck, (), {"run.steps": LINK_STEPS, "output.log_interval": LINK_STEPS,
                                                 "training.validation_interval": 0, "checkpoint.interval": 0,
                                                 "pipeline.emulate_stages": 0, "pipeline.stages": 2, **values}, output)
        with link.LINKS["half duplex"](arguments.rate * 1e6) as launch:
            link.run(launch, strait.parent / "mpiexec", cores, job.command(strait))
        with h5py.File(output / "metrics.h5") as file:
            measured = float(np.mean(file["train/seconds"][DROPPED:-DROPPED]))
        settings = [word for key, value in job.values.items() for word in ("--set", f"{key}={value}")]
        link.run(link.Launch([], [], {}), strait.parent / "mpiexec", cores,
                 [strait, "profile", job.deck, "--output", profile, *settings])
        text = link.run_alone([strait, "simulate", job.deck, "--profile", profile, *settings, "--set",
                               f"pipeline.stages={arguments.simulate}", "--bandwidth", arguments.rate * 1e6,
                               "--latency", LATENCY])
        simulated = float(next(csv.DictReader(io.StringIO(text)))["seconds_per_step"])
        seconds[method] = dict(zip(ranks, (measured, simulated)))
        trainings.say(f"{method}: {measured:.4f} s per step, {simulated:.4f} s on {arguments.simulate} ranks")
    shutil.rmtree(output)
    with open(arguments.output / f"steps_{arguments.rate:g}.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "measured", "simulated", "stages"])
        writer.writerows([method, *(f"{value:.5f}" for value in steps.values()), arguments.simulate]
                         for method, steps in seconds.items())


def read_steps(path):
    """Seconds per step by number of stages and method."""
    steps = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            steps.setdefault(2, {})[row["method"]] = float(row["measured"])
            steps.setdefault(int(row["stages"]), {})[row["method"]] = float(row["simulated"])
    return steps


def mean_loss(rows, method, stages):
    values = [row["validation_loss"] for row in rows if (row["method"], row["stages"]) == (method, stages)]
    return np.mean(values) if values else None


def loss_cell(rows, method, stages):
    loss, reference = mean_loss(rows, method, stages), mean_loss(rows, REFERENCE, stages)
    if loss is None:
        return ""
    return f"{loss:.3f}" + (f" ({100 * (loss / reference - 1):+.1f} %)" if reference and method != REFERENCE else "")


def equal_time(rows, stages, steps):
    """For each method its smoothed training loss when the reference has done a quarter of its steps."""
    runs = {row["method"]: row for row in rows if row["stages"] == stages}
    if REFERENCE not in runs or REFERENCE not in steps:
        return {}
    seconds = steps[REFERENCE] * runs[REFERENCE]["steps"] / 4
    passed = {method: min(int(seconds / steps[method]), runs[method]["steps"]) for method in runs if method in steps}
    return {method: runs[method]["losses"][passed[method] - runs[method]["steps"] // WINDOW] for method in passed
            if passed[method] >= runs[method]["steps"] // WINDOW}


def tokens_per_second(rows, method, stages, steps):
    """Thousands of them, as one run's step has them."""
    of_step = {row["method"]: row["tokens"] / row["steps"] for row in rows if row["stages"] == stages}
    return of_step[method] / steps[method] / 1e3 if method in of_step and method in steps else None


def table(rows, timings):
    """`timings`: seconds per step by Mbit/s, number of stages and method."""
    depths = sorted({row["stages"] for row in rows})
    heads = [f"validation loss, P = {stages}" for stages in depths]
    columns = [(stages, rate, steps[stages]) for stages in depths for rate, steps in timings.items() if stages in steps]
    for stages, rate, _ in columns:
        heads += [f"ktokens/s, P = {stages}, {rate} Mbit/s", "training loss at equal time"]
    text = "| schedule, optimiser, codec | " + " | ".join(heads) + " |\n" + "|---" * (1 + len(heads)) + "|\n"
    for method in METHODS:
        cells = [loss_cell(rows, method, stages) for stages in depths]
        for stages, _, steps in columns:
            at = equal_time(rows, stages, steps)
            speed, reference = (tokens_per_second(rows, name, stages, steps) for name in (method, REFERENCE))
            cells += [f"{speed:.1f}" + (f" ({speed / reference:.2f})" if reference else "") if speed else "",
                      f"{at[method]:.3f}" if method in at else ""]
        text += f"| {method} | " + " | ".join(cells) + " |\n"
    return text


def plot(rows, timings, path):
    """Losses by tokens in the upper row, by time in the lower ones, a column for each number of stages."""
    depths = sorted({row["stages"] for row in rows})
    figure, panels = plt.subplots(1 + len(timings), len(depths), squeeze=False, constrained_layout=True,
                                  figsize=(5.5 * len(depths), 4 * (1 + len(timings))))
    for (row_of_panels, (rate, timing)), (column, stages) in itertools.product(
            zip(panels, [(None, {}), *timings.items()]), enumerate(depths)):
        axes, steps = row_of_panels[column], timing.get(stages, {})
        for index, method in enumerate(METHODS):
            for row in [row for row in rows if (row["method"], row["stages"]) == (method, stages)][:1]:
                count = np.arange(row["steps"] - len(row["losses"]), row["steps"]) + 1
                unit = steps.get(method) if rate else row["tokens"] / (row["steps"] * 1e6)
                if unit:
                    axes.plot(count * unit, row["losses"], linewidth=1, color=f"C{index}", label=method)
        axes.set(xlabel=f"seconds, links of {rate} Mbit/s" if rate else "million tokens", title=f"P = {stages}",
                 ylabel=f"training loss (mean over 1/{WINDOW} of the run)")
    panels[0][0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write(output):
    rows = [row for job in sorted(output.glob("*/*/job")) if (row := read_run(job.parent))]
    timings = {path.stem.removeprefix("steps_"): read_steps(path) for path in sorted(output.glob("steps_*.csv"))}
    if not rows:
        print(f"{output}: no finished run")
        return
    with open(output / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: (row["stages"], row["method"], row["seed"])))
    (output / "table.md").write_text(table(rows, timings))
    plot(rows, timings, output / "combination.png")
    print((output / "table.md").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trainings.add_options(parser, "output/combination")
    parser.add_argument("--deck", type=pathlib.Path, default=DECK)
    parser.add_argument("--stages", nargs="+", type=int, default=[2, 8])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--link", action="store_true", help="time steps on the link instead")
    parser.add_argument("--rate", type=float, default=20, help="Mbit/s of the link")
    parser.add_argument("--simulate", type=int, default=8, help="ranks that are simulated with such links")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.link:
        time_steps(arguments)
        workers = None
    else:
        workers = trainings.Workers(arguments, [make_job(arguments, method, stages, seed) for seed, stages, method
                                                in itertools.product(arguments.seeds, arguments.stages, METHODS)])
        workers.run()
    write(arguments.output)
    sys.exit(workers.exit_code() if workers else 0)


if __name__ == "__main__":
    main()
