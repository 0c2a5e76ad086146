# SPDX-License-Identifier: Apache-2.0
"""The curve of Amdahl's law and of the Universal Scalability Law, as a problem of least squares.

Both are fitted on the scale of throughput or of its log. Their grids hold every decade of alpha and beta.
"""

import math
from dataclasses import dataclass

import numpy as np

from pybench.analysis.scaling.profile import PRECISION, Box, Floats, Solution, Target

LARGEST_LOG = 300.0  # of a throughput tried on the way; its square is still a number

# Every decade of alpha and beta that can matter, so that no valley is missed.
ALPHAS = np.concatenate(([0.0], np.logspace(-5, 0, 26)))
BETAS = np.concatenate(([0.0], np.logspace(-8, 0, 41)))
GRID = np.stack(np.meshgrid(ALPHAS, BETAS, indexing="ij"), axis=-1).reshape(-1, 2)


@dataclass(frozen=True)
class Curve:
    """Trials reduced to what least squares needs: a mean for each thread count, and the scatter within.

    The curve is X = gamma N / (1 + alpha (N-1) + beta N (N-1)), or the same without beta. Its theta is (log
    gamma, alpha[, beta]), with X divided by ``scale``. ``y`` (levels,) is the mean of X / scale, or of its
    log if ``relative``; ``root`` the square root of the number of trials; ``terms`` (levels, p-1) holds N-1
    and N(N-1); ``within`` the sum of squares of the trials about their level's mean.
    """

    levels: Floats
    y: Floats
    root: Floats
    terms: Floats
    scale: float
    relative: bool
    within: float
    points: int

    @classmethod
    def of(cls, n: Floats, x: Floats, *, pairwise: bool, relative: bool) -> "Curve":
        """Reduce throughput ``x`` at ``n`` threads (both (trials,)); ``pairwise`` adds the term of beta."""
        scale = float(np.exp(np.log(x).mean()))
        y = np.log(x / scale) if relative else x / scale
        levels, which, counts = np.unique(n, return_inverse=True, return_counts=True)
        mean = np.bincount(which, weights=y) / counts
        terms = np.column_stack((levels - 1, levels * (levels - 1)))[:, : 2 if pairwise else 1]
        within = float(np.square(y - mean[which]).sum())
        return cls(levels, mean, np.sqrt(counts), terms, scale, relative, within, int(n.size))

    @property
    def size(self) -> int:
        """The number of parameters p."""
        return 1 + int(self.terms.shape[1])

    @property
    def box(self) -> Box:
        """The bounds of theta: any gamma, and alpha and beta from 0 to 1."""
        low, high = np.zeros(self.size), np.ones(self.size)
        low[0], high[0] = -np.inf, np.inf
        return low, high

    @property
    def floor(self) -> float:
        """The least variance of one trial that is believed, on the fitted scale."""
        return PRECISION**2 * (1.0 if self.relative else float(np.mean(np.square(self.y))))

    def residuals(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the levels' weighted misses (levels,) and their derivatives (levels, p)."""
        cost = 1 + self.terms @ theta[1:]
        slopes = np.empty((self.levels.size, theta.size))
        slopes[:, 0] = 1
        slopes[:, 1:] = -self.terms / cost[:, None]
        if self.relative:
            fitted = theta[0] + np.log(self.levels / cost)
        else:
            fitted = math.exp(min(theta[0], LARGEST_LOG)) * self.levels / cost
            slopes *= fitted[:, None]
        return (fitted - self.y) * self.root, slopes * self.root[:, None]

    def totals(self, thetas: Floats) -> Floats:
        """Return the sums of squares (k,) of many ``thetas`` (k, p) at once."""
        fitted = thetas[:, :1] + np.log(self.levels / (1 + thetas[:, 1:] @ self.terms.T))
        misses = (fitted if self.relative else np.exp(np.minimum(fitted, LARGEST_LOG))) - self.y
        return np.asarray(np.square(misses) @ np.square(self.root), dtype=np.float64)

    def with_gamma(self, shapes: Floats) -> Floats:
        """Return thetas (k, p): ``shapes`` (k, p-1) of alpha and beta, each with its best gamma."""
        unit = self.levels / (1 + shapes @ self.terms.T)
        weight = np.square(self.root)
        if self.relative:
            log_gamma = (self.y - np.log(unit)) @ weight / weight.sum()
        else:
            log_gamma = np.log(unit @ (weight * self.y) / (np.square(unit) @ weight))
        return np.column_stack((log_gamma, shapes))

    def starts(self) -> list[Floats]:
        """Return where to start: the best of a coarse grid, and the fit of the law made linear.

        N / X = (1 + alpha (N-1) + beta N (N-1)) / gamma is linear, and close to the fit when noise is small.
        """
        grid = self.with_gamma(GRID if self.size == 3 else ALPHAS[:, None])
        starts = [grid[np.argmin(self.totals(grid))]]
        from scipy.optimize import nnls

        rates = np.exp(self.y) if self.relative else self.y
        design = np.column_stack((np.ones_like(rates), self.terms))
        line, _ = nnls(design * (self.root * rates / self.levels)[:, None], self.root)
        if line[0] > 0:
            starts.append(np.concatenate(([-math.log(line[0])], line[1:] / line[0])))
        return starts

    def grid(self, index: int, psi: float) -> Floats:
        """Return thetas (k, p) with one parameter held: the whole grid of the others, each with its best gamma."""
        if index == 0:
            shapes = GRID if self.size == 3 else ALPHAS[:, None]
            return np.column_stack((np.full(len(shapes), psi), shapes))
        if self.size == 2:
            return self.with_gamma(np.array([[psi]]))
        other = BETAS if index == 1 else ALPHAS
        held = np.full(other.size, psi)
        return self.with_gamma(np.column_stack((held, other) if index == 1 else (other, held)))


def peak(solution: Solution, curve: Curve) -> Target:
    """Profile q = 1/N*^2 = beta / (1 - alpha), which is 0 where there is no peak; beta = q (1 - alpha).

    q stops at 1: a curve that falls from the first thread on is fastest with one thread.
    """
    free, beta = 1 - float(solution.theta[1]), float(solution.theta[2])
    q = beta / free if beta < free else 1.0
    bounds = (np.array([-np.inf, 0.0]), np.array([np.inf, 1.0]))

    def embed(psi: float, phi: Floats) -> tuple[Floats, Floats]:
        theta = np.array([phi[0], phi[1], psi * (1 - phi[1])])
        return theta, np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -psi]])

    return Target(
        psi=q,
        low=0.0,
        high=1.0,
        slope=np.array([0.0, q, 1.0]) / max(free, 1e-9),
        free=[0, 1],
        embed=embed,
        box=lambda _: bounds,
        grid=lambda psi: curve.with_gamma(np.column_stack((ALPHAS, psi * (1 - ALPHAS)))),
    )


def limit(solution: Solution) -> Target:
    """Profile log(gamma / alpha), for a curve without beta; alpha = exp(log gamma - psi) <= 1."""
    log_gamma, alpha = (float(value) for value in solution.theta)

    def embed(psi: float, phi: Floats) -> tuple[Floats, Floats]:
        alpha = math.exp(phi[0] - psi)
        return np.array([phi[0], alpha]), np.array([[1.0], [alpha]])

    return Target(
        psi=log_gamma - math.log(alpha),
        low=-math.inf,
        high=math.inf,
        slope=np.array([1.0, -1 / alpha]),
        free=[0],
        embed=embed,
        box=lambda psi: (np.array([-np.inf]), np.array([psi])),
        grid=lambda psi: np.column_stack((np.log(ALPHAS[1:]) + psi, ALPHAS[1:])),
    )
