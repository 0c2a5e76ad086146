"""Kinds of disturbances: what each does to a trial under way, or (made up) to what a trial reports."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from helpers import (
    Helper,
    Quota,
    burn,
    burst,
    flood,
    interrupt,
    leader_of,
    members_of,
    mount_beside,
    register_for_interrupts,
    spawn,
    tick,
)

from pybench.host.meters import Around
from pybench.native import Outcome
from pybench.run import checks as validity

MS = 1_000_000


class Moment(msgspec.Struct, frozen=True):
    """When to disturb: both are moments of CLOCK_MONOTONIC, ns."""

    begin_ns: int
    end_ns: int

    def wait(self) -> None:
        """Sleep until it begins."""
        time.sleep(max(self.begin_ns - time.monotonic_ns(), 0) / 1e9)

    def last(self) -> None:
        """Sleep until it is over."""
        time.sleep(max(self.end_ns - time.monotonic_ns(), 0) / 1e9)


class Kind:
    """One kind. `cell` names the trial that it is planted on."""

    made_up = ""
    """The check that must flag it, of a kind that this host cannot be made to do: its record is made up."""

    def __init__(self, name: str, cell: str) -> None:
        self.name, self.cell = name, cell

    def disturb(self, moment: Moment, rng: random.Random) -> bool:
        """Called beside a trial that runs, in a thread of its own. False if there was nothing to disturb."""
        return True

    def report(self, outcome: Outcome, rng: random.Random) -> Outcome:
        """What the trial is to have come out as."""
        return outcome

    def count(self, around: Around, rng: random.Random) -> Around:
        """What the host is to have counted."""
        return around

    def close(self) -> None:
        """Leave nothing behind."""


class Work(Kind):
    """A process of others that works on CPUs of the trial (or beside them)."""

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
    """SIGSTOP and SIGCONT: of one member, or of the whole crew."""

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
    """A member's affinity is changed under way, and changed back."""

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


class MadeUp(Kind):
    """What this host cannot be made to do: the record of a real trial, changed as the core would report it."""

    def __init__(
        self, name: str, cell: str, check: str, change: Callable[[Outcome, random.Random], Outcome]
    ) -> None:
        super().__init__(name, cell)
        self.made_up, self._change = check, change

    def report(self, outcome: Outcome, rng: random.Random) -> Outcome:
        return self._change(outcome, rng)


class Counted(Kind):
    """What the host's counters would say."""

    def __init__(
        self, name: str, cell: str, check: str, change: Callable[[Around, random.Random], Around]
    ) -> None:
        super().__init__(name, cell)
        self.made_up, self._change = check, change

    def count(self, around: Around, rng: random.Random) -> Around:
        return self._change(around, rng)


def _members(outcome: Outcome, **columns: Any) -> Outcome:
    return msgspec.structs.replace(outcome, members=msgspec.structs.replace(outcome.members, **columns))


def _off(rng: random.Random, least: float = 0.05, most: float = 0.5) -> float:
    """A factor by which something is off, up or down."""
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
        outcome, work_ns=[[1000.0, 1000.0 * _off(rng, validity.MOST_SPEED_CHANGE + 0.01)], [1000.0, 1004.0]]
    )


def kinds(cpus: tuple[int, int]) -> Iterator[tuple[str, Callable[[], Kind]]]:
    """(name, how to make it) of every kind, for trials on these two CPUs; making one may raise OSError."""
    first, second = cpus

    def work(name: str, cell: str, *args: Any, **options: Any) -> tuple[str, Callable[[], Kind]]:
        return name, lambda: Work(name, cell, *args, **options)

    yield work("busy process", "spin", burn, (second,))
    yield work("busy in bursts", "spin", burst, (first,))
    yield work("two busy, unpinned", "spin", burn, cpus, copies=2)
    yield work("real-time process", "spin", burn, (first,), fifo=True)
    yield work("timer wake-ups", "spin", tick, (second,))
    yield work("loopback flood", "spin", flood, (first,))
    yield work("fork and exec storm", "spin", spawn, cpus)
    yield "member stopped", lambda: Stop("member stopped", "processes", whole=False)
    yield "crew stopped", lambda: Stop("crew stopped", "spin", whole=True)
    yield "affinity changed", lambda: Move("affinity changed", "spin")
    yield "CPU quota", lambda: Throttle("CPU quota", "spin")

    def interrupts() -> Kind:
        if not register_for_interrupts():
            raise OSError("no membarrier")
        return Work("IPI storm", "spin alone", interrupt, (second,))

    yield "IPI storm", interrupts
    yield work("another run beside", "mount alone", mount_beside(second), (second,))
    yield work("busy beside mounts", "mount", burn, (second,))
    yield "mount crew stopped", lambda: Stop("mount crew stopped", "mount", whole=True)

    made_up: dict[str, tuple[str, Callable[[Outcome, random.Random], Outcome]]] = {
        "wrong memory node": ("memory-node", lambda o, _: msgspec.structs.replace(o, line_node=o.line_node + 1)),
        "page moved": ("memory-node", lambda o, _: msgspec.structs.replace(o, line_node=0, line_node_after=1)),
        "hold time changed": ("hold-time", _hold),
        "think time changed": ("think-time", _think),
        "clock warp": ("clock", _warp),
        "clock rate": ("clock", _rate),
        "CPU speed changed": ("speed", _speed),
    }
    for name, (check, change) in made_up.items():
        yield name, lambda name=name, check=check, change=change: MadeUp(name, "spin", check, change)  # type: ignore[misc]
    steal = lambda a, rng: msgspec.structs.replace(a, steal=rng.uniform(0.1, 0.9))  # noqa: E731
    yield "steal", lambda: Counted("steal", "spin", "steal", steal)
    heat = lambda a, rng: msgspec.structs.replace(a, thermal_throttles=rng.randint(1, 9))  # noqa: E731
    yield "thermal throttling", lambda: Counted("thermal throttling", "spin", "throttled", heat)
