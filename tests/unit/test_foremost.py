# SPDX-License-Identifier: Apache-2.0
"""Test the ranking: how often a wrong choice is called best, how often the right one, and what must hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.stats.ranking import Rates, standing

SEVERAL = st.lists(
    st.lists(st.floats(0.1, 10), min_size=6, max_size=20).map(lambda x: Rates(samples=x)), min_size=2, max_size=6
)


def noisy(rng: np.random.Generator, middles: list[float], trials: int = 8) -> list[Rates]:
    return [Rates(samples=list(m * np.exp(0.05 * rng.standard_normal(trials)))) for m in middles]


def test_a_wrong_one_is_seldom_called_best_or_worst() -> None:
    rng = np.random.default_rng(3)
    best = worst = apart = 0
    for _ in range(400):
        # Ties: whichever is called best is wrong.
        found = standing(noisy(rng, [1.0] * 6), margin=0.0)
        best += not found.beside_first
        worst += not found.beside_last
        apart += found.apart
    assert max(best, worst, apart) <= 0.05 * 400


def test_the_best_is_told_from_a_near_second_only_where_it_is_better() -> None:
    rng = np.random.default_rng(4)
    clear = [standing(noisy(rng, [2.0, 1.0, 1.0]), 0.03) for _ in range(50)]
    assert all(not one.beside_first and one.order[0] == 0 for one in clear)
    assert sum(bool(one.beside_last) for one in clear) >= 45
    tied = [standing(noisy(rng, [2.0, 2.0, 1.0]), 0.03) for _ in range(50)]
    assert sum(bool(one.beside_first) for one in tied) >= 45
    assert all(not one.beside_last and one.order[-1] == 2 for one in tied)


@given(SEVERAL, st.floats(0, 0.5))
def test_more_margin_shows_less_and_the_best_is_apart(several: list[Rates], margin: float) -> None:
    found, strict = standing(several, 0.0), standing(several, margin)
    assert set(found.beside_first) <= set(strict.beside_first) <= set(found.order[1:])
    assert set(found.beside_last) <= set(strict.beside_last) <= set(found.order[:-1])
    middles = [several[i].middle for i in found.order]
    assert middles == sorted(middles, reverse=True)


def test_too_few_tell_nothing_and_draws_go_by_their_range() -> None:
    few = standing([Rates(samples=[10.0] * 5), Rates(samples=[1.0] * 5)], 0.03)
    assert few.beside_first == [1] and few.beside_last == [0] and not few.apart
    a, b = [1.0, 2.0, 3.0], [0.9, 1.8, 2.7]
    drawn = standing([Rates(samples=a, drawn=True), Rates(samples=b, drawn=True)], 0.03)
    assert not drawn.beside_first and drawn.apart
    with pytest.raises(ValueError, match="two"):
        standing([Rates(samples=a)], 0.03)
