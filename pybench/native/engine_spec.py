# SPDX-License-Identifier: Apache-2.0
"""The specification of one simulation: a machine, threads on its CPUs, and a workload.

The engine is C (csrc/sim/). It models cores with private caches, lines that move between them, the queue at a
line's home, PAUSE, SMT siblings and a round-robin scheduler; locks are small programs on that memory. See
docs/guides/simulator-engine.md for what is modelled, what is not, and where the model is from.
"""

from typing import Literal

import msgspec

from pybench.errors import UsageError
from pybench.native import simulated_locks
from pybench.native.outcome import Outcome

Service = Literal["none", "central", "cluster"]
Distribution = Literal["fixed", "exponential", "bimodal"]
TransferClass = Literal["smt", "l3", "socket", "cross-socket"]
StepKind = Literal["compute", "walk", "namespace", "namespace-read", "mount-lock", "sleep", "lock", "unlock"]

TRANSFERS: tuple[TransferClass, ...] = ("smt", "l3", "socket", "cross-socket")
MOST_THREADS = 4096
MOST_NS = 3.6e12
"""Upper bound of every time in ns: an hour."""
MOST_TRANSFER_NS = 1e6
LEAST = {"smt_slowdown": 1.0, "duration_ns": 1.0, "work_ns": 0.001}
ENGINE = 7
"""Version of the model; it rises when the same specification gives other results."""


class SimThread(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated thread and its place. Numbers only distinguish places; `core` must be unique in the machine.

    Threads with the same `cpu` share it by time slices; threads with the same `core` and different `cpu` are SMT
    siblings.
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
    """A one-way exclusive line transfer: percentiles over pairs of cores in ns.

    As measured by a ping-pong of compare-and-swaps (half its round trip). Each pair of cores draws its own latency
    and keeps it.
    """

    p5: float
    median: float
    p95: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a container's launch. The meaning of `ns`, by kind:

    compute         on-CPU work of ns
    walk            a path walk of `count` components, each a read of mount_lock's count (it spins while a writer
                    is active, and repeats if one came), ns of work each
    namespace       namespace_sem taken for writing, ns of work under it, released
    namespace-read  the same for reading (a read of mountinfo)
    mount-lock      mount_lock taken for writing, ns of work under it, released
    sleep           ns off the CPU (a grace period)
    lock, unlock    namespace_sem for writing, taken and released around other steps
    """

    kind: StepKind
    ns: float = 0.0
    count: int = 1
    spread: float = 0.0
    """Sigma of a log-normal factor of median 1 on `ns`; 0: no factor."""
    phase: str = ""
    """Phase of the launch that its time counts towards; empty: none."""


class Spin(msgspec.Struct, frozen=True, kw_only=True):
    """The spin workload as pybench runs it: acquire, the guarded line, hold, release, think."""

    lock: str = "ticket"
    hold_ns: float = 0.0
    think_ns: float = 0.0
    extra_ns: float = 0.0
    extra_share: float = 0.0
    """Share of the sections, at random, that hold extra_ns longer (locktorture's delays)."""
    hold_dist: Distribution = "fixed"
    think_dist: Distribution = "fixed"
    guard: Literal["apart", "shared", "none"] = "apart"
    """Place of the guarded data: a line of its own, the lock's line, or none (the loops of other benchmarks)."""
    writers: int = 1
    """seqlock, rwsem: number of threads that write, from the last. Thread 0 always reads."""
    write_think_ns: float = 1000.0
    loop_ns: float = 1.0
    """Cost of one iteration of the loop without memory accesses and work, ns (measured by the lock `empty`)."""
    sample_ns: float = 0.0
    """Time that timing adds to an operation, ns; one operation in about 10 us is timed. 0: timing is free."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Containers launched by the threads: each runs `first`, then `steps` once per layer, then `last`."""

    containers: int
    layers: int
    first: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    """Run once per layer."""
    last: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    """Clean-up by the same thread, after the latency ends."""
    after_each: bool = True
    """True: `after` runs once per layer; False: once."""
    arrival: Literal["burst", "closed"] = "burst"
    """burst: all arrive at time 0, where latency begins; closed: each arrives when a thread takes it."""
    deadline_ns: float = 30e9


class QueueingModel(msgspec.Struct, frozen=True, kw_only=True):
    """The assumptions of a queueing model instead of the machine.

    Each thread works for an exponential time of mean `work_ns`, then queues, first come, first served, for a
    section of mean `serial_ns + home_ns * k / 2` while k others wait behind it.

    Boyd-Wickizer, Kaashoek, Morris, Zeldovich, "Non-scalable locks are dangerous", Linux Symposium (2012). With
    home=0: the machine repairman, M/M/1//N; with section="fixed": M/D/1//N.
    """

    work_ns: float
    serial_ns: float
    home_ns: float = 0.0
    section: Literal["exponential", "fixed"] = "exponential"


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All inputs of a simulation. Times are ns."""

    threads: tuple[SimThread, ...]
    workload: Spin | Launch | QueueingModel
    transfer: dict[str, Latency] = {}
    """Line transfers by distance class: those that the threads' places need. `l3` may be absent where all cores of
    a socket share one (then `socket` holds)."""
    jitter: float = 0.03
    """Relative standard deviation of one transfer around its pair's latency."""
    late: float = 0.0
    """Mean of the exponential delay of one transfer in twenty, in transfers of its pair."""
    local_ns: float = 1.0
    """Time of a load that hits the core's own cache."""
    atomic_ns: float = 5.0
    """Time of an atomic read-modify-write on a line that the core owns."""
    atomic_overlap: float = 1.0
    """Share of atomics behind which the next accesses start before the atomic is done, 0 to 1."""
    migratory: float = 0.0
    """Share of reads of a line modified by another core that take it away, rather than copy it, 0 to 1."""
    drain_ns: float = 0.0
    """Extra time of an atomic behind a store."""
    exit_ns: float = 0.0
    """Time to leave a spin loop: a mispredicted branch."""
    pause_ns: float = 10.0
    smt_slowdown: float = 1.0
    """Factor, at least 1, on work within a CPU while its SMT sibling is at work or spins."""
    service: Service = "none"
    service_ns: float = 0.0
    """Time that the home is busy with one request that it answers itself (a read of a shared line)."""
    retry_ns: float = 0.0
    """central: time after which a rejected request comes again."""
    timeslice_ns: float = 3e6
    switch_ns: float = 1500.0
    wake_ns: float = 3000.0
    """Time from waking a thread to its running on an idle CPU."""
    duration_ns: float = 1e6
    warmup_ns: float = 0.0
    """Unused by a launch storm, which runs until all containers are launched."""
    seed: int = 0
    max_events: int = 500_000_000
    """Bound of a simulation: beyond it, the simulation fails."""


class SimFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a simulation's events, and its time."""

    events: int
    """Memory accesses simulated: loads, stores, atomics; hits and transfers."""
    scheduled: int
    """Events that went through the event queue."""
    transfers: int
    """Lines that moved between cores, or were copied."""
    retries: int
    """Requests that the home rejected and that came again."""
    invalidations: int
    """Copies of spinning waiters that a write invalidated."""
    preemptions: int
    wall_s: float
    simulated_ns: float

    @property
    def memory_events(self) -> int:
        """Return the number of accesses, line transfers and invalidations."""
        return self.events + self.transfers + self.invalidations


class EngineResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a simulation, in the form of a trial's, and what the engine did."""

    outcome: Outcome
    facts: SimFacts
    launches_ns: tuple[float, ...] = ()
    """launch: latency of each container in ns, by its number."""
    late: int = 0
    """launch: number of containers that took longer than the deadline."""


def check(spec: EngineSpec) -> None:
    """Raise UsageError with a one-line fix if the engine cannot take the specification."""
    if not 1 <= len(spec.threads) <= MOST_THREADS:
        raise UsageError(f"{len(spec.threads)} threads; the engine takes 1 to {MOST_THREADS}")
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
    if isinstance(work, QueueingModel) and work.section == "fixed" and work.home_ns > 0:
        raise UsageError("section=fixed needs home_ns=0: a fixed section does not grow while it is served")
