# SPDX-License-Identifier: Apache-2.0
"""Words and table columns for cells, words for distances between CPUs, and for scaling models."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pybench.host.topology import Distance
from pybench.present.document import Column
from pybench.present.numbers import count, time_ns
from pybench.results.cells import label, settings
from pybench.results.records import Cell
from pybench.text import plural
from pybench.workloads import workload

if TYPE_CHECKING:
    # The libraries of the fits take longer to load than a short sweep.
    from pybench.analysis.scaling.curve_fits import FittedParameter, ModelFit

DISTANCE_WORDS: Mapping[Distance, str] = {
    "same-cpu": "same CPU",
    "smt": "SMT siblings",
    "l3": "same L3",
    "socket": "same socket",
    "cross-socket": "other socket",
}
# Values that are clear without the setting's name.
BARE = ("lock", "strategy", "place")


def threads_word(threads: int) -> str:
    """Return `1 thread`, `2 threads`."""
    return plural(threads, "thread")


def with_threads(cell: Cell) -> dict[str, str]:
    """Return a cell's settings, and its threads."""
    return settings(cell) | {"threads": str(cell.threads)}


def is_storm(cell: Cell) -> bool:
    """Return whether a cell launches a storm, which ends by itself, rather than scales over threads."""
    return workload(cell.workload).ends_by_itself


def where(cell: Cell, names: Sequence[str]) -> str:
    """Return a cell in a sentence: `spin lock=mcs, 2 threads`."""
    words = label(cell, names)
    return f"{cell.workload}{' ' if words else ''}{words}, {threads_word(cell.threads)}"


def group_columns(names: Sequence[str]) -> list[Column]:
    """Return the table columns of settings that stand above their rows; `group_cells` has a row's values."""
    return [Column(name, group=True) for name in names]


def group_cells(cell: Cell, names: Sequence[str]) -> list[str]:
    """Return a cell's values of the named settings, `` for one that its workload has not."""
    own = with_threads(cell)
    return [own.get(name, "") for name in names]


def model_words(fit: "ModelFit") -> list[str]:
    """Return a line of parameters and what they mean, then a line per caveat."""
    values = "; ".join(parameter(one) for one in fit.parameters if one.unit != "ops/s")
    words = f"{capital(fit.title)}: {values}. {' '.join(fit.says)}"
    return [words, *(f"caveat: {caveat}" for caveat in fit.caveats)]


def parameter(one: "FittedParameter") -> str:
    """Return `alpha 3.0 % [2.7, 3.2]`, `gamma 1.01M ops/s [0.99M, 1.02M]`, `c 39.6ns [31.4ns, 50ns]`."""
    values = (one.interval.value, one.interval.low, one.interval.high)
    if one.unit == "share":
        value, low, high = (f"{100 * part:.3g}" for part in values)
        return f"{one.name} {value} % [{low}, {high}]"
    value, low, high = (count(v) if one.unit == "ops/s" else time_ns(v) for v in values)
    return f"{one.name} {value}{' ops/s' if one.unit == 'ops/s' else ''} [{low}, {high}]"


def capital(title: str) -> str:
    """Return a title with a capital first letter."""
    return title[0].upper() + title[1:]
