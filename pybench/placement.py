# SPDX-License-Identifier: Apache-2.0
"""Turn the words of a placement into an ordered list of CPUs and a memory policy for the threads of a trial.

A placement is one choice of CPUs, then optional words, in any order and separated by spaces:

    all | socket:LIST | node:LIST | l3:LIST | core:LIST | a CPU list such as 0-7,16
    compact | scatter | siblings-first        smt:on | smt:off
    mem:local | mem:node:LIST | mem:interleave

`single-socket` and `dual-socket` choose CPUs and fill order at once.
"""

import re
from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Cpu, Topology
from pybench.text import format_list, named, parse_list, plural

FILLS = ("compact", "scatter", "siblings-first")
# The fill order of a bare CPU list: the order it was written in.
AS_WRITTEN = "as-written"
GROUPS = {"socket": "socket", "node": "NUMA node", "l3": "L3 domain", "core": "core"}
SHORTHANDS = {"single-socket": "compact", "dual-socket": "scatter"}
WORDS = (
    "all, single-socket, dual-socket, socket:LIST, node:LIST, l3:LIST, core:LIST, a CPU list such as 0-7,16, "
    "compact, scatter, siblings-first, smt:on, smt:off, mem:local, mem:node:LIST, mem:interleave"
)


class MemoryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of the contended line: `local` (first touch), or `bind`/`interleave` over `nodes`."""

    kind: str = "local"
    nodes: tuple[int, ...] = ()

    def describe(self) -> str:
        """Return the policy in words."""
        if self.kind == "local":
            return "memory local to the thread that touches it first"
        how = "on" if self.kind == "bind" else "interleaved over"
        return f"memory {how} {named('node', self.nodes)}"


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """CPUs in the order that threads are pinned to them; `text`, in canonical words, gives the placement again."""

    text: str
    cpus: tuple[int, ...]
    smt: str  # on | off
    fill: str  # one of FILLS, or AS_WRITTEN
    memory: MemoryPolicy

    def describe(self, topology: Topology) -> str:
        """Return one line for people: number of CPUs, their sockets and nodes, fill order and memory."""
        cpus = self._picked(topology)
        cores = {cpu.core for cpu in cpus}
        parts = [
            f"{plural(len(cpus), 'CPU')} on {plural(len(cores), 'core')}",
            named("socket", sorted({cpu.socket or 0 for cpu in cpus}))
            if topology.sockets_known
            else "sockets unknown",
            named("node", sorted({cpu.node for cpu in cpus if cpu.node is not None})),
            "SMT siblings left out" if self.smt == "off" else "",
            "filled as written" if self.fill == AS_WRITTEN else f"filled {self.fill}",
            self.memory.describe(),
        ]
        return f"{self.text}: {', '.join(part for part in parts if part)}"

    def borders(self, topology: Topology) -> tuple[tuple[int, str], ...]:
        """Return (thread count, kind of border) for each border that filling crosses after that many threads.

        The next thread is the first on another "socket", "NUMA node" or "L3 domain" (the widest of them), or the
        first on the "SMT siblings" of cores in use, once per socket.
        """
        found: list[tuple[int, str]] = []
        seen: dict[str, set[object]] = {"socket": set(), "NUMA node": set(), "L3 domain": set()}
        cores: set[object] = set()
        doubled: set[object] = set()  # sockets with a core that has two threads
        sibling_before = False
        for count, cpu in enumerate(self._picked(topology)):
            socket = cpu.socket or 0
            now = {"socket": socket, "NUMA node": cpu.node, "L3 domain": cpu.l3}
            sibling = cpu.core in cores
            crossed = next((kind for kind, key in now.items() if key not in seen[kind]), None)
            if crossed is None and sibling and not sibling_before and socket not in doubled:
                crossed = "SMT siblings"
            if crossed and count:
                found.append((count, crossed))
            for kind, key in now.items():
                seen[kind].add(key)
            if sibling:
                doubled.add(socket)
            cores.add(cpu.core)
            sibling_before = sibling
        return tuple(found)

    def _picked(self, topology: Topology) -> list[Cpu]:
        by_number = topology.by_number()
        return [by_number[number] for number in self.cpus]


class _Words(NamedTuple):
    """The words of one placement by kind; a word that is missing is None."""

    which: str
    fill: str | None
    smt: str | None
    memory: str | None


def parse_placements(text: str) -> list[str]:
    """Split a comma list of placements: `socket:0,1,node:0` is `socket:0,1` and `node:0`.

    A comma between digits goes on with a number list; any other starts the next placement.
    Raises UsageError for an empty one.
    """
    tight = re.sub(r"\s*,\s*", ",", text.strip())
    parts = re.split(r"(?<=[^0-9]),|,(?![0-9])", tight)
    if not all(parts):
        raise UsageError(f"empty placement in {text!r}", fix=f"use the words {WORDS}")
    return [" ".join(part.split()) for part in parts]


def place(topology: Topology, text: str, smt: str | None = None) -> Placement:
    """Turn the words of one placement into CPUs of this host that can be used now.

    `smt` ("on" or "off") stands for the word `smt:...`. Raises UsageError for invalid words and unusable CPUs,
    UnsupportedError if the host has too few sockets or no nodes.
    """
    words = _read_words(text)
    if smt is not None and words.smt not in (None, smt):
        raise UsageError(f"{text!r} says smt:{words.smt}, but SMT {smt} was requested", fix="keep one of the two")
    smt = words.smt or smt or "on"
    which, cpus, fill = _choose(topology, words)
    ordered = ORDERS[fill](cpus) if fill in ORDERS else cpus
    if smt == "off":
        ordered = _one_thread_a_core(ordered)
    memory = _memory(topology, words.memory, ordered)
    canonical = [
        which,
        "" if fill == _default_fill(which) else fill,
        "smt:off" if smt == "off" else "",
        {"local": "", "interleave": "mem:interleave"}.get(memory.kind, f"mem:node:{format_list(memory.nodes)}"),
    ]
    return Placement(
        text=" ".join(word for word in canonical if word),
        cpus=tuple(cpu.number for cpu in ordered),
        smt=smt,
        fill=fill,
        memory=memory,
    )


def _read_words(text: str) -> _Words:
    found: dict[str, str] = {}
    for word in text.split():
        kind = _kind(word)
        if kind is None:
            raise UsageError(f"unknown word {word!r} in placement {text!r}", fix=f"use the words {WORDS}")
        if kind in found:
            raise UsageError(f"placement {text!r} says {found[kind]!r} and {word!r}", fix="keep one of the two")
        found[kind] = word
    if not found:
        raise UsageError("empty placement", fix=f"use the words {WORDS}")
    which, smt = found.get("which", "all"), found.get("smt")
    if which in SHORTHANDS and "fill" in found:
        raise UsageError(f"{which} sets the fill order itself", fix=f"write socket:LIST {found['fill']} instead")
    return _Words(which, found.get("fill"), smt and smt.removeprefix("smt:"), found.get("mem"))


def _kind(word: str) -> str | None:
    if word in FILLS:
        return "fill"
    if word in ("smt:on", "smt:off"):
        return "smt"
    if word in ("mem:local", "mem:interleave") or word.startswith("mem:node:"):
        return "mem"
    if word == "all" or word in SHORTHANDS or word[0].isdigit() or word.partition(":")[0] in GROUPS:
        return "which"
    return None


def _default_fill(which: str) -> str:
    return AS_WRITTEN if which[0].isdigit() else SHORTHANDS.get(which, "compact")


def _list(text: str, word: str) -> tuple[int, ...]:
    try:
        numbers = parse_list(text)
    except ValueError as error:
        raise UsageError(str(error), subject=word, fix="write a list such as 0-7,16") from None
    if not numbers:
        raise UsageError("empty list", subject=word.rstrip(":"), fix="write a list such as 0-7,16")
    return numbers


def _choose(topology: Topology, words: _Words) -> tuple[str, list[Cpu], str]:
    """Return the choice in canonical words, its CPUs (of a bare list in written order), and the fill order."""
    which, fill = words.which, words.fill or _default_fill(words.which)
    group, _, numbers = which.partition(":")
    if which[0].isdigit():
        cpus = _listed(topology, _list(which, which))
        if words.fill:
            cpus.sort(key=lambda cpu: cpu.number)
        return format_list(cpu.number for cpu in cpus), cpus, fill
    if which in SHORTHANDS:
        return which, _shorthand(topology, which), fill
    if group in GROUPS:
        chosen = sorted(set(_list(numbers, which)))
        return f"{group}:{format_list(chosen)}", _members(topology, group, chosen), fill
    usable = list(topology.usable)
    if not usable:
        raise UsageError("no CPU can be used", reason=limits(topology))
    return which, usable, fill


def _listed(topology: Topology, numbers: tuple[int, ...]) -> list[Cpu]:
    """Return the CPUs by their numbers. Raises UsageError for a CPU that cannot be used."""
    by_number = topology.by_number()
    picked: dict[int, Cpu] = {}
    for number in numbers:
        cpu = by_number.get(number)
        if cpu is None:
            raise UsageError(f"CPU {number} does not exist", fix=f"this host has {format_list(by_number)}")
        if not cpu.online:
            there = format_list(cpu.number for cpu in topology.online)
            raise UsageError(f"CPU {number} is offline", fix=f"online are {there}")
        if not cpu.allowed:
            widen = topology.cpuset is None or number in topology.cpuset
            fix = f"`taskset -c {format_list(numbers)} pybench ...` widens it" if widen else ""
            raise UsageError(f"CPU {number} is not allowed", reason=limits(topology), fix=fix)
        if number in picked:
            raise UsageError(f"CPU {number} is listed twice", fix="one thread runs on each CPU")
        picked[number] = cpu
    return list(picked.values())


def limits(topology: Topology) -> str:
    """Return the reason why this process cannot use some online CPUs, to follow a colon."""
    online = {cpu.number for cpu in topology.online}
    left = {"cpuset": topology.cpuset, "affinity (taskset, isolcpus)": topology.affinity}
    if topology.affinity == topology.cpuset:
        del left["affinity (taskset, isolcpus)"]  # the cpuset causes it
    narrow = [
        f"{name} leaves {format_list(cpus) or 'none'}"
        for name, cpus in left.items()
        if cpus is not None and set(cpus) != online
    ]
    return f"this process's {' and '.join(narrow)}" if narrow else "every online CPU is allowed"


def _group_of(cpu: Cpu, group: str) -> int | None:
    if group == "socket":
        return cpu.socket or 0
    number: int | None = getattr(cpu, group)
    return number


def _members(topology: Topology, group: str, chosen: list[int]) -> list[Cpu]:
    """Return the usable CPUs of some sockets, nodes, L3 domains or cores. Raises UsageError if one has none."""
    name = GROUPS[group]
    there = {_group_of(cpu, group) for cpu in topology.online}
    if group == "node":
        there |= {node.number for node in topology.nodes}
    known = sorted(number for number in there if number is not None)
    if not known:
        raise UsageError(f"this host does not report the {name} of its CPUs", fix="choose by all, core or number")
    picked: list[Cpu] = []
    for number in chosen:
        if number not in known:
            raise UsageError(f"{name} {number} does not exist", fix=f"this host has {named(name, known)}")
        node = topology.node(number) if group == "node" else None
        listed = node.cpus if node else ()  # a fake node shares its CPUs with others
        online = [cpu for cpu in topology.online if _group_of(cpu, group) == number or cpu.number in listed]
        usable = [cpu for cpu in online if cpu.allowed]
        if not online and node and not node.lists_cpus:
            raise UsageError(
                f"{name} {number} does not list its CPUs", fix="choose by all, socket, core or number"
            )
        if not online:
            raise UsageError(f"{name} {number} has no online CPU, only memory", fix="choose another")
        if not usable:
            raise UsageError(f"{name} {number} has no usable CPU", reason=limits(topology))
        picked += [cpu for cpu in usable if cpu not in picked]
    return picked


def _shorthand(topology: Topology, which: str) -> list[Cpu]:
    usable = topology.usable
    sockets = sorted({cpu.socket or 0 for cpu in usable})
    if not sockets:
        raise UsageError("no CPU can be used", reason=limits(topology))
    if which == "single-socket":
        sockets = [usable[0].socket or 0]
    elif len(sockets) < 2:
        one = "there is one socket" if topology.sockets_known else "this host does not report its sockets"
        reason = one if len(topology.sockets) == 1 else f"{limits(topology)}, all on one socket"
        raise UnsupportedError(f"{which} needs two sockets with usable CPUs", reason=reason)
    return [cpu for cpu in usable if (cpu.socket or 0) in sockets[:2]]


def _ranks(cpus: Iterable[Cpu]) -> list[tuple[int, Cpu]]:
    """Pair each CPU with its rank among the given siblings of its core, in the given order."""
    seen: dict[int | None, int] = {}
    ranked = []
    for cpu in cpus:
        rank = seen.get(cpu.core, 0)
        seen[cpu.core] = rank + 1
        ranked.append((rank, cpu))
    return ranked


def _place_of(cpu: Cpu) -> tuple[int, int, int, int]:
    """Return the socket, node, L3 domain and core of a CPU as a sort key; unknown ones sort last."""
    node, l3, core = (1 << 30 if known is None else known for known in (cpu.node, cpu.l3, cpu.core))
    return cpu.socket or 0, node, l3, core


def _compact(cpus: list[Cpu]) -> list[Cpu]:
    ranked = _ranks(sorted(cpus, key=lambda cpu: cpu.number))
    ranked.sort(key=lambda pair: (pair[1].socket or 0, pair[0], _place_of(pair[1])))
    return [cpu for _, cpu in ranked]


def _siblings_first(cpus: list[Cpu]) -> list[Cpu]:
    return sorted(cpus, key=lambda cpu: (_place_of(cpu), cpu.number))


def _scatter(cpus: list[Cpu]) -> list[Cpu]:
    ranked = _ranks(sorted(cpus, key=lambda cpu: cpu.number))
    rounds = range(1 + max((rank for rank, _ in ranked), default=0))
    return [cpu for turn in rounds for cpu in _dealt([c for rank, c in ranked if rank == turn], depth=0)]


def _dealt(cpus: list[Cpu], depth: int) -> list[Cpu]:
    """Take CPUs in turn from each socket, within a socket from each node, within a node from each L3 domain."""
    if depth == 3:
        return sorted(cpus, key=_place_of)
    groups: dict[int, list[Cpu]] = {}
    for cpu in cpus:
        groups.setdefault(_place_of(cpu)[depth], []).append(cpu)
    piles = [_dealt(groups[key], depth + 1) for key in sorted(groups)]
    return [cpu for turn in zip_longest(*piles) for cpu in turn if cpu is not None]


ORDERS: dict[str, Callable[[list[Cpu]], list[Cpu]]] = {
    "compact": _compact,
    "scatter": _scatter,
    "siblings-first": _siblings_first,
}


def _one_thread_a_core(cpus: list[Cpu]) -> list[Cpu]:
    return [cpu for rank, cpu in _ranks(cpus) if rank == 0]


def _memory(topology: Topology, word: str | None, cpus: list[Cpu]) -> MemoryPolicy:
    if word is None or word == "mem:local":
        return MemoryPolicy()
    allowed = topology.memory_nodes
    good = {
        node.number
        for node in topology.nodes
        if node.memory_bytes != 0 and (allowed is None or node.number in allowed)
    }
    if word == "mem:interleave":
        nodes = tuple(sorted({cpu.node for cpu in cpus if cpu.node in good and cpu.node is not None}))
        if not nodes:
            raise UnsupportedError(
                "mem:interleave needs NUMA nodes with memory at the chosen CPUs", reason="there is none"
            )
        return MemoryPolicy(kind="interleave", nodes=nodes)
    nodes = tuple(sorted(set(_list(word.removeprefix("mem:node:"), word))))
    for number in nodes:
        node = topology.node(number)
        if node is None:
            has = named("node", [n.number for n in topology.nodes]) or "no NUMA nodes"
            raise UsageError(f"node {number} does not exist", subject=word, fix=f"this host has {has}")
        if number not in good:
            why = "has no memory" if node.memory_bytes == 0 else "is not in this process's cpuset"
            raise UsageError(
                f"node {number} {why}", subject=word, fix=f"memory is on {named('node', sorted(good)) or 'none'}"
            )
    return MemoryPolicy(kind="bind", nodes=nodes)
