# SPDX-License-Identifier: Apache-2.0
"""Fit the scaling models to one curve: parameters, errors, ranking, and the curve to draw.

Intervals of parameters are by profile likelihood. Those of the curve, its peak and ratios of parameters are by a
parametric bootstrap: the means of the thread counts are drawn around the fit, with the fit's own variance.
"""

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pybench.analysis.scaling.akaike import aicc, weights
from pybench.analysis.scaling.fit_caveats import POOR_FIT, caveats_of_fit
from pybench.analysis.scaling.held_out import HeldOut, held_out
from pybench.analysis.scaling.model import ROUGH, ROUGH_STEPS, Facts, LevelMeans, LogProblem, Model, Unit
from pybench.analysis.scaling.models import MODELS
from pybench.analysis.scaling.profile import Solution, minimise_all, solution_of
from pybench.analysis.scaling.thread_counts import Border, candidates, too_few
from pybench.stats.estimate import Floats, Interval, check_level, median_interval, two_modes

DRAWS = 200
DRAWN = 2.0  # the curve is drawn to this multiple of the most threads measured
FLAT = 1e-3  # a curve that ends less than this share below its maximum has no peak
PEAKS = (
    2000  # maximum number of thread counts among which a peak is searched; up to 300 threads that is every count
)
DENSE = 32  # up to this many threads, every count is a point of the curve
CLEAR = 10.0  # ratio of Akaike weights beyond which the better model is clearly better
AGREES = 0.5  # ratio of held-out errors that decides an unclear ranking


class FittedParameter(msgspec.Struct, frozen=True):
    """One parameter of a model, in its unit (ops/s, ns, or a share of one thread's work)."""

    name: str
    unit: Unit
    interval: Interval


class Knee(msgspec.Struct, frozen=True):
    """A thread count beyond which parameters change, and what the next thread is the first of."""

    threads: int
    border: str


class Residual(msgspec.Struct, frozen=True):
    """One thread count: geometric mean of the trials, the fit (ops/s), and measured / fitted - 1."""

    threads: int
    measured: float
    fitted: float
    relative: float


class FittedCurve(msgspec.Struct, frozen=True):
    """The curve to draw, as columns of equal length; ``low`` and ``high`` are the band of the curve, not of
    trials."""

    threads: list[int]
    rate: list[float]
    low: list[float]
    high: list[float]
    extrapolated: list[bool]
    """True beyond the thread counts measured, at either end."""


class Prediction(msgspec.Struct, frozen=True):
    """The fitted throughput at one thread count, ops/s."""

    threads: int
    rate: Interval
    extrapolated: bool


class ModelFit(msgspec.Struct, frozen=True, kw_only=True):
    """One model fitted to one curve.

    ``aicc`` and ``weight`` (of Akaike, among the models fitted) are None for too few thread counts. ``peak`` is in
    threads; None if no peak is observed, because the curve, or some of its draws, rise to the last count measured.
    """

    name: str
    title: str
    formula: str
    source: str
    parameters: list[FittedParameter]
    knees: list[Knee]
    rms: float
    aicc: float | None
    weight: float | None
    held_out: HeldOut
    peak: Interval | None
    residuals: list[Residual]
    curve: FittedCurve
    predictions: list[Prediction]
    says: list[str]
    caveats: list[str]


class MeasuredLevel(msgspec.Struct, frozen=True):
    """One thread count as measured: the median of its trials with its interval, ops/s."""

    threads: int
    rate: Interval
    bimodal: bool


class CurveFits(msgspec.Struct, frozen=True, kw_only=True):
    """All models of one curve, the best first. ``best`` is None when none could be fitted."""

    measured: list[MeasuredLevel]
    borders: list[Knee]
    """The borders at which knees are searched."""
    models: list[ModelFit]
    best: str | None
    verdict: str
    """The best model and how sure that is, in a sentence or two."""
    notes: list[str]
    """Models that were not fitted and why; notes that hold for every model."""


def fit_curve(
    n: ArrayLike,
    x: ArrayLike,
    *,
    borders: Sequence[Border] = (),
    models: Iterable[str] = tuple(MODELS),
    predict: Sequence[int] = (),
    level: float = 0.95,
    seed: int = 1,
) -> CurveFits:
    """Fit ``models`` to throughput ``x`` (ops/s) at ``n`` threads, both (trials,), in any order.

    ``borders`` are the thread counts at which a placement crosses a border of the topology (see
    `Placement.borders`), where knees are searched. Intervals have confidence ``level``.

    ValueError: shapes that differ, n not whole or below 1, x not positive and finite, an unknown model.
    """
    check_level(level)
    if np.size(n) == 0 and np.size(x) == 0:
        return CurveFits(measured=[], borders=[], models=[], best=None, verdict=too_few(0), notes=[])
    levels = LevelMeans.of(n, x)
    inside = candidates(borders, levels.threads)
    kinds, notes = fittable(levels, inside, models)
    fits = [_fit(kind, levels, predict, level, seed) for kind in kinds]
    shares = weights({fit.name: fit.aicc for fit in fits if fit.aicc is not None})
    fits = [msgspec.structs.replace(fit, weight=shares.get(fit.name)) for fit in fits]
    fits.sort(key=lambda fit: (fit.aicc is None, fit.aicc or 0.0, fit.held_out.median or 0.0))
    measured = _measured(n, x, level)
    clumped = [str(one.threads) for one in measured if one.bimodal]
    if clumped:
        notes.append(
            f"trials fall into two modes at {', '.join(clumped)} threads: a curve between them is of neither"
        )
    return CurveFits(
        measured=measured,
        borders=[Knee(b, what) for b, what in inside],
        models=fits,
        best=fits[0].name if fits else None,
        verdict=verdict(fits) if fits else too_few(levels.size),
        notes=notes,
    )


def fittable(levels: LevelMeans, inside: Sequence[Border], names: Iterable[str]) -> tuple[list[Model], list[str]]:
    """Return the models that can be fitted, and a note for each that cannot."""
    kinds, notes = [], []
    for name in names:
        if name not in MODELS:
            raise ValueError(f"no model {name!r}; there are {', '.join(MODELS)}")
        kind = MODELS[name].make(inside)
        if kind is None:
            notes.append(
                "knees: no border of the topology is known between the thread counts measured (--borders)"
            )
        elif levels.size < kind.levels_needed():
            notes.append(f"{kind.title} needs {kind.levels_needed()} thread counts, and there are {levels.size}")
        else:
            kinds.append(kind)
    return kinds, notes


# ----------------------------------------------------------------------------------------------------- one fit


def _fit(kind: Model, levels: LevelMeans, predict: Sequence[int], level: float, seed: int) -> ModelFit:
    form, theta, _ = kind.fit(levels)
    problem = LogProblem(form, levels)
    theta, least = problem.solve([theta], polish=True)
    solution = solution_of(problem, theta, least, level)
    parameters = parameter_intervals(problem, solution)
    draws = _draws(problem, solution, seed)
    grid = _grid(levels, predict)
    best, low, high = (np.exp(curve) * levels.scale for curve in _band(form, theta, draws, grid, level))
    peak = _peak(form, theta, draws, levels.most, level)
    facts = Facts(
        parameters={one.name: one.interval for one in parameters},
        draws={
            one.name: [one.outward(value, levels.scale) for value in draws[:, index].tolist()]
            for index, one in enumerate(form.parameters)
        },
        peak=peak,
        most=levels.most,
    )
    misses = levels.y - form.log_rate(levels.threads, theta)
    outside = (grid < levels.threads[0]) | (grid > levels.most)
    curve = FittedCurve([int(n) for n in grid], best.tolist(), low.tolist(), high.tolist(), outside.tolist())
    judged = held_out(kind, levels, theta)
    return ModelFit(
        name=form.name,
        title=form.label,
        formula=form.formula,
        source=form.source,
        parameters=parameters,
        knees=[Knee(b, what) for b, what in form.knees],
        rms=float(np.sqrt(np.average(np.square(misses), weights=levels.trials))),
        aicc=aicc(least, levels, form),
        weight=None,
        held_out=judged,
        peak=peak,
        residuals=[
            Residual(int(threads), math.exp(y) * levels.scale, math.exp(y - miss) * levels.scale, math.expm1(miss))
            for threads, y, miss in zip(levels.threads, levels.y, misses, strict=True)
        ],
        curve=curve,
        predictions=[_prediction(curve, curve.threads.index(threads), levels) for threads in predict],
        says=[*form.says(facts), _says_peak(peak, levels)],
        caveats=[*form.caveats(facts), *caveats_of_fit(form, levels, misses, least), *_caveats_beyond(judged)],
    )


def parameter_intervals(problem: LogProblem, solution: Solution) -> list[FittedParameter]:
    """Return the parameters of a fitted model with their profile likelihood intervals."""
    levels, found = problem.levels, []
    for index, one in enumerate(problem.model.parameters):
        low, high = solution.interval(index)
        value = float(solution.theta[index])
        low, value, high = sorted(one.outward(psi, levels.scale) for psi in (low, value, high))
        found.append(FittedParameter(one.name, one.unit, Interval(value, low, high, levels.points)))
    return found


def _draws(problem: LogProblem, solution: Solution, seed: int) -> Floats:
    """Return thetas (DRAWS, p) of curves drawn around the fit, each fitted from there."""
    levels, rng = problem.levels, np.random.default_rng(seed)
    fitted = problem.model.log_rate(levels.threads, solution.theta)
    noise = rng.standard_normal((DRAWS, levels.size)) * math.sqrt(solution.variance) / levels.root
    drawn = fitted + noise

    def residuals(thetas: Floats) -> tuple[Floats, Floats]:
        rates, slopes = problem.model.slopes_of(levels.threads, thetas)
        return (rates - drawn) * levels.root, slopes * levels.root[:, None]

    start = np.tile(solution.theta, (DRAWS, 1))
    return minimise_all(residuals, start, problem.box, problem.floor, ROUGH, ROUGH_STEPS)


def _grid(levels: LevelMeans, predict: Sequence[int]) -> Floats:
    """Return the thread counts to draw: all small ones, then 8 % apart, and those measured or asked for."""
    most = max(int(levels.most * DRAWN), *predict, 2)
    spaced = np.round(np.geomspace(1, most, max(2, int(math.log(most) / 0.08))))
    dense = np.arange(1.0, min(most, DENSE) + 1)
    asked = np.array(predict, dtype=np.float64)
    return np.unique(np.concatenate((dense, spaced, levels.threads, asked)))


def _band(form: Model, theta: Floats, draws: Floats, grid: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    """Return log X at ``grid``, and the quantiles of the draws there."""
    best = form.log_rate(grid, theta)
    curves, _ = form.slopes_of(grid, draws)
    low, high = np.quantile(curves, ((1 - level) / 2, (1 + level) / 2), axis=0)
    return best, np.minimum(low, best), np.maximum(high, best)


def _peak(form: Model, theta: Floats, draws: Floats, most: int, level: float) -> Interval | None:
    """Return the thread count of maximum throughput; None unless the curve and its draws fall before ``most``."""
    # Every count up to 300 threads; above that, counts that lie closer than the peak's interval is wide.
    counts = np.unique(np.round(np.geomspace(1, most, PEAKS)))
    rates, _ = form.slopes_of(counts, np.vstack((theta, draws)))
    tops = counts[rates.argmax(axis=1)]
    found = np.where(rates.max(axis=1) > rates[:, -1] + FLAT, tops, math.inf)
    value, found = float(found[0]), np.sort(found[1:])
    low, high = np.quantile(found, ((1 - level) / 2, (1 + level) / 2), method="nearest")
    if not (math.isfinite(value) and math.isfinite(high)):
        return None
    return Interval(value, min(float(low), value), max(float(high), value), len(draws))


def _says_peak(peak: Interval | None, levels: LevelMeans) -> str:
    if peak is None:
        return f"No peak observed up to {levels.most} threads."
    if peak.value <= levels.threads[0]:
        return f"Throughput is highest with {_threads(peak.value)}; more lower it."
    return f"Throughput peaks at about {_threads(peak.value)} [{peak.low:.0f}, {peak.high:.0f}]; more lower it."


def _threads(count: float) -> str:
    return f"{count:.0f} thread{'' if count == 1 else 's'}"


def _prediction(curve: FittedCurve, at: int, levels: LevelMeans) -> Prediction:
    rate = Interval(curve.rate[at], curve.low[at], curve.high[at], levels.points)
    return Prediction(curve.threads[at], rate, curve.extrapolated[at])


def _caveats_beyond(judged: HeldOut) -> list[str]:
    """Return a caveat if a model fitted to the lower half of the thread counts misses the upper half."""
    if judged.extrapolation is None or judged.extrapolation <= POOR_FIT:
        return []
    return [
        f"fitted up to {judged.extrapolated_from} threads alone, it misses those beyond by "
        f"{judged.extrapolation:.0%} (median): do not extrapolate it"
    ]


def _measured(n: ArrayLike, x: ArrayLike, level: float) -> list[MeasuredLevel]:
    threads, rates = np.asarray(n), np.asarray(x, dtype=np.float64)
    return [
        MeasuredLevel(int(count), median_interval(own, level), two_modes(own) is not None)
        for count in np.unique(threads)
        for own in [rates[threads == count]]
    ]


# ----------------------------------------------------------------------------------------------------- verdict


def verdict(fits: Sequence[ModelFit]) -> str:
    """Name the best of ``fits`` (best first) and say how sure that is."""
    first = fits[0]
    if len(fits) == 1:
        return f"Only {first.title} was fitted, so there is nothing to compare it with."
    if first.aicc is None:
        return "Too few thread counts to tell the models apart (AICc is undefined); measure more (--threads)."
    ranked = [fit for fit in fits if fit.weight is not None]
    unranked = [fit.title for fit in fits if fit.weight is None]
    unknown = f" {' and '.join(unranked)}: too few thread counts to be ranked." if unranked else ""
    if len(ranked) == 1:
        return f"Only {first.title} has the thread counts to be ranked.{unknown}"
    second = ranked[1]
    left = second.weight or 0.0
    share = f"{first.weight:.0%} of the Akaike weight, {second.title} {f'{left:.1%}' if left >= 1e-3 else '<0.1%'}"
    one, two = first.held_out.median, second.held_out.median
    better = one is not None and two is not None and one <= AGREES * two
    worse = one is not None and two is not None and two <= AGREES * one
    errors = "" if one is None or two is None else f" Held-out error: {one:.1%} against {two:.1%}."
    clear = (first.weight or 0.0) >= CLEAR * (second.weight or 0.0)
    title = first.title[0].upper() + first.title[1:]
    if clear and worse:
        said = f"{title} by AICc ({share}), but {second.title} predicts left-out thread counts better: unsure."
    elif clear:
        said = f"{title} describes this curve best ({share})."
    elif better:
        said = (
            f"{title} is probably best: AICc alone cannot tell ({share}), but it predicts left-out counts better."
        )
    else:
        said = f"Cannot tell {first.title} from {second.title} ({share})."
    poor = f" Even it misses the measurements by {first.rms:.0%} rms: a rough description." * (
        first.rms > POOR_FIT
    )
    return f"{said}{errors}{poor}{unknown}"
