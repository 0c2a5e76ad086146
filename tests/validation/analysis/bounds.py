# SPDX-License-Identifier: Apache-2.0
"""Bounds of the share of intervals that cover a planted value."""

from scipy.stats import binom


def coverage_bounds(draws: int, low: float = 0.93, high: float = 0.97, enough: int = 1000) -> tuple[float, float]:
    """Return the bounds of the share of 95 % intervals that cover.

    They are `low` and `high`; with fewer draws than `enough`, wide enough that chance is outside once in 1,000.
    """
    if draws >= enough:
        return low, high
    least, most = binom.interval(0.999, draws, 0.95)
    return min(low, float(least) / draws), max(high, float(most) / draws)
