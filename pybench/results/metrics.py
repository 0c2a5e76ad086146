# SPDX-License-Identifier: Apache-2.0
"""The metrics of a trial: name, unit, which way is better, and their place in records and in columns."""

import re
from typing import Literal

import msgspec
import numpy as np

from pybench.errors import UsageError
from pybench.results.columns import CellColumns, percentiles
from pybench.results.records import Trial
from pybench.stats.estimate import Floats, percentiles_ns
from pybench.workloads import WORKLOADS

Unit = Literal["rate", "ns", "share"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One number that each valid trial has. Rates are in ops/s."""

    name: str
    """As in `--metric`: `throughput`, `p99`."""
    unit: Unit
    better: str
    """The word for more of the good: `faster`."""
    worse: str
    higher_is_better: bool = False
    percentile: float = 0.0
    """Of the latency of the workload's main phase, 0 to 1; 0 if the metric is not a percentile."""
    field: str = ""
    """Of `records.Figures`; empty if a record does not keep it."""
    header: str = ""
    """Column of the tables of CSV, Parquet, SQL and data frames; empty if they do not have it."""

    @property
    def is_latency(self) -> bool:
        """Return whether the clock's step limits the metric's resolution."""
        return self.name == "max" or self.percentile > 0

    def value(self, trial: Trial) -> float | None:
        """Return the metric of a trial as its record keeps it, or from its histogram; None if it has none."""
        if trial.figures is None:
            return None
        if self.field:
            return float(getattr(trial.figures, self.field))
        kind = WORKLOADS.get(trial.workload)
        phase = trial.outcome.phases.get(kind.latency) if kind else None
        if phase is None or not phase.histogram or not self.percentile:
            return None
        return percentiles_ns(phase, [self.percentile])[0]


def _latency(name: str, share: float = 0.0, field: str = "") -> Metric:
    return Metric(
        name=name, unit="ns", better="faster", worse="slower", percentile=share, field=field, header=field
    )


# In the order of the record's fields.
RECORDED = (
    Metric(
        name="throughput",
        unit="rate",
        better="faster",
        worse="slower",
        higher_is_better=True,
        field="throughput",
        header="throughput_ops_per_s",
    ),
    _latency("p50", 0.5, "p50_ns"),
    _latency("p90", 0.9, "p90_ns"),
    _latency("p99", 0.99, "p99_ns"),
    _latency("p99.9", 0.999, "p999_ns"),
    _latency("max", field="max_ns"),
    Metric(
        name="jain",
        unit="share",
        better="fairer",
        worse="less fair",
        higher_is_better=True,
        field="jain",
        header="jain",
    ),
    Metric(
        name="cpu",
        unit="ns",
        better="less CPU",
        worse="more CPU",
        field="cpu_ns_per_operation",
        header="cpu_ns_per_operation",
    ),
)
# Of the launches of a cell, not of one trial.
SUCCESS = Metric(name="success", unit="share", better="more succeed", worse="fewer succeed", higher_is_better=True)
METRICS = {one.name: one for one in (*RECORDED, SUCCESS)}
SUMMARIZED = tuple(METRICS[name] for name in ("throughput", "p50", "p99", "max", "jain"))
"""Metrics of which the summary of a cell has a median."""


def metric(name: str) -> Metric:
    """Return the metric of that name: one of METRICS, or any percentile such as p95. UsageError for others."""
    if name in METRICS:
        return METRICS[name]
    match = re.fullmatch(r"p(\d{1,2}(?:\.\d{1,4})?)", name)
    if match and 0 < float(match[1]) < 100:
        share = round(float(match[1]) / 100, 8)
        return next(
            (msgspec.structs.replace(one, name=name) for one in RECORDED if one.percentile == share),
            _latency(name, share),
        )
    names = ", ".join(name for name in METRICS if not METRICS[name].percentile)
    raise UsageError(f"no metric {name!r}; there are {names}, and percentiles such as p50, p99 and p99.9")


DEFAULT = tuple(METRICS[name] for name in ("throughput", "p50", "p99"))


def metrics(text: str) -> tuple[Metric, ...]:
    """Return the metrics of a list such as `throughput,p99`, each once. UsageError for other words."""
    names = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    if not names:
        raise UsageError("--metric names nothing; write throughput,p99")
    return tuple(metric(name) for name in names)


def values(one: Metric, cell: CellColumns) -> Floats:
    """Return a metric of each valid trial of a cell that has it, (n,); (0,) for `success`.

    Percentiles come from the histograms, straight within a bucket, and from the records where a file has no
    histograms. Latencies below half a step of the clock count as that half.
    """
    if one.percentile:
        found = percentiles(cell, one.percentile)
        if one.field and np.isnan(found).any():
            found = cell.figure(one.field)
    elif one.field:
        found = cell.figure(one.field)
    else:
        return np.zeros(0)
    if one.is_latency:
        found = np.maximum(found, clock_step_ns(cell.timer_step_ns) / 2)
    return found[np.isfinite(found) & (found > 0)]


def clock_step_ns(timer_step_ns: float) -> float:
    """Return the least difference in ns that the clock, or the histogram's whole ns, can show."""
    return max(timer_step_ns, 1.0)
