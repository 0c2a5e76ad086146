# SPDX-License-Identifier: Apache-2.0
"""Result files record by record: cells, trials, and the summary of a cell of launches."""

from pathlib import Path

from pybench.analysis.summary.launches import LaunchSummary, summarize_launches
from pybench.api.run import Run
from pybench.results.records import Cell, Trial, with_defaults
from pybench.results.store import Results, Writer, read

__all__ = [
    "Cell",
    "LaunchSummary",
    "Results",
    "Trial",
    "read",
    "save",
    "summarize_launches",
    "trials_of_cell",
    "with_defaults",
]


def trials_of_cell(run: Run, **settings: object) -> tuple[Cell, list[Trial]] | None:
    """Return the first cell with these settings (threads, place, smt and parameters) and its trials, if any."""
    for file in run.results:
        for index, cell in enumerate(file.header.plan.cells):
            own = dict(cell.params) | {"threads": cell.threads, "place": cell.place, "smt": cell.smt}
            if all(own.get(name) == value for name, value in settings.items()):
                return cell, Run.trials_of(file, index)
    return None


def save(run: Run, path: Path) -> None:
    """Write the records of a run into a new file. Raises UsageError if the file exists or cannot be written."""
    with Writer(path, resumable=False) as writer:
        for file in run.results:
            for record in (file.header, *file.trials, *file.ends):
                writer.write(record)
