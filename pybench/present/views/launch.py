# SPDX-License-Identifier: Apache-2.0
"""Tables and conclusions of launch storms, for the terminal."""

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pybench.analysis.summary.launches import BESIDE, PHASES, LaunchSummary, cost_ratio, summarize_launches
from pybench.analysis.summary.series import NOTHING, unsupported_of
from pybench.present.numbers import UNKNOWN, count, counted, time_ns, timed
from pybench.present.provenance import SIMULATED
from pybench.results.cells import with_defaults
from pybench.results.records import Cell, Trial
from pybench.stats.estimate import Interval
from pybench.workloads.launch import STRATEGIES

# Name and width; with margins they fill 80.
COLUMNS = (
    ("containers", 10),
    ("each", 12),
    ("p50", 12),
    ("p99", 12),
    ("max", 12),
    ("ok", 6),
    ("mounts", 9),
)
BLOCKS = " ▁▂▃▄▅▆▇█"
ROLE_WORDS = {
    "read": "reader",
    "list": "lister",
    "walk": "walker",
    "probe": "prober",
}


def launch_report(
    cells: Sequence[Cell], trials: Iterable[Trial], same: str, shown: Sequence[str]
) -> RenderableType:
    """All launch cells of a file: the storm by strategy, its phases, who suffered, the timeline, what follows."""
    by_cell: dict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_cell[trial.cell].append(trial)
    measured = [(i, s) for i, cell in enumerate(cells) if (s := _summary(cell, by_cell[i]))]
    simulated = any(trial.simulated for some in by_cell.values() for trial in some)
    title = Text(f"{SIMULATED} launch" if simulated else "launch", style="bold")
    title.append("  root file systems assembled as container runtimes do, many at once\n", style="not bold")
    title.append(f"  {same}", style="dim not bold")
    cannot = [Text(line) for line in unsupported(cells, by_cell)]
    if not measured:
        return Group(title, Text("  nothing was launched"), *cannot)
    groups = _groups([summary for _, summary in measured], shown)
    parts: list[RenderableType] = [title]
    for number, (name, group) in enumerate(groups.items()):
        if name:
            parts.append(Text(f"  {name}", style="bold"))
        parts.append(_storm_table(group, header=number == 0))
    largest = {name: group[-1] for name, group in groups.items()}
    parts += ["", *_phase_table(largest)]
    parts += _beside_lines(largest)
    parts += _timelines(largest, by_cell, measured)
    # A cell whose trials all failed is told among the failures.
    unseen = [cell for i, cell in enumerate(cells) if cell.workload == "launch" and not by_cell[i]]
    missing = [Text(f"not measured, for lack of time: {_name(cell, [*shown, 'containers'])}") for cell in unseen]
    parts += ["", *(Text(line) for line in conclusions(measured, by_cell)), *cannot, *missing, ""]
    return Group(*parts)


def _summary(cell: Cell, trials: Sequence[Trial]) -> LaunchSummary | None:
    return summarize_launches(cell, trials) if cell.workload == "launch" else None


def _rank(strategy: str) -> int:
    """Its place in the table of strategies; those of a later version come last."""
    return STRATEGIES.index(strategy) if strategy in STRATEGIES else len(STRATEGIES)


def _groups(summaries: Sequence[LaunchSummary], shown: Sequence[str]) -> dict[str, list[LaunchSummary]]:
    """Summaries by all settings that vary but the number of containers, ascending in that."""
    groups: dict[str, list[LaunchSummary]] = defaultdict(list)
    for summary in sorted(summaries, key=lambda s: _rank(str(s.cell.params["strategy"]))):
        groups[_name(summary.cell, [name for name in shown if name != "containers"])].append(summary)
    return {name: sorted(group, key=lambda s: int(s.cell.params["containers"])) for name, group in groups.items()}


def _name(cell: Cell, shown: Sequence[str]) -> str:
    own = {name: str(value) for name, value in cell.params.items()}
    own |= {"place": cell.place, "smt": cell.smt, "crew": cell.crew, "threads": str(cell.threads)}
    # The strategy speaks for itself.
    return " ".join(own[name] if name == "strategy" else f"{name}={own[name]}" for name in shown)


def _storm_table(group: Sequence[LaunchSummary], header: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=header)
    for column, width in COLUMNS:
        table.add_column(column, justify="right", width=width, no_wrap=True)
    for summary in group:
        peak = summary.peak.value - summary.base
        table.add_row(
            str(summary.cell.params["containers"]),
            timed(summary.container_ns),
            timed(summary.p50_ns),
            timed(summary.p99_ns),
            timed(summary.max_ns),
            f"{summary.success:.0%}" if summary.success in (0, 1) else f"{summary.success:.1%}",
            UNKNOWN if math.isnan(peak) else f"+{peak:.0f}",
        )
    return table


def _small_table(columns: Sequence[str], width: int) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(columns[0], max_width=22)
    for column in columns[1:]:
        table.add_column(column, justify="right", min_width=width, no_wrap=True)
    return table


def _phase_table(largest: dict[str, LaunchSummary]) -> list[RenderableType]:
    """Where the time of one container goes, at the largest number of containers: wall time, and on a CPU."""
    table = _small_table(("one container", *PHASES, "mount ops", "syscalls"), 8)
    for name, summary in largest.items():
        # Below 10 us a phase does nothing but be timed.
        parts = [both if both[0].value >= 1e4 else (NOTHING, NOTHING) for both in summary.phases.values()]
        ops = (count(summary.mount_operations.value), count(summary.syscalls.value))
        table.add_row(name or "wall time", *(time_ns(wall.value) for wall, _ in parts), *ops)
        if any(cpu.n for _, cpu in parts):
            table.add_row("  on a CPU", *(time_ns(cpu.value) for _, cpu in parts))
    if not any(cpu.n for summary in largest.values() for _, cpu in summary.phases.values()):
        return [table]
    return [table, Text("What is not on a CPU waits: for grace periods (release, clean), or for locks.")]


def _beside_lines(largest: dict[str, LaunchSummary]) -> list[RenderableType]:
    """Who suffered beside the largest storms."""
    table = _small_table(("beside the storm", "p50", "p99", "a second", "late"), 12)
    for name, summary in largest.items():
        for phase, seen in summary.beside.items():
            if seen:
                late = f"{summary.probes_late} of {summary.probes}" if phase == "probe" else ""
                times = (timed(seen["p50"]), timed(seen["p99"]))
                table.add_row(f"{name} {ROLE_WORDS[phase]}".strip(), *times, counted(seen["rate"]), late)
    return ["", table] if table.row_count else []


def _timelines(
    largest: dict[str, LaunchSummary],
    by_cell: dict[int, list[Trial]],
    measured: Sequence[tuple[int, LaunchSummary]],
) -> list[RenderableType]:
    """The mount table over time in one trial of each strategy, drawn to one scale."""
    chosen = {}
    for name, summary in largest.items():
        index = next(i for i, one in measured if one is summary)
        valid = [trial for trial in by_cell[index] if trial.valid and trial.outcome.timeline]
        if valid:
            chosen[name] = (summary, valid[len(valid) // 2])
    if not chosen:
        return []
    top = max(max(trial.outcome.peak - summary.base, 1) for summary, trial in chosen.values())
    width = max(len(name) for name in chosen)
    lines = []
    for name, (summary, trial) in chosen.items():
        drawn = sparkline(trial.outcome.timeline, summary.base, top)
        lines.append(Text(f"{name:{width}} |{drawn}| +{trial.outcome.peak - summary.base}"))
    return ["", Text(f"mount table over one storm, to one scale (full block: +{top} mounts)"), *lines]


def sparkline(timeline: Sequence[Sequence[int]], base: int, top: int, width: int = 40) -> str:
    """A value over time in so many characters: each is the highest value of its stretch."""
    end = max(timeline[-1][0], 1)
    highest = [0] * width
    for ns, value in timeline:
        slot = min(ns * width // end, width - 1)
        highest[slot] = max(highest[slot], value - base)
    steps = [0 if value <= 0 else min(max(1, round(value / top * 8)), 8) for value in highest]
    return "".join(BLOCKS[step] for step in steps)


def conclusions(measured: Sequence[tuple[int, LaunchSummary]], by_cell: dict[int, list[Trial]]) -> list[str]:
    """What decides, in plain words: each strategy against `parent` (or the cheapest) at the most containers."""
    lines: list[str] = []
    most = max(int(s.cell.params["containers"]) for _, s in measured)
    same = [(i, s) for i, s in measured if int(s.cell.params["containers"]) == most]
    contexts: dict[bytes, list[tuple[int, LaunchSummary]]] = defaultdict(list)
    for index, summary in same:
        contexts[context(summary.cell)].append((index, summary))
    for group in contexts.values():
        lines += _against_parent(group, by_cell, most)
    lines += _with_and_without(measured, by_cell)
    for _, summary in measured:
        if summary.success < 1:
            where = f"{summary.cell.params['strategy']} at {summary.cell.params['containers']} containers"
            waiting = f", {summary.not_launched} still waited at the end" if summary.not_launched else ""
            lines.append(f"{where}: {summary.failed} launches failed, {summary.late} were late{waiting}")
            lines += [f"  {note} (first failure of {times} trials)" for note, times in summary.notes.items()]
    return lines


def unsupported(cells: Sequence[Cell], by_cell: dict[int, list[Trial]]) -> list[str]:
    """The strategies that this kernel or user cannot do: the call that failed, its errno, and what it needs."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for index, cell in enumerate(cells):
        if cell.workload == "launch" and (words := unsupported_of(by_cell.get(index, []))):
            names[words][str(cell.params["strategy"])] = None
    return [f"{', '.join(strategies)}: unsupported here: {words}" for words, strategies in names.items()]


def context(cell: Cell, apart: Container[str] = ("strategy",)) -> bytes:
    """All settings of a cell but some, to find the cells that differ in those alone."""
    params = {name: value for name, value in with_defaults(cell).items() if name not in apart}
    return repr((sorted(params.items()), cell.threads, cell.place, cell.smt, cell.crew)).encode()


def _with_and_without(measured: Sequence[tuple[int, LaunchSummary]], by_cell: dict[int, list[Trial]]) -> list[str]:
    """What those beside it cost the storm, where it was measured without them too."""
    alone = {
        context(s.cell, BESIDE): (i, s)
        for i, s in measured
        if not any(with_defaults(s.cell)[role] for role in BESIDE)
    }
    lines = []
    for index, summary in measured:
        cell, params = summary.cell, with_defaults(summary.cell)
        roles = [f"{role}={params[role]}" for role in BESIDE if params[role]]
        if not roles or context(cell, BESIDE) not in alone:
            continue
        base_index, base = alone[context(cell, BESIDE)]
        ratio = cost_ratio(by_cell[index], by_cell[base_index])
        table = f", {params['table']} mounts in the table" if params["table"] else ""
        lines.append(
            f"{params['strategy']} at {params['containers']} containers{table}, with {' '.join(roles)}: "
            f"{_times(ratio)} the time without, {time_ns(summary.container_ns.value)} against "
            f"{time_ns(base.container_ns.value)} each"
        )
    return lines


def _times(ratio: Interval) -> str:
    interval = f"[{ratio.low:.2g}, {ratio.high:.2g}]" if ratio.known else "(too few trials for an interval)"
    return f"{ratio.value:.2g}x {interval}"


def _against_parent(
    group: Sequence[tuple[int, LaunchSummary]], by_cell: dict[int, list[Trial]], most: int
) -> list[str]:
    strategies = {str(s.cell.params["strategy"]): (i, s) for i, s in group}
    if "parent" not in strategies or len(strategies) < 2:
        return []
    base_index, base = strategies["parent"]
    lines = []
    for name, (index, summary) in strategies.items():
        if name == "parent":
            continue
        ratio = cost_ratio(by_cell[index], by_cell[base_index])
        line = (
            f"{name} costs {_times(ratio)} parent at {most} containers: "
            f"{time_ns(summary.container_ns.value)} against {time_ns(base.container_ns.value)} each"
        )
        if "probe" in summary.beside and summary.beside["probe"] and base.beside.get("probe"):
            probes = [time_ns(one.beside["probe"]["p99"].value) for one in (summary, base)]
            line += f"; probe p99 {probes[0]} against {probes[1]}"
        lines.append(line)
    return lines
