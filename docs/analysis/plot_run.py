#!/usr/bin/env python3
"""Draws a run from its metrics.h5: loss, throughput, and a Gantt chart of the last traced step.

    plot_run.py METRICS.h5 [--output run.png]

Works on a run that is still going on (the file is written in SWMR mode).
"""
import argparse

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

COLOURS = {
    "forward": "#4c78a8",
    "backward": "#54a24b",
    "backward_input": "#54a24b",
    "backward_weight": "#9ecae9",
    "step": "#b279a2",
    "tied_reduce": "#eeca3b",
    "norm_reduce": "#bab0ac",
}
WAIT_COLOUR = "#e8e6e3"
MESSAGE_COLOUR = "#f58518"


def smooth(values, window):
    """Centred moving average that shrinks at the ends."""
    if window <= 1 or len(values) < 3:
        return values
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low = np.maximum(index - window // 2, 0)
    high = np.minimum(index + window // 2 + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def columns(group, *names):
    """Columns cut to the length of `step`, which grows last in a file that is being written."""
    rows = len(group["step"])
    return [group[name][:rows] for name in names]


def draw_loss(axes, file):
    step, loss = columns(file["train"], "step", "loss")
    axes.plot(step, loss, color="#c6d3e3", linewidth=0.8, label="training, each step")
    axes.plot(step, smooth(loss, max(len(loss) // 50, 1)), color="#4c78a8", label="training, smoothed")
    step, loss = columns(file["validation"], "step", "loss")
    if len(step):
        axes.plot(step, loss, "o-", color="#e45756", markersize=4, label=f"validation (last {loss[-1]:.3f})")
    axes.set(xlabel="step", ylabel="cross-entropy (nats per token)", title="Loss")
    axes.legend(frameon=False)


def draw_throughput(axes, file):
    step, rate = columns(file["train"], "step", "tokens_per_second")
    axes.plot(step, rate, color="#54a24b", linewidth=0.8)
    if len(rate):
        axes.axhline(np.median(rate), color="#333333", linestyle="--", linewidth=0.8,
                     label=f"median {np.median(rate):,.0f}")
        axes.legend(frameon=False)
    axes.set(xlabel="step", ylabel="tokens per second", title="Throughput", ylim=(0, None))


def draw_gantt(axes, file):
    trace = file["trace"]
    rank, start, end, waited = (trace[name][:] for name in ("rank", "start", "end", "waited"))
    micro_batch = trace["micro_batch"][:]
    action = [name.decode() if isinstance(name, bytes) else name for name in trace["action"][:]]
    if not len(rank):
        axes.set_axis_off()
        return
    for s, a, b, w, m, name in zip(rank, start, end, waited, micro_batch, action):
        colour = COLOURS.get(name, MESSAGE_COLOUR)
        axes.barh(s, (b - a) * 1e3, left=a * 1e3, height=0.8, color=colour, edgecolor="white", linewidth=0.3)
        if w > 0:
            axes.barh(s, w * 1e3, left=a * 1e3, height=0.8, color=WAIT_COLOUR)
        if name in ("forward", "backward", "backward_input") and (b - a) > 0.02 * end.max():
            axes.text((a + b) / 2 * 1e3, s, str(m), ha="center", va="center", color="white", fontsize=7)
    axes.invert_yaxis()
    axes.set_yticks(range(int(rank.max()) + 1))
    axes.set(xlabel="milliseconds since the step began", ylabel="rank",
             title="One step, action by action (numbers are micro-batches)")
    names = [n for n in COLOURS if n in action]
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[n]) for n in names]
    handles += [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (MESSAGE_COLOUR, WAIT_COLOUR)]
    axes.legend(handles, names + ["send or receive", "wait"], ncol=4, frameon=False, fontsize=7,
                loc="upper center", bbox_to_anchor=(0.5, -0.22))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metrics")
    parser.add_argument("--output", default="run.png")
    arguments = parser.parse_args()
    with h5py.File(arguments.metrics, "r", swmr=True) as file:
        figure = plt.figure(figsize=(11, 7.5), constrained_layout=True)
        grid = figure.add_gridspec(2, 2)
        draw_loss(figure.add_subplot(grid[0, 0]), file)
        draw_throughput(figure.add_subplot(grid[0, 1]), file)
        draw_gantt(figure.add_subplot(grid[1, :]), file)
        figure.savefig(arguments.output, dpi=130)
    print(arguments.output)


if __name__ == "__main__":
    main()
