# SPDX-License-Identifier: Apache-2.0
"""Two sides of a host compared at equal cores and at equal threads, in one interleaved sweep."""

from typing import Literal

import msgspec

from pybench.host.topology import Topology
from pybench.plan.planner import make_plan
from pybench.plan.request import Request
from pybench.results.records import Plan

BUDGET = "3m"
SIMULATE = "simulate a machine that has more: pybench simulate --machine r5.metal"


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """The two sides, each a placement and an SMT setting: `one` thread per core (or one socket), and `more`."""

    kind: Literal["smt", "sockets"]
    one: tuple[str, str]
    more: tuple[str, str]
    factor: int
    """Threads per core, or sockets, of `more`."""
    counts: tuple[int, ...]
    """Cores (or threads per socket) at which the two are compared."""

    @property
    def more_threads(self) -> tuple[int, ...]:
        """Thread counts of `more`: those at equal cores, and those at equal threads."""
        same = (n for n in self.counts if n % self.factor == 0)
        return tuple(sorted({*(self.factor * n for n in self.counts), *same}))


def core_counts(most: int) -> tuple[int, ...]:
    counts = [1 << i for i in range(most.bit_length())]
    return tuple(sorted({*(n for n in counts if n <= most), most}))


def plan_sides(request: Request, topology: Topology, sides: Sides) -> tuple[Plan, int]:
    """Plan both sides as one sweep. Return the plan, and how many of its first cells are of the side `one`."""
    one, more = (
        make_plan(
            msgspec.structs.replace(request, threads=",".join(map(str, counts)), place=(text,), smt=(smt,)),
            topology,
        ).plan
        for (text, smt), counts in ((sides.one, sides.counts), (sides.more, sides.more_threads))
    )
    left_out = list(dict.fromkeys([*one.left_out, *more.left_out]))
    return msgspec.structs.replace(one, cells=one.cells + more.cells, left_out=left_out), len(one.cells)
