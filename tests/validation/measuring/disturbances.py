# SPDX-License-Identifier: Apache-2.0
"""Kinds of disturbances: 15 that happen to a trial while it runs, and 9 that are edited into a trial's record.

A host cannot be made to move a page, heat up, or take time away from its guests on command. For such kinds a
real trial runs undisturbed, and its record is changed as the core would report the disturbance.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec

from pybench.host.meters import HostCounts
from pybench.native import Outcome
from pybench.run import checks
from tests.validation.measuring.disturbers import (
    Helper,
    Quota,
    burn,
    burst,
    flood,
    interrupt,
    leader_of,
    members_of,
    mount_during,
    register_for_interrupts,
    spawn,
    tick,
)

MS = 1_000_000


class Moment(msgspec.Struct, frozen=True):
    """The span of a disturbance, in ns of CLOCK_MONOTONIC."""

    begin_ns: int
    end_ns: int

    def wait(self) -> None:
        """Sleep until it begins."""
        time.sleep(max(self.begin_ns - time.monotonic_ns(), 0) / 1e9)

    def last(self) -> None:
        """Sleep until it is over."""
        time.sleep(max(self.end_ns - time.monotonic_ns(), 0) / 1e9)


class Kind:
    """A kind of disturbance. `cell` names the trial that it is planted on."""

    edited = ""
    """The check that must flag it, if it is edited into the record."""

    def __init__(self, name: str, cell: str) -> None:
        self.name, self.cell = name, cell

    def disturb(self, moment: Moment, rng: random.Random) -> bool:
        """Disturb a trial that runs, from a thread of its own. Return False if there was nothing to disturb."""
        return True

    def report(self, outcome: Outcome, rng: random.Random) -> Outcome:
        """Return the outcome to judge."""
        return outcome

    def count(self, around: HostCounts, rng: random.Random) -> HostCounts:
        """Return the host's counters to judge."""
        return around

    def close(self) -> None:
        """Leave nothing behind."""


class Work(Kind):
    """Other processes that work on the trial's CPUs, or on its neighbours."""

    def __init__(
        self,
        name: str,
        cell: str,
        work: Callable[[int], None],
        cpus: tuple[int, ...],
        copies: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(name, cell)
        self._helpers = [Helper(work, cpus, **options) for _ in range(copies)]

    def disturb(self, moment: Moment, rng: random.Random) -> bool:
        moment.wait()
        for helper in self._helpers:
            helper.start(moment.end_ns)
        moment.last()
        return True

    def close(self) -> None:
        for helper in self._helpers:
            helper.close()


class Stop(Kind):
    """SIGSTOP and SIGCONT, to one member or to the whole crew."""

    def __init__(self, name: str, cell: str, whole: bool) -> None:
        super().__init__(name, cell)
        self._whole = whole

    def disturb(self, moment: Moment, rng: random.Random) -> bool:
        moment.wait()
        send = os.killpg if self._whole else os.kill
        with contextlib.suppress(OSError, IndexError):
            leader = leader_of(os.getpid())
            victim = leader if self._whole else rng.choice(members_of(leader))
            send(victim, signal.SIGSTOP)
            try:
                moment.last()
            finally:
                send(victim, signal.SIGCONT)
            return True
        return False


class Move(Kind):
    """A member's affinity is changed while it runs, and changed back."""

    def disturb(self, moment: Moment, rng: random.Random) -> bool:
        moment.wait()
        with contextlib.suppress(OSError, IndexError, ValueError):
            tid = rng.choice(members_of(leader_of(os.getpid())))
            own = os.sched_getaffinity(tid)
            others = os.sched_getaffinity(0) - own
            os.sched_setaffinity(tid, {min(others)})
            moment.last()
            os.sched_setaffinity(tid, own)
            return True
        return False


class Throttle(Kind):
    """A CPU quota on the crew's cgroup."""

    def __init__(self, name: str, cell: str) -> None:
        super().__init__(name, cell)
        self._quota = Quota()

    def disturb(self, moment: Moment, rng: random.Random) -> bool:
        moment.wait()
        self._quota.set(rng.uniform(0.5, 1.5))
        moment.last()
        self._quota.set(None)
        return True

    def close(self) -> None:
        self._quota.close()


class Edited(Kind):
    """A change to the record of a real trial: to its outcome, or to what the host counted."""

    def __init__(
        self,
        name: str,
        check: str,
        outcome: Callable[[Outcome, random.Random], Outcome] | None = None,
        around: Callable[[HostCounts, random.Random], HostCounts] | None = None,
    ) -> None:
        super().__init__(name, "spin")
        self.edited, self._outcome, self._around = check, outcome, around

    def report(self, outcome: Outcome, rng: random.Random) -> Outcome:
        return self._outcome(outcome, rng) if self._outcome else outcome

    def count(self, around: HostCounts, rng: random.Random) -> HostCounts:
        return self._around(around, rng) if self._around else around


def _members(outcome: Outcome, **columns: Any) -> Outcome:
    assert outcome.members
    return msgspec.structs.replace(outcome, members=msgspec.structs.replace(outcome.members, **columns))


def _off(rng: random.Random, least: float = 0.05, most: float = 0.5) -> float:
    """Return a factor by which something is off, up or down."""
    return (1 + rng.uniform(least, most)) ** rng.choice((-1, 1))


def _hold(outcome: Outcome, rng: random.Random) -> Outcome:
    return _members(outcome, hold_ns=[200.0 * _off(rng), 200.0], hold_asked_ns=[200.0, 200.0])


def _think(outcome: Outcome, rng: random.Random) -> Outcome:
    return _members(outcome, think_ns=[200.0, 200.0 * _off(rng)], think_asked_ns=[200.0, 200.0])


def _warp(outcome: Outcome, rng: random.Random) -> Outcome:
    jump = rng.choice((-1, 1)) * 10 ** rng.uniform(5, 8)
    return _members(outcome, clock_offset_ns=[[0.0, 300.0], [jump, jump]])


def _rate(outcome: Outcome, rng: random.Random) -> Outcome:
    assert outcome.members
    gone = outcome.members.stop_ns[1] * rng.uniform(0.05, 0.5)
    return _members(outcome, clock_offset_ns=[[0.0, 0.0], [500.0, gone]])


def _speed(outcome: Outcome, rng: random.Random) -> Outcome:
    return _members(
        outcome, work_ns=[[1000.0, 1000.0 * _off(rng, checks.THRESHOLDS["speed"] + 0.01)], [1000.0, 1004.0]]
    )


def _node(outcome: Outcome, rng: random.Random) -> Outcome:
    return msgspec.structs.replace(outcome, line_node=outcome.line_node + 1)


def _page(outcome: Outcome, rng: random.Random) -> Outcome:
    return msgspec.structs.replace(outcome, line_node=0, line_node_after=1)


def _steal(around: HostCounts, rng: random.Random) -> HostCounts:
    return msgspec.structs.replace(around, steal=rng.uniform(0.1, 0.9))


def _heat(around: HostCounts, rng: random.Random) -> HostCounts:
    return msgspec.structs.replace(around, thermal_throttles=rng.randint(1, 9))


def _interrupts(cpu: int) -> Kind:
    if not register_for_interrupts():
        raise OSError("no membarrier")
    return Work("IPI storm", "spin alone", interrupt, (cpu,))


def kinds(cpus: tuple[int, int]) -> dict[str, Callable[[], Kind]]:
    """Return how to make every kind, by its name, for trials on these two CPUs. Making one may raise OSError."""
    first, second = cpus
    found: dict[str, Callable[[], Kind]] = {}

    def work(name: str, cell: str, *args: Any, **options: Any) -> None:
        found[name] = lambda: Work(name, cell, *args, **options)

    def edited(name: str, check: str, **changes: Any) -> None:
        found[name] = lambda: Edited(name, check, **changes)

    work("busy process", "spin", burn, (second,))
    work("busy in bursts", "spin", burst, (first,))
    work("two busy, unpinned", "spin", burn, cpus, copies=2)
    work("real-time process", "spin", burn, (first,), fifo=True)
    work("timer wake-ups", "spin", tick, (second,))
    work("loopback flood", "spin", flood, (first,))
    work("fork and exec storm", "spin", spawn, cpus)
    found["member stopped"] = lambda: Stop("member stopped", "processes", whole=False)
    found["crew stopped"] = lambda: Stop("crew stopped", "spin", whole=True)
    found["affinity changed"] = lambda: Move("affinity changed", "spin")
    found["CPU quota"] = lambda: Throttle("CPU quota", "spin")
    found["IPI storm"] = lambda: _interrupts(second)
    work("another run", "mount alone", mount_during(second), (second,))
    work("busy during mounts", "mount", burn, (second,))
    found["mount crew stopped"] = lambda: Stop("mount crew stopped", "mount", whole=True)
    edited("wrong memory node", "memory-node", outcome=_node)
    edited("page moved", "memory-node", outcome=_page)
    edited("hold time changed", "hold-time", outcome=_hold)
    edited("think time changed", "think-time", outcome=_think)
    edited("clock warp", "clock", outcome=_warp)
    edited("clock rate", "clock", outcome=_rate)
    edited("CPU speed changed", "speed", outcome=_speed)
    edited("steal", "steal", around=_steal)
    edited("thermal throttling", "throttled", around=_heat)
    return found
