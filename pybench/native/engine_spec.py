# SPDX-License-Identifier: Apache-2.0
"""The engine's specification and its one call: a machine, seats on its CPUs, and a workload, to an Outcome.

The engine itself is C (csrc/sim/). It models cores with private caches, lines that move between them, the queue at
a line's home, PAUSE, SMT siblings and a round-robin scheduler; locks are small programs on that memory. See
docs/guides/simulator-engine.md for what is modelled, what is not, and where the model is from.
"""

from typing import Literal

import msgspec

from pybench.errors import UsageError
from pybench.native.library import simulated_locks
from pybench.native.outcome import Outcome

Service = Literal["none", "central", "cluster"]
Distribution = Literal["fixed", "exponential", "bimodal"]
TransferClass = Literal["smt", "l3", "socket", "cross-socket"]
StepKind = Literal["compute", "walk", "namespace", "namespace-read", "mount-lock", "sleep", "lock", "unlock"]

TRANSFERS: tuple[TransferClass, ...] = ("smt", "l3", "socket", "cross-socket")
MOST_SEATS = 4096
MOST_NS = 3.6e12
"""Of any time: an hour."""
MOST_TRANSFER_NS = 1e6
LEAST = {"smt_slowdown": 1.0, "duration_ns": 1.0, "a_ns": 0.001}
ENGINE = 7
"""Version of the model: goes up when the same spec gives other figures."""


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A thread and where it runs. Numbers need only tell places apart; `core` must be unique in the machine.

    Several seats with one `cpu` share it by time slices; with one `core` and another `cpu` they are SMT siblings.
    """

    cpu: int
    socket: int = 0
    node: int = 0
    l3: int = 0
    core: int = 0
    sibling: int = 0
    """0 for the first thread of its core, 1 for its sibling."""
    domain: int = 0
    """NUMA domain for locks that use one (cna), counted from 0."""


class Latency(msgspec.Struct, frozen=True):
    """A one-way line transfer, ns: percentiles over pairs of cores. One exclusive transfer, as a ping-pong by
    compare-and-swap shows it (half its round trip). Each pair of cores draws its own and keeps it."""

    p5: float
    median: float
    p95: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a container's launch. What `ns` means, by kind:

    compute         on-CPU work of ns
    walk            a path walk of `count` components, each a read of mount_lock's count (spins while a writer is
                    in; done again if one came), ns of work each
    namespace       namespace_sem taken for writing, ns of work in it, released
    namespace-read  the same for reading (a read of mountinfo)
    mount-lock      mount_lock taken for writing, ns of work in it, released
    sleep           ns off the CPU (a grace period)
    lock, unlock    namespace_sem for writing, taken and released, with other steps between
    """

    kind: StepKind
    ns: float = 0.0
    count: int = 1
    spread: float = 0.0
    """0: always ns; else ns times a log-normal factor of median 1 with this sigma."""
    phase: str = ""
    """Name of the phase of the launch that its time counts to; empty: none."""


class Spin(msgspec.Struct, frozen=True, kw_only=True):
    """The spin workload as pybench runs it: acquire, the guarded line, hold, release, think."""

    lock: str = "ticket"
    hold_ns: float = 0.0
    think_ns: float = 0.0
    extra_ns: float = 0.0
    extra_share: float = 0.0
    """Of the sections, at random, that hold extra_ns more (locktorture's delays)."""
    hold_dist: Distribution = "fixed"
    think_dist: Distribution = "fixed"
    guard: Literal["apart", "shared", "none"] = "apart"
    """The guarded line: its own, on the lock's, or not touched at all (the loops of other benchmarks)."""
    writers: int = 1
    """seqlock, rwsem: the last so many seats write (never all, but for a single seat: it reads)."""
    write_think_ns: float = 1000.0
    loop_ns: float = 1.0
    """What one turn of the loop costs beside its memory accesses and its work, ns (measured: lock `empty`)."""
    sample_ns: float = 0.0
    """What timing an operation adds to it, ns; one in about 10 us is timed. 0: timing is free."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Containers launched by the seats, each a run through `steps` `layers` times between `first` and `last`."""

    containers: int
    layers: int
    first: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    """Done once for each layer."""
    last: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    """After the latency ends, by the same seat: clean-up."""
    after_each: bool = True
    """Whether `after` is run once for each layer, or once."""
    arrival: Literal["burst", "closed"] = "burst"
    """burst: all are wanted at time 0 and latency counts from there; closed: from when a seat takes one up."""
    deadline_ns: float = 30e9


class Oracle(msgspec.Struct, frozen=True, kw_only=True):
    """The queueing model's assumptions instead of the machine: each seat works for an exponential time of mean a,
    then queues, first come first served, for a section of mean serial + home * k / 2 while k others wait behind.

    Boyd-Wickizer, Kaashoek, Morris, Zeldovich, "Non-scalable locks are dangerous", Linux Symposium (2012). With
    home=0: the machine repairman, M/M/1//N; with section="fixed": M/D/1//N.
    """

    a_ns: float
    serial_ns: float
    home_ns: float = 0.0
    section: Literal["exponential", "fixed"] = "exponential"


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a simulation needs. Times are ns."""

    seats: tuple[Seat, ...]
    workload: Spin | Launch | Oracle
    transfer: dict[str, Latency] = {}
    """By distance class: smt, l3, socket, cross-socket; those that the seats' places need. `l3` may be left out
    where all cores of a socket share one (then `socket` holds)."""
    jitter: float = 0.03
    """Relative spread (standard deviation) of one transfer around its pair's own latency."""
    late: float = 0.0
    """One transfer in twenty takes longer, by an exponential time with this mean, in transfers of its pair."""
    local_ns: float = 1.0
    """A load that hits in the core's own cache."""
    atomic_ns: float = 5.0
    """An atomic read-modify-write on a line that the core owns."""
    atomic_overlap: float = 1.0
    """Share of atomics behind which the next accesses start before the atomic is done, 0 to 1."""
    migratory: float = 0.0
    """Share of reads of a line modified by another core that take it away, rather than copy it, 0 to 1."""
    drain_ns: float = 0.0
    """What an atomic takes longer behind a store."""
    exit_ns: float = 0.0
    """Leaving a spin loop: a mispredicted branch."""
    pause_ns: float = 10.0
    smt_slowdown: float = 1.0
    """Factor on what a CPU does by itself while its sibling is at work or spins; at least 1."""
    service: Service = "none"
    service_ns: float = 0.0
    """How long the home is taken up by one request that it answers itself (a read of a shared line)."""
    retry_ns: float = 0.0
    """central: how long a rejected request waits before it comes again."""
    timeslice_ns: float = 3e6
    switch_ns: float = 1500.0
    wake_ns: float = 3000.0
    """From waking a sleeper to its running on an idle CPU."""
    duration_ns: float = 1e6
    warmup_ns: float = 0.0
    """spin and oracle; a launch storm goes on until all are launched."""
    seed: int = 0
    max_events: int = 500_000_000
    """The run stops there, failed, with a word about it."""


class SimFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulation did."""

    events: int
    """Memory accesses simulated: loads, stores, atomics; hits and transfers."""
    scheduled: int
    """Of all that happened, what went through the event queue."""
    transfers: int
    """Lines that moved between cores, or were copied."""
    retries: int
    """Requests rejected at the home and made again."""
    invalidations: int
    """Copies that a write took from spinning waiters."""
    preemptions: int
    wall_s: float
    simulated_ns: float

    @property
    def memory_events(self) -> int:
        """All that happens to memory: accesses, lines that move, copies that are taken away."""
        return self.events + self.transfers + self.invalidations


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome as a trial gives it, and what the engine did for it."""

    outcome: Outcome
    facts: SimFacts
    launches_ns: tuple[float, ...] = ()
    """launch: latency of each container, in the order of their numbers."""
    late: int = 0
    """launch: how many took longer than the deadline."""


def check(spec: EngineSpec) -> None:
    """Raise UsageError, one line naming the fix, if the engine cannot take the spec."""
    if not 1 <= len(spec.seats) <= MOST_SEATS:
        raise UsageError(f"{len(spec.seats)} seats; the engine takes 1 to {MOST_SEATS}")
    work = spec.workload
    if isinstance(work, Spin) and work.lock not in simulated_locks():
        raise UsageError(f"no program for lock {work.lock}; the engine has {', '.join(simulated_locks())}")
    for owner in (spec, work):
        for name in owner.__struct_fields__:
            value = getattr(owner, name)
            least = LEAST.get(name, 0.0)
            if isinstance(value, float) and not least <= value <= MOST_NS:
                raise UsageError(f"{name}={value:g} must lie between {least:g} and {MOST_NS:g}")
    for name, latency in spec.transfer.items():
        if name not in TRANSFERS or not 0 < latency.p5 <= latency.median <= latency.p95 <= MOST_TRANSFER_NS:
            raise UsageError(
                f"transfer {name}: the class must be one of {', '.join(TRANSFERS)}, "
                f"and 0 < p5 <= median <= p95 <= {MOST_TRANSFER_NS:g}"
            )
    if isinstance(work, Oracle) and work.section == "fixed" and work.home_ns > 0:
        raise UsageError("section=fixed needs home_ns=0: a fixed section does not grow while it is served")
