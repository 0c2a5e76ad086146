# SPDX-License-Identifier: Apache-2.0
"""Intervals and p-values of ratios: against known cases, and what must hold of any samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, t, ttest_ind, ttest_rel

from pybench.stats.estimate import median_interval
from pybench.stats.ratios import (
    AT_LEVEL,
    MOST_FURTHER,
    RISKS,
    further_needed,
    holm,
    median_side,
    paired_ratio,
    share_side,
    side_ratio,
    sweep_ratio,
)

SAMPLES = st.lists(st.floats(1e-3, 1e12), min_size=6, max_size=40).map(np.array)


@given(SAMPLES)
def test_one_side_reaches_as_far_as_the_interval_of_its_median(x: np.ndarray) -> None:
    side, interval = median_side(x), median_interval(np.log(x))
    assert side.log == pytest.approx(interval.value)
    assert side.log - side.down[AT_LEVEL] == pytest.approx(interval.low, abs=1e-9)
    assert side.log + side.up[AT_LEVEL] == pytest.approx(interval.high, abs=1e-9)


@given(SAMPLES, SAMPLES, st.floats(1e-6, 1e6))
def test_swapping_inverts_and_units_cancel(a: np.ndarray, b: np.ndarray, unit: float) -> None:
    one, other = (side_ratio(median_side(x), median_side(y)) for x, y in ((a, b), (b, a)))
    there, back = one.interval(), other.interval()
    assert there.low <= there.value <= there.high
    assert [there.low, there.value, there.high] == pytest.approx([1 / back.high, 1 / back.value, 1 / back.low])
    scaled = side_ratio(median_side(a * unit), median_side(b * unit)).interval()
    assert [scaled.low, scaled.high] == pytest.approx([there.low, there.high], rel=1e-6)
    assert one.risk_beyond(0.0) == pytest.approx(other.risk_beyond(0.0))


@given(SAMPLES)
def test_a_side_over_itself_is_one(x: np.ndarray) -> None:
    ratio = side_ratio(median_side(x), median_side(x))
    assert ratio.interval().value == 1
    assert ratio.risk_beyond(0.0) == 1


@given(SAMPLES, SAMPLES, st.floats(0.01, 100))
def test_interval_and_p_value_never_disagree(a: np.ndarray, b: np.ndarray, bound: float) -> None:
    ratio = side_ratio(median_side(a), median_side(b))
    interval, p = ratio.interval(), ratio.risk_beyond(math.log(bound))
    if bound < interval.low * (1 - 1e-9) or bound > interval.high * (1 + 1e-9):
        assert p <= 0.05 * (1 + 1e-6)
    elif interval.low * (1 + 1e-9) < bound < interval.high * (1 - 1e-9):
        assert p >= 0.05 * (1 - 1e-6)


@given(SAMPLES, SAMPLES)
def test_the_less_risk_the_wider(a: np.ndarray, b: np.ndarray) -> None:
    ratio = side_ratio(median_side(a), median_side(b))
    assert (np.diff(RISKS) < 0).all()
    assert (np.diff(ratio.down) >= 0).all()
    assert (np.diff(ratio.up) >= 0).all()


def test_five_trials_tell_nothing() -> None:
    five, six = median_side(np.arange(1.0, 6)), median_side(np.arange(1.0, 7))
    ratio = side_ratio(five, six)
    assert not ratio.interval().known
    assert ratio.risk_beyond(5.0) == 1


def test_sweeps_are_held_against_student() -> None:
    a, b = np.array([1.1, 1.3, 1.2]), np.array([1.0, 0.9])
    assert sweep_ratio(a, b).risk_beyond(0.0) == pytest.approx(ttest_ind(np.log(a), np.log(b)).pvalue, rel=0.01)
    c = np.array([1.0, 0.9, 1.15])
    assert paired_ratio(a, c).risk_beyond(0.0) == pytest.approx(ttest_rel(np.log(a), np.log(c)).pvalue, rel=0.01)
    # One sweep against two: the other side's spread stands for both.
    one = sweep_ratio(np.array([1.0]), np.exp([0.0, 0.2]))
    assert one.log == pytest.approx(-0.1)
    assert one.up[AT_LEVEL] == pytest.approx(t.isf(0.025, 1) * 0.1 * math.sqrt(2) * math.sqrt(1.5))


def test_a_share_is_wilsons_and_wider_where_trials_differ() -> None:
    # Wilson's interval of 90 of 100, with Student's t for ten trials.
    alike = share_side(np.full(10, 9.0), np.full(10, 10.0))
    z2 = t.isf(0.025, 9) ** 2
    middle, half = (0.9 + z2 / 200) / (1 + z2 / 100), math.sqrt(z2 * (0.09 / 100 + z2 / 4e4)) / (1 + z2 / 100)
    assert math.exp(alike.log - alike.down[AT_LEVEL]) == pytest.approx(middle - half)
    assert math.exp(alike.log + alike.up[AT_LEVEL]) == pytest.approx(middle + half)
    torn = share_side(np.array([10.0] * 9 + [0.0]), np.full(10, 10.0))
    assert torn.down[AT_LEVEL] > 2 * alike.down[AT_LEVEL]
    whole = share_side(np.full(10, 10.0), np.full(10, 10.0))
    assert whole.log == 0
    assert whole.up[AT_LEVEL] == pytest.approx(0)
    assert whole.down[AT_LEVEL] > 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_holm_is_between_no_correction_and_bonferroni(risks: list[float]) -> None:
    corrected = holm(risks)
    for risk, one in zip(risks, corrected, strict=True):
        assert risk <= one <= min(1.0, risk * len(risks)) + 1e-12
    assert sorted(range(len(risks)), key=lambda i: risks[i]) == sorted(
        range(len(risks)), key=lambda i: (corrected[i], risks[i])
    )
    # It controls more than the false discovery rate, so it is never below Benjamini and Hochberg's.
    assert all(h >= f - 1e-12 for h, f in zip(corrected, false_discovery_control(risks), strict=True))


def test_as_many_more_trials_as_it_takes_do_suffice() -> None:
    rng = np.random.default_rng(4)
    found = needed = 0
    for _ in range(60):
        few = side_ratio(*(median_side(np.exp(0.05 * rng.standard_normal(20))) for _ in range(2)))
        needed += 20 + further_needed(few, 20, 38, 0.02, 0.05)
    each = round(needed / 60)
    for _ in range(200):
        a, b = (median_side(np.exp(shift + 0.05 * rng.standard_normal(each))) for shift in (0.02, 0))
        found += side_ratio(a, b).risk_beyond(0.0) <= 0.05
    assert 0.65 <= found / 200 <= 0.95
    assert further_needed(few, 20, 38, 1e-6, 0.05) == MOST_FURTHER + 1


def test_trials_that_succeed_whole_or_not_at_all_are_seldom_called_the_same() -> None:
    rng = np.random.default_rng(2)
    trials, attempts, margin = 12, np.full(12, 100.0), math.log1p(0.03)
    sure = share_side(attempts, attempts)
    wrong = 0
    for _ in range(300):
        # One trial in twenty fails whole: 5 % less is not the same within 3 %.
        other = share_side(100.0 * (rng.random(trials) < 0.95).astype(float), attempts)
        ratio = side_ratio(other, sure)
        if abs(ratio.log) < margin:
            wrong += max(ratio.risk_beyond(margin), ratio.risk_beyond(-margin)) <= 0.05
    assert wrong <= 0.08 * 300
    # As many trials of one container each tell as much.
    assert sure.down == pytest.approx(share_side(np.ones(trials), np.ones(trials)).down)
