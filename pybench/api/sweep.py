# SPDX-License-Identifier: Apache-2.0
"""A sweep of this host from a request, and of a file that was interrupted; the plan alone, of any host."""

from pathlib import Path
from typing import Literal

from pybench.errors import UsageError
from pybench.host.topology import Topology, read_topology
from pybench.plan.planner import make_plan
from pybench.plan.request import Request
from pybench.plan.sides import Sides, plan_sides
from pybench.plan.smt_sides import smt_sides
from pybench.plan.socket_sides import socket_sides
from pybench.results.names import RESULTS, new_name
from pybench.results.records import Plan
from pybench.results.store import Results
from pybench.run.loop import Observer
from pybench.run.measure import measure_plan, resume

__all__ = ["RESULTS", "SidesPlan", "plan", "resume", "sweep"]


def _topology(request: Request) -> Topology:
    if request.sysroot and not request.dry_run:
        raise UsageError("--sysroot plans for another host, which cannot be measured here; add --dry-run")
    return read_topology(request.sysroot or Path("/"))


def plan(request: Request) -> tuple[Plan, Topology]:
    """Plan a request for this host, or for the one in `request.sysroot`. Raises UsageError or UnsupportedError."""
    topology = _topology(request)
    return make_plan(request, topology).plan, topology


def sweep(request: Request, *, observer: Observer | None = None) -> Results:
    """Measure a request into a new file, `request.output` or one in the folder `results`.

    Raises UsageError for what cannot be meant, UnsupportedError for what this host cannot do, MeasurementError if
    every trial failed, and Interrupted, with the results so far, on Ctrl-C.
    """
    made, topology = plan(request)
    name = made.cells[0].workload if request.workloads else "host"
    return _measure(request, made, topology, name, observer)


class SidesPlan:
    """The plan of `compare-smt` or `compare-sockets`: two sides of this host in one interleaved sweep."""

    def __init__(
        self, kind: Literal["smt", "sockets"], request: Request, *, place: str | None = None, kernel: bool = False
    ) -> None:
        """Plan the sides; `place` and `kernel` as `smt_sides` has them. Raises UsageError or UnsupportedError."""
        self.request = request
        self.topology = _topology(request)
        smt = kind == "smt"
        self.sides: Sides = smt_sides(self.topology, place, kernel=kernel) if smt else socket_sides(self.topology)
        self.plan, self.ones = plan_sides(request, self.topology, self.sides)

    def measure(self, observer: Observer | None = None) -> Results:
        """Measure both sides into a new file. Raises as `sweep` does."""
        return _measure(self.request, self.plan, self.topology, f"compare-{self.sides.kind}", observer)


def _measure(request: Request, made: Plan, topology: Topology, name: str, observer: Observer | None) -> Results:
    path = request.output or new_name(name)
    return measure_plan(
        made, topology, path=path, allow_host_changes=request.allow_host_changes, observer=observer
    )
