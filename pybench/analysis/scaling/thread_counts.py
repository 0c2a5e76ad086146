# SPDX-License-Identifier: Apache-2.0
"""The thread counts of a curve: how many the models need, and the borders of the topology, where it
may have a knee."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pybench.host.topology import Topology
from pybench.placement import AS_WRITTEN, MemoryPolicy, Placement
from pybench.results.records import Cell
from pybench.stats.estimate import Floats

LEAST_LEVELS = 3
"""Thread counts that any model needs."""
LEVELS_TO_COMPARE = 4
"""Thread counts from which there are two models to compare."""


def too_few(levels: int) -> str:
    """Return what a curve of ``levels`` thread counts lacks."""
    return (
        f"{levels} thread count{'s' * (levels != 1)}: a model needs 3 (Amdahl's law) to 5 (a knee), and ranking "
        "them 5 to 7; measure more (--threads)"
    )


Border = tuple[int, str]
"""The thread count that still fits inside, and what the next thread is the first of: (18, "socket")."""

MOST_CANDIDATES = 8
WIDEST = ("socket", "NUMA node", "SMT siblings", "L3 domain")


def borders_of(cell: Cell, topology: Mapping[str, Any]) -> tuple[Border, ...]:
    """Return the borders of filling ``cell``'s CPUs in order; see `Placement.borders`.

    ``topology`` is a header's. Empty where it does not describe these CPUs.
    """
    try:
        host = msgspec.convert(topology, Topology)
    except msgspec.ValidationError:
        return ()
    if not set(cell.cpus) <= set(host.by_number()):
        return ()
    placement = Placement(
        text=cell.place, cpus=cell.cpus, smt=cell.smt, fill=AS_WRITTEN, memory=MemoryPolicy(kind="local")
    )
    return placement.borders(host)


def candidates(borders: Sequence[Border], threads: Floats) -> tuple[Border, ...]:
    """Return the borders with measurements on both sides: a thread count above 1 inside, and one beyond.

    At most MOST_CANDIDATES, the widest kinds first, then the lowest.
    """
    inside = {b: what for b, what in borders if threads[0] < b < threads[-1] and b > 1}
    rank = {what: place for place, what in enumerate(WIDEST)}
    ordered = sorted(inside.items(), key=lambda border: (rank.get(border[1], 0), border[0]))
    return tuple(sorted(ordered[:MOST_CANDIDATES]))
