# SPDX-License-Identifier: Apache-2.0
"""Where a recorded placement crosses borders of the recorded topology."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pybench.analysis.scaling.models.knees import Border
from pybench.host.topology import Topology
from pybench.placement import AS_WRITTEN, MemoryPolicy, Placement
from pybench.results.records import Cell


def borders_of(cell: Cell, topology: Mapping[str, Any]) -> tuple[Border, ...]:
    """Return (thread count, what comes next) for filling ``cell``'s CPUs in order; see `Placement.borders`.

    ``topology`` is a header's. Empty where it says too little of these CPUs.
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
