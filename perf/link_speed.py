#!/usr/bin/python3
"""Draws tokens per second against the bandwidth of the links between stages, for codecs and schedules, as simulated.

    perf/link_speed.py [--speed 500] [--latency 1e-3] [--output docs/tokens_by_bandwidth.png]

The model is that of perf/link_speed.toml, LLaMA-150M in four stages. `strait profile` measures the
layers and each codec once on a core here, some minutes each (kept in --work, and not measured again);
`strait simulate` does the rest. --speed makes the simulated ranks as many times faster than a core of this machine.
Schedules that the executable does not know are left out.
"""

import argparse
import csv
import io
import os
import pathlib
import shutil
import subprocess
import sys

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent
DECK = ROOT / "perf" / "link_speed.toml"
MICRO_BATCHES = 64  # of a step there
CODEWORDS = {"rvq.groups": 8, "rvq.rounds": 2, "rvq.codewords": 256, "rvq.backward": "int8", "rvq.fraction": 1 / 256,
             "rvq.decay": 0.99}
# Of 1024 columns in bfloat16: 4,096 bytes per token, there and back.
CODECS = {
    "none": ({"name": "none"}, "#444444"),
    "mapl 4x": ({"name": "mapl", "rank": 256}, "#4c78a8"),
    "mapl 8x": ({"name": "mapl", "rank": 128}, "#54a24b"),
    "mapl with codewords 16x": ({"name": "mapl", "rank": 216, **CODEWORDS}, "#e45756"),
}
SCHEDULES = {"gpipe": "GPipe", "1f1b": "1F1B", "zb-h1": "ZB-H1", "pipedream": "PipeDream (asynchronous)"}
BANDWIDTHS = numpy.logspace(6, 11, 51)


def words(settings):
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def settings_of(codec, schedule):
    settings = {f"codec.{key}": value for key, value in CODECS[codec][0].items()}
    if schedule:
        settings["pipeline.schedule"] = schedule
    if schedule == "pipedream":
        settings["training.sequences_per_step"] = 1  # an update for each micro-batch
    return words(settings)


def run(command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True,
                          env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))


def profile(codec, options):
    path = options.work / f"link_speed_{codec.replace(' ', '_')}.h5"
    if not path.exists():
        print(f"profiling {codec}", flush=True)
        result = run([options.build / "strait", "profile", DECK,
                      *settings_of(codec, None), "--output", path])
        if result.returncode != 0:
            sys.exit(result.stdout + result.stderr)
    return path


def share_layers(profiles):
    """Layers cost the same whatever the codec: all profiles take those that were measured with the least disturbance."""
    def seconds(path):
        with h5py.File(path) as file:
            return sum(float(file[f"layer/{part}"][:, 0].sum()) for part in ("forward", "backward_input", "backward_weight"))
    best = min(profiles.values(), key=seconds)
    for path in profiles.values():
        if path != best:
            with h5py.File(best) as source, h5py.File(path, "r+") as target:
                del target["layer"]
                source.copy("layer", target)


def per_micro_batch(path):
    """A copy for steps of one micro-batch: the automatic interval spreads the exchange of projectors over as many of
    them whatever a step is, and codewords travel with each."""
    copy = path.with_name(f"{path.stem}_per_micro_batch.h5")
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        for cost in ("bytes_sync_up", "bytes_sync_down", "update"):
            file[f"boundary/{cost}"][...] /= MICRO_BATCHES
    return copy


def simulate(codec, schedule, path, options):
    """Tokens per second at each bandwidth; nothing where the executable has no such schedule."""
    if schedule == "pipedream":
        path = per_micro_batch(path)
    result = run([options.build / "strait", "simulate", DECK, *settings_of(codec, schedule), "--profile", path,
                  "--latency", options.latency, "--speed", options.speed, "--bandwidth", *BANDWIDTHS])
    if result.returncode == 2 and "schedule" in result.stderr:
        print(f"left out: {result.stderr.strip()}")
        return None
    if result.returncode != 0:
        sys.exit(result.stdout + result.stderr)
    return [float(row["tokens_per_second"]) for row in csv.DictReader(io.StringIO(result.stdout))]


def draw(speeds, options):
    schedules = [schedule for schedule in SCHEDULES if schedule in speeds]
    rows = (len(schedules) + 1) // 2
    figure, panels = plt.subplots(rows, 2, figsize=(9.5, 3.6 * rows + 0.6), sharex=True, sharey=True, squeeze=False,
                                  constrained_layout=True)
    for panel, schedule in zip(panels.flat, schedules):
        for codec, (_, colour) in CODECS.items():
            panel.plot(BANDWIDTHS, speeds[schedule][codec], color=colour, linewidth=1.8, label=codec)
        panel.set(title=SCHEDULES[schedule], xscale="log", yscale="log")
        panel.grid(True, which="major", color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.minorticks_off()
        panel.set_xticks([1e6, 1e7, 1e8, 1e9, 1e10, 1e11], ["1 Mbit/s", "10", "100", "1 Gbit/s", "10", "100"])
    for panel in panels.flat[len(schedules):]:
        panel.set_visible(False)
    for panel in panels[:, 0]:
        panel.set_ylabel("tokens per second")
    for panel in panels[-1]:
        panel.set_xlabel("bandwidth of a link, each way")
    panels.flat[0].legend(frameon=False, fontsize=9)
    figure.suptitle(f"LLaMA-150M in four stages, {options.latency * 1e3:g} ms latency, ranks {options.speed:g} times "
                    "as fast as one core", fontsize=11)
    figure.savefig(options.output, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=500)
    parser.add_argument("--latency", type=float, default=1e-3, help="seconds")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "perf", help="profiles")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs" / "tokens_by_bandwidth.png")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    profiles = {codec: profile(codec, options) for codec in CODECS}
    share_layers(profiles)
    speeds = {}
    for schedule in SCHEDULES:
        found = {codec: simulate(codec, schedule, path, options) for codec, path in profiles.items()}
        if all(found.values()):
            speeds[schedule] = found
    draw(speeds, options)
    table = options.output.with_suffix(".csv")
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["schedule", "codec", "bandwidth", "tokens_per_second"])
        for schedule, codecs in speeds.items():
            for codec, values in codecs.items():
                writer.writerows([schedule, codec, f"{b:.4g}", f"{v:.5g}"] for b, v in zip(BANDWIDTHS, values))
    print(options.output, table)


if __name__ == "__main__":
    main()
