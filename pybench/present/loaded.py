# SPDX-License-Identifier: Apache-2.0
"""Result files made ready to be shown: their series, named apart, with the model that describes each best."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from pybench.analysis.scaling.curves import BestFit, CurveFits
from pybench.analysis.summary.series import Series, summarize
from pybench.present.labels import settings, varying
from pybench.present.numbers import drawable
from pybench.present.provenance import SIMULATED
from pybench.results.columns import FileColumns, columns_of
from pybench.results.names import text_of
from pybench.results.records import Cell, Trial
from pybench.results.store import Results
from pybench.run.checks import Finding, cell_findings

MOST_FITTED = 8
"""Curves with a fit: more lines than that tell nobody anything, and each takes a tenth of a second."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One scaling curve as it is shown."""

    label: str
    """What tells it from the others of all files, and `simulated` if it is."""
    workload: str
    series: Series
    ranked: BestFit | None
    simulated: bool = False
    fits: CurveFits | None
    """The best model alone; None if there were too few thread counts, or too many curves."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep."""

    name: str
    """The file's name; what several files have in common is not taken off."""
    results: Results
    lines: list[Line]
    findings: list[Finding]
    """What the trials of whole cells, and of the whole sweep, show together."""
    columns: FileColumns
    """Its trials as arrays, by cell."""
    valid: dict[int, list[Trial]]
    """Its valid trials, by cell."""

    @property
    def cells(self) -> list[Cell]:
        """The plan's."""
        return self.results.header.plan.cells


def load(every: Sequence[Results]) -> list[Loaded]:
    """Summarise files and fit their curves; labels tell all curves of all files apart.

    UsageError: a file whose trials make no sense.
    """
    names = _names(every)
    findings = [cell_findings(one.trials) for one in every]
    summaries = [
        summarize(one.header.plan.cells, one.trials, one.header.topology, seen)
        for one, seen in zip(every, findings, strict=True)
    ]
    shown = label_settings([cell for one in every for cell in one.header.plan.cells])
    several = len({cell.workload for one in every for cell in one.header.plan.cells}) > 1
    chosen = _to_fit([one for series in summaries for one in series])
    found = []
    for name, results, series, seen in zip(names, every, summaries, findings, strict=True):
        lines = []
        for one in series:
            ranked = one.best() if id(one) in chosen else None
            words = [one.cell.workload] if several else []
            words += settings_words(one.cell, shown).split()
            prefix = [name] if len(every) > 1 else []
            if results.header.simulated:
                prefix = [SIMULATED.lower(), *prefix]
            lines.append(
                Line(
                    label=drawable(" ".join([*prefix, *words])) or one.cell.workload,
                    workload=one.cell.workload,
                    simulated=results.header.simulated is not None,
                    series=one,
                    ranked=ranked,
                    fits=ranked.fits if ranked else None,
                )
            )
        valid: dict[int, list[Trial]] = defaultdict(list)
        for trial in results.trials:
            if trial.valid:
                valid[trial.cell].append(trial)
        columns = columns_of(results)
        found.append(
            Loaded(name=name, results=results, lines=lines, findings=seen, columns=columns, valid=dict(valid))
        )
    return found


def _to_fit(every: Sequence[Series]) -> set[int]:
    """Identities of the curves that get a fit: best and worst of each workload, then the others in order."""
    curves = [one for one in every if len({n for n, _ in one.points}) >= 3]
    first: list[Series] = []
    for workload in dict.fromkeys(one.cell.workload for one in curves):
        # Points are ascending by threads, and all trials of a cell come together.
        ranked = sorted((one for one in curves if one.cell.workload == workload), key=_last)
        first += [ranked[-1], ranked[0]]
    return {id(one) for one in list({id(one): one for one in [*first, *curves]}.values())[:MOST_FITTED]}


def _last(series: Series) -> float:
    """The median throughput at the most threads of a curve."""
    return [cell.throughput.value for cell in series.cells if cell.valid][-1]


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


def _names(every: Sequence[Results]) -> list[str]:
    names = [text_of(one.path.name).removesuffix(".jsonl") for one in every]
    return names if len(set(names)) == len(names) else [text_of(one.path) for one in every]
