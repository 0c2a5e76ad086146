# SPDX-License-Identifier: Apache-2.0
"""Estimates of line transfers: by pair of CPUs and by distance class."""

import math
from collections import defaultdict
from collections.abc import Iterable

import msgspec
import numpy as np

from pybench.host.topology import DISTANCES, Distance
from pybench.results.latency_file import Pair, PairTrial
from pybench.stats.estimate import Interval, median_interval


class PairLatency(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of CPUs by one method, over its rounds."""

    cpus: Pair
    distance: Distance
    transfer_ns: Interval
    """Median over valid rounds; NaN with n = 0 without any."""
    invalid: int
    """Number of trials that were flagged or failed."""


class ClassLatency(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs of a distance class by one method. Times in ns, over the pairs' medians."""

    distance: Distance
    median_ns: Interval
    """Over pairs; for a class of one pair, over its rounds."""
    p5_ns: float
    p95_ns: float
    pairs: int
    """Number of pairs with a valid trial."""


class Transfers(msgspec.Struct, frozen=True, kw_only=True):
    """The time of a line transfer on a host by one method, by distance class."""

    method: str
    classes: tuple[ClassLatency, ...]
    """From near to far; only classes that were measured."""

    def transfer_ns(self, distance: Distance) -> Interval | None:
        """Return the median transfer of a class in ns; None if the host has no such pair, or none was measured."""
        return next((one.median_ns for one in self.classes if one.distance == distance), None)


def pair_latencies(trials: Iterable[PairTrial], method: str) -> list[PairLatency]:
    """Return an estimate for each pair that was tried by this method, in the order of their first trials."""
    grouped: dict[Pair, list[PairTrial]] = defaultdict(list)
    for trial in trials:
        if trial.method == method:
            grouped[trial.cpus].append(trial)
    figures = []
    for cpus, group in grouped.items():
        valid = [trial.transfer_ns for trial in group if trial.valid and trial.transfer_ns is not None]
        figures.append(
            PairLatency(
                cpus=cpus,
                distance=group[0].distance,
                transfer_ns=median_interval(valid) if valid else Interval(math.nan, math.nan, math.nan, 0),
                invalid=len(group) - len(valid),
            )
        )
    return figures


def summarize(trials: Iterable[PairTrial], method: str) -> Transfers:
    """Return the distance classes that were measured by this method."""
    figures = [figure for figure in pair_latencies(trials, method) if figure.transfer_ns.n]
    classes = []
    for name in DISTANCES:
        own = [figure.transfer_ns for figure in figures if figure.distance == name]
        if not own:
            continue
        values = [one.value for one in own]
        low, high = np.percentile(values, (5, 95))
        classes.append(
            ClassLatency(
                distance=name,
                median_ns=own[0] if len(own) == 1 else median_interval(values),
                p5_ns=float(low),
                p95_ns=float(high),
                pairs=len(own),
            )
        )
    return Transfers(method=method, classes=tuple(classes))
