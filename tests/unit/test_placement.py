# SPDX-License-Identifier: Apache-2.0
"""Placements: the words people write, and the CPUs and memory they mean on hosts of many shapes."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Cpu
from pybench.placement import FILLS, MemoryPolicy, parse_placements, place
from pybench.text import format_list, parse_list
from tests.unit.hosts import HOSTS, read, read_host
from tests.unit.topologies import Host, r5_metal


def cpus(name: str, text: str, smt: str | None = None) -> str:
    """Return the CPUs of a placement on a host, in order, as a list."""
    return format_list(place(read(name), text, smt).cpus)


# --- splitting -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("all", ["all"]),
        ("socket:0,1,node:0", ["socket:0,1", "node:0"]),
        ("single-socket,dual-socket", ["single-socket", "dual-socket"]),
        ("0-7,16", ["0-7,16"]),
        ("0-3,8,all", ["0-3,8", "all"]),
        ("all mem:node:0,1,0 smt:off", ["all mem:node:0,1,0 smt:off"]),
        ("all smt:off,0-3", ["all smt:off", "0-3"]),
        (" socket:0 , 1 ,  node:0  scatter ", ["socket:0,1", "node:0 scatter"]),
        ("l3:0,l3:1,core:2-5,7", ["l3:0", "l3:1", "core:2-5,7"]),
    ],
)
def test_splitting(text: str, parts: list[str]) -> None:
    assert parse_placements(text) == parts


@pytest.mark.parametrize("text", ["", ",", "all,", ",all", "all,,node:0", "0-3,"])
def test_an_empty_placement_in_a_list(text: str) -> None:
    with pytest.raises(UsageError, match="empty placement"):
        parse_placements(text)


# --- which CPUs, in which order ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        # one thread per core, then the siblings, then the next socket
        ("r5_metal", "all", "0-23,48-71,24-47,72-95"),
        ("r5_metal", "all smt:off", "0-47"),
        ("r5_metal", "single-socket", "0-23,48-71"),
        ("r5_metal", "single-socket smt:off", "0-23"),
        ("r5_metal", "socket:1", "24-47,72-95"),
        ("r5_metal", "node:1 smt:off", "24-47"),
        ("r5_metal", "core:0-2", "0-2,48-50"),
        ("r5_metal", "core:0-2 siblings-first", "0,48,1,49,2,50"),
        ("r5_metal", "core:0,1,24 scatter", "0,24,1,48,72,49"),
        # a bare list keeps the order it is written in, unless a fill word is said
        ("r5_metal", "48,0,24", "48,0,24"),
        ("r5_metal", "48,0,24 compact", "0,48,24"),
        ("r5_metal", "48,0,24 smt:off", "48,24"),
        ("r5_metal", "0-1,24,48 scatter", "0,24,1,48"),
        ("interleaved", "all", "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,"
         "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31"),
        ("interleaved", "dual-socket smt:off", "0-15"),
        ("interleaved", "single-socket smt:off", "0,2,4,6,8,10,12,14"),
        # inside a socket node by node; scattered, nodes in turn
        ("snc", "socket:0", "0-15,32-47"),
        ("snc", "socket:0 scatter smt:off", "0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15"),
        ("snc", "node:1", "8-15,40-47"),
        ("four_sockets", "dual-socket smt:off", "0,6,1,7,2,8,3,9,4,10,5,11"),
        ("four_sockets", "core:0,6,12,18 scatter", "0,6,12,18,24,30,36,42"),
        # L3 by L3; scattered, L3 domains in turn
        ("milan", "l3:0,1", "0-15,128-143"),
        ("milan", "l3:0,1 scatter smt:off", "0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15"),
        ("naples", "socket:0 scatter smt:off", "0,6,12,18,3,9,15,21,1,7,13,19,4,10,16,22,2,8,14,20,5,11,17,23"),
        ("hybrid", "all", "0-1,3,6,8,10,12-19,20-21,5,2,4,7,9,11"),
        ("hybrid", "all siblings-first", "0,5,1-4,6-21"),
        ("hybrid", "all smt:off", "0-1,3,6,8,10,12-21"),
        ("power7", "all", "0,4,8,12,1,5,9,13,2,6,10,14,3,7,11,15"),
        ("power8", "core:0 smt:off", "0"),
        ("power8", "node:16 smt:off", "80,88,96,104,112,120,128,136,144,152"),
        ("sparse", "all scatter", "0,100,2,102,4,104,6,106"),
        ("big_little", "all", "0-7"),
        ("swapped", "single-socket", "0,2,4,6"),
        ("one_cpu", "all", "0"),
        ("bare", "all", "0-1"),
        # only what can be used
        ("offline", "all", "0-47"),
        ("cpuset_v2", "all", "0-3,8-11"),
        ("cpuset_v1", "all", "2-5"),
        ("isolated", "all", "0-7"),
    ],
)  # fmt: skip
def test_which_cpus_in_which_order(name: str, text: str, expected: str) -> None:
    assert place(read(name), text).cpus == parse_list(expected)


def test_dual_socket_alternates_and_leaves_siblings_for_last() -> None:
    order = place(read("r5_metal"), "dual-socket").cpus
    assert order[:6] == (0, 24, 1, 25, 2, 26)
    assert set(order[:48]) == set(range(48))
    assert order[48:52] == (48, 72, 49, 73)


def test_compact_fills_a_socket_with_its_siblings_before_the_next() -> None:
    topology = read("milan")
    sockets = topology.by_number()
    order = [sockets[number].socket for number in place(topology, "all").cpus]
    assert order == [0] * 128 + [1] * 128


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("all compact smt:on mem:local", "all"),
        ("smt:off all", "all smt:off"),
        ("mem:node:1,0 scatter socket:1,0", "socket:0-1 scatter mem:node:0-1"),
        ("smt:off", "all smt:off"),
        ("single-socket", "single-socket"),
        ("dual-socket mem:interleave", "dual-socket mem:interleave"),
        ("0,1,2,24", "0-2,24"),
        ("24,0 compact", "0,24 compact"),
    ],
)
def test_canonical_words(text: str, canonical: str) -> None:
    topology = read("r5_metal")
    placement = place(topology, text)
    assert placement.text == canonical
    assert place(topology, canonical) == placement


def test_smt_can_be_said_beside_the_words() -> None:
    topology = read("r5_metal")
    assert place(topology, "all", smt="off") == place(topology, "all smt:off")
    assert place(topology, "all smt:off", smt="off").smt == "off"
    with pytest.raises(UsageError, match="keep one"):
        place(topology, "all smt:off", smt="on")


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "memory"),
    [
        ("r5_metal", "all", MemoryPolicy(kind="local", nodes=())),
        ("r5_metal", "socket:0 mem:node:1", MemoryPolicy(kind="bind", nodes=(1,))),
        ("r5_metal", "all mem:interleave", MemoryPolicy(kind="interleave", nodes=(0, 1))),
        ("r5_metal", "node:1 mem:interleave", MemoryPolicy(kind="interleave", nodes=(1,))),
        ("memory_only_node", "all mem:interleave", MemoryPolicy(kind="interleave", nodes=(0, 1))),
        ("memory_only_node", "all mem:node:2", MemoryPolicy(kind="bind", nodes=(2,))),
        ("power8", "all mem:interleave", MemoryPolicy(kind="interleave", nodes=(0, 16))),
        ("vm_without_nodes", "all", MemoryPolicy(kind="local", nodes=())),
    ],
)
def test_memory_of_the_contended_line(name: str, text: str, memory: MemoryPolicy) -> None:
    assert place(read(name), text).memory == memory


def test_a_node_without_memory_gives_none() -> None:
    topology = read_host(Host(r5_metal().cpus, {0: 8, 1: 0}))
    assert place(topology, "all mem:interleave").memory.nodes == (0,)
    with pytest.raises(UsageError, match="node 1 has no memory; memory is on node 0"):
        place(topology, "all mem:node:1")
    with pytest.raises(UnsupportedError, match="there is none"):
        place(topology, "node:1 mem:interleave")


# --- what cannot be meant ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("small_vm", "999", "CPU 999 does not exist; this host has 0-1"),
        ("sparse", "1", "CPU 1 does not exist; this host has 0,2,4,6,100,102,104,106"),
        ("offline", "0,60", "CPU 60 is offline; online are 0-47"),
        ("cpuset_v2", "4", "CPU 4 is not allowed: this process's cpuset leaves 0-3,8-11"),
        ("cpuset_v1", "6", "CPU 6 is not allowed: this process's cpuset leaves 2-7 and affinity (taskset, "
         "isolcpus) leaves 0-5; `taskset -c 6 pybench ...` widens it"),
        ("small_vm", "0,0", "CPU 0 is listed twice; one thread runs on each CPU"),
        ("r5_metal", "socket:2", "socket 2 does not exist; this host has sockets 0-1"),
        ("r5_metal", "node:0,7", "NUMA node 7 does not exist; this host has NUMA nodes 0-1"),
        ("r5_metal", "l3:5", "L3 domain 5 does not exist; this host has L3 domains 0-1"),
        ("r5_metal", "core:48", "core 48 does not exist; this host has cores 0-47"),
        ("cpuset_v2", "socket:1", "socket 1 has no usable CPU: this process's cpuset leaves 0-3,8-11"),
        ("memory_only_node", "node:2", "NUMA node 2 has no online CPU, only memory; choose another"),
        ("small_vm", "l3:0", "this host does not report the L3 domain of its CPUs; choose by all, core or "
         "number"),
        ("vm_without_nodes", "node:0", "this host does not report the NUMA node of its CPUs; choose by all, "
         "core or number"),
        ("r5_metal", "all mem:node:2", "mem:node:2: node 2 does not exist; this host has nodes 0-1"),
        ("vm_without_nodes", "all mem:node:0", "mem:node:0: node 0 does not exist; this host has no NUMA nodes"),
        ("cpuset_v2", "all mem:node:1", "mem:node:1: node 1 is not in this process's cpuset; memory is on node 0"),
        ("r5_metal", "0-", "0-: '0-' is not a number or range; write a list such as 0-7,16"),
        ("r5_metal", "socket:", "socket: empty list; write a list such as 0-7,16"),
        ("r5_metal", "all mem:node:", "mem:node: empty list; write a list such as 0-7,16"),
        ("r5_metal", "node:x", "node:x: 'x' is not a number or range; write a list such as 0-7,16"),
        ("r5_metal", "7-0", "7-0: '7-0' descends; write a list such as 0-7,16"),
        ("r5_metal", "socket:0 node:1", "placement 'socket:0 node:1' says 'socket:0' and 'node:1'; keep one of "
         "the two"),
        ("r5_metal", "all compact scatter", "placement 'all compact scatter' says 'compact' and 'scatter'; keep "
         "one of the two"),
        ("r5_metal", "single-socket scatter", "single-socket sets the fill order itself; write socket:LIST "
         "scatter instead"),
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_meant(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        place(read(name), text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["sockets:0", "smt:maybe", "mem:remote", "al", "all-sockets", "+1", "mem:node"])
def test_an_unknown_word_is_answered_with_the_words(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        place(read("small_vm"), text)
    assert str(caught.value).startswith(f"unknown word '{text}'")
    for word in ("all", "dual-socket", "socket:LIST", "l3:LIST", *FILLS, "smt:off", "mem:interleave"):
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["", "   "])
def test_no_words(text: str) -> None:
    with pytest.raises(UsageError, match="empty placement"):
        place(read("small_vm"), text)


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("small_vm", "there is one socket"),
        ("power7", "this host does not report its sockets"),
        ("cpuset_v2", "this process's cpuset leaves 0-3,8-11, all on one socket"),
    ],
)
def test_dual_socket_needs_two_sockets(name: str, has: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        place(read(name), "dual-socket")
    assert str(caught.value) == f"dual-socket needs two sockets with usable CPUs: {has}"


def test_interleaved_memory_needs_nodes() -> None:
    with pytest.raises(UnsupportedError, match="mem:interleave needs NUMA nodes"):
        place(read("vm_without_nodes"), "all mem:interleave")


# --- borders and description ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "borders"),
    [
        ("r5_metal", "all", ((24, "SMT siblings"), (48, "socket"), (72, "SMT siblings"))),
        ("r5_metal", "all smt:off", ((24, "socket"),)),
        ("r5_metal", "dual-socket", ((1, "socket"), (48, "SMT siblings"))),
        ("r5_metal", "single-socket smt:off", ()),
        ("r5_metal", "core:0,1,24 siblings-first", ((1, "SMT siblings"), (4, "socket"), (5, "SMT siblings"))),
        ("snc", "all smt:off", ((8, "NUMA node"), (16, "socket"), (24, "NUMA node"))),
        ("milan", "l3:0-2 smt:off", ((8, "L3 domain"), (16, "L3 domain"))),
        ("milan", "l3:0,8 scatter", ((1, "socket"), (16, "SMT siblings"))),
        ("hybrid", "all", ((14, "L3 domain"), (16, "SMT siblings"))),
        ("small_vm", "all", ()),
        ("one_cpu", "all", ()),
        ("vm_without_nodes", "all", ()),
        ("power7", "all", ((4, "SMT siblings"),)),
    ],
)
def test_borders(name: str, text: str, borders: tuple[tuple[int, str], ...]) -> None:
    topology = read(name)
    assert place(topology, text).borders(topology) == borders


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("single-socket", "single-socket: 48 CPUs on 24 cores, socket 0, node 0, filled compact, "
         "memory local to the thread that touches it first"),
        ("all smt:off mem:interleave", "all smt:off mem:interleave: 48 CPUs on 48 cores, sockets 0-1, nodes 0-1, "
         "SMT siblings left out, filled compact, memory interleaved over nodes 0-1"),
        ("30 mem:node:0", "30 mem:node:0: 1 CPU on 1 core, socket 1, node 1, filled as written, memory on node 0"),
    ],
)  # fmt: skip
def test_description(text: str, line: str) -> None:
    topology = read("r5_metal")
    assert place(topology, text).describe(topology) == line


# --- any placement -------------------------------------------------------------------------------

# The first use of a host writes and reads its files, which takes its time.
relaxed = settings(deadline=None)
hosts = st.sampled_from(HOSTS)
fills = st.sampled_from(["", *FILLS])
smts = st.sampled_from([None, "on", "off"])


def socket_of(cpu: Cpu) -> int:
    """Return the socket a placement counts the CPU to."""
    return cpu.socket or 0


@relaxed
@given(name=hosts, fill=fills, smt=smts, data=st.data())
def test_any_placement(name: str, fill: str, smt: str | None, data: st.DataObject) -> None:
    topology = read(name)
    usable = {cpu.number: cpu for cpu in topology.usable}
    which = data.draw(
        st.sampled_from(["all", "single-socket"])
        | st.lists(st.sampled_from(sorted(usable)), min_size=1, unique=True).map(format_list)
        | st.sampled_from([f"core:{usable[number].core}" for number in sorted(usable)])
    )
    words = which if which == "single-socket" else f"{which} {fill}"
    placement = place(topology, words, smt)
    assert placement.cpus
    assert len(set(placement.cpus)) == len(placement.cpus)
    assert set(placement.cpus) <= set(usable)
    assert place(topology, placement.text) == placement
    if which == "all" and smt != "off":
        assert set(placement.cpus) == set(usable)
    if smt == "off":
        assert max(Counter(usable[number].core for number in placement.cpus).values()) == 1
    if which[0].isdigit() and not fill and smt != "off":
        assert placement.cpus == parse_list(which)
    counts = [count for count, _ in placement.borders(topology)]
    assert counts == sorted(set(counts))
    assert all(0 < count < len(placement.cpus) for count in counts)


@relaxed
@given(name=hosts, smt=smts)
def test_compact_never_leaves_a_socket_before_it_is_full(name: str, smt: str | None) -> None:
    topology = read(name)
    by_number = topology.by_number()
    sockets = [socket_of(by_number[number]) for number in place(topology, "all", smt).cpus]
    assert sockets == sorted(sockets)


@relaxed
@given(name=hosts)
def test_siblings_first_never_leaves_a_core_before_it_is_full(name: str) -> None:
    topology = read(name)
    by_number = topology.by_number()
    cores = [by_number[number].core for number in place(topology, "all siblings-first").cpus]
    changes = sum(a != b for a, b in pairwise(cores))
    assert changes == len(set(cores)) - 1


@relaxed
@given(name=hosts, smt=smts)
def test_scatter_keeps_equal_sockets_within_one(name: str, smt: str | None) -> None:
    topology = read(name)
    by_number = topology.by_number()
    usable = [[cpu.core for cpu in cpus if cpu.allowed] for cpus in topology.sockets.values()]
    sizes = {(len(set(cores)), len(cores)) for cores in usable}
    order = place(topology, "all scatter", smt).cpus
    filled = Counter(dict.fromkeys(topology.sockets, 0))
    seen: Counter[int | None] = Counter()
    for number in order:
        cpu = by_number[number]
        # Second siblings wait until every core has a thread.
        assert seen[cpu.core] <= min(seen[other.core] for other in topology.usable)
        seen[cpu.core] += 1
        filled[socket_of(cpu)] += 1
        if len(sizes) == 1:
            assert max(filled.values()) - min(filled.values()) <= 1


@relaxed
@given(text=st.text(alphabet="alsocketndurfm:0123-, ²", max_size=24))
def test_any_text_is_placed_or_refused_in_one_line(text: str) -> None:
    try:
        for part in parse_placements(text):
            place(read("r5_metal"), part)
    except (UsageError, UnsupportedError) as error:
        assert "\n" not in str(error)
