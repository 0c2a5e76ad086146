"""What spoils a trial: all checks in one place, each with its threshold, its reason and the next step.

A spoiled trial is kept and marked, and enters no estimate.
"""

from collections.abc import Callable

import msgspec

from pybench.results.records import Cell, Evidence
from pybench.workloads import workload


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One way a trial can be spoiled."""

    name: str
    reason: str
    next_step: str
    spoiled: Callable[[Cell, Evidence], bool]


# All members must be at the lock nearly all the time, or the thread count does not mean what it says.
LEAST_OVERLAP = 0.98
# Steal and off-CPU time change a contended lock's figure by more than their own share: who is off its CPU may
# hold the lock. From where on they do so by over 5 % was seen at about these values.
MOST_STEAL = 0.02
MOST_OFF_CPU = 0.05

CHECKS: tuple[Check, ...] = (
    Check(
        name="overlap",
        reason=f"not all threads ran for {LEAST_OVERLAP:.0%} of the trial",
        next_step="use a longer --duration, or look for what else runs on these CPUs",
        spoiled=lambda cell, seen: (
            seen.overlap < LEAST_OVERLAP and not cell.oversubscribed and workload(cell.workload).typical_ns is None
        ),
    ),
    Check(
        name="steal",
        reason=f"the hypervisor took more than {MOST_STEAL:.0%} of the CPUs' time",
        next_step="measure on an idle host, or on bare metal",
        spoiled=lambda _, seen: seen.steal > MOST_STEAL,
    ),
    Check(
        name="off-cpu",
        reason=f"a thread that never sleeps was off its CPU for more than {MOST_OFF_CPU:.0%} of the trial",
        next_step="stop what else runs on these CPUs, or choose others with --place",
        spoiled=lambda cell, seen: (
            seen.off_cpu > MOST_OFF_CPU
            and not cell.oversubscribed
            and not workload(cell.workload).sleeps(cell.params)
        ),
    ),
)


def flags(cell: Cell, evidence: Evidence) -> list[str]:
    """Names of the checks that this trial fails."""
    return [check.name for check in CHECKS if check.spoiled(cell, evidence)]


def explain(name: str) -> str:
    """A flag in words: what it means, and what to do."""
    for check in CHECKS:
        if check.name == name:
            return f"{check.name}: {check.reason}; {check.next_step}"
    return f"{name}: flagged by another version of pybench"
