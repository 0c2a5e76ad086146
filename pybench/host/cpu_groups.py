# SPDX-License-Identifier: Apache-2.0
"""Read which CPUs share a core, a socket or an L3 cache: from lists, else from masks, else from ids.

A list or mask that does not hold its own CPU, or that differs from those of the CPUs in it, contradicts itself.
Another file is used instead, and a sentence reports it.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from pybench.host.sysfs import Tree
from pybench.text import format_list, named

CPU_ROOT = "sys/devices/system/cpu"
# The kernel's numbers for "none": -1, also as 16 bits.
NO_ID = {-1, 65535}
CORE_FILES = ("core_cpus_list", "thread_siblings_list", "core_cpus", "thread_siblings")
SOCKET_FILES = ("package_cpus_list", "core_siblings_list", "package_cpus", "core_siblings")
L3_FILES = ("shared_cpu_list", "shared_cpu_map")
KINDS = {"cpu_core": "performance", "cpu_atom": "efficiency", "cpu_lowpower": "low-power"}
# Cores of one kind differ in capacity by up to 3 %, and in their highest frequency by up to 9 %.
SAME_KIND, SAME_KIND_BOOSTED = 0.05, 0.10
Keys = dict[int, Hashable]


class Groups(NamedTuple):
    """The online CPUs that each CPU shares something with, itself included."""

    of: dict[int, frozenset[int]]
    contradictory: tuple[int, ...]
    """CPUs with a list or mask that contradicts itself."""
    unsure: frozenset[int]
    """CPUs whose group is from a file that contradicts itself for some CPU, or from the lists of others."""


def read_groups(tree: Tree, online: Iterable[int], folders: Mapping[int, str], names: Sequence[str]) -> Groups:
    """Read the groups from the first of the files `names` in each CPU's folder that does not contradict itself.

    Files whose names end in `list` are lists, the others masks.
    """
    there = frozenset(online)
    of: dict[int, frozenset[int]] = {}
    spare: dict[int, frozenset[int]] = {}
    contradictory: set[int] = set()
    for name in names:
        read = tree.numbers if name.endswith("list") else tree.mask
        listed = {n: frozenset(numbers) for n in folders if (numbers := read(f"{folders[n]}/{name}"))}
        held = {n: group & there for n, group in listed.items() if n in group}
        torn = {n for n in held if any(listed.get(m, held[n]) & there != held[n] for m in held[n])}
        contradictory |= torn | (set(listed) - set(held))
        target = spare if torn or len(held) < len(listed) else of
        for n, group in held.items():
            target.setdefault(n, group)
        if len(of) == len(folders):
            break
    known = spare | of
    lent: dict[int, frozenset[int]] = {}
    for n in there - set(known):
        holding = {group for group in known.values() if n in group}
        if len(holding) == 1:
            lent[n] = holding.pop()
    return Groups(known | lent, tuple(sorted(contradictory)), frozenset(known.keys() - of.keys() | lent.keys()))


def numbered(keys: Mapping[int, Hashable | None]) -> dict[int, int | None]:
    """Number the distinct keys from 0, in the order of their lowest CPUs; None stays None."""
    order: dict[Hashable, int] = {}
    return {n: None if key is None else order.setdefault(key, len(order)) for n, key in sorted(keys.items())}


class CpuGroups:
    """The sockets, dies, cores and L3 caches of the online CPUs, each numbered from 0; None where unknown.

    `missing` lists in sentences what is not reported, `caveats` what contradicts itself or was concluded.
    """

    def __init__(self, tree: Tree, online: Sequence[int]) -> None:
        self.tree = tree
        self.online = online
        self.missing: list[str] = []
        self.caveats: list[str] = []
        self.folders = {n: path for n in online if tree.is_dir(path := f"{CPU_ROOT}/cpu{n}/topology")}
        self.package_numbers = self._numbers("physical_package_id")
        """The kernel's number of each CPU's socket, -1 included."""
        siblings = read_groups(tree, online, self.folders, CORE_FILES)
        self.sockets = numbered(self._socket_keys(siblings))
        die_ids = self._ids("die_id")
        self.dies = numbered({n: None if die is None else (self.sockets[n], die) for n, die in die_ids.items()})
        self.cores = numbered(self._core_keys(siblings, die_ids))
        self._l3_folders = self._find_l3()
        self.l3s = numbered(self._l3_keys())
        self.l3_bytes = self._l3_sizes()
        self._check()

    def _numbers(self, name: str) -> dict[int, int | None]:
        there = self.folders
        return {n: self.tree.integer(f"{there[n]}/{name}") if n in there else None for n in self.online}

    def _ids(self, name: str) -> dict[int, int | None]:
        """Return an id of each online CPU, None for those that report none."""
        return {n: None if number in NO_ID else number for n, number in self._numbers(name).items()}

    def _contradiction(self, what: str, cpus: Sequence[int]) -> None:
        if cpus:
            self.caveats.append(
                f"{what} of {named('CPU', cpus)} contradict themselves; other files were preferred"
            )

    def _socket_keys(self, siblings: Groups) -> dict[int, Hashable | None]:
        """Identify sockets by package id within book and drawer; without an id, by the CPUs of the package.

        Lists of packages that group no more than cores (some guests of POWER) do not show sockets.
        """
        groups = read_groups(self.tree, self.online, self.folders, SOCKET_FILES)
        self._contradiction("lists of sockets", groups.contradictory)
        outer = self._outer()
        keys: dict[int, Hashable | None] = {
            n: None if number is None or number in NO_ID else (outer[n], number)
            for n, number in self.package_numbers.items()
        }
        if not any(len(group) > len(siblings.of.get(n, {n})) for n, group in groups.of.items()):
            return keys
        by_id = dict(keys)
        concluded = [n for n in self.online if keys[n] is None and n in groups.of]
        for n in concluded:
            near = {by_id[m] for m in groups.of[n]} - {None}
            keys[n] = groups.of[n] if not near else near.pop() if len(near) == 1 else None
        if concluded:
            self.caveats.append(f"no package id for {named('CPU', concluded)}: socket taken from lists of CPUs")
        sure = {n: group for n, group in groups.of.items() if n not in groups.unsure}
        differing = [n for n, group in sure.items() if group != {m for m in self.online if keys[m] == keys[n]}]
        if differing:
            cpus = named("CPU", sorted(differing))
            self.caveats.append(f"package ids and lists of sockets differ for {cpus}: ids used")
        return keys

    def _outer(self) -> Keys:
        """Return the drawer and book of each CPU, in each of which package ids may repeat; () without them."""
        found: dict[int, list[Hashable]] = {n: [] for n in self.online}
        present = set().union(*(self.tree.names(folder) for folder in list(self.folders.values())[:4]))
        for level in ("drawer", "book"):
            if f"{level}_id" in present:
                ids = self._ids(f"{level}_id")
                for n in self.online:
                    found[n].append(ids[n])
            elif names := [
                f"{level}_{end}" for end in ("siblings_list", "siblings") if f"{level}_{end}" in present
            ]:
                of = read_groups(self.tree, self.online, self.folders, names).of
                for n in self.online:
                    found[n].append(of.get(n))
        return {n: tuple(levels) for n, levels in found.items()}

    def _core_keys(self, siblings: Groups, die_ids: Mapping[int, int | None]) -> Keys:
        """Identify cores by their siblings, else by core_id within cluster, die and socket.

        Siblings that a file reports which contradicts itself elsewhere are used only if core_id agrees.
        A CPU that reports neither is a core of its own.
        """
        self._contradiction("lists of SMT siblings", siblings.contradictory)
        doubtful = siblings.unsure or any(n not in siblings.of for n in self.online)
        core_ids, clusters = (self._ids("core_id"), self._ids("cluster_id")) if doubtful else ({}, {})
        by_id: Keys = {
            n: (self.sockets[n], die_ids[n], clusters[n], core_ids[n]) for n in core_ids if core_ids[n] is not None
        }
        keys: Keys = {}
        concluded, alone = [], []
        for n in self.online:
            group = siblings.of.get(n)
            agrees = group and len({by_id[m] for m in group if m in by_id}) < 2
            if group and (n not in siblings.unsure or agrees):
                keys[n] = group
            elif n in by_id:
                keys[n] = by_id[n]
                concluded.append(n)
            else:
                keys[n] = n
                alone.append(n)
        if concluded:
            self.caveats.append(
                f"no usable list of SMT siblings for {named('CPU', concluded)}: core taken from core_id"
            )
        if alone and self.folders:
            self.caveats.append(f"neither siblings nor core_id for {named('CPU', alone)}: each taken as a core")
        return keys

    def _find_l3(self) -> dict[int, str]:
        """Return the folder of each CPU's L3 cache. The outermost cache has the highest index."""
        found = {}
        for n in self.online:
            for index in reversed(self.tree.numbered(f"{CPU_ROOT}/cpu{n}/cache", "index")):
                folder = f"{CPU_ROOT}/cpu{n}/cache/index{index}"
                if self.tree.integer(f"{folder}/level") == 3 and self.tree.text(f"{folder}/type") != "Instruction":
                    found[n] = folder
                    break
        return found

    def _l3_keys(self) -> dict[int, Hashable | None]:
        groups = read_groups(self.tree, self.online, self._l3_folders, L3_FILES)
        self._contradiction("lists of L3 sharers", groups.contradictory)
        keys: dict[int, Hashable | None] = {n: groups.of.get(n) for n in self.online}
        mute = [n for n in self._l3_folders if keys[n] is None]
        ids = {n: self.tree.integer(f"{folder}/id") for n, folder in self._l3_folders.items()} if mute else {}
        concluded = [n for n in mute if ids[n] is not None]
        for n in concluded:
            alike = {keys[m] for m in ids if m not in mute and ids[m] == ids[n]}
            keys[n] = alike.pop() if len(alike) == 1 else ("id", ids[n])
        if concluded:
            self.caveats.append(f"no list of L3 sharers for {named('CPU', concluded)}: L3 cache taken from its id")
        return keys

    def _l3_sizes(self) -> tuple[int | None, ...]:
        """Return the size in bytes of each L3 cache, in the order of its number."""
        sizes: dict[int, int | None] = {}
        for n, l3 in self.l3s.items():
            if l3 is not None and sizes.get(l3) is None:
                folder = self._l3_folders.get(n)
                size = (self.tree.text(f"{folder}/size") if folder else None) or ""
                amount = size.removesuffix("K")
                sizes[l3] = int(amount) << 10 if size.endswith("K") and amount.isdecimal() else None
        return tuple(sizes[l3] for l3 in sorted(sizes))

    def _check(self) -> None:
        """List what is unknown, and cores and L3 caches that span sockets."""
        no_l3 = [n for n in self.online if self.l3s[n] is None]
        if not self.folders:
            self.missing.append(
                "no topology directory: sockets and dies unknown, each CPU taken as a core of its own"
            )
        else:
            if no_socket := [n for n in self.online if self.sockets[n] is None]:
                every = len(no_socket) == len(self.online)
                means = "sockets unknown, taken as one" if every else "taken as socket 0"
                lines = self.missing if every else self.caveats
                lines.append(f"no socket number for {named('CPU', no_socket)}: {means}")
            if all(die is None for die in self.dies.values()):
                self.missing.append("no die numbers: dies unknown")
        if not any(self.tree.is_dir(f"{CPU_ROOT}/cpu{n}/cache") for n in self.online):
            self.missing.append("no cache directory: L3 domains unknown")
        else:
            if mute := [n for n in no_l3 if n in self._l3_folders]:
                self.missing.append(f"the level-3 cache of {named('CPU', mute)} does not list its CPUs")
            if none := [n for n in no_l3 if n not in self._l3_folders]:
                where = "" if len(none) == len(self.online) else f" for {named('CPU', none)}"
                self.missing.append(f"no level-3 cache listed{where}")
        for what, groups in (("core", self.cores), ("L3 cache", self.l3s)):
            spans: dict[int, set[int]] = {}
            for n, group in groups.items():
                socket = self.sockets[n]
                if group is not None and socket is not None:
                    spans.setdefault(group, set()).add(socket)
            wide = [(group, over) for group, over in spans.items() if len(over) > 1]
            if wide:
                group, over = wide[0]
                more = f", {len(wide) - 1} more likewise" if wide[1:] else ""
                self.caveats.append(
                    f"{what} {group} spans sockets {format_list(sorted(over))}{more}: "
                    "socket numbers may not be those of the hardware"
                )


def core_types(tree: Tree, online: Sequence[int], caveats: list[str]) -> dict[int, str]:
    """Return the type of each core of a host that mixes types; empty for any other host.

    The kernel's lists of types come first, then the capacity of the CPUs, then their frequencies, which a caveat
    reports.
    """
    types: dict[int, str] = {}
    for folder, kind in KINDS.items():
        types.update(dict.fromkeys(tree.numbers(f"sys/devices/{folder}/cpus") or (), kind))
    for name in ("core", "atom"):
        for path in sorted(tree.root.glob(f"{CPU_ROOT}/types/*{name}*/cpulist")):
            numbers = tree.numbers(str(path.relative_to(tree.root))) or ()
            types.update(dict.fromkeys(numbers, KINDS[f"cpu_{name}"]))
    types = {n: kind for n, kind in types.items() if n in online}
    if types:
        return types if len(set(types.values())) > 1 or len(types) < len(online) else {}
    for file, same, unit in (
        ("cpu_capacity", SAME_KIND, ""),
        ("cpufreq/base_frequency", SAME_KIND, " kHz"),
        ("cpufreq/cpuinfo_max_freq", SAME_KIND_BOOSTED, " kHz"),
    ):
        reported = {n: tree.integer(f"{CPU_ROOT}/cpu{n}/{file}") for n in online}
        names = _named_levels({number for number in reported.values() if number is not None}, same, unit)
        if len(set(names.values())) < 2:
            continue
        if unit:
            caveats.append(f"types of cores are not reported: taken from {file.removeprefix('cpufreq/')}")
        if mute := [n for n, number in reported.items() if number is None]:
            caveats.append(f"type of core unknown for {named('CPU', mute)}")
        return {n: names[number] for n, number in reported.items() if number is not None}
    return {}


def _named_levels(numbers: set[int], same: float, unit: str) -> dict[int, str]:
    """Name the type of cores of each number; neighbours that differ by a share of `same` at most are one type."""
    levels: list[list[int]] = []
    for number in sorted(numbers):
        if levels and number - levels[-1][-1] <= same * number:
            levels[-1].append(number)
        else:
            levels.append([number])
    names: dict[int, str] = {}
    for rank, level in enumerate(levels):
        ends = "-".join(map(str, dict.fromkeys((level[0], level[-1])))) + unit
        name = {0: "efficiency", len(levels) - 1: "performance"}.get(rank, ends if unit else f"capacity {ends}")
        names.update(dict.fromkeys(level, name))
    return names
