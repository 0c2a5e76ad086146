# SPDX-License-Identifier: Apache-2.0
"""The durations of the steps of a launch on one CPU of this host, and their serial share, on two cores."""

import statistics

from pybench.errors import MeasurementError, UnsupportedError
from pybench.host.topology import Topology
from pybench.native.outcome import Outcome
from pybench.placement import place
from pybench.simulator.calibration.trials import assumed, measured, ns_an_operation, plain, valid_outcomes
from pybench.simulator.launch_steps import STEPS
from pybench.simulator.machine import Number

LAUNCH_LAYERS, LAUNCH_CONTAINERS = 50, 10


def launch_steps(topology: Topology) -> tuple[dict[str, Number], list[str]]:
    """Measure the steps of a launch on one CPU; return none, and a note, where this host cannot mount."""
    try:
        # Siblings share a core as well as the lock, and that cost would pass for serial.
        steps = _steps(place(topology, "single-socket", "off").cpus[:2])
    except UnsupportedError as error:
        return {}, [f"no launch steps: this host cannot do them ({plain(str(error))})"]
    except MeasurementError as error:
        return {}, [f"no launch steps: {plain(str(error))}"]
    return {f"launch.{key}": steps[key] for key in STEPS}, []


def _steps(cores: tuple[int, ...]) -> dict[str, Number]:
    cpu = cores[:1]

    def storm(strategy: str, layers: int) -> list[Outcome]:
        return valid_outcomes(
            "launch",
            cpu,
            3,
            own_end=True,
            strategy=strategy,
            layers=layers,
            containers=LAUNCH_CONTAINERS,
            arrival="closed",
        )

    def cpu_ns(some: list[Outcome], phase: str, parts: int) -> list[float]:
        return [o.phases[phase].cpu_ns / (LAUNCH_CONTAINERS * parts) for o in some]

    def wait_ns(some: list[Outcome], phase: str, parts: int) -> list[float]:
        each = [max(o.phases[phase].wall_ns - o.phases[phase].cpu_ns, 0) for o in some]
        return [ns / (LAUNCH_CONTAINERS * parts) for ns in each]

    n = LAUNCH_LAYERS
    binds, fds, flat, many = storm("binds", n), storm("fds", n), storm("plain", 2), storm("plain", n)
    low, high = cpu_ns(flat, "overlay", 1), cpu_ns(many, "overlay", 1)
    slope = [max((b - a) / (n - 2), 0.0) for a, b in zip(low, high, strict=False)]
    walks = [[ns_an_operation(one) for one in valid_outcomes("stat", cpu, 3, depth=depth)] for depth in (1, 9)]
    walk = [max((deep - flat_ns) / 8, 0.0) for flat_ns, deep in zip(*walks, strict=False)]
    how = f"measured: launch on one CPU, {LAUNCH_CONTAINERS} containers of {n} layers"
    return {
        "bind_ns": measured(cpu_ns(binds, "build", n), how),
        "fd_ns": measured(cpu_ns(fds, "build", n), how),
        "umount_ns": measured(cpu_ns(binds, "release", n), how),
        "close_ns": measured(cpu_ns(fds, "release", n), how),
        "grace_ns": measured([*wait_ns(binds, "release", n), *wait_ns(fds, "release", n)], how),
        "overlay_ns": measured([max(a - 2 * s, 0.0) for a, s in zip(low, slope, strict=False)], how),
        "overlay_layer_ns": measured(slope, how),
        "clean_ns": measured(cpu_ns(binds, "clean", 1), how),
        "clean_wait_ns": measured(wait_ns(binds, "clean", 1), how),
        "walk_ns": measured(walk, "measured: stat at depths 1 and 9"),
        "section_share": _section_share(cores),
        "mount_lock_share": assumed(0.3, 0.1, 0.6, "linking and unlinking is some part of the section"),
        "spread": assumed(0.15, 0.05, 0.3, "steps of one kind differ by some tenths"),
    }


def _section_share(cores: tuple[int, ...]) -> Number:
    """Return the serial share of a mount's work, by Amdahl's law from one thread and two, each on its own core."""
    if len(cores) < 2:
        return assumed(0.4, 0.2, 0.7, "the first socket of this host has one core to mount on")
    rates = [
        statistics.median([ns_an_operation(one) for one in valid_outcomes("mount", cpus, 3)])
        for cpus in (cores[:1], cores)
    ]
    share = min(max(2 / (rates[0] / rates[1]) - 1, 0.05), 0.95)
    return Number(
        round(share, 4),
        round(max(share * 0.7, 0.02), 4),
        round(min(share * 1.3, 1.0), 4),
        "measured: mounts on one core and on two, as Amdahl's law has it; within 30 %",
    )
