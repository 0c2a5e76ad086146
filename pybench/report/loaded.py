"""Result files made ready to be shown: their series, named apart, with the model that describes each best."""

import math
from collections.abc import Sequence

import msgspec

from pybench.analysis.curves import CurveFits, Ranked, fit_curve
from pybench.analysis.summary import Series, summarize
from pybench.report.simulated import WORD
from pybench.report.terminal import settings, varying
from pybench.results.records import Cell
from pybench.results.store import Results

MOST_FITTED = 24
"""Curves with a fit: more lines than that tell nobody anything, and each takes its time."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One scaling curve as it is shown."""

    label: str
    """What tells it from the others of all files, and `simulated` if it is."""
    workload: str
    series: Series
    ranked: Ranked | None
    simulated: bool = False
    fits: CurveFits | None
    """The best model alone; None if there were too few thread counts, or too many curves."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep."""

    name: str
    """The file's name; what several files have in common is not taken off."""
    results: Results
    lines: list[Line]

    @property
    def cells(self) -> list[Cell]:
        """The plan's."""
        return self.results.header.plan.cells


def load(every: Sequence[Results]) -> list[Loaded]:
    """Summarise files and fit their curves; labels tell all curves of all files apart."""
    names = _names(every)
    summaries = [summarize(one.header.plan.cells, one.trials, one.header.topology) for one in every]
    shown = label_settings([cell for one in every for cell in one.header.plan.cells])
    several = len({cell.workload for one in every for cell in one.header.plan.cells}) > 1
    left = MOST_FITTED
    found = []
    for name, results, series in zip(names, every, summaries, strict=True):
        lines = []
        for one in series:
            ranked = one.best() if left > 0 else None
            fits = _fits(one, ranked) if left > 0 else None
            left -= fits is not None
            words = [one.cell.workload] if several else []
            words += settings_words(one.cell, shown).split()
            prefix = [name] if len(every) > 1 else []
            if results.header.simulated:
                prefix = [WORD.lower(), *prefix]
            lines.append(
                Line(
                    label=" ".join([*prefix, *words]) or one.cell.workload,
                    workload=one.cell.workload,
                    simulated=results.header.simulated is not None,
                    series=one,
                    ranked=ranked,
                    fits=fits,
                )
            )
        found.append(Loaded(name=name, results=results, lines=lines))
    return found


def label_settings(cells: Sequence[Cell]) -> list[str]:
    """Names of the settings that differ inside some workload: those that a label must have."""
    names: dict[str, None] = {}
    for workload in dict.fromkeys(cell.workload for cell in cells):
        names |= dict.fromkeys(varying([cell for cell in cells if cell.workload == workload]))
    return list(names)


def settings_words(cell: Cell, shown: Sequence[str]) -> str:
    """`lock=mcs smt=off`; what speaks for itself (a lock, a strategy, a placement) stands without its name."""
    own = settings(cell)
    plain = ("lock", "strategy", "place")
    return " ".join(own[name] if name in plain else f"{name}={own[name]}" for name in shown if name in own)


def clean_rate(line: Line, index: int) -> float:
    """The median throughput of a cell of a line; NaN without a clean trial."""
    cell = line.series.cells[index]
    return cell.throughput.value if cell.clean else math.nan


def _names(every: Sequence[Results]) -> list[str]:
    names = [one.path.name.removesuffix(".jsonl") for one in every]
    return names if len(set(names)) == len(names) else [str(one.path) for one in every]


def _fits(series: Series, ranked: Ranked | None) -> CurveFits | None:
    """The model to draw: the best, or where they cannot be ranked the first that can be fitted at all."""
    if len({n for n, _ in series.points}) < 3:
        return None
    for name in (ranked.name,) if ranked else ("usl", "amdahl"):
        fits = fit_curve(
            [n for n, _ in series.points], [x for _, x in series.points], borders=series.borders, models=(name,)
        )
        if fits.models:
            return fits
    return None
