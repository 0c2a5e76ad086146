# SPDX-License-Identifier: Apache-2.0
"""Misuse of the scaling models is refused, and a model is found by its file."""

import dataclasses
import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench.analysis.scaling import models
from pybench.analysis.scaling.curve_fits import fit_curve
from pybench.analysis.scaling.model import ROUGH, ROUGH_STEPS, LevelMeans, LogProblem
from pybench.analysis.scaling.models import MODELS
from pybench.analysis.scaling.models.amdahl import Amdahl
from pybench.analysis.scaling.models.knees import KneedUsl
from pybench.analysis.scaling.profile import minimise, minimise_all
from pybench.analysis.scaling.thread_counts import candidates
from pybench.stats.estimate import Floats
from tests.unit.test_models import BORDERS, COUNTS, usl


def test_borders_without_measurements_on_both_sides_are_no_candidates() -> None:
    borders = [(1, "socket"), (4, "L3 domain"), (64, "socket"), (96, "socket"), (200, "socket")]
    assert candidates(borders, COUNTS.astype(float)) == ((4, "L3 domain"), (64, "socket"))
    many = [(b, "L3 domain") for b in range(2, 90, 2)] + [(49, "socket")]
    kept = candidates(many, COUNTS.astype(float))
    assert (len(kept), (49, "socket") in kept) == (8, True)


@pytest.mark.parametrize(
    ("n", "x"),
    [([1, 2.5, 3], [1, 2, 3]), ([0, 1, 2], [1, 2, 3]), ([1, 2], [1, 0]), ([1, 2], [1]), ([1, 2], [1, math.inf])],
)
def test_misuse_is_refused(n: Floats, x: Floats) -> None:
    with pytest.raises(ValueError):
        fit_curve(n, x)


@settings(deadline=None, max_examples=3)
@given(st.dictionaries(st.integers(1, 64), st.floats(1e-2, 1e4), min_size=3, max_size=6))
def test_any_curve_can_be_fitted_or_says_why(curve: dict[int, float]) -> None:
    fits = fit_curve(list(curve), list(curve.values()), models=["amdahl", "usl", "knees"], borders=[(8, "socket")])
    for fit in fits.models:
        for one in fit.parameters:
            assert 0 <= one.interval.low <= one.interval.value <= one.interval.high < math.inf
        assert fit.says
    assert fits.verdict
    assert len(fits.models) + len(fits.notes) >= 3


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no model 'cubic'; there are amdahl, usl"):
        fit_curve([1, 2, 3, 4], [1, 2, 3, 4], models=["cubic"])


def test_every_model_has_its_formula_and_source() -> None:
    assert list(MODELS) == ["amdahl", "usl", "knees", "queueing"]
    for name, kind in MODELS.items():
        model = kind.make(BORDERS)
        assert model is not None
        assert model.name == name
        assert model.formula
        assert model.source
        assert len(model.parameters) == model.size >= 2
    assert KneedUsl.make(()) is None
    assert Amdahl().levels_needed() == 3


def test_a_model_is_a_file_and_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder is enough; without its short name it is refused on import, not in a report."""
    file = tmp_path / "cubic.py"
    text = """from pybench.analysis.scaling.models.usl import Usl

class Cubic(Usl):
    name = "cubic"
    short = "cubic"
    title = "a cubic"
"""
    file.write_text(text)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    assert list(models._found()) == ["amdahl", "cubic", "usl", "knees", "queueing"]
    monkeypatch.delitem(sys.modules, f"{models.__name__}.cubic")
    file.write_text(
        text.replace("(Usl)", "(CostModel)").replace("models.usl import Usl", "cost_model import CostModel")
    )
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    importlib.invalidate_caches()
    with pytest.raises(TypeError, match="Cubic has no formula, source"):
        models._found()
    monkeypatch.delitem(sys.modules, f"{models.__name__}.cubic")


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6)
@given(
    alpha=st.sampled_from([0.0, 0.02, 0.3, 0.9]), beta=st.sampled_from([0.0, 1e-4, 0.01]), seed=st.integers(0, 99)
)
def test_problems_side_by_side_are_solved_as_one_by_one(name: str, alpha: float, beta: float, seed: int) -> None:
    kind = MODELS[name].make(BORDERS)
    assert kind is not None
    levels = LevelMeans.of(COUNTS, usl(COUNTS, alpha, beta))
    theta = kind.starts(levels)[-1]
    drawn = levels.y + 0.05 * np.random.default_rng(seed).standard_normal((6, levels.size))
    box = LogProblem(kind, levels).box

    def residuals(thetas: Floats) -> tuple[Floats, Floats]:
        rates, slopes = kind.slopes_of(levels.threads, thetas)
        return rates - drawn, slopes

    found = minimise_all(residuals, np.tile(theta, (6, 1)), box, 0.0, ROUGH, ROUGH_STEPS)
    for y, one in zip(drawn, found, strict=True):
        alone = LogProblem(kind, dataclasses.replace(levels, y=y))
        assert alone.totals(np.array([one]))[0] == pytest.approx(
            minimise(alone.residuals, theta, box, 0.0, ROUGH, ROUGH_STEPS)[1], rel=1e-6
        )
