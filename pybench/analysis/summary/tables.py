# SPDX-License-Identifier: Apache-2.0
"""Result files as flat tables, for CSV, Parquet, SQL and data frames: a row a trial, cell, member or phase.

A unit stands in a column's name, a missing value is None, and a flagged trial is there with its flags.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pybench.analysis.summary.series import CellSummary, summarize
from pybench.errors import UsageError
from pybench.results.emulated import is_emulated
from pybench.results.names import text_of
from pybench.results.records import Cell, Evidence, Figures, Header, Trial
from pybench.results.store import Results
from pybench.stats.estimate import Interval
from pybench.workloads import WORKLOADS, Value

Row = dict[str, Any]
Table = dict[str, list[Any]]
"""Columns by name, all of one length."""

# What a parameter, whose column has its own name, must not be called.
_FIXED = ("file", "cell", "workload", "threads", "place", "smt", "crew", "cpus", "trials", "valid", "repeat")

_RENAMED = {"throughput": "throughput_ops_per_s"}

SCHEMA = {
    "trials": (
        "a row a trial: file, source (measured, emulated or simulated), cell, repeat, sequence; of the host: "
        "host, cpu_model, kernel, pybench; of the cell workload, operation (what is counted), threads, place, "
        "smt, crew, cpus, memory, oversubscribed and each parameter (lock, hold_ns, ...); started, seconds, "
        "status, reason; "
        "throughput_ops_per_s, ns_per_operation, p50_ns, p90_ns, p99_ns, p999_ns, max_ns, jain, "
        "cpu_ns_per_operation; start_skew_ns, overlap, off_cpu, steal, load; flags (comma list), flagged, valid"
    ),
    "cells": (
        "a row a cell: the same of host and cell; trials, valid, flagged, failed, unsupported; the median over "
        "the valid trials with its 95 % interval (simulated: the central 95 % of draws) as NAME, NAME_low, "
        "NAME_high: throughput_ops_per_s, p50_ns, p99_ns, max_ns, jain, speedup; timer_step_ns"
    ),
    "members": (
        "a row a thread (or process) of a trial: file, source, cell, repeat, member; cpu, node, role, operations, "
        "start_ns, stop_ns, cpu_ns, voluntary_switches, involuntary_switches, hold_ns, think_ns, longest_wait_ns"
    ),
    "phases": (
        "a row a timed part of the operation of a trial: file, source, cell, repeat, phase; calls, operations, "
        "wall_ns, mean_ns (of one operation), max_ns, cpu_operations, cpu_ns"
    ),
}


def source(header: Header) -> str:
    """`measured`; `simulated` or `emulated` if the file says that it is of a model, or of an emulated machine."""
    if header.simulated or header.host.get("simulated"):
        return "simulated"
    return "emulated" if is_emulated(header.host) else "measured"


def cell_settings(cell: Cell) -> dict[str, Value | bool | None]:
    """What a cell is, flat; a parameter is there by its own name."""
    known = WORKLOADS.get(cell.workload)
    memory = f"{cell.memory} {','.join(map(str, cell.nodes))}".strip()
    fixed: dict[str, Value | bool | None] = {
        "workload": cell.workload,
        "operation": known.operation if known else None,
        "threads": cell.threads,
        "place": cell.place,
        "smt": cell.smt,
        "crew": cell.crew,
        "cpus": ",".join(map(str, cell.cpus)),
        "memory": memory,
        "oversubscribed": cell.oversubscribed,
    }
    params = {(f"param_{n}" if n in fixed or n in _FIXED else n): v for n, v in cell.params.items()}
    return fixed | params


def table(files: Sequence[Results], name: str) -> Table:
    """One of SCHEMA's tables of these files. Raises UsageError for another name."""
    if name not in _TABLES:
        raise UsageError(f"no table {name!r}; there are {', '.join(_TABLES)}")
    rows = [row for file in files for row in _TABLES[name](file)]
    names = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key) for row in rows] for key in names}


def _host(file: Results) -> Row:
    header = file.header
    return {
        "source": source(header),
        "host": header.host.get("name"),
        "cpu_model": (header.host.get("cpu") or {}).get("model"),
        "kernel": (header.host.get("kernel") or {}).get("release"),
        "pybench": header.pybench,
    }


def _key(file: Results, trial: Trial) -> Row:
    return {"file": text_of(file.path), "source": source(file.header), "cell": trial.cell, "repeat": trial.repeat}


def _trials(file: Results) -> Iterator[Row]:
    host, cells = _host(file), file.header.plan.cells
    settings = [cell_settings(cell) for cell in cells]
    for trial in file.trials:
        figures: Row = {_RENAMED.get(n, n): _figure(trial.figures, n) for n in Figures.__struct_fields__}
        rate = figures["throughput_ops_per_s"]
        yield {
            **_key(file, trial),
            "sequence": trial.sequence,
            **host,
            **settings[trial.cell],
            "started": trial.started,
            "seconds": trial.seconds,
            "status": trial.outcome.status,
            "reason": trial.outcome.reason or None,
            **figures,
            "ns_per_operation": 1e9 / rate if rate else None,
            **{n: _figure(trial.evidence, n) for n in Evidence.__struct_fields__},
            "flags": ",".join(trial.flags),
            "flagged": bool(trial.flags),
            "valid": trial.valid,
        }


def _figure(of: Figures | Evidence | None, name: str) -> Any:
    return None if of is None else _number(getattr(of, name))


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cells(file: Results) -> Iterator[Row]:
    for one in summaries(file):
        row = {
            "file": text_of(file.path),
            "cell": one.index,
            **_host(file),
            **cell_settings(one.cell),
            "trials": one.trials,
            "valid": one.valid,
            "flagged": sum(1 for t in file.trials if t.cell == one.index and t.flags),
            "failed": sum(one.failures.values()),
            "unsupported": one.unsupported or None,
        }
        for name in ("throughput", "p50_ns", "p99_ns", "max_ns", "jain", "speedup"):
            interval: Interval = getattr(one, name)
            column = _RENAMED.get(name, name)
            row[column] = _number(interval.value)
            row[f"{column}_low"], row[f"{column}_high"] = _number(interval.low), _number(interval.high)
        yield row | {"timer_step_ns": one.timer_step_ns}


def summaries(file: Results) -> list[CellSummary]:
    """The cells of a file in the order of its plan."""
    series = summarize(file.header.plan.cells, file.trials, file.header.topology)
    return sorted((cell for one in series for cell in one.cells), key=lambda cell: cell.index)


_MEMBER_COLUMNS = (
    *("cpu", "node", "role", "operations", "start_ns", "stop_ns", "cpu_ns", "voluntary_switches"),
    *("involuntary_switches", "hold_ns", "think_ns", "longest_wait_ns"),
)


def _members(file: Results) -> Iterator[Row]:
    for trial in file.trials:
        members = trial.outcome.members
        for i in range(len(members.cpu)) if members else ():
            own = {n: _number(column[i]) if (column := getattr(members, n)) else None for n in _MEMBER_COLUMNS}
            yield _key(file, trial) | {"member": i} | own | {"role": own["role"] or 0}


def _phases(file: Results) -> Iterator[Row]:
    for trial in file.trials:
        for name, phase in trial.outcome.phases.items():
            yield _key(file, trial) | {
                "phase": name,
                "calls": phase.calls,
                "operations": phase.operations,
                "wall_ns": phase.wall_ns,
                "mean_ns": phase.wall_ns / phase.operations if phase.operations else None,
                "max_ns": phase.max_ns,
                "cpu_operations": phase.cpu_operations,
                "cpu_ns": phase.cpu_ns,
            }


_TABLES: Mapping[str, Callable[[Results], Iterator[Row]]] = {
    "trials": _trials,
    "cells": _cells,
    "members": _members,
    "phases": _phases,
}
