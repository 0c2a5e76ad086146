# SPDX-License-Identifier: Apache-2.0
"""Latencies from the core's histograms."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pybench import native
from pybench.native.outcome import Phase
from pybench.stats.estimate import weighted_percentile_from_histogram


def counted_ns(phase: Phase) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Middles of the buckets of a phase's histogram that were hit, ns, rising, and their counts."""
    # As text, where the file was read for a report.
    told: Any = (
        msgspec.json.decode(phase.histogram) if isinstance(phase.histogram, msgspec.Raw) else phase.histogram
    )
    pairs = np.asarray(told, dtype=np.int64).reshape(-1, 2)
    return native.histogram_values()[np.cumsum(pairs[:, 0])], pairs[:, 1]


def percentiles_ns(phase: Phase, shares: Sequence[float]) -> list[float]:
    """Percentiles of a phase's latency, ns, from its histogram; none lies beyond the longest call seen."""
    values, counts = counted_ns(phase)
    found = weighted_percentile_from_histogram(values, counts, np.asarray(shares) * 100.0)
    return [min(float(value), float(phase.max_ns)) for value in np.atleast_1d(found)]
