# SPDX-License-Identifier: Apache-2.0
"""Rank several sets of rates: picking the best of many takes more than one comparison."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from pybench.stats.ratios import LEVEL, median_side, ratio_interval, side_ratio


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of one of several, all positive; more is better."""

    samples: Sequence[float]
    drawn: bool = False
    """Whether they are draws of a model's inputs, not trials."""

    @property
    def middle(self) -> float:
        """Return the median."""
        return float(np.median(self.samples))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking of several, by index into what was given."""

    order: list[int]
    """Best to worst by their medians."""
    beside_first: list[int]
    """Those not shown to be worse than the first, in order; empty if the first is shown to be best."""
    beside_last: list[int]
    """Those not shown to be better than the last, in order; empty if the last is shown to be worst."""
    apart: bool
    """Whether the first is shown to be better than the last."""


def standing(several: Sequence[Rates], margin: float) -> Standing:
    """Rank two or more. A difference by a share of less than `margin` counts as none.

    The first is shown to be best if it is shown to be more than every other. Each of k - 1 others may wrongly come
    first, so each comparison has a (k - 1)th of the risk: a wrong one is called best with a probability of at most
    5 %, and likewise a wrong worst. First and last are one of k (k - 1) / 2 pairs. Draws are not samples, so their
    ratios must hold in the central 95 % of them, and nothing is corrected. ValueError: fewer than two, no samples,
    samples that are not finite and positive.
    """
    k = len(several)
    if k < 2:
        raise ValueError("a ranking needs at least two")
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
    """Return whether `a` is shown to be more than `b` by the margin, in one of `one_of` comparisons."""
    if a.drawn or b.drawn:
        drawn = ratio_interval(a.samples, b.samples, drawn=True)
        return drawn.known and drawn.low > 1 + margin
    bound = math.log1p(margin)
    ratio = side_ratio(*(median_side(np.asarray(one.samples, dtype=np.float64)) for one in (a, b)))
    return ratio.log > bound and ratio.risk_beyond(bound) <= (1 - LEVEL) / one_of
