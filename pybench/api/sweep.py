# SPDX-License-Identifier: Apache-2.0
"""A sweep of this host from a request, and of a file that was interrupted; the plan alone, of any host."""

from pathlib import Path

from pybench.errors import UsageError
from pybench.host.topology import Topology, read_topology
from pybench.plan.planner import make_plan
from pybench.plan.request import Request
from pybench.results.records import Plan
from pybench.results.store import RESULTS, Results, new_name
from pybench.run.loop import Observer
from pybench.run.sweep import measure_plan, resume

__all__ = ["RESULTS", "measure_into", "plan", "resume", "sweep", "topology_of"]


def topology_of(request: Request) -> Topology:
    """Return the topology of this host, or of the one in `request.sysroot`. Raises UsageError unless dry."""
    if request.sysroot and not request.dry_run:
        raise UsageError("--sysroot plans for another host, which cannot be measured here; add --dry-run")
    return read_topology(request.sysroot or Path("/"))


def plan(request: Request) -> tuple[Plan, Topology]:
    """Plan a request for this host, or for the one in `request.sysroot`. Raises UsageError or UnsupportedError."""
    topology = topology_of(request)
    return make_plan(request, topology).plan, topology


def sweep(request: Request, *, observer: Observer | None = None) -> Results:
    """Measure a request into a new file, `request.output` or one in the folder `results`.

    Raises UsageError for what cannot be meant, UnsupportedError for what this host cannot do, MeasurementError if
    every trial failed, and Interrupted, with the results so far, on Ctrl-C.
    """
    made, topology = plan(request)
    name = made.cells[0].workload if request.workloads else "host"
    return measure_into(request, made, topology, name, observer)


def measure_into(
    request: Request, made: Plan, topology: Topology, name: str, observer: Observer | None
) -> Results:
    """Measure a plan into a new file, `request.output` or one whose name begins with `name`."""
    path = request.output or new_name(name)
    return measure_plan(
        made, topology, path=path, allow_host_changes=request.allow_host_changes, observer=observer
    )
