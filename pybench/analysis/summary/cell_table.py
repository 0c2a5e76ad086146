# SPDX-License-Identifier: Apache-2.0
"""The table of cells, with estimates over their trials, together with the tables that need only trials."""

from collections.abc import Iterator, Mapping

from pybench.analysis.summary.series import CellSummary, summarize
from pybench.results import tables
from pybench.results.columns import SUMMARIZED
from pybench.results.records import cell_settings
from pybench.results.store import Results, text_of
from pybench.results.tables import FlatTable, Row, finite, host_columns


def summaries(file: Results) -> list[CellSummary]:
    """Return the cells of a file in the order of its plan."""
    series = summarize(file.header.plan.cells, file.trials, file.header.topology)
    return sorted((cell for one in series for cell in one.cells), key=lambda cell: cell.index)


def _cells(file: Results) -> Iterator[Row]:
    for one in summaries(file):
        row = {
            "file": text_of(file.path),
            "cell": one.index,
            **host_columns(file.header),
            **cell_settings(one.cell),
            "trials": one.trials,
            "valid": one.valid,
            "flagged": sum(1 for t in file.trials if t.cell == one.index and t.flags),
            "failed": sum(one.failures.values()),
            "unsupported": one.unsupported or None,
        }
        estimates = {metric.header: getattr(one, metric.field) for metric in SUMMARIZED}
        for column, interval in (estimates | {"speedup": one.speedup}).items():
            row[column] = finite(interval.value)
            row[f"{column}_low"], row[f"{column}_high"] = finite(interval.low), finite(interval.high)
        yield row | {"timer_step_ns": one.timer_step_ns}


TABLES: Mapping[str, FlatTable] = {
    "trials": tables.TABLES["trials"],
    "cells": FlatTable(
        _cells,
        "one row per cell: the same of host and cell; trials, valid, flagged, failed, unsupported; the median "
        "over the valid trials with its 95 % interval (simulated: the central 95 % of draws) as NAME, NAME_low, "
        "NAME_high: throughput_ops_per_s, p50_ns, p99_ns, max_ns, jain, speedup; timer_step_ns",
    ),
    **tables.TABLES,
}
