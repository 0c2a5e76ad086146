# SPDX-License-Identifier: Apache-2.0
"""Rank models of a curve by AICc and Akaike weights.

AICc = m ln(RSS / m) + 2 k + 2 k (k + 1) / (m - k - 1), for m thread counts, RSS the weighted sum of squares of the
residuals of log throughput (weights average 1), and k the parameters and the variance. Trials at one thread count
are one observation: a miss of the curve there is common to all of them. C. M. Hurvich and C.-L. Tsai, "Regression
and time series model selection in small samples", Biometrika 76 (1989) 297-307; K. P. Burnham and D. R. Anderson,
"Model Selection and Multimodel Inference" (2002), chapter 2.

A form that was chosen by its fit among c of equal size has 2 ln c added: its share of the prior is 1 / c.
"""

import math
from collections.abc import Mapping

from pybench.analysis.scaling.model import LevelMeans, Model
from pybench.analysis.scaling.profile import PRECISION


def aicc(least: float, levels: LevelMeans, model: Model) -> float | None:
    """Return AICc of a fit with weighted sum of squares ``least``; None if m <= k + 1."""
    m, k = levels.size, model.size + 1
    if m <= k + 1:
        return None
    mean = max(least / levels.points, PRECISION**2)
    return m * math.log(mean) + 2 * k + 2 * k * (k + 1) / (m - k - 1) + 2 * math.log(model.choices)


def weights(scores: Mapping[str, float]) -> dict[str, float]:
    """Return Akaike weights: each model's share of exp(-AICc / 2)."""
    if not scores:
        return {}
    least = min(scores.values())
    shares = {name: math.exp(-(score - least) / 2) for name, score in scores.items()}
    return {name: share / sum(shares.values()) for name, share in shares.items()}
