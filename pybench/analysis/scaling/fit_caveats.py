# SPDX-License-Identifier: Apache-2.0
"""Caveats on a fitted curve, for any model: each a sentence with the number that raised it."""

from math import comb

import numpy as np

from pybench.analysis.scaling.model import LevelMeans, Model
from pybench.stats.estimate import Floats

POOR_FIT = 0.10  # rms of the misses; beyond it the parameters describe the machine badly
LACK_OF_FIT_P = 0.01
RUNS_P = 0.05
SPARE_LEVELS = 3  # thread counts beyond the parameters, for a fit that can be judged


def caveats_of_fit(model: Model, levels: LevelMeans, misses: Floats, least: float) -> list[str]:
    """Return caveats from the residuals (m,) of log throughput and their weighted sum of squares ``least``."""
    said = []
    rms = float(np.sqrt(np.average(np.square(misses), weights=levels.trials)))
    worst = int(np.argmax(np.abs(misses)))
    where = f"at {levels.threads[worst]:.0f} threads by {abs(np.expm1(misses[worst])):.0%}"
    if rms > POOR_FIT:
        said.append(f"it misses the measurements by {rms:.0%} rms, most {where}: read them, not the parameters")
    spare, repeats = levels.size - model.size, levels.points - levels.size
    if repeats > 0 and spare > 0:
        p = lack_of_fit_probability(least, spare, levels.within, repeats)
        if p < LACK_OF_FIT_P:
            said.append(
                f"the measurements leave the curve by more than repeats differ (p {_p(p)}, most {where}), "
                "so the intervals, which know of repeats alone, are too narrow"
            )
    if spare < SPARE_LEVELS:
        said.append(f"{levels.size} thread counts for {model.size} parameters: hardly a test of the model")
    p = runs_probability(misses)
    if p < RUNS_P:
        said.append(f"its misses keep their sign from one thread count to the next (runs test, p {_p(p)})")
    return said


def lack_of_fit_probability(least: float, spare: int, within: float, repeats: int, floor: float = 1e-18) -> float:
    """Return the probability that thread counts miss a true curve by squares of ``least``: Bates & Watts (1988),
    chapter 1.

    ``spare`` is the number of thread counts beyond the parameters, ``repeats`` that of trials beyond the thread
    counts. The scatter of the repeats about their means has the sum of squares ``within``, and a variance of at
    least ``floor``.
    """
    from scipy.special import fdtrc

    return float(fdtrc(spare, repeats, least / spare / max(within / repeats, floor)))


def runs_probability(misses: Floats) -> float:
    """Return the probability of this few runs of one sign: A. Wald and J. Wolfowitz (1940), exact."""
    signs = np.sign(misses[np.abs(misses) > 1e-9]) > 0
    above, below = int(signs.sum()), int((~signs).sum())
    if above == 0 or below == 0:
        return 1.0
    runs = 1 + int((signs[1:] != signs[:-1]).sum())
    ways = 0
    for r in range(2, runs + 1):
        half, odd = divmod(r, 2)
        if odd:
            ways += comb(above - 1, half) * comb(below - 1, half - 1)
            ways += comb(above - 1, half - 1) * comb(below - 1, half)
        else:
            ways += 2 * comb(above - 1, half - 1) * comb(below - 1, half - 1)
    return ways / comb(above + below, above)


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-6 else "< 1e-6"
