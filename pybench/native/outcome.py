# SPDX-License-Identifier: Apache-2.0
"""The data of a trial: its specification and its outcome, readable without the core."""

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
    """The traits of a lock of the core, see csrc/locks/locks.def."""

    name: str
    family: str
    """spin, queue, sleeping, reader-writer or control."""
    space: str
    """Memory of a lock with n members."""
    fairness: str
    """FIFO: first come, first served; bounded: no member is overtaken without limit; none."""
    waiting: str
    """spin, spin then park, sleep, or none."""
    source: str
    """Where it was published."""
    most_members: int
    """Largest crew; 0: unlimited."""
    numa: bool
    """True if it uses the members' NUMA domains."""
    readers: bool
    """True if it distinguishes readers and writers."""
    excludes: bool
    """True if its sections are counted, so that a lost one fails the trial."""
    shares_line: bool
    """True if the guarded data fits behind it on its cache line."""


class TrialSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of one trial. Times are ns; `cpus` names a CPU for each member."""

    workload: str
    params: Mapping[str, int | str]
    cpus: tuple[int, ...]
    duration_ns: int
    warmup_ns: int = 0
    operations: int = 0
    """Number of operations after which each member stops; 0: by time only."""
    crew: Crew = "threads"
    memory: MemoryKind = "local"
    nodes: tuple[int, ...] = ()
    """NUMA nodes for `bind` and `interleave`."""
    domains: tuple[int, ...] = ()
    """A NUMA domain for each member, from 0, for locks that use them; empty: one for all."""
    grace_ns: int = 20_000_000_000
    """Time beyond warm-up and duration (for set-up and clean-up) before the crew counts as hung."""
    seed: int = 0


class Members(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):  # noqa: PLW1641 - lists have no hash
    """Columns with one entry per member, in the order of the placement. Times are ns."""

    cpu: list[int]
    operations: list[int]
    start_ns: IntColumn
    """From the first member's start."""
    stop_ns: list[int]
    """From the first member's start."""
    cpu_ns: IntColumn
    voluntary_switches: IntColumn
    involuntary_switches: IntColumn
    cpu_seen: IntPairs = []
    """[CPU at the start, CPU at the end] per member; omitted if all members ran where they were asked to."""
    role: list[int] = []
    """The operations of role 0 are the throughput; omitted if all are 0."""
    node: IntColumn = []
    """NUMA node of the member's private memory, -1 unknown; omitted if the workload has none."""
    hold_ns: FloatColumn = []
    """Mean hold time of the timed sections; omitted if none was asked for."""
    hold_asked_ns: FloatColumn = []
    """Mean hold time asked of the same sections."""
    think_ns: FloatColumn = []
    think_asked_ns: FloatColumn = []
    work_ns: FloatPairs = []
    """[before, after] time of a fixed piece of work on the member's CPU, around the trial: the CPU's speed."""
    clock_offset_ns: FloatPairs = []
    """[at the start, at the end] the tick counter's lead over CLOCK_MONOTONIC as read by this member, minus the
    lead that the first member read at its start."""
    waited_ns: IntColumn = []
    """Time runnable but not on its CPU, by the scheduler's count; omitted if all are 0."""
    longest_wait_ns: list[int] = []
    """Longest timed acquire; omitted if the workload acquires nothing."""
    longest_gap_ns: list[int] = []
    """Longest time from one timed operation to the next, an upper bound of every wait."""
    longest_streak: list[int] = []
    """Most operations in a row without another owner in between."""

    __eq__ = _equal

    def is_main(self, index: int) -> bool:
        """Return True if this member's operations count towards the throughput."""
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
    """One timed part of a workload's operation, over all members of the role that times it. Times are ns."""

    calls: int
    """Number of timed calls: all of them, or a sample."""
    operations: int
    """Number of operations that the timed calls represent: a batched unmount is many, a sample stands for the
    untimed operations before it."""
    wall_ns: int
    """Wall time of the timed calls, each weighted by the operations that it represents."""
    max_ns: int
    histogram: IntColumn
    """Flat pairs (distance from the previous bucket, count weighted as above); see `native.histogram_values()`."""
    cpu_operations: int = 0
    """Number of operations whose on-CPU time was read as well."""
    cpu_ns: int = 0
    cpu_wall_ns: int = 0
    """Wall time of the same operations."""

    __eq__ = _equal


_histogram = Phase.__dict__["histogram"]
resolved_on_access(Phase, "histogram", _decoded(list[int]))


def held_histogram(phase: Phase) -> list[int] | msgspec.Raw:
    """Return a phase's histogram as it is held: as JSON text if it was read from a file and not asked for yet."""
    held: list[int] | msgspec.Raw = _histogram.__get__(phase)
    return held


class Handoffs(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Handoffs of the lock: one entry for each pair of members, from the giver to the taker."""

    giver: list[int]
    taker: list[int]
    count: list[int]
    timed: list[int]
    """Number of timed handoffs."""
    ns: list[int]
    """Sum over the timed handoffs: from the giver's leaving to the guarded line's arrival at the taker."""


class Outcome(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The outcome of a trial. Only status `ok` has members and phases."""

    status: Status
    reason: str = ""
    tried: str = ""
    """The call that failed: `mount_setattr(MOUNT_ATTR_IDMAP)`."""
    errno: int = 0
    members: Members | None = None
    phases: dict[str, Phase] = {}
    counters: dict[str, int] = {}
    """Counters defined by the workload, summed over members, without zeros."""
    note: str = ""
    """The first of the failures that the workload counts and survives (a launch that failed)."""
    timeline: list[list[int]] = []
    """[ns since the start, value] of the value that the workload keeps over time (mounts in the table)."""
    peak: int = 0
    """Highest value of the timeline."""
    handoffs: Handoffs | None = None
    line_node: int = -1
    line_node_after: int = -1
    """NUMA node of the contended line before and after the run, -1 unknown."""
    line_offset: int = 0
    """Offset of the contended line in its page, bytes."""
    line_page_bytes: int = 0
    """Size of that page in bytes, where a huge page was asked for."""
    user_namespace: bool = False
    timer_ns: float = 0.0
    """Cost of one reading of the tick counter, subtracted from latencies."""
    timer_step_ns: float = 0.0
    """Step of the tick counter: the resolution of latencies."""
    ns_per_tick: float = 0.0
    setup_ns: int = 0
    teardown_ns: int = 0
    mounts_before: int = 0
    mounts_after: int = 0
