# SPDX-License-Identifier: Apache-2.0
"""Amdahl's law: a share of the work is done by one thread at a time."""

import numpy as np

from pybench.analysis.scaling.cost_model import CostModel, says_serial
from pybench.analysis.scaling.model import Facts, ModelParameter, gamma
from pybench.stats.estimate import Floats


class Amdahl(CostModel):
    """X(N) = gamma N / (1 + alpha (N - 1)); it never peaks, and stays below gamma / alpha."""

    name = "amdahl"
    short = "Amdahl"
    place = 1
    title = "Amdahl's law"
    formula = "X(N) = gamma N / (1 + alpha (N-1))"
    source = "G. M. Amdahl, AFIPS Spring Joint Computer Conference (1967) 483-485"
    parameters = (gamma(), ModelParameter("alpha", "share", 0.0, 1.0))

    def terms(self, threads: Floats) -> Floats:
        """Return N - 1."""
        return np.asarray(threads - 1)[:, None]

    def says(self, facts: Facts) -> list[str]:
        """Return the serial share and the ceiling it sets."""
        alpha = facts.parameters["alpha"]
        said = [says_serial(alpha)]
        if alpha.low > 0:
            ceiling = facts.parameters["gamma"].value / alpha.value
            said.append(
                f"So throughput stays below {1 / alpha.value:.3g} times one thread's "
                f"[{1 / alpha.high:.3g}, {1 / alpha.low:.3g}], about {ceiling:.3g} ops/s, however many are added."
            )
        return said

    def caveats(self, facts: Facts) -> list[str]:
        """Return a caveat if alpha is at its bound, where the curve is a flat line."""
        if facts.parameters["alpha"].value >= 1:
            return ["alpha is at its bound of 1: throughput falls, and this law cannot fall"]
        return []
