# SPDX-License-Identifier: Apache-2.0
"""One trial with what the host counted around it: run, and run again if a signal got in between."""

import time
from collections.abc import Callable, Sequence

import msgspec

from pybench.host.meters import Around, Meters
from pybench.native.outcome import Outcome, TrialSpec
from pybench.results.records import Cell, Evidence
from pybench.run.checks import flags
from pybench.run.figures import Usual, evidence

RunTrial = Callable[[TrialSpec], Outcome]
# Called just before a trial with its CPUs; what it returns is called just after.
StartMeters = Callable[[Sequence[int]], Callable[[], Around]]


def start_meters(cpus: Sequence[int]) -> Callable[[], Around]:
    """Read this host's counters now, and again when what is returned is called."""
    return Meters(cpus).around


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """How a trial ended. Evidence only if it ended well, and flags, unless its CPUs were gone."""

    outcome: Outcome
    started: float
    """Seconds since the epoch."""
    seconds: float
    evidence: Evidence | None = None
    flags: list[str] = []


def measure(
    cell: Cell, spec: TrialSpec, run_trial: RunTrial, meters: StartMeters, usual: Usual | None = None
) -> Measured:
    """Run one trial of a cell; `usual` is what its valid trials showed so far."""
    started, clock = time.time(), time.monotonic()
    around = meters(cell.cpus)
    outcome = run_trial(spec)
    while outcome.status == "interrupted":
        # A signal whose handler let us go on (a resized window): the trial is done again.
        around = meters(cell.cpus)
        outcome = run_trial(spec)
    counted = around()
    measured = Measured(outcome=outcome, started=round(started, 3), seconds=round(time.monotonic() - clock, 4))
    if outcome.members is None:
        # Whose CPU is gone cannot even start: the trial is invalid like one that was hit under way.
        gone = outcome.status == "failed" and (counted.topology or counted.barred)
        return msgspec.structs.replace(measured, flags=["topology"]) if gone else measured
    seen = evidence(cell, outcome, counted, usual or Usual(), by_time=not spec.operations)
    return msgspec.structs.replace(measured, evidence=seen, flags=flags(cell, seen))
