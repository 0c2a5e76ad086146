# SPDX-License-Identifier: Apache-2.0
"""The lateness of single transfers, from round trips that are timed one by one."""

import math

import numpy as np
import numpy.typing as npt

from pybench.host.topology import Topology
from pybench.native.engine import LATE_SHARE
from pybench.placement import place
from pybench.simulator.calibration.trials import REPEATS, assumed, measured, valid_outcomes
from pybench.simulator.machine import Number
from pybench.stats.estimate import counted_ns

SLOWEST, LEFT_OUT = 0.1, 0.001
"""Share of the slowest round trips, which show lateness, and of round trips left out as interrupted."""


def singles(topology: Topology) -> dict[str, Number]:
    """Measure core.late, and assume core.jitter. Raises MeasurementError on a busy host."""
    cores = place(topology, "all", "off").cpus[:2]
    if len(cores) < 2:
        late = assumed(0.0, 0.0, 0.6, "this host has one core, and nothing to transfer to")
    else:
        trials = valid_outcomes("transfer", cores, REPEATS, method="cas", batch=1)
        found = [lateness(*counted_ns(one.phases["transfer"])) for one in trials]
        late = measured(found, "measured: the slowest tenth of round trips by compare-and-swap, timed one by one")
    return {
        "core.jitter": assumed(0.03, 0.01, 0.08, "the clock's step and reading blur what is less than lateness"),
        "core.late": late,
    }


def lateness(ns: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> float:
    """Return `EngineSpec.late` from half round trips: `counts` of each of the rising `ns`.

    Each of the two transfers is late with chance LATE_SHARE, by an exponential time: the share u of round trips is
    late by more than mean ln(2 LATE_SHARE / u), of which mean u (ln(2 LATE_SHARE / u) + 1) is the integral over u.
    A clock whose step is a large part of a transfer makes it more.
    """
    share = np.cumsum(counts) / counts.sum()

    def mean_between(low: float, high: float) -> float:
        return float(np.average(ns, weights=np.diff(np.clip(share, low, high), prepend=low)))

    def integral(u: float) -> float:
        return u * (math.log(2 * LATE_SHARE / u) + 1)

    middle = mean_between(SLOWEST, 1 - SLOWEST)
    excess = 2 * (mean_between(1 - SLOWEST, 1 - LEFT_OUT) - middle)
    return excess / middle * (SLOWEST - LEFT_OUT) / (integral(SLOWEST) - integral(LEFT_OUT))
