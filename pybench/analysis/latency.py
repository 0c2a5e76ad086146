"""Latencies from the core's histograms."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from pybench import native
from pybench.analysis.estimate import weighted_percentile_from_histogram
from pybench.native.outcome import Phase


def percentiles_ns(phase: Phase, shares: Sequence[float]) -> list[float]:
    """Percentiles of a phase's latency, ns, from its histogram; none lies beyond the longest call seen."""
    # As text, where the file was read for a report.
    told: Any = (
        msgspec.json.decode(phase.histogram) if isinstance(phase.histogram, msgspec.Raw) else phase.histogram
    )
    pairs = np.asarray(told, dtype=np.int64).reshape(-1, 2)
    values = native.histogram_values()[np.cumsum(pairs[:, 0])]
    found = weighted_percentile_from_histogram(values, pairs[:, 1], np.asarray(shares) * 100.0)
    return [min(float(value), float(phase.max_ns)) for value in np.atleast_1d(found)]
