#!/usr/bin/python3
"""Two runs of strait_benchmark beside each other: what has become slower, what faster.

    perf/compare_benchmarks.py OLD.json NEW.json [--threshold 10%] [--filter REGEX] [--all]

The files are those of --benchmark_out; `make bench` writes one, with repetitions. A benchmark is judged by the share of
the machine's rate that it reaches (of a large product or of a copy, whichever it comes nearer to; both are measured
beside it), so that a machine that is slower as a whole changes nothing, and by its time where it counts no work. Values
are medians of the repetitions; their noise is the distance of the quartiles. A change counts when it is larger than the
threshold and than the noise of both runs together.

Exit code: 0 without a regression, 1 with one, 2 where the files cannot be compared.
"""

import argparse
import dataclasses
import json
import re
import statistics
import sys

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
ROOFLINES = ("of_gemm", "of_copy")
DECORATION = re.compile(r"/(?:real_time|process_time|manual_time|iterations:\d+|repeats:\d+|min_time:[\d.]+)(?=/|$)")


class Incomparable(Exception):
    pass


@dataclasses.dataclass
class Values:
    """One quantity of one benchmark, over its repetitions."""

    values: list

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """Distance of the quartiles, as a share of the median."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return (high - low) / self.median


@dataclasses.dataclass
class Benchmark:
    seconds: Values
    shares: dict  # roofline: Values


@dataclasses.dataclass
class Row:
    name: str
    roofline: str  # "" where the time decides
    old: float  # the share, or seconds
    new: float
    gain: float  # above 1: better
    speed: float  # above 1: less time
    noise: float  # of the gain
    change: str  # "slower", "faster" or ""


def read(path):
    """Context and benchmarks by name."""
    try:
        with open(path) as file:
            content = json.load(file)
        entries, context = content["benchmarks"], content["context"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Incomparable(f"{path}: not a JSON file of Google Benchmark ({error})") from None
    clock = "cpu_time" if context.get("clock", "processor") == "processor" else "real_time"
    found = {}
    for entry in entries:
        if entry.get("run_type") == "aggregate":
            continue
        name = DECORATION.sub("", entry["name"])
        if entry.get("error_occurred"):
            raise Incomparable(f"{path}: {name} failed: {entry.get('error_message', '')}")
        one = found.setdefault(name, Benchmark(Values([]), {}))
        one.seconds.values.append(entry[clock] * UNITS[entry["time_unit"]])
        for roofline in ROOFLINES:
            if roofline in entry:
                one.shares.setdefault(roofline, Values([])).values.append(entry[roofline])
    if not found:
        raise Incomparable(f"{path}: no benchmarks")
    return context, found


def compare(name, old, new, threshold):
    speed = old.seconds.median / new.seconds.median
    common = [roofline for roofline in ROOFLINES if roofline in old.shares and roofline in new.shares]
    if common:
        roofline = max(common, key=lambda key: old.shares[key].median)
        before, after = old.shares[roofline], new.shares[roofline]
        gain = after.median / before.median
    else:
        roofline, before, after, gain = "", old.seconds, new.seconds, speed
    noise = before.spread + after.spread
    # A regression by t divides the gain by 1 + t, an improvement multiplies it: the same bar both ways.
    size = max(gain, 1 / gain) - 1
    change = ("faster" if gain > 1 else "slower") if size > threshold and size > noise else ""
    return Row(name, roofline, before.median, after.median, gain, speed, noise, change)


def quantity(roofline, value):
    if roofline:
        return f"{100 * value:.1f} %"
    return next(f"{value / UNITS[unit]:.3g} {unit}" for unit in ("s", "ms", "us", "ns") if value >= UNITS[unit] or unit == "ns")


def table(rows):
    cells = [["benchmark", "of", "old", "new", "new / old", "noise", "speed by time", ""]]
    for row in rows:
        cells.append([row.name, row.roofline.removeprefix("of_") or "time", quantity(row.roofline, row.old),
                      quantity(row.roofline, row.new), f"{row.gain:.3f}", f"{100 * row.noise:.1f} %",
                      f"{row.speed:.3f}", row.change.upper() if row.change == "slower" else row.change])
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                       for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def fraction(text):
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, expected for example 10% or 0.1") from None
    if not 0 <= value < 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1000 %")
    return value


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--threshold", type=fraction, default=0.1, help="smallest change that counts; default: 10%%")
    parser.add_argument("--filter", default="", help="only benchmarks whose name has this regular expression")
    parser.add_argument("--all", action="store_true", help="print unchanged benchmarks too")
    options = parser.parse_args(arguments)
    try:
        old_context, old = read(options.old)
        new_context, new = read(options.new)
        names = [name for name in old if name in new and re.search(options.filter, name)]
        if not names:
            raise Incomparable("the files have no benchmark in common")
    except Incomparable as error:
        print(error, file=sys.stderr)
        return 2
    for key in ("strait", "processor", "compiler", "kokkos", "concurrency", "clock"):
        before, after = old_context.get(key, "unknown"), new_context.get(key, "unknown")
        print(f"{key + ':':13s} {before}" + (f"  ->  {after}" if after != before else ""))
    rows = sorted((compare(name, old[name], new[name], options.threshold) for name in names), key=lambda row: row.gain)
    shown = [row for row in rows if row.change or options.all]
    if shown:
        print("\n" + table(shown))
    slower, faster = (sum(row.change == kind for row in rows) for kind in ("slower", "faster"))
    print(f"\n{len(rows)} compared at {100 * options.threshold:g} %: {slower} slower, {faster} faster, median of all "
          f"{statistics.median(row.gain for row in rows):.3f} by share, {statistics.median(row.speed for row in rows):.3f} by time")
    if any(len(run[name].seconds.values) < 3 for run in (old, new) for name in names):
        print("some have fewer than three repetitions: their noise is not known")
    for what, missing in (("only in the old file", set(old) - set(new)), ("only in the new file", set(new) - set(old))):
        missing = sorted(name for name in missing if re.search(options.filter, name))
        if missing:
            print(f"{what}: {', '.join(missing)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
