"""Runs one block of steps of strait or of PyTorch in new, pinned processes and watches what they use."""

import dataclasses
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
OPENBLAS_OPENMP = pathlib.Path("/usr/lib/x86_64-linux-gnu/openblas-openmp")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Block:
    seconds: float  # median of the steps that count
    busy: float  # cores that the processes kept busy while they trained
    foreign: float  # cores that everything else on the machine used
    peak_bytes: int  # peak resident memory, summed over the processes
    first_loss: float


def processor_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def pytorch_version(python=PYTHON):
    result = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    if result.returncode != 0:
        failed(f"{python} -c 'import torch'", result.stderr)
    return result.stdout.strip()


def gemm_rate(mode, threads, python=PYTHON):
    """Floating-point operations a second of a large product in the mode's precision, and the device's name."""
    command = [python, str(ROOT / "perf" / "pytorch_gemm.py"), "--device", mode.device, "--precision", mode.precision]
    command = [*pinned(mode, range(threads)), *command, "--threads", str(threads)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), **openblas_environment(mode))
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        failed(" ".join(command), result.stderr)
    found = json.loads(result.stdout)
    return found["flops_per_second"], found["device"]


def pinned(mode, cores):
    """The front of a command that keeps it on these cores; a device's host threads go where they like."""
    return ["taskset", "-c", ",".join(map(str, cores))] if mode.device == "cpu" else []


def openblas_environment(mode):
    return {"LD_LIBRARY_PATH": str(OPENBLAS_OPENMP)} if mode.device == "cpu" and OPENBLAS_OPENMP.is_dir() else {}


def pytorch_blas():
    return "openblas-openmp" if OPENBLAS_OPENMP.is_dir() else "the system's BLAS (no libopenblas0-openmp)"


class Watch(threading.Thread):
    """Samples processor time and peak memory of every process below this one whose name is `name`."""

    PERIOD = 0.1

    def __init__(self, name):
        super().__init__(daemon=True)
        self.name_watched = name
        self.samples = []  # (time, processor seconds of ours, of the whole machine)
        self.peaks = {}
        self.stopped = threading.Event()

    def run(self):
        used = {}
        while not self.stopped.wait(self.PERIOD):
            for pid in self.descendants():
                try:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                used[pid] = (int(fields[11]) + int(fields[12])) / TICKS
                for line in status.splitlines():
                    if line.startswith("VmHWM:"):
                        self.peaks[pid] = int(line.split()[1]) * 1024
            machine = open("/proc/stat").readline().split()[1:]
            total = sum(int(machine[i]) for i in (0, 1, 2, 5, 6)) / TICKS
            self.samples.append((time.monotonic(), sum(used.values()), total))

    def descendants(self):
        children, names = {}, {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    head, tail = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)
                except (FileNotFoundError, ProcessLookupError):
                    continue
                names[int(entry)] = head.split("(", 1)[1]
                children.setdefault(int(tail.split()[1]), []).append(int(entry))
        found, queue = [], list(children.get(os.getpid(), []))
        while queue:
            pid = queue.pop()
            queue += children.get(pid, [])
            if names[pid].startswith(self.name_watched):
                found.append(pid)
        return found

    def finish(self):
        self.stopped.set()
        self.join()

    def rates(self, seconds):
        """Cores of ours in the busiest window of this length, and cores of the others in it."""
        best = (0.0, 0.0)
        begin = 0
        for now, ours, machine in self.samples:
            while begin + 1 < len(self.samples) and now - self.samples[begin + 1][0] >= seconds:
                begin += 1
            then, ours_before, machine_before = self.samples[begin]
            if now - then >= seconds:
                rate = (ours - ours_before) / (now - then)
                best = max(best, (rate, (machine - machine_before) / (now - then) - rate))
        return best


def block_of(watch, seconds, first_loss, dropped):
    counted = seconds[dropped:]
    busy, foreign = watch.rates(0.9 * sum(counted))
    return Block(statistics.median(counted), busy, foreign, sum(watch.peaks.values()), first_loss)


def failed(what, output):
    sys.exit(f"{what} failed:\n{output}")


class Strait:
    """strait on the build's launcher, one rank per core, or with OpenMP per `threads` cores; on CUDA as many
    ranks, on one GPU."""

    def __init__(self, name, cores, overrides=(), asked="", threads=None):
        self.name, self.cores, self.overrides = name, cores, overrides
        self.asked = asked  # of the ratio to PyTorch's fastest
        self.threads = threads  # of each rank of a build with OpenMP; None: the other build

    def missing(self, version, options):
        return "no build with OpenMP given (--openmp-build)" if self.threads and not options.openmp_build else ""

    def run(self, mode, data, steps, dropped, options):
        import h5py

        output = options.work / "strait"
        shutil.rmtree(output, ignore_errors=True)
        build, threads = (options.openmp_build, self.threads) if self.threads else (options.build, 1)
        ranks = [self.cores[first : first + threads] for first in range(0, len(self.cores), threads)]
        overrides = [f"run.steps={steps}", f'data.train=["{data}"]', f"pipeline.stages={len(ranks)}"]
        overrides += [*mode.overrides, *self.overrides, *options.set]
        program = [str(build / "strait"), mode.deck, "--output", str(output)]
        program += [word for override in overrides for word in ("--set", override)]
        command = [str(build / "mpiexec")]
        for cores in ranks:
            command += [":"] if cores != ranks[0] else []
            command += ["-n", "1", *pinned(mode, cores), *program]
        watch = Watch("strait")
        watch.start()
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_PROC_BIND="true", OPENBLAS_NUM_THREADS="1")
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        watch.finish()
        if result.returncode != 0:
            failed(" ".join(command), result.stdout + result.stderr)
        with h5py.File(output / "metrics.h5", "r") as metrics:
            seconds = [float(value) for value in metrics["/train/seconds"][:]]
            losses = [float(value) for value in metrics["/train/loss"][:]]
        shutil.rmtree(output)
        return block_of(watch, seconds, losses[0], dropped)


class Pytorch:
    """pytorch_llama.py: one process with a thread per core, or the two processes of a pipeline."""

    # Memory is kept instead of being given back to the system and faulted in again at every step.
    ENVIRONMENT = {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "34359738368",
        "MALLOC_TOP_PAD_": "268435456",
        "OMP_PROC_BIND": "true",
    }

    def __init__(self, name, cores, micro_batches=1, pipeline=False, operations="autograd"):
        self.name, self.cores = name, cores
        self.micro_batches, self.pipeline, self.operations = micro_batches, pipeline, operations

    def missing(self, version, options):
        """Why this PyTorch cannot run it; empty where it can."""
        if self.operations == "compiled" and int(version.split(".")[0]) < 2:
            return f"PyTorch {version} has no torch.compile and no scaled_dot_product_attention"
        return ""

    def commands(self, mode, data, steps, python):
        arguments = [python, str(ROOT / "perf" / "pytorch_llama.py"), "--data", str(data), "--steps", str(steps)]
        arguments += ["--micro-batches", str(self.micro_batches), "--operations", self.operations]
        arguments += ["--device", mode.device, "--precision", mode.precision]
        for key, value in mode.shape.items():
            arguments += [f"--{key.replace('_', '-')}", str(value)]
        if not self.pipeline:
            return [[*pinned(mode, self.cores), *arguments, "--threads", str(len(self.cores))]]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        return [
            [*pinned(mode, [core]), *arguments, "--rank", str(rank), "--master-port", port]
            for rank, core in enumerate(self.cores)
        ]

    def run(self, mode, data, steps, dropped, options):
        environment = dict(os.environ, **self.ENVIRONMENT, **openblas_environment(mode))
        environment["OMP_NUM_THREADS"] = "1" if self.pipeline else str(len(self.cores))
        watch = Watch("python")
        watch.start()
        processes = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for command in self.commands(mode, data, steps, options.python)
        ]
        outputs = [process.communicate() for process in processes]
        watch.finish()
        if any(process.returncode != 0 for process in processes):
            failed(self.name, "\n".join(out + error for out, error in outputs))
        ranks = [[json.loads(line) for line in out.splitlines()] for out, _ in outputs]
        seconds = [max(rank[step]["seconds"] for rank in ranks) for step in range(steps)]
        return block_of(watch, seconds, ranks[-1][0]["loss"], dropped)
