# SPDX-License-Identifier: Apache-2.0
"""mount: real bind mounts and unmounts."""

from pathlib import Path

from pybench.workloads.definition import Parameter, Params, Workload

MOUNT_MAX = Path("/proc/sys/fs/mount-max")
# Generous: the crew's own layout, and the host's table that a new mount namespace starts with.
OWN_MOUNTS = 2_000


def mount_limit() -> int | None:
    """Return fs.mount-max, the most mounts a namespace may hold; None where the kernel does not report it."""
    try:
        return int(MOUNT_MAX.read_text())
    except (OSError, ValueError):
        return None


def mounts_needed(params: Params, threads: int) -> int:
    """Return how many mounts the crew's mount table can hold, without the host's own."""
    umount = str(params["umount"])
    in_flight = int(umount.removeprefix("batch:")) + 1 if umount.startswith("batch:") else 1
    children, peers, table = (int(params[name]) for name in ("children", "peers", "table"))
    return children + table + peers + threads * in_flight * (1 + peers) + OWN_MOUNTS


def conflict(params: Params, threads: int) -> str | None:
    """Return why no kernel can do this combination, or None."""
    if params["idmap"] == "yes" and params["api"] == "mount":
        return "idmap=yes needs api=open_tree: mount(2) cannot map ids"
    if params["children"] and params["fs"] != "tmpfs":
        return "children needs fs=tmpfs: pybench makes no folders on your file systems"
    return None


def host_conflict(params: Params, threads: int) -> str | None:
    """Return which limit of this host the trial would exceed, or None."""
    needed, limit = mounts_needed(params, threads), mount_limit()
    if limit is not None and needed > limit:
        return f"it needs {needed} mounts and fs.mount-max is {limit}; raise it: sysctl fs.mount-max={needed}"
    return None


WORKLOAD = Workload(
    name="mount",
    kernel_memory=True,
    by_default=True,
    summary="real bind mounts and unmounts in a private mount namespace",
    operation="mounts",
    latency="mount",
    parameters=(
        Parameter(name="api", default="mount", choices=("mount", "open_tree"), help="system calls that mount"),
        Parameter(
            name="idmap",
            default="no",
            choices=("no", "yes"),
            help="map the ids of each mount (needs api=open_tree)",
        ),
        Parameter(
            name="umount",
            default="batch:100",
            choices=("sync", "detach"),
            pattern=r"batch:[1-9]\d{0,4}",
            shape="sync|detach|batch:N",
            help="unmount one by one, each with a grace period, or N mounts in one recursive detach, so that "
            "grace periods do not hide the locks",
        ),
        Parameter(
            name="children",
            default=0,
            high=90_000,
            help="mounts below the source's mount: lengthens the critical section",
        ),
        Parameter(
            name="peers",
            default=0,
            high=10_000,
            help="peers that each mount propagates to: lengthens the critical section",
        ),
        Parameter(name="table", default=0, high=90_000, help="mounts in the table before the trial"),
        Parameter(
            name="fs",
            default="tmpfs",
            choices=("tmpfs",),
            pattern=r"/.{0,250}",
            shape="tmpfs|DIR",
            help="source of the mounts: a directory of a tmpfs, or DIR",
        ),
    ),
    conflict=conflict,
    host_conflict=host_conflict,
    sleeps=lambda _: True,
)
