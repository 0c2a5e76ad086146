# SPDX-License-Identifier: Apache-2.0
"""Check that 95 % intervals of fitted scaling models cover the planted values 95 times in 100.

Curves like those of a 96-CPU host are planted, with noise, and fitted. Each row counts how often the interval of
each parameter covers: of the Universal Scalability Law, of the queueing model, and of the USL with a knee (and
how often the knee is found where it was planted). 93 to 97 % is asked.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from pybench.analysis.scaling.curve_fits import fit_curve, parameter_intervals
from pybench.analysis.scaling.model import LevelMeans, LogProblem, Model
from pybench.analysis.scaling.models.knees import KneedUsl
from pybench.analysis.scaling.models.queueing import Queueing, throughput
from pybench.analysis.scaling.profile import solution_of
from pybench.stats.estimate import Floats
from tests.validation.analysis.bounds import coverage_bounds
from tests.validation.validation import Finding, Validation

Planted = tuple[Model, dict[str, float], Floats]

THREADS = np.repeat([1, 2, 4, 8, 16, 24, 32, 48, 64, 96], 6)
BORDERS = ((24, "socket"), (48, "SMT siblings"), (72, "SMT siblings"))


def study(curves: int, seed: int) -> dict[str, float]:
    """Return for each quantity of the USL the share of `curves` planted curves whose 95 % interval covers it.

    alpha is 2 to 4 %, beta 1e-4 to 1e-3 (log-uniform), gamma 0.1 to 10 M ops/s, the noise normal, of 2 to 5 % of
    the throughput at each thread count. For the peak, the share is over the curves that have one; peaks are whole
    thread counts, so half a thread either way is covered.
    """
    rng = np.random.default_rng(seed)
    covered, peaks = dict.fromkeys(("alpha", "beta", "gamma", "peak"), 0), 0
    for _ in range(curves):
        alpha, beta, gamma = rng.uniform(0.02, 0.04), 10 ** rng.uniform(-4, -3), 10 ** rng.uniform(5, 7)
        exact = gamma * THREADS / (1 + alpha * (THREADS - 1) + beta * THREADS * (THREADS - 1))
        x = exact * (1 + rng.uniform(0.02, 0.05) * rng.standard_normal(THREADS.size))
        (fit,) = fit_curve(THREADS, x, models=("usl",)).models
        planted = {"alpha": alpha, "beta": beta, "gamma": gamma}
        for one in fit.parameters:
            covered[one.name] += one.interval.low <= planted[one.name] <= one.interval.high
        if fit.peak:
            peaks += 1
            covered["peak"] += fit.peak.low - 0.5 <= math.sqrt((1 - alpha) / beta) <= fit.peak.high + 0.5
    return {name: count / (peaks if name == "peak" else curves) for name, count in covered.items()}


def plant_queue(rng: np.random.Generator) -> Planted:
    """Return the queueing model, its planted values and curve: a lock that collapses within 96 cores."""
    work = 10 ** rng.uniform(3, 5)
    planted = {"a": work, "s": work * rng.uniform(0.02, 0.05), "c": work * 10 ** rng.uniform(-3, -2)}
    return Queueing(), planted, 1e9 * throughput(np.unique(THREADS).astype(float), *planted.values())


def plant_knee(rng: np.random.Generator) -> Planted:
    """Return the USL with a knee of either kind at a border, its planted values and curve."""
    kinds: tuple[Literal["contention", "coherency"], ...] = ("contention", "coherency")
    kind = kinds[rng.integers(2)]
    model = KneedUsl(BORDERS, (BORDERS[rng.integers(2)],), kind)
    planted = {
        "gamma": 10 ** rng.uniform(5, 7),
        "alpha": rng.uniform(0.02, 0.04),
        "beta": 10 ** rng.uniform(-4, -3.3),
    }
    before = {"contention": "alpha", "coherency": "beta"}[kind]
    planted[f"{before}2"] = planted[before] * rng.uniform(3, 6)
    theta = np.array([math.log(planted["gamma"]), *(planted[one.name] for one in model.parameters[1:])])
    return model, planted, np.exp(model.log_rate(np.unique(THREADS), theta))


def study_model(
    plant: Callable[[np.random.Generator], Planted], curves: int, seed: int
) -> tuple[dict[str, float], float]:
    """Return the shares of `curves` curves drawn by `plant` whose intervals cover each parameter.

    The noise is normal, of 2 to 5 % of the throughput. Parameters beyond a knee share one name. The second value
    is the share of knees found in their place and of their kind, of every fifth curve.
    """
    rng = np.random.default_rng(seed)
    covered: dict[str, int] = {}
    found = []
    for curve in range(curves):
        model, planted, exact = plant(rng)
        x = np.repeat(exact, 6) * (1 + rng.uniform(0.02, 0.05) * rng.standard_normal(THREADS.size))
        problem = LogProblem(model, LevelMeans.of(THREADS, x))
        theta, least = problem.solve(model.starts(problem.levels))
        if isinstance(model, KneedUsl) and curve % 5 == 0:  # the search takes longer than all else
            form, _, _ = model.fit(problem.levels)
            assert isinstance(form, KneedUsl)
            found.append((form.at, form.kind) == (model.at, model.kind))
        for one in parameter_intervals(problem, solution_of(problem, theta, least, 0.95)):
            held = one.interval.low <= planted[one.name] <= one.interval.high
            name = "beyond" if one.name.endswith("2") else one.name
            covered[name] = covered.get(name, 0) + held
    shares = {name: count / curves for name, count in covered.items()}
    return shares, sum(found) / max(len(found), 1)


def row(title: str, shares: dict[str, float], seconds: float, curves: int, found: str = "") -> Finding:
    """Print a row; return the finding that shares are within bounds (of the peak, in threads, the lower one)."""
    low, high = coverage_bounds(curves)
    cells = "".join(f"{quantity:>8} {share:.1%}" for quantity, share in shares.items())
    print(f"{title:<14}{cells}  ({seconds / curves * 1e3:.1f} ms per fit){found}", flush=True)
    words = ", ".join(f"{quantity} {share:.1%}" for quantity, share in shares.items())
    good = all(low <= share and (share <= high or name == "peak") for name, share in shares.items())
    return Finding(f"{title}: {low:.0%} to {high:.0%} of the intervals cover", words, good)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the number of curves, and the seed."""
    parser.add_argument("--curves", type=int, help="planted curves [1000; 200 with --quick]")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random [1]")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Run the studies: the USL, the queueing model, and the USL with a knee."""
    curves = asked.curves or (200 if asked.quick else 1000)
    print(f"coverage of 95 % intervals, {curves} curves, seed {asked.seed}")
    start = time.perf_counter()
    shares = study(curves, asked.seed)
    yield row("USL", shares, time.perf_counter() - start, curves)
    for name, plant in (("queueing", plant_queue), ("knee", plant_knee)):
        start = time.perf_counter()
        shares, found = study_model(plant, curves, asked.seed)
        knees = f"; knees found at their border and of their kind: {found:.1%}" if plant is plant_knee else ""
        yield row(name, shares, time.perf_counter() - start, curves, knees)


VALIDATION = Validation(
    shows="intervals of fits cover planted values",
    run=run,
    seconds=120,
    quick_seconds=30,
    options=options,
)
