# SPDX-License-Identifier: Apache-2.0
"""The parts of a report below its first screen: charts, and the very tables that a terminal shows."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pybench.analysis.comparison.compare import compare, pairs_of_cells
from pybench.analysis.comparison.compared import Compared
from pybench.analysis.comparison.environment import facts_of
from pybench.errors import UsageError
from pybench.present import chart_maps, charts
from pybench.present.blocks import Block, blocks
from pybench.present.charts import Chart
from pybench.present.labels import threads_word, varying
from pybench.present.loaded import MOST_FITTED, Loaded
from pybench.present.numbers import count, time_ns
from pybench.present.views.comparison import compare_report
from pybench.present.views.fit import fit_legend, fit_report
from pybench.present.views.sweep import evidence_line, finding_words, legend, result_tables
from pybench.present.views.transfers import class_table, complaints, host_of
from pybench.results.names import text_of
from pybench.results.records import Trial
from pybench.results.transfer_figures import summarize as summarize_transfers
from pybench.results.transfers import TransferFile
from pybench.run.checks import explain

# Axes compared, the most telling first; more are pages that nobody reads.
AXES_FIRST = ("place", "smt", "lock", "strategy", "crew")
MOST_AXES = 3
# Cells compared, of all axes together; a page with more is longer than its reader's patience.
MOST_COMPARED = 150
MOST_FLAGGED = 200


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A chart with its place on the page."""

    id: str
    title: str
    chart: Chart
    note: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Tables and texts, folded away below a title if they have one."""

    blocks: list[Block]
    title: str = ""
    open: bool = False


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the page."""

    id: str
    title: str
    lead: str = ""
    charts: list[View] = []
    groups: list[Group] = []


def compare_all(files: Sequence[Loaded]) -> tuple[list[Compared], list[str]]:
    """Files with the first of them, or the axes of one file that differ, as `pybench compare` does.

    And what is left out, in words: further axes, and those with more cells than a page holds.
    """
    sides = [[one.columns] for one in files]
    names = [name for one in files for name in _axes(one)]
    axes = sorted(dict.fromkeys(names), key=_rank)
    found: list[Compared] = []
    left_out: list[str] = []
    room = MOST_COMPARED
    for axis in [*([""] if len(files) > 1 else []), *axes]:
        what = f"Along {axis}" if axis else "File against file"
        paths = [text_of(one.results.path) for one in files]
        words = shlex.join(["pybench", "compare", *paths, *(["--axis", axis] if axis else [])])
        try:
            cells = pairs_of_cells(sides, axis)
            if not cells:
                continue
            if cells <= room and sum(bool(one.axis) for one in found) < MOST_AXES:
                room -= cells
                found.append(compare(sides, axis=axis, distributions=False))
            else:
                left_out.append(f"{what}: {cells} pairs of cells: {words}")
        except UsageError:  # no cell has a partner
            continue
    return found, left_out


def _axes(one: Loaded) -> list[str]:
    names: dict[str, None] = {}
    for workload in dict.fromkeys(cell.workload for cell in one.cells):
        names |= dict.fromkeys(varying([cell for cell in one.cells if cell.workload == workload]))
    return [name for name in names if name != "containers"]


def _rank(axis: str) -> int:
    return AXES_FIRST.index(axis) if axis in AXES_FIRST else len(AXES_FIRST)


def sections(
    files: Sequence[Loaded],
    transfers: Sequence[TransferFile],
    compared: tuple[Sequence[Compared], Sequence[str]],
    paths: Sequence[str],
) -> list[Section]:
    """All sections that these files have something for; `compared` is what `compare_all` found."""
    found = [
        _figures(files),
        _comparisons(*compared),
        _latency(files),
        _fairness(files),
        _handoffs(files),
        _phases(files),
        _launches(files),
        _transfers(transfers),
        _evidence(files),
        _environment(files, transfers),
        _repeat(files, transfers, paths),
    ]
    return [section for section in found if section.charts or section.groups]


def view(name: str, title: str, make: Callable[[], Chart], note: str = "") -> list[View]:
    """A chart, or none where the files have nothing for it."""
    try:
        return [View(id=name, title=title, chart=make(), note=note)]
    except ValueError:
        return []


def _names(files: Sequence[Loaded], what: str) -> Iterable[tuple[Loaded, str]]:
    """Each file with the title of its group; a single one needs none."""
    return [(one, f"{what}: {one.name}" if len(files) > 1 else "") for one in files]


def _figures(files: Sequence[Loaded]) -> Section:
    views, groups = [], []
    workloads = list(dict.fromkeys(line.workload for line in charts.scaling_lines(files)))
    if len(workloads) > 1:
        for name in workloads:
            views += view(f"scaling-{name}", f"{name}: throughput", partial(charts.scaling_chart, files, name))
    for one, title in _names(files, "tables"):
        series = [line.series for line in one.lines]
        # What a curve says is told of those that are fitted; of few, of all.
        fitted = [line for line in one.lines if line.fits and line.fits.models]
        described = [
            line.series.cells[0].index for line in one.lines if line.fits or len(one.lines) <= MOST_FITTED
        ]
        tables = result_tables(series, one.cells, one.results.trials, one.findings, described)
        parts: list[RenderableType] = list(tables)
        if len(described) < len(one.lines):
            words = f"pybench fit {one.results.path}"
            parts.append(Text(f"Models of {len(described)} of the {len(one.lines)} curves; of all: {words}"))
        parts += [Text(f"left out: {reason}") for reason in one.results.header.plan.left_out]
        if one.results.truncated:
            parts.append(Text("The file's last line broke off and is left out."))
        cells = [cell for line in one.lines for cell in line.series.cells]
        parts.append(Text(legend(cells, simulated=one.results.header.simulated is not None), style="dim"))
        groups.append(Group(blocks=blocks(parts), title=title, open=True))
        if fitted:
            parts = [fit_report(line.label, line.fits) for line in fitted if line.fits]
            told = [
                block for block in blocks([*parts, Text(fit_legend(), style="dim")]) if block.kind != "drawing"
            ]
            groups.append(Group(blocks=told, title="Scaling models of the curves, parameters and doubts"))
    return Section(id="figures", title="Figures", charts=views, groups=groups)


def _comparisons(compared: Sequence[Compared], left_out: Sequence[str]) -> Section:
    groups = [
        Group(
            blocks=blocks(compare_report(one)),
            title=f"Along {one.axis}" if one.axis else "File against file",
            open=number == 0,
        )
        for number, one in enumerate(compared)
    ]
    if left_out:
        words = [Text("Not on this page, to keep it readable; these commands print them:"), *map(Text, left_out)]
        groups.append(Group(blocks=blocks(words)))
    return Section(id="comparisons", title="Comparisons", groups=groups)


def _latency(files: Sequence[Loaded]) -> Section:
    return Section(
        id="latency",
        title="Latency",
        lead="From the histograms of all valid trials of a cell together; the last point of a line is the longest.",  # noqa: E501
        charts=view("latency", "Latency by percentile", lambda: charts.latency_chart(files)),
    )


def _fairness(files: Sequence[Loaded]) -> Section:
    views = view(
        "fairness",
        "Fairness over threads",
        lambda: charts.fairness_chart(files),
        "dotted: one thread takes all",
    )
    views += view("shares", "Who gets how much", lambda: charts.shares_chart(files), "medians over valid trials")
    return Section(id="fairness", title="Fairness", charts=views)


def _handoffs(files: Sequence[Loaded]) -> Section:
    return Section(
        id="handoffs",
        title="Handoffs",
        lead="Who gets the lock next. The tables under Figures have shares and times by distance.",
        charts=view(
            "handoffs", "Handoffs from thread to thread", lambda: chart_maps.handoff_chart(files), "valid trials"
        ),
    )


def _phases(files: Sequence[Loaded]) -> Section:
    return Section(
        id="phases",
        title="Phases",
        charts=view("phases", "Mean time of each phase", lambda: chart_maps.phases_chart(files)),
    )


def _launches(files: Sequence[Loaded]) -> Section:
    views = view("launch", "Time for each container", lambda: chart_maps.launch_chart(files), "95 % intervals")
    views += view(
        "launch-phases", "Where one container's time goes", lambda: chart_maps.launch_phases_chart(files)
    )
    views += view(
        "timeline", "Mount table over one storm", lambda: chart_maps.timeline_chart(files), "most containers"
    )
    return Section(id="launches", title="Launch storms", charts=views)


def _transfers(transfers: Sequence[TransferFile]) -> Section:
    views, groups = [], []
    for number, file in enumerate(transfers, 1):
        views += view(
            f"transfers-{number}",
            "Core to core: one-way transfer of a cache line",
            partial(chart_maps.transfers_chart, file),
            host_of(file.header),
        )
        plan = file.header.plan
        table = class_table([summarize_transfers(file.trials, method) for method in plan.methods], plan)
        parts: list[RenderableType] = [table, *(Text(line) for line in complaints(file.trials))]
        groups.append(Group(blocks=blocks(parts)))
    return Section(id="transfers", title="Core to core", charts=views, groups=groups)


# ----------------------------------------------------------------------------------------------------- evidence


def _evidence(files: Sequence[Loaded]) -> Section:
    groups: list[Group] = []
    for one, title in _names(files, "evidence"):
        trials = one.results.trials
        parts: list[RenderableType] = [_checks(trials)]
        if line := evidence_line(trials):
            parts.append(Text(line))
        parts += _together(one)
        invalid = [trial for trial in trials if trial.flags or trial.figures is None]
        groups.append(Group(blocks=blocks(parts), title=title, open=True))
        if invalid:
            groups.append(
                Group(blocks=blocks(_invalid(one, invalid)), title=f"The {len(invalid)} trials kept out")
            )
    return Section(
        id="evidence",
        title="Evidence",
        lead="A trial that was disturbed is kept and marked, and enters no figure.",
        charts=view(
            "trials",
            "Every trial",
            lambda: charts.trials_chart(files),
            f"at most {charts.MOST_POINTS}, evenly taken; flagged first",
        ),
        groups=groups,
    )


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table()
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left")
    return table


def _checks(trials: Sequence[Trial]) -> Table:
    """How many trials each check kept out."""
    flagged = Counter(flag for trial in trials for flag in trial.flags)
    failed = Counter(
        trial.outcome.reason or trial.outcome.note or trial.outcome.status
        for trial in trials
        if trial.figures is None
    )
    table = _table("trials", "what happened", right=["trials"])
    what = "simulated, of" if any(trial.simulated for trial in trials) else "valid, of"
    table.add_row(str(sum(trial.valid for trial in trials)), f"{what} {len(trials)}")
    for flag, times in flagged.most_common():
        table.add_row(str(times), Text(explain(flag)))
    for reason, times in failed.most_common():
        table.add_row(str(times), Text(f"no figure: {reason}"))
    return table


def _together(one: Loaded) -> list[RenderableType]:
    """What the valid trials of a cell, or of the whole sweep, show together: two modes, a drift."""
    if not one.findings:
        return []
    labels = {cell.index: line.label for line in one.lines for cell in line.series.cells}
    table = _table("series", "threads", "what its valid trials show together", right=["threads"])
    for finding in one.findings[:MOST_FLAGGED]:
        cell = None if finding.cell is None else one.cells[finding.cell]
        label = "all cells together" if finding.cell is None else labels[finding.cell]
        table.add_row(Text(label), str(cell.threads) if cell else "", Text(finding_words(finding)))
    parts: list[RenderableType] = [table]
    if len(one.findings) > MOST_FLAGGED:
        parts.append(Text(f"The first {MOST_FLAGGED} of {len(one.findings)}; the other cells are under Figures."))
    return parts


def _invalid(one: Loaded, invalid: Sequence[Trial]) -> list[RenderableType]:
    labels = {cell.index: line.label for line in one.lines for cell in line.series.cells}
    numbers = ["trial", "threads", "throughput", "start skew", "ran together", "off CPU", "steal", "load"]
    table = _table(*numbers[:1], "series", *numbers[1:], "why", right=numbers)
    for trial in invalid[:MOST_FLAGGED]:
        seen = trial.evidence
        told = (
            [time_ns(seen.start_skew_ns), f"{seen.overlap:.2%}", f"{seen.off_cpu:.1%}", f"{seen.steal:.1%}"]
            if seen
            else ["-"] * 4
        )
        table.add_row(
            str(trial.sequence),
            Text(labels.get(trial.cell, trial.workload)),
            str(trial.threads),
            f"{count(trial.figures.throughput)}/s" if trial.figures else "-",
            *told,
            f"{seen.load:.2f}" if seen else "-",
            Text(", ".join(trial.flags) or trial.outcome.reason or trial.outcome.status),
        )
    parts: list[RenderableType] = [table]
    if len(invalid) > MOST_FLAGGED:
        by_cell: dict[tuple[str, int], int] = defaultdict(int)
        for trial in invalid:
            by_cell[labels.get(trial.cell, trial.workload), trial.threads] += 1
        parts.append(Text(f"The first {MOST_FLAGGED} of {len(invalid)}; all of them by cell:"))
        rest = _table("trials", "series", "", right=["trials"])
        for (label, threads), times in sorted(by_cell.items(), key=lambda item: -item[1])[:MOST_FLAGGED]:
            rest.add_row(str(times), Text(label), threads_word(threads))
        parts.append(rest)
    return parts


def _environment(files: Sequence[Loaded], transfers: Sequence[TransferFile]) -> Section:
    groups = []
    for one, title in _names(files, "environment"):
        table = _table("fact", "value")
        for what, value in facts_of(one.results.header):
            table.add_row(Text(what), Text(value))
        table.add_row("created", Text(one.results.header.created))
        groups.append(Group(blocks=blocks([table]), title=title, open=len(files) == 1))
    for file in transfers:
        groups.append(Group(blocks=blocks([Text(f"latency: {host_of(file.header)}, {file.header.created}")])))
    return Section(id="environment", title="Environment", groups=groups)


def _repeat(files: Sequence[Loaded], transfers: Sequence[TransferFile], paths: Sequence[str]) -> Section:
    lines = []
    for one in files:
        header = one.results.header
        seeded = any(word == "--seed" or word.startswith("--seed=") for word in header.command)
        named = list(header.command)
        lines.append(shlex.join([*named, *([] if seeded else ["--seed", str(header.plan.seed)])]))
    lines += [shlex.join(file.header.command) for file in transfers]
    lines.append(shlex.join(["pybench", "report", *paths]))
    return Section(
        id="repeat",
        title="Repeat it",
        lead="The same plan in the same order, then this page. A new --output keeps the old file.",
        groups=[Group(blocks=[Block(kind="drawing", lines=lines)])],
    )
