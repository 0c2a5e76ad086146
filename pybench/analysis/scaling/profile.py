# SPDX-License-Identifier: Apache-2.0
"""Least squares of a scaling curve, with intervals by profile likelihood.

A Wald interval (estimate +- t standard errors) is wrong where a parameter sits on its bound or the sum of
squares is far from a parabola, and both are common in scaling curves. The profile asks instead: held at this
value, with every other parameter free, how much worse is the best fit? D. M. Bates and D. G. Watts,
"Nonlinear Regression Analysis and Its Applications" (1988), chapter 6.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Box = tuple[Floats, Floats]
"""The smallest and the largest value of each parameter, (p,) and (p,)."""
Residuals = Callable[[Floats], tuple[Floats, Floats]]
"""Parameters (p,) -> residuals (m,) and their Jacobian (m, p)."""

PRECISION = 1e-9  # smallest relative error of a throughput; keeps noise-free curves solvable
MAX_STEPS = 200
MAX_DOUBLINGS = 60

# --------------------------------------------------------------------------------------------- least squares


def minimise(
    residuals: Residuals, start: Floats, box: Box, tiny: float, enough: float = 1e-10, steps: int = MAX_STEPS
) -> tuple[Floats, float]:
    """Return the parameters within ``box`` of least sum of squares near ``start``, and that sum.

    Levenberg-Marquardt with Marquardt's scaling, projected on the box: a parameter whose gradient pushes it
    out of its bound is held there. Unlike an interior-point method it lands exactly on a bound, and started
    near the answer (as each step along a profile is) it needs a few small matrix products. ``tiny`` is a sum
    of squares that counts as zero, ``enough`` the share of it whose gain ends the search,
    ``steps`` the most steps.
    """
    at = np.clip(start, *box)
    r, jacobian = residuals(at)
    total, damping = float(r @ r), 1e-4
    for _ in range(steps):
        step = _step(at, r, jacobian, box, damping)
        if step is None or damping > 1e8:
            break
        tried = np.clip(at + step, *box)
        tried_r, tried_jacobian = residuals(tried)
        gain = total - float(tried_r @ tried_r)
        if gain >= 0:
            at, r, jacobian, total = tried, tried_r, tried_jacobian, total - gain
        # A strongly damped step changes little anywhere, so its small gain does not mean convergence.
        if abs(gain) <= enough * total + tiny and damping < 0.1:
            break
        damping = max(damping / 10, 1e-12) if gain >= 0 else damping * 10
    return at, total


def _step(at: Floats, r: Floats, jacobian: Floats, box: Box, damping: float) -> Floats | None:
    """Return the damped Gauss-Newton step of the parameters that can move; None if none can."""
    gradient = jacobian.T @ r
    held = ((at <= box[0]) & (gradient >= 0)) | ((at >= box[1]) & (gradient <= 0))
    if held.all():
        return None
    normal = jacobian.T @ jacobian
    diagonal = normal.diagonal().copy()
    diagonal[diagonal == 0] = 1.0
    normal.flat[:: at.size + 1] += damping * diagonal
    if held.any():
        # A held parameter keeps a row of the identity, so the system stays square and its step is 0.
        normal[held] = 0.0
        normal[:, held] = 0.0
        normal[held, held] = 1.0
    try:
        return np.asarray(np.linalg.solve(normal, np.where(held, 0.0, -gradient)), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.where(held, 0.0, -gradient / diagonal)


def minimise_all(residuals: Residuals, start: Floats, box: Box, tiny: float, enough: float, steps: int) -> Floats:
    """Return the thetas (k, p) that `minimise` would find from ``start`` (p,), for k problems side by side.

    ``residuals`` takes thetas (k, p), a row for each problem, to residuals (k, m) and their Jacobians (k, m, p).
    """
    at = np.clip(start, *box)
    r, jacobian = residuals(at)
    total, damping = np.einsum("km,km->k", r, r), np.full(len(at), 1e-4)
    going = np.ones(len(at), dtype=bool)
    eye = np.eye(at.shape[1], dtype=bool)
    for _ in range(steps):
        gradient = np.einsum("kmp,km->kp", jacobian, r)
        held = ((at <= box[0]) & (gradient >= 0)) | ((at >= box[1]) & (gradient <= 0))
        going &= ~held.all(axis=1) & (damping <= 1e8)
        if not going.any():
            break
        normal = np.einsum("kmp,kmq->kpq", jacobian, jacobian)
        scale = np.where(normal[:, eye] == 0, 1.0, normal[:, eye])
        # A held parameter keeps a row of the identity, so the system stays square and its step is 0.
        normal[held[:, :, None] | held[:, None, :]] = 0.0
        normal[:, eye] = np.where(held, 1.0, normal[:, eye] + damping[:, None] * scale)
        down = np.where(held, 0.0, -gradient)
        try:
            step = np.linalg.solve(normal, down[..., None])[..., 0]
        except np.linalg.LinAlgError:
            step = down / scale
        tried = np.clip(at + step, *box)
        tried_r, tried_jacobian = residuals(tried)
        gain = total - np.einsum("km,km->k", tried_r, tried_r)
        better = going & (gain >= 0)
        at = np.where(better[:, None], tried, at)
        r = np.where(better[:, None], tried_r, r)
        jacobian = np.where(better[:, None, None], tried_jacobian, jacobian)
        total = np.where(better, total - gain, total)
        going &= ~((np.abs(gain) <= enough * total + tiny) & (damping < 0.1))
        damping = np.where(gain >= 0, np.maximum(damping / 10, 1e-12), damping * 10)
    return at


def best_fit(residuals: Residuals, starts: list[Floats], box: Box, tiny: float) -> tuple[Floats, float]:
    """Return the best of the fits from every start: scipy's trust region, then polished onto the bounds."""

    # scipy is imported where it is used: it takes longer to load than most commands run.
    from scipy.optimize import least_squares

    def misses(theta: Floats) -> Floats:
        return residuals(theta)[0]

    def slopes(theta: Floats) -> Floats:
        return residuals(theta)[1]

    fits = []
    for start in starts:
        inside = np.clip(start, *box)
        rough = least_squares(misses, inside, jac=slopes, bounds=box, x_scale="jac", xtol=1e-12, ftol=1e-12)
        fits.append(minimise(residuals, rough.x, box, tiny))
    return min(fits, key=lambda fit: fit[1])


# --------------------------------------------------------------------------------------------------- profile


def edge(excess: Callable[[float], float], psi: float, step: float, bound: float) -> float:
    """Return where ``excess`` first crosses 0 going from ``psi`` by ``step`` and doubling, or ``bound``."""
    from scipy.optimize import brentq

    seen: dict[float, float] = {}

    def at(steps: float) -> float:
        if steps not in seen:
            seen[steps] = excess(psi + steps * step)
        return seen[steps]

    limit = (bound - psi) / step
    inner, outer = 0.0, min(1.2, limit)
    if at(inner) >= 0:
        return psi
    for _ in range(MAX_DOUBLINGS):
        if at(outer) > 0:
            return psi + step * float(brentq(at, inner, outer, xtol=1e-12, rtol=1e-7))
        if outer >= limit:
            return bound
        inner, outer = outer, min(2 * outer, limit)
    return math.copysign(math.inf, step)


# ------------------------------------------------------------------------------------------------- the problem


class Problem(Protocol):
    """The part of a model that least squares needs: a curve through the means of thread counts."""

    @property
    def size(self) -> int:
        """Return the number of parameters p."""

    @property
    def box(self) -> Box:
        """Return the bounds of theta."""

    @property
    def floor(self) -> float:
        """Return the smallest variance of one trial that is trusted, on the fitted scale."""

    @property
    def within(self) -> float:
        """Return the sum of squares of the trials about the mean of their thread count."""

    @property
    def points(self) -> int:
        """Return the number of trials."""

    def residuals(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the weighted residuals (levels,) and their derivatives (levels, p)."""

    def totals(self, thetas: Floats) -> Floats:
        """Return the sums of squares (k,) of many ``thetas`` (k, p)."""

    def grid(self, index: int, psi: float) -> Floats:
        """Return thetas (k, p) with parameter ``index`` at ``psi``, wherever the best fit may lie; k may be 0."""


@dataclass(frozen=True)
class Solution:
    """The best fit of a curve: theta (p,), its sum of squares over the level means, the trials' variance.

    ``covariance`` (p, p) of theta is Wald's: where an interval's end is looked for first, and what other
    tools print. ``threshold`` is F(1, trials - p; level), so an interval holds what costs less than that many
    variances.
    """

    curve: Problem
    theta: Floats
    least: float
    variance: float
    covariance: Floats
    threshold: float

    def interval(self, index: int) -> tuple[float, float]:
        """Return the profile likelihood interval of the coordinate ``index`` of theta, for an unknown variance.

        An end that is never bad enough before the coordinate's bound is the bound itself; without a bound,
        infinite.
        """
        psi, (low, high) = float(self.theta[index]), (float(bound[index]) for bound in self.curve.box)
        allowed = self.variance * self.threshold
        spread = self.threshold * float(self.covariance[index, index])
        step = min(math.sqrt(spread), 1.0) if 0 < spread < math.inf else 1e-3

        def end(step: float, bound: float) -> float:
            least = self.profile(index)

            def excess(psi: float) -> float:
                # The signed root is close to linear in psi, so root-finding needs few steps.
                return math.sqrt(max(least(psi) - self.least, 0.0) / allowed) - 1

            return edge(excess, psi, step, bound)

        return max(end(-step, low), low), min(end(step, high), high)

    def profile(self, index: int) -> Callable[[float], float]:
        """Return the function from psi to the least sum of squares with coordinate ``index`` held at psi.

        Each call starts where the last one ended, and once more from the grid where that has a better point:
        a curve that no model fits has more than one valley.
        """
        free = [other for other in range(self.theta.size) if other != index]
        phi, tiny = self.theta[free], self.curve.floor
        box = (self.curve.box[0][free], self.curve.box[1][free])

        def least(psi: float) -> float:
            nonlocal phi

            def constrained(phi: Floats) -> tuple[Floats, Floats]:
                theta = np.insert(phi, index, psi)
                r, jacobian = self.curve.residuals(theta)
                return r, np.ascontiguousarray(jacobian[:, free])

            phi, total = minimise(constrained, phi, box, tiny)
            grid = self.curve.grid(index, psi)
            totals = self.curve.totals(grid) if len(grid) else np.empty(0)
            best = int(np.argmin(totals)) if totals.size else -1
            if best >= 0 and totals[best] < total:
                phi, total = minimise(constrained, grid[best, free], box, tiny)
            return total

        return least


def solution_of(curve: Problem, theta: Floats, least: float, level: float) -> Solution:
    """Return the solution whose best fit is known: ``theta``, with sum of squares ``least``."""
    from scipy.special import fdtri

    freedom = curve.points - curve.size
    variance = max((least + curve.within) / freedom, curve.floor)
    _, slopes = curve.residuals(theta)
    sizes = np.abs(slopes).max(axis=0)
    sizes[sizes == 0] = 1.0
    inverse = np.linalg.pinv(slopes / sizes) / sizes[:, None]
    threshold = float(fdtri(1, freedom, level))
    return Solution(curve, theta, least, variance, variance * inverse @ inverse.T, threshold)
