# SPDX-License-Identifier: Apache-2.0
"""Tables and sentences for the terminal: 80 columns are enough, and colour is never needed to read them."""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pybench.analysis.scaling.curves import too_few
from pybench.analysis.summary.series import CellSummary, Series
from pybench.present.labels import settings, threads_word, varying
from pybench.present.numbers import UNKNOWN, count, counted, ratio, time_ns, timed
from pybench.present.provenance import SIMULATED
from pybench.present.views.fit import model_words
from pybench.present.views.handoffs import handoff_table
from pybench.present.views.launch import launch_report
from pybench.results.records import Cell, Trial
from pybench.run.checks import Finding, cell_findings, explain
from pybench.workloads import workload

# Name and width of each column: with margins they fill 80.
COLUMNS = (
    ("threads", 7),
    ("ops/s", 11),
    ("speedup", 10),
    ("p50", 12),
    ("p99", 12),
    ("max", 12),
    ("Jain", 4),
    ("valid", 5),
)


# Stands instead of the words on intervals of measurements.
DRAWN = (
    f"{SIMULATED}: medians over draws of the uncertain inputs, with the central 95 % of draws (of few draws: "
    "nearly all), which hold only if the model does"
)


def _settings_of(cells: Sequence[Cell]) -> tuple[list[str], str]:
    """Names of what varies, and the rest in words; what is nothing or zero need not be said."""
    shown = varying(cells)
    if len({cell.threads for cell in cells}) > 1 and cells[0].workload == "launch":
        shown.append("threads")
    quiet = {p.name: str(p.default) for p in workload(cells[0].workload).parameters if p.quiet}
    same = {
        name: value
        for name, value in settings(cells[0]).items()
        if name not in shown and (name == "place" or value not in ("", "0", quiet.get(name)))
    }
    if cells[0].workload == "launch" and "threads" not in shown:
        same["threads"] = str(cells[0].threads)
    return shown, " ".join(f"{key}={value}" for key, value in same.items())


def result_tables(
    series: Sequence[Series],
    cells: Sequence[Cell],
    trials: Sequence[Trial],
    findings: Sequence[Finding] | None = None,
    described: Collection[int] | None = None,
) -> Iterable[RenderableType]:
    """A table a workload, then its curves in words, then what was flagged or failed.

    `findings` are those of `cell_findings` if they are known; `described` the first cells of the curves to put
    into words: all, unless it is given.
    """
    for name, group in groupby(series, key=lambda s: s.cell.workload):
        simulated = any(trial.simulated for trial in trials)
        if name == "launch":
            shown, same = _settings_of([cell for cell in cells if cell.workload == name])
            yield launch_report(cells, trials, same, shown)
        else:
            yield _workload_table(name, list(group), described, simulated=simulated)
    drawn = any(trial.simulated for trial in trials)
    yield from _complaints([cell for one in series for cell in one.cells], simulated=drawn)
    for finding in cell_findings(trials) if findings is None else findings:
        if finding.cell is None:
            yield Text(f"all cells together: {finding_words(finding)}")


def _workload_table(
    name: str, series: list[Series], described: Collection[int] | None, *, simulated: bool
) -> RenderableType:
    kind = workload(name)
    shown, constant = _settings_of([summary.cell for one in series for summary in one.cells])
    title = Text(f"{SIMULATED} {name}" if simulated else name, style="bold")
    title.append(f"  {kind.summary}\n", style="not bold")
    title.append(f"  ops are {kind.operation}; {constant}", style="dim not bold")
    parts: list[RenderableType] = [title]
    for one in series:
        own = settings(one.cell)
        if shown:
            parts.append(Text("  " + " ".join(f"{key}={own[key]}" for key in shown), style="bold"))
        parts.append(_rows(one, header=one is series[0]))
        if described is None or one.cells[0].index in described:
            parts += _curve(one, simulated=simulated)
    return Group(*parts, *_phase_table(series, shown), *handoff_table(series, shown, simulated=simulated), "")


def _phase_table(series: Sequence[Series], shown: Sequence[str]) -> list[RenderableType]:
    """Mean time of each phase in one operation, and on a CPU where that was read; one phase needs no table."""
    cells = [summary for one in series for summary in one.cells if summary.valid]
    names = list(cells[0].phases) if cells else []
    if len(names) < 2:
        return []
    on_cpu = [name for name in names if any(cell.phases[name][1].n for cell in cells)]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("threads", justify="right", width=7)
    for name in names:
        table.add_column(name, justify="right", min_width=12, no_wrap=True)
        if name in on_cpu:
            table.add_column("on a CPU", justify="right", min_width=12, no_wrap=True)
    if shown:
        table.add_column("")
    for cell in cells:
        row = [str(cell.cell.threads)]
        for name in names:
            wall, cpu = cell.phases[name]
            row.append(timed(wall, cell.timer_step_ns / 10))
            row += [timed(cpu)] if name in on_cpu else []
        own = settings(cell.cell)
        table.add_row(*row, *([" ".join(f"{key}={own[key]}" for key in shown)] if shown else []))
    return [Text("Mean time of one operation, by phase:"), table]


def _rows(series: Series, header: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=header)
    for column, width in COLUMNS:
        table.add_column(column, justify="right", width=width, no_wrap=True)
    for summary in series.cells:
        table.add_row(*_row(summary))
    return table


def _row(summary: CellSummary) -> list[str]:
    trials = str(summary.valid)
    if summary.valid != summary.trials:
        trials += f"/{summary.trials}"
    mark = "*" if summary.cell.oversubscribed else ""
    step = summary.timer_step_ns
    return [
        f"{summary.cell.threads}{mark}",
        counted(summary.throughput),
        ratio(summary.speedup),
        timed(summary.p50_ns, step),
        timed(summary.p99_ns, step),
        timed(summary.max_ns, step),
        f"{summary.jain.value:.2f}" if summary.valid else UNKNOWN,
        trials,
    ]


def _curve(series: Series, *, simulated: bool) -> list[RenderableType]:
    """Return the best scaling model of one series in words. One thread count is no curve."""
    if len({summary.cell.threads for summary in series.cells}) < 2:
        return []
    best = series.best()
    if best is None:
        lines = [f"No fit: {too_few(series.levels)}"]
    else:
        lines = model_words(best.fit)
        if best.weight is not None:
            title = best.fit.title
            lines.insert(0, f"Best model: {title} ({best.weight:.0%} of the Akaike weight; next {best.second}).")
    if simulated:
        lines = [line.replace("measurements", "simulations") for line in lines]
    return [Padding(Text(line), (0, 0, 0, 2)) for line in lines]


def _complaints(cells: Sequence[CellSummary], *, simulated: bool) -> Iterable[RenderableType]:
    flags: dict[str, int] = {}
    for cell in cells:
        for flag, times in cell.flags.items():
            flags[flag] = flags.get(flag, 0) + times
    for flag, times in flags.items():
        yield Text(f"{times} trial{'s' if times > 1 else ''} kept out of the figures: {explain(flag)}")
    yield from _readings(cells)
    shown = varying([cell.cell for cell in cells])
    for cell in cells:
        own = settings(cell.cell)
        where = "".join(f" {name}={own[name]}" for name in shown if name in own)
        for reason, times in cell.failures.items():
            yield Text(
                f"{cell.cell.workload}{where}, {threads_word(cell.cell.threads)}: "
                f"{times} trial{'s' if times > 1 else ''} failed: {reason}"
            )
    # A launch report says it itself, by strategy.
    others = [cell for cell in cells if cell.unsupported and cell.cell.workload != "launch"]
    for name, words in dict.fromkeys((cell.cell.workload, cell.unsupported) for cell in others):
        yield Text(f"{name}: unsupported here: {words}")
    if any(cell.cell.oversubscribed for cell in cells):
        yield Text("* more threads than CPUs: these share CPUs, and are left out of the fits")
    if any(cell.valid and not cell.throughput.known for cell in cells):
        yield Text(
            "±? one draw has no range (more --draws)"
            if simulated
            else "±? too few trials for a 95 % interval: six are the least (a longer --budget)"
        )


def _readings(cells: Sequence[CellSummary]) -> Iterable[RenderableType]:
    """How to read cells whose trials show something together, or are all invalid."""
    shown = varying([cell.cell for cell in cells])
    for cell in cells:
        own = settings(cell.cell)
        where = "".join(f" {name}={own[name]}" for name in shown if name in own)
        where = f"{cell.cell.workload}{where}, {threads_word(cell.cell.threads)}"
        if cell.flags and not cell.valid:
            reasons = ", ".join(f"{flag} in {times}" for flag, times in cell.flags.items())
            yield Text(f"{where}: no valid trial in {cell.trials}, so no figure: {reasons}")
        for finding in cell.findings:
            yield Text(f"{where}: {finding_words(finding)}")


def finding_words(finding: Finding) -> str:
    """What a cell's trials show together, and what to do: `two modes: 17.2M/s in 12 trials, 22.9M/s in 8; ...`."""
    if finding.name == "bimodal":
        low, low_count, high, high_count = finding.values
        said = f"two modes: {count(low)}/s in {low_count:.0f} trials, {count(high)}/s in {high_count:.0f}"
    elif finding.name == "handoff":
        least, most = finding.values
        span = f"{time_ns(least)} to {time_ns(most)}"
        said = f"two modes: the figure follows the handoff, which took {span} from trial to trial"
    else:
        (size,) = finding.values
        said = f"drift: it {'rose' if size > 0 else 'fell'} by {abs(size):.0%} from the first trial to the last"
    return f"{said}; {finding.next_step}"


def evidence_line(trials: Sequence[Trial]) -> str:
    """How well the threads of valid trials ran together; empty if none had two of them."""
    seen = [
        t.evidence
        for t in trials
        if t.valid and t.evidence and t.threads > 1 and not workload(t.workload).typical_ns
    ]
    if not seen:
        return ""
    skews, overlaps = sorted(e.start_skew_ns for e in seen), sorted(e.overlap for e in seen)
    middle = len(seen) // 2
    return (
        f"Threads started within {time_ns(skews[middle])} of each other (median of {len(seen)} trials; "
        f"worst {time_ns(skews[-1])}) and ran together for {overlaps[middle]:.2%} of a trial "
        f"(least {overlaps[0]:.2%})."
    )


def legend(cells: Sequence[CellSummary], *, simulated: bool = False) -> str:
    """What the columns mean."""
    kinds = {cell.cell.workload: workload(cell.cell.workload).latency for cell in cells}
    over = DRAWN if simulated else "Medians over the valid trials, with their 95 % intervals"
    if set(kinds) == {"launch"}:
        return (
            f"{over}. each: time of the storm over its "
            "containers; p50, p99, max: latency of one launch from its arrival; ok: launched within the "
            "deadline; mounts: longest mount table, beyond what was there."
        )
    phases = ", ".join(f"one {phase} ({name})" for name, phase in kinds.items())
    return (
        f"{over}; speedup is over the fewest threads. "
        f"p50, p99, max: latency of {phases}. Jain: 1 is fair, 1/threads is one thread taking all."
    )
