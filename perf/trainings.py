"""Trains a queue of decks, a few at a time, so that a study can be stopped and started at any time."""
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import tomllib

import h5py

ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass
class Job:
    """One run of a deck. Its labels, what the study knows it by, are lines of the file `job` in its folder."""
    deck: pathlib.Path
    labels: tuple
    values: dict  # table.key -> value, over the deck's
    folder: pathlib.Path

    def command(self, strait, *arguments):
        command = [strait, self.deck, "--output", self.folder, *arguments]
        for key, value in self.values.items():
            command += ["--set", f"{key}={value}"]
        return list(map(str, command))


def finished_deck(path):
    """The deck in effect of a run that has trained and validated to its end, otherwise None."""
    try:
        with h5py.File(path, "r", swmr=True) as file:
            deck = tomllib.loads(file.attrs["deck"])
            steps = deck["run"]["steps"]
            done = len(file["train/step"]) >= steps and file["validation/step"][-1] == steps
            return deck if done else None
    except (OSError, KeyError, ValueError, IndexError):
        return None


def changed_keys(one, other):
    """Keys that both decks have with different values; a newer program may know more of them."""
    return [f"{table}.{key}" for table in one.keys() & other.keys() for key in one[table].keys() & other[table].keys()
            if one[table][key] != other[table][key] and (table, key) != ("output", "directory")]


def revision(file):
    """Of the program that wrote an open metrics.h5."""
    return file.attrs["git_hash"][:7] + "-dirty" * file.attrs["git_hash"].endswith("-dirty")


def say(text):
    """One write, so that lines of two threads do not mix."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def add_options(parser, output):
    """The options of every study."""
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(output))
    parser.add_argument("--strait", type=pathlib.Path, default=ROOT / "build" / "release" / "strait")
    parser.add_argument("--cores", nargs="+", type=int, default=sorted(os.sched_getaffinity(0))[:2])
    parser.add_argument("--report", action="store_true", help="only write what there is")


class Workers:
    """Takes jobs from the queue, one at a time on each core."""

    def __init__(self, arguments, jobs):
        self.strait, self.lock = arguments.strait.resolve(), threading.Lock()
        self.jobs = [] if arguments.report else list(jobs)
        self.stopping, self.failed, self.running = False, [], set()
        self.threads = [threading.Thread(target=self.work, args=(core,)) for core in arguments.cores]

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

    def exit_code(self):
        return 75 if self.stopping else 1 if self.failed else 0

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
        finished = finished_deck(job.folder / "metrics.h5")
        if finished:
            changed = changed_keys(finished, tomllib.loads(plan.stdout))
            say(f"finished   {where}" + (f", with other {', '.join(changed)}" if changed else ""))
            if changed:
                self.failed.append(where)
            return
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "job").write_text("".join(f"{label}\n" for label in job.labels))
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
