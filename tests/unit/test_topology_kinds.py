"""Small trees of faults seen in captures: each reads as its machine is, or says what it lacks."""

import msgspec
import pytest

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import distance
from pybench.placement import place
from pybench.plan.planner import make_plan
from pybench.plan.request import Request
from tests.unit.hosts import column, members, read

PAIRS, TWO_SOCKETS = ["0,4", "1,5", "2,6", "3,7"], ["0-1,4-5", "2-3,6-7"]
EIGHT = [str(n) for n in range(8)]

# Sockets, cores and L3 domains of each, and a part of each of its caveats.
KINDS: dict[str, tuple[list[str], list[str], list[str], list[str]]] = {
    "archive-two-folders-deep": (TWO_SOCKETS, PAIRS, [], []),
    "capacities-of-one-kind-differ": (["0-19"], [str(n) for n in range(20)], [], []),
    "distance-for-an-offline-node": (TWO_SOCKETS, PAIRS, [], ["not one distance for each"]),
    "hybrid-by-frequency-only": (
        ["0-7"], ["0-1", "2-3", "4", "5", "6", "7"], [], ["types of cores are not reported"],
    ),
    "l3-as-mask-only": (TWO_SOCKETS, PAIRS, TWO_SOCKETS, []),
    "l3-over-two-sockets": (TWO_SOCKETS, PAIRS, ["0-7"], ["L3 cache 0 spans sockets 0-1"]),
    "lists-without-their-cpu": (
        ["0-3", "4-7"],
        EIGHT,
        ["0-3"],
        [
            "lists of SMT siblings of CPUs 1,3-7 contradict themselves",
            "CPUs 0-7: core taken from core_id",
            "lists of L3 sharers of CPUs 4-7 contradict themselves",
        ],
    ),
    "nodes-as-mask-only": (TWO_SOCKETS, PAIRS, TWO_SOCKETS, []),
    "nodes-overlap": (TWO_SOCKETS, PAIRS, [], ["nodes 0-1 all list CPUs 0-7"]),
    "one-cpu-without-package": (
        ["0-3"], EIGHT[:4], [], ["no package id for CPU 3", "neither siblings nor core_id for CPU 3"],
    ),
    "online-file-empty": (TWO_SOCKETS, PAIRS, [], ["cpu0/online: '' is not a whole number"]),
    "online-without-the-allowed": (["0-1"], ["0", "1"], [], ["online lists 0, but this process may run on CPU 1"]),
    "package-minus-one": (["0-3", "4-7"], EIGHT, [], ["no package id for CPUs 0-7: socket taken from lists"]),
    "same-package-id-in-two-books": (["0-1", "2-3"], EIGHT[:4], [], []),
    "siblings-as-mask-only": (["0-7"], EIGHT, [], []),
    "tickless-list-is-nul": (TWO_SOCKETS, PAIRS, [], []),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_reads_as_its_machine_is(name: str) -> None:
    topology = read(name)
    sockets, cores, l3_domains, caveats = KINDS[name]
    assert members(topology.sockets) == sockets
    assert members(topology.cores) == cores
    assert members(topology.l3_domains) == l3_domains
    assert len(topology.caveats) == len(caveats)
    for part in caveats:
        assert any(part in caveat for caveat in topology.caveats), topology.caveats
    assert set(topology.caveats) <= set(topology.missing)


@pytest.mark.parametrize("name", KINDS)
def test_the_default_sweep_plans_on_every_kind(name: str) -> None:
    topology = read(name)
    cells = make_plan(Request(dry_run=True), topology).plan.cells
    assert max(cell.threads for cell in cells) <= len(topology.usable)


@pytest.mark.parametrize("name", ["nodes-as-mask-only", "l3-as-mask-only", "tickless-list-is-nul"])
def test_nodes_of_two_sockets(name: str) -> None:
    topology = read(name)
    assert [node.cpus for node in topology.nodes] == [(0, 1, 4, 5), (2, 3, 6, 7)]
    assert place(topology, "node:1").cpus == (2, 3, 6, 7)
    assert place(topology, "mem:interleave").memory.nodes == (0, 1)
    assert not any(cpu.nohz_full for cpu in topology.cpus)


def test_overlapping_nodes_both_place_their_cpus() -> None:
    topology = read("nodes-overlap")
    assert set(column(topology, "node")) == {0}
    for words in ("node:0", "node:1", "node:0-1"):
        assert sorted(place(topology, words).cpus) == list(range(8))


def test_smt_off_takes_every_core_of_false_lists() -> None:
    assert sorted(place(read("lists-without-their-cpu"), "all smt:off").cpus) == list(range(8))


def test_a_hidden_online_cpu_is_usable() -> None:
    topology = read("online-without-the-allowed")
    assert [cpu.number for cpu in topology.usable] == [1]
    assert place(topology, "all").cpus == (1,)


def test_cpus_of_unlike_l3_and_socket_share_the_l3() -> None:
    by_number = read("l3-over-two-sockets").by_number()
    assert distance(by_number[0], by_number[2]) == "l3"


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("capacities-of-one-kind-differ", (["efficiency"] * 5 + ["performance"] * 5) * 2),
        ("hybrid-by-frequency-only", ["performance"] * 4 + ["efficiency"] * 4),
    ],
)
def test_types_of_cores(name: str, types: list[str]) -> None:
    assert column(read(name), "core_type") == types


def test_a_host_that_does_not_report_sockets_says_so() -> None:
    topology = read("power7")
    with pytest.raises(UnsupportedError, match="this host does not report its sockets"):
        place(topology, "dual-socket")
    placement = place(topology, "single-socket")
    assert "sockets unknown" in placement.describe(topology)


def test_a_node_that_does_not_list_its_cpus_is_not_memory_alone() -> None:
    topology = read("nodes-overlap")
    nodes = tuple(msgspec.structs.replace(node, cpus=(), lists_cpus=False) for node in topology.nodes)
    cpus = tuple(msgspec.structs.replace(cpu, node=None) for cpu in topology.cpus)
    topology = msgspec.structs.replace(topology, nodes=nodes, cpus=cpus)
    with pytest.raises(UsageError, match="NUMA node 0 does not list its CPUs"):
        place(topology, "node:0")
