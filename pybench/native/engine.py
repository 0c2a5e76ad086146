# SPDX-License-Identifier: Apache-2.0
"""One simulation: its specification to the C core, and the core's results to an Outcome."""

import errno
import functools
import math
import statistics
import time
from typing import Any

from pybench.errors import MeasurementError, UsageError
from pybench.native import error_text, handoffs_of, load, members_of, phase_of
from pybench.native.engine_spec import (
    EngineResult,
    EngineSpec,
    Latency,
    Launch,
    QueueingModel,
    SimFacts,
    Spin,
    Step,
    check,
)
from pybench.native.outcome import Outcome, Phase

PACES = 256
LATE_SHARE = 0.05
MOST_PHASES = 16
SERVICES = {"none": 0, "central": 1, "cluster": 2}
GUARDS = {"none": 0, "apart": 1, "shared": 2}
DISTRIBUTIONS = {"fixed": 0, "exponential": 1, "bimodal": 2}
STEPS = {
    "compute": 0,
    "walk": 1,
    "namespace": 2,
    "namespace-read": 3,
    "mount-lock": 4,
    "sleep": 5,
    "lock": 6,
    "unlock": 7,
}
SPIN_PHASES = ("acquire", "hold", "operation")


@functools.cache
def _normal(parts: int = PACES) -> list[float]:
    """Return the midpoints of equal parts of the standard normal distribution."""
    distribution = statistics.NormalDist()
    return [distribution.inv_cdf((i + 0.5) / parts) for i in range(parts)]


@functools.lru_cache(maxsize=64)
def transfer_paces(jitter: float, late: float) -> list[float]:
    """Return quantiles of a single transfer, in transfers of its pair (mean 1).

    Most are normal with `jitter`; a share of LATE_SHARE takes longer by an exponential time of mean `late`.
    """
    lates = round(PACES * LATE_SHARE)
    paces = [1 + jitter * z for z in _normal(PACES - lates)]
    paces += [1 - late * math.log((i + 0.5) / lates) for i in range(lates)]
    mean = statistics.fmean(paces)
    return [max(pace / mean, 0.1) for pace in paces]


@functools.lru_cache(maxsize=64)
def _quantiles(latency: Latency) -> list[float]:
    """Return quantiles of a pair's latency in ns: two half normal distributions that meet at the median."""
    tail = 1.6448536
    low, high = (latency.median - latency.p5) / tail, (latency.p95 - latency.median) / tail
    return [max(latency.median + z * (low if z < 0 else high), latency.p5 / 2) for z in _normal()]


def _transfers(spec: EngineSpec) -> list[float]:
    given = spec.transfer
    nearest = next((given[name] for name in ("l3", "socket", "smt", "cross-socket") if name in given), None)
    if nearest is None:
        return [0.0] * (4 * PACES)
    l3 = given.get("l3", given.get("socket", nearest))
    socket = given.get("socket", l3)
    chosen = (given.get("smt", l3), l3, socket, given.get("cross-socket", socket))
    return [ns for latency in chosen for ns in _quantiles(latency)]


def _numbered(places: list[Any]) -> list[int]:
    """Return a number for each place, from 0 in the order of their first occurrence."""
    known: dict[Any, int] = {}
    return [known.setdefault(place, len(known)) for place in places]


def _fill_threads(slots: Any, spec: EngineSpec) -> None:
    columns = [
        _numbered([thread.cpu for thread in spec.threads]),
        _numbered([thread.core for thread in spec.threads]),
        _numbered([(thread.socket, thread.l3) for thread in spec.threads]),
        _numbered([thread.socket for thread in spec.threads]),
        _numbered([thread.domain for thread in spec.threads]),
    ]
    for slot, places in zip(slots, zip(*columns, strict=True), strict=True):
        slot.cpu, slot.core, slot.l3, slot.socket, slot.domain = places


def _fill_spin(c_spec: Any, spin: Spin) -> None:
    c_spec.lock = spin.lock.encode()
    c_spec.guard = GUARDS[spin.guard]
    c_spec.hold_distribution, c_spec.think_distribution = (
        DISTRIBUTIONS[spin.hold_dist],
        DISTRIBUTIONS[spin.think_dist],
    )
    for name in (
        "writers",
        "extra_share",
        "extra_ns",
        "hold_ns",
        "think_ns",
        "write_think_ns",
        "loop_ns",
        "sample_ns",
    ):
        setattr(c_spec, name, getattr(spin, name))


def _fill_steps(slots: Any, steps: list[Step], phases: list[str]) -> None:
    for slot, step in zip(slots, steps, strict=True):
        slot.kind, slot.count, slot.ns, slot.spread = STEPS[step.kind], step.count, step.ns, step.spread
        slot.phase = phases.index(step.phase) if step.phase else -1


def _to_c(ffi: Any, spec: EngineSpec) -> tuple[Any, list[str], list[Any]]:
    """Return the specification, the names of its phases, and the objects that must outlive the call."""
    c_spec = ffi.new("struct pb_sim_spec *")
    threads = ffi.new("struct pb_sim_thread[]", len(spec.threads))
    _fill_threads(threads, spec)
    c_spec.threads, c_spec.n_threads, keep = threads, len(spec.threads), [threads]
    c_spec.service = SERVICES[spec.service]
    c_spec.transfer, c_spec.normal = _transfers(spec), _normal()
    c_spec.pace = transfer_paces(spec.jitter, spec.late)
    for name in (
        "local_ns",
        "atomic_ns",
        "atomic_overlap",
        "migratory",
        "drain_ns",
        "exit_ns",
        "pause_ns",
        "smt_slowdown",
        "service_ns",
        "retry_ns",
    ):
        setattr(c_spec, name, getattr(spec, name))
    for name in ("timeslice_ns", "switch_ns", "wake_ns", "duration_ns", "warmup_ns", "max_events"):
        setattr(c_spec, name, getattr(spec, name))
    c_spec.seed = spec.seed & (2**64 - 1)
    work = spec.workload
    if isinstance(work, Spin):
        c_spec.workload = 0
        _fill_spin(c_spec, work)
        return c_spec, list(SPIN_PHASES), keep
    if isinstance(work, Launch):
        lists = [list(work.first), list(work.steps), list(work.last), list(work.after)]
        flat = [step for part in lists for step in part]
        phases = ["launch", *dict.fromkeys(step.phase for step in flat if step.phase)]
        if len(phases) > MOST_PHASES:
            raise UsageError(f"{len(phases)} phases; the engine takes {MOST_PHASES}")
        steps = ffi.new("struct pb_sim_step[]", max(len(flat), 1))
        _fill_steps(steps[0 : len(flat)], flat, phases)
        c_spec.workload, c_spec.steps = 1, steps
        c_spec.lists = [len(part) for part in lists]
        c_spec.containers, c_spec.layers, c_spec.closed = work.containers, work.layers, work.arrival == "closed"
        c_spec.deadline_ns, c_spec.after_once = work.deadline_ns, not work.after_each
        return c_spec, phases, [*keep, steps]
    assert isinstance(work, QueueingModel)
    c_spec.workload = 2
    c_spec.work_ns, c_spec.serial_ns, c_spec.home_ns = work.work_ns, work.serial_ns, work.home_ns
    c_spec.fixed = work.section == "fixed"
    return c_spec, ["acquire"], keep


def run(spec: EngineSpec) -> EngineResult:
    """Simulate. The same specification gives the same results bit by bit. Releases the GIL.

    Raises UsageError for a specification that the engine cannot take, MeasurementError for a simulation that
    fails, and UnsupportedError without the core.
    """
    check(spec)
    core = load()
    ffi, lib = core.ffi, core.lib
    c_spec, names, keep = _to_c(ffi, spec)
    sim, error = ffi.new("struct pb_sim **"), ffi.new("struct pb_error *")
    began = time.perf_counter()
    try:
        code = lib.pb_sim_run(c_spec, sim, error)
        wall_s = time.perf_counter() - began
        del keep
        if code:
            raise _failure(error)
        return _simulated(ffi, lib, spec, sim[0], names, wall_s)
    finally:
        lib.pb_sim_free(sim[0])


def _failure(error: Any) -> MeasurementError:
    text = error_text(error)
    if error.code == -errno.EOVERFLOW:
        text += "; simulate a shorter time or fewer threads"
    return MeasurementError(text)


def _simulated(ffi: Any, lib: Any, spec: EngineSpec, sim: Any, names: list[str], wall_s: float) -> EngineResult:
    facts = lib.pb_sim_facts(sim)
    members = [lib.pb_sim_member(sim, i) for i in range(len(spec.threads))]
    for member, thread in zip(members, spec.threads, strict=True):
        member.cpu_asked = member.cpu_start = member.cpu_stop = thread.cpu
    handoffs = None
    if isinstance(spec.workload, Spin):
        handoffs = handoffs_of(ffi, lambda i: lib.pb_sim_handoffs(sim, i), len(members))
    phases: dict[str, Phase] = {}
    for index, name in enumerate(names):
        part = lib.pb_sim_phase(sim, 0, index)
        if part.calls:
            phases[name] = phase_of(ffi, [part])
    counters = {"retries": sum(member.counters[1] for member in members)}
    if facts.launched:
        counters = {"launched": facts.launched, "late": facts.late}
    launches = lib.pb_sim_launches(sim)
    return EngineResult(
        outcome=Outcome(
            status="ok",
            members=members_of(members),
            phases=phases,
            counters={name: count for name, count in counters.items() if count},
            handoffs=handoffs,
            ns_per_tick=1.0,
        ),
        facts=SimFacts(
            events=facts.events,
            scheduled=facts.scheduled,
            transfers=facts.transfers,
            retries=facts.retries,
            invalidations=facts.invalidations,
            preemptions=facts.preemptions,
            wall_s=wall_s,
            simulated_ns=facts.simulated_ns,
        ),
        launches_ns=() if launches == ffi.NULL else tuple(launches[i] for i in range(spec.workload.containers)),  # type: ignore[union-attr]
        late=facts.late,
    )
