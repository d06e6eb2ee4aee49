"""Reads the finished runs of staleness.py and writes them as CSV, as a Markdown table and as a plot."""
import csv
import dataclasses

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

import trainings  # noqa: E402

WINDOW = 100  # steps that a loss is the mean of
COLUMNS = ["method", "stages", "rate", "seed", "steps", "target", "steps_to_target", "final_loss", "strait"]


@dataclasses.dataclass
class Run:
    method: str
    stages: int
    rate: float
    seed: int
    losses: np.ndarray  # [steps - WINDOW + 1], of the last WINDOW steps each
    strait: str

    def steps(self):
        return len(self.losses) + WINDOW - 1

    def steps_to(self, target):
        """The first step whose window reaches the target, infinity where none does."""
        reached = np.flatnonzero(self.losses <= target)
        return int(reached[0]) + WINDOW if len(reached) else np.inf


def read_run(folder):
    """None while the run is not finished."""
    deck = trainings.finished_deck(folder / "metrics.h5")
    if deck is None:
        return None
    with h5py.File(folder / "metrics.h5", "r", swmr=True) as file:
        losses = np.convolve(file["train/loss"][:], np.full(WINDOW, 1 / WINDOW), "valid")
        return Run((folder / "job").read_text().split("\n")[0], deck["pipeline"]["emulate_stages"],
                   deck["optimizer"]["learning_rate"], deck["run"]["seed"], losses, trainings.revision(file))


class Results:
    """Runs by method and number of stages; of several rates, that with the fewest steps to the target."""

    def __init__(self, runs, target=None):
        self.runs = runs
        self.methods = list(dict.fromkeys(run.method for run in runs))
        self.depths = sorted({run.stages for run in runs})
        self.target = target or max(self.reached(method, stages) for method in self.methods for stages in self.depths
                                    if self.select(method, stages))

    def select(self, method, stages):
        return [run for run in self.runs if (run.method, run.stages) == (method, stages)]

    def reached(self, method, stages):
        """The loss that every seed ends at or below, at the rate where it is lowest."""
        ends = {}
        for run in self.select(method, stages):
            ends[run.rate] = max(run.losses[-1], ends.get(run.rate, -np.inf))
        return min(ends.values())

    def best(self, method, stages):
        """The runs of all seeds at the best rate."""
        runs = self.select(method, stages)
        rates = {run.rate: np.mean([other.steps_to(self.target) for other in runs if other.rate == run.rate])
                 for run in runs}
        return [run for run in runs if run.rate == min(rates, key=rates.get)]

    def steps(self, method, stages):
        """Mean and spread over seeds (largest minus smallest); None where nothing ran."""
        values = [run.steps_to(self.target) for run in self.best(method, stages)]
        return (np.mean(values), np.ptp(values) if np.isfinite(values).all() else 0) if values else None

    def slowdown(self, method, stages):
        """Steps of `stages` over steps of the fewest stages; None where either is not there."""
        base, steps = self.steps(method, self.depths[0]), self.steps(method, stages)
        return steps[0] / base[0] if base and steps and np.isfinite(base[0]) else None


def steps_cell(results, method, stages):
    steps = results.steps(method, stages)
    if steps is None:
        return ""
    runs = results.best(method, stages)
    if not np.isfinite(steps[0]):
        return f"> {runs[0].steps():,} (ends at {np.mean([run.losses[-1] for run in runs]):.2f})"
    return f"{steps[0]:,.0f}" + (f" ± {steps[1] / 2:,.0f}" if len(runs) > 1 else "")


def slowdown_cell(results, method, stages):
    factor = results.slowdown(method, stages)
    if factor is None:
        return ""
    if np.isfinite(factor):
        return f"{factor:.2f}"
    return f"> {results.best(method, stages)[0].steps() / results.steps(method, results.depths[0])[0]:.2f}"


def table(results):
    first, *others = results.depths
    heads = [f"steps, P = {stages}" for stages in results.depths] + [f"{stages} / {first}" for stages in others]
    text = f"Steps to a training loss of {results.target:.3f} (mean of {WINDOW} steps):\n\n"
    text += "| method | " + " | ".join(heads) + " |\n" + "|---" * (1 + len(heads)) + "|\n"
    order = sorted(results.methods, key=lambda method: -(results.slowdown(method, results.depths[-1]) or np.inf))
    for method in order:
        cells = [steps_cell(results, method, stages) for stages in results.depths]
        cells += [slowdown_cell(results, method, stages) for stages in others]
        text += f"| {method} | " + " | ".join(cells) + " |\n"
    return text


def plot(results, path):
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), constrained_layout=True)
    deepest = results.depths[-1]
    for index, method in enumerate(results.methods):
        look = {"color": f"C{index}", "label": method}
        points = [(stages, factor) for stages in results.depths
                  if (factor := results.slowdown(method, stages)) is not None and np.isfinite(factor)]
        if points:
            left.plot(*zip(*points), marker="o", **look)
        for run in results.best(method, deepest)[:1]:
            right.plot(np.arange(WINDOW, run.steps() + 1), run.losses, linewidth=1, **look)
    left.set(xlabel="stages P", ylabel=f"steps to loss {results.target:.2f}, over those of P = {results.depths[0]}",
             xscale="log", yscale="log")
    left.set_xticks(results.depths, results.depths)
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    right.axhline(results.target, color="grey", linewidth=0.5)
    right.set(xlabel="step", ylabel=f"training loss (mean of {WINDOW} steps), P = {deepest}")
    right.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def write(output, rates, target=None):
    """results.csv, table.md and slowdown.png in `output`, of all finished runs below it at one of `rates`."""
    runs = [run for job in sorted(output.glob("*/*/job")) if (run := read_run(job.parent)) and run.rate in rates]
    if not runs:
        print(f"{output}: no finished run")
        return
    results = Results(runs, target)
    with open(output / "results.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for run in sorted(runs, key=lambda run: (run.method, run.stages, run.rate, run.seed)):
            reached = run.steps_to(results.target)
            writer.writerow([run.method, run.stages, run.rate, run.seed, run.steps(), round(results.target, 4),
                             reached if np.isfinite(reached) else "", round(run.losses[-1], 4), run.strait])
    (output / "table.md").write_text(table(results))
    plot(results, output / "slowdown.png")
    print((output / "table.md").read_text())
