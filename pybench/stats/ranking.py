# SPDX-License-Identifier: Apache-2.0
"""Which of several is first, and which last: to pick the greatest of many takes more than one comparison."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from pybench.stats.estimate import ratio_range
from pybench.stats.ratios import LEVEL, median_side, side_ratio


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one of several, all positive; the more the better."""

    samples: Sequence[float]
    drawn: bool = False
    """Draws of a model's inputs, not trials."""

    @property
    def middle(self) -> float:
        """Their median."""
        return float(np.median(self.samples))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Several in their order, by their place in what was given."""

    order: list[int]
    """First to last by their medians, whatever that is worth."""
    beside_first: list[int]
    """Those that may be as good as the first as far as can be told, in order; empty if it is shown to be best."""
    beside_last: list[int]
    """The same of the last."""
    apart: bool
    """Whether first and last are shown to differ."""


def standing(several: Sequence[Rates], margin: float) -> Standing:
    """Order two or more. What differs by a share of less than `margin` is alike.

    The first is shown to be best if it is shown to be more than every other. Each of k - 1 others may wrongly come
    first, so each comparison has a (k - 1)th of the risk: that a wrong one is called best has a chance of at most
    5 %, and likewise a wrong worst. First and last are one of k (k - 1) / 2 pairs. Draws are no samples, so their
    ratios must hold in the central 95 % of them, and nothing is corrected. ValueError: fewer than two, no samples,
    samples that are not finite and positive.
    """
    k = len(several)
    if k < 2:
        raise ValueError("an order needs two")
    order = sorted(range(k), key=lambda i: -several[i].middle)
    first, last = order[0], order[-1]
    one_of = k - 1
    return Standing(
        order=order,
        beside_first=[i for i in order[1:] if not _more(several[first], several[i], margin, one_of)],
        beside_last=[i for i in order[:-1] if not _more(several[i], several[last], margin, one_of)],
        apart=_more(several[first], several[last], margin, k * (k - 1) // 2),
    )


def _more(a: Rates, b: Rates, margin: float, one_of: int) -> bool:
    """Whether `a` is shown to be more than `b` by the margin, in one of so many comparisons."""
    if a.drawn or b.drawn:
        drawn = ratio_range(a.samples, b.samples)
        return drawn.known and drawn.low > 1 + margin
    bound = math.log1p(margin)
    ratio = side_ratio(*(median_side(np.asarray(one.samples, dtype=np.float64)) for one in (a, b)))
    return ratio.log > bound and ratio.risk_beyond(bound) <= (1 - LEVEL) / one_of
