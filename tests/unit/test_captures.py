# SPDX-License-Identifier: Apache-2.0
"""Captures of hosts: made, read, and not to be trusted; and what those of the tests' data hold."""

import io
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pybench.errors import UsageError
from pybench.host import capture as capture_module
from pybench.host.capture import capture, open_sysroot
from pybench.host.facts import read_facts
from pybench.host.topology import Topology, read_topology
from pybench.text import format_list
from tests.unit.hosts import CAPTURED, DATA, lscpu_rows, members, read
from tests.unit.test_topology_kinds import KINDS
from tests.unit.topologies import MACHINES, SCRATCH, small_vm, write


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give a place for temporary files, and hold that nothing stays in it."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        yield
        assert list(Path(place).iterdir()) == []


@pytest.mark.parametrize("name", sorted(set(MACHINES) - {"milan", "power8", "arm_server", "naples"}))
def test_a_capture_reads_like_the_host(name: str, tmp_path: Path, temporary: None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        capture(tmp_path / "host.tar.gz", write(Path(folder), MACHINES[name]()))
    assert read_topology(tmp_path / "host.tar.gz") == read(name)


def test_a_capture_of_this_machine_reads_like_it(tmp_path: Path, temporary: None) -> None:
    def without_memory(topology: Topology) -> Topology:
        # A guest's memory may grow between two reads.
        nodes = tuple(msgspec.structs.replace(node, memory_bytes=None) for node in topology.nodes)
        return msgspec.structs.replace(topology, nodes=nodes, memory_bytes=None)

    capture(tmp_path / "here.tar.gz")
    assert without_memory(read_topology(tmp_path / "here.tar.gz")) == without_memory(read_topology())


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    host = write(tmp_path / "host", small_vm())
    for name in ("a", "b"):
        capture(tmp_path / name, host)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_capture_keeps_only_cgroup_mounts(tmp_path: Path) -> None:
    mounts = "1 0 0:1 / / rw - ext4 /dev/secret rw\n2 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
    host = write(tmp_path / "host", replace(small_vm(), files={"proc/self/mountinfo": mounts}))
    capture(tmp_path / "c.tar.gz", host)
    with open_sysroot(tmp_path / "c.tar.gz") as tree:
        mountinfo = tree.text("proc/self/mountinfo") or ""
        assert "secret" not in mountinfo
        assert "cgroup2" in mountinfo


def test_a_capture_overwrites_nothing(tmp_path: Path) -> None:
    target = tmp_path / "mine.tar.gz"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        capture(target)
    assert target.read_text() == "mine"


def test_a_capture_to_nowhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        capture(tmp_path / "no" / "folder.tar.gz")


def test_a_capture_that_fails_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(capture_module, "_write", fail)
    with pytest.raises(KeyboardInterrupt):
        capture(tmp_path / "half.tar.gz")
    assert list(tmp_path.iterdir()) == []


def make_tar(path: Path, members: dict[str, bytes | str]) -> Path:
    """Write an archive; a member given as text is a symbolic link to it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_cannot_write_outside(tmp_path: Path, temporary: None) -> None:
    members: dict[str, bytes | str] = {
        "sys/../../escaped": b"x",
        "../escaped": b"x",
        str(tmp_path / "escaped"): b"x",
        "sys/link": str(tmp_path),
        "sys/link/escaped": b"x",
        "sys/devices/system/cpu/online": b"0\n",
    }
    archive = make_tar(tmp_path / "evil.tar.gz", members)
    assert len(read_topology(archive).cpus) == 1
    assert not list(tmp_path.rglob("escaped"))


def test_an_archive_below_one_folder_is_read(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "gathered.tar.gz", {"./host7/sys/devices/system/cpu/online": b"0-1\n"})
    assert [cpu.number for cpu in read_topology(archive).cpus] == [0, 1]


@pytest.mark.parametrize("folder", ["host7/fsroot", "a/b/c", "sys/kept/host"])
def test_an_archive_below_several_folders_is_read(tmp_path: Path, folder: str) -> None:
    archive = make_tar(tmp_path / "deep.tar.gz", {f"{folder}/sys/devices/system/cpu/online": b"0-1\n"})
    assert [cpu.number for cpu in read_topology(archive).cpus] == [0, 1]


def test_an_archive_of_two_hosts_is_refused(tmp_path: Path, temporary: None) -> None:
    online = "sys/devices/system/cpu/online"
    archive = make_tar(tmp_path / "two.tar.gz", {f"a/{online}": b"0\n", f"b/{online}": b"0-1\n"})
    with pytest.raises(UsageError, match=r"two\.tar\.gz: holds 2 hosts: a and b"):
        read_topology(archive)


def test_an_archive_of_too_many_files(tmp_path: Path, temporary: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "MAX_CAPTURE_FILES", 2)
    archive = make_tar(tmp_path / "many.tar.gz", {f"sys/{n}": b"" for n in range(3)})
    with pytest.raises(UsageError, match="or 2 files"):
        read_topology(archive)


def test_an_archive_that_would_fill_the_disk(
    tmp_path: Path, temporary: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_module, "MAX_CAPTURE_BYTES", 1 << 20)
    archive = make_tar(tmp_path / "big.tar.gz", {"sys/a": bytes(1 << 20), "sys/b": b"x"})
    with pytest.raises(UsageError, match="unpacks to more than 1 MiB"):
        read_topology(archive)


@pytest.mark.parametrize("damage", ["text", "truncated", "empty"])
def test_a_file_that_is_no_capture(tmp_path: Path, temporary: None, damage: str) -> None:
    source = tmp_path / "host.tar.gz"
    whole = (DATA / "two-sockets-8.tar.gz").read_bytes()
    source.write_bytes({"text": b"hello", "truncated": whole[:3000], "empty": b""}[damage])
    with pytest.raises(UsageError, match="not a capture file"):
        read_topology(source)


# --- captured hosts ------------------------------------------------------------------------------
# Taken with `pybench topology --capture` in emulated guests (Linux 6.1, two sockets, two nodes).


# As described by a person: sockets, cores, L3 domains and nodes, each as its online CPUs, and nodes' distances.
PARTS = {
    "lab-2x2x2": (
        ["0-3", "4-7"],
        ["0-1", "2-3", "4-5", "6-7"],
        ["0-3", "4-7"],
        {0: "0-3", 1: "4-7"},
        [(10, 21), (21, 10)],
    ),
    # Two nodes to a socket, whose cores share an L3 cache all the same.
    "lab-four-nodes": (
        ["0-3", "4-7"],
        ["0-1", "2-3", "4-5", "6-7"],
        ["0-3", "4-7"],
        {0: "0-1", 1: "2-3", 2: "4-5", 3: "6-7"},
        [(10, 12, 21, 21), (12, 10, 21, 21), (21, 21, 10, 12), (21, 21, 12, 10)],
    ),
    # 16 CPUs, siblings n and n+8, of which SMT off leaves the first of each core.
    "lab-four-sockets-smt-off": (
        ["0-1", "2-3", "4-5", "6-7"],
        [str(n) for n in range(8)],
        ["0-1", "2-3", "4-5", "6-7"],
        {0: "0-1", 1: "2-3", 2: "4-5", 3: "6-7"},
        [(10, 21, 21, 21), (21, 10, 21, 21), (21, 21, 10, 21), (21, 21, 21, 10)],
    ),
    "lab-memory-only": (
        ["0-3", "4-7"],
        ["0-1", "2-3", "4-5", "6-7"],
        ["0-3", "4-7"],
        {0: "0-3", 1: "4-7", 2: ""},
        [(10, 21, 17), (21, 10, 17), (17, 17, 10)],
    ),
    "lab-no-smt": (
        ["0-3", "4-7"],
        [str(n) for n in range(8)],
        ["0-3", "4-7"],
        {0: "0-3", 1: "4-7"},
        [(10, 21), (21, 10)],
    ),
    # Siblings 0+4 1+5 | 2+6 3+7; CPUs 3 and 6 are off.
    "lab-server-offline": (
        ["0-1,4-5", "2,7"],
        ["0,4", "1,5", "2", "7"],
        ["0-1,4-5", "2,7"],
        {0: "0-1,4-5", 1: "2,7"},
        [(10, 21), (21, 10)],
    ),
    "lab-single": (["0"], ["0"], ["0"], {0: "0"}, [(10,)]),
}


@pytest.mark.parametrize("name", PARTS)
def test_captured_machines_of_the_lab(name: str) -> None:
    topology = read(name)
    sockets, cores, l3_domains, nodes, distances = PARTS[name]
    assert members(topology.sockets) == sockets
    assert members(topology.cores) == cores
    assert members(topology.l3_domains) == l3_domains
    assert {node.number: format_list(node.cpus) for node in topology.nodes} == nodes
    assert [node.distances for node in topology.nodes] == distances
    assert topology.missing == ()


def test_every_capture_is_told_of() -> None:
    told_below = {"cgroup-v2-cpuset", "one-offline", "smt-off", "two-sockets-8", "two-sockets-96"}
    assert set(CAPTURED) == told_below | set(PARTS) | set(KINDS)


def test_captured_machines_of_the_lab_say_that_they_were_emulated() -> None:
    for name in PARTS:
        with open_sysroot(DATA / f"{name}.tar.gz") as tree:
            assert read_facts(tree.root)["hypervisor"]["emulated"] is True


def test_captured_two_socket_host_agrees_with_lscpu() -> None:
    topology = read_topology(DATA / "two-sockets-96.tar.gz")
    rows = lscpu_rows((DATA / "two-sockets-96.lscpu.txt").read_text())
    assert [(cpu.number, cpu.core, cpu.socket, cpu.node) for cpu in topology.cpus] == rows
    assert topology.missing == ()


def test_captured_host_with_a_cpu_taken_offline() -> None:
    topology = read_topology(DATA / "one-offline.tar.gz")
    assert [cpu.number for cpu in topology.cpus if not cpu.online] == [3]
    assert members(topology.cores) == ["0,4", "1,5", "2,6", "7"]


def test_captured_host_with_smt_switched_off() -> None:
    topology = read_topology(DATA / "smt-off.tar.gz")
    assert topology.smt_control == "off"
    assert members(topology.cores) == ["0", "1", "2", "3"]
    # Booted with isolcpus=2,6: the kernel leaves isolated CPUs out of the affinity of init.
    assert topology.affinity == (0, 1, 3)


def test_captured_container() -> None:
    topology = read_topology(DATA / "cgroup-v2-cpuset.tar.gz")
    assert [cpu.number for cpu in topology.usable] == [0, 1, 4, 5, 6]
    assert (topology.cpuset, topology.memory_nodes) == ((0, 1, 4, 5, 6), (0,))
    assert [cpu.number for cpu in topology.cpus if cpu.isolated] == [2, 6]
    assert [cpu.number for cpu in topology.cpus if cpu.nohz_full] == [6]
