# SPDX-License-Identifier: Apache-2.0
"""Comparing SMT settings and sockets: fair placements on any machine, and a verdict that says what was planted."""

import functools
import tempfile
from pathlib import Path

import msgspec
import pytest

from pybench.analysis.comparison.smt_and_sockets import compare_equal
from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Topology, read_topology
from pybench.plan.request import Request
from pybench.plan.sides import Sides, plan_sides
from pybench.plan.smt_sides import smt_sides
from pybench.plan.socket_sides import socket_sides
from pybench.present.views.equal import verdict_lines
from pybench.results.records import Cell
from tests.unit.synthetic import columns, noisy
from tests.unit.topologies import MACHINES, SCRATCH, write

REQUEST = Request(workloads=("spin",), seed=1)


@functools.cache
def machine(name: str) -> Topology:
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        return read_topology(write(Path(folder), MACHINES[name]()))


def planned(topology: Topology, sides: Sides) -> tuple[dict[int, Cell], dict[int, Cell]]:
    """Cells by threads of the side `one` and of the other."""
    plan, ones = plan_sides(REQUEST, topology, sides)
    return {cell.threads: cell for cell in plan.cells[:ones]}, {cell.threads: cell for cell in plan.cells[ones:]}


def cores_of(topology: Topology, cell: Cell) -> set[int | None]:
    return {topology.by_number()[cpu].core for cpu in cell.cpus}


@pytest.mark.parametrize(("name", "kernel"), [*((name, False) for name in MACHINES), ("r5_metal", True)])
def test_smt_is_compared_on_the_same_cores_and_with_the_same_threads(name: str, kernel: bool) -> None:
    topology = machine(name)
    try:
        sides = smt_sides(topology, kernel=kernel)
    except UnsupportedError as error:
        assert "pybench simulate --machine" in str(error)
        first = topology.usable[0].socket or 0
        here = [cpu.core for cpu in topology.usable if (cpu.socket or 0) == first]
        assert len(set(here)) == len(here)
        return
    except UsageError as error:
        assert "siblings to use" in str(error)
        return
    one, more = planned(topology, sides)
    for count in sides.counts:
        # One thread per core; all siblings of the same cores; the same threads on fewer cores.
        assert len(cores_of(topology, one[count])) == count
        assert cores_of(topology, more[sides.factor * count]) == cores_of(topology, one[count])
        assert len(set(more[sides.factor * count].cpus)) == sides.factor * count
        if count % sides.factor == 0:
            assert len(cores_of(topology, more[count])) == count // sides.factor
    assert {cell.smt for cell in one.values()} == {"off:kernel" if kernel else "off"}


@pytest.mark.parametrize("name", MACHINES)
def test_sockets_are_compared_with_a_thread_a_core(name: str) -> None:
    topology = machine(name)
    try:
        sides = socket_sides(topology)
    except UnsupportedError as error:
        assert len({cpu.socket or 0 for cpu in topology.usable}) == 1
        assert "pybench simulate --machine" in str(error)
        return
    one, more = planned(topology, sides)
    socket_of = {cpu.number: cpu.socket or 0 for cpu in topology.cpus}
    for cell in (*one.values(), *more.values()):
        assert len(cores_of(topology, cell)) == cell.threads
    for threads, cell in more.items():
        split = [socket_of[cpu] for cpu in cell.cpus]
        assert {split.count(socket) for socket in set(split)} == {threads // 2}
    for threads, cell in one.items():
        assert len({socket_of[cpu] for cpu in cell.cpus}) == 1
        assert set(cell.cpus) <= set(more[2 * threads].cpus)


def test_the_verdict_is_what_was_planted() -> None:
    topology = machine("r5_metal")
    for sides, speed, words in (
        (
            smt_sides(topology),
            {"one": 1.0, "more": 1.3},
            ["equal cores (24): 48 threads on 24 cores with SMT do 1.", "SMT adds throughput", "fill them first"],
        ),
        (
            smt_sides(topology),
            {"one": 1.0, "more": 0.7},
            ["SMT reduces throughput", "equal threads (24): 24 threads on 12 cores", "use one thread per core"],
        ),
        (
            socket_sides(topology),
            {"one": 1.0, "more": 0.5},
            ["equal threads (24): 24 threads over two sockets do 0.", "keep the threads on one socket"],
        ),
        (
            socket_sides(topology),
            {"one": 1.0, "more": 1.0},
            ["the second socket adds nothing", "one socket or two makes no difference"],
        ),
    ):
        plan, ones = plan_sides(msgspec.structs.replace(REQUEST, param={"lock": ("mcs",)}), topology, sides)
        factors = [speed["one"] if i < ones else speed["more"] for i in range(len(plan.cells))]
        file = columns(noisy("planted", plan.cells, factors=factors, noise=0.002, trials=12))[0]
        compared = compare_equal(file, sides.kind, ones, sides.factor)
        assert [len(pair.cells) for pair in compared.pairs] == [
            len(sides.counts),
            sum(n % sides.factor == 0 for n in sides.counts),
        ]
        assert not any(pair.unmatched for pair in compared.pairs)
        said = "\n".join(verdict_lines(compared, sides.kind, sides.factor))
        for part in words:
            assert part in said


def test_a_placement_that_fills_in_its_own_order_is_refused() -> None:
    for words in ("single-socket", "all scatter"):
        with pytest.raises(UsageError, match="fills cores one by one itself"):
            smt_sides(machine("r5_metal"), words)
    assert smt_sides(machine("r5_metal"), "core:0-3").counts == (1, 2, 4)
