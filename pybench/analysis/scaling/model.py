# SPDX-License-Identifier: Apache-2.0
"""The interface of a scaling model, and least squares of a model through measurements.

A model is a class with a name, its parameters, and the log of throughput with its derivatives. All else (least
squares, intervals, held-out errors, the drawn curve) is the same for every model.

The likelihood is Gaussian in the log of throughput, with one observation per thread count: the mean of its trials'
logs, weighted by their number. So noise that is a constant share of throughput has one variance everywhere.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pybench.analysis.scaling.profile import PRECISION, Box, best_fit, minimise
from pybench.stats.estimate import Floats, Interval, finite_samples

ROUGH, ROUGH_STEPS = 1e-4, 15  # of a fit that is only to be compared with others

Unit = Literal["ops/s", "share", "ns"]


class ModelParameter(msgspec.Struct, frozen=True):
    """One parameter. Its coordinate in theta is the log of a rate (ops/s) or time (ns), or a share itself.

    ``least`` and ``most`` bound the coordinate, for throughput whose geometric mean is 1. A time at ``least`` is
    reported as 0.
    """

    name: str
    unit: Unit
    least: float
    most: float

    def outward(self, coordinate: float, scale: float) -> float:
        """Return the value that is reported, for throughput in units of ``scale`` ops/s."""
        if self.unit == "share":
            return coordinate
        if self.unit == "ops/s":
            return math.exp(min(coordinate, 300.0)) * scale
        return 0.0 if coordinate <= self.least else math.exp(coordinate) / scale * 1e9


def gamma() -> ModelParameter:
    """Return the parameter for the rate of one thread, unbounded."""
    return ModelParameter("gamma", "ops/s", -math.inf, math.inf)


@dataclass(frozen=True)
class LevelMeans:
    """Trials by thread count: ``threads`` (m,) ascending, the mean ``y`` (m,) of log(X / scale), the number of
    trials.

    ``within`` is the sum of squares of the trials' logs about their mean.
    """

    threads: Floats
    y: Floats
    trials: Floats
    within: float
    scale: float

    @classmethod
    def of(cls, n: ArrayLike, x: ArrayLike) -> "LevelMeans":
        """Group throughput ``x`` (ops/s) at ``n`` threads, one entry per trial, in any order.

        ValueError: shapes that differ, n not whole or below 1, x not positive and finite.
        """
        threads, rates = finite_samples(n, "n"), finite_samples(x, "x")
        if threads.shape != rates.shape:
            raise ValueError(f"n and x differ in length: {threads.size}, {rates.size}")
        if threads.min() < 1 or (threads != np.round(threads)).any():
            raise ValueError("n: a thread count is a whole number, 1 or more")
        if rates.min() <= 0:
            raise ValueError("x: throughput must be positive")
        order = np.lexsort((rates, threads))  # sums in one order, so that shuffled trials give the same bits
        threads, logs = threads[order], np.log(rates[order])
        scale = float(np.exp(logs.mean()))
        y = logs - math.log(scale)
        levels, which, counts = np.unique(threads, return_inverse=True, return_counts=True)
        mean = np.bincount(which, weights=y) / counts
        return cls(levels, mean, counts.astype(np.float64), float(np.square(y - mean[which]).sum()), scale)

    def only(self, keep: np.ndarray) -> "LevelMeans":
        """Return the levels where ``keep`` (m,) is true, on the same scale, without the trials' scatter."""
        return LevelMeans(self.threads[keep], self.y[keep], self.trials[keep], 0.0, self.scale)

    @cached_property
    def root(self) -> Floats:
        """Return the square roots of the weights, (m,)."""
        return np.sqrt(self.trials)

    @property
    def size(self) -> int:
        """Return the number of thread counts m."""
        return int(self.threads.size)

    @property
    def points(self) -> int:
        """Return the number of trials."""
        return int(self.trials.sum())

    @property
    def most(self) -> int:
        """Return the most threads measured."""
        return int(self.threads[-1])


class Facts(msgspec.Struct, frozen=True):
    """The facts for a model's sentences: its parameters as reported, and their values in each draw."""

    parameters: dict[str, Interval]
    draws: dict[str, list[float]]
    """Parameter -> its value in each draw of the bootstrap."""
    peak: Interval | None
    most: int
    """The most threads measured."""


class Model(ABC):
    """One scaling model. theta (p,) holds the coordinates of ``parameters`` in order."""

    name: ClassVar[str]
    """As in `--model`."""
    short: ClassVar[str]
    """The heading of its column."""
    title: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    place: ClassVar[int] = 100
    """Models are listed by their place, then by name."""
    parameters: tuple[ModelParameter, ...]

    @classmethod
    def make(cls, borders: Sequence[tuple[int, str]]) -> "Model | None":
        """Return the model for a curve with these borders inside it; None where the model does not apply."""
        return cls()

    @abstractmethod
    def slopes(self, threads: Floats, theta: Floats) -> tuple[Floats, Floats]:
        """Return log X (m,) at whole ``threads`` (m,), and its derivatives (m, p)."""

    def slopes_of(self, threads: Floats, thetas: Floats) -> tuple[Floats, Floats]:
        """Return log X (k, m) and its derivatives (k, m, p) of many ``thetas`` (k, p)."""
        rates, slopes = zip(*(self.slopes(threads, theta) for theta in thetas), strict=True)
        return np.array(rates), np.array(slopes)

    @abstractmethod
    def starts(self, levels: LevelMeans) -> list[Floats]:
        """Return thetas to start least squares from: near the best for any curve."""

    def grid(self, levels: LevelMeans, index: int, psi: float) -> Floats:
        """Return thetas (k, p) with parameter ``index`` held at ``psi``, wherever the best fit may lie.

        Empty (0, p) if the model has no starting points beyond the valley that a profile follows.
        """
        return np.empty((0, self.size))

    @abstractmethod
    def says(self, facts: Facts) -> list[str]:
        """Return what the parameters mean, in plain sentences."""

    def caveats(self, facts: Facts) -> list[str]:
        """Return caveats of this model on this curve, beyond those of any model; sentences without a full stop."""
        return []

    def fit(self, levels: LevelMeans, near: Sequence[Floats] = ()) -> tuple["Model", Floats, float]:
        """Return the model (which may choose among forms of itself), theta and the weighted sum of squares."""
        problem = LogProblem(self, levels)
        theta, least = problem.solve([*near, *self.starts(levels)])
        return self, theta, least

    def log_rate(self, threads: ArrayLike, theta: Floats) -> Floats:
        """Return log X at ``threads`` (m,)."""
        return self.slopes(np.atleast_1d(np.asarray(threads, dtype=np.float64)), theta)[0]

    @property
    def size(self) -> int:
        """Return the number of parameters p."""
        return len(self.parameters)

    @property
    def choices(self) -> int:
        """Return the number of forms of equal size that this one was chosen from by its fit."""
        return 1

    @property
    def label(self) -> str:
        """Return the title with the form that was chosen."""
        return self.title

    @property
    def knees(self) -> list[tuple[int, str]]:
        """Return the thread counts beyond which the parameters change, each with the reason."""
        return []

    def levels_needed(self) -> int:
        """Return how many distinct thread counts leave one residual."""
        return self.size + 1


@dataclass(frozen=True)
class LogProblem:
    """Least squares of ``model`` through ``levels``: a `profile.Problem`."""

    model: Model
    levels: LevelMeans

    @property
    def size(self) -> int:
        """Return the number of parameters p."""
        return self.model.size

    @cached_property
    def box(self) -> Box:
        """Return the bounds of theta."""
        return (
            np.array([one.least for one in self.model.parameters]),
            np.array([one.most for one in self.model.parameters]),
        )

    @property
    def floor(self) -> float:
        """Return the smallest variance that is trusted."""
        return PRECISION**2

    @property
    def within(self) -> float:
        """Return the trials' sum of squares about the mean of their thread count."""
        return self.levels.within

    @property
    def points(self) -> int:
        """Return the number of trials."""
        return self.levels.points

    def residuals(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the weighted residuals (m,) and their derivatives (m, p)."""
        fitted, slopes = self.model.slopes(self.levels.threads, theta)
        root = self.levels.root
        return (fitted - self.levels.y) * root, slopes * root[:, None]

    def totals(self, thetas: Floats) -> Floats:
        """Return the sums of squares (k,) of many thetas (k, p)."""
        misses = self.model.slopes_of(self.levels.threads, thetas)[0] - self.levels.y
        return np.asarray(np.square(misses) @ self.levels.trials, dtype=np.float64)

    def grid(self, index: int, psi: float) -> Floats:
        """Return thetas (k, p) with parameter ``index`` at ``psi``, wherever the best fit may lie."""
        return self.model.grid(self.levels, index, psi)

    def solve(self, starts: Sequence[Floats], polish: bool = False) -> tuple[Floats, float]:
        """Return the best of the fits from each start; ``polish`` is slower and more reliable."""
        if polish:
            return best_fit(self.residuals, list(starts), self.box, self.floor)
        rough = [minimise(self.residuals, start, self.box, self.floor, ROUGH, ROUGH_STEPS) for start in starts]
        best, _ = min(rough, key=lambda fit: fit[1])
        return minimise(self.residuals, best, self.box, self.floor)
