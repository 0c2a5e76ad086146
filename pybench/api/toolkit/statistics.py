# SPDX-License-Identifier: Apache-2.0
"""Estimates with intervals: medians and ratios of trials, ranges over draws, percentiles of histograms."""

from pybench.stats.estimate import (
    Interval,
    finite_samples,
    median_interval,
    percentiles_ns,
    range_interval,
)
from pybench.stats.ratios import LEAST_TRIALS, ratio_interval

__all__ = [
    "LEAST_TRIALS",
    "Interval",
    "finite_samples",
    "median_interval",
    "percentiles_ns",
    "range_interval",
    "ratio_interval",
]
