# SPDX-License-Identifier: Apache-2.0
"""What can be compared: the figures of a trial by the names they are asked for, and which way is better."""

import re

import msgspec
import numpy as np

from pybench.errors import UsageError
from pybench.results.columns import CellColumns, percentiles
from pybench.stats.estimate import Floats


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a trial."""

    name: str
    better: str
    """What more of the good is called: `faster`."""
    worse: str
    higher_is_better: bool
    unit: str
    """`rate`, `ns` or `share`: how it is printed."""
    percentile: float = 0.0
    """Of the latency, 0 to 1; 0 if it is none."""
    column: str = ""
    """Of `records.Figures`."""


FIXED = (
    Metric(
        name="throughput",
        better="faster",
        worse="slower",
        higher_is_better=True,
        unit="rate",
        column="throughput",
    ),
    Metric(
        name="max",
        better="faster",
        worse="slower",
        higher_is_better=False,
        unit="ns",
        column="max_ns",
    ),
    Metric(
        name="jain",
        better="fairer",
        worse="less fair",
        higher_is_better=True,
        unit="share",
        column="jain",
    ),
    Metric(
        name="success",
        better="more succeed",
        worse="fewer succeed",
        higher_is_better=True,
        unit="share",
    ),
    Metric(
        name="cpu",
        better="less CPU",
        worse="more CPU",
        higher_is_better=False,
        unit="ns",
        column="cpu_ns_per_operation",
    ),
)
# Percentiles that a record keeps too, for files whose histograms were taken out.
_KEPT = {0.5: "p50_ns", 0.9: "p90_ns", 0.99: "p99_ns", 0.999: "p999_ns"}


def metric(name: str) -> Metric:
    """The metric of that name: one of FIXED, or p50, p99.5 and so on. Raises UsageError naming them."""
    for one in FIXED:
        if one.name == name:
            return one
    match = re.fullmatch(r"p(\d{1,2}(?:\.\d{1,4})?)", name)
    if match and 0 < float(match[1]) < 100:
        return Metric(
            name=name,
            better="faster",
            worse="slower",
            higher_is_better=False,
            unit="ns",
            percentile=round(float(match[1]) / 100, 8),
        )
    names = ", ".join(one.name for one in FIXED)
    raise UsageError(f"no metric {name!r}; there are {names}, and percentiles such as p50, p99 and p99.9")


DEFAULT = tuple(metric(name) for name in ("throughput", "p50", "p99"))


def metrics(text: str) -> tuple[Metric, ...]:
    """The metrics of a list such as `throughput,p99`, each once."""
    names = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    if not names:
        raise UsageError("--metric names nothing; write throughput,p99")
    return tuple(metric(name) for name in names)


def values(one: Metric, cell: CellColumns) -> Floats:
    """A metric of each valid trial of a cell that has it; none for `success`, which is no figure of one trial.

    Latencies below half a step of the clock count as that half.
    """
    if one.percentile:
        found = percentiles(cell, one.percentile)
        if one.percentile in _KEPT and np.isnan(found).any():
            found = cell.figure(_KEPT[one.percentile])
    elif one.column:
        found = cell.figure(one.column)
    else:
        return np.zeros(0)
    if is_latency(one):
        found = np.maximum(found, least_step_ns(cell) / 2)
    return found[np.isfinite(found) & (found > 0)]


def is_latency(one: Metric) -> bool:
    """Whether the clock's step bounds what can be told."""
    return one.name == "max" or one.percentile > 0


def least_step_ns(cell: CellColumns) -> float:
    """The least difference of two latencies that the clock, or the histogram's whole ns, can tell."""
    return max(cell.timer_step_ns, 1.0)
