# SPDX-License-Identifier: Apache-2.0
"""The records of a result file. docs/reference/results.md describes them for readers of other tools.

A file is JSON Lines: a header, then one record per trial in the order they ran, then an end for each time the
sweep stopped. Readers ignore unknown keys, so that old files stay readable by new versions, and new files by old
ones.


Below the records stand the settings of a cell by name, those that vary among cells, and a cell's label in words.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from pybench.host.topology import Distance
from pybench.native.outcome import Crew, MemoryKind, Outcome
from pybench.workloads import WORKLOADS, Value

# As many members as the core takes.
MOST_THREADS = 4096
FORMAT = 2

# Keys that have other names in format 1.
_RENAMED_SINCE_1 = ((b'"max_spoiled":', b'"max_invalid":'), (b'"longest_run":', b'"longest_streak":'))


def upgraded(data: bytes, version: int) -> bytes:
    """Return lines of a file of that format with today's keys. A quote in text is escaped, so only keys match."""
    for old, new in _RENAMED_SINCE_1 if version < 2 else ():
        data = data.replace(old, new)
    return data


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One combination of the axes: it is repeated until its estimate is precise enough."""

    workload: str
    params: dict[str, Value]
    threads: Annotated[int, msgspec.Meta(ge=1, le=MOST_THREADS)]
    place: str
    smt: str
    cpus: tuple[int, ...]
    memory: MemoryKind = "local"
    nodes: tuple[int, ...] = ()
    crew: Crew = "threads"
    oversubscribed: bool = False
    """True if threads share CPUs."""
    offline: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    """CPUs that are turned off for the cell; present only if there are any. They stand in `place` too."""
    domains: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    """The NUMA domain of each member, counted from 0; present only if the lock uses them."""


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
    """Maximum invalid trials per cell; each is run again, and does not count towards `max_trials`."""
    budget_ns: int = 0
    """0: none."""
    left_out: list[str] = []
    """Combinations of the axes that are impossible, each with the reason."""


class InputRange(msgspec.Struct, frozen=True):
    """A number of a simulation, the range it is drawn from, and its source or `assumed: why`."""

    value: float
    low: float
    high: float
    source: str


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """The model that a file's results come from. Each trial is one draw of the uncertain inputs."""

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
    """Inputs that were drawn: `transfer.socket` stands for its three percentiles, drawn together."""
    steps: str = ""
    """launch: the machine file with the durations of its steps; empty if there is none."""


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
    """None: the file was measured."""


class Figures(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The results of one trial. Latencies are of the workload's main phase, ns."""

    throughput: float
    """Operations per second, all members together, from the first start to the last stop."""
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
    """Number of handoffs that were timed."""
    mean_ns: float
    """Of the timed ones: from the giver's release to the taker holding the guarded line; 0 if none was timed."""
    transfer_ns: float = 0.0
    """Time of one line transfer at this distance shortly before; 0 if that was not measured."""


class Evidence(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The counts of the host and of the core around a trial, which the validity checks judge."""

    start_skew_ns: int
    topology: list[str] = []
    """What changed on the CPUs during the trial, or differs from the cell: `CPU 3 went off`."""
    overlap: float
    """Share of the trial during which all members ran."""
    skew: float = 0.0
    """The spread of the members' starts, as a share of the trial."""
    off_cpu: float
    """Largest share of a member's time that it was not on its CPU."""
    off_cpu_sum: float = 0.0
    """Sum of the members' shares: under a lock that goes round, a member off its CPU delays all others."""
    waited: float = 0.0
    """Sum of the members' shares of time in which they were runnable but not on their CPU."""
    waited_more: float = 0.0
    """Excess over the cell's valid trials before (their median); 0 until that is known."""
    steal: float
    """Share of the CPUs' time that the hypervisor took, from /proc/stat."""
    load: float
    """1-minute load average of the host before the trial."""
    running: int = 0
    """Tasks that ran or were runnable just before the trial, without pybench's own."""
    tick_share: float = 0.0
    """One tick of /proc/stat as a share of the CPUs' time: a steal of one tick may be from before the trial."""
    other_work: float = 0.0
    """Share of the CPUs' time in other tasks than the crew, from /proc/stat, less the resolution of its ticks."""
    siblings_busy: float = 0.0
    """Largest busy share of an SMT sibling that has no member."""
    elsewhere: float = 0.0
    """CPUs busy beyond those of the trial and their siblings."""
    interrupts: dict[str, float] = {}
    """Kind -> the largest rate per second on a CPU of the trial: `timer`, `reschedule`, `call` (function calls,
    TLB shootdowns), `device`, `other`, and softirqs by the kernel's names. Zeros are left out."""
    throttled: float = 0.0
    """Share of the time in which a quota of the cgroup kept its tasks waiting."""
    thermal_throttles: int = 0
    """Times that these CPUs or their packages were throttled for heat."""
    frequency_khz: list[int] = []
    """[before, after] mean over the CPUs; left out if the host does not report it."""
    pressure: float = 0.0
    """Share of the time in which a task of the host waited for a CPU (PSI)."""
    involuntary: float = 0.0
    """Largest rate of a member's involuntary context switches, per second."""
    migrated: int = 0
    """Members that were seen on another CPU than theirs."""
    misplaced: int = 0
    """Pieces of memory on another NUMA node than asked, or that moved; unknown ones do not count."""
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
    """One operation of each member as a share of all operations: the effect of stopping in mid-operation."""
    stall: float = 0.0
    """Longest single operation, as a share of the trial."""


class Trial(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="trial"):
    """One trial. Results and evidence are present only if its status is `ok`."""

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
    """Of the whole trial, with setup and clean-up."""
    outcome: Outcome
    figures: Figures | None = None
    evidence: Evidence | None = None
    handoffs: list[HandoffFigure] = []
    """By distance, near to far; empty if the workload has no handoffs or the trial only one member."""
    flags: list[str] = []
    """Names of the validity checks that the trial failed: it is kept, and enters no estimate."""
    simulated: bool = False
    """True for a draw of a simulation; `repeat` is the number of the draw."""

    @property
    def valid(self) -> bool:
        """Return whether the trial may enter an estimate."""
        return self.figures is not None and not self.flags


def trial_of(cell: Cell, index: int, **fields: Any) -> Trial:
    """Return a trial of the plan's cell `index`, with that cell's settings; `fields` are the others of Trial."""
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
    """The reason why a sweep stopped: `sure`, `limit` (trials or budget), or `interrupted`."""

    reason: str
    seconds: float


Record = Header | Trial | End


# Columns of the tables that a parameter of the same name must not replace.
_RESERVED = ("file", "cell", "workload", "threads", "place", "smt", "crew", "cpus", "trials", "valid", "repeat")
# Settings that follow from others, so that they distinguish no cells.
_DERIVED = ("operation", "cpus", "oversubscribed")


def cell_settings(cell: Cell) -> dict[str, Value | bool | None]:
    """Return everything that a cell is, flat, by column name; each parameter stands under its own name."""
    known = WORKLOADS.get(cell.workload)
    fixed: dict[str, Value | bool | None] = {
        "workload": cell.workload,
        "operation": known.operation if known else None,
        "threads": cell.threads,
        "place": cell.place,
        "smt": cell.smt,
        "crew": cell.crew,
        "cpus": ",".join(map(str, cell.cpus)),
        "memory": f"{cell.memory} {','.join(map(str, cell.nodes))}".strip(),
        "oversubscribed": cell.oversubscribed,
    }
    params = {(f"param_{n}" if n in fixed or n in _RESERVED else n): v for n, v in cell.params.items()}
    return fixed | params


def axis_values(cell: Cell) -> dict[str, Value | bool | None]:
    """Return the settings that a caller chooses cells by: all but those that follow from others."""
    return {name: value for name, value in cell_settings(cell).items() if name not in _DERIVED}


def settings(cell: Cell) -> dict[str, str]:
    """Return as text what tells a series from others: parameters, place, smt and crew."""
    named = {name: str(value) for name, value in cell.params.items()}
    return named | {"place": cell.place, "smt": cell.smt, "crew": cell.crew}


def varying(cells: Iterable[Cell], of: Callable[[Cell], Mapping[str, Any]] = settings) -> list[str]:
    """Return the names of the settings that have more than one value among the cells that have them."""
    every = [of(cell) for cell in cells]
    names = dict.fromkeys(name for one in every for name in one)
    return [name for name in names if len({one[name] for one in every if name in one}) > 1]


def label_settings(cells: Sequence[Cell]) -> list[str]:
    """Return the names of the settings that vary inside at least one workload: those that a label needs."""
    names: dict[str, None] = {}
    for workload in dict.fromkeys(cell.workload for cell in cells):
        names |= dict.fromkeys(varying(cell for cell in cells if cell.workload == workload))
    return list(names)


def label(
    cell: Cell,
    shown: Iterable[str],
    *,
    of: Callable[[Cell], Mapping[str, Any]] = settings,
    bare: Collection[str] = (),
) -> str:
    """Return the settings `shown` of a cell in words: `lock=mcs smt=off`; those in `bare` without their name."""
    own = of(cell)
    return " ".join(str(own[n]) if n in bare else f"{n}={own[n]}" for n in shown if n in own)


def with_defaults(cell: Cell) -> dict[str, Value]:
    """Return a cell's parameters, with today's defaults for those that an older version did not have."""
    kind = WORKLOADS.get(cell.workload)
    defaults = {p.name: p.default for p in kind.parameters} if kind else {}
    return defaults | cell.params
