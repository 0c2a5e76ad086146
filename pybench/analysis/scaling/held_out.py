# SPDX-License-Identifier: Apache-2.0
"""Errors of a model at thread counts that are left out of its fit.

The error of a prediction is |predicted / measured - 1|; measured is the geometric mean of the trials.

* held-out error: each thread count is left out in turn, the model is fitted to the others, and predicts it. The
  result is the median over all thread counts, the smallest and the largest included.
* extrapolation error: the median error beyond half of the most threads, of a fit to the counts up to there.

A model that chooses among forms of itself chooses for each fit, so the choice does not see the counts it is judged
by.
"""

import msgspec
import numpy as np

from pybench.analysis.scaling.model import LevelMeans, Model
from pybench.stats.estimate import Floats


class HeldOut(msgspec.Struct, frozen=True):
    """Errors of one model as shares; None if too few thread counts remain to fit it."""

    median: float | None
    worst: float | None
    worst_at: int | None
    extrapolation: float | None
    extrapolated_from: int
    """The most threads of the fit that was extrapolated."""


def held_out(model: Model, levels: LevelMeans, near: Floats) -> HeldOut:
    """Return the errors of ``model`` at left-out thread counts; ``near`` is its theta for all thread counts."""
    worst_at = median = worst = None
    if levels.size - 1 >= model.size:
        everyone = np.arange(levels.size)
        errors = [float(_errors(model, levels, everyone != left_out, near)[0]) for left_out in everyone]
        median, worst = float(np.median(errors)), max(errors)
        worst_at = int(levels.threads[int(np.argmax(errors))])
    lower = levels.threads <= levels.most / 2
    extrapolation = None
    if lower.sum() >= model.size:
        extrapolation = float(np.median(_errors(model, levels, lower, near)))
    return HeldOut(median, worst, worst_at, extrapolation, int(levels.threads[lower].max(initial=0)))


def _errors(model: Model, levels: LevelMeans, keep: np.ndarray, near: Floats) -> Floats:
    """Fit to the levels where ``keep`` is true; return the errors of the others."""
    form, theta, _ = model.fit(levels.only(keep), [near])
    others = levels.only(~keep)
    return np.abs(np.expm1(form.log_rate(others.threads, theta) - others.y))
