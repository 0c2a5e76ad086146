# SPDX-License-Identifier: Apache-2.0
"""Two sides of this host, with and without SMT or on one socket and two, in one interleaved sweep."""

from typing import Literal

from pybench.api.sweep import measure_into, topology_of
from pybench.plan.request import Request
from pybench.plan.sides import Sides, plan_sides
from pybench.plan.smt_sides import smt_sides
from pybench.plan.socket_sides import socket_sides
from pybench.results.store import Results
from pybench.run.loop import Observer


class SidesPlan:
    """The plan of `compare-smt` or `compare-sockets`: two sides of this host in one interleaved sweep."""

    def __init__(
        self, kind: Literal["smt", "sockets"], request: Request, *, place: str | None = None, kernel: bool = False
    ) -> None:
        """Plan the sides; `place` and `kernel` as `smt_sides` has them. Raises UsageError or UnsupportedError."""
        self.request = request
        self.topology = topology_of(request)
        smt = kind == "smt"
        self.sides: Sides = smt_sides(self.topology, place, kernel=kernel) if smt else socket_sides(self.topology)
        self.plan, self.ones = plan_sides(request, self.topology, self.sides)

    def measure(self, observer: Observer | None = None) -> Results:
        """Measure both sides into a new file. Raises as `sweep` does."""
        return measure_into(self.request, self.plan, self.topology, f"compare-{self.sides.kind}", observer)
