# SPDX-License-Identifier: Apache-2.0
"""launch: the container launch storm, root file system by root file system."""

import resource

import psutil

from pybench.workloads.definition import Bystander, Parameter, Params, SimulationTraits, Workload
from pybench.workloads.mount import OWN_MOUNTS, mount_limit

STRATEGIES = ("plain", "chown", "binds", "fds", "parent", "parentfd")
# Overlay's own limit, the same in every kernel so far.
MOST_LAYERS = 500
# A layer's file in a tmpfs: its page, its inode and its name.
TMPFS_BYTES_A_FILE = 4096 + 1024
# Wall time of one layer of one container on one thread in ns, by strategy, measured on a 2-CPU virtual machine:
# binds and fds wait for a grace period per layer.
NS_A_LAYER = {"plain": 9e3, "chown": 40e3, "binds": 80e3, "fds": 65e3, "parent": 10e3, "parentfd": 16e3}


def typical_ns(params: Params, threads: int) -> int:
    """Return the approximate time to launch all containers, in ns."""
    layers = int(params["containers"]) * int(params["layers"]) * int(params["passes"])
    each = NS_A_LAYER[str(params["strategy"])]
    if params["strategy"] == "chown":
        each *= int(params["files"])
    arrival = str(params["arrival"])
    at_least = int(params["containers"]) / int(arrival.removeprefix("rate:")) if arrival.startswith("rate:") else 0
    return max(round(layers * each / min(threads, 2)), round(at_least * 1e9))


def host_conflict(params: Params, threads: int) -> str | None:
    """Return which limit the trial would exceed (overlay's layers, mounts, descriptors, memory), or None."""
    strategy, layers, containers = str(params["strategy"]), int(params["layers"]), int(params["containers"])
    if layers > MOST_LAYERS:
        return f"layers={layers}: overlay takes at most {MOST_LAYERS} lower layers; lower --layers"
    in_flight = threads * (layers + 1 if strategy == "binds" else 2)
    mounts = int(params["table"]) + in_flight + (containers if params["keep"] == "yes" else 0) + OWN_MOUNTS
    limit = mount_limit()
    if limit is not None and mounts > limit:
        return f"it needs {mounts} mounts and fs.mount-max is {limit}; raise it: sysctl fs.mount-max={mounts}"
    fds = threads * (layers + 8 if strategy in ("fds", "parentfd") else 8) + 64
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard not in (resource.RLIM_INFINITY, -1) and fds > hard:
        return f"it needs {fds} open files and the hard limit is {hard}; raise it: ulimit -Hn {fds}"
    return _memory(params, threads)


def _memory(params: Params, threads: int) -> str | None:
    if params["fs"] != "tmpfs":
        return None
    a_container = int(params["layers"]) * int(params["files"]) * TMPFS_BYTES_A_FILE
    copies = 0
    if params["strategy"] == "chown":
        copies = int(params["containers"]) if params["keep"] == "yes" else threads
    needed, available = a_container * (1 + copies), psutil.virtual_memory().available
    if needed > available * 0.8:
        return (
            f"its tmpfs needs {needed / 2**30:.1f} GiB of {available / 2**30:.1f} GiB available; "
            "lower files or containers, or use --fs DIR"
        )
    return None


def _count(name: str, text: str, default: int, low: int = 0, high: int = 10**6) -> Parameter:
    return Parameter(name=name, default=default, low=low, high=high, help=text)


def _role(name: str, text: str) -> tuple[Parameter, Parameter]:
    where = f"placement of the {name} [as the launches]"
    return (
        Parameter(name=name, default=0, high=1024, help=text),
        Parameter(name=f"{name[:-1]}_place", default="", pattern=".*", shape="WORDS", help=where),
    )


def _not_simulated(params: Params) -> str | None:
    if str(params["arrival"]).startswith("rate:"):
        return "arrival rate:N is not modelled; there are burst and closed"
    return None


WORKLOAD = Workload(
    name="launch",
    kernel_memory=True,
    summary="root file systems assembled as container runtimes do, many at once",
    operation="launches",
    latency="launch",
    parameters=(
        Parameter(
            name="strategy",
            default="binds",
            choices=STRATEGIES,
            help="plain: host users; chown: copy and chown; binds: an id-mapped bind per layer; fds: id-mapped "
            "descriptors; parent: one id-mapped bind; parentfd: one id-mapped descriptor",
        ),
        _count("containers", "containers per trial", 100, low=1),
        _count("layers", "layers of the image", 50, low=1),
        _count("passes", "assemblies of each root per launch (the incident's runtime: 2)", 1, low=1, high=10),
        _count("files", "files per layer, 1 KiB each", 1, low=1, high=100_000),
        Parameter(
            name="arrival",
            default="burst",
            choices=("closed", "burst"),
            pattern=r"rate:[1-9]\d{0,6}",
            shape="closed|burst|rate:N",
            help="containers arrive when a thread is free, all at once, or N per second; latency starts there",
        ),
        Parameter(
            name="userns",
            default="shared",
            choices=("shared", "container"),
            help="one user namespace for all containers, or one each",
        ),
        Parameter(
            name="umount",
            default="detach",
            choices=("sync", "detach"),
            help="unmount bound layers synchronously, or detach them",
        ),
        Parameter(name="readonly", default="no", choices=("no", "yes"), help="bind layers read-only"),
        Parameter(
            name="keep", default="no", choices=("no", "yes"), help="keep roots mounted until the end of the trial"
        ),
        Parameter(
            name="fs",
            default="tmpfs",
            choices=("tmpfs",),
            pattern=r"/.{0,250}",
            shape="tmpfs|DIR",
            help="file system of the layers: a tmpfs, or a folder that is made below DIR and removed",
        ),
        _count("think_ns", "think time of a thread between launches, ns", 0, high=10**10),
        _count("table", "mounts in the table before the launches", 0, high=90_000),
        _count("deadline_ms", "time after which a launch or probe is late, ms", 30_000, low=1, high=10**7),
        *_role("readers", "threads that re-read mountinfo at each change, as systemd and kubelet do"),
        *_role("listers", "threads that list the mounts at each change by listmount and statmount"),
        *_role("walkers", "threads that stat a path in a loop"),
        *_role("probers", "threads that run health checks: walk a path, read the table"),
        _count("probe_every_ms", "interval of health checks, ms", 100, low=1, high=10**6),
    ),
    host_conflict=host_conflict,
    bystanders=tuple(
        Bystander(count=name, place=f"{name[:-1]}_place") for name in ("readers", "listers", "walkers", "probers")
    ),
    typical_ns=typical_ns,
    sleeps=lambda _: True,
    simulation=SimulationTraits(
        model="launch",
        fixed=(
            *("files", "userns", "umount", "readonly", "keep", "fs", "think_ns", "table"),
            *("readers", "listers", "walkers", "probers"),
            *("reader_place", "lister_place", "walker_place", "prober_place"),
        ),
        refusal=_not_simulated,
    ),
)
