# SPDX-License-Identifier: Apache-2.0
"""What spoils a trial: all checks in one place, each with its threshold, its reason and the next step.

An invalid trial is kept and marked, run again, and enters no estimate. `scripts/validate disturb` counts what
the thresholds see of planted disturbances, and how often they are wrong about quiet trials. A check that needs a
fact which this host or this file does not have passes.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from pybench.results.records import Cell, Evidence, Trial
from pybench.stats.modes import Drift, drift, two_modes
from pybench.stats.ratios import holm
from pybench.workloads import workload


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One way a trial can be invalid."""

    name: str
    reason: str
    next_step: str
    fails: Callable[[Cell, Evidence], bool]
    blind: str = ""
    """What it cannot see, where that matters."""


# All members must be at the lock nearly all the time, or the thread count does not mean what it says.
LEAST_OVERLAP = 0.98
# A start that takes long against the trial is not a common start; it mostly takes under 20 us.
MOST_SKEW = 0.01
# Who is off its CPU may hold the lock, and then everybody waits: members' shares add up. Of 80 trials of 200 ms
# with nothing else running on a virtual machine, nine in ten were below 2 %, and four above 4.5 %.
MOST_OFF_CPU = 0.045
# The same for threads that sleep, whose waiting for a CPU the kernel counts: mount waits 9 % of a lone thread's
# time and 15 % of two threads' for kernel threads that finish its work, give or take 4 %.
MOST_WAITED_MORE = 0.05
MOST_STEAL = 0.02
# Kernel threads push a member off its CPU 10 to 75 times a second for some 10 us each; here it gets over 1 %.
MOST_INVOLUNTARY_HZ = 300.0
# What the quota keeps waiting, it keeps waiting at the lock.
MOST_THROTTLED = 0.01
# The speed of a CPU shows in the figure as it is. Two looks of 100 us each differ by 1.5 % in the middle on a
# virtual machine, one in ten by 3 to 4 %, one in forty by over 9 %.
MOST_SPEED_CHANGE = 0.10
# A frequency that the host reports jitters by some per cent when nothing happens.
MOST_FREQUENCY_CHANGE = 0.10
# An interrupt costs 1 to 5 us, in a virtual machine more: from about here on together over 2 % of a CPU. A trial
# with nothing else running sees its timer, and below 100 a second beside it.
MOST_INTERRUPTS_HZ = 4000.0
# Hold and think time are what contention depends on.
MOST_HOLD_ERROR = 0.02
MOST_THINK_ERROR = 0.02
# A clock that is off by more than this at the start shifts a member's trial by a share of 1e-5 at 200 ms; what
# reading two clocks one after the other leaves is below 1 us, a virtual machine's pause aside.
MOST_CLOCK_OFFSET_NS = 20_000.0
MOST_CLOCK_DRIFT = 0.001
# One operation more or less for each member changes the figure by this much.
MOST_QUANTUM = 0.05
# One operation took a large part of the trial: the workload stood still meanwhile.
MOST_STALL = 0.05
# Ticks of 10 ms make this coarse; other tasks' time is the figure's time. What sleeping workloads leave to kernel
# threads (freeing mounts after a grace period) was up to 9 % of two CPUs' time with nothing else running.
MOST_OTHER_WORK = 0.05
MOST_OTHER_WORK_SLEEPING = 0.20
MOST_SIBLING_BUSY = 0.10
# CPUs busy elsewhere share kernel locks, caches, memory and turbo; a host's daemons need less.
MOST_ELSEWHERE = 0.5
# Whoever works in the kernel beside a workload that does may hold its locks. Quiet: up to 0.13.
MOST_ELSEWHERE_KERNEL = 0.15


def _always_busy(cell: Cell) -> bool:
    """True if the crew has its CPUs for itself and no member ever sleeps or makes the kernel work."""
    return not cell.oversubscribed and not workload(cell.workload).sleeps(cell.params)


def _spare_cpus(cell: Cell) -> int:
    return (os.cpu_count() or 1) - len(set(cell.cpus))


def _by_time(cell: Cell) -> bool:
    return not workload(cell.workload).ends_by_itself


def _interrupted(cell: Cell, seen: Evidence) -> bool:
    # What a workload makes the kernel do has interrupts of its own (grace periods, wake-ups), but no device's.
    kinds = ("device", "call", "reschedule", "other") if _always_busy(cell) else ("device",)
    softirqs = ("NET_RX", "NET_TX", "BLOCK", "TASKLET", "HI")
    return sum(seen.interrupts.get(kind, 0.0) for kind in kinds + softirqs) > MOST_INTERRUPTS_HZ


def _frequency_changed(seen: Evidence) -> bool:
    if len(seen.frequency_khz) != 2 or min(seen.frequency_khz) <= 0:
        return False
    return max(seen.frequency_khz) / min(seen.frequency_khz) - 1 > MOST_FREQUENCY_CHANGE


CHECKS: tuple[Check, ...] = (
    Check(
        name="overlap",
        reason=f"not all threads ran for {LEAST_OVERLAP:.0%} of the trial",
        next_step="use a longer --duration, or look for what else runs on these CPUs",
        fails=lambda cell, seen: seen.overlap < LEAST_OVERLAP and not cell.oversubscribed and _by_time(cell),
    ),
    Check(
        name="skew",
        reason=f"the threads' starts were spread over more than {MOST_SKEW:.0%} of the trial",
        next_step="use a longer --duration, or look for what else runs on these CPUs",
        fails=lambda cell, seen: seen.skew > MOST_SKEW and not cell.oversubscribed and _by_time(cell),
        blind="launch and other workloads that end by themselves: their figure is from the first start",
    ),
    Check(
        name="off-cpu",
        reason=f"threads that never sleep were off their CPUs for over {MOST_OFF_CPU:.1%} of the trial in all",
        next_step="stop what else runs on these CPUs, or choose others with --place",
        fails=lambda cell, seen: max(seen.off_cpu, seen.off_cpu_sum) > MOST_OFF_CPU and _always_busy(cell),
        blind="workloads and locks that sleep: `waited` and `stall` stand for it",
    ),
    Check(
        name="waited",
        reason=f"threads waited for their CPUs {MOST_WAITED_MORE:.1%} of the trial longer than is usual here",
        next_step="stop what else runs on these CPUs, or choose others with --place",
        fails=lambda cell, seen: seen.waited_more > MOST_WAITED_MORE and not cell.oversubscribed,
        blind="the first trials of a cell, which make its usual; kernels that do not count it",
    ),
    Check(
        name="involuntary-switches",
        reason=f"a thread was pushed off its CPU more than {MOST_INVOLUNTARY_HZ:.0f} times a second",
        next_step="stop what else runs on these CPUs (pidstat -w 1), or choose others with --place",
        fails=lambda cell, seen: seen.involuntary > MOST_INVOLUNTARY_HZ and _always_busy(cell),
        blind="sleeping workloads: kernel threads that finish their work switch them often",
    ),
    Check(
        name="migration",
        reason="a thread ran on another CPU than its own",
        next_step="look for what changes affinities: cpuset managers, irqbalance-like daemons, taskset",
        fails=lambda _, seen: seen.migrated > 0,
        blind="away and back between start and stop: then `off-cpu` shows it, as two share a CPU",
    ),
    Check(
        name="topology",
        reason="CPUs went off, came, or were taken from this process during the trial",
        next_step="look for who does it (dmesg | tail; cpuset managers, hotplug, tools that turn SMT); lscpu -e",
        fails=lambda _, seen: bool(seen.topology),
        blind="CPUs off and on again between start and stop, and not of the trial",
    ),
    Check(
        name="steal",
        reason=f"the hypervisor took more than {MOST_STEAL:.0%} of the CPUs' time",
        next_step="measure on an idle host, or on bare metal",
        # A tick of steal may have been collected over many trials before.
        fails=lambda _, seen: seen.steal - seen.tick_share > MOST_STEAL,
        blind="less than two ticks in a trial; where the kernel takes steal off a task's time, `off-cpu` shows it",
    ),
    Check(
        name="throttled",
        reason=f"a CPU quota kept tasks waiting over {MOST_THROTTLED:.0%} of the time, or heat slowed the CPU",
        next_step="lift the quota (cpu.max, cpu.cfs_quota_us; docker --cpus), or cool the machine",
        fails=lambda _, seen: seen.throttled > MOST_THROTTLED or seen.thermal_throttles > 0,
        blind="quotas of groups that are not visible from here, as in a container: `off-cpu` shows them",
    ),
    Check(
        name="speed",
        reason=f"a CPU's speed changed by more than {MOST_SPEED_CHANGE:.0%}",
        next_step="fix the frequency (cpupower frequency-set -g performance; turbo off), keep siblings idle",
        fails=lambda _, seen: (
            seen.speed_change > MOST_SPEED_CHANGE
            or seen.speed_loss > MOST_SPEED_CHANGE
            or _frequency_changed(seen)
        ),
        blind="a change that came and went within the trial",
    ),
    Check(
        name="interrupts",
        reason=f"a CPU had more than {MOST_INTERRUPTS_HZ:.0f} interrupts a second beside its timer",
        next_step="move interrupts elsewhere (/proc/irq/*/smp_affinity_list), or choose other CPUs with --place",
        fails=_interrupted,
        blind="hosts so wide that /proc/interrupts is too dear to read: softirqs alone tell there",
    ),
    Check(
        name="memory-node",
        reason="memory was not on the NUMA node that was asked for, or moved",
        next_step="free memory on that node (numactl -H), or turn sysctl kernel.numa_balancing=0",
        fails=lambda _, seen: seen.misplaced > 0,
        blind="mem:interleave of one page; a page that moved and came back",
    ),
    Check(
        name="hold-time",
        reason=f"the hold time was off by more than {MOST_HOLD_ERROR:.0%} of what was asked",
        next_step="look for a changing CPU speed; a longer --hold-ns is easier to keep",
        fails=lambda _, seen: seen.hold_error > MOST_HOLD_ERROR,
    ),
    Check(
        name="think-time",
        reason=f"the think time was off by more than {MOST_THINK_ERROR:.0%} of what was asked",
        next_step="look for a changing CPU speed; a longer --think-ns is easier to keep",
        fails=lambda _, seen: seen.think_error > MOST_THINK_ERROR,
    ),
    Check(
        name="clock",
        reason=f"clocks of two CPUs were {MOST_CLOCK_OFFSET_NS / 1000:.0f} us apart, or one ran "
        f"{MOST_CLOCK_DRIFT:.1%} fast or slow",
        next_step="look at dmesg for tsc and clocksource; in a guest, at the hypervisor's TSC setting",
        fails=lambda _, seen: seen.clock_offset_ns > MOST_CLOCK_OFFSET_NS or seen.clock_drift > MOST_CLOCK_DRIFT,
        blind="CLOCK_MONOTONIC itself being slewed by NTP, at most 0.05 %",
    ),
    Check(
        name="too-short",
        reason=f"one operation more or less changes the figure by over {MOST_QUANTUM:.0%}",
        next_step="use a longer --duration",
        fails=lambda _, seen: seen.quantum > MOST_QUANTUM,
    ),
    Check(
        name="stall",
        reason=f"one operation took more than {MOST_STALL:.0%} of the trial",
        next_step="look for what stopped it (a stopped process, swapping), or use a longer --duration",
        fails=lambda cell, seen: seen.stall > MOST_STALL and seen.quantum <= MOST_QUANTUM and _by_time(cell),
        blind="operations that are not timed: of very fast ones only a sample is",
    ),
    Check(
        name="load-before",
        reason="more tasks than spare CPUs ran just before the trial",
        next_step="wait until the host is idle (uptime), or stop what runs",
        fails=lambda cell, seen: seen.running > max(_spare_cpus(cell), 0),
        blind="what starts later; what runs on spare CPUs",
    ),
    Check(
        name="other-work",
        reason=f"other tasks used more than {MOST_OTHER_WORK:.0%} of the CPUs' time "
        f"({MOST_OTHER_WORK_SLEEPING:.0%} where threads sleep and the kernel works for them)",
        next_step="stop what else runs on these CPUs, or choose others with --place",
        fails=lambda cell, seen: (
            seen.other_work > (MOST_OTHER_WORK if _always_busy(cell) else MOST_OTHER_WORK_SLEEPING)
        ),
        blind="less than one tick for each CPU in a trial",
    ),
    Check(
        name="siblings",
        reason=f"an SMT sibling that should be idle was busy for more than {MOST_SIBLING_BUSY:.0%} of the trial",
        next_step="stop what runs on it, or keep tasks away from it (cpuset, isolcpus)",
        fails=lambda _, seen: seen.siblings_busy > MOST_SIBLING_BUSY,
    ),
    Check(
        name="elsewhere",
        reason=f"more than {MOST_ELSEWHERE:g} CPUs were busy beyond those of the trial ({MOST_ELSEWHERE_KERNEL:g} "
        "where the workload is the kernel's)",
        next_step="stop what runs there: it shares the kernel's locks, caches, memory and turbo",
        fails=lambda cell, seen: (
            seen.elsewhere > (MOST_ELSEWHERE_KERNEL if workload(cell.workload).kernel_memory else MOST_ELSEWHERE)
        ),
    ),
)


def flags(cell: Cell, evidence: Evidence) -> list[str]:
    """Names of the checks that this trial fails."""
    return [check.name for check in CHECKS if check.fails(cell, evidence)]


def explain(name: str) -> str:
    """A flag in words: what it means, and what to do."""
    for check in CHECKS:
        if check.name == name:
            return f"{check.name}: {check.reason}; {check.next_step}"
    return f"{name}: flagged by another version of pybench"


# Medians of two modes, and first and last of a drifting cell, must be this far apart to be worth a word.
LEAST_APART = 0.03
# A handoff that takes so many times as long in one trial as in another goes another way.
MODES_APART = 1.5
# Chance of calling a drift in a sweep that has none, all its cells together.
DRIFT_ALPHA = 0.01


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell's valid trials show together. It takes no trial away: it says how to read the median."""

    name: str
    """`bimodal`, `drift` or `handoff`."""
    cell: int | None
    """Index into the plan; None: of the sweep as a whole."""
    values: list[float]
    """bimodal: throughput and trials of the slow mode, then of the fast one; drift: the change, as a share;
    handoff: least and greatest mean time of a handoff in a trial, ns."""
    next_step: str


def cell_findings(trials: Iterable[Trial]) -> list[Finding]:
    """Cells whose valid trials have two modes or drift over the sweep, and whether the whole sweep drifts."""
    cells: dict[int, list[tuple[int, float]]] = defaultdict(list)
    handed: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        # Draws of inputs have no order in time, and modes only if the inputs have.
        if trial.valid and trial.figures and not trial.simulated:
            cells[trial.cell].append((trial.sequence, trial.figures.throughput))
            timed = sum(h.timed for h in trial.handoffs)
            if timed:
                handed[trial.cell].append(sum(h.mean_ns * h.timed for h in trial.handoffs) / timed)
    return _bimodal(cells) + _drifting(cells) + _handed(cells, handed)


def _bimodal(cells: dict[int, list[tuple[int, float]]]) -> list[Finding]:
    found = []
    for index, points in cells.items():
        modes = two_modes([x for _, x in points], LEAST_APART)
        if modes:
            values = [modes.low, modes.low_count, modes.high, modes.high_count]
            step = "the median is of one of them by chance: see what differs, or take a longer --duration"
            found.append(Finding(name="bimodal", cell=index, values=values, next_step=step))
    return found


def _drifting(cells: dict[int, list[tuple[int, float]]]) -> list[Finding]:
    tested: list[tuple[int | None, Drift]] = []
    for index, points in cells.items():
        seen = drift([x for _, x in points], [at for at, _ in points])
        if seen:
            tested.append((index, seen))
    if len(cells) > 1:
        # Each cell as shares of its own median, so that all tell of the host together.
        shares = [(at, x / m - 1) for points in cells.values() if (m := _median(points)) for at, x in points]
        seen = drift([1 + share for _, share in shares], [at for at, _ in shares]) if shares else None
        if seen:
            tested.append((None, seen))
    corrected = holm([seen.p for _, seen in tested])
    step = "the host changed under way (heat, load, memory): let it settle, or measure again"
    return [
        Finding(name="drift", cell=index, values=[seen.size], next_step=step)
        for (index, seen), p in zip(tested, corrected, strict=True)
        if p <= DRIFT_ALPHA and abs(seen.size) > LEAST_APART
    ]


def _handed(cells: dict[int, list[tuple[int, float]]], handed: dict[int, list[float]]) -> list[Finding]:
    """Cells whose figure goes up and down with what handing the lock over takes: the CPUs' distance changed."""
    found = []
    for index, means in handed.items():
        rates = [x for _, x in cells[index]]
        if len(means) == len(rates) and max(means) > MODES_APART * min(means):
            seen = drift(rates, means)
            if seen and seen.p < DRIFT_ALPHA and seen.size < -LEAST_APART:
                step = (
                    "a line moves at two prices here, as when a hypervisor moves CPUs nearer or farther: "
                    "compare trials of one price, or pin the guest's CPUs"
                )
                found.append(Finding(name="handoff", cell=index, values=[min(means), max(means)], next_step=step))
    return found


def _median(points: list[tuple[int, float]]) -> float:
    return statistics.median(x for _, x in points)
