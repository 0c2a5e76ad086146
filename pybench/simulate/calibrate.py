"""This host as a machine: short measurements of what the simulator's model needs, each checked like a trial.

A number is the median of clean repeats, its range from the least to the largest of them, and never narrower than
NARROWEST. What cannot be measured here is taken from elsewhere and marked assumed, with a range.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from scipy.optimize import nnls

from pybench import native
from pybench.analysis.transfers import pair_figures, why_spoiled
from pybench.errors import MeasurementError, UnsupportedError
from pybench.host.facts import read_facts
from pybench.host.topology import Topology
from pybench.native.outcome import Outcome, TrialSpec
from pybench.results.records import Cell
from pybench.results.transfers import PairTrial
from pybench.simulate.engine import EngineSpec, Latency, Seat, Spin, run
from pybench.simulate.machine import CpuPlace, Machine, Number, ServiceKind, Shape, Spread
from pybench.simulate.steps import STEPS
from pybench.sweep.transfers import TransferRun, plan_transfers
from pybench.sweep.trial import measure, start_meters
from pybench.workloads import workload

BUDGET_NS = 50 * 10**9
TRANSFER_SHARE = 0.4
# Repeats of one measurement, tries at them, and how long each runs.
REPEATS, TRIES = 5, 20
TRIAL_NS, WARMUP_NS = 40_000_000, 5_000_000
# A range narrower than this would claim more than a short measurement can.
NARROWEST = 0.02
# Their lone operations are a turn of the loop, an atomic beside it, three hits beside it, in the model as in fact.
PRIMITIVES = ("empty", "atomic-add", "seqlock")
# Another one, which enters no number and shows how well they fit.
CHECK = "tas"
LAUNCH_LAYERS, LAUNCH_CONTAINERS = 50, 10

Say = Callable[[str], None]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    machine: Machine
    seconds: float
    misses: dict[str, float]
    """Lone operations: the model's time over the measured, less one. Of primitives near 0 by construction."""


def calibrate(topology: Topology, say: Say = lambda _: None, *, budget_ns: int = BUDGET_NS) -> Calibration:
    """Measure this host. Raises MeasurementError if it is too disturbed to be measured."""
    began = time.monotonic()
    cpu = topology.usable[0].number
    say("one thread: loop, hits, atomics, pause")
    times, misses = _lone(cpu)
    say("line transfers from CPU to CPU")
    transfer = _transfers(topology, int(budget_ns * TRANSFER_SHARE))
    say("SMT siblings")
    times |= _siblings(topology)
    say("mount operations of a launch")
    launch, notes = _launch(topology)
    facts = read_facts()
    model = str(facts["cpu"]["model"] or "unknown CPU")
    service, service_source, service_times = _service(model, transfer)
    machine = Machine(
        name=_plain(platform.node()) or "this-host",
        title=f"{_plain(platform.node()) or 'this host'}, {_plain(model)}, calibrated",
        cpu_model=_plain(model),
        architecture=platform.machine(),
        shape=_shape(topology),
        service=service,
        service_source=service_source,
        transfer=transfer,
        times=_in_order(times | _clock() | _coherence(model) | service_times | _scheduler()),
        launch=launch,
        notes=(*notes, *_virtual(bool(facts["hypervisor"]["virtual"]))),
    )
    return Calibration(machine=machine, seconds=time.monotonic() - began, misses=misses)


def _plain(text: str) -> str:
    """One line that a machine file takes."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:120]


def _virtual(virtual: bool) -> list[str]:
    return ["measured inside a virtual machine, whose hypervisor is not modelled"] if virtual else []


def measured(values: Sequence[float], source: str, least: float = 0.0) -> Number:
    """The median of repeats and their range, at least NARROWEST either way."""
    middle = statistics.median(values)
    low = min(*values, middle * (1 - NARROWEST))
    high = max(*values, middle * (1 + NARROWEST))
    middle, low, high = (float(f"{max(x, least):.5g}") for x in (middle, low, high))
    return Number(middle, low, high, source)


def _assumed(value: float, low: float, high: float, why: str) -> Number:
    return Number(value, low, high, f"assumed: {why}")


def _clean(
    workload_name: str, cpus: tuple[int, ...], repeats: int, own_end: bool = False, **params: int | str
) -> list[Outcome]:
    """Clean trials of a workload, each checked as a sweep's. MeasurementError if too few come out so."""
    kind = workload(workload_name)
    cell = Cell(
        workload=workload_name, params=kind.complete(params), threads=len(cpus), place="", smt="on", cpus=cpus
    )
    found: list[Outcome] = []
    flags: list[str] = []
    for attempt in range(TRIES):
        spec = TrialSpec(
            workload=workload_name,
            params=cell.params,
            cpus=cpus,
            duration_ns=10 * 10**9 if own_end else TRIAL_NS,
            warmup_ns=0 if own_end else WARMUP_NS,
            seed=attempt,
        )
        told = measure(cell, spec, native.run_trial, start_meters)
        if told.outcome.status == "unsupported":
            raise UnsupportedError(told.outcome.reason)
        flags += told.flags or ([told.outcome.reason] if told.outcome.members is None else [])
        if told.outcome.members is not None and not told.flags:
            found.append(told.outcome)
            if len(found) == repeats:
                return found
    if len(found) >= 3:
        return found
    why = ", ".join(dict.fromkeys(flags))
    raise MeasurementError(
        f"{len(found)} of {TRIES} short trials of {workload_name} came out clean ({why}); measure on an idle host"
    )


def _ns_an_operation(outcome: Outcome) -> float:
    members = outcome.members
    assert members is not None
    return max(members.stop_ns) / max(sum(members.operations), 1)


# -------------------------------------------------------------------------------------------------- one thread


def _lone(cpu: int) -> tuple[dict[str, Number], dict[str, float]]:
    """Loop, hit and atomic from the lone operations of primitives; pause and timer by themselves."""
    outcomes = {lock: _clean("spin", (cpu,), REPEATS, lock=lock) for lock in (*PRIMITIVES, CHECK)}
    seen = {lock: [_ns_an_operation(one) for one in some] for lock, some in outcomes.items()}
    fewest = min(map(len, seen.values()))
    counts = np.array([made_of(lock) for lock in PRIMITIVES])
    solved = [nnls(counts, np.array([seen[lock][i] for lock in PRIMITIVES]))[0] for i in range(fewest)]
    columns = list(zip(*solved, strict=True))
    middle = [statistics.median(column) for column in columns]
    misses = {
        lock: float(np.array(made_of(lock)) @ np.array(middle)) / statistics.median(some) - 1
        for lock, some in seen.items()
    }
    how = f"measured: lone operations of {', '.join(PRIMITIVES)} solved for loop, hits and atomics"
    step = [one.timer_ns for some in outcomes.values() for one in some]
    timer = statistics.median(step)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        pauses = [native.relax_ns() for _ in range(REPEATS)]
    finally:
        os.sched_setaffinity(0, before)
    return {
        "core.loop_ns": measured([float(x) for x in columns[0]], how),
        "core.local_ns": measured([float(x) for x in columns[1]], how),
        "core.atomic_ns": measured([float(x) for x in columns[2]], how),
        "core.pause_ns": measured(pauses, "measured: a loop of nothing else"),
        "core.sample_ns": Number(
            round(3 * timer, 2), round(2 * timer, 2), round(4 * timer, 2), "measured: two to four timer readings"
        ),
        "core.jitter": _assumed(
            0.03, 0.01, 0.08, "single transfers cannot be told apart by a ping-pong's batches"
        ),
        "core.speed": Number(1.0, 1.0, 1.0, "launch steps were measured on this very host"),
    }, misses


def made_of(lock: str) -> tuple[float, float, float]:
    """How many turns of the loop, hits and atomics the model makes of a lone operation: it is asked for it."""

    def ns(loop: float, local: float, atomic: float) -> float:
        spec = EngineSpec(
            seats=(Seat(cpu=0),),
            workload=Spin(lock=lock, loop_ns=loop),
            transfer={"l3": Latency(50, 50, 50)},
            local_ns=local,
            atomic_ns=atomic,
            jitter=0.0,
            duration_ns=20_000,
            warmup_ns=2_000,
        )
        return _ns_an_operation(run(spec).outcome)

    base = ns(4.0, 4.0, 4.0)
    return tuple(max(round((ns(*changed) - base) / 4, 2), 0.0) for changed in ((8, 4, 4), (4, 8, 4), (4, 4, 8)))  # type: ignore[return-value]


# --------------------------------------------------------------------------------------------------- transfers


def _transfers(topology: Topology, budget_ns: int) -> dict[str, Spread]:
    """Percentiles over pairs of each class; their ranges are over the rounds."""
    cpus = [cpu.number for cpu in topology.usable]
    if len(cpus) < 2:
        return {"socket": _no_transfer()}
    plan = plan_transfers(topology, cpus, methods=("cas",), budget_ns=budget_ns, seed=1)
    trials = list(TransferRun(plan, topology).trials())
    rounds: dict[str, list[list[float]]] = {}
    for number in range(plan.rounds):
        mine = [trial for trial in trials if trial.round == number]
        for distance, percentiles in _percentiles(mine).items():
            rounds.setdefault(distance, []).append(percentiles)
    found = {}
    for distance, seen in rounds.items():
        pairs = plan.pairs_there[distance]  # type: ignore[index]
        count = sum(1 for pair in pair_figures(trials, "cas") if pair.distance == distance and pair.transfer_ns.n)
        how = f"measured: compare-and-swap ping-pong, {count} of {pairs} pairs, {len(seen)} rounds"
        # Of a pair that was always spoiled in some round, that round tells nothing: it is not among these.
        columns = [measured(column, how, 0.1) for column in zip(*seen, strict=True)]
        found[distance] = Spread(*ascending(columns))
    missing = [name for name in plan.pairs_there if name not in found]
    if missing:
        raise MeasurementError(
            f"no clean transfer ({', '.join(missing)}): {why_spoiled(trials)}; measure on an idle host"
        )
    return found


def _no_transfer() -> Spread:
    one = _assumed(50.0, 20.0, 120.0, "this host has one CPU, and nothing to transfer to")
    return Spread(one, one, one)


def _percentiles(trials: list[PairTrial]) -> dict[str, list[float]]:
    by_class: dict[str, list[float]] = {}
    for trial in trials:
        if trial.clean and trial.transfer_ns:
            by_class.setdefault(trial.distance, []).append(trial.transfer_ns)
    return {name: [float(q) for q in np.percentile(values, (5, 50, 95))] for name, values in by_class.items()}


def ascending(numbers: list[Number]) -> list[Number]:
    """Percentiles whose medians and bounds ascend, as medians over rounds of each need not quite."""
    kept = [numbers[0]]
    for one in numbers[1:]:
        last = kept[-1]
        kept.append(
            Number(max(one.value, last.value), max(one.low, last.low), max(one.high, last.high), one.source)
        )
    return kept


# ------------------------------------------------------------------------------------------------- the machine


def _siblings(topology: Topology) -> dict[str, Number]:
    core = next((cpus for cpus in topology.cores.values() if sum(cpu.allowed for cpu in cpus) > 1), None)
    if core is None:
        return {"core.smt_slowdown": Number(1.0, 1.0, 1.0, "no SMT siblings that may be used")}
    pair = tuple(cpu.number for cpu in core if cpu.allowed)[:2]
    alone = statistics.median([_ns_an_operation(one) for one in _clean("spin", pair[:1], REPEATS, lock="empty")])
    both = [2 * _ns_an_operation(one) / alone for one in _clean("spin", pair, REPEATS, lock="empty")]
    return {
        "core.smt_slowdown": measured([max(x, 1.0) for x in both], "measured: an empty loop on both siblings", 1.0)
    }


def _clock() -> dict[str, Number]:
    ghz = []
    try:
        for line in open("/proc/cpuinfo", encoding="utf-8", errors="replace"):  # noqa: PTH123, SIM115
            if line.startswith("cpu MHz"):
                ghz.append(float(line.partition(":")[2]) / 1000)
    except (OSError, ValueError):
        ghz = []
    ghz = [one for one in ghz if 0.1 <= one <= 10]
    if not ghz:
        return {"core.clock_ghz": _assumed(2.5, 1.0, 5.0, "this host does not tell its clock")}
    return {"core.clock_ghz": measured(ghz, "/proc/cpuinfo, over the CPUs", 0.1)}


def _coherence(model: str) -> dict[str, Number]:
    """As shipped machines of the vendor have it."""
    vendor = model.upper()
    if "AMD" in vendor:
        overlap, migratory = (
            _assumed(1.0, 0.5, 1.0, "as seen on an EPYC"),
            _assumed(1.0, 0.5, 1.0, "as seen on an EPYC"),
        )
    elif "INTEL" in vendor:
        overlap = _assumed(0.0, 0.0, 0.3, "as on Haswell (Schweizer et al., PACT 2015)")
        migratory = _assumed(0.0, 0.0, 0.3, "copies, as in the MESIF protocol")
    else:
        overlap, migratory = (_assumed(0.5, 0.0, 1.0, "a CPU of which nothing is known here") for _ in "am")
    return {"core.atomic_overlap": overlap, "core.migratory": migratory}


def _service(model: str, transfer: dict[str, Spread]) -> tuple[ServiceKind, str, dict[str, Number]]:
    nearest = next(transfer[name] for name in ("l3", "socket", "cross-socket", "smt") if name in transfer)
    ns = nearest.median.value
    why = "a part of a transfer; two CPUs cannot show a queue"
    service = {"service.service_ns": _assumed(round(0.3 * ns, 2), round(0.1 * ns, 2), round(0.6 * ns, 2), why)}
    if "AMD" in model.upper():
        return "cluster", "assumed: an AMD CPU, whose L3 clusters answer for their own cores", service
    retry = {"service.retry_ns": _assumed(round(0.3 * ns, 2), round(0.1 * ns, 2), round(1.2 * ns, 2), why)}
    return "central", "assumed: a mesh with one queue for each line", service | retry


def _scheduler() -> dict[str, Number]:
    return {
        "scheduler.timeslice_ns": _assumed(2.8e6, 7e5, 4e6, "the kernel's base slice on hosts of many CPUs"),
        "scheduler.switch_ns": _assumed(1500.0, 1000.0, 3000.0, "a context switch of 1 to 3 us"),
        "scheduler.wake_ns": _assumed(3000.0, 1500.0, 50_000.0, "an idle CPU's wake-up, long in virtual machines"),
    }


def _shape(topology: Topology) -> Shape:
    cores: dict[tuple[str, int], int] = {}
    places = []
    for cpu in topology.online:
        key = ("core", cpu.core) if cpu.core is not None else ("cpu", cpu.number)
        core = cores.setdefault(key, len(cores))
        l3 = -1 if cpu.l3 is None else cpu.l3
        places.append(CpuPlace(cpu.number, cpu.socket or 0, cpu.node or 0, l3, core))
    sizes = {size for size in topology.l3_bytes if size}
    return Shape(
        cpus=tuple(places),
        source="this host's sysfs",
        l3_mib=sizes.pop() / 2**20 if len(sizes) == 1 else 0.0,
        memory_gib=round((topology.memory_bytes or 0) / 2**30, 3),
    )


def _in_order(times: dict[str, Number]) -> dict[str, Number]:
    """As a file is read: core, service, scheduler, each in its own order."""
    from pybench.simulate.load import CORE, SCHEDULER, SERVICE

    order = [f"core.{key}" for key in CORE] + [f"service.{key}" for key in SERVICE["central"]]
    order += [f"scheduler.{key}" for key in SCHEDULER]
    return {name: times[name] for name in order if name in times}


# ------------------------------------------------------------------------------------------------------ launch


def _launch(topology: Topology) -> tuple[dict[str, Number], list[str]]:
    """Durations of the steps of a launch, on one CPU; none, with a note, where this host cannot mount."""
    cpu = (topology.usable[0].number,)
    try:
        steps = _steps(cpu, tuple(c.number for c in topology.usable)[:2])
    except UnsupportedError as error:
        return {}, [f"no launch steps: this host cannot do them ({_plain(str(error))})"]
    except MeasurementError as error:
        return {}, [f"no launch steps: {_plain(str(error))}"]
    return {f"launch.{key}": steps[key] for key in STEPS}, []


def _steps(cpu: tuple[int, ...], two: tuple[int, ...]) -> dict[str, Number]:
    def storm(strategy: str, layers: int) -> list[Outcome]:
        return _clean(
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
    walks = [[_ns_an_operation(one) for one in _clean("stat", cpu, 3, depth=depth)] for depth in (1, 9)]
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
        "section_share": _section_share(cpu, two),
        "mount_lock_share": _assumed(0.3, 0.1, 0.6, "linking and unlinking is some part of the section"),
        "spread": _assumed(0.15, 0.05, 0.3, "steps of one kind differ by some tenths"),
    }


def _section_share(cpu: tuple[int, ...], two: tuple[int, ...]) -> Number:
    """Share of a mount's work that is serial, by Amdahl's law from one thread and two."""
    if len(two) < 2:
        return _assumed(0.4, 0.2, 0.7, "this host has one CPU to mount on")
    rates = [statistics.median([_ns_an_operation(one) for one in _clean("mount", cpus, 3)]) for cpus in (cpu, two)]
    share = min(max(2 / (rates[0] / rates[1]) - 1, 0.05), 0.95)
    return Number(
        round(share, 4),
        round(max(share * 0.7, 0.02), 4),
        round(min(share * 1.3, 1.0), 4),
        "measured: mounts by one thread and by two, as Amdahl's law has it; within 30 %",
    )
