# SPDX-License-Identifier: Apache-2.0
"""Count the mounts of one launch storm twice: by pybench's core, and by the kernel's own tracepoints.

A trial runs while a tracefs instance, made for it and removed afterwards, records every move_mount, mount and
umount2 of the crew. Calls of the crew's leader are set-up and clean-up, those of its members the storm. A member's
umount2 is of a layer while it has layers bound, and of a root otherwise. Needs root and tracefs.
"""

import argparse
import os
from collections.abc import Iterator

from pybench.findings.experiments.kernel_events import Storm, count_operations
from tests.validation.validation import Finding, Validation

AXES = ("strategy", "containers", "layers", "passes", "umount", "arrival")


def options(parser: argparse.ArgumentParser) -> None:
    """Add the storm's parameters."""
    parser.add_argument("--strategy", default="binds", help="assemble roots this way [binds]")
    parser.add_argument("--containers", type=int, help="launch this many containers [100; 6 with --quick]")
    parser.add_argument("--layers", type=int, help="layers per container [50; 5 with --quick]")
    parser.add_argument("--passes", type=int, default=2, help="passes over the layers [2]")
    parser.add_argument("--umount", default="detach", choices=("sync", "detach"), help="[detach]")
    parser.add_argument("--arrival", default="burst", help="[burst]")
    parser.add_argument("--crew", default="threads", choices=("threads", "processes"), help="[threads]")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Run one trial, traced, and compare the counts."""
    asked.containers = asked.containers or (6 if asked.quick else 100)
    asked.layers = asked.layers or (5 if asked.quick else 50)
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    params = {name: getattr(asked, name) for name in AXES}
    found = count_operations(Storm(params=params, cpus=cpus, crew=asked.crew))
    print(
        f"{asked.strategy}: {found.launched} containers of {asked.layers} layers, {asked.passes} passes, "
        f"{len(cpus)} {asked.crew}"
    )
    kernel = {name: found.kernel.get(name, 0) for name in ("move_mount", "mount", "umount of layers")}
    print(f"the kernel: {', '.join(f'{count:,} {name}' for name, count in kernel.items())}")
    leader, others = (found.kernel.get(who, 0) for who in ("leader", "other"))
    print(f"not counted: {leader} by the leader, which sets up and cleans up")
    roots = found.kernel.get("umount of roots", 0)
    for what, theirs, ours in (
        ("mount operations", found.kernel_operations, found.core),
        ("umounts of roots", roots, found.core_clean),
    ):
        words = f"{theirs:,} = {ours:,}" if theirs == ours else f"{theirs:,} != {ours:,} (by {theirs - ours:+,})"
        yield Finding(f"kernel and core count the same {what}", words, theirs == ours)
    yield Finding("the kernel records no process outside the crew", f"{others} calls", others == 0)


VALIDATION = Validation(
    shows="core and kernel count the same mounts",
    run=run,
    seconds=5,
    quick_seconds=2,
    options=options,
)
