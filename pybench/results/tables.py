# SPDX-License-Identifier: Apache-2.0
"""Result files as flat tables for CSV, Parquet, SQL and data frames: one row per trial, member or phase.

Units are in the column names, a missing value is None, and invalid trials are included with their flags. The table
of cells needs estimates and is in `analysis.summary.cell_table`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pybench.errors import UsageError
from pybench.results.columns import RECORDED
from pybench.results.records import Evidence, Header, Trial, cell_settings
from pybench.results.store import Results, is_emulated, text_of

Row = dict[str, Any]
Columns = dict[str, list[Any]]
"""Columns by name, all of one length."""


class FlatTable(msgspec.Struct, frozen=True):
    """One kind of table."""

    rows: Callable[[Results], Iterator[Row]]
    """The rows of one file."""
    columns: str
    """The columns in words, for help."""


def source(header: Header) -> str:
    """Return where a file's times come from: `measured`, `emulated` or `simulated`."""
    if header.simulated or header.host.get("simulated"):
        return "simulated"
    return "emulated" if is_emulated(header.host) else "measured"


def host_columns(header: Header) -> Row:
    """Return the columns that describe the host and the pybench of a file."""
    return {
        "source": source(header),
        "host": header.host.get("name"),
        "cpu_model": (header.host.get("cpu") or {}).get("model"),
        "kernel": (header.host.get("kernel") or {}).get("release"),
        "pybench": header.pybench,
    }


def finite(value: Any) -> Any:
    """Return a value of a table; None for a float that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _key(file: Results, trial: Trial) -> Row:
    return {"file": text_of(file.path), "source": source(file.header), "cell": trial.cell, "repeat": trial.repeat}


def _trials(file: Results) -> Iterator[Row]:
    host, cells = host_columns(file.header), file.header.plan.cells
    settings = [cell_settings(cell) for cell in cells]
    for trial in file.trials:
        rate = trial.figures.throughput if trial.figures else None
        yield {
            **_key(file, trial),
            "sequence": trial.sequence,
            **host,
            **settings[trial.cell],
            "started": trial.started,
            "seconds": trial.seconds,
            "status": trial.outcome.status,
            "reason": trial.outcome.reason or None,
            **{one.header: finite(one.value(trial)) for one in RECORDED},
            "ns_per_operation": 1e9 / rate if rate else None,
            **{n: finite(getattr(trial.evidence, n, None)) for n in Evidence.__struct_fields__},
            "flags": ",".join(trial.flags),
            "flagged": bool(trial.flags),
            "valid": trial.valid,
        }


_MEMBER_COLUMNS = (
    *("cpu", "node", "role", "operations", "start_ns", "stop_ns", "cpu_ns", "voluntary_switches"),
    *("involuntary_switches", "hold_ns", "think_ns", "longest_wait_ns"),
)


def _members(file: Results) -> Iterator[Row]:
    for trial in file.trials:
        members = trial.outcome.members
        for i in range(len(members.cpu)) if members else ():
            own = {n: finite(column[i]) if (column := getattr(members, n)) else None for n in _MEMBER_COLUMNS}
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


TABLES: Mapping[str, FlatTable] = {
    "trials": FlatTable(
        _trials,
        "one row per trial: file, source (measured, emulated or simulated), cell, repeat, sequence; of the host: "
        "host, cpu_model, kernel, pybench; of the cell: workload, operation (what is counted), threads, place, "
        "smt, crew, cpus, memory, oversubscribed and each parameter (lock, hold_ns, ...); started, seconds, "
        "status, reason; "
        "throughput_ops_per_s, ns_per_operation, p50_ns, p90_ns, p99_ns, p999_ns, max_ns, jain, "
        "cpu_ns_per_operation; start_skew_ns, overlap, off_cpu, steal, load; flags (comma list), flagged, valid",
    ),
    "members": FlatTable(
        _members,
        "one row per thread (or process) of a trial: file, source, cell, repeat, member; cpu, node, role, "
        "operations, start_ns, stop_ns, cpu_ns, voluntary_switches, involuntary_switches, hold_ns, think_ns, "
        "longest_wait_ns",
    ),
    "phases": FlatTable(
        _phases,
        "one row per timed part of a trial's operation: file, source, cell, repeat, phase; calls, operations, "
        "wall_ns, mean_ns (of one operation), max_ns, cpu_operations, cpu_ns",
    ),
}


def table(files: Sequence[Results], name: str, tables: Mapping[str, FlatTable] = TABLES) -> Columns:
    """Return one of `tables` over these files. UsageError for another name."""
    if name not in tables:
        raise UsageError(f"no table {name!r}; there are {', '.join(tables)}")
    rows = [row for file in files for row in tables[name].rows(file)]
    names = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key) for row in rows] for key in names}
