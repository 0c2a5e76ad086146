# SPDX-License-Identifier: Apache-2.0
"""Test in emulated machines how they are read, and where threads and memory are placed."""

from typing import Any

import pytest

from pybench.host.topology import Topology, read_topology
from pybench.native import Outcome, TrialSpec, run_trial
from pybench.placement import place
from pybench.present.host_shape import title
from pybench.text import format_list
from pybench.workloads import workload

both = pytest.mark.lab("2x2x2", "server")

# Siblings are 0+1 2+3 | 4+5 6+7 on 2x2x2, and 0+4 1+5 | 2+6 3+7 on the server.
PLACES = {
    "all": ("0,2,1,3-4,6,5,7", "0-1,4-5,2-3,6-7"),
    "all smt:off": ("0,2,4,6", "0-3"),
    "all scatter": ("0,4,2,6,1,5,3,7", "0,2,1,3-4,6,5,7"),
    "all siblings-first": ("0-7", "0,4,1,5,2,6,3,7"),
    "single-socket": ("0,2,1,3", "0-1,4-5"),
    "single-socket smt:off": ("0,2", "0-1"),
    "dual-socket": ("0,4,2,6,1,5,3,7", "0,2,1,3-4,6,5,7"),
    "dual-socket smt:off": ("0,4,2,6", "0,2,1,3"),
    "socket:1": ("4,6,5,7", "2-3,6-7"),
    "node:1 siblings-first": ("4-7", "2,6,3,7"),
    "l3:0": ("0,2,1,3", "0-1,4-5"),
    "core:1,2": ("2-5", "1,5,2,6"),
    "core:3 smt:off": ("6", "3"),
    "5,0-1": ("5,0-1", "5,0-1"),
}


def trial(cpus: tuple[int, ...], **changes: Any) -> Outcome:
    """Run a trial of 20 ms with a member on each CPU."""
    fields: dict[str, Any] = {
        "workload": "spin",
        "params": workload("spin").complete({"lock": "mcs"}),
        "duration_ns": 20_000_000,
    }
    outcome = run_trial(TrialSpec(cpus=cpus, **(fields | changes)))
    assert outcome.status == "ok", outcome.reason
    assert outcome.members
    return outcome


@pytest.fixture(scope="module")
def topology() -> Topology:
    return read_topology()


@both
def test_the_topology_is_what_was_asked_for(topology: Topology, lab_preset: str) -> None:
    assert title(topology).startswith("8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes")
    siblings = ["0-1", "2-3", "4-5", "6-7"] if lab_preset == "2x2x2" else ["0,4", "1,5", "2,6", "3,7"]
    assert [format_list(cpu.number for cpu in core) for core in topology.cores.values()] == siblings
    assert [node.distances for node in topology.nodes] == [(10, 21), (21, 10)]
    assert topology.smt_control == "on"
    assert topology.missing == ()


@both
def test_every_placement_word_picks_the_cpus_a_person_would(topology: Topology, lab_preset: str) -> None:
    column = ("2x2x2", "server").index(lab_preset)
    found = {text: format_list(place(topology, text).cpus) for text in PLACES}
    assert found == {text: lists[column] for text, lists in PLACES.items()}


@both
@pytest.mark.parametrize("text", ["all", "dual-socket smt:off", "socket:1 siblings-first"])
@pytest.mark.parametrize("crew", ["threads", "processes"])
def test_members_start_and_stop_on_their_cpus(topology: Topology, text: str, crew: str) -> None:
    cpus = place(topology, text).cpus
    outcome = trial(cpus, crew=crew)
    assert outcome.members
    assert tuple(outcome.members.cpu) == cpus
    assert outcome.members.cpu_seen == []
    by_number = topology.by_number()
    nodes = [by_number[cpu].node for cpu in cpus]
    assert not outcome.members.node or outcome.members.node == nodes


@both
@pytest.mark.parametrize("node", [0, 1])
def test_the_line_is_on_the_node_asked_for(topology: Topology, node: int) -> None:
    placement = place(topology, f"socket:0 smt:off mem:node:{node}")
    outcome = trial(placement.cpus, memory=placement.memory.kind, nodes=placement.memory.nodes)
    assert (outcome.line_node, outcome.line_node_after) == (node, node)


@both
@pytest.mark.parametrize("socket", [0, 1])
def test_a_local_line_is_on_the_node_of_who_touches_it_first(topology: Topology, socket: int) -> None:
    outcome = trial(place(topology, f"socket:{socket} smt:off").cpus)
    assert outcome.line_node == outcome.line_node_after == socket


@both
def test_interleaved_memory_is_on_one_of_the_nodes(topology: Topology) -> None:
    placement = place(topology, "all mem:interleave")
    assert placement.memory.nodes == (0, 1)
    outcome = trial(placement.cpus, memory="interleave", nodes=(0, 1))
    assert outcome.line_node in (0, 1)


@pytest.mark.lab("memory-only", slow=True)
def test_a_node_of_memory_alone_can_hold_the_line(topology: Topology) -> None:
    memory = topology.node(2)
    assert memory is not None
    assert (memory.cpus, memory.distances) == ((), (17, 17, 10))
    outcome = trial(place(topology, "all smt:off").cpus, memory="bind", nodes=(2,))
    assert (outcome.line_node, outcome.line_node_after) == (2, 2)


@pytest.mark.lab("r5.metal", slow=True)
def test_96_cpus_are_read_and_placed(topology: Topology) -> None:
    assert title(topology).startswith("96 CPUs: 2 sockets x 24 cores x 2 threads, 2 NUMA nodes")
    siblings = [format_list(cpu.number for cpu in core) for core in topology.cores.values()]
    assert siblings == [f"{n},{n + 48}" for n in range(48)]
    assert format_list(place(topology, "single-socket").cpus) == "0-23,48-71"
    assert format_list(place(topology, "node:1 smt:off").cpus) == "24-47"


@pytest.mark.lab("r5.metal", slow=True)
def test_96_threads_run_on_96_cpus(topology: Topology) -> None:
    cpus = place(topology, "all").cpus
    outcome = trial(cpus, grace_ns=240_000_000_000)
    assert outcome.members
    assert tuple(outcome.members.cpu) == cpus
    assert outcome.members.cpu_seen == []
