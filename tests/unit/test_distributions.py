# SPDX-License-Identifier: Apache-2.0
"""Whole distributions of sweeps that both sides share: held against SciPy, and found though sweeps differ."""

import math

import numpy as np
import pytest
from scipy.stats import permutation_test

from pybench.analysis.comparison.compare import compare
from pybench.analysis.comparison.distributions import Distribution, _swapped
from pybench.present.views.comparison import distribution_words
from tests.unit.synthetic import cell, columns, noisy


def paired(factor: float, sweeps: int, seed: int = 0) -> Distribution:
    """Return sweeps of two locks; sweeps differ by 30 %, and the second lock by the factor in each."""
    levels = np.exp(0.3 * np.random.default_rng(seed).standard_normal(sweeps))
    cells = [cell(lock=lock, threads=2) for lock in ("ticket", "mcs")]
    files = [
        noisy(f"s{i}", cells, factors=[f, factor * f], seed=seed * 100 + i, trials=6) for i, f in enumerate(levels)
    ]
    found = compare([columns(*files)], axis="lock", base="ticket").pairs[0].cells[0].distribution
    assert found and found.unit == "sweeps"
    return found


def test_pairs_of_sweeps_tell_by_swapping() -> None:
    shifted = paired(0.8, 8)
    assert shifted.p == pytest.approx(2 / 2**8)
    assert "not by chance" in distribution_words(shifted)
    few = paired(0.8, 5)
    assert math.isnan(few.p)
    assert "too few sweeps" in distribution_words(few)
    alike = [paired(1.0, 6, seed).p for seed in range(12)]
    assert sum(p <= 0.05 for p in alike) <= 3


@pytest.mark.parametrize("pairs", [7, 12])
def test_swapping_is_scipys_permutation_of_samples(pairs: int) -> None:
    rng = np.random.default_rng(5)
    one, other = (np.sort(rng.random((pairs, 20)), axis=1) ** power for power in (1.0, 1.2))

    units = np.concatenate([one, other])

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs((units[a.astype(int)] - units[b.astype(int)]).mean(axis=0)).max())

    exact = permutation_test(  # type: ignore[call-overload]
        (np.arange(pairs), np.arange(pairs) + pairs), apart, permutation_type="samples", alternative="greater",
        n_resamples=np.inf, vectorized=False,
    )  # fmt: skip
    assert _swapped(one, other, rng) == pytest.approx(exact.pvalue, abs=1e-9 if pairs < 10 else 0.02)
