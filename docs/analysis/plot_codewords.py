#!/usr/bin/env python3
"""Draws how the codewords of quantised boundaries are used: perplexity, dead codewords, error by round.

    plot_codewords.py METRICS.h5 [--output codewords.png]

Works on a run that is still going on (the file is written in SWMR mode).
"""
import argparse
import sys

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def read_usage(file):
    """[(layer that the boundary follows, {column: values})] of the boundaries that quantise."""
    usage = []
    for name in sorted(file["boundary"], key=int):
        group = file[f"boundary/{name}/diagnostics"] if "diagnostics" in file[f"boundary/{name}"] else {}
        if "code_perplexity" not in group:
            continue
        rows = len(group["step"])  # it grows last in a file that is being written
        columns = {column: group[column][:rows] for column in group}
        usage.append((int(file[f"boundary/{name}"].attrs["after_layer"]), columns))
    return usage


def draw(usage):
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), constrained_layout=True)
    for number, (layer, columns) in enumerate(usage):
        colour = f"C{number}"
        for axis, column in zip(axes, ("code_perplexity", "dead_codewords")):
            axis.plot(columns["step"], columns[column], color=colour, label=f"after layer {layer}")
        errors = sorted(name for name in columns if name.startswith("quantisation_error_"))
        for round_number, name in enumerate(errors):
            axes[2].plot(columns["step"], columns[name], color=colour, linestyle=["-", "--", ":", "-."][round_number % 4],
                         label=f"{round_number + 1} rounds" if number == 0 else None)
    axes[0].set(xlabel="step", ylabel="perplexity", title="Codewords in use, mean of groups and rounds", ylim=(0, None))
    axes[1].set(xlabel="step", ylabel="codewords", title="Dead codewords", ylim=(0, None))
    axes[2].set(xlabel="step", ylabel="|Z - Q| / |Z|", title="Quantisation error", ylim=(0, None))
    for axis in (axes[0], axes[2]):
        axis.legend(frameon=False, fontsize=8)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metrics")
    parser.add_argument("--output", default="codewords.png")
    arguments = parser.parse_args()
    with h5py.File(arguments.metrics, "r", swmr=True) as file:
        usage = read_usage(file)
    if not usage:
        sys.exit(f"{arguments.metrics}: no boundary quantises")
    draw(usage).savefig(arguments.output, dpi=130)
    print(arguments.output)


if __name__ == "__main__":
    main()
