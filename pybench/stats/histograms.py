# SPDX-License-Identifier: Apache-2.0
"""Percentiles of latency from the core's histograms."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pybench import native
from pybench.native.outcome import Phase
from pybench.stats.estimate import weighted_percentile_from_histogram


def counted_ns(phase: Phase) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the middles (n,), ns ascending, of the buckets hit in a phase's histogram, and their counts."""
    pairs = np.asarray(phase.histogram, dtype=np.int64).reshape(-1, 2)
    return native.histogram_values()[np.cumsum(pairs[:, 0])], pairs[:, 1]


def percentiles_ns(phase: Phase, shares: Sequence[float]) -> list[float]:
    """Return percentiles (`shares`, 0 to 1) of a phase's latency in ns; none lies beyond the longest call seen."""
    values, counts = counted_ns(phase)
    found = weighted_percentile_from_histogram(values, counts, np.asarray(shares) * 100.0)
    return [min(float(value), float(phase.max_ns)) for value in np.atleast_1d(found)]
