# SPDX-License-Identifier: Apache-2.0
"""The sweeps behind `pybench compare-smt` and `compare-sockets`: which placements and thread counts are fair."""

from collections import Counter
from typing import Literal

import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Topology
from pybench.placement import FILLS, SHORTHANDS, limits, place
from pybench.plan.cells import REPRESENTATIVE, Axes, make_cells
from pybench.plan.request import Request, make_plan
from pybench.results.records import Cell, Plan

BUDGET = "3m"
SIMULATE = "a model of such a machine is here: pybench simulate --machine r5.metal"


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: `one` thread a core (or one socket) with `more`, each a placement and an SMT setting."""

    kind: Literal["smt", "sockets"]
    one: tuple[str, str]
    more: tuple[str, str]
    factor: int
    """Threads a core, or sockets, of `more`."""
    counts: tuple[int, ...]
    """Cores (or threads a socket) at which the two are held side by side."""

    @property
    def one_threads(self) -> tuple[int, ...]:
        """Thread counts of `one`."""
        return self.counts

    @property
    def more_threads(self) -> tuple[int, ...]:
        """Thread counts of `more`: those at equal cores, and those at equal threads."""
        same = (n for n in self.counts if n % self.factor == 0)
        return tuple(sorted({*(self.factor * n for n in self.counts), *same}))


def _counts(most: int) -> tuple[int, ...]:
    counts = [1 << i for i in range(most.bit_length())]
    return tuple(sorted({*(n for n in counts if n <= most), most}))


def smt_sides(topology: Topology, words: str | None = None, *, kernel: bool = False) -> Sides:
    """One thread a core against all its siblings, on the first socket unless `words` place it elsewhere.

    With `kernel` SMT is off by the kernel's switch for the first side, rather than siblings idle. Raises
    UnsupportedError where no core has siblings that can be used.
    """
    if not topology.usable:
        raise UsageError(f"no CPU can be used: {limits(topology)}")
    which = words or f"socket:{topology.usable[0].socket or 0}"
    if which.split()[0] in SHORTHANDS or set(which.split()) & set(FILLS):
        raise UsageError(f"--place {which!r}: this fills cores one by one itself; choose CPUs by socket:0 or all")
    packed = f"{which} siblings-first"
    cpus = place(topology, packed, "on").cpus
    cores = Counter(topology.by_number()[cpu].core for cpu in cpus)
    factor = max(cores.values())
    if factor < 2:
        control = topology.smt_control
        off = control in ("off", "forceoff")
        why = f"SMT is switched {control} in the kernel" if off else "no core here has SMT siblings to use"
        raise UnsupportedError("nothing to compare", reason=why, fix=SIMULATE)
    full = [core for core, siblings in cores.items() if siblings == factor]
    if len(full) < len(cores):
        raise UsageError(
            f"--place {which!r}: some of its cores have fewer than {factor} siblings to use; choose cores that "
            "have all of them (pybench topology)"
        )
    return Sides(
        kind="smt",
        one=(packed, "off:kernel" if kernel else "off"),
        more=(packed, "on"),
        factor=factor,
        counts=_counts(len(cores)),
    )


def socket_sides(topology: Topology) -> Sides:
    """One socket against two, a thread a core. Raises UnsupportedError on a host with one socket to use."""
    try:
        both = place(topology, "dual-socket", "off").cpus
    except UnsupportedError as error:
        raise UnsupportedError("nothing to compare", reason=error.reason, fix=SIMULATE) from None
    known = topology.by_number()
    a_socket = Counter(known[cpu].socket or 0 for cpu in both)
    return Sides(
        kind="sockets",
        # Spread over nodes and L3 domains alike, so that the second socket is all that differs.
        one=(f"socket:{min(a_socket)} scatter", "off"),
        more=("dual-socket", "off"),
        factor=2,
        counts=_counts(min(a_socket.values())),
    )


def equal_plan(request: Request, topology: Topology, sides: Sides) -> tuple[Plan, int]:
    """The plan, and how many of its cells, from the first, are of the side `one`."""
    cells: list[Cell] = []
    left_out: list[str] = []
    ones = 0
    for (text, smt), counts in ((sides.one, sides.one_threads), (sides.more, sides.more_threads)):
        axes = Axes(
            workloads=request.workloads or REPRESENTATIVE,
            params=request.param,
            threads=",".join(map(str, counts)),
            places=(text,),
            smt=(smt,),
            crews=request.crew or ("threads",),
        )
        made, left = make_cells(axes, topology)
        ones = ones or len(made)
        cells += made
        left_out += left
    # For its checks, and the times; the cells are ours.
    base = make_plan(
        msgspec.structs.replace(request, workloads=("spin",), param={}, threads="1", place=(), smt=("on",)),
        topology,
    )
    return msgspec.structs.replace(base, cells=cells, left_out=list(dict.fromkeys(left_out))), ones
