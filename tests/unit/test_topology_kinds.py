# SPDX-License-Identifier: Apache-2.0
"""Small trees of faults seen in captures: each reads as its machine is, or says what it lacks."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pybench.api.doctor import examine
from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import distance, read_topology
from pybench.placement import place
from pybench.plan.planner import make_plan
from pybench.plan.request import Request
from tests.unit.hosts import DATA, column, members, read
from tests.unit.topologies import big_little, server, write

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


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("lists-without-their-cpu", "off, or none"),
        ("siblings-as-mask-only", "off, or none"),
        ("l3-as-mask-only", "on: 8 of 8 CPUs share a core"),
    ],
)
def test_the_doctor_sees_smt_and_the_caveats(name: str, seen: str) -> None:
    _, found = examine(sysroot=DATA / f"{name}.tar.gz")
    assert [one.seen for one in found if one.topic == "SMT"] == [seen]
    assert [one.seen for one in found if one.topic == "topology"] == list(read(name).missing)


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


def test_masks_that_say_more_than_false_lists(tmp_path: Path) -> None:
    # As a container showed them: the same list for all CPUs, and the masks of the host.
    root = write(tmp_path, server(2, 4, 2, gib=1))
    masks = {n: (1 << n % 8 | 1 << n % 8 + 8, 0xF0F << n // 4 % 2 * 4) for n in range(16)}
    for n, (core, l3) in masks.items():
        here = root / f"sys/devices/system/cpu/cpu{n}"
        (here / "topology/core_cpus_list").write_text("0-3\n")
        (here / "topology/core_cpus").write_text(f"{core:04x}\n")
        (here / "cache/index3/shared_cpu_list").write_text("0-7\n")
        (here / "cache/index3/shared_cpu_map").write_text(f"{l3:04x}\n")
    topology = read_topology(root)
    assert members(topology.cores) == [f"{n},{n + 8}" for n in range(8)]
    assert members(topology.l3_domains) == ["0-3,8-11", "4-7,12-15"]
    assert [caveat.partition(" of CPUs")[0] for caveat in topology.caveats] == [
        "lists of SMT siblings",
        "lists of L3 sharers",
    ]


def test_l3_caches_by_id_where_nothing_lists_their_cpus(tmp_path: Path) -> None:
    root = write(tmp_path, server(1, 4, 1, gib=1))
    for n in range(4):
        folder = root / f"sys/devices/system/cpu/cpu{n}/cache/index3"
        (folder / "shared_cpu_list").unlink()
        (folder / "id").write_text(f"{n // 2 * 5}\n")
    topology = read_topology(root)
    assert members(topology.l3_domains) == ["0-1", "2-3"]
    assert topology.caveats == ("no list of L3 sharers for CPUs 0-3: L3 cache taken from its id",)


@pytest.mark.parametrize(
    "mounts", ["none /dev/cpuset cpuset rw 0 0", "cg /dev/cpuset cgroup rw,cpuset,noprefix 0 0"]
)
def test_the_cpuset_file_system_of_older_kernels(tmp_path: Path, mounts: str) -> None:
    files = {"proc/self/cpuset": "/batch", "proc/mounts": mounts, "dev/cpuset/batch/cpus": "2-3"}
    root = write(tmp_path, replace(server(1, 4, 1, gib=1), files=files))
    (root / "proc/self/status").unlink()
    topology = read_topology(root)
    assert [cpu.number for cpu in topology.usable] == [2, 3]
    assert "no proc/self/status: affinity unknown" in topology.missing


def test_a_mask_of_affinity_stands_in_for_the_list(tmp_path: Path) -> None:
    root = write(tmp_path, server(1, 4, 1, gib=1))
    (root / "proc/self/status").write_text("Cpus_allowed:\t00000000,00000006\n")
    assert [cpu.number for cpu in read_topology(root).usable] == [1, 2]


def test_a_cpu_without_capacity_is_of_unknown_type(tmp_path: Path) -> None:
    root = write(tmp_path, big_little())
    (root / "sys/devices/system/cpu/cpu7/cpu_capacity").unlink()
    topology = read_topology(root)
    assert column(topology, "core_type") == ["efficiency"] * 3 + ["performance"] * 4 + [None]
    assert "type of core unknown for CPU 7" in topology.caveats


def test_preferred_cores_are_one_type(tmp_path: Path) -> None:
    files = {
        f"sys/devices/system/cpu/cpu{n}/cpufreq/cpuinfo_max_freq": str(5000000 + n * 100000) for n in range(8)
    }
    topology = read_topology(write(tmp_path, replace(server(1, 8, 1, gib=1), files=files)))
    assert column(topology, "core_type") == [None] * 8


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
