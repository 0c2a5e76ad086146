# SPDX-License-Identifier: Apache-2.0
"""The records of a result file. docs/reference/results.md describes them for readers of other tools.

A file is JSON Lines: a header, then a record a trial in the order they ran, then an end for each time the
sweep stopped. Readers ignore keys they do not know, so that old files stay readable, and old readers useful.
"""

from typing import Any

import msgspec

from pybench.host.topology import Distance
from pybench.native.outcome import Crew, MemoryKind, Outcome
from pybench.workloads import Value

FORMAT = 2

# Keys that format 1 called by other names.
_RENAMED_SINCE_1 = ((b'"max_spoiled":', b'"max_invalid":'), (b'"longest_run":', b'"longest_streak":'))


def upgraded(data: bytes, version: int) -> bytes:
    """Return lines of a file of that format with today's keys. A quote in text is escaped, so only keys match."""
    for old, new in _RENAMED_SINCE_1 if version < 2 else ():
        data = data.replace(old, new)
    return data


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One combination of the axes: what is repeated until its figure is sure."""

    workload: str
    params: dict[str, Value]
    threads: int
    place: str
    smt: str
    cpus: tuple[int, ...]
    memory: MemoryKind = "local"
    nodes: tuple[int, ...] = ()
    crew: Crew = "threads"
    oversubscribed: bool = False
    """True if threads share CPUs."""
    offline: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    """CPUs that are turned off for it; only there if any are. They stand in `place` too."""
    domains: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    """The NUMA domain of each member, counted from 0; only there if the lock uses them."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides which trials run, in which order, and for how long. Times in ns."""

    cells: list[Cell]
    seed: int
    duration_ns: int
    warmup_ns: int
    operations: int = 0
    target: float = 0.03
    """Repeat until the 95 % interval of the median throughput is within this share of it."""
    min_trials: int = 6
    max_trials: int = 30
    max_invalid: int = 20
    """Invalid trials of a cell at the most; each is run again, and does not count towards `max_trials`."""
    budget_ns: int = 0
    """0: none."""
    left_out: list[str] = []
    """Combinations of the axes that cannot be, each with the reason."""


class InputRange(msgspec.Struct, frozen=True):
    """A number that a simulation used, the range it was drawn from, and where it is from or `assumed: why`."""

    value: float
    low: float
    high: float
    source: str


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """That a file's figures are of a model, and of which. Each trial is one draw of the uncertain inputs."""

    machine: str
    title: str
    digest: str
    """Of the machine file: the first 12 hex digits of its SHA-256."""
    engine: int
    """Version of the model."""
    seed: int
    draws: int
    inputs: dict[str, InputRange] = {}
    """Every number of the machine by its name."""
    drawn: list[str] = []
    """Which inputs were drawn: `transfer.socket` stands for its three percentiles, drawn together."""
    steps: str = ""
    """launch: the machine file from which the durations of its steps are; empty: none."""


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """The first line of a file."""

    format: int = FORMAT
    pybench: str
    created: str
    """ISO 8601, UTC."""
    command: list[str]
    host: dict[str, Any]
    topology: dict[str, Any]
    plan: Plan
    simulated: Simulated | None = None
    """None: measured."""


class Figures(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The figures of one trial. Latencies are of the workload's main phase, ns."""

    throughput: float
    """Operations a second, all members together, from the first start to the last stop."""
    p50_ns: float
    p90_ns: float
    p99_ns: float
    p999_ns: float
    max_ns: float
    jain: float
    """Jain's index of the members' operations: 1 is fair."""
    cpu_ns_per_operation: float


class HandoffFigure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The handoffs of one trial between members of one distance."""

    distance: Distance
    count: int
    timed: int
    """How many of them were timed."""
    mean_ns: float
    """Of the timed: from the giver's leaving to the taker having the guarded line in hand; 0 if none was."""
    transfer_ns: float = 0.0
    """What moving one line took at this distance shortly before; 0 if that was not measured."""


class Evidence(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What tells whether a trial means what it says."""

    start_skew_ns: int
    topology: list[str] = []
    """What of the CPUs changed under way, or is not as the cell wants it: `CPU 3 went off`."""
    overlap: float
    """Share of the trial during which all members ran."""
    skew: float = 0.0
    """The spread of the members' starts, as a share of the trial."""
    off_cpu: float
    """Largest share of a member's time that it was not on its CPU."""
    off_cpu_sum: float = 0.0
    """Those shares of all members together: under a lock that goes round, whoever is away holds up all."""
    waited: float = 0.0
    """Shares of the members' time in which they were runnable but not on their CPU, added up."""
    waited_more: float = 0.0
    """By how much that is above the cell's valid trials before (their median); 0 until that is known."""
    steal: float
    """Share of the CPUs' time that the hypervisor took, from /proc/stat."""
    load: float
    """1-minute load average of the host before the trial."""
    running: int = 0
    """Tasks that ran or wanted to just before it, beyond pybench's own."""
    tick_share: float = 0.0
    """One tick of /proc/stat as a share of the CPUs' time: a steal of one tick may be from before."""
    other_work: float = 0.0
    """Share of the CPUs' time in tasks other than the crew, from /proc/stat, less what its ticks cannot tell."""
    siblings_busy: float = 0.0
    """Largest busy share of an SMT sibling that has no member."""
    elsewhere: float = 0.0
    """CPUs busy beyond those of the trial and their siblings."""
    interrupts: dict[str, float] = {}
    """Kind -> the largest rate a second on a CPU of the trial: `timer`, `reschedule`, `call` (function calls, TLB
    shootdowns), `device`, `other`, and softirqs by the kernel's names. Zeros are left out."""
    throttled: float = 0.0
    """Share of the time in which a quota of the cgroup kept its tasks waiting."""
    thermal_throttles: int = 0
    """Times that these CPUs or their packages were throttled for heat."""
    frequency_khz: list[int] = []
    """[before, after] mean over the CPUs; left out where the host does not say."""
    pressure: float = 0.0
    """Share of the time in which some task of the host waited for a CPU (PSI)."""
    involuntary: float = 0.0
    """Largest rate of a member's involuntary context switches, a second."""
    migrated: int = 0
    """Members that were seen on another CPU than theirs."""
    misplaced: int = 0
    """Pieces of memory that were on another NUMA node than asked, or moved; unknown ones do not count."""
    hold_error: float = 0.0
    """Largest share by which a member's hold time missed what was asked."""
    think_error: float = 0.0
    """Largest share by which a member's think time missed what was asked."""
    speed_change: float = 0.0
    """Largest share by which a CPU's speed changed from before the trial to after."""
    speed_loss: float = 0.0
    """Share by which the CPUs were slower than in the cell's trials before (their median), 0 if not."""
    clock_offset_ns: float = 0.0
    """Largest distance of a member's clock from the others'."""
    clock_drift: float = 0.0
    """Largest share by which a member's clock ran fast or slow over the trial."""
    quantum: float = 0.0
    """Share of the operations that one more of each member would be: what ending in the middle of one can do."""
    stall: float = 0.0
    """Longest single operation, as a share of the trial."""


class Trial(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="trial"):
    """One trial. Figures and evidence stand only where its status is `ok`."""

    cell: int
    """Index into the header's plan."""
    repeat: int
    sequence: int
    """Place in the order in which trials ran."""
    workload: str
    params: dict[str, Value]
    threads: int
    place: str
    smt: str
    crew: Crew
    started: float
    """Seconds since the epoch."""
    seconds: float
    """Of the whole trial, with set-up and clean-up."""
    outcome: Outcome
    figures: Figures | None = None
    evidence: Evidence | None = None
    handoffs: list[HandoffFigure] = []
    """By distance, near to far; empty if the workload hands nothing over or there was nobody to hand it to."""
    flags: list[str] = []
    """Names of the validity checks that it failed: it is kept, and enters no estimate."""
    simulated: bool = False
    """A draw of a simulation, and no measurement; its `repeat` is the number of the draw."""

    @property
    def valid(self) -> bool:
        """True if its figures may enter an estimate."""
        return self.figures is not None and not self.flags


def trial_of(cell: Cell, index: int, **fields: Any) -> Trial:
    """A trial of the plan's cell `index`, with that cell's settings; `fields` are the others of Trial."""
    return Trial(
        cell=index,
        workload=cell.workload,
        params=cell.params,
        threads=cell.threads,
        place=cell.place,
        smt=cell.smt,
        crew=cell.crew,
        **fields,
    )


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """Why a sweep stopped: `sure`, `limit` (trials or budget), or `interrupted`."""

    reason: str
    seconds: float


Record = Header | Trial | End
