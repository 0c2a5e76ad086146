# SPDX-License-Identifier: Apache-2.0
"""The sections of a report below its first screen: charts, and the tables that a terminal shows."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from pybench.analysis.comparison.compare import compare, pairs_of_cells
from pybench.analysis.comparison.environment import facts_of
from pybench.analysis.comparison.verdicts import Compared
from pybench.errors import UsageError
from pybench.present import caveats
from pybench.present.charts import DrawnChart, drawn, kinds, marked
from pybench.present.charts.cells import scaling_lines
from pybench.present.charts.scaling import scaling_of
from pybench.present.charts.transfers import transfers_chart
from pybench.present.document import (
    Block,
    Column,
    Content,
    Drawing,
    Paragraph,
    Section,
    Table,
)
from pybench.present.labels import threads_word
from pybench.present.loaded import MOST_FITTED, Loaded
from pybench.present.numbers import UNKNOWN, count
from pybench.present.views.comparison import comparison
from pybench.present.views.fit import fit_blocks
from pybench.present.views.fit import legend as fit_legend
from pybench.present.views.sweep import legend, result_blocks
from pybench.present.views.transfers import distance_table, host_of, transfer_caveats
from pybench.results.latency_file import TransferFile
from pybench.results.latency_summary import summarize as summarize_transfers
from pybench.results.records import Trial, varying
from pybench.results.store import text_of
from pybench.run.checks import explain

# Axes compared, the most telling first; more make a page too long to read.
AXES_FIRST = ("place", "smt", "lock", "strategy", "crew")
MOST_AXES = 3
# Pairs of cells compared, of all axes together.
MOST_COMPARED = 150
MOST_INVALID = 200
LEADS = {
    "latency": "From the histograms of all valid trials of a cell together; the last point of a line is the "
    "longest.",
    "handoffs": "The tables under Results have shares and times by distance.",
    "evidence": "Invalid trials are kept and marked, and enter no result.",
}


def compare_all(files: Sequence[Loaded]) -> tuple[list[Compared], list[str]]:
    """Compare files with the first of them, or the axes of one file that vary, as `pybench compare` does.

    Also return, in words, what is left out: further axes, and those with more cells than a page holds.
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
) -> tuple[list[Section], list[DrawnChart]]:
    """Return the sections that these files have something for, and their charts."""
    views = [view for kind in kinds().values() if kind.section for view in _views(kind.name, files)]
    views += _scaling_views(files)
    views += [view for number, file in enumerate(transfers, 1) for view in _transfer_views(number, file)]
    of_section: dict[str, list[Block]] = defaultdict(list)
    for view in views:
        of_section[_section_of(view.id)].append(view.reference)
    made = [
        ("results", "Results", _results(files)),
        ("comparisons", "Comparisons", _comparisons(*compared)),
        ("latency", "Latency", []),
        ("fairness", "Fairness", []),
        ("handoffs", "Handoffs", []),
        ("phases", "Phases", []),
        ("launches", "Launch storms", []),
        ("transfers", "Core to core", _transfers(transfers)),
        ("evidence", "Evidence", _evidence(files)),
        ("environment", "Environment", _environment(files, transfers)),
        ("repeat", "Repeat it", _repeat(files, transfers, paths)),
    ]
    known = {name for name, _, _ in made}
    # A new chart may name a section of its own.
    made += [(name, name.capitalize(), []) for name in of_section if name not in known]
    found = [
        Section(title, [*of_section[name], *blocks], id=name, lead=LEADS.get(name, ""))
        for name, title, blocks in made
        if of_section[name] or blocks
    ]
    return found, views


def _section_of(view_id: str) -> str:
    name = view_id.partition("-")[0]
    if view_id in kinds():
        return kinds()[view_id].section
    return {"scaling": "results", "transfers": "transfers"}[name]


def _views(name: str, files: Sequence[Loaded]) -> list[DrawnChart]:
    kind = kinds()[name]
    return drawn(name, kind.title, partial(kind.draw, files), kind.note) if files else []


def _scaling_views(files: Sequence[Loaded]) -> list[DrawnChart]:
    """Return a chart for each workload where there are several, which have no common unit."""
    workloads = list(dict.fromkeys(line.workload for line in scaling_lines(files)))
    if len(workloads) < 2:
        return []
    return [
        found
        for name in workloads
        for found in drawn(
            f"scaling-{name}",
            f"{name}: throughput",
            partial(marked, partial(scaling_of, only=name), files),
        )
    ]


def _transfer_views(number: int, file: TransferFile) -> list[DrawnChart]:
    return drawn(
        f"transfers-{number}",
        "Core to core: one-way transfer of a cache line",
        partial(transfers_chart, file),
        host_of(file.header),
    )


def _per_file(files: Sequence[Loaded], what: str) -> Iterable[tuple[Loaded, str]]:
    """Return each file with the title of its part; a single file needs none."""
    return [(one, f"{what}: {one.name}" if len(files) > 1 else "") for one in files]


def _part(title: str, blocks: Sequence[Block], *, folded: bool) -> list[Block]:
    return [Section(title, blocks, folded=folded)] if title else list(blocks)


def _results(files: Sequence[Loaded]) -> list[Block]:
    parts: list[Block] = []
    for one, title in _per_file(files, "tables"):
        series = [line.series for line in one.lines]
        # Curves are put into words where they are fitted; of few, all are.
        fitted = [line for line in one.lines if line.fits and line.fits.models]
        described = [
            line.series.cells[0].index for line in one.lines if line.fits or len(one.lines) <= MOST_FITTED
        ]
        blocks = result_blocks(series, one.cells, one.results.trials, one.findings, described)
        lines = []
        if len(described) < len(one.lines):
            command = f"pybench fit {text_of(one.results.path)}"
            lines.append(f"Models of {len(described)} of the {len(one.lines)} curves; all: {command}")
        lines += caveats.left_out(one.results.header.plan.left_out)
        lines += [caveats.TRUNCATED] if one.results.truncated else []
        cells = [cell for line in one.lines for cell in line.series.cells]
        blocks += [*map(Paragraph, lines), legend(cells, simulated=one.results.header.simulated is not None)]
        parts += _part(title, blocks, folded=False)
        if fitted:
            models = [
                block for line in fitted if line.fits for block in fit_blocks(line.label, line.fits, drawn=False)
            ]
            parts += _part(
                "Scaling models of the curves, parameters and caveats", [*models, fit_legend()], folded=True
            )
    return parts


def _comparisons(compared: Sequence[Compared], left_out: Sequence[str]) -> list[Block]:
    parts: list[Block] = [
        Section(
            f"Along {one.axis}" if one.axis else "File against file",
            comparison(one).blocks,
            folded=number > 0,
        )
        for number, one in enumerate(compared)
    ]
    if left_out:
        parts.append(Paragraph("Left out to keep the page short; these commands print them:"))
        parts += map(Paragraph, left_out)
    return parts


def _transfers(transfers: Sequence[TransferFile]) -> list[Block]:
    parts: list[Block] = []
    for file in transfers:
        plan = file.header.plan
        parts.append(distance_table([summarize_transfers(file.trials, method) for method in plan.methods], plan))
        parts += map(Paragraph, transfer_caveats(file.trials))
    return parts


# ----------------------------------------------------------------------------------------------------- evidence


def _evidence(files: Sequence[Loaded]) -> list[Block]:
    parts: list[Block] = []
    for one, title in _per_file(files, "evidence"):
        trials = one.results.trials
        blocks: list[Block] = [_checks(trials)]
        if line := caveats.start_and_overlap(trials):
            blocks.append(Paragraph(line))
        blocks += _findings(one)
        parts += _part(title, blocks, folded=False)
        invalid = [trial for trial in trials if trial.flags or trial.figures is None]
        if invalid:
            parts += _part(f"The {len(invalid)} invalid trials", _invalid(one, invalid), folded=True)
    return parts


def _checks(trials: Sequence[Trial]) -> Table:
    """Return how many trials each validity check failed."""
    flagged = Counter(flag for trial in trials for flag in trial.flags)
    failed = Counter(
        trial.outcome.reason or trial.outcome.note or trial.outcome.status
        for trial in trials
        if trial.figures is None
    )
    what = "simulated, of" if any(trial.simulated for trial in trials) else "valid, of"
    rows: list[list[Content]] = [[sum(trial.valid for trial in trials), f"{what} {len(trials)}"]]
    rows += [[times, explain(flag)] for flag, times in flagged.most_common()]
    rows += [[times, f"no result: {reason}"] for reason, times in failed.most_common()]
    return Table("checks", [Column("trials", "number"), Column("validity")], rows)


def _findings(one: Loaded) -> list[Block]:
    """Return what the valid trials of a cell, or of the whole sweep, show together: two modes, a drift."""
    if not one.findings:
        return []
    labels = {cell.index: line.label for line in one.lines for cell in line.series.cells}
    rows: list[list[Content]] = []
    for finding in one.findings[:MOST_INVALID]:
        cell = None if finding.cell is None else one.cells[finding.cell]
        label = "all cells together" if finding.cell is None else labels[finding.cell]
        rows.append([label, cell.threads if cell else None, caveats.finding_words(finding)])
    columns = [Column("series"), Column("threads", "number"), Column("what its valid trials show together")]
    blocks: list[Block] = [Table("findings", columns, rows)]
    if len(one.findings) > MOST_INVALID:
        words = f"The first {MOST_INVALID} of {len(one.findings)}; the other cells are under Results."
        blocks.append(Paragraph(words))
    return blocks


INVALID = (
    Column("trial", "number"),
    Column("series"),
    Column("threads", "number"),
    Column("throughput"),
    Column("start skew", "time"),
    Column("overlap", "share2"),
    Column("off CPU", "share"),
    Column("steal", "share"),
    Column("load", "index"),
    Column("why"),
)


def _invalid(one: Loaded, invalid: Sequence[Trial]) -> list[Block]:
    labels = {cell.index: line.label for line in one.lines for cell in line.series.cells}
    rows: list[list[Content]] = []
    for trial in invalid[:MOST_INVALID]:
        seen = trial.evidence
        rows.append(
            [
                trial.sequence,
                labels.get(trial.cell, trial.workload),
                trial.threads,
                f"{count(trial.figures.throughput)}/s" if trial.figures else UNKNOWN,
                *(
                    [seen.start_skew_ns, seen.overlap, seen.off_cpu, seen.steal, seen.load]
                    if seen
                    else [UNKNOWN] * 5
                ),
                ", ".join(trial.flags) or trial.outcome.reason or trial.outcome.status,
            ]
        )
    blocks: list[Block] = [Table("invalid", INVALID, rows)]
    if len(invalid) > MOST_INVALID:
        by_cell: dict[tuple[str, int], int] = defaultdict(int)
        for trial in invalid:
            by_cell[labels.get(trial.cell, trial.workload), trial.threads] += 1
        most = sorted(by_cell.items(), key=lambda item: -item[1])[:MOST_INVALID]
        columns = [Column("trials", "number"), Column("series"), Column("threads")]
        rest: list[list[Content]] = [[times, label, threads_word(threads)] for (label, threads), times in most]
        blocks += [
            Paragraph(f"The first {MOST_INVALID} of {len(invalid)}; all of them by cell:"),
            Table("invalid by cell", columns, rest),
        ]
    return blocks


def _environment(files: Sequence[Loaded], transfers: Sequence[TransferFile]) -> list[Block]:
    parts: list[Block] = []
    for one, title in _per_file(files, "environment"):
        rows = [*facts_of(one.results.header), ("created", one.results.header.created)]
        table = Table("environment", [Column("fact"), Column("value")], rows)
        parts += _part(title, [table], folded=len(files) > 1)
    return parts + [Paragraph(f"latency: {host_of(file.header)}, {file.header.created}") for file in transfers]


def _repeat(files: Sequence[Loaded], transfers: Sequence[TransferFile], paths: Sequence[str]) -> list[Block]:
    lines = []
    for one in files:
        header = one.results.header
        seeded = any(word == "--seed" or word.startswith("--seed=") for word in header.command)
        lines.append(shlex.join([*header.command, *([] if seeded else ["--seed", str(header.plan.seed)])]))
    lines += [shlex.join(file.header.command) for file in transfers]
    lines.append(shlex.join(["pybench", "report", *paths]))
    title = "The same plan in the same order, then this page. A new --output keeps the old file."
    return [Drawing(lines, title=title)]
