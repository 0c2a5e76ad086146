# SPDX-License-Identifier: Apache-2.0
"""Topologies of many hosts: what a person says of each is what is read from its files."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybench.host.topology import Topology, read_topology
from pybench.present.host_shape import size, title
from pybench.text import format_list, parse_list
from tests.unit.hosts import HOSTS, column, lscpu_rows, members, read, read_host
from tests.unit.topologies import Host, even_memory, grid, small_vm, write

# --- lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ()),
        ("\n", ()),
        ("(null)", ()),
        ("0", (0,)),
        ("0-3,8", (0, 1, 2, 3, 8)),
        ("0-3,8-11:2/4", (0, 1, 2, 3, 8, 9)),
        ("0-15:1/4", (0, 4, 8, 12)),
        ("16,0-1", (16, 0, 1)),
    ],
)
def test_kernel_lists(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_list(text) == numbers


@pytest.mark.parametrize("text", ["a", "0-", "-1", "3-1", "0,,1", "0-3:0/4", "0-3:5/4", "0-99999999", "²", "0x3"])
def test_a_list_that_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_list(text)


@given(st.lists(st.integers(0, 9999), unique=True))
def test_lists_round_trip(numbers: list[int]) -> None:
    assert parse_list(format_list(numbers)) == tuple(numbers)


@given(st.sets(st.integers(0, 200)))
def test_a_kernel_list_is_as_short_as_it_can_be(numbers: set[int]) -> None:
    runs = sum(number - 1 not in numbers for number in numbers)
    assert len(list(filter(None, format_list(sorted(numbers)).split(",")))) == runs


# --- hosts ---------------------------------------------------------------------------------------

SAID = {
    "r5_metal": "96 CPUs: 2 sockets x 24 cores x 2 threads, 2 NUMA nodes, 768 GiB",
    "interleaved": "32 CPUs: 2 sockets x 8 cores x 2 threads, 2 NUMA nodes, 128 GiB",
    "small_vm": "2 CPUs: 1 socket x 2 cores x 1 thread, 1 NUMA node, 4 GiB",
    "vm_without_nodes": "4 CPUs: 1 socket x 4 cores x 1 thread",
    "snc": "64 CPUs: 2 sockets x 16 cores x 2 threads, 4 NUMA nodes, 384 GiB",
    "four_sockets": "48 CPUs: 4 sockets x 6 cores x 2 threads, 4 NUMA nodes, 512 GiB",
    "milan": "256 CPUs: 2 sockets x 64 cores x 2 threads, 2 NUMA nodes, 1 TiB",
    "rome": "64 CPUs: 1 socket x 32 cores x 2 threads, 1 NUMA node, 256 GiB",
    "naples": "96 CPUs: 2 sockets x 24 cores x 2 threads, 8 NUMA nodes, 256 GiB",
    "arm_server": "160 CPUs: 2 sockets x 80 cores x 1 thread, 2 NUMA nodes, 512 GiB",
    "big_little": "8 CPUs: 1 socket, 8 cores (3 efficiency, 4 capacity 700, 1 performance), 1 thread per core",
    "hybrid": (
        "22 CPUs: 1 socket, 16 cores (6 performance, 10 efficiency), 1-2 threads per core, 1 NUMA node, 32 GiB"
    ),
    "memory_only_node": "16 CPUs: 2 sockets x 4 cores x 2 threads, 3 NUMA nodes, 256 GiB",
    "sparse": "8 CPUs: 2 sockets x 4 cores x 1 thread, 2 NUMA nodes, 16 GiB",
    "offline": "96 CPUs (48 offline): 2 sockets x 24 cores x 1 thread, 2 NUMA nodes, 768 GiB",
    "isolated": "8 CPUs: 1 socket x 8 cores x 1 thread, 1 NUMA node, 16 GiB",
    "cpuset_v2": "16 CPUs (8 not allowed): 2 sockets x 4 cores x 2 threads, 2 NUMA nodes, 64 GiB",
    "cpuset_v1": "8 CPUs (4 not allowed): 1 socket x 8 cores x 1 thread, 1 NUMA node, 16 GiB",
    "power7": "16 CPUs: sockets unknown, 4 cores x 4 threads, 1 NUMA node, 16 GiB",
    "power8": "160 CPUs: 2 sockets x 10 cores x 8 threads, 2 NUMA nodes, 512 GiB",
    "one_cpu": "1 CPU: 1 socket x 1 core x 1 thread, 1 NUMA node, 1 GiB",
    "bare": "2 CPUs: sockets unknown, 2 cores x 1 thread",
    "older_kernel": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes, 16 GiB",
    "old_kernel": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes, 16 GiB",
    "swapped": "8 CPUs: 2 sockets x 4 cores x 1 thread, 2 NUMA nodes, 24 GiB",
    # Captured in emulated machines (Linux 6.1); scripts/lab makes more of them.
    "cgroup-v2-cpuset": "8 CPUs (3 not allowed): 2 sockets x 2 cores x 2 threads, 2 NUMA nodes, 1.9 GiB",
    "one-offline": "8 CPUs (1 offline): 2 sockets, 4 cores, 1-2 threads per core, 2 NUMA nodes, 1.9 GiB",
    "smt-off": "8 CPUs (4 offline, 1 not allowed): 2 sockets x 2 cores x 1 thread, 2 NUMA nodes, 1.9 GiB",
    "two-sockets-8": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes, 1.9 GiB",
    "two-sockets-96": "96 CPUs: 2 sockets x 24 cores x 2 threads, 2 NUMA nodes, 3.8 GiB",
    "lab-2x2x2": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes, 1.9 GiB",
    "lab-four-nodes": "8 CPUs: 2 sockets x 2 cores x 2 threads, 4 NUMA nodes, 1.9 GiB",
    "lab-four-sockets-smt-off": "16 CPUs (8 offline): 4 sockets x 2 cores x 1 thread, 4 NUMA nodes, 1.9 GiB",
    "lab-memory-only": "8 CPUs: 2 sockets x 2 cores x 2 threads, 3 NUMA nodes, 1.9 GiB",
    "lab-no-smt": "8 CPUs: 2 sockets x 4 cores x 1 thread, 2 NUMA nodes, 1.9 GiB",
    "lab-server-offline": "8 CPUs (2 offline): 2 sockets, 4 cores, 1-2 threads per core, 2 NUMA nodes, 1.9 GiB",
    "lab-single": "1 CPU: 1 socket x 1 core x 1 thread, 1 NUMA node, 973 MiB",
    # Small trees of what captures of other machines were seen to do.
    "archive-two-folders-deep": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes",
    "capacities-of-one-kind-differ": (
        "20 CPUs: 1 socket, 20 cores (10 efficiency, 10 performance), 1 thread per core, 1 NUMA node"
    ),
    "distance-for-an-offline-node": "8 CPUs: 2 sockets x 2 cores x 2 threads, 1 NUMA node",
    "hybrid-by-frequency-only": (
        "8 CPUs: 1 socket, 6 cores (2 performance, 4 efficiency), 1-2 threads per core, 1 NUMA node"
    ),
    "l3-as-mask-only": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes",
    "l3-over-two-sockets": "8 CPUs: 2 sockets x 2 cores x 2 threads, 1 NUMA node",
    "lists-without-their-cpu": "8 CPUs: 2 sockets x 4 cores x 1 thread, 1 NUMA node",
    "nodes-as-mask-only": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes",
    "nodes-overlap": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes",
    "one-cpu-without-package": "4 CPUs: 1 socket x 4 cores x 1 thread, 1 NUMA node",
    "online-file-empty": "8 CPUs: 2 sockets x 2 cores x 2 threads",
    "online-without-the-allowed": "2 CPUs (1 not allowed): 1 socket x 2 cores x 1 thread, 1 NUMA node",
    "package-minus-one": "8 CPUs: 2 sockets x 4 cores x 1 thread",
    "same-package-id-in-two-books": "4 CPUs: 2 sockets x 2 cores x 1 thread",
    "siblings-as-mask-only": "8 CPUs: 1 socket x 8 cores x 1 thread, 1 NUMA node",
    "tickless-list-is-nul": "8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes",
}


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_in_one_line(name: str) -> None:
    assert title(read(name)) == SAID[name]


@pytest.mark.parametrize("name", HOSTS)
def test_every_online_cpu_is_in_one_core_and_one_socket(name: str) -> None:
    topology = read(name)
    online = sorted(cpu.number for cpu in topology.online)
    for groups in (topology.sockets, topology.cores):
        assert sorted(cpu.number for cpus in groups.values() for cpu in cpus) == online
    for core in topology.cores.values():
        assert [cpu.smt for cpu in core] == list(range(len(core)))
        assert len({(cpu.socket, cpu.node, cpu.l3) for cpu in core}) == 1


@pytest.mark.parametrize("name", HOSTS)
def test_json_holds_the_whole_topology(name: str) -> None:
    topology = read(name)
    assert msgspec.json.decode(msgspec.json.encode(topology.to_dict()), type=Topology) == topology


def test_r5_metal_pairs_cpu_n_with_n_plus_48() -> None:
    topology = read("r5_metal")
    assert members(topology.sockets) == ["0-23,48-71", "24-47,72-95"]
    assert members(topology.cores) == [f"{n},{n + 48}" for n in range(48)]
    assert [node.cpus for node in topology.nodes] == [parse_list("0-23,48-71"), parse_list("24-47,72-95")]
    assert [node.distances for node in topology.nodes] == [(10, 21), (21, 10)]
    assert topology.l3_bytes == (36608 << 10, 36608 << 10)
    assert topology.missing == ()
    assert topology.smt_control == "on"


def test_interleaved_numbers_alternate_between_sockets() -> None:
    topology = read("interleaved")
    assert column(topology, "socket") == [0, 1] * 16
    assert members(topology.cores)[:2] == ["0,16", "1,17"]


def test_a_guest_without_caches_says_so() -> None:
    topology = read("small_vm")
    assert column(topology, "l3") == [None, None]
    assert topology.missing == ("no cache directory: L3 domains unknown",)


def test_a_guest_without_nodes_says_so() -> None:
    topology = read("vm_without_nodes")
    assert topology.nodes == ()
    assert column(topology, "node") == [None] * 4
    assert topology.missing == ("no node directory: NUMA nodes unknown",)
    assert topology.smt_control is None


def test_a_kernel_that_shows_almost_nothing() -> None:
    topology = read("bare")
    assert column(topology, "socket") == column(topology, "die") == [None, None]
    assert column(topology, "core") == [0, 1]
    assert [said.partition(":")[0] for said in topology.missing] == [
        "no topology directory",
        "no cache directory",
        "no node directory",
    ]


def test_sub_numa_clusters_share_their_sockets_l3() -> None:
    topology = read("snc")
    assert [format_list(node.cpus) for node in topology.nodes] == ["0-7,32-39", "8-15,40-47", "16-23,48-55",
                                                                   "24-31,56-63"]  # fmt: skip
    assert members(topology.l3_domains) == ["0-15,32-47", "16-31,48-63"]
    assert topology.nodes[0].distances == (10, 11, 21, 21)


@pytest.mark.parametrize(("name", "count", "cores"), [("milan", 16, 8), ("rome", 8, 4), ("naples", 16, 3)])
def test_amd_has_many_l3_domains(name: str, count: int, cores: int) -> None:
    domains = read(name).l3_domains
    assert len(domains) == count
    assert {len({cpu.core for cpu in cpus}) for cpus in domains.values()} == {cores}


def test_naples_as_lscpu_prints_it() -> None:
    # Rows of `lscpu -p` on that machine: CPU, core, socket, node, L3.
    rows = {0: (0, 0, 0, 0), 5: (5, 0, 0, 1), 23: (23, 0, 3, 7), 24: (24, 1, 4, 8), 29: (29, 1, 4, 9),
            47: (47, 1, 7, 15), 48: (0, 0, 0, 0), 77: (29, 1, 4, 9), 95: (47, 1, 7, 15)}  # fmt: skip
    cpus = read("naples").by_number()
    assert {n: (cpus[n].core, cpus[n].socket, cpus[n].node, cpus[n].l3) for n in rows} == rows
    assert sorted({cpu.die or 0 for cpu in cpus.values()}) == list(range(8))


def test_socket_numbers_are_dense_and_the_raw_ones_kept() -> None:
    topology = read("arm_server")
    assert [(cpu.socket, cpu.socket_id) for cpu in (topology.cpus[0], topology.cpus[80])] == [
        (0, 36),
        (1, 3180),
    ]
    assert topology.missing == ("no die numbers: dies unknown",)


def test_socket_0_is_the_one_with_cpu_0() -> None:
    cpu = read("swapped").cpus[0]
    assert (cpu.socket, cpu.socket_id) == (0, 1)


def test_big_little_cores_are_classed_by_capacity() -> None:
    kinds = column(read("big_little"), "core_type")
    assert kinds == ["efficiency"] * 3 + ["capacity 700"] * 4 + ["performance"]


def test_hybrid_has_siblings_on_performance_cores_only() -> None:
    topology = read("hybrid")
    assert members(topology.cores)[:7] == ["0,5", "1-2", "3-4", "6-7", "8-9", "10-11", "12"]
    assert column(topology, "core_type") == ["performance"] * 12 + ["efficiency"] * 10
    assert members(topology.l3_domains) == ["0-19"]
    assert topology.missing == ("no level-3 cache listed for CPUs 20-21",)


def test_hybrid_named_by_the_cpu_types_folder() -> None:
    folder = "sys/devices/system/cpu/types"
    host = replace(
        small_vm(), files={f"{folder}/intel_core_0/cpulist": "0", f"{folder}/intel_atom_1/cpulist": "1"}
    )
    assert column(read_host(host), "core_type") == ["performance", "efficiency"]


def test_one_kind_of_core_is_no_class() -> None:
    assert column(read_host(replace(small_vm(), files={"sys/devices/cpu_core/cpus": "0-1"})), "core_type") == [
        None,
        None,
    ]


def test_equal_capacities_are_no_classes() -> None:
    host = small_vm()
    host = replace(host, cpus=[replace(cpu, capacity=1024) for cpu in host.cpus])
    assert column(read_host(host), "core_type") == [None, None]


def test_a_node_of_memory_alone() -> None:
    node = read("memory_only_node").node(2)
    assert node is not None
    assert (node.cpus, node.memory_bytes, node.distances) == ((), 128 << 30, (14, 24, 10))


def test_sparse_numbers() -> None:
    assert members(read("sparse").sockets) == ["0,2,4,6", "100,102,104,106"]


def test_offline_cpus_are_listed_without_a_place() -> None:
    topology = read("offline")
    assert [cpu.number for cpu in topology.usable] == list(range(48))
    away = topology.by_number()[60]
    assert (away.online, away.allowed, away.socket, away.core, away.smt, away.l3, away.node) == (
        False, False, None, None, None, None, None,
    )  # fmt: skip
    assert topology.threads_per_core == 1


def test_online_files_stand_in_for_the_online_list(tmp_path: Path) -> None:
    host = replace(small_vm(), cpus=[replace(c, online=c.number == 0) for c in small_vm().cpus])
    write(tmp_path, host)
    (tmp_path / "sys/devices/system/cpu/online").unlink()
    assert [cpu.online for cpu in read_topology(tmp_path).cpus] == [True, False]


def test_isolated_and_tickless_cpus() -> None:
    cpus = read("isolated").cpus
    assert [cpu.number for cpu in cpus if cpu.isolated] == [4, 5, 6, 7]
    assert [cpu.number for cpu in cpus if cpu.nohz_full] == [6, 7]


def test_power_guest_without_sockets() -> None:
    topology = read("power7")
    assert {(cpu.socket, cpu.socket_id) for cpu in topology.cpus} == {(None, -1)}
    assert members(topology.cores) == ["0-3", "4-7", "8-11", "12-15"]
    assert members(topology.sockets) == ["0-15"]
    assert "no socket number for CPUs 0-15: sockets unknown, taken as one" in topology.missing


def test_smt8_and_node_numbers_with_gaps() -> None:
    topology = read("power8")
    assert topology.threads_per_core == 8
    assert [node.number for node in topology.nodes] == [0, 16]
    assert {cpu.node for cpu in topology.sockets[1]} == {16}


@pytest.mark.parametrize("name", ["old_kernel", "older_kernel"])
def test_core_numbers_that_repeat_across_sockets(name: str) -> None:
    assert members(read(name).cores) == ["0,4", "1,5", "2,6", "3,7"]


# --- this machine --------------------------------------------------------------------------------


def test_this_machine_is_what_the_scheduler_gives() -> None:
    topology = read_topology()
    usable = {cpu.number for cpu in topology.usable}
    assert usable
    assert usable <= os.sched_getaffinity(0)
    before = os.sched_getaffinity(0)
    try:
        for number in usable:
            os.sched_setaffinity(0, {number})  # fails for a CPU that cannot be used
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.skipif(shutil.which("lscpu") is None, reason="lscpu is the oracle here, and is not installed")
def test_this_machine_agrees_with_lscpu() -> None:
    text = subprocess.run(["lscpu", "-p=CPU,CORE,SOCKET,NODE"], capture_output=True, text=True, check=True)
    rows = lscpu_rows(text.stdout)
    online = {cpu.number: cpu for cpu in read_topology().online}
    assert sorted(online) == [row[0] for row in rows]
    for field, index in (("core", 1), ("socket", 2), ("node", 3)):
        theirs: dict[int | None, list[int]] = {}
        ours: dict[int | None, list[int]] = {}
        for row in rows:
            assert row[0] is not None
            theirs.setdefault(row[index], []).append(row[0])
            ours.setdefault(getattr(online[row[0]], field), []).append(row[0])
        if None not in theirs and None not in ours:
            assert sorted(theirs.values()) == sorted(ours.values())


# --- any host ------------------------------------------------------------------------------------

grids = st.builds(
    grid,
    st.integers(1, 3),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 3),
    numbering=st.sampled_from(["server", "interleaved", "adjacent"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cpus=grids, data=st.data())
def test_any_grid_is_read_as_it_was_built(cpus: list[Any], data: st.DataObject) -> None:
    numbers = [cpu.number for cpu in cpus]
    away = data.draw(st.sets(st.sampled_from(numbers), max_size=len(numbers) - 1))
    cpus = [replace(cpu, online=cpu.number not in away) for cpu in cpus]
    allowed = data.draw(st.sets(st.sampled_from(numbers), min_size=1))
    topology = read_host(Host(cpus, even_memory(cpus, 1), affinity=format_list(sorted(allowed))))
    online = [cpu for cpu in cpus if cpu.online]
    assert [cpu.number for cpu in topology.cpus] == numbers
    assert {cpu.number for cpu in topology.usable} == allowed - away
    for ours, truth in ((topology.cores, "core"), (topology.sockets, "package"), (topology.l3_domains, "l3")):
        expected: dict[int, list[int]] = {}
        for cpu in online:
            expected.setdefault(getattr(cpu, truth), []).append(cpu.number)
        assert members(ours) == [format_list(group) for group in expected.values()]
        assert list(ours) == list(range(len(ours)))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (32 << 20, "32 MiB"), (4389556224, "4.1 GiB"), (384 << 30, "384 GiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
