#!/usr/bin/python3
"""What a projecting boundary costs inside a run, as a share of the stages' computation.

    /usr/bin/python3 perf/codec_share.py [--rounds 3] [--set codec.anchors=full]

The model of perf/compare_small.toml at rank 128, P = 2 over MPI and P = 4 in one process pinned to a core.
Needs a release build (build/release) and python3-h5py. A middle stage works at one end of each of its two
boundaries, which is as much as both ends of one boundary. The projector is updated every 4th step here, more
often than the automatic interval does; the first step is not counted. Results are appended to
perf/RESULTS.md.
"""

import argparse
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import time

import h5py
import numpy

import side_by_side

ROOT = pathlib.Path(__file__).resolve().parent.parent
DECK = ROOT / "perf" / "compare_small.toml"
STEPS, TOKENS, VOCAB, INTERVAL = 5, 2048, 4096, 4
LAYOUTS = {"P = 2, two ranks": 2, "P = 4, emulated": 4}


def run(stages, options):
    """Seconds per step: of the step, of each stage's computation, of each boundary's ends, of an update."""
    output, tokens = options.work / "codec_share", options.work / "codec_share.bin"
    tokens.parent.mkdir(parents=True, exist_ok=True)
    numpy.random.default_rng(1).integers(0, VOCAB, STEPS * TOKENS + 1, dtype=numpy.uint16).tofile(tokens)
    sets = {"run.steps": STEPS, "data.train": f'["{tokens}"]', "checkpoint.interval": 0, "codec.name": "mapl",
            "codec.rank": 128, "codec.projector_interval": INTERVAL, "codec.diagnostics_interval": 1}
    launcher = [options.build / "mpiexec", "-n", str(stages)]
    if stages > 2:
        sets["pipeline.emulate_stages"] = stages
        launcher = ["taskset", "--cpu-list", "0"]
    words = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    words += [word for value in options.set for word in ("--set", value)]
    shutil.rmtree(output, ignore_errors=True)
    command = [*launcher, options.build / "strait", DECK, "--output", output, *words]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        side_by_side.failed("strait", result.stdout + result.stderr)
    with h5py.File(output / "metrics.h5") as file:
        mean = lambda path: float(file[path][1:].mean())
        compute = [mean(f"stage/{stage}/seconds_compute") for stage in range(stages)]
        diagnostics = [f"boundary/{p}/diagnostics" for p in range(stages - 1)]
        ends = [mean(f"{path}/encode_seconds") + mean(f"{path}/decode_seconds") for path in diagnostics]
        updates = [file[f"{path}/update_seconds"][INTERVAL - 1 :: INTERVAL].mean() for path in diagnostics]
        return mean("train/seconds"), compute, ends, float(numpy.mean(updates))


def shares(stages, options):
    """Of all ends in all computation, of a middle stage's two ends in its own, of an update in a rank's step."""
    seconds, compute, ends, update = run(stages, options)
    middle = statistics.mean(ends) / statistics.mean(compute[1:-1]) if stages > 2 else None
    step = seconds if stages == 2 else max(compute)
    return sum(ends) / sum(compute), middle, update / step


def percent(values):
    values = [100 * value for value in values if value is not None]
    if not values:
        return "no such stage"
    return f"{statistics.median(values):.2f} % ({min(values):.2f} to {max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/perf"), help="tokens and output")
    parser.add_argument("--set", action="append", default=[], help="passed on to strait")
    parser.add_argument("--no-record", action="store_true", help="leave perf/RESULTS.md as it is")
    options = parser.parse_args()
    options.build, options.work = options.build.absolute(), options.work.absolute()
    command = shlex.join(["/usr/bin/python3", "perf/codec_share.py", *sys.argv[1:]])
    lines = [f"## {time.strftime('%Y-%m-%d %H:%M')}, cost of a projecting boundary, {side_by_side.processor_name()}",
             "", f"`{command}`; {options.rounds} rounds of {STEPS - 1} counted steps.", "",
             "| layout | encode and decode, of all stages' computation | of a middle stage's (asked: at most 3 %) "
             "| one update of the projector, of a rank's step (asked: at most 1 %) |", "|---|---|---|---|"]
    for name, stages in LAYOUTS.items():
        columns = zip(*[shares(stages, options) for _ in range(options.rounds)])
        lines.append(" | ".join([f"| {name}", *map(percent, columns)]) + " |")
        print(lines[-1], flush=True)
    if not options.no_record:
        with open(ROOT / "perf" / "RESULTS.md", "a") as results:
            results.write("\n".join(["", *lines]) + "\n")


if __name__ == "__main__":
    main()
