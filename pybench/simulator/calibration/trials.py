# SPDX-License-Identifier: Apache-2.0
"""Short measurements as numbers of a machine file: each checked like a trial, with the range of its repeats."""

import statistics
from collections.abc import Sequence

from pybench import native
from pybench.errors import MeasurementError, UnsupportedError
from pybench.native.outcome import Outcome, TrialSpec
from pybench.results.records import Cell
from pybench.run.checked_trial import measure, start_meters
from pybench.simulator.machine import Number
from pybench.workloads import workload

# Repeats of one measurement, tries at them, and how long each runs.
REPEATS, TRIES = 5, 20
TRIAL_NS, WARMUP_NS = 40_000_000, 5_000_000
# A range narrower than this would claim more than a short measurement can.
NARROWEST = 0.02


def measured(values: Sequence[float], source: str, least: float = 0.0) -> Number:
    """Return the median of repeats and their range, at least NARROWEST either way."""
    middle = statistics.median(values)
    low = min(*values, middle * (1 - NARROWEST))
    high = max(*values, middle * (1 + NARROWEST))
    middle, low, high = (float(f"{max(x, least):.5g}") for x in (middle, low, high))
    return Number(middle, low, high, source)


def assumed(value: float, low: float, high: float, why: str) -> Number:
    return Number(value, low, high, f"assumed: {why}")


def valid_outcomes(
    workload_name: str, cpus: tuple[int, ...], repeats: int, own_end: bool = False, **params: int | str
) -> list[Outcome]:
    """Run trials of a workload, each checked as a sweep's; return valid ones. MeasurementError if too few are."""
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
        f"{len(found)} of {TRIES} short trials of {workload_name} came out valid ({why}); measure on an idle host"
    )


def ns_an_operation(outcome: Outcome) -> float:
    members = outcome.members
    assert members is not None
    return max(members.stop_ns) / max(sum(members.operations), 1)


def plain(text: str) -> str:
    """Return text as one line that a machine file takes."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:120]
