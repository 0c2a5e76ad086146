# SPDX-License-Identifier: Apache-2.0
"""Models whose cost is linear in their parameters: X(N) = gamma N / (1 + sum of p_j t_j(N)).

The cost of N threads is what they take, in units of one thread's work; the terms t_j are 0 at N = 1.
"""

import math
from abc import abstractmethod

import numpy as np

from pybench.analysis.scaling.model import LevelMeans, Model
from pybench.stats.estimate import Floats, Interval

SHARES = ((0.0, 0.0), (0.02, 1e-5), (0.3, 1e-4), (0.3, 1e-2), (0.9, 1.0))
"""Shares of contention and of coherency from which fits start, in addition to the fit of the line."""
# Every decade of the shares that can matter, so that a profile misses no valley.
ALPHAS = np.concatenate(([0.0], np.logspace(-5, 0, 26)))
BETAS = np.concatenate(([0.0], np.logspace(-8, 0, 41)))
MOST_GRID = 2000


class CostModel(Model):
    """A model of this form; ``parameters[0]`` is gamma."""

    _at: Floats | None = None
    _terms: Floats

    @abstractmethod
    def terms(self, threads: Floats) -> Floats:
        """Return t_j at ``threads`` (m,): (m, p - 1)."""

    def slopes(self, threads: Floats, theta: Floats) -> tuple[Floats, Floats]:
        """Return log X and its derivatives."""
        return self.slopes_of(threads, theta)

    def slopes_of(self, threads: Floats, thetas: Floats) -> tuple[Floats, Floats]:
        """Return log X and its derivatives of one theta (p,) or of many (k, p)."""
        if self._at is not threads:  # a fit evaluates the same thread counts many times
            self._at, self._terms = threads, self.terms(threads)
        terms = self._terms
        cost = 1 + thetas[..., 1:] @ terms.T
        slopes = np.empty((*cost.shape, thetas.shape[-1]))
        slopes[..., 0] = 1
        np.divide(terms, -cost[..., None], out=slopes[..., 1:])
        return thetas[..., :1] + np.log(threads / cost), slopes

    def starts(self, levels: LevelMeans) -> list[Floats]:
        """Return the fit of the linearised law, N / X = cost / gamma, and the best two of a few given shares.

        Least squares with weights X / N is close to the fit of the log where noise is small.
        """
        from scipy.optimize import nnls

        terms = self.terms(levels.threads)
        weight = levels.root * np.exp(levels.y) / levels.threads
        line, _ = nnls(np.column_stack((np.ones(levels.size), terms)) * weight[:, None], levels.root)
        starts = []
        if line[0] > 0:
            starts.append(np.concatenate(([-math.log(line[0])], line[1:] / line[0])))
        plain = []
        for alpha, beta in SHARES:
            shares = np.array([beta if one.name.startswith("beta") else alpha for one in self.parameters[1:]])
            log_cost = np.log((1 + terms @ shares) / levels.threads)
            log_gamma = np.average(levels.y + log_cost, weights=levels.trials)
            miss = float(levels.trials @ np.square(levels.y + log_cost - log_gamma))
            plain.append((miss, np.concatenate(([log_gamma], shares))))
        plain.sort(key=lambda pair: pair[0])
        return starts + [theta for _, theta in plain[:2]]

    def grid(self, levels: LevelMeans, index: int, psi: float) -> Floats:
        """Return every decade of the free shares, each with its best gamma unless that is held.

        Empty (0, p) for more shares than a grid of MOST_GRID points holds.
        """
        axes = [BETAS if one.name.startswith("beta") else ALPHAS for one in self.parameters[1:]]
        if index:
            axes[index - 1] = np.array([psi])
        if math.prod(axis.size for axis in axes) > MOST_GRID:
            return np.empty((0, self.size))
        shares = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        if index == 0:
            return np.column_stack((np.full(len(shares), psi), shares))
        log_cost = np.log((1 + shares @ self.terms(levels.threads).T) / levels.threads)
        return np.column_stack(((levels.y + log_cost) @ levels.trials / levels.trials.sum(), shares))


# ------------------------------------------------------------------------------------------------- plain words


def percent(share: float) -> str:
    """Return a share in percent: `3.0`, `12`, `0.034`, without the sign."""
    value = 100 * share
    if value >= 1:
        return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    return f"{value:.2g}"


def says_serial(alpha: Interval) -> str:
    """Return the meaning of a share of contention, as a sentence."""
    if alpha.low <= 0 and alpha.high >= 1:
        return "The serial share of the work is unknown."
    if alpha.low <= 0:
        return f"A serial share of the work cannot be distinguished from none: at most {percent(alpha.high)} %."
    low, value, high = (percent(share) for share in (alpha.low, alpha.value, alpha.high))
    return f"{value} % of the work is serial (contention) [{low}, {high}]."


def says_coherency(beta: Interval, where: str = "") -> str:
    """Return the meaning of a cost of coherency, as a sentence."""
    if beta.low <= 0:
        return f"Coherency{where} cannot be distinguished from free: at most {percent(beta.high)} % per pair."
    low, value, high = (percent(share) for share in (beta.low, beta.value, beta.high))
    return f"Each pair of threads{where} costs {value} % of one thread's work in coherency [{low}, {high}]."
