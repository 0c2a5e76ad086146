# SPDX-License-Identifier: Apache-2.0
"""The validity checks: each with the evidence it reads, its threshold, its reason, and the next step.

An invalid trial is kept and marked, run again, and enters no estimate. A check that needs a fact which this host
or file does not have passes.

To add a check, add a `Check` below. It reads fields of `Evidence` (results/records.py), which `figures.evidence`
computes from the outcome of a trial and from the host's meters; if a check needs a new one, add the field there
and its line in that function. tests/unit/test_validity.py wants an example at and over the threshold.
`scripts/validate disturb` counts the planted disturbances that checks see, and the quiet trials that they flag.
"""

import os
from collections.abc import Callable

import msgspec

from pybench.results.records import Cell, Evidence
from pybench.workloads import workload


def _every_cell(_: Cell) -> bool:
    return True


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One way a trial can be invalid."""

    name: str
    evidence: tuple[str, ...]
    """The fields of Evidence that it reads."""
    threshold: float
    """The trial is invalid if one of them is larger, unless `fails` says otherwise."""
    reason: str
    next_step: str
    applies: Callable[[Cell], bool] = _every_cell
    """Return True for cells that it checks."""
    fails: Callable[[Cell, Evidence, float], bool] | None = None
    """Return True if the trial is invalid, given its cell, its evidence and the threshold."""
    blind: str = ""
    """What it cannot see, where that matters."""

    def flags(self, cell: Cell, seen: Evidence) -> bool:
        """Return True if a trial of this cell with this evidence is invalid."""
        if not self.applies(cell):
            return False
        if self.fails:
            return self.fails(cell, seen, self.threshold)
        return any(getattr(seen, name) > self.threshold for name in self.evidence)


# The kernel does work for threads that sleep, such as freeing mounts after a grace period: up to 9 % of two CPUs'
# time with nothing else running.
OTHER_WORK_SLEEPING = 0.20
# Tasks that work in the kernel may hold the locks of a workload that does. Quiet: up to 0.13 CPUs.
ELSEWHERE_KERNEL = 0.15
# One operation more or less of each member changes the result by this share.
TOO_SHORT = 0.05
# A clock that drifts more than this shifts a member's trial; NTP slews CLOCK_MONOTONIC by 0.0005 at most.
CLOCK_DRIFT = 0.001


def _always_busy(cell: Cell) -> bool:
    """Return True if the crew has its CPUs for itself and no member ever sleeps or makes the kernel work."""
    return not cell.oversubscribed and not workload(cell.workload).sleeps(cell.params)


def _own_cpus(cell: Cell) -> bool:
    return not cell.oversubscribed


def _by_time(cell: Cell) -> bool:
    return not workload(cell.workload).ends_by_itself


def _by_time_on_own_cpus(cell: Cell) -> bool:
    return _by_time(cell) and _own_cpus(cell)


def _spare_cpus(cell: Cell) -> int:
    return max((os.cpu_count() or 1) - len(set(cell.cpus)), 0)


def _interrupted(cell: Cell, seen: Evidence, threshold: float) -> bool:
    # The kernel's work for a workload has interrupts of its own (grace periods, wake-ups), but none of a device.
    kinds = ("device", "call", "reschedule", "other") if _always_busy(cell) else ("device",)
    softirqs = ("NET_RX", "NET_TX", "BLOCK", "TASKLET", "HI")
    return sum(seen.interrupts.get(kind, 0.0) for kind in kinds + softirqs) > threshold


def _speed_changed(_: Cell, seen: Evidence, threshold: float) -> bool:
    # A frequency that the host reports jitters by some per cent when nothing happens.
    khz = seen.frequency_khz
    frequency = max(khz) / min(khz) - 1 if len(khz) == 2 and min(khz) > 0 else 0.0
    return max(seen.speed_change, seen.speed_loss, frequency) > threshold


CHECKS: tuple[Check, ...] = (
    Check(
        name="overlap",
        # All members must be at the lock nearly all the time, or the trial has fewer threads than its cell.
        evidence=("overlap",),
        threshold=0.98,
        fails=lambda _, seen, threshold: seen.overlap < threshold,
        applies=_by_time_on_own_cpus,
        reason="not all threads ran for 98% of the trial",
        next_step="use a longer --duration, or look for what else runs on these CPUs",
    ),
    Check(
        name="skew",
        # A start mostly takes under 20 us; a longer one is not a common start.
        evidence=("skew",),
        threshold=0.01,
        applies=_by_time_on_own_cpus,
        reason="the threads' starts were spread over more than 1% of the trial",
        next_step="use a longer --duration, or look for what else runs on these CPUs",
        blind="launch and other workloads that end by themselves: their time is from the first start",
    ),
    Check(
        name="off-cpu",
        # A member off its CPU may hold the lock, and then all wait: members' shares add up. Of 80 trials of 200 ms
        # with nothing else running on a virtual machine, nine in ten were below 2 %, and four above 4.5 %.
        evidence=("off_cpu", "off_cpu_sum"),
        threshold=0.045,
        applies=_always_busy,
        reason="threads that never sleep were off their CPUs for over 4.5% of the trial in all",
        next_step="stop what else runs on these CPUs, or choose others with --place",
        blind="workloads and locks that sleep: `waited` and `stall` check those",
    ),
    Check(
        name="waited",
        # The same for threads that sleep, whose waiting for a CPU the kernel counts: mount waits 9 % of one
        # thread's time and 15 % of two threads' for kernel threads that finish its work, give or take 4 %.
        evidence=("waited_more",),
        threshold=0.05,
        applies=_own_cpus,
        reason="threads waited for their CPUs 5.0% of the trial longer than in the cell's valid trials",
        next_step="stop what else runs on these CPUs, or choose others with --place",
        blind="the first trials of a cell, which set the baseline; kernels that do not count it",
    ),
    Check(
        name="involuntary-switches",
        # Kernel threads push a member off its CPU 10 to 75 times a second, for about 10 us each; this is over 1 %.
        evidence=("involuntary",),
        threshold=300.0,
        applies=_always_busy,
        reason="a thread was pushed off its CPU more than 300 times a second",
        next_step="stop what else runs on these CPUs (pidstat -w 1), or choose others with --place",
        blind="sleeping workloads: kernel threads that finish their work switch them often",
    ),
    Check(
        name="migration",
        evidence=("migrated",),
        threshold=0,
        reason="a thread ran on another CPU than its own",
        next_step="look for what changes affinities: cpuset managers, irqbalance-like daemons, taskset",
        blind="away and back between start and stop: then `off-cpu` shows it, as two share a CPU",
    ),
    Check(
        name="topology",
        evidence=("topology",),
        threshold=0,
        fails=lambda _, seen, threshold: len(seen.topology) > threshold,
        reason="CPUs went off, came, or were taken from this process during the trial",
        next_step="look for what does it (dmesg | tail; cpuset managers, hotplug, tools that turn SMT); lscpu -e",
        blind="CPUs off and on again between start and stop, and not of the trial",
    ),
    Check(
        name="steal",
        # A tick of steal may have been collected over many trials before.
        evidence=("steal", "tick_share"),
        threshold=0.02,
        fails=lambda _, seen, threshold: seen.steal - seen.tick_share > threshold,
        reason="the hypervisor took more than 2% of the CPUs' time",
        next_step="measure on an idle host, or on bare metal",
        blind="less than two ticks in a trial; where the kernel takes steal off a task's time, `off-cpu` shows it",
    ),
    Check(
        name="throttled",
        # A task that a quota keeps waiting is at the lock.
        evidence=("throttled", "thermal_throttles"),
        threshold=0.01,
        reason="a CPU quota kept tasks waiting over 1% of the time, or heat slowed the CPU",
        next_step="lift the quota (cpu.max, cpu.cfs_quota_us; docker --cpus), or cool the machine",
        blind="quotas of groups that are not visible from here, as in a container: `off-cpu` shows them",
    ),
    Check(
        name="speed",
        # The speed of a CPU goes into the result as it is. Two readings of 100 us each differ by a median of 1.5 %
        # on a virtual machine, one in ten by 3 to 4 %, one in forty by over 9 %.
        evidence=("speed_change", "speed_loss", "frequency_khz"),
        threshold=0.10,
        fails=_speed_changed,
        reason="a CPU's speed changed by more than 10%",
        next_step="fix the frequency (cpupower frequency-set -g performance; turbo off), keep siblings idle",
        blind="a change that came and went within the trial",
    ),
    Check(
        name="interrupts",
        # An interrupt costs 1 to 5 us, in a virtual machine more: from here on together over 2 % of a CPU. A trial
        # with nothing else running sees its timer, and below 100 others a second.
        evidence=("interrupts",),
        threshold=4000.0,
        fails=_interrupted,
        reason="a CPU had more than 4000 interrupts a second without its timer's",
        next_step="move interrupts elsewhere (/proc/irq/*/smp_affinity_list), or choose other CPUs with --place",
        blind="hosts so wide that reading /proc/interrupts takes too long: there only softirqs count",
    ),
    Check(
        name="memory-node",
        evidence=("misplaced",),
        threshold=0,
        reason="memory was not on the NUMA node that was asked for, or moved",
        next_step="free memory on that node (numactl -H), or turn sysctl kernel.numa_balancing=0",
        blind="mem:interleave of one page; a page that moved and came back",
    ),
    Check(
        name="hold-time",
        evidence=("hold_error",),
        threshold=0.02,
        reason="the hold time was off by more than 2% of what was asked",
        next_step="look for a changing CPU speed; a longer --hold-ns is easier to keep",
    ),
    Check(
        name="think-time",
        evidence=("think_error",),
        threshold=0.02,
        reason="the think time was off by more than 2% of what was asked",
        next_step="look for a changing CPU speed; a longer --think-ns is easier to keep",
    ),
    Check(
        name="clock",
        # A clock that is off by more than this at the start shifts a member's trial by a share of 1e-5 at 200 ms;
        # reading two clocks one after the other leaves below 1 us, a virtual machine's pause aside.
        evidence=("clock_offset_ns", "clock_drift"),
        threshold=20_000.0,
        fails=lambda _, seen, threshold: seen.clock_offset_ns > threshold or seen.clock_drift > CLOCK_DRIFT,
        reason="clocks of two CPUs were 20 us apart, or one ran 0.1% fast or slow",
        next_step="look at dmesg for tsc and clocksource; in a guest, at the hypervisor's TSC setting",
        blind="CLOCK_MONOTONIC itself being slewed by NTP, at most 0.05 %",
    ),
    Check(
        name="too-short",
        evidence=("quantum",),
        threshold=TOO_SHORT,
        reason="one operation more or less changes the result by over 5%",
        next_step="use a longer --duration",
    ),
    Check(
        name="stall",
        # One operation took a large part of the trial: the workload stood still.
        evidence=("stall", "quantum"),
        threshold=0.05,
        fails=lambda _, seen, threshold: seen.stall > threshold and seen.quantum <= TOO_SHORT,
        applies=_by_time,
        reason="one operation took more than 5% of the trial",
        next_step="look for what stopped it (a stopped process, swapping), or use a longer --duration",
        blind="operations that are not timed: of very fast ones only a sample is",
    ),
    Check(
        name="load-before",
        evidence=("running",),
        threshold=0,
        fails=lambda cell, seen, threshold: seen.running - _spare_cpus(cell) > threshold,
        reason="more tasks than spare CPUs ran just before the trial",
        next_step="wait until the host is idle (uptime), or stop what runs",
        blind="what starts later; what runs on spare CPUs",
    ),
    Check(
        name="other-work",
        # Ticks of 10 ms make this coarse; other tasks' time is missing from the workload's.
        evidence=("other_work",),
        threshold=0.05,
        fails=lambda cell, seen, threshold: (
            seen.other_work > (threshold if _always_busy(cell) else OTHER_WORK_SLEEPING)
        ),
        reason="other tasks used more than 5% of the CPUs' time (20% where threads sleep and the kernel works for "
        "them)",
        next_step="stop what else runs on these CPUs, or choose others with --place",
        blind="less than one tick for each CPU in a trial",
    ),
    Check(
        name="siblings",
        evidence=("siblings_busy",),
        threshold=0.10,
        reason="an SMT sibling that should be idle was busy for more than 10% of the trial",
        next_step="stop what runs on it, or keep tasks away from it (cpuset, isolcpus)",
    ),
    Check(
        name="elsewhere",
        # CPUs busy elsewhere share kernel locks, caches, memory and turbo; a host's daemons need less.
        evidence=("elsewhere",),
        threshold=0.5,
        fails=lambda cell, seen, threshold: (
            seen.elsewhere > (ELSEWHERE_KERNEL if workload(cell.workload).kernel_memory else threshold)
        ),
        reason="more than 0.5 CPUs were busy beyond those of the trial (0.15 where the workload is the kernel's)",
        next_step="stop what runs there: it shares the kernel's locks, caches, memory and turbo",
    ),
)
THRESHOLDS = {check.name: check.threshold for check in CHECKS}


def flags(cell: Cell, evidence: Evidence) -> list[str]:
    """Return the names of the checks that flag this trial."""
    return [check.name for check in CHECKS if check.flags(cell, evidence)]


def next_step(name: str) -> str:
    """Return what to do about a flag, `` for a check of another version."""
    return next((check.next_step for check in CHECKS if check.name == name), "")


def explain(name: str) -> str:
    """Return a flag in words: its reason, and the next step."""
    for check in CHECKS:
        if check.name == name:
            return f"{check.name}: {check.reason}; {check.next_step}"
    return f"{name}: flagged by another version of pybench"
