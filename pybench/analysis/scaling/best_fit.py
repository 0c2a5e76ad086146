# SPDX-License-Identifier: Apache-2.0
"""The scaling model that describes a curve best, by AICc."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pybench.analysis.scaling.akaike import aicc, weights
from pybench.analysis.scaling.curve_fits import CurveFits, ModelFit, fit_curve, fittable
from pybench.analysis.scaling.model import LevelMeans
from pybench.analysis.scaling.models import MODELS
from pybench.analysis.scaling.thread_counts import Border, candidates


class BestFit(msgspec.Struct, frozen=True):
    """The model that describes a curve best."""

    fits: CurveFits
    """The fit of that model alone."""
    weight: float | None
    """Its Akaike weight among all models; None where they cannot be ranked."""
    second: str
    """The title of the next best; empty where they cannot be ranked."""

    @property
    def fit(self) -> ModelFit:
        """Return the fit of the model."""
        return self.fits.models[0]


def best_fit(n: ArrayLike, x: ArrayLike, borders: Sequence[Border] = ()) -> BestFit | None:
    """Return the best model by AICc of throughput ``x`` (ops/s) at ``n`` threads, both (trials,).

    If fewer than two models can be ranked, it is the USL, or Amdahl's law if the USL lacks thread counts; None if
    that does too. ValueError as `fit_curve`.
    """
    if np.size(n) == 0 and np.size(x) == 0:
        return None
    levels = LevelMeans.of(n, x)
    scores, titles = {}, {}
    for kind in fittable(levels, candidates(borders, levels.threads), MODELS)[0]:
        form, _, least = kind.fit(levels)
        score = aicc(least, levels, form)
        if score is not None:
            scores[kind.name], titles[kind.name] = score, form.label
    shares = weights(scores) if len(scores) > 1 else {}
    names = sorted(shares, key=lambda name: -shares[name]) or ["usl", "amdahl"]
    for name in names:
        fits = fit_curve(n, x, borders=borders, models=(name,))
        if fits.models:
            return BestFit(fits, shares.get(name), titles[names[1]] if shares else "")
    return None
