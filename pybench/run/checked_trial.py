# SPDX-License-Identifier: Apache-2.0
"""One trial with the host's counters around it, its result and evidence, and what a host needs for a trial
that it cannot do."""

import errno
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pybench.host.meters import HostCounts, HostMeter, node_of
from pybench.host.topology import DISTANCES, Distance
from pybench.native.outcome import Handoffs, Members, Outcome, Phase, TrialSpec
from pybench.results.records import Cell, Evidence, Figures, HandoffFigure, Plan
from pybench.run.checks import flags
from pybench.stats.estimate import jain, percentiles_ns
from pybench.workloads import workload

# Bound of a trial that ends by itself; the rest of its work counts as not done.
LONGEST_OWN_NS = 60 * 10**9
# All pairs of 32 members.
MOST_HANDOFF_PAIRS = 1024


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the valid trials of a cell so far, to compare the next with; empty or None: not known yet."""

    work_ns: Sequence[float] = ()
    """Each member's time for the fixed chain of work."""
    waited: float | None = None
    """`Evidence.waited`."""


NO_BASELINE = Baseline()


def figures(members: Members, phases: Mapping[str, Phase], latency: str) -> Figures:
    """Return the results of a trial. `latency` names the phase whose percentiles are reported."""
    main = _main(members)
    operations = [members.operations[i] for i in main]
    total = sum(operations)
    p50, p90, p99, p999 = percentiles_ns(phases[latency], (0.5, 0.9, 0.99, 0.999))
    return Figures(
        throughput=total / max(members.stop_ns[i] for i in main) * 1e9,
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        p999_ns=p999,
        max_ns=float(phases[latency].max_ns),
        jain=round(jain(operations), 6),
        cpu_ns_per_operation=sum(members.cpu_ns[i] for i in main) / max(total, 1),
    )


def handoffs_by_distance(
    handoffs: Handoffs, between: Sequence[Sequence[Distance]], transfer_ns: Mapping[Distance, float] | None = None
) -> list[HandoffFigure]:
    """Return the sums of a trial's handoffs by distance, near to far.

    `between` has shape (members, members); `transfer_ns` is the time of one line transfer shortly before, in ns.
    """
    limits = transfer_ns or {}
    sums: dict[Distance, list[int]] = {}
    columns = zip(handoffs.giver, handoffs.taker, handoffs.count, handoffs.timed, handoffs.ns, strict=True)
    for giver, taker, *values in columns:
        total = sums.setdefault(between[giver][taker], [0, 0, 0])
        for i, value in enumerate(values):
            total[i] += value
    return [
        HandoffFigure(
            distance=d,
            count=count,
            timed=timed,
            mean_ns=round(ns / timed, 2) if timed else 0.0,
            transfer_ns=limits.get(d, 0.0),
        )
        for d in DISTANCES
        if d in sums
        for count, timed, ns in [sums[d]]
    ]


def _main(members: Members) -> list[int]:
    return [i for i in range(len(members.cpu)) if members.is_main(i)]


def evidence(
    cell: Cell, outcome: Outcome, around: HostCounts, baseline: Baseline = NO_BASELINE, *, by_time: bool = True
) -> Evidence:
    """Return the evidence of a trial that ended well.

    `baseline` is of the cell's valid trials so far; `by_time` is True if the trial was ended by time, rather than
    by a count of operations.
    """
    members = outcome.members
    assert members is not None
    spans = [max(stop - start, 1) for start, stop in zip(members.start_ns, members.stop_ns, strict=True)]
    together = min(members.stop_ns) - max(members.start_ns)
    off = [max(1 - cpu / span, 0.0) for cpu, span in zip(members.cpu_ns, spans, strict=True)]
    waited = sum(ns / span for ns, span in zip(members.waited_ns, spans, strict=False))
    involuntary = (n * 1e9 / span for n, span in zip(members.involuntary_switches, spans, strict=True))
    offset_ns, drift = _clock(members.clock_offset_ns, spans)
    change, loss = _speed(members.work_ns, baseline.work_ns)
    main = _main(members)
    total = sum(members.operations[i] for i in main)
    own_end = workload(cell.workload).ends_by_itself
    longest = max((phase.max_ns for phase in outcome.phases.values()), default=0)
    return Evidence(
        start_skew_ns=max(members.start_ns),
        skew=round(max(members.start_ns) / max(members.stop_ns), 6),
        topology=around.topology,
        overlap=round(max(together, 0) / max(members.stop_ns), 6),
        off_cpu=round(max(off), 6),
        off_cpu_sum=round(sum(off), 6),
        waited=round(waited, 6),
        waited_more=round(max(waited - baseline.waited, 0.0), 6) if baseline.waited is not None else 0.0,
        steal=round(around.steal, 6),
        load=round(around.load, 2),
        running=around.running,
        tick_share=round(around.tick_share, 4),
        other_work=round(around.other_work, 4),
        siblings_busy=round(around.siblings_busy, 4),
        elsewhere=round(around.elsewhere, 3),
        interrupts=around.interrupts,
        throttled=round(around.throttled, 6),
        thermal_throttles=around.thermal_throttles,
        frequency_khz=around.frequency_khz,
        pressure=round(around.pressure, 6),
        involuntary=round(max(involuntary), 1),
        migrated=sum(seen != [cpu, cpu] for cpu, seen in zip(members.cpu, members.cpu_seen, strict=False)),
        misplaced=_misplaced(cell, outcome, members),
        hold_error=_miss(members.hold_ns, members.hold_asked_ns),
        think_error=_miss(members.think_ns, members.think_asked_ns),
        speed_change=change,
        speed_loss=loss,
        clock_offset_ns=offset_ns,
        clock_drift=drift,
        quantum=round(len(main) / max(total, 1), 6) if by_time and not own_end else 0.0,
        stall=0.0 if own_end else round(longest / max(members.stop_ns), 6),
    )


def _miss(achieved: Sequence[float], asked: Sequence[float]) -> float:
    """Return the largest share by which a time missed what was asked; times that were not asked are left out."""
    misses = (abs(got / want - 1) for got, want in zip(achieved, asked, strict=False) if want > 0)
    return round(max(misses, default=0.0), 6)


def _speed(work_ns: Sequence[Sequence[float]], baseline: Sequence[float]) -> tuple[float, float]:
    """Return (largest change over the trial, largest loss against the baseline), as shares."""
    change = max((max(pair) / min(pair) - 1 for pair in work_ns if min(pair) > 0), default=0.0)
    losses = (max(pair) / want - 1 for pair, want in zip(work_ns, baseline, strict=False) if want > 0)
    return round(change, 6), round(max([*losses, 0.0]), 6)


def _clock(offsets: Sequence[Sequence[float]], spans: Sequence[int]) -> tuple[float, float]:
    """Return (largest distance from the first member's clock at the start in ns, largest drift)."""
    distance = max((abs(start) for start, _ in offsets), default=0.0)
    drift = max(
        (abs(stop - start) / span for (start, stop), span in zip(offsets, spans, strict=False)), default=0.0
    )
    return round(distance, 1), round(drift, 9)


def _misplaced(cell: Cell, outcome: Outcome, members: Members) -> int:
    """Return how many pieces of memory are known to be elsewhere than asked: the contended line, members' own."""
    wrong = 0
    line, after = outcome.line_node, outcome.line_node_after
    if line >= 0:
        near = node_of(members.cpu[0])
        asked = cell.nodes if cell.memory == "bind" else (near,) if cell.memory == "local" and near >= 0 else ()
        wrong += bool(asked) and line not in asked
        wrong += after not in (-1, line)
    of_tasks = cell.nodes if workload(cell.workload).kernel_memory else ()
    for cpu, node in zip(members.cpu, members.node, strict=False):
        near = node_of(cpu)
        wanted = of_tasks or ((near,) if near >= 0 else ())
        wrong += node >= 0 and bool(wanted) and node not in wanted
    return wrong


NAMESPACES = (
    "mounts need root (CAP_SYS_ADMIN) or unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
)
# Part of the failed call -> what it needs. Versions are those of upstream kernels; distributions backport.
CALLS = {
    "MS_REC | MS_PRIVATE": "the root must be a mount point; of a chroot, mount --bind DIR DIR before chroot DIR",
    "CLONE_NEWUSER": NAMESPACES,
    "uid_map": NAMESPACES,
    "open_tree": "detached clones of mounts need Linux 5.2",
    "MOUNT_ATTR_IDMAP": "id-mapped mounts need Linux 5.12 (of a tmpfs: 6.3), and a file system that can",
    "move_mount": "detached mounts need Linux 5.2",
    "mount(overlay)": "overlay needs its module; over id-mapped layers, Linux 5.19",
    "fsopen(overlay)": "fsopen needs Linux 5.2 and the overlay module",
    "lowerdir+": "overlay layers by descriptor need Linux 6.13 (lowerdir+ itself: 6.7)",
    "FSCONFIG_CMD_CREATE": "overlay over detached layers needs Linux 6.15, over id-mapped ones 5.19",
    "set_mempolicy": "binding memory needs a kernel with NUMA; in a container also CAP_SYS_NICE (seccomp)",
    "listmount": "listmount and statmount need Linux 6.8",
}
IDMAP_PERMISSION = (
    "id-mapping a file system needs CAP_SYS_ADMIN in the user namespace that mounted it: be root on the host, "
    "or use fs=tmpfs"
)

RunTrial = Callable[[TrialSpec], Outcome]
# Called just before a trial with its CPUs; what it returns is called just after.
StartMeters = Callable[[Sequence[int]], Callable[[], HostCounts]]


def start_meters(cpus: Sequence[int]) -> Callable[[], HostCounts]:
    """Read this host's counters now, and again when the returned function is called."""
    return HostMeter(cpus).around


class CheckedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a trial. It has evidence only if it ended well, and flags then or if its CPUs were gone."""

    outcome: Outcome
    started: float
    """Seconds since the epoch."""
    seconds: float
    evidence: Evidence | None = None
    flags: list[str] = []


def measure(
    cell: Cell, spec: TrialSpec, run_trial: RunTrial, meters: StartMeters, baseline: Baseline | None = None
) -> CheckedTrial:
    """Run one trial of a cell; `baseline` is of its valid trials so far."""
    started, clock = time.time(), time.monotonic()
    around = meters(cell.cpus)
    outcome = run_trial(spec)
    while outcome.status == "interrupted":
        # The handler of a signal let the program go on (a resized window): the trial is run again.
        around = meters(cell.cpus)
        outcome = run_trial(spec)
    counted = around()
    measured = CheckedTrial(outcome=outcome, started=round(started, 3), seconds=round(time.monotonic() - clock, 4))
    if outcome.members is None:
        # A member whose CPU is gone cannot start: the trial is invalid, as if its CPU went away later.
        gone = outcome.status == "failed" and (counted.topology or counted.barred)
        return msgspec.structs.replace(measured, flags=["topology"]) if gone else measured
    seen = evidence(cell, outcome, counted, baseline or Baseline(), by_time=not spec.operations)
    return msgspec.structs.replace(measured, evidence=seen, flags=flags(cell, seen))


def needs(outcome: Outcome) -> str:
    """Return what would make an unsupported trial possible, `` if that is not known."""
    # Records of older versions name the failed call only in their reason.
    tried = outcome.tried or outcome.reason
    if "MOUNT_ATTR_IDMAP" in tried and outcome.errno == errno.EPERM:
        return IDMAP_PERMISSION
    return next((words for call, words in CALLS.items() if call in tried), "")


def unsupported_words(outcome: Outcome) -> str:
    """Return why a trial is unsupported and what it needs: `fsopen(overlay): No such device (ENODEV); ...`."""
    name = errno.errorcode.get(outcome.errno, "")
    needed = needs(outcome)
    return outcome.reason + (f" ({name})" if name else "") + (f"; {needed}" if needed else "")


def lean(outcome: Outcome) -> Outcome:
    """Return the outcome without pairs of handoffs if they are too many to keep; sums by distance stay."""
    if outcome.handoffs is None or len(outcome.handoffs.count) <= MOST_HANDOFF_PAIRS:
        return outcome
    return msgspec.structs.replace(outcome, handoffs=None)


def trial_spec(plan: Plan, cell: Cell, repeat: int) -> TrialSpec:
    """Return what the core runs for one repeat of a cell."""
    own_end = workload(cell.workload).ends_by_itself
    return TrialSpec(
        workload=cell.workload,
        params=cell.params,
        cpus=cell.cpus,
        crew=cell.crew,
        memory=cell.memory,
        nodes=cell.nodes,
        domains=() if cell.domains is msgspec.UNSET else cell.domains,
        duration_ns=LONGEST_OWN_NS if own_end else plan.duration_ns,
        warmup_ns=0 if own_end else plan.warmup_ns,
        operations=plan.operations,
        seed=plan.seed * 1_000_003 + repeat,
    )
