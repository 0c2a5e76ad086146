# SPDX-License-Identifier: Apache-2.0
"""What goes into a trial and what comes out of it, as plain data (no C needed to read it)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pybench.errors import UsageError

Crew = Literal["threads", "processes"]
MemoryKind = Literal["local", "bind", "interleave"]
Status = Literal["ok", "unsupported", "failed", "interrupted"]


if TYPE_CHECKING:
    IntColumn = list[int]
    FloatColumn = list[float]
    IntPairs = list[list[int]]
    FloatPairs = list[list[float]]
else:
    # Most of the file of a large machine, and seldom needed: such a column stays text until it is asked for.
    IntColumn = FloatColumn = IntPairs = FloatPairs = msgspec.Raw


def resolved_on_access(cls: type[msgspec.Struct], name: str, resolve: Callable[[Any, Any], Any]) -> None:
    """Make the first access of a field of `cls` replace what it holds by `resolve(struct, held)`."""
    slot = cls.__dict__[name]

    def value(self: msgspec.Struct) -> Any:
        held = slot.__get__(self)
        found = resolve(self, held)
        if found is not held:
            slot.__set__(self, found)
        return found

    setattr(cls, name, property(value))


def _equal(one: Any, other: object) -> bool:
    """Compare two structs by what their fields are, decoded or not."""
    fields = one.__struct_fields__
    return type(one) is type(other) and all(getattr(one, name) == getattr(other, name) for name in fields)


def _decoded(kind: Any) -> Callable[[Any, Any], Any]:
    def resolve(_: Any, held: Any) -> Any:
        if not isinstance(held, msgspec.Raw):
            return held
        try:
            return msgspec.json.decode(held, type=kind)
        except msgspec.ValidationError as error:
            raise UsageError(f"the result file is damaged ({error})") from None

    return resolve


class LockInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of a lock of the core."""

    name: str
    family: str
    """spin, queue, sleeping, reader-writer or control."""
    space: str
    """Memory of a lock with n members."""
    fairness: str
    """FIFO: first come, first served; bounded: nobody is passed by without end; none."""
    waiting: str
    """spin, spin then park, sleep, or none."""
    source: str
    """Where it was published."""
    most_members: int
    """That it takes; 0: no bound."""
    numa: bool
    """It uses the members' NUMA domains."""
    readers: bool
    """It tells readers from writers."""
    excludes: bool
    """Its sections are counted, and a lost one fails the trial."""
    shares_line: bool
    """What it guards fits behind it on its cache line."""


class TrialSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One trial, as the core is asked for it. Times are ns; `cpus` names a CPU for each member."""

    workload: str
    params: Mapping[str, int | str]
    cpus: tuple[int, ...]
    duration_ns: int
    warmup_ns: int = 0
    operations: int = 0
    """Stop each member after so many operations; 0: by time alone."""
    crew: Crew = "threads"
    memory: MemoryKind = "local"
    nodes: tuple[int, ...] = ()
    """NUMA nodes for `bind` and `interleave`."""
    domains: tuple[int, ...] = ()
    """A NUMA domain for each member, counted from 0, for locks that use them; empty: one for all."""
    grace_ns: int = 20_000_000_000
    """Time beyond warm-up and duration (for set-up and clean-up) before the crew counts as hung."""
    seed: int = 0


class Members(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):  # noqa: PLW1641 - lists have no hash
    """Columns with an entry a member, in the order of the placement. Times in ns."""

    cpu: list[int]
    operations: list[int]
    start_ns: IntColumn
    """From the first member's start."""
    stop_ns: list[int]
    """From the first member's start too."""
    cpu_ns: IntColumn
    voluntary_switches: IntColumn
    involuntary_switches: IntColumn
    cpu_seen: IntPairs = []
    """[CPU at the start, CPU at the stop] a member, where one differs from what was asked."""
    role: list[int] = []
    """0: its operations are the figure; left out if all are 0."""
    node: IntColumn = []
    """NUMA node of the member's private memory, -1 unknown; left out if the workload has none."""
    hold_ns: FloatColumn = []
    """Mean hold time of the timed sections, measured in place; left out if none was asked."""
    hold_asked_ns: FloatColumn = []
    """What was asked of those same sections."""
    think_ns: FloatColumn = []
    think_asked_ns: FloatColumn = []
    work_ns: FloatPairs = []
    """[before, after] time of a fixed piece of work on the member's CPU: its speed, around the trial."""
    clock_offset_ns: FloatPairs = []
    """[at the start, at the stop] how far the tick counter was ahead of CLOCK_MONOTONIC, as seen by this member,
    less what the first member saw at its start."""
    waited_ns: IntColumn = []
    """Runnable but not on its CPU, as the scheduler counts it; left out if nobody waited or it does not count."""
    longest_wait_ns: list[int] = []
    """Longest acquire among the timed; left out if the workload acquires nothing."""
    longest_gap_ns: list[int] = []
    """Longest time from one timed operation to the next: no wait was longer than this."""
    longest_streak: list[int] = []
    """Most operations in a row without another owner between them."""

    __eq__ = _equal

    def is_main(self, index: int) -> bool:
        """True if this member's operations count towards the throughput."""
        return not self.role or self.role[index] == 0


for _name, _kind in {
    **dict.fromkeys(("start_ns", "cpu_ns", "voluntary_switches", "involuntary_switches"), list[int]),
    **dict.fromkeys(("node", "waited_ns"), list[int]),
    **dict.fromkeys(("hold_ns", "hold_asked_ns", "think_ns", "think_asked_ns"), list[float]),
    **dict.fromkeys(("work_ns", "clock_offset_ns"), list[list[float]]),
    "cpu_seen": list[list[int]],
}.items():
    resolved_on_access(Members, _name, _decoded(_kind))


class Phase(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):  # noqa: PLW1641 - lists have no hash
    """One timed part of a workload's operation, over all members of the role that times it. Times in ns."""

    calls: int
    """Calls timed: all of them, or a sample."""
    operations: int
    """Operations those calls stand for: one batched unmount for many, a sample for those before it, untimed."""
    wall_ns: int
    """Of those calls, a sample's as often as it stands for an operation."""
    max_ns: int
    histogram: IntColumn
    """Flat pairs (distance from the previous bucket, count, a sample's as often as above); see
    `native.histogram_values()`."""
    cpu_operations: int = 0
    """Operations for which on-CPU time was read too."""
    cpu_ns: int = 0
    cpu_wall_ns: int = 0
    """Wall time of those same operations."""

    __eq__ = _equal


_histogram = Phase.__dict__["histogram"]
resolved_on_access(Phase, "histogram", _decoded(list[int]))


def held_histogram(phase: Phase) -> list[int] | msgspec.Raw:
    """Return a phase's histogram as it is held: as JSON text if it was read from a file and not asked for yet."""
    held: list[int] | msgspec.Raw = _histogram.__get__(phase)
    return held


class Handoffs(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Who took the lock over from whom: an entry for each pair of members between which it went."""

    giver: list[int]
    taker: list[int]
    count: list[int]
    timed: list[int]
    """How many of them were timed."""
    ns: list[int]
    """Sum over the timed: from the giver's leaving to the taker having the guarded line in hand."""


class Outcome(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """How a trial ended. Only status `ok` has members and phases."""

    status: Status
    reason: str = ""
    tried: str = ""
    """The call that failed: `mount_setattr(MOUNT_ATTR_IDMAP)`."""
    errno: int = 0
    members: Members | None = None
    phases: dict[str, Phase] = {}
    counters: dict[str, int] = {}
    """The workload's own counts, summed over members; zeros left out."""
    note: str = ""
    """The first of the failures that the workload counts and survives (a launch that failed)."""
    timeline: list[list[int]] = []
    """[ns since the start, value] of what the workload keeps count of over time (mounts in the table)."""
    peak: int = 0
    """Highest value it had."""
    handoffs: Handoffs | None = None
    line_node: int = -1
    line_node_after: int = -1
    """The contended line's NUMA node before and after the run."""
    line_offset: int = 0
    """Of the contended line in its page, bytes."""
    line_page_bytes: int = 0
    """Size of that page, where a huge one was asked for."""
    user_namespace: bool = False
    timer_ns: float = 0.0
    """Cost of one reading of the tick counter, which is subtracted from latencies."""
    timer_step_ns: float = 0.0
    """Step of the tick counter: shorter latencies cannot be told apart."""
    ns_per_tick: float = 0.0
    setup_ns: int = 0
    teardown_ns: int = 0
    mounts_before: int = 0
    mounts_after: int = 0
