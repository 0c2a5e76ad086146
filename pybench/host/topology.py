# SPDX-License-Identifier: Apache-2.0
"""Read the CPUs of a host and what they share: sockets, dies, NUMA nodes, L3 caches, cores and SMT siblings.

Only text files below `sys` and `proc` are read, so a captured host reads like this one.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import psutil

from pybench.errors import UsageError
from pybench.host.cpu_groups import CPU_ROOT, CpuGroups, core_types
from pybench.host.sysfs import Tree, effective_cpuset
from pybench.text import format_list, named

NODE_ROOT = "sys/devices/system/node"


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """One logical CPU. A property that is unknown, or that an offline CPU does not have, is None.

    `socket`, `die`, `l3` and `core` count from 0 over the whole host, in the order of their lowest CPU; `node` and
    `socket_id` are the kernel's numbers. `smt` is the rank among the core's online siblings. An offline CPU is
    never `allowed`.
    """

    number: int
    socket: int | None = None
    socket_id: int | None = None
    die: int | None = None
    node: int | None = None
    l3: int | None = None
    core: int | None = None
    smt: int | None = None
    core_type: str | None = None
    online: bool = True
    isolated: bool = False
    nohz_full: bool = False
    allowed: bool = True


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One NUMA node and its online CPUs, where it lists them.

    `distances` has the order of `Topology.nodes`; it is empty if unknown. Fake nodes may list the same CPUs;
    `Cpu.node` is then the first of them.
    """

    number: int
    cpus: tuple[int, ...]
    memory_bytes: int | None = None
    distances: tuple[int, ...] = ()
    lists_cpus: bool = True


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """A host's CPUs and NUMA nodes, both ascending by number.

    `affinity` and `cpuset` are the online CPUs that each of the two allows this process, `memory_nodes` the nodes
    it may take memory from; each is None if the host does not report it. `l3_bytes` is indexed by `Cpu.l3`.
    `missing` lists in sentences what could not be read, what contradicts itself and conclusions drawn instead;
    `caveats` lists those of them that may make a placement other than it looks.
    """

    cpus: tuple[Cpu, ...]
    nodes: tuple[Node, ...] = ()
    smt_control: str | None = None
    memory_bytes: int | None = None
    l3_bytes: tuple[int | None, ...] = ()
    affinity: tuple[int, ...] | None = None
    cpuset: tuple[int, ...] | None = None
    memory_nodes: tuple[int, ...] | None = None
    missing: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    @property
    def online(self) -> tuple[Cpu, ...]:
        """Return the CPUs that are online."""
        return tuple(cpu for cpu in self.cpus if cpu.online)

    @property
    def usable(self) -> tuple[Cpu, ...]:
        """Return the CPUs that threads of this process may be pinned to: online, and in affinity and cpuset."""
        return tuple(cpu for cpu in self.cpus if cpu.online and cpu.allowed)

    @property
    def sockets(self) -> dict[int, tuple[Cpu, ...]]:
        """Return the online CPUs by socket; CPUs of unknown sockets count as on socket 0."""
        return _grouped({cpu: cpu.socket or 0 for cpu in self.online})

    @property
    def sockets_known(self) -> bool:
        """Return whether any online CPU reports its socket."""
        return any(cpu.socket is not None for cpu in self.online)

    @property
    def cores(self) -> dict[int, tuple[Cpu, ...]]:
        """Return the online CPUs by core."""
        return _grouped({cpu: cpu.core for cpu in self.online if cpu.core is not None})

    @property
    def l3_domains(self) -> dict[int, tuple[Cpu, ...]]:
        """Return the online CPUs of known L3 caches, by L3 cache."""
        return _grouped({cpu: cpu.l3 for cpu in self.online if cpu.l3 is not None})

    @property
    def threads_per_core(self) -> int:
        """Return the largest number of online siblings of a core."""
        return max((len(siblings) for siblings in self.cores.values()), default=1)

    def node(self, number: int) -> Node | None:
        """Return the node of that number, None if there is none."""
        return next((node for node in self.nodes if node.number == number), None)

    def by_number(self) -> dict[int, Cpu]:
        """Return every CPU under its number."""
        return {cpu.number: cpu for cpu in self.cpus}

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dicts for JSON; `msgspec.convert(plain, Topology)` reverses it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def _grouped(keys: Mapping[Cpu, int]) -> dict[int, tuple[Cpu, ...]]:
    groups: dict[int, tuple[Cpu, ...]] = {}
    for cpu, key in keys.items():
        groups[key] = (*groups.get(key, ()), cpu)
    return dict(sorted(groups.items()))


Distance = Literal["same-cpu", "smt", "l3", "socket", "cross-socket"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
"""From near to far: the CPU itself, a sibling of its core, its L3 domain, its socket, another socket."""


def distance(a: Cpu, b: Cpu) -> Distance:
    """Return the nearest thing that two CPUs share. CPUs of unknown sockets count as on the same socket."""
    if a.number == b.number:
        return "same-cpu"
    if a.core is not None and a.core == b.core:
        return "smt"
    if a.l3 is not None and a.l3 == b.l3:
        return "l3"
    if a.socket is None or b.socket is None or a.socket == b.socket:
        return "socket"
    return "cross-socket"


def distances(topology: Topology, cpus: Sequence[int]) -> list[list[Distance]]:
    """Return the distance of each pair, shape (len(cpus), len(cpus)). Raises KeyError for a missing CPU."""
    known = topology.by_number()
    return [[distance(known[a], known[b]) for b in cpus] for a in cpus]


def read_topology(sysroot: Path = Path("/")) -> Topology:
    """Read the topology below `sysroot`: a folder with `sys` and `proc`, or a capture file.

    Raises UsageError if there is no host to read.
    """
    if sysroot.is_dir():
        return topology_of(Tree(sysroot))
    # Only captures need archives, and every sweep would wait for that to load.
    from pybench.host.capture import open_sysroot

    with open_sysroot(sysroot) as tree:
        return topology_of(tree)


def topology_of(tree: Tree) -> Topology:
    """Read the topology of an open tree. Raises UsageError as `read_topology`."""
    if not tree.is_dir(CPU_ROOT):
        raise UsageError(
            f"no {CPU_ROOT} there", subject=str(tree.shown), fix="name the folder that holds sys and proc"
        )
    caveats: list[str] = []
    missing: list[str] = []
    affinity = _affinity(tree)
    numbers, online = _numbers(tree, affinity or (), caveats)
    if not online:
        raise UsageError(f"{tree.shown / CPU_ROOT} lists no online CPU")
    groups = CpuGroups(tree, online)
    nodes = _nodes(tree, online, missing, caveats)
    node_of = {n: node.number for node in reversed(nodes) for n in node.cpus}
    _check_nodes(nodes, online, caveats)
    siblings = Counter[int]()
    types = core_types(tree, online, caveats)
    isolated = set(tree.numbers(f"{CPU_ROOT}/isolated") or ())
    tickless = set(tree.numbers(f"{CPU_ROOT}/nohz_full") or ())
    affinity, cpuset = _within(affinity, online), _within(effective_cpuset(tree), online)
    allowed = set(online).intersection(*(known for known in (affinity, cpuset) if known is not None))
    cpus = []
    for n in numbers:
        core = groups.cores.get(n)
        cpus.append(
            Cpu(
                number=n,
                socket=groups.sockets.get(n),
                socket_id=groups.package_numbers.get(n),
                die=groups.dies.get(n),
                node=node_of.get(n),
                l3=groups.l3s.get(n),
                core=core,
                smt=None if core is None else siblings[core],
                core_type=types.get(n),
                online=n in groups.cores,
                isolated=n in isolated,
                nohz_full=n in tickless,
                allowed=n in allowed,
            )
        )
        if core is not None:
            siblings[core] += 1
    if affinity is None:
        means = "every online CPU taken as allowed" if cpuset is None else "affinity unknown"
        missing.append(f"no proc/self/status: {means}")
    memory_nodes = _memory_nodes(tree, nodes)
    memory_bytes = _memory(tree)
    caveats = groups.caveats + caveats + tree.odd
    return Topology(
        cpus=tuple(cpus),
        nodes=nodes,
        smt_control=tree.text(f"{CPU_ROOT}/smt/control"),
        memory_bytes=memory_bytes,
        l3_bytes=groups.l3_bytes,
        affinity=affinity,
        cpuset=cpuset,
        memory_nodes=memory_nodes,
        missing=tuple(groups.missing + missing + caveats),
        caveats=tuple(caveats),
    )


def _numbers(tree: Tree, affinity: Sequence[int], caveats: list[str]) -> tuple[list[int], list[int]]:
    """Return the numbers of all CPUs and of the online ones, ascending.

    The kernel never leaves a process without an online CPU, but a container may be shown another `online`.
    """
    folders = tree.numbered(CPU_ROOT, "cpu")
    switches = {n: tree.integer(f"{CPU_ROOT}/cpu{n}/online") for n in folders}
    listed = tree.numbers(f"{CPU_ROOT}/online")
    if not listed:
        if listed is not None:
            caveats.append(f"/{CPU_ROOT}/online is empty: taken from each CPU's own file")
        listed = tuple(n for n in folders if switches[n] != 0)
    differing = [n for n in folders if switches[n] is not None and (switches[n] == 1) != (n in listed)]
    if differing:
        caveats.append(f"/{CPU_ROOT}/online and the files of {named('CPU', differing)} differ: the list used")
    hidden = [n for n in affinity if n not in listed and (tree.live or switches.get(n, 0) != 0)]
    if hidden and (tree.live or not set(affinity) & set(listed)):
        caveats.append(
            f"/{CPU_ROOT}/online lists {format_list(sorted(listed))}, but this process may run on "
            f"{named('CPU', hidden)}: taken as online"
        )
        listed = (*listed, *hidden)
    return sorted({*folders, *listed}), sorted(listed)


def _nodes(tree: Tree, online: list[int], missing: list[str], caveats: list[str]) -> tuple[Node, ...]:
    numbers = tree.numbered(NODE_ROOT, "node")
    if not numbers:
        missing.append("no node directory: NUMA nodes unknown")
    nodes = []
    for number in numbers:
        folder = f"{NODE_ROOT}/node{number}"
        cpus = tree.numbers(f"{folder}/cpulist")
        if not cpus and (masked := tree.mask(f"{folder}/cpumap")) is not None:
            cpus = masked
        # The kernel links each CPU into the folder of its node.
        if cpus is None and (linked := tree.numbered(folder, "cpu")):
            cpus = tuple(linked)
        nodes.append(
            Node(
                number=number,
                cpus=_within(cpus, online) or (),
                memory_bytes=_kibibytes(tree.field(f"{folder}/meminfo", f"Node {number} MemTotal")),
                distances=_distances(tree, f"{folder}/distance", len(numbers)),
                lists_cpus=cpus is not None,
            )
        )
    if mute := [node.number for node in nodes if not node.lists_cpus]:
        caveats.append(f"no list of CPUs of {named('node', mute)}: placed as if they had none")
    if unknown := [node.number for node in nodes if node.memory_bytes is None]:
        missing.append(f"no meminfo for {named('node', unknown)}: memory unknown")
    if unknown := [node.number for node in nodes if not node.distances]:
        missing.append(f"no distances for {named('node', unknown)}")
    return tuple(nodes)


def _check_nodes(nodes: Sequence[Node], online: list[int], caveats: list[str]) -> None:
    """Report CPUs that several nodes list, or that none lists."""
    count = Counter(n for node in nodes for n in node.cpus)
    if twice := sorted(n for n in count if count[n] > 1):
        by = named("node", [node.number for node in nodes if set(node.cpus) & set(twice)])
        caveats.append(f"{by} all list {named('CPU', twice)}: filled as of the first of them")
    if any(node.lists_cpus for node in nodes) and (nowhere := [n for n in online if n not in count]):
        caveats.append(f"no node lists {named('CPU', nowhere)}")


def _distances(tree: Tree, path: str, count: int) -> tuple[int, ...]:
    words = (tree.text(path) or "").split()
    if words and (len(words) != count or not all(word.isdecimal() and len(word) < 10 for word in words)):
        tree.malformed(path, f"{' '.join(words)[:40]!r} is not one distance for each of {count} nodes")
        return ()
    return tuple(int(word) for word in words)


def _kibibytes(text: str | None) -> int | None:
    amount, _, unit = (text or "").partition(" ")
    return int(amount) << 10 if amount.isdecimal() and unit.strip() == "kB" else None


def _memory(tree: Tree) -> int | None:
    if tree.live:
        return int(psutil.virtual_memory().total)
    return _kibibytes(tree.field("proc/meminfo", "MemTotal"))


def _within(numbers: tuple[int, ...] | None, online: list[int]) -> tuple[int, ...] | None:
    return None if numbers is None else tuple(sorted(set(numbers).intersection(online)))


def _allowed(tree: Tree, name: str) -> tuple[int, ...] | None:
    """Return the numbers of a list in the status of this process, else of the mask next to it."""
    path = "proc/self/status"
    text, mask = tree.field(path, f"{name}_list"), tree.field(path, name)
    numbers = None if text is None else tree.as_numbers(path, text)
    if numbers is None and mask is not None:
        return tree.as_numbers(path, mask, mask=True)
    return numbers


def _affinity(tree: Tree) -> tuple[int, ...] | None:
    return tuple(os.sched_getaffinity(0)) if tree.live else _allowed(tree, "Cpus_allowed")


def _memory_nodes(tree: Tree, nodes: tuple[Node, ...]) -> tuple[int, ...] | None:
    return _within(_allowed(tree, "Mems_allowed"), [node.number for node in nodes])
