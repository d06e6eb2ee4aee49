#!/usr/bin/env python3
"""Trains one model through every boundary codec on the same tokens, and says what the narrow boundaries cost.

    prepare_text.py --text FILE...                       once: tokens in data/convergence
    compare.py [DECK...] [--output output/convergence]   default: inputs/compare-{short,medium,long}.toml

Each deck is a budget. Runs are queued so that the most telling come first, two at a time, each pinned to a core. The
comparison can be stopped and started at any time: finished runs stay, an interrupted one goes on from its last
checkpoint. A codec that the executable refuses is left out and asked for again the next time. Afterwards, and with
--report at any time, results.csv, table.md and loss_by_bytes.png in the output folder hold what there is.

    compare.py --with "slow:codec.name=mapl,codec.projector_learning_rate=4e-4"      adds a method
"""
import argparse
import itertools
import pathlib
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import report  # noqa: E402
import trainings  # noqa: E402

DECKS = [trainings.ROOT / "inputs" / f"compare-{budget}.toml" for budget in ("short", "medium", "long")]

# Settings of the deck's [codec]. RANK and ENTRIES depend on the ratio; methods without them run once, at a ratio of
# their own. An entry of topk is 4 bytes and a column of 2 forward, 4 bytes back: 10 for the 8 of a rank's number.
RANK, ENTRIES = "RANK", "ENTRIES"
CODEWORDS = {"rvq.groups": 4, "rvq.rounds": 2, "rvq.codewords": 256}
MAIN = {
    "none": {"name": "none"},
    "mapl": {"name": "mapl", "rank": RANK},
    "ssn": {"name": "ssn", "rank": RANK},
    "fixed": {"name": "fixed", "rank": RANK},
    "int4": {"name": "int4"},
    "unconstrained": {"name": "unconstrained", "rank": RANK},
    "mapl, no anchors": {"name": "mapl", "rank": RANK, "anchors": "none"},
}
FURTHER = {
    # With the gradients in 16 bits about twice the ratio of mapl, in 8 bits three times, as codewords five times.
    "mapl, rvq": {"name": "mapl", "rank": RANK, **CODEWORDS},
    "mapl, rvq, int8 back": {"name": "mapl", "rank": RANK, **CODEWORDS, "rvq.backward": "int8"},
    "mapl, rvq back": {"name": "mapl", "rank": RANK, **CODEWORDS, "rvq.backward": "rvq"},
    "mapl, anchors from embedding": {"name": "mapl", "rank": RANK, "anchor_init": "embedding"},
    "mapl, static anchors": {"name": "mapl", "rank": RANK, "anchors": "static"},
    "mapl, full anchors": {"name": "mapl", "rank": RANK, "anchors": "full"},
    "topk": {"name": "topk", "k": ENTRIES},
    "int2": {"name": "int2"},
}


def parse_method(text):
    """NAME:table.key=value,... as a method's name and settings."""
    name, _, settings = text.partition(":")
    values = dict(setting.split("=", 1) for setting in settings.split(",")) if settings else {}
    if not name or not values or not all(key.startswith("codec.") for key in values):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME:codec.key=value,...")
    return name, {key.removeprefix("codec."): value for key, value in values.items()}


def make_job(deck, method, settings, ratio, seed, output):
    hidden = tomllib.loads(deck.read_text())["model"]["hidden"]
    scaled = {RANK: hidden // ratio, ENTRIES: 4 * hidden // (5 * ratio)}
    if not scaled.keys() & settings.values():
        ratio = 0
    name = method.replace(", ", "-").replace(" ", "-") + (f"-{ratio}x" if ratio else "")
    values = {f"codec.{key}": scaled.get(value, value) for key, value in settings.items()}
    return trainings.Job(deck, (method, ratio), {"run.seed": seed, **values},
                         output / deck.stem / f"{name}-seed{seed}")


def queue(arguments):
    """All runs, the most telling first: for each seed and ratio the main methods, then the others."""
    jobs = {}
    sets = (MAIN, {**FURTHER, **dict(arguments.extra)})
    for seed, ratio, methods, deck in itertools.product(arguments.seeds, arguments.ratios, sets, arguments.decks):
        for method, settings in methods.items():
            if not arguments.methods or method in arguments.methods:
                job = make_job(deck, method, settings, ratio, seed, arguments.output)
                jobs.setdefault(job.folder, job)
    return list(jobs.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decks", nargs="*", type=pathlib.Path, default=DECKS, metavar="DECK")
    trainings.add_options(parser, "output/convergence")
    parser.add_argument("--ratios", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--with", dest="extra", nargs="+", type=parse_method, default=[], metavar="NAME:SETTINGS")
    arguments = parser.parse_args()
    workers = trainings.Workers(arguments, queue(arguments))
    workers.run()
    report.write(arguments.output, [*MAIN, *FURTHER])
    sys.exit(workers.exit_code())


if __name__ == "__main__":
    main()
