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
import dataclasses
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import tomllib

import report

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECKS = [ROOT / "inputs" / f"compare-{budget}.toml" for budget in ("short", "medium", "long")]

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


@dataclasses.dataclass
class Job:
    deck: pathlib.Path
    method: str
    ratio: int  # 0 where the method has none
    seed: int
    values: dict  # table.key -> value, over the deck's
    folder: pathlib.Path

    def command(self, strait, *arguments):
        command = [strait, self.deck, "--output", self.folder, *arguments]
        for key, value in self.values.items():
            command += ["--set", f"{key}={value}"]
        return list(map(str, command))


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
    return Job(deck, method, ratio, seed, {"run.seed": seed, **values}, output / deck.stem / f"{name}-seed{seed}")


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


def say(text):
    """One write, so that lines of two threads do not mix."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Workers:
    """Takes jobs from the queue, one at a time on each core."""

    def __init__(self, strait, jobs, cores):
        self.strait, self.jobs, self.lock = strait, list(jobs), threading.Lock()
        self.stopping, self.failed, self.running = False, [], set()
        self.threads = [threading.Thread(target=self.work, args=(core,)) for core in cores]

    def run(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()

    def stop(self, *_):
        """Runs end with a checkpoint after the step that they are in."""
        self.stopping = True
        for process in list(self.running):
            process.terminate()

    def work(self, core):
        while not self.stopping:
            with self.lock:
                if not self.jobs:
                    return
                job = self.jobs.pop(0)
            self.train(job, core)

    def train(self, job, core):
        plan = subprocess.run(job.command(self.strait, "--print-deck"), capture_output=True, text=True)
        where = job.folder.parent.name + "/" + job.folder.name
        if plan.returncode:
            say(f"left out   {where}: {plan.stderr.strip()}")
            return
        finished = report.finished_deck(job.folder / "metrics.h5")
        if finished:
            changed = report.changed_keys(finished, tomllib.loads(plan.stdout))
            say(f"finished   {where}" + (f", with other {', '.join(changed)}" if changed else ""))
            if changed:
                self.failed.append(where)
            return
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "job").write_text(f"{job.method}\n{job.ratio}\n")
        say(f"core {core}     {where}")
        with open(job.folder / "log", "a") as log:
            process = subprocess.Popen(["taskset", "-c", str(core), *job.command(self.strait, "--restart", "latest")],
                                       stdout=log, stderr=subprocess.STDOUT)
            self.running.add(process)
            if self.stopping:
                process.terminate()
            code = process.wait()
            self.running.discard(process)
        if code:
            say(f"ended      {where}: exit code {code}, see {job.folder / 'log'}")
            if not self.stopping:
                self.failed.append(where)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decks", nargs="*", type=pathlib.Path, default=DECKS, metavar="DECK")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("output/convergence"))
    parser.add_argument("--strait", type=pathlib.Path, default=ROOT / "build" / "release" / "strait")
    parser.add_argument("--ratios", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--with", dest="extra", nargs="+", type=parse_method, default=[], metavar="NAME:SETTINGS")
    parser.add_argument("--cores", nargs="+", type=int, default=sorted(os.sched_getaffinity(0))[:2])
    parser.add_argument("--report", action="store_true", help="only write what there is")
    arguments = parser.parse_args()
    workers = Workers(arguments.strait.resolve(), [] if arguments.report else queue(arguments), arguments.cores)
    workers.run()
    report.write(arguments.output, [*MAIN, *FURTHER])
    sys.exit(75 if workers.stopping else 1 if workers.failed else 0)


if __name__ == "__main__":
    main()
