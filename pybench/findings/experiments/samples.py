# SPDX-License-Identifier: Apache-2.0
"""Read quantities from the trials of a cell, one sample per trial or draw, and compare cells by them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from pybench import MeasurementError, Run
from pybench.api.toolkit.result_files import Cell, LaunchSummary, Trial, summarize_launches, trials_of_cell
from pybench.api.toolkit.statistics import Interval, median_interval, ratio_interval
from pybench.findings.verdict import paired_ratio

Quantity = Callable[[Trial], float]


def container_ns(trial: Trial) -> float:
    """Return the wall time of a storm per launched container, ns. Raises MeasurementError if none was launched."""
    if trial.figures is None or not trial.figures.throughput > 0:
        raise MeasurementError("a storm launched nothing")
    return 1e9 / trial.figures.throughput


def launch_ns(trial: Trial) -> float:
    """Return the mean latency of a launch, ns. Raises MeasurementError if there was none."""
    phase = trial.outcome.phases.get("launch")
    if phase is None or not phase.calls:
        raise MeasurementError("a storm launched nothing")
    return phase.wall_ns / phase.operations


def p99_ns(trial: Trial) -> float:
    """Return the 99th percentile of the latency of a launch, ns."""
    return trial.figures.p99_ns if trial.figures else math.nan


def acquisition_ns(trial: Trial) -> float:
    """Return the mean time from a thread's acquisition to its next, ns: threads over throughput (Little's law)."""
    if trial.figures is None or not trial.figures.throughput > 0:
        raise MeasurementError("a lock was never taken")
    return trial.threads * 1e9 / trial.figures.throughput


def rate(trial: Trial) -> float:
    """Return the throughput in operations per second."""
    return trial.figures.throughput if trial.figures else 0.0


def measured_samples(run: Run, quantity: Quantity, **settings: Any) -> list[float]:
    """Return a quantity of each valid trial of a cell, without NaN. Raises MeasurementError if none is left."""
    _, trials = _trials(run, settings)
    valid = [trial for trial in trials if trial.valid]
    if not valid:
        raise _no_valid_trial(trials)
    found = [value for trial in valid if not math.isnan(value := quantity(trial))]
    if not found:
        raise MeasurementError(f"{len(valid)} trials have no sample for {settings}", fix="raise --budget")
    return found


def simulated_samples(run: Run, quantity: Quantity, **settings: Any) -> list[float]:
    """Return a quantity of each draw of a cell, in their order. Raises MeasurementError if a draw failed."""
    _, trials = _trials(run, settings)
    failed = next((trial.outcome.reason for trial in trials if not trial.figures), "")
    if failed or not trials:
        raise MeasurementError("the simulation has no result", reason=failed or "there was no time for it")
    return [quantity(trial) for trial in trials]


def _trials(run: Run, settings: dict[str, Any]) -> tuple[Cell, list[Trial]]:
    found = trials_of_cell(run, **settings)
    if found is None:
        raise MeasurementError(f"there is no cell with {settings}")
    return found


def _no_valid_trial(trials: Sequence[Trial]) -> MeasurementError:
    flags = sorted({flag for trial in trials for flag in trial.flags})
    if not flags:
        return MeasurementError("there was no time for it", fix="raise --budget")
    fix = "run it on an idle host; `pybench doctor` helps to find one"
    return MeasurementError(f"every trial is invalid ({', '.join(flags)})", fix=fix)


def summary(run: Run, **settings: Any) -> LaunchSummary:
    """Return the summary of one cell of launches. Raises MeasurementError without a valid trial."""
    cell, trials = _trials(run, settings)
    found = summarize_launches(cell, trials)
    if found is None:
        raise _no_valid_trial(trials)
    return found


def cost(run: Run, **settings: Any) -> Interval:
    """Return the median wall time per container of a cell, ns."""
    return median_interval(measured_samples(run, container_ns, **settings))


def cost_over(run: Run, upper: dict[str, Any], lower: dict[str, Any]) -> Interval:
    """Return the wall time per container of one cell over that of another, with its 95 % interval."""
    return ratio_interval(
        measured_samples(run, container_ns, **upper), measured_samples(run, container_ns, **lower)
    )


def launches(run: Run, which: str = "mean", /, **settings: Any) -> list[float]:
    """Return the `mean` or `p99` latency of a launch in one simulated cell, ns, one per draw."""
    return simulated_samples(run, launch_ns if which == "mean" else p99_ns, **settings)


def over(upper: list[float], lower: list[float]) -> Interval:
    """Return the ratio draw by draw, of the draws that both have: runs may have different numbers of draws."""
    both = min(len(upper), len(lower))
    return paired_ratio(upper[:both], lower[:both])


def scaled(interval: Interval, factor: float) -> Interval:
    """Return the interval times a positive factor."""
    return Interval(interval.value * factor, interval.low * factor, interval.high * factor, interval.n)


def lost_share(inflation: Interval) -> Interval:
    """Return the share of its time that an operation loses to others, from how much longer it takes among them."""
    share = [max(1 - 1 / x, 0.0) if x > 0 else x for x in (inflation.value, inflation.low, inflation.high)]
    return Interval(share[0], share[1], share[2], inflation.n)
