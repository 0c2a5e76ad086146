# SPDX-License-Identifier: Apache-2.0
"""Result files ready to be shown: their curves with distinct labels and the best scaling model of each."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from pybench.analysis.diagnosis.patterns import Pattern, cell_patterns
from pybench.analysis.scaling.best_fit import BestFit
from pybench.analysis.scaling.curve_fits import CurveFits
from pybench.analysis.summary.launches import LaunchSummary, summarize_launches
from pybench.analysis.summary.series import Series, summarize
from pybench.present.labels import BARE, SIMULATED, is_storm
from pybench.present.numbers import drawable
from pybench.results.columns import FileColumns, columns_of
from pybench.results.records import Cell, Trial, label, label_settings
from pybench.results.store import Results, text_of

MOST_FITTED = 8
"""Curves with a fit: more lines cannot be read, and each takes a tenth of a second."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One scaling curve as it is shown."""

    label: str
    """What distinguishes it from the other lines of all files; begins with `simulated` if it is."""
    workload: str
    series: Series
    ranked: BestFit | None
    simulated: bool = False
    fits: CurveFits | None
    """The best model; None with too few thread counts, or too many curves."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep."""

    name: str
    """The file's name."""
    results: Results
    lines: list[Line]
    findings: list[Pattern]
    """Modes and drifts of cells, and of the whole sweep."""
    columns: FileColumns
    """Its trials as arrays, by cell."""
    valid: dict[int, list[Trial]]
    """Its valid trials, by cell."""

    @property
    def cells(self) -> list[Cell]:
        """The cells of the plan."""
        return self.results.header.plan.cells


def load(every: Sequence[Results]) -> list[Loaded]:
    """Summarize files and fit their curves; labels are distinct over all files. UsageError: invalid trials."""
    names = _names(every)
    findings = [cell_patterns(one.trials) for one in every]
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
            words += label(one.cell, shown, bare=BARE).split()
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
    """Return the identities of the curves to fit: best and worst of each workload, then the others in order."""
    curves = [one for one in every if len({n for n, _ in one.points}) >= 3]
    first: list[Series] = []
    for workload in dict.fromkeys(one.cell.workload for one in curves):
        # Points are ascending by threads, and all trials of a cell come together.
        ranked = sorted((one for one in curves if one.cell.workload == workload), key=_last)
        first += [ranked[-1], ranked[0]]
    return {id(one) for one in list({id(one): one for one in [*first, *curves]}.values())[:MOST_FITTED]}


def _last(series: Series) -> float:
    """Return the median throughput at the largest thread count of a curve."""
    return [cell.throughput.value for cell in series.cells if cell.valid][-1]


def _names(every: Sequence[Results]) -> list[str]:
    names = [text_of(one.path.name).removesuffix(".jsonl") for one in every]
    return names if len(set(names)) == len(names) else [text_of(one.path) for one in every]


def launch_summaries(
    files: Sequence[Loaded],
) -> list[tuple[str, LaunchSummary, list[Trial]]]:
    """Return label (without the number of containers), summary and trials of each measured launch cell."""
    found = []
    cells: list[Cell] = [cell for one in files for cell in one.cells if is_storm(cell)]
    shown = [name for name in label_settings(cells) if name != "containers"] if cells else []
    if len({cell.threads for cell in cells}) > 1:
        shown.append("threads")
    for one in files:
        by_cell: dict[int, list[Trial]] = defaultdict(list)
        for trial in one.results.trials:
            by_cell[trial.cell].append(trial)
        for index, cell in enumerate(one.cells):
            if not is_storm(cell):
                continue
            summary = summarize_launches(cell, by_cell[index])
            if summary:
                words = label(cell, [name for name in shown if name != "threads"], bare=BARE)
                words += f" threads={cell.threads}" if "threads" in shown else ""
                prefix = f"{one.name} " if len(files) > 1 else ""
                found.append((drawable(f"{prefix}{words}".strip()) or "launch", summary, by_cell[index]))
    return found
