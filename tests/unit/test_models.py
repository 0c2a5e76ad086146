# SPDX-License-Identifier: Apache-2.0
"""The scaling models: oracles, planted curves, published curves, and what is said of them."""

import csv
import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from pybench.analysis.scaling.akaike import aicc, weights
from pybench.analysis.scaling.best_fit import BestFit, best_fit
from pybench.analysis.scaling.curve_fits import CurveFits, fit_curve
from pybench.analysis.scaling.fit_caveats import runs_probability
from pybench.analysis.scaling.held_out import held_out
from pybench.analysis.scaling.model import LevelMeans, Model
from pybench.analysis.scaling.models import MODELS
from pybench.analysis.scaling.models.knees import KneedUsl
from pybench.analysis.scaling.models.queueing import Queueing, throughput
from pybench.analysis.scaling.models.usl import Usl
from pybench.analysis.scaling.thread_counts import candidates
from pybench.host.topology import read_topology
from pybench.placement import place
from pybench.stats.estimate import Floats
from tests.unit.topologies import server, write

CURVES = Path(__file__).parents[1] / "data" / "curves"
COUNTS = np.array([1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 80, 96])
BORDERS = ((24, "L3 domain"), (48, "socket"), (72, "SMT siblings"))


@cache
def published(name: str) -> tuple[NDArray[np.int64], Floats]:
    rows = csv.DictReader(line for line in (CURVES / f"{name}.csv").read_text().splitlines() if line[0] != "#")
    table = [(int(row["threads"]), float(row["throughput"])) for row in rows]
    return np.array([n for n, _ in table]), np.array([x for _, x in table])


def predicted(n: ArrayLike, x: ArrayLike, at: Sequence[int]) -> Floats:
    """Return the throughput at ``at`` threads of the USL fitted to (n, x)."""
    (fit,) = fit_curve(n, x, models=["usl"], predict=at).models
    return np.array([one.rate.value for one in fit.predictions])


def usl(n: ArrayLike, alpha: float, beta: float, gamma: float = 1e6) -> Floats:
    n = np.asarray(n, dtype=float)
    x: Floats = gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))
    return x


def trials(x: Floats, repeats: int = 6, cv: float = 0.02, seed: int = 0) -> tuple[NDArray[np.int64], Floats]:
    noise = 1 + cv * np.random.default_rng(seed).standard_normal((len(x), repeats))
    return np.repeat(COUNTS, repeats), (np.asarray(x)[:, None] * noise).ravel()


def fitted(curve: tuple[ArrayLike, ArrayLike], borders: Sequence[tuple[int, str]]) -> BestFit:
    best = best_fit(*curve, borders)
    assert best is not None
    return best


# ------------------------------------------------------------------------------------------------------ oracles


@pytest.mark.parametrize(
    ("c", "speedups"),
    [
        (0, [23.69, 31.55, 47.14, 89.83]),
        (100, [23.32, 9.03, 4.51, 2.11]),
        (300, [3.31, 2.28, 1.44, 0.70]),
    ],
)
def test_speedups_of_the_queue(c: float, speedups: list[float]) -> None:
    """For a = 10,000 and s = 100, in the units of S. Boyd-Wickizer et al. (2012); the speedup is a X."""
    found = 1e4 * throughput(np.array([24.0, 32, 48, 96]), 1e4, 100, c)
    assert [round(one, 2) for one in found.tolist()] == speedups


def test_the_queue_agrees_with_its_chain() -> None:
    """Against the stationary distribution of the birth-death generator itself, by linear algebra."""
    n, a, s, c = 12, 900.0, 50.0, 7.0
    rates = np.zeros((n + 1, n + 1))
    for k in range(n):
        rates[k, k + 1] = (n - k) / a
        rates[k + 1, k] = 1 / (s + c * k / 2)
    generator = rates - np.diag(rates.sum(axis=1))
    system = np.vstack((generator.T, np.ones(n + 1)))
    p = np.linalg.lstsq(system, np.append(np.zeros(n + 1), 1.0), rcond=None)[0]
    expected = (n - p @ np.arange(n + 1)) / a
    assert throughput(np.array([float(n)]), a, s, c)[0] == pytest.approx(expected, rel=1e-9)


def test_a_queue_of_thousands_is_solved_without_overflow() -> None:
    x = throughput(np.array([1.0, 512, 4096]), 1e4, 100, 100)
    assert x[0] == pytest.approx(1 / 10100)
    assert x[2] == pytest.approx(1 / (100 + 100 * 4095 / 2), rel=0.01)


# --------------------------------------------------------------------------------------------------- properties

queues = st.tuples(st.floats(2, 6), st.floats(-3, 0), st.floats(-4, 0)).map(
    lambda logs: np.log([10 ** logs[0], 10 ** (logs[0] + logs[1]), 10 ** (logs[0] + logs[2])])
)
shares = st.floats(1e-4, 0.5)
knees = st.tuples(
    st.floats(-3, 3), shares, shares, st.floats(1e-6, 1e-2), st.sampled_from(["contention", "coherency"])
)


def check_slopes(model: Model, theta: Floats) -> None:
    threads = COUNTS.astype(float)
    rate, slopes = model.slopes(threads, theta)
    assert np.isfinite(rate).all()
    for index in range(theta.size):
        step = np.zeros(theta.size)
        step[index] = 1e-6 * max(1.0, abs(theta[index]))
        numeric = (model.log_rate(threads, theta + step) - model.log_rate(threads, theta - step)) / (
            2 * step[index]
        )
        assert slopes[:, index] == pytest.approx(numeric, rel=1e-3, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(queues, knees)
def test_rates_are_positive_and_slopes_are_their_derivatives(queue: Floats, knee: Any) -> None:
    check_slopes(Queueing(), queue)
    gamma, one, two, beta, kind = knee
    shape = [one, two, beta] if kind == "contention" else [one, beta, beta * (1 + two)]
    check_slopes(KneedUsl(BORDERS, BORDERS[1:2], kind), np.array([gamma, *shape]))


@settings(deadline=None, max_examples=12)
@given(st.sampled_from(sorted(MODELS)), st.floats(-9, 9).map(lambda e: 10**e), st.integers(0, 99))
def test_the_unit_of_throughput_changes_rates_and_times_only(name: str, factor: float, seed: int) -> None:
    n, x = trials(usl(COUNTS, 0.05, 6e-4), repeats=2, seed=seed)
    model = MODELS[name].make(BORDERS)
    assert model is not None
    plain, scaled = (model.fit(LevelMeans.of(n, rates)) for rates in (x, x * factor))
    assert plain[0].label == scaled[0].label
    for one, before, after in zip(plain[0].parameters, plain[1], scaled[1], strict=True):
        values = [one.outward(v, s) for v, s in ((before, 1.0), (after, 1.0))]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-9)  # before the scale is put back
    assert plain[2] == pytest.approx(scaled[2], rel=1e-6)


@settings(deadline=None, max_examples=2)
@given(st.integers(0, 999))
def test_the_order_of_trials_changes_nothing(seed: int) -> None:
    n, x = trials(usl(COUNTS, 0.05, 6e-4), repeats=3)
    shuffled = np.random.default_rng(seed).permutation(n.size)
    assert best_fit(n, x, BORDERS) == best_fit(n[shuffled], x[shuffled], BORDERS)


# ----------------------------------------------------------------------------------------------- planted curves


@pytest.mark.parametrize("border", [24, 48])
@pytest.mark.parametrize("kind", ["contention", "coherency"])
def test_a_planted_knee_is_found_where_it_is(border: int, kind: Literal["contention", "coherency"]) -> None:
    at = next(one for one in BORDERS if one[0] == border)
    model = KneedUsl(BORDERS, (at,), kind)
    planted = [0.03, 0.15, 2e-4] if kind == "contention" else [0.03, 2e-4, 1.5e-3]
    x = np.exp(model.log_rate(COUNTS, np.array([math.log(2e6), *planted])))
    form, theta, _ = KneedUsl(BORDERS).fit(LevelMeans.of(*trials(x)))
    assert isinstance(form, KneedUsl)
    assert (form.at[0], form.kind) == (at, kind)
    assert theta[1:4] == pytest.approx(planted, rel=0.5)
    best = fitted(trials(x), BORDERS)
    assert best.weight is not None
    assert (best.fit.name, best.weight > 0.9) == ("knees", True)


@pytest.fixture(scope="module")
def knee() -> CurveFits:
    """All models of a curve with a knee of contention, 0.03 to 0.12, at 48."""
    x = np.exp(KneedUsl(BORDERS, BORDERS[1:2]).log_rate(COUNTS, np.array([math.log(2e6), 0.03, 0.12, 1e-5])))
    return fit_curve(*trials(x), borders=BORDERS, predict=[20, 192])


def test_a_knee_is_put_in_words(knee: CurveFits) -> None:
    best = knee.models[0]
    assert best.title == "the USL with a knee of contention at 48"
    assert [(one.threads, one.border) for one in best.knees] == [(48, "socket")]
    alpha, after = (next(p.interval for p in best.parameters if p.name == name) for name in ("alpha", "alpha2"))
    assert alpha.low < 0.03 < alpha.high < after.low < 0.12 < after.high
    assert any("Beyond the border at 48 threads (socket) contention grows" in said for said in best.says)
    assert "describes this curve best" in knee.verdict
    of_usl = next(fit for fit in knee.models if fit.name == "usl").held_out.median
    assert best.held_out.median is not None and of_usl is not None
    assert best.held_out.median < 0.5 * of_usl


def test_what_to_draw_marks_what_was_not_measured(knee: CurveFits) -> None:
    for fit in knee.models:
        curve = fit.curve
        columns = {
            len(column) for column in (curve.threads, curve.rate, curve.low, curve.high, curve.extrapolated)
        }
        assert len(columns) == 1
        assert curve.extrapolated == [n > 96 for n in curve.threads]
        assert all(
            0 < low <= rate <= high for low, rate, high in zip(curve.low, curve.rate, curve.high, strict=True)
        )
        assert [(one.threads, one.extrapolated) for one in fit.predictions] == [(20, False), (192, True)]
        residual = fit.residuals[3]
        assert residual.measured / residual.fitted - 1 == pytest.approx(residual.relative)


def test_weights_and_ranks_go_together(knee: CurveFits) -> None:
    assert sum(fit.weight or 0 for fit in knee.models) == pytest.approx(1)
    scores = [fit.aicc for fit in knee.models if fit.aicc is not None]
    assert len(scores) == len(knee.models)
    assert scores == sorted(scores)
    assert knee.best == knee.models[0].name


@pytest.fixture(scope="module")
def collapse() -> CurveFits:
    """All models of a queue that collapses, a = 10 us, s = 300 ns, c = 40 ns; no border is known."""
    return fit_curve(*trials(1e9 * throughput(COUNTS.astype(float), 1e4, 300, 40)))


def test_a_planted_queue_is_recognised(collapse: CurveFits) -> None:
    best = collapse.models[0]
    assert best.name == "queueing"
    for one, planted in zip(best.parameters, (1e4, 300, 40), strict=True):
        assert one.interval.low < planted < one.interval.high
        assert one.interval.value == pytest.approx(planted, rel=0.1)
    every = np.arange(1.0, 97)
    assert best.peak is not None
    assert best.peak.low <= every[np.argmax(throughput(every, 1e4, 300, 40))] <= best.peak.high
    assert any("not scalable" in said for said in best.says)
    assert any("knees: no border" in note for note in collapse.notes)
    bad = next(fit for fit in collapse.models if fit.name == "usl")
    assert any("misses the measurements" in caveat for caveat in bad.caveats)


def test_a_curve_without_a_knee_gets_none() -> None:
    found = [fitted(trials(usl(COUNTS, 0.04, 5e-4), seed=seed), BORDERS).fit.name for seed in range(8)]
    assert found.count("usl") >= 7


# --------------------------------------------------------------------------------------------- published curves


def test_the_queued_spinlock_is_predicted_twice_as_well_as_by_the_usl(tmp_path: Path) -> None:
    """4 sockets of 18 cores with SMT, threads spread over them by the scheduler: knees may be where `scatter`
    crosses borders. The stock lock and its NUMA-aware successor."""
    host = read_topology(write(tmp_path, server(4, 18, 2)))
    borders = place(host, "all scatter").borders(host)
    assert borders[:3] == ((1, "socket"), (2, "socket"), (3, "socket"))
    compact = place(host, "all compact").borders(host)
    for name in ("qspinlock-144", "cna-144"):
        levels = LevelMeans.of(*published(name))
        plain, theta, _ = Usl().fit(levels)
        of_usl = held_out(plain, levels, theta).median
        for known in (borders, borders + compact) if name == "qspinlock-144" else (borders,):
            best = fitted(published(name), known)
            assert (best.fit.name, best.fit.title) == ("knees", "the USL with a knee of coherency at 3")
        model = KneedUsl(candidates(borders, levels.threads))
        found = held_out(model, levels, model.fit(levels)[1]).median
        print(f"{name}: held-out error {found:.4f}, the USL's {of_usl:.4f}")
        assert found is not None and of_usl is not None
        assert found <= of_usl / 2


def test_a_lock_that_collapses_at_once_is_a_queue() -> None:
    best = fitted(published("global-lock-256"), [(32, "")])
    assert best.fit.name == "queueing"


def test_specsdm91_by_the_usl() -> None:
    fits = fit_curve(*published("specsdm91"), models=["usl", "amdahl"])
    law = next(fit for fit in fits.models if fit.name == "usl")
    assert law.peak is not None
    assert law.peak.low < 96.5 < law.peak.high


# --------------------------------------------------------------------------------------------------- held out


def test_held_out_errors_are_those_of_refits() -> None:
    """Each left out in turn, fitted by the law's other implementation."""
    n, x = published("specsdm91")
    levels = LevelMeans.of(n, x)
    _, theta, _ = Usl().fit(levels)
    errors = [abs(predicted(n[n != left], x[n != left], [left])[0] / x[n == left][0] - 1) for left in n.tolist()]
    found = held_out(Usl(), levels, theta)
    assert found.median == pytest.approx(np.median(errors), rel=1e-4)
    assert found.worst == pytest.approx(max(errors), rel=1e-4)
    assert found.worst_at == n[int(np.argmax(errors))]
    lower = n <= 108
    law = predicted(n[lower], x[lower], n[~lower].tolist())
    assert found.extrapolated_from == 108
    assert found.extrapolation == pytest.approx(np.median(abs(law / x[~lower] - 1)), rel=1e-4)


def test_aicc_is_undefined_for_few_thread_counts() -> None:
    levels = LevelMeans.of([1, 2, 4, 8], [1.0, 1.9, 3.4, 5.5])
    assert aicc(1e-3, levels, Usl()) is None  # 4 counts, 3 parameters and the variance
    assert aicc(1e-3, LevelMeans.of([1, 2, 4, 8, 16, 32], [1.0, 2, 3, 4, 5, 6]), Usl()) == pytest.approx(
        6 * math.log(1e-3 / 6) + 8 + 40
    )
    fits = fit_curve([1, 2, 4], [1.0, 1.9, 3.4])
    assert [fit.name for fit in fits.models] == ["amdahl"]
    assert "the USL needs 4 thread counts, and there are 3" in fits.notes
    assert fit_curve([], []).verdict.startswith("0 thread counts")
    assert fit_curve([1, 2], [1.0, 1.8]).best is None
    assert weights({}) == {}


# ------------------------------------------------------------------------------------------------------ caveats


@given(st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=16)
def test_the_runs_test_counts_arrangements(above: int, below: int) -> None:
    signs = [1.0] * above + [-1.0] * below
    arrangements = list(set(permutations(signs)))

    def runs(one: Sequence[float]) -> int:
        return 1 + sum(a != b for a, b in pairwise(one))

    for one in arrangements[:6]:
        as_few = sum(runs(other) <= runs(one) for other in arrangements) / len(arrangements)
        assert runs_probability(np.array(one)) == pytest.approx(as_few)


def test_a_fit_seldom_cries_two_modes_of_one() -> None:
    counts, rng = np.repeat([1, 2, 4, 8], 8), np.random.default_rng(1)
    alarms = 0
    for _ in range(100):
        rates = rng.uniform(0.8, 1.2, counts.size) * counts
        alarms += sum(one.bimodal for one in fit_curve(counts, rates, models=("amdahl",)).measured)
    assert alarms <= 0.015 * 400


def test_modes_and_a_flat_law_are_said() -> None:
    n, x = trials(usl(COUNTS, 0.05, 0.0), repeats=10, cv=0.01)
    x[n == 16] *= np.tile([1.0, 1.6], 5)
    fits = fit_curve(n, x, models=["amdahl"])
    assert any("two modes at 16 threads" in note for note in fits.notes)
    assert fits.models[0].peak is None
    falling = fit_curve(COUNTS, 1e6 / COUNTS, models=["amdahl", "usl"])
    assert any("cannot fall" in caveat for fit in falling.models for caveat in fit.caveats)
    assert any(fit.peak and fit.peak.value == 1 for fit in falling.models)
