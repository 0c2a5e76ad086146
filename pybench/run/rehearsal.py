# SPDX-License-Identifier: Apache-2.0
"""One short real trial before a sweep, to see what its evidence says."""

from collections.abc import Sequence

from pybench.errors import MeasurementError
from pybench.results.records import Cell, Plan, Trial
from pybench.run.sweep import Sweep
from pybench.workloads import workload

DURATION_NS = 500_000_000


def rehearse(cpus: Sequence[int], duration_ns: int = DURATION_NS) -> Trial:
    """A trial of a held mcs lock on these CPUs, judged as any other. Raises MeasurementError if it fails."""
    params = workload("spin").complete({"lock": "mcs", "hold_ns": 200})
    cell = Cell(workload="spin", params=params, threads=len(cpus), place="", smt="on", cpus=tuple(cpus))
    plan = Plan(cells=[cell], seed=1, duration_ns=duration_ns, warmup_ns=20_000_000, min_trials=1, max_trials=1)
    trial = next(Sweep(plan).trials())
    if trial.figures is None:
        raise MeasurementError(f"a short trial failed: {trial.outcome.reason}")
    return trial


def gaps(trial: Trial) -> list[tuple[int, float]]:
    """(CPU, share of the trial in which its member was not on it), worst first."""
    members = trial.outcome.members
    assert members is not None
    spans = (max(stop - start, 1) for start, stop in zip(members.start_ns, members.stop_ns, strict=True))
    shares = [max(1 - cpu_ns / span, 0.0) for cpu_ns, span in zip(members.cpu_ns, spans, strict=True)]
    return sorted(zip(members.cpu, shares, strict=True), key=lambda one: -one[1])
