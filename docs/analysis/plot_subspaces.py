#!/usr/bin/env python3
"""Draws from a run's checkpoints what its projectors keep, how neighbours lie to each other, and how far they move.

    plot_subspaces.py OUTPUT_FOLDER [--output subspaces.png]

All four panels are over the steps whose checkpoints are there (deck key checkpoint.keep):
- energy of activations: |Z|^2 / |X - anchor|^2 as the run measured it, from the newest checkpoint's metrics.h5;
- energy of weights: of the matrices that write the residual stream before the boundary (attention output and
  feed-forward output, and the token table), the share that lies in span(A). Checkpoints hold no activations: this is
  what the projector would keep if every column of a matrix were used alike;
- principal angles between the spans at neighbouring boundaries, mean with smallest and largest;
- drift: the mean principal angle between a boundary's span and its own at the first checkpoint.

Dashed lines: two independent random subspaces of this rank (angle), the rank's share of the width (energy).
"""
import argparse
import pathlib

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

REFERENCE = {"color": "#333333", "linestyle": "--", "linewidth": 0.8}


def span(projector):
    """Orthonormal columns of the same span; `unconstrained` projectors are not orthonormal."""
    return np.linalg.qr(projector)[0]


def principal_angles(one, other):
    """In degrees, ascending."""
    cosines = np.linalg.svd(one.T @ other, compute_uv=False)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def share_within(basis, rows):
    """Of the squared length of `rows` [count, hidden], the part in the span of `basis`."""
    return float(np.sum((rows @ basis) ** 2) / np.sum(rows**2))


def random_angle(width, rank, draws=8):
    """Mean principal angle between random subspaces, in degrees."""
    generator = np.random.default_rng(1)
    draw = lambda: span(generator.standard_normal((width, rank)))
    return float(np.mean([principal_angles(draw(), draw()) for _ in range(draws)]))


class Checkpoint:
    """One checkpoint's spans, in the order of the boundaries, and the energy of the weights in them."""

    def __init__(self, folder):
        self.step = int(folder.name.removeprefix("step_"))
        with h5py.File(folder / "model.h5", "r") as file:
            groups = sorted((group for group in file.get("boundary", {}).values() if "A" in group),
                            key=lambda group: group.attrs["after_layer"])
            self.after_layer = [int(group.attrs["after_layer"]) for group in groups]
            self.spans = [span(group["A"][:].astype(np.float64)) for group in groups]
            layers = file["parameters/model.layers.0.input_layernorm.weight"].parent
            self.table_share, self.writer_share = [], []
            for basis, last in zip(self.spans, self.after_layer):
                self.table_share.append(share_within(basis, layers["model.embed_tokens.weight"][:]))
                writers = [layers[f"model.layers.{layer}.{name}.weight"][:].T for layer in range(last + 1)
                           for name in ("self_attn.o_proj", "mlp.down_proj")]
                self.writer_share.append(share_within(basis, np.concatenate(writers)))


def read_checkpoints(folder):
    """Those with the newest one's cuts and rank, oldest first: spans of other boundaries cannot be compared."""
    found = sorted((path for path in folder.glob("checkpoints/step_*") if (path / "model.h5").exists()),
                   key=lambda path: int(path.name.removeprefix("step_")))
    checkpoints = [Checkpoint(path) for path in found]
    layout = lambda checkpoint: (checkpoint.after_layer, [basis.shape for basis in checkpoint.spans])
    kept = [checkpoint for checkpoint in checkpoints if layout(checkpoint) == layout(checkpoints[-1])]
    if not kept or not kept[-1].spans:
        raise SystemExit(f"{folder}: no checkpoint with a projector")
    return kept, found[-1] / "metrics.h5"


def draw_measured_energy(axes, metrics, after_layer):
    """One line for each boundary; nothing where the run did not measure it."""
    with h5py.File(metrics, "r") as file:
        for boundary in file.get("boundary", {}).values():
            layer = int(boundary.attrs["after_layer"])
            if layer in after_layer and len(boundary.get("diagnostics/energy_kept", [])):
                axes.plot(boundary["diagnostics/step"][:], boundary["diagnostics/energy_kept"][:],
                          color=f"C{after_layer.index(layer)}", label=f"after layer {layer}")


def draw(checkpoints, metrics):
    last = checkpoints[-1]
    width, rank = last.spans[0].shape
    steps = [checkpoint.step for checkpoint in checkpoints]
    figure, ((energy, weights), (angles, drift)) = plt.subplots(2, 2, figsize=(11, 7.5), constrained_layout=True)

    draw_measured_energy(energy, metrics, last.after_layer)
    for index, layer in enumerate(last.after_layer):
        weights.plot(steps, [c.writer_share[index] for c in checkpoints], "o-", color=f"C{index}", markersize=4,
                     label=f"writers up to layer {layer}")
        weights.plot(steps, [c.table_share[index] for c in checkpoints], "s:", color=f"C{index}", markersize=3,
                     label=f"token table, after layer {layer}")
        moved = [np.mean(principal_angles(checkpoints[0].spans[index], c.spans[index])) for c in checkpoints]
        drift.plot(steps, moved, "o-", color=f"C{index}", markersize=4, label=f"after layer {layer}")
    for index, pair in enumerate(zip(last.after_layer, last.after_layer[1:])):
        each = np.array([principal_angles(c.spans[index], c.spans[index + 1]) for c in checkpoints])
        angles.plot(steps, each.mean(axis=1), "o-", color=f"C{index}", markersize=4,
                    label=f"after layers {pair[0]} and {pair[1]}")
        angles.fill_between(steps, each[:, 0], each[:, -1], color=f"C{index}", alpha=0.12, linewidth=0)

    for axes in (energy, weights):
        axes.axhline(rank / width, label=f"rank / width = {rank}/{width}", **REFERENCE)
        axes.set(ylim=(0, 1), ylabel="share of energy in span(A)")
    for axes in (angles, drift):
        axes.axhline(random_angle(width, rank), label="random subspaces", **REFERENCE)
        axes.set(ylim=(0, 90), ylabel="principal angle (degrees)")
    energy.set_title("Activations less their anchor (measured)")
    weights.set_title("Weights that write the residual stream")
    angles.set_title("Between neighbouring boundaries")
    drift.set_title(f"Drift since step {steps[0]}")
    for axes in (energy, weights, angles, drift):
        axes.set_xlabel("step")
        axes.legend(frameon=False, fontsize=7)
    return figure


def describe(checkpoints):
    """The newest checkpoint in one line for each boundary."""
    first, last = checkpoints[0], checkpoints[-1]
    for index, layer in enumerate(last.after_layer):
        text = f"after layer {layer}: {last.writer_share[index]:.1%} of the writers' energy"
        text += f", {last.table_share[index]:.1%} of the token table's"
        if index + 1 < len(last.spans):
            text += f", {np.mean(principal_angles(last.spans[index], last.spans[index + 1])):.1f} degrees to the next"
        print(f"{text}, moved by {np.mean(principal_angles(first.spans[index], last.spans[index])):.1f} degrees since "
              f"step {first.step}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="the run's output.directory")
    parser.add_argument("--output", default="subspaces.png")
    arguments = parser.parse_args()
    checkpoints, metrics = read_checkpoints(arguments.folder)
    describe(checkpoints)
    draw(checkpoints, metrics).savefig(arguments.output, dpi=130)
    print(arguments.output)


if __name__ == "__main__":
    main()
