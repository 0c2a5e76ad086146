# SPDX-License-Identifier: Apache-2.0
"""Properties of every host, and of its files with lists, masks or ids taken away, cut or damaged.

Whatever is taken away, the reader gives the same answer or reports a gap; it never refuses a host that has a CPU.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybench.host.capture import open_sysroot
from pybench.host.topology import Topology, read_topology
from pybench.placement import FILLS, place
from pybench.text import parse_list
from tests.unit.hosts import CAPTURED, DATA, HOSTS, members, read
from tests.unit.topologies import MACHINES, SCRATCH, write

CPU = "sys/devices/system/cpu"
# Trees that hold enough for any file to have a stand-in.
WHOLE = sorted(set(CAPTURED) - {"online-file-empty", "two-sockets-96", "archive-two-folders-deep"})
SMALL = [name for name in WHOLE if "sockets-96" not in name]


@contextmanager
def copy_of(name: str) -> Iterator[Path]:
    """Give a folder with the host's files, to be changed."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        root = Path(folder) / "host"
        if name in MACHINES:
            yield write(root, MACHINES[name]())
            return
        with open_sysroot(DATA / f"{name}.tar.gz") as tree:
            shutil.copytree(tree.root, root)
        yield root


def files(root: Path) -> list[Path]:
    """Return the files below `root` that describe CPUs, nodes and limits, in a fixed order."""
    chosen = re.compile(r"system/(cpu|node)/|sys/devices/cpu_|proc/self/(status|cgroup|mountinfo|cpuset)")
    return sorted(
        path for path in root.rglob("*") if path.is_file() and chosen.search(str(path.relative_to(root)))
    )


@cache
def names_of(name: str) -> list[str]:
    with copy_of(name) as root:
        return [str(path.relative_to(root)) for path in files(root)]


def mask_of(text: str) -> str:
    """Return a list as the kernel prints the mask of a host of 64 CPUs."""
    bits = sum(1 << number for number in parse_list(text))
    return f"{bits >> 32:08x},{bits & 0xFFFFFFFF:08x}"


def with_masks_only(root: Path) -> None:
    """Replace every list of groups by its mask."""
    for path in files(root):
        short = {"cpulist": "cpumap", "shared_cpu_list": "shared_cpu_map"}.get(path.name)
        if short or (path.name.endswith("_list") and path.parent.name == "topology"):
            target = path.with_name(short or path.name.removesuffix("_list"))
            target.write_text(mask_of(path.read_text()) + "\n")
            path.unlink()


def check(topology: Topology) -> None:
    """Assert what holds of any host, however little its files report."""
    online = [cpu.number for cpu in topology.online]
    for groups in (topology.sockets, topology.cores):
        assert sorted(cpu.number for cpus in groups.values() for cpu in cpus) == online
    assert set(topology.caveats) <= set(topology.missing)
    assert all("\n" not in line and line.isprintable() for line in topology.missing)
    assert len(topology.l3_bytes) == len(topology.l3_domains)
    for node in topology.nodes:
        assert set(node.cpus) <= set(online)
    numbers = {cpu.number for cpu in topology.usable}
    if not numbers:
        return
    for fill in FILLS:
        every = place(topology, f"all {fill}").cpus
        assert set(every) == numbers
        assert len(every) == len(numbers)
        single = place(topology, f"all {fill} smt:off").cpus
        cores = [topology.by_number()[number].core for number in single]
        assert len(set(cores)) == len(cores) == len({cpu.core for cpu in topology.usable})
    assert set(place(topology, "single-socket").cpus) <= numbers


def shape(topology: Topology) -> tuple[object, ...]:
    """Return what decides where threads are placed."""
    groups = (topology.sockets, topology.cores, topology.l3_domains)
    usable = [cpu.number for cpu in topology.usable]
    return (*map(members, groups), [node.cpus for node in topology.nodes], usable)


def same_or_said(before: Topology, after: Topology, what: str) -> None:
    """Assert that two readings place threads alike, or that the second reports more than the first."""
    if shape(before) != shape(after):
        assert set(after.missing) - set(before.missing), f"{what}: read otherwise in silence"


@pytest.mark.parametrize("name", HOSTS)
def test_what_holds_of_any_host(name: str) -> None:
    check(read(name))


@pytest.mark.parametrize("name", SMALL)
def test_masks_stand_in_for_lists(name: str) -> None:
    with copy_of(name) as root:
        with_masks_only(root)
        after = read_topology(root)
    before = read(name)
    if name == "lists-without-their-cpu":
        same_or_said(before, after, "masks")
        return
    assert shape(after) == shape(before)
    assert after.missing == before.missing


TAKEN: dict[str, Callable[[Path], bool]] = {
    "core lists": lambda path: path.name in ("core_cpus_list", "thread_siblings_list"),
    "core lists and masks": lambda path: path.name.startswith(("core_cpus", "thread_siblings")),
    "core ids": lambda path: path.name == "core_id",
    "package ids": lambda path: path.name == "physical_package_id",
    "package lists": lambda path: path.name.startswith(("core_siblings", "package_cpus")),
    "topology of CPU 1": lambda path: "cpu1/topology" in str(path),
    "caches": lambda path: "/cache/" in str(path),
    "sharers of caches": lambda path: path.name.startswith("shared_cpu"),
    "node lists": lambda path: path.name in ("cpulist", "cpumap"),
    "meminfo and distances": lambda path: path.name in ("meminfo", "distance"),
    "online": lambda path: path.name == "online",
    "status": lambda path: path.name == "status",
    "everything on CPUs": lambda path: f"{CPU}/cpu" in str(path),
}


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("name", SMALL)
def test_files_that_are_gone_are_replaced_or_missed(name: str, taken: str) -> None:
    with copy_of(name) as root:
        for path in files(root):
            if TAKEN[taken](path):
                path.write_text("") if path.parent.name == "cpu" else path.unlink()
        after = read_topology(root)
    check(after)
    same_or_said(read(name), after, taken)


DAMAGE: dict[str, Callable[[bytes, int], bytes]] = {
    "empty": lambda content, at: b"",
    "cut": lambda content, at: content[:at],
    "NUL inside": lambda content, at: content[:at] + b"\0" + content[at:],
    "NULs after": lambda content, at: content + bytes(at),
    "nonsense": lambda content, at: b"\x1b[31m\xff 0-",
    "a huge number": lambda content, at: b"9" * (at + 1),
    "another's list": lambda content, at: b"0\n",
}
# Files that may hold anything a kernel could print: what limits this process.
LIMITS = re.compile("/(online|present|status|cpuset|cgroup|mountinfo|cpuset[^/]*)$")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from([*SMALL, "cpuset_v1", "cpuset_v2", "hybrid", "power7", "big_little"]), data=st.data())
def test_damaged_files_refuse_nothing_and_are_reported(name: str, data: st.DataObject) -> None:
    paths = data.draw(st.lists(st.sampled_from(names_of(name)), min_size=1, max_size=4, unique=True))
    kinds = [(data.draw(st.sampled_from(sorted(DAMAGE))), data.draw(st.integers(0, 40))) for _ in paths]
    with copy_of(name) as root:
        for path, (kind, at) in zip(paths, kinds, strict=True):
            (root / path).write_bytes(DAMAGE[kind]((root / path).read_bytes(), at))
        after = read_topology(root)
    check(after)
    if not any(LIMITS.search(path) for path in paths):
        same_or_said(read(name), after, f"{paths}, {kinds}")
    if all(kind == "NULs after" for kind, _ in kinds):
        assert shape(after) == shape(read(name))
        assert after.missing == read(name).missing
