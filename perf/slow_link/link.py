"""Slow links between two ranks on one machine: network namespaces with token buckets. Needs root and iproute2.

`shared` is one namespace whose loopback is the link, for both directions together (half duplex). `duplex` is two
namespaces joined by a virtual cable with a bucket at each end. MPI is MPICH over TCP.
"""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import time

ADDRESSES = ["10.77.0.1", "10.77.0.2"]
ENTER = pathlib.Path(__file__).resolve().parent / "enter_namespace.sh"


@dataclasses.dataclass
class Launch:
    """How to start two ranks at the ends of a link: [*inside, MPIEXEC, *flags, "-n", ...] in `environment`."""

    inside: list
    flags: list
    environment: dict


def over_tcp(device, **more):
    # MPICH with all ranks on one machine sends over TCP only when it is told that they are not. The last setting lets
    # a message leave at once: otherwise its receiver first has to ask for it, which it does no sooner than it has
    # come to the end of a layer, and the sender to answer.
    return {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "UCX_NET_DEVICES": device, "UCX_RNDV_THRESH": "inf", **more}


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def throttle(namespace, device, bits_per_second):
    # A socket holds a few messages, so that they arrive while their receiver computes.
    for buffer in ("tcp_rmem", "tcp_wmem"):
        subprocess.run(["ip", "netns", "exec", namespace, "sysctl", "-q", "-w",
                        f"net.ipv4.{buffer}=4096 8388608 33554432"], check=True)
    # The bucket drops what is larger than itself. Smaller packets would take the ranks' processors from them, as no
    # network card helps here.
    ip("-n", namespace, "link", "set", "dev", device, "mtu", "9000", "up")
    burst = max(20 * 1024, int(bits_per_second / 8 * 1e-3))  # bytes: a millisecond
    subprocess.run(["tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf", "rate",
                    f"{bits_per_second:.0f}bit", "burst", str(burst), "limit", str(64 * 1024 * 1024)], check=True)


@contextlib.contextmanager
def namespaces(*names):
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        yield
    finally:
        for name in made:
            ip("netns", "del", name)


@contextlib.contextmanager
def shared(bits_per_second):
    name = f"strait-{os.getpid()}"
    with namespaces(name):
        throttle(name, "lo", bits_per_second)
        yield Launch(["ip", "netns", "exec", name], [], over_tcp("lo"))


@contextlib.contextmanager
def duplex(bits_per_second):
    prefix = f"strait-{os.getpid()}-"
    ends = [prefix + address for address in ADDRESSES]
    with namespaces(*ends):
        ip("link", "add", "name", "wire", "netns", ends[0], "type", "veth", "peer", "name", "wire", "netns", ends[1])
        for end, address in zip(ends, ADDRESSES):
            ip("-n", end, "addr", "add", f"{address}/24", "dev", "wire")
            ip("-n", end, "link", "set", "dev", "lo", "up")
            throttle(end, "wire", bits_per_second)
        for end in ends:
            state = ["ip", "netns", "exec", end, "cat", "/sys/class/net/wire/operstate"]
            while subprocess.run(state, check=True, capture_output=True, text=True).stdout.strip() != "up":
                time.sleep(0.05)
        flags = ["-launcher", "ssh", "-launcher-exec", ENTER, "-localhost", ADDRESSES[0],
                 "-hosts", ",".join(f"{address}:1" for address in ADDRESSES)]
        yield Launch(["ip", "netns", "exec", ends[0]], flags, over_tcp("wire", STRAIT_NAMESPACES=prefix))


LINKS = {"half duplex": shared, "full duplex": duplex}


def run(launch, mpiexec, cores, program):
    """Runs `program` on two ranks, one per core; what it prints. Ends this process if it fails."""
    command = [*launch.inside, mpiexec, *launch.flags]
    for core in cores:
        command += [":"] if core != cores[0] else []
        command += ["-n", "1", "taskset", "-c", core, *program]
    return run_alone(command, launch.environment)


def run_alone(command, environment={}):
    command = list(map(str, command))
    result = subprocess.run(command, env=dict(os.environ, OPENBLAS_NUM_THREADS="1", **environment),
                            capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    return result.stdout
