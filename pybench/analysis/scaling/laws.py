# SPDX-License-Identifier: Apache-2.0
"""Scaling laws fitted to throughput against threads: Amdahl's law and the Universal Scalability Law.

Throughput X (operations a second) with N threads:

    USL     X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1))
    Amdahl  the same with beta = 0

gamma is the rate of one thread, alpha the share of the work done one thread at a time, and beta the cost of
keeping each pair of threads coherent, as a share of one thread's work. N. J. Gunther, "Guerrilla Capacity
Planning" (2007), chapters 4-6; G. M. Amdahl, "Validity of the single processor approach to achieving large
scale computing capabilities", AFIPS Spring Joint Computer Conference (1967) 483-485. The USL peaks at N* =
sqrt((1 - alpha) / beta); Amdahl's law never does, but stays below gamma / alpha.

N must count threads on hardware filled in one stated order: levels from two orders are two curves.
"""

import math
from collections.abc import Callable, Collection
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pybench.analysis.scaling import law
from pybench.analysis.scaling.caveats import LACK_OF_FIT_P, POOR_FIT, lack_of_fit_probability
from pybench.analysis.scaling.law import Curve
from pybench.analysis.scaling.profile import Solution, Target, solve
from pybench.stats.estimate import Floats, Interval, check_level, finite_samples

Model = Literal["usl", "amdahl"]
Weights = Literal["none", "relative"]

LEVELS_NEEDED: dict[Model, int] = {"amdahl": 3, "usl": 4}  # one more than the parameters, to leave a residual
NAMES: dict[Model, str] = {"amdahl": "Amdahl's law", "usl": "the USL"}


class Fit(msgspec.Struct, frozen=True):
    """One law fitted to one curve.

    ``parameters`` holds gamma, alpha and (USL) beta, each with its profile likelihood interval;
    ``standard_errors`` Wald's, for comparison with other tools (NaN for a parameter on its bound). ``peak``
    is N* in threads (1 for a curve that only falls), or None when no peak can be told from the measurements;
    ``limit`` is Amdahl's gamma / alpha in ops/s, or None when no serial share can be. ``residual_relative``
    is the rms of (measured - fitted) / measured; ``r_squared`` is on the scale that was fitted, X or log X;
    ``range`` the least and the most threads measured.
    """

    model: Model
    weights: Weights
    parameters: dict[str, Interval]
    standard_errors: dict[str, float]
    peak: Interval | None
    limit: Interval | None
    residual_relative: float
    r_squared: float
    n_points: int
    n_levels: int
    range: tuple[float, float]
    warnings: tuple[str, ...]

    def predict(self, n: ArrayLike) -> Floats:
        """Return the law's throughput in ops/s at ``n`` threads (1 or more), in the shape of ``n``."""
        return _law({name: interval.value for name, interval in self.parameters.items()}, n)

    def says(self) -> str:
        """Return what the parameters mean, in two or three plain sentences."""
        sentences = [_says_serial(self.parameters["alpha"])]
        if self.model == "amdahl":
            sentences.append(_says_limit(self.limit))
        else:
            sentences.append(_says_peak(self.peak, self.range))
        if self.residual_relative > POOR_FIT:
            sentences.append(
                f"But the curve misses the measurements by {_percent(self.residual_relative)} % (rms): "
                "a rough description, not a property of the machine."
            )
        return " ".join(sentences)


class Fits(msgspec.Struct, frozen=True):
    """What could be fitted to a curve; ``notes`` say why anything is missing."""

    usl: Fit | None
    amdahl: Fit | None
    notes: tuple[str, ...]


def fit_usl(n: ArrayLike, x: ArrayLike, weights: Weights = "relative", level: float = 0.95) -> Fit:
    """Fit the Universal Scalability Law to throughput ``x`` (ops/s) at ``n`` threads.

    Both are 1-d, one entry a trial; a thread count may repeat. alpha and beta lie in [0, 1].
    ``weights="relative"`` is least squares on log X: noise that is a constant share of throughput has a
    constant variance there, so every thread count counts alike, and what is fitted is the median trial.
    ``"none"`` is least squares on X itself, as other tools do: right for noise of one size in ops/s, and
    otherwise it lets the fastest thread counts outvote the rest. Intervals have confidence ``level``.

    ValueError: shapes that differ, n below 1, x not positive and finite, fewer than 4 distinct thread counts.
    """
    return _fit("usl", _checked(n, x), weights, level)


def fit_amdahl(n: ArrayLike, x: ArrayLike, weights: Weights = "relative", level: float = 0.95) -> Fit:
    """Fit Amdahl's law, as ``fit_usl`` does the USL; 3 distinct thread counts are enough."""
    return _fit("amdahl", _checked(n, x), weights, level)


def fit_all(
    n: ArrayLike,
    x: ArrayLike,
    weights: Weights = "relative",
    level: float = 0.95,
    laws: Collection[Model] = ("amdahl", "usl"),
) -> Fits:
    """Fit each of these laws that has the thread counts it needs; a note says what laws lack.

    ValueError: as ``fit_usl``, except that few thread counts, or no trials at all, are a note.
    """
    if np.size(n) == 0 and np.size(x) == 0:
        return Fits(None, None, (_too_few(0),))
    trials = _checked(n, x)
    levels = int(np.unique(trials[0]).size)
    fits = {law: _fit(law, trials, weights, level) for law in laws if levels >= LEVELS_NEEDED[law]}
    short = levels < max(LEVELS_NEEDED.values())
    return Fits(fits.get("usl"), fits.get("amdahl"), (_too_few(levels),) if short else ())


# --------------------------------------------------------------------------------------------------- fitting


def _law(parameters: dict[str, float], n: ArrayLike) -> Floats:
    threads = np.asarray(n, dtype=np.float64)
    alpha, beta = parameters["alpha"], parameters.get("beta", 0.0)
    cost = 1 + alpha * (threads - 1) + beta * threads * (threads - 1)
    return np.asarray(parameters["gamma"] * threads / cost, dtype=np.float64)


def _checked(n: ArrayLike, x: ArrayLike) -> tuple[Floats, Floats]:
    threads, rates = finite_samples(n, "n"), finite_samples(x, "x")
    if threads.shape != rates.shape:
        raise ValueError(f"n and x differ in length: {threads.size}, {rates.size}")
    if threads.min() < 1:
        raise ValueError("n: a thread count is 1 or more")
    if rates.min() <= 0:
        raise ValueError("x: throughput must be positive")
    order = np.lexsort((rates, threads))  # sums in one order, so that shuffled trials give the same bits
    return threads[order], rates[order]


def _fit(model: Model, trials: tuple[Floats, Floats], weights: Weights, level: float) -> Fit:
    if weights not in ("none", "relative"):
        raise ValueError(f"weights must be 'none' or 'relative', got {weights!r}")
    check_level(level)
    n, x = trials
    curve = Curve.of(n, x, pairwise=model == "usl", relative=weights == "relative")
    if curve.levels.size < LEVELS_NEEDED[model]:
        raise ValueError(_too_few(curve.levels.size))
    solution = solve(curve, level)

    def rate(log_rate: float) -> float:
        return math.exp(log_rate) * curve.scale

    parameters = {"gamma": _interval(solution, solution.parameter(0), rate)}
    for index, name in enumerate(("alpha", "beta")[: curve.size - 1], start=1):
        parameters[name] = _interval(solution, solution.parameter(index), float)
    peak = limit = None
    if model == "usl" and parameters["beta"].low > 0:
        peak = _interval(solution, law.peak(solution, curve), lambda q: 1 / math.sqrt(q) if q > 0 else math.inf)
        peak = peak if math.isfinite(peak.high) else None
    if model == "amdahl" and parameters["alpha"].low > 0:
        limit = _interval(solution, law.limit(solution), rate)

    misses = 1 - _law({name: interval.value for name, interval in parameters.items()}, n) / x
    fit = Fit(
        model=model,
        weights=weights,
        parameters=parameters,
        standard_errors=_standard_errors(solution, parameters),
        peak=peak,
        limit=limit,
        residual_relative=float(np.sqrt(np.mean(np.square(misses)))),
        r_squared=_r_squared(solution, curve),
        n_points=curve.points,
        n_levels=int(curve.levels.size),
        range=(float(n[0]), float(n[-1])),
        warnings=(),
    )
    return msgspec.structs.replace(fit, warnings=_warnings(fit, solution, curve))


def _interval(solution: Solution, target: Target, outward: Callable[[float], float]) -> Interval:
    """Profile ``target`` and map its coordinate to what is reported; the map may turn low into high."""
    low, high = solution.interval(target)
    low, value, high = sorted(outward(psi) for psi in (low, target.psi, high))
    return Interval(value, low, high, solution.curve.points)


def _standard_errors(solution: Solution, parameters: dict[str, Interval]) -> dict[str, float]:
    errors = dict(zip(parameters, np.sqrt(solution.covariance.diagonal()).tolist(), strict=True))
    errors["gamma"] *= parameters["gamma"].value  # its coordinate is log gamma
    on_bound = {name for name in ("alpha", "beta") if name in errors and parameters[name].value in (0.0, 1.0)}
    return {name: math.nan if name in on_bound else error for name, error in errors.items()}


def _r_squared(solution: Solution, curve: Curve) -> float:
    """Return the share of the trials' variation, on the fitted scale, that the curve explains."""
    weight = np.square(curve.root)
    about_mean = np.square(curve.y - weight @ curve.y / weight.sum())
    total = float(weight @ about_mean) + curve.within
    return 1 - (solution.least + curve.within) / total if total > 0 else math.nan


# -------------------------------------------------------------------------------------------------- warnings


def _too_few(levels: int) -> str:
    needs = [f"{NAMES[model]} needs {need}" for model, need in LEVELS_NEEDED.items() if levels < need]
    return f"{levels} thread count{'s' * (levels != 1)}: {', '.join(needs)}; measure more (--threads)"


def _warnings(fit: Fit, solution: Solution, curve: Curve) -> tuple[str, ...]:
    found = []
    if fit.residual_relative > POOR_FIT:
        found.append(
            f"{NAMES[fit.model]} misses the measurements by {_percent(fit.residual_relative)} % rms, over "
            f"{_percent(POOR_FIT)} %, and does not describe them: read the measurements, not the parameters"
        )
    found += _lack_of_fit(fit, solution, curve)
    capped = [name for name, interval in fit.parameters.items() if name != "gamma" and interval.value >= 1]
    if capped:
        found.append(f"{' and '.join(capped)} at the bound of 1: throughput falls faster than the law allows")
    if fit.peak is not None and not fit.range[0] <= fit.peak.value <= fit.range[1]:
        found.append(
            f"the peak, {_count(fit.peak.value)} threads, is outside the {fit.range[0]:.0f} to "
            f"{fit.range[1]:.0f} threads measured, an extrapolation: measure there before relying on it"
        )
    return tuple(found)


def _lack_of_fit(fit: Fit, solution: Solution, curve: Curve) -> list[str]:
    """Test the levels' mean misses against the scatter of repeats."""
    spare, repeats = curve.levels.size - curve.size, curve.points - curve.levels.size
    if repeats == 0:
        return []
    p = lack_of_fit_probability(solution.least, spare, curve.within, repeats, curve.floor)
    if p >= LACK_OF_FIT_P:
        return []
    misses, _ = curve.residuals(solution.theta)
    worst = int(np.argmax(np.abs(misses)))
    measured = (math.exp(curve.y[worst]) if curve.relative else float(curve.y[worst])) * curve.scale
    miss = measured / float(fit.predict(curve.levels[worst])) - 1
    return [
        f"the measurements leave the curve of {NAMES[fit.model]} by more than repeats differ "
        f"({f'p = {p:.1g}' if p > 1e-6 else 'p < 1e-6'}): at {curve.levels[worst]:.0f} threads they are "
        f"{_percent(abs(miss))} % {'above' if miss > 0 else 'below'} it"
    ]


# ----------------------------------------------------------------------------------------------- plain words


def _says_serial(alpha: Interval) -> str:
    if alpha.low <= 0 and alpha.high >= 1:
        return "How much of the work is serial cannot be told."
    if alpha.low <= 0:
        return f"No serial share of the work can be told from none: at most {_percent(alpha.high)} %."
    low, value, high = (_percent(share) for share in (alpha.low, alpha.value, alpha.high))
    return f"{value} % of the work is serial [{low}, {high}]."


def _says_limit(limit: Interval | None) -> str:
    if limit is None:
        return "So no ceiling of throughput can be told."
    low, value, high = (_rate(rate) for rate in (limit.low, limit.value, limit.high))
    return f"However many threads are added, throughput stays below about {value} ops/s [{low}, {high}]."


def _says_peak(peak: Interval | None, measured: tuple[float, float]) -> str:
    least, most = measured
    if peak is None:
        return f"No peak observed up to {most:.0f} threads."
    span = f"{_count(peak.value)} threads [{_count(peak.low)}, {_count(peak.high)}]"
    if peak.value > most:
        return f"The peak would be at about {span}, beyond the {most:.0f} measured: an extrapolation."
    if peak.value <= least:
        best = "with 1 thread" if least == 1 else f"at {least:.0f} threads or fewer"
        return f"Throughput is highest {best}; more threads lower it."
    return f"Throughput peaks at about {span}; beyond it more threads lower throughput."


def _percent(share: float) -> str:
    percent = 100 * share
    if percent >= 200:
        return "over 200"
    if percent >= 1:
        return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}"
    return f"{percent:.2g}"


def _count(threads: float) -> str:
    return f"{threads:.0f}" if threads >= 10 else f"{threads:.2g}"


def _rate(per_second: float) -> str:
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if per_second >= size:
            return f"{per_second / size:.3g} {prefix}"
    return f"{per_second:.3g}"
