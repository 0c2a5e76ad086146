# SPDX-License-Identifier: Apache-2.0
"""The Universal Scalability Law: Amdahl's law with a cost of keeping every pair of threads coherent."""

import math

import numpy as np

from pybench.analysis.scaling.cost_model import CostModel, says_coherency, says_serial
from pybench.analysis.scaling.model import Facts, ModelParameter, gamma
from pybench.stats.estimate import Floats


class Usl(CostModel):
    """X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)); it peaks at sqrt((1 - alpha) / beta)."""

    name = "usl"
    short = "USL"
    place = 2
    title = "the USL"
    formula = "X(N) = gamma N / (1 + alpha (N-1) + beta N (N-1))"
    source = 'N. J. Gunther, "Guerrilla Capacity Planning" (2007), chapters 4-6'
    parameters = (gamma(), ModelParameter("alpha", "share", 0.0, 1.0), ModelParameter("beta", "share", 0.0, 1.0))

    def terms(self, threads: Floats) -> Floats:
        """Return N - 1 and N (N - 1)."""
        return np.column_stack((threads - 1, threads * (threads - 1)))

    def says(self, facts: Facts) -> list[str]:
        """Return contention and coherency; the peak if it lies beyond the measured counts."""
        alpha, beta = facts.parameters["alpha"], facts.parameters["beta"]
        said = [says_serial(alpha), says_coherency(beta)]
        if beta.low > 0 and alpha.value < 1:
            peak = math.sqrt((1 - alpha.value) / beta.value)
            if peak > facts.most:
                said.append(
                    f"The law would peak at about {peak:.0f} threads, beyond those measured: an extrapolation."
                )
        return said

    def caveats(self, facts: Facts) -> list[str]:
        """Return caveats for parameters on a bound."""
        capped = [name for name in ("alpha", "beta") if facts.parameters[name].value >= 1]
        said = []
        if capped:
            said.append(f"{' and '.join(capped)} at the bound of 1: throughput falls faster than the law allows")
        if facts.parameters["beta"].value <= 0:
            said.append("beta is at its bound of 0: this is Amdahl's law, and its lack of a peak is not a finding")
        return said
