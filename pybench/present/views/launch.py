# SPDX-License-Identifier: Apache-2.0
"""The results of launch storms: their cost by strategy, where the time goes, bystanders, and the mount table."""

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence

from pybench.analysis.summary.launches import BESIDE, PHASES, LaunchSummary, cost_ratio, summarize_launches
from pybench.analysis.summary.series import unsupported_of
from pybench.present.document import Block, Column, Content, Drawing, Heading, Paragraph, Table, note
from pybench.present.labels import SIMULATED, group_cells, group_columns, is_storm, with_threads
from pybench.present.numbers import time_ns
from pybench.results.records import Cell, Trial, label, with_defaults
from pybench.stats.estimate import Interval
from pybench.workloads.launch import STRATEGIES

STORM = (
    Column("containers", "number"),
    Column("time each", "time"),
    Column("p50", "time"),
    Column("p99", "time"),
    Column("max", "time"),
    Column("success", "share"),
    Column("mounts", "added"),
)
BYSTANDERS = (
    Column("bystander"),
    Column("p50", "time"),
    Column("p99", "time"),
    Column("per second", "rate"),
    Column("late", "text", optional=True),
)
BLOCKS = " ▁▂▃▄▅▆▇█"
# Shorter phases only measure their own timing.
LEAST_PHASE_NS = 1e4
# A longer label stands on a line of its own, so that a timeline fits 80 columns.
MOST_LABEL = 26
ROLE_WORDS = {
    "read": "reader",
    "list": "lister",
    "walk": "walker",
    "probe": "prober",
}


def launch_blocks(cells: Sequence[Cell], trials: Iterable[Trial], same: str, shown: Sequence[str]) -> list[Block]:
    """Return all launch cells of a file: storms by strategy, phases, bystanders, timelines, and conclusions.

    `shown`: names of the settings that vary; `same`: the others in words.
    """
    by_cell: dict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_cell[trial.cell].append(trial)
    measured = [(i, s) for i, cell in enumerate(cells) if (s := _summary(cell, by_cell[i]))]
    simulated = any(trial.simulated for some in by_cell.values() for trial in some)
    blocks: list[Block] = [
        Heading(
            f"{SIMULATED} launch" if simulated else "launch",
            "root file systems assembled as container runtimes do, many at once",
        ),
        note(same),
    ]
    cannot = [Paragraph(line) for line in unsupported(cells, by_cell)]
    if not measured:
        return [*blocks, Paragraph("nothing was launched", indent=1), *cannot]
    settings = [name for name in shown if name != "containers"]
    groups = _groups([summary for _, summary in measured], settings)
    rows = [
        [*group_cells(summary.cell, settings), *_storm_row(summary)]
        for group in groups.values()
        for summary in group
    ]
    blocks.append(Table("storms", [*group_columns(settings), *STORM], rows))
    largest = {name: group[-1] for name, group in groups.items()}
    blocks += _phase_blocks(list(largest.values()), settings)
    blocks += _bystander_blocks(list(largest.values()), settings)
    blocks += _timelines(largest, by_cell, measured)
    # A cell whose trials all failed stands among the failures.
    unseen = [cell for i, cell in enumerate(cells) if is_storm(cell) and not by_cell[i]]
    missing = [
        Paragraph(f"Not measured, for lack of time: {label(cell, [*settings, 'containers'], of=with_threads)}")
        for cell in unseen
    ]
    return [*blocks, *(Paragraph(line) for line in conclusions(measured, by_cell)), *cannot, *missing]


def _summary(cell: Cell, trials: Sequence[Trial]) -> LaunchSummary | None:
    return summarize_launches(cell, trials) if is_storm(cell) else None


def _rank(strategy: str) -> int:
    """Return a strategy's place in the table of strategies; those of a later version come last."""
    return STRATEGIES.index(strategy) if strategy in STRATEGIES else len(STRATEGIES)


def _groups(summaries: Sequence[LaunchSummary], settings: Sequence[str]) -> dict[str, list[LaunchSummary]]:
    """Return summaries by all settings that vary but the number of containers, ascending in that."""
    groups: dict[str, list[LaunchSummary]] = defaultdict(list)
    for summary in sorted(summaries, key=lambda s: _rank(str(s.cell.params["strategy"]))):
        groups[label(summary.cell, settings, of=with_threads)].append(summary)
    return {name: sorted(group, key=lambda s: int(s.cell.params["containers"])) for name, group in groups.items()}


def _storm_row(summary: LaunchSummary) -> list[Content]:
    return [
        int(summary.cell.params["containers"]),
        summary.container_ns,
        summary.p50_ns,
        summary.p99_ns,
        summary.max_ns,
        summary.success,
        summary.peak.value - summary.base,
    ]


def _phase_blocks(largest: Sequence[LaunchSummary], settings: Sequence[str]) -> list[Block]:
    """Return where the time of one container goes, at the largest number of containers: wall time, and time on a "
    "CPU."""
    columns = [
        *group_columns(settings),
        Column("time"),
        *(Column(name, "time") for name in PHASES),
        Column("mount ops", "count"),
        Column("syscalls", "count"),
    ]
    rows: list[list[Content]] = []
    on_cpu = False
    for summary in largest:
        parts = [
            (wall.value, cpu.value) if wall.value >= LEAST_PHASE_NS else (math.nan, math.nan)
            for wall, cpu in summary.phases.values()
        ]
        own = group_cells(summary.cell, settings)
        rows.append(
            [*own, "wall", *(wall for wall, _ in parts), summary.mount_operations.value, summary.syscalls.value]
        )
        if any(not math.isnan(cpu) for _, cpu in parts):
            on_cpu = True
            rows.append([*own, "on CPU", *(cpu for _, cpu in parts), None, None])
    found: list[Block] = [Table("phases", columns, rows, title="Time of one container by phase")]
    if on_cpu:
        found.append(note("Time off the CPU is spent waiting: for grace periods (release, clean), or for locks."))
    return found


def _bystander_blocks(largest: Sequence[LaunchSummary], settings: Sequence[str]) -> list[Block]:
    """Return what the bystanders of the largest storms saw."""
    rows: list[list[Content]] = []
    for summary in largest:
        for phase, seen in summary.beside.items():
            if seen:
                late = f"{summary.probes_late} of {summary.probes}" if phase == "probe" else None
                own = group_cells(summary.cell, settings)
                rows.append([*own, ROLE_WORDS[phase], seen["p50"], seen["p99"], seen["rate"], late])
    if not rows:
        return []
    return [Table("bystanders", [*group_columns(settings), *BYSTANDERS], rows, title="Bystanders of the storm")]


def _timelines(
    largest: dict[str, LaunchSummary],
    by_cell: dict[int, list[Trial]],
    measured: Sequence[tuple[int, LaunchSummary]],
) -> list[Block]:
    """Return the mount table over time in one trial of each strategy, drawn to one scale."""
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
        drawn = f"|{sparkline(trial.outcome.timeline, summary.base, top)}| +{trial.outcome.peak - summary.base}"
        lines += [f"{name:{width}} {drawn}"] if width <= MOST_LABEL else [name, f"  {drawn}"]
    return [Drawing(lines, title=f"Mount table over one storm, to one scale (full block: +{top} mounts)")]


def sparkline(timeline: Sequence[Sequence[int]], base: int, top: int, width: int = 40) -> str:
    """Return a value over time in `width` characters, each the highest value of its stretch."""
    end = max(timeline[-1][0], 1)
    highest = [0] * width
    for ns, value in timeline:
        slot = min(ns * width // end, width - 1)
        highest[slot] = max(highest[slot], value - base)
    steps = [0 if value <= 0 else min(max(1, round(value / top * 8)), 8) for value in highest]
    return "".join(BLOCKS[step] for step in steps)


def conclusions(measured: Sequence[tuple[int, LaunchSummary]], by_cell: dict[int, list[Trial]]) -> list[str]:
    """Return sentences: each strategy against `parent` at the largest number of containers, with and without "
    "bystanders."""
    lines: list[str] = []
    most = max(int(s.cell.params["containers"]) for _, s in measured)
    same = [(i, s) for i, s in measured if int(s.cell.params["containers"]) == most]
    contexts: dict[bytes, list[tuple[int, LaunchSummary]]] = defaultdict(list)
    for index, summary in same:
        contexts[context(summary.cell)].append((index, summary))
    for group in contexts.values():
        lines += _against_parent(group, by_cell, most)
    lines += _with_bystanders(measured, by_cell)
    for _, summary in measured:
        if summary.success < 1:
            where = f"{summary.cell.params['strategy']} at {summary.cell.params['containers']} containers"
            waiting = f", {summary.not_launched} still waited at the end" if summary.not_launched else ""
            lines.append(f"{where}: {summary.failed} launches failed, {summary.late} were late{waiting}")
            lines += [f"  {reason} (first failure of {times} trials)" for reason, times in summary.notes.items()]
    return lines


def unsupported(cells: Sequence[Cell], by_cell: dict[int, list[Trial]]) -> list[str]:
    """Return the strategies that this kernel or user cannot do: the call that failed, its errno, and its need."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for index, cell in enumerate(cells):
        if is_storm(cell) and (words := unsupported_of(by_cell.get(index, []))):
            names[words][str(cell.params["strategy"])] = None
    return [f"{', '.join(strategies)}: unsupported here: {words}" for words, strategies in names.items()]


def context(cell: Cell, apart: Container[str] = ("strategy",)) -> bytes:
    """Return a key of all settings of a cell but those in `apart`: cells that differ in those alone share it."""
    params = {name: value for name, value in with_defaults(cell).items() if name not in apart}
    return repr((sorted(params.items()), cell.threads, cell.place, cell.smt, cell.crew)).encode()


def _with_bystanders(measured: Sequence[tuple[int, LaunchSummary]], by_cell: dict[int, list[Trial]]) -> list[str]:
    """Return what bystanders cost the storm, where it was measured without them too."""
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
            f"{_times(ratio)} the time without bystanders, {time_ns(summary.container_ns.value)} against "
            f"{time_ns(base.container_ns.value)} each"
        )
    return lines


def _times(ratio: Interval) -> str:
    interval = f"[{ratio.low:.2g}, {ratio.high:.2g}]" if ratio.known else "(too few trials for an interval)"
    return f"{ratio.value:.2g} times {interval}"


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
            f"{name} takes {_times(ratio)} the time of parent at {most} containers: "
            f"{time_ns(summary.container_ns.value)} against {time_ns(base.container_ns.value)} each"
        )
        if "probe" in summary.beside and summary.beside["probe"] and base.beside.get("probe"):
            probes = [time_ns(one.beside["probe"]["p99"].value) for one in (summary, base)]
            line += f"; probe p99 {probes[0]} against {probes[1]}"
        lines.append(line)
    return lines
