"""Reads the finished runs of compare.py and writes them as CSV, as Markdown tables and as a plot."""
import csv
import math
import pathlib
import sys

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import trainings  # noqa: E402

COLUMNS = ["budget", "tokens_per_parameter", "tokens", "method", "ratio", "seed", "validation_loss",
           "bytes_forward_per_token", "bytes_backward_per_token", "bytes_sync_per_token", "energy_kept", "strait"]
# Two-sided 95 % points of Student's t by degrees of freedom.
STUDENT = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10,
           2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04]


def parameters(model):
    """Of blocks and last norm, without token table and head."""
    hidden, heads = model["hidden"], model["heads"]
    attention = 2 * hidden * hidden * (1 + model.get("kv_heads", heads) / heads)
    return model["layers"] * (attention + 3 * hidden * model["ffn_hidden"] + 2 * hidden) + hidden


def read_run(folder):
    """One row of the CSV, or None while the run is not finished."""
    deck = trainings.finished_deck(folder / "metrics.h5")
    if deck is None:
        return None
    method, ratio = (folder / "job").read_text().split("\n")[:2]
    with h5py.File(folder / "metrics.h5", "r", swmr=True) as file:
        tokens = int(file["train/tokens"][-1])
        boundaries = list(file["boundary"].values())
        size = {part: np.mean([np.sum(boundary[f"bytes_{part}"]) for boundary in boundaries]) / tokens
                for part in ("forward", "backward", "sync")}
        energy = [boundary["diagnostics/energy_kept"][-1] for boundary in boundaries
                  if len(boundary.get("diagnostics/energy_kept", []))]
        return {"budget": folder.parent.name, "tokens_per_parameter": round(tokens / parameters(deck["model"]), 2),
                "tokens": tokens, "method": method, "ratio": int(ratio), "seed": deck["run"]["seed"],
                "validation_loss": round(float(file["validation/loss"][-1]), 5),
                **{f"bytes_{part}_per_token": round(float(value), 2) for part, value in size.items()},
                "energy_kept": round(float(np.mean(energy)), 4) if energy else "",
                "strait": trainings.revision(file)}


def all_bytes(row):
    return sum(row[f"bytes_{part}_per_token"] for part in ("forward", "backward", "sync"))


class Results:
    """Rows by budget, method and ratio, and their spread over the seeds."""

    def __init__(self, rows):
        self.rows = rows
        self.budgets = sorted({(row["tokens_per_parameter"], row["budget"]) for row in rows})
        self.plain = {(row["budget"], row["seed"]): row["validation_loss"] for row in rows if row["method"] == "none"}
        self.loss_spread = {name: self.spread(name, "validation_loss") for _, name in self.budgets}
        self.excess_spread = {name: self.spread(name, "excess") for _, name in self.budgets}

    def select(self, budget, method, ratio):
        return [row for row in self.rows
                if row["budget"] == budget and row["method"] == method and row["ratio"] in (0, ratio)]

    def value(self, row, what):
        """The loss, or its excess in percent over that of the run without a codec with the same seed."""
        if what != "excess":
            return row[what]
        plain = self.plain.get((row["budget"], row["seed"]))
        return None if plain is None else 100 * (row["validation_loss"] / plain - 1)

    def values(self, rows, what):
        return [value for row in rows if (value := self.value(row, what)) is not None]

    def spread(self, budget, what):
        """Half of a single run's 95 % confidence interval, from all methods with several seeds taken together."""
        squares, degrees = 0.0, 0
        for method, ratio in {(row["method"], row["ratio"]) for row in self.rows}:
            values = self.values([r for r in self.select(budget, method, ratio) if r["ratio"] == ratio], what)
            if len(values) > 1 and not (what == "excess" and method == "none"):
                squares += float(np.var(values)) * len(values)
                degrees += len(values) - 1
        if not degrees:
            return None
        return (STUDENT[degrees - 1] if degrees <= len(STUDENT) else 1.96) * math.sqrt(squares / degrees)

    def ratios(self):
        return sorted({row["ratio"] for row in self.rows} - {0}) or [0]

    def methods(self, ratio):
        return list(dict.fromkeys(row["method"] for row in self.rows if row["ratio"] in (0, ratio)))


def cell(results, budget, method, ratio):
    rows = results.select(budget, method, ratio)
    if not rows:
        return ""
    text = f"{np.mean([row['validation_loss'] for row in rows]):.3f}"
    excess = results.values(rows, "excess")
    if excess and method != "none":
        text += f" ({np.mean(excess):+.1f}"
        if len(excess) > 1:
            text += f" ± {results.excess_spread[budget] / math.sqrt(len(excess)):.1f}"
        text += " %)"
    return text


def passing(results, ratio, other):
    """Says at which budgets MAPL's loss is below another method's, and where the noise of seeds leaves that open.

    A budget without repeated seeds borrows the largest spread of the others.
    """
    known = [spread for spread in results.excess_spread.values() if spread is not None]
    found = {"ahead": [], "level within noise": [], "behind": []}
    each = []
    for per_parameter, budget in results.budgets:
        mine = {row["seed"]: row["validation_loss"] for row in results.select(budget, "mapl", ratio)}
        theirs = {row["seed"]: row["validation_loss"] for row in results.select(budget, other, ratio)}
        common = mine.keys() & theirs.keys()
        if not common:
            continue
        difference = np.mean([mine[seed] - theirs[seed] for seed in common])
        spread = results.excess_spread[budget] or max(known, default=0)
        noise = spread / 100 * np.mean(list(mine.values())) * math.sqrt(2 / len(common))
        verdict = "ahead" if difference < -noise else "behind" if difference > noise else "level within noise"
        found[verdict].append(f"{per_parameter:g}")
        each.append(f"{difference:+.3f}" + (f" ± {noise:.3f}" if noise else "") + f" at {per_parameter:g}")
    if not each:
        return None
    verdicts = "; ".join(f"{verdict} at {', '.join(budgets)}" for verdict, budgets in found.items() if budgets)
    caution = "" if known else " (one seed)"
    return f"- mapl against {other}: {verdicts} tokens per parameter{caution}. Difference of loss: {', '.join(each)}."


def table(results):
    text = ""
    for ratio in results.ratios():
        heads = [f"{per_parameter:g} tokens per parameter" for per_parameter, _ in results.budgets]
        text += f"\n### {ratio}x\n\n| method | bytes per token and boundary | " + " | ".join(heads) + " |\n"
        text += "|---" * (2 + len(heads)) + "|\n"
        for method in results.methods(ratio):
            rows = [row for _, budget in results.budgets for row in results.select(budget, method, ratio)]
            cells = [cell(results, budget, method, ratio) for _, budget in results.budgets]
            text += f"| {method} | {np.mean([all_bytes(row) for row in rows]):.1f} | " + " | ".join(cells) + " |\n"
        others = ("ssn", "fixed", "unconstrained", "mapl, no anchors")
        said = [sentence for other in others if (sentence := passing(results, ratio, other))]
        text += "\n" + "\n".join(said) + "\n" if said else ""
    return text


def plot(results, path):
    figure, panels = plt.subplots(1, len(results.budgets), figsize=(4.2 * len(results.budgets), 4.6), squeeze=False,
                                  constrained_layout=True)
    names = list(dict.fromkeys(row["method"] for row in results.rows))
    look = {name: {"color": f"C{index % 10}", "marker": "os^Dv"[index // 3 % 5]} for index, name in enumerate(names)}
    handles = {}
    for axes, (per_parameter, budget) in zip(panels[0], results.budgets):
        for name in names:
            points = []
            for ratio in sorted({row["ratio"] for row in results.rows if row["method"] == name}):
                rows = [row for row in results.select(budget, name, ratio) if row["ratio"] == ratio]
                if rows:
                    half = results.loss_spread[budget] if len(rows) > 1 else None
                    points.append((np.mean([all_bytes(row) for row in rows]),
                                   np.mean([row["validation_loss"] for row in rows]),
                                   half / math.sqrt(len(rows)) if half else np.nan))
            if points:
                size, loss, half = zip(*points)
                handles[name] = axes.errorbar(size, loss, yerr=None if np.isnan(half).all() else half, markersize=5,
                                              linewidth=1, capsize=3, label=name, **look[name])
        axes.set(xlabel="bytes per token and boundary", title=f"{per_parameter:g} tokens per parameter")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    panels[0][0].set_ylabel("validation loss (nats per token)")
    figure.legend(handles=list(handles.values()), loc="lower center", ncol=4, frameon=False, fontsize=8,
                  bbox_to_anchor=(0.5, -0.14))
    figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(figure)


def write(output, methods):
    """results.csv, table.md and loss_by_bytes.png in `output`, of all finished runs below it; `methods` come first."""
    rows = [row for job in sorted(output.glob("*/*/job")) if (row := read_run(job.parent))]
    rows.sort(key=lambda row: methods.index(row["method"]) if row["method"] in methods else len(methods))
    if not rows:
        print(f"{output}: no finished run")
        return
    with open(output / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: (row["tokens"], row["ratio"], row["seed"])))
    results = Results(rows)
    (output / "table.md").write_text(table(results))
    plot(results, output / "loss_by_bytes.png")
    print((output / "table.md").read_text())
