# SPDX-License-Identifier: Apache-2.0
"""A sweep: its plan, the first result of each cell while it runs, and its results as a table for each workload,
the scaling of its curves in words, and caveats."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

from pybench.analysis.diagnosis.patterns import Pattern, cell_patterns
from pybench.analysis.scaling.thread_counts import LEVELS_TO_COMPARE, too_few
from pybench.analysis.summary.series import CellSummary, Series, summarize
from pybench.plan.request import show_duration
from pybench.present import caveats
from pybench.present.document import (
    Block,
    Column,
    Content,
    Document,
    Figure,
    Heading,
    Paragraph,
    Span,
    Table,
    note,
)
from pybench.present.labels import (
    DISTANCE_WORDS,
    SIMULATED,
    banner,
    describe_host,
    group_cells,
    group_columns,
    model_words,
    threads_word,
)
from pybench.present.numbers import UNKNOWN, count, time_ns
from pybench.results.records import Cell, Plan, Trial, settings, varying
from pybench.results.store import EMULATED_NOTE, Results, is_emulated, text_of
from pybench.text import format_list
from pybench.workloads import workload

# A longer list of CPUs is cut.
MOST_CPUS = 28


def plan_view(plan: Plan, lines: Sequence[str], title: str = "") -> Document:
    """Return the cells of a plan and why others are left out, below a title and above further lines."""
    names = [name for name in varying(plan.cells) if name not in ("place", "smt")]
    columns = [
        Column("workload"),
        Column("threads", "number"),
        *map(Column, ("place", "smt", *names, "CPUs")),
    ]
    rows: list[list[Content]] = []
    for cell in plan.cells:
        own = settings(cell)
        cpus = format_list(cell.cpus)
        cpus = cpus if len(cpus) < MOST_CPUS else f"{cpus[: MOST_CPUS - 4].rpartition(',')[0]},..."
        threads = Figure(cell.threads, mark="*") if cell.oversubscribed else cell.threads
        rows.append([cell.workload, threads, cell.place, cell.smt, *(own.get(name, "") for name in names), cpus])
    every = [*caveats.left_out(plan.left_out), *lines]
    return Document([Table("plan", columns, rows, title=title), *map(Paragraph, every)])


def first_result(trial: Trial, shown: Sequence[str]) -> str:
    """Return one line on a cell's first trial, before there can be an interval; `shown` names what varies."""
    kind = workload(trial.workload)
    own = {name: str(value) for name, value in trial.params.items()} | {"smt": trial.smt, "crew": trial.crew}
    varied = " ".join(f"{name}={own[name]}" for name in shown if name in own)
    where = f"{trial.workload:6} {threads_word(trial.threads):>10}  {trial.place}  {varied}".rstrip()
    if trial.figures is None:
        return f"  {where}: {trial.outcome.status}: {trial.outcome.reason}"
    flags = f"  (invalid: {', '.join(trial.flags)})" if trial.flags else ""
    return f"  {where}  {count(trial.figures.throughput)} {kind.operation}/s{flags}"


def budget_words(plan: Plan, least_ns: int, most_ns: int) -> str:
    """Return how many trials a plan has and how long it takes, in words."""
    bounds = [min(ns, plan.budget_ns or ns) for ns in (least_ns, most_ns)]
    times = " to ".join(show_duration(ns) for ns in bounds)
    if plan.budget_ns:
        times += f" (budget {show_duration(plan.budget_ns)})"
    own_end = all(workload(cell.workload).typical_ns for cell in plan.cells)
    length = "" if own_end else f" of {show_duration(plan.duration_ns)}"
    return (
        f"{len(plan.cells)} cells, {plan.min_trials} to {plan.max_trials} trials{length} each, "
        f"until the interval is within {plan.target:.0%}: {times}"
    )


COLUMNS = (
    Column("threads", "number"),
    Column("ops/s", "rate"),
    Column("speedup", "ratio"),
    Column("p50", "time"),
    Column("p99", "time"),
    Column("max", "time"),
    Column("Jain", "index"),
    Column("valid", "fraction"),
)
HANDOFFS = (
    Column("threads", "number", once=True),
    Column("next owner"),
    Column("share", "share"),
    Column("handoff", "time"),
    Column("line transfers", "ratio"),
    Column("reacquired", "share"),
    Column("longest streak", "count"),
    Column("longest wait", "time"),
)
OF_DRAWS = (
    f"{SIMULATED}: medians over draws of the uncertain inputs, with the central 95 % of draws (of few draws: "
    "nearly all), which hold only if the model does"
)
OF_TRIALS = "Medians over the valid trials, with their 95 % intervals"


def sweep(results: Results) -> Document:
    """Return a result file as `pybench show` prints it."""
    header = results.header
    series = summarize(header.plan.cells, results.trials, header.topology)
    blocks: list[Block] = [
        Paragraph(line, tone="strong" if header.simulated else "")
        for line in (banner(header) or describe_host(header)).splitlines()
    ]
    if is_emulated(header.host):
        blocks.append(Paragraph(EMULATED_NOTE, tone="strong"))
    blocks += result_blocks(series, header.plan.cells, results.trials)
    lines = []
    if together := caveats.start_and_overlap(results.trials):
        lines.append(together)
    if any(one.levels >= LEVELS_TO_COMPARE for one in series):
        lines.append(f"All models, with intervals and caveats: pybench fit {text_of(results.path)}")
    lines += caveats.left_out(header.plan.left_out)
    if results.truncated:
        lines.append(caveats.TRUNCATED)
    blocks += [Paragraph(line) for line in lines]
    blocks.append(legend([cell for one in series for cell in one.cells], simulated=header.simulated is not None))
    return Document(blocks, title=text_of(results.path))


def result_blocks(
    series: Sequence[Series],
    cells: Sequence[Cell],
    trials: Sequence[Trial],
    findings: Sequence[Pattern] | None = None,
    described: Collection[int] | None = None,
) -> list[Block]:
    """Return a table for each workload, its curves in words, then caveats.

    `findings`: those of `cell_patterns`, if known. `described`: the first cells of the curves to put into words;
    None: all.
    """
    blocks: list[Block] = []
    simulated = any(trial.simulated for trial in trials)
    for name, group in groupby(series, key=lambda s: s.cell.workload):
        own = [cell for cell in cells if cell.workload == name]
        if workload(name).ends_by_itself:
            # A sweep without storms does without this view's files.
            from pybench.present.views.launch import launch_blocks

            shown, same = _settings_of(own, [*varying(own), *_threads_varying(own)])
            blocks += launch_blocks(cells, trials, same, shown)
        else:
            blocks += _workload_blocks(list(group), described, simulated=simulated)
    every = [cell for one in series for cell in one.cells]
    lines = [
        *caveats.on_cells(every, simulated=simulated),
        *(
            f"All cells together: {caveats.finding_words(finding)}"
            for finding in (cell_patterns(trials) if findings is None else findings)
            if finding.cell is None
        ),
    ]
    return blocks + [Paragraph(line) for line in lines]


def _threads_varying(cells: Sequence[Cell]) -> list[str]:
    return ["threads"] if len({cell.threads for cell in cells}) > 1 else []


def _settings_of(cells: Sequence[Cell], shown: list[str]) -> tuple[list[str], str]:
    """Return the names of the settings that vary, and the others in words, without quiet defaults."""
    kind = workload(cells[0].workload)
    quiet = {p.name: str(p.default) for p in kind.parameters if p.quiet}
    same = {
        name: value
        for name, value in settings(cells[0]).items()
        if name not in shown and (name == "place" or value not in ("", "0", quiet.get(name)))
    }
    if kind.ends_by_itself and "threads" not in shown:
        same["threads"] = str(cells[0].threads)
    return shown, " ".join(f"{key}={value}" for key, value in same.items())


def _workload_blocks(series: list[Series], described: Collection[int] | None, *, simulated: bool) -> list[Block]:
    cells = [summary.cell for one in series for summary in one.cells]
    name = cells[0].workload
    kind = workload(name)
    shown, constant = _settings_of(cells, varying(cells))
    rows: list[list[Content]] = []
    notes: dict[int, list[Span]] = {}
    for one in series:
        rows += [[*group_cells(cell.cell, shown), *_row(cell)] for cell in one.cells]
        if described is None or one.cells[0].index in described:
            notes[len(rows) - 1] = [Span(line) for line in _curve_lines(one, simulated=simulated)]
    return [
        Heading(f"{SIMULATED} {name}" if simulated else name, kind.summary),
        note(f"ops are {kind.operation}; {constant}"),
        Table("cells", [*group_columns(shown), *COLUMNS], rows, notes=notes),
        *_phase_blocks(series, shown),
        *_handoff_blocks(series, shown, simulated=simulated),
    ]


def _row(summary: CellSummary) -> list[Content]:
    step = summary.timer_step_ns
    threads = summary.cell.threads
    return [
        Figure(threads, mark="*") if summary.cell.oversubscribed else threads,
        summary.throughput,
        summary.speedup,
        Figure(summary.p50_ns, least=step),
        Figure(summary.p99_ns, least=step),
        Figure(summary.max_ns, least=step),
        summary.jain if summary.valid else UNKNOWN,
        (summary.valid, summary.trials),
    ]


def _phase_blocks(series: Sequence[Series], shown: Sequence[str]) -> list[Block]:
    """Return the table of mean time by phase, and of CPU time where it was read; one phase needs no table."""
    cells = [summary for one in series for summary in one.cells if summary.valid]
    names = list(cells[0].phases) if cells else []
    if len(names) < 2:
        return []
    columns = [*group_columns(shown), Column("threads", "number")]
    for name in names:
        columns += [Column(name, "time"), Column(f"{name} on CPU", "time", optional=True)]
    rows: list[list[Content]] = []
    for cell in cells:
        row: list[Content] = [*group_cells(cell.cell, shown), cell.cell.threads]
        for name in names:
            wall, cpu = cell.phases[name]
            row += [Figure(wall, least=cell.timer_step_ns / 10), cpu if cpu.n else None]
        rows.append(row)
    return [Table("phases", columns, rows, title="Mean time per operation, by phase")]


def _handoff_blocks(series: Sequence[Series], shown: Sequence[str], *, simulated: bool = False) -> list[Block]:
    """Return a table with rows by thread count and distance; nothing if no cell recorded handoffs."""
    cells = [summary for one in series for summary in one.cells if summary.handoffs]
    rows: list[list[Content]] = []
    worst = 0.0
    for cell in cells:
        seen = cell.handoffs
        if seen is None:
            continue
        worst = max(worst, seen.longest_gap_ns.value)
        of_cell: list[Content] = [
            seen.kept.value,
            seen.longest_streak.value,
            Figure(seen.longest_wait_ns.value, least=cell.timer_step_ns),
        ]
        for place, distance in enumerate(seen.distances):
            rows.append(
                [
                    *group_cells(cell.cell, shown),
                    cell.cell.threads,
                    DISTANCE_WORDS[distance.distance],
                    distance.share.value,
                    Figure(distance.mean_ns, least=cell.timer_step_ns / 10),
                    distance.transfers,
                    *([None] * 3 if place else of_cell),
                ]
            )
    if not rows:
        return []
    transfers = "in the model" if simulated else "measured between rounds"
    return [
        Table("handoffs", [*group_columns(shown), *HANDOFFS], rows, title="Handoffs by distance"),
        note(
            "handoff: from the release until the next owner holds the guarded line. line transfers: the handoff "
            f"divided by the time of one line transfer {transfers}. reacquired: share of operations whose thread "
            "was the previous owner too. longest streak: most operations in a row of one thread. longest wait: of "
            f"the timed operations; no wait, timed or not, exceeded {time_ns(worst)}."
        ),
    ]


def _curve_lines(series: Series, *, simulated: bool) -> Iterator[str]:
    """Yield the best scaling model of one curve in words. One thread count is not a curve."""
    if len({summary.cell.threads for summary in series.cells}) < 2:
        return
    best = series.best()
    if best is None:
        lines = [f"No fit: {too_few(series.levels)}"]
    else:
        lines = model_words(best.fit)
        if best.weight is not None:
            title = best.fit.title
            lines.insert(0, f"Best model: {title} ({best.weight:.0%} of the Akaike weight; next {best.second}).")
    yield from (line.replace("measurements", "simulations") if simulated else line for line in lines)


def legend(cells: Sequence[CellSummary], *, simulated: bool = False) -> Paragraph:
    """Return a note on what the columns mean."""
    kinds = {cell.cell.workload: workload(cell.cell.workload) for cell in cells}
    over = OF_DRAWS if simulated else OF_TRIALS
    if kinds and all(kind.ends_by_itself for kind in kinds.values()):
        return note(
            f"{over}. time each: time of the storm divided by its containers. p50, p99, max: latency of one "
            "launch from its arrival. success: share launched within the deadline. mounts: longest mount table, "
            "minus the mounts that were there before."
        )
    phases = ", ".join(f"one {kind.latency} ({name})" for name, kind in kinds.items())
    return note(
        f"{over}; speedup is over the fewest threads. p50, p99, max: latency of {phases}. "
        "Jain: fairness index; 1 is fair, 1/threads is one thread taking all. valid: valid trials of all trials."
    )
