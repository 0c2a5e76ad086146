# SPDX-License-Identifier: Apache-2.0
"""A container launch as steps of the engine: which locks each strategy takes, for how long, and what it waits for.

Durations are numbers of a machine file's [launch] table, as `pybench machine calibrate` measures them. Which locks
are taken is the kernel's doing: open_tree(OPEN_TREE_CLONE), move_mount, mount and umount hold namespace_sem for
writing; linking and unlinking a mount holds mount_lock for writing; each component of a path reads mount_lock's
sequence count (fs/namespace.c and fs/namei.c of Linux, Documentation/filesystems/path-lookup.rst).
"""

from collections.abc import Mapping

from pybench.errors import UsageError
from pybench.native.engine_spec import Launch, Step

# Key of [launch] -> its meaning; times in ns.
STEPS = {
    "bind_ns": "on-CPU time of one layer's open_tree, mount_setattr and move_mount",
    "fd_ns": "on-CPU time of one layer's open_tree and mount_setattr, given to overlay by descriptor",
    "umount_ns": "on-CPU time of unmounting one bound layer",
    "close_ns": "on-CPU time of closing one detached mount",
    "grace_ns": "off-CPU wait of an unmount, or of closing a detached mount, for a grace period",
    "overlay_ns": "on-CPU time of an overlay mount, without its layers",
    "overlay_layer_ns": "on-CPU time that each layer adds to it",
    "clean_ns": "on-CPU time of taking the root down",
    "clean_wait_ns": "off-CPU wait of taking the root down",
    "walk_ns": "one component of a path walk",
    "section_share": "share of a mount operation's on-CPU time in which it holds namespace_sem for writing",
    "mount_lock_share": "share of that section in which it holds mount_lock for writing",
    "spread": "sigma of the log-normal spread of a step around its duration",
}
DEFAULT_STEPS = "vm-epyc-2"
"""The shipped machine whose steps stand in for those of a machine without measured ones."""
STRATEGIES = ("plain", "binds", "fds", "parent", "parentfd")
# Components of a path to a layer and to a place where one is mounted, as the launch workload has them.
COMPONENTS = 4


class _Durations:
    """Steps from durations by name; on-CPU time, of the host that measured them, is multiplied by `scale`."""

    def __init__(self, values: Mapping[str, float], scale: float) -> None:
        self._values = values
        self._scale = scale

    def cpu(self, name: str) -> float:
        return self._values[name] * self._scale

    def wait(self, name: str) -> float:
        return self._values[name]

    def walk(self, phase: str, paths: int = 1) -> Step:
        return Step(kind="walk", ns=self.cpu("walk_ns"), count=COMPONENTS * paths, phase=phase)

    def compute(self, ns: float, phase: str) -> Step:
        return Step(kind="compute", ns=ns, spread=self._values["spread"], phase=phase)

    def sleep(self, name: str, phase: str) -> Step:
        return Step(kind="sleep", ns=self.wait(name), spread=self._values["spread"], phase=phase)

    def operation(self, ns: float, phase: str) -> list[Step]:
        """Return the steps of a mount operation of `ns` on-CPU time: a share of it as namespace_sem's writer, a
        share of that as mount_lock's, the rest outside."""
        section = ns * self._values["section_share"]
        inner = section * self._values["mount_lock_share"]
        spread = self._values["spread"]
        return [
            self.compute(ns - section, phase),
            Step(kind="lock", phase=phase),
            Step(kind="compute", ns=section - inner, spread=spread, phase=phase),
            Step(kind="mount-lock", ns=inner, phase=phase),
            Step(kind="unlock", phase=phase),
        ]


def launch(
    strategy: str,
    values: Mapping[str, float],
    *,
    containers: int,
    layers: int,
    passes: int = 1,
    arrival: str = "burst",
    deadline_ns: float = 30e9,
    scale: float = 1.0,
) -> Launch:
    """Return the launch workload of the engine for a strategy; `values` are STEPS by name.

    An unmount of a layer stands right after its mount instead of after the overlay's: the same work in another
    order. Raises UsageError for a strategy that is not modelled.
    """
    if strategy not in STRATEGIES:
        raise UsageError(f"strategy {strategy!r} is not modelled; there are {', '.join(STRATEGIES)}")
    d = _Durations(values, scale)
    one_id_map = [d.walk("build", 2), *d.operation(d.cpu("bind_ns"), "build")]
    undo = [d.walk("release"), *d.operation(d.cpu("umount_ns"), "release"), d.sleep("grace_ns", "release")]
    open_fd = [d.walk("build"), d.compute(d.cpu("fd_ns"), "build")]
    close_fd = [d.compute(d.cpu("close_ns"), "release"), d.sleep("grace_ns", "release")]
    first: list[Step] = []
    steps: list[Step] = []
    last: list[Step] = []
    if strategy == "binds":
        steps = [*one_id_map, *undo]
    elif strategy == "fds":
        steps = [*open_fd, *close_fd]
    elif strategy == "parent":
        first, last = one_id_map, undo
    elif strategy == "parentfd":
        first, steps, last = open_fd, [d.walk("build")], close_fd
    # Overlay walks to every layer, then mounts.
    steps = [*steps, d.walk("overlay"), d.compute(d.cpu("overlay_layer_ns"), "overlay")]
    overlay = [d.walk("overlay"), *d.operation(d.cpu("overlay_ns"), "overlay")]
    clean = [d.walk("clean"), *d.operation(d.cpu("clean_ns"), "clean"), d.sleep("clean_wait_ns", "clean")]
    return Launch(
        containers=containers,
        layers=layers * passes,
        first=tuple(first * passes),
        steps=tuple(steps),
        # Every root but the last is taken down again before the launch is over.
        last=tuple((overlay + last) * passes + clean * (passes - 1)),
        after=tuple(clean),
        after_each=False,
        arrival="closed" if arrival == "closed" else "burst",
        deadline_ns=deadline_ns,
    )


def mount_operations(strategy: str, layers: int, passes: int) -> int:
    """Return the mount operations of one launch without clean-up: attach, detach, overlay (C*2*(1+L+L))."""
    attached = {"binds": 2 * layers, "parent": 2}.get(strategy, 0)
    return passes * (1 + attached)
