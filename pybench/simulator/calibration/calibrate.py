# SPDX-License-Identifier: Apache-2.0
"""This host as a machine: short measurements of the numbers of the simulator's model, each checked like a trial.

A number is the median of valid repeats; its range reaches from the smallest to the largest, and at least NARROWEST
either way. Numbers that cannot be measured here are taken from elsewhere and marked assumed, with a range.
"""

import platform
import statistics
import time
from collections.abc import Callable

import msgspec
import numpy as np

from pybench.errors import MeasurementError
from pybench.host.facts import read_facts
from pybench.host.switches.journal import undisturbed
from pybench.host.topology import Topology
from pybench.results.latency_file import PairTrial, why_invalid
from pybench.results.latency_summary import pair_latencies
from pybench.run.line_transfers import measure_matrix, plan_transfers
from pybench.simulator.calibration.core import lone
from pybench.simulator.calibration.lateness import singles
from pybench.simulator.calibration.launch_durations import launch_steps
from pybench.simulator.calibration.trials import REPEATS, assumed, measured, ns_an_operation, plain, valid_outcomes
from pybench.simulator.machine import CpuPlace, Machine, Number, ServiceKind, Shape, Spread
from pybench.simulator.machine_file import CORE, SCHEDULER, SERVICE

BUDGET_NS = 50 * 10**9
TRANSFER_SHARE = 0.4

Say = Callable[[str], None]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A machine measured on this host, and how well it fits."""

    machine: Machine
    seconds: float
    misses: dict[str, float]
    """Operations of one thread: the model's time over the measured one, less 1; of primitives near 0 by design."""


@undisturbed()
def measure_host(topology: Topology, say: Say = lambda _: None, *, budget_ns: int = BUDGET_NS) -> Calibration:
    """Measure this host. Raises MeasurementError if it is too disturbed to be measured, UsageError while another
    run turns its switches."""
    began = time.monotonic()
    cpu = topology.usable[0].number
    say("one thread: loop, hits, atomics, pause")
    times, misses = lone(cpu)
    say("line transfers from CPU to CPU")
    transfer = _transfers(topology, int(budget_ns * TRANSFER_SHARE))
    times |= singles(topology)
    say("SMT siblings")
    times |= _siblings(topology)
    say("mount operations of a launch")
    launch, notes = launch_steps(topology)
    facts = read_facts()
    model = str(facts["cpu"]["model"] or "unknown CPU")
    service, service_source, service_times = _service(model, transfer)
    machine = Machine(
        name=plain(platform.node()) or "this-host",
        title=f"{plain(platform.node()) or 'this host'}, {plain(model)}, calibrated",
        cpu_model=plain(model),
        architecture=platform.machine(),
        shape=_shape(topology),
        service=service,
        service_source=service_source,
        transfer=transfer,
        times=_in_order(times | _clock() | _vendor(model) | service_times | _scheduler()),
        launch=launch,
        notes=(*notes, *_virtual(bool(facts["hypervisor"]["virtual"]))),
    )
    return Calibration(machine=machine, seconds=time.monotonic() - began, misses=misses)


def _virtual(virtual: bool) -> list[str]:
    return ["measured inside a virtual machine, whose hypervisor is not modelled"] if virtual else []


# --------------------------------------------------------------------------------------------------- transfers


def _transfers(topology: Topology, budget_ns: int) -> dict[str, Spread]:
    """Measure percentiles over the pairs of each class; their ranges are over the rounds."""
    cpus = [cpu.number for cpu in topology.usable]
    if len(cpus) < 2:
        return {"socket": _no_transfer()}
    plan = plan_transfers(topology, cpus, methods=("cas",), budget_ns=budget_ns, seed=1)
    trials = measure_matrix(plan, topology).trials
    rounds: dict[str, list[list[float]]] = {}
    for number in range(plan.rounds):
        mine = [trial for trial in trials if trial.round == number]
        for distance, percentiles in _percentiles(mine).items():
            rounds.setdefault(distance, []).append(percentiles)
    found = {}
    for distance, seen in rounds.items():
        pairs = plan.pairs_there[distance]  # type: ignore[index]
        count = sum(
            1 for pair in pair_latencies(trials, "cas") if pair.distance == distance and pair.transfer_ns.n
        )
        how = f"measured: compare-and-swap ping-pong, {count} of {pairs} pairs, {len(seen)} rounds"
        # A round in which all trials of a pair were invalid is not among these columns.
        columns = [measured(column, how, 0.1) for column in zip(*seen, strict=True)]
        found[distance] = Spread(*ascending(columns))
    missing = [name for name in plan.pairs_there if name not in found]
    if missing:
        raise MeasurementError(
            f"no valid transfer ({', '.join(missing)}): {why_invalid(trials)}; measure on an idle host"
        )
    return found


def _no_transfer() -> Spread:
    one = assumed(50.0, 20.0, 120.0, "this host has one CPU, and nothing to transfer to")
    return Spread(one, one, one)


def _percentiles(trials: list[PairTrial]) -> dict[str, list[float]]:
    by_class: dict[str, list[float]] = {}
    for trial in trials:
        if trial.valid and trial.transfer_ns:
            by_class.setdefault(trial.distance, []).append(trial.transfer_ns)
    return {name: [float(q) for q in np.percentile(values, (5, 50, 95))] for name, values in by_class.items()}


def ascending(numbers: list[Number]) -> list[Number]:
    """Return percentiles whose medians and bounds ascend, which medians over rounds of each need not."""
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
    alone = statistics.median(
        [ns_an_operation(one) for one in valid_outcomes("spin", pair[:1], REPEATS, lock="empty")]
    )
    both = [2 * ns_an_operation(one) / alone for one in valid_outcomes("spin", pair, REPEATS, lock="empty")]
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
        return {"core.clock_ghz": assumed(2.5, 1.0, 5.0, "this host does not tell its clock")}
    return {"core.clock_ghz": measured(ghz, "/proc/cpuinfo, over the CPUs", 0.1)}


def _vendor(model: str) -> dict[str, Number]:
    """Return the numbers that two threads do not show, from shipped machines of the vendor."""
    vendor = model.upper()
    if "AMD" in vendor:
        overlap = migratory = assumed(1.0, 0.5, 1.0, "as seen on an EPYC")
    elif "INTEL" in vendor:
        overlap = assumed(0.0, 0.0, 0.3, "as on Haswell (Schweizer et al., PACT 2015)")
        migratory = assumed(0.0, 0.0, 0.3, "copies, as in the MESIF protocol")
    else:
        overlap = migratory = assumed(0.5, 0.0, 1.0, "a CPU of which nothing is known here")
    return {"core.atomic_overlap": overlap, "core.migratory": migratory}


def _service(model: str, transfer: dict[str, Spread]) -> tuple[ServiceKind, str, dict[str, Number]]:
    nearest = next(transfer[name] for name in ("l3", "socket", "cross-socket", "smt") if name in transfer)
    ns = nearest.median.value
    why = "a part of a transfer; two CPUs cannot show a queue"
    service = {"service.service_ns": assumed(round(0.3 * ns, 2), round(0.1 * ns, 2), round(0.6 * ns, 2), why)}
    if "AMD" in model.upper():
        return "cluster", "assumed: an AMD CPU, whose L3 clusters answer for their own cores", service
    retry = {"service.retry_ns": assumed(round(0.3 * ns, 2), round(0.1 * ns, 2), round(1.2 * ns, 2), why)}
    return "central", "assumed: a mesh with one queue for each line", service | retry


def _scheduler() -> dict[str, Number]:
    return {
        "scheduler.timeslice_ns": assumed(2.8e6, 7e5, 4e6, "the kernel's base slice on hosts of many CPUs"),
        "scheduler.switch_ns": assumed(1500.0, 1000.0, 3000.0, "a context switch of 1 to 3 us"),
        "scheduler.wake_ns": assumed(3000.0, 1500.0, 50_000.0, "an idle CPU's wake-up, long in virtual machines"),
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
    """Return the numbers in the order of a machine file: core, service, scheduler, each in its own."""
    order = [f"core.{key}" for key in CORE] + [f"service.{key}" for key in SERVICE["central"]]
    order += [f"scheduler.{key}" for key in SCHEDULER]
    return {name: times[name] for name in order if name in times}
