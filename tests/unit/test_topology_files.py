# SPDX-License-Identifier: Apache-2.0
"""Test limits of this process to some CPUs, and host files with unexpected content."""

from dataclasses import replace
from pathlib import Path

import pytest

from pybench.errors import UsageError
from pybench.host.capture import capture
from pybench.host.sysfs import Tree
from pybench.host.topology import read_topology
from tests.unit.hosts import read, read_host
from tests.unit.topologies import server, small_vm, vm_without_nodes, write


def test_cpuset_of_cgroup_v2_comes_from_the_nearest_cgroup_that_has_one() -> None:
    topology = read("cpuset_v2")
    assert topology.cpuset == (0, 1, 2, 3, 8, 9, 10, 11)
    assert topology.affinity == tuple(range(16))
    assert tuple(cpu.number for cpu in topology.usable) == topology.cpuset
    assert topology.memory_nodes == (0,)


def test_cpuset_of_cgroup_v1_and_affinity_both_count() -> None:
    topology = read("cpuset_v1")
    assert (topology.cpuset, topology.affinity) == ((2, 3, 4, 5, 6, 7), (0, 1, 2, 3, 4, 5))
    assert [cpu.number for cpu in topology.usable] == [2, 3, 4, 5]


def test_cpuset_without_a_mount_table_is_looked_for_at_the_usual_place() -> None:
    files = {"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpuset.cpus.effective": "1"}
    assert read_host(replace(small_vm(), files=files)).cpuset == (1,)


def test_a_cgroup_path_outside_the_namespace_falls_back_to_the_mount_point() -> None:
    files = {"proc/self/cgroup": "0::/../../b", "sys/fs/cgroup/cpuset.cpus.effective": "0"}
    assert read_host(replace(small_vm(), files=files)).cpuset == (0,)


def test_a_cgroup_below_the_mounts_root_is_found_below_the_mount_point() -> None:
    mounts = "34 31 0:31 /docker/abc /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset"
    files = {
        "proc/self/cgroup": "3:cpuset:/docker/abc/inner",
        "proc/self/mountinfo": mounts,
        "sys/fs/cgroup/cpuset/cpuset.effective_cpus": "0-1",
        "sys/fs/cgroup/cpuset/inner/cpuset.effective_cpus": "1",
    }
    assert read_host(replace(small_vm(), files=files)).cpuset == (1,)


def test_cpusets_of_both_cgroup_versions_count() -> None:
    files = {
        "proc/self/cgroup": "3:cpuset:/\n0::/",
        "sys/fs/cgroup/cpuset/cpuset.cpus": "0-2",
        "sys/fs/cgroup/cpuset.cpus.effective": "2-3",
    }
    assert read_host(replace(vm_without_nodes(), files=files)).cpuset == (2,)


def test_without_a_process_status_every_online_cpu_counts(tmp_path: Path) -> None:
    (write(tmp_path, small_vm()) / "proc/self/status").unlink()
    topology = read_topology(tmp_path)
    assert len(topology.usable) == 2
    assert topology.affinity is None
    assert "no proc/self/status: every online CPU taken as allowed" in topology.missing


# --- files that make no sense --------------------------------------------------------------------


MALFORMED = [
    ("sys/devices/system/cpu/online", "0-x"),
    ("sys/devices/system/cpu/isolated", "3-1"),
    ("sys/devices/system/cpu/cpu1/topology/physical_package_id", "one"),
    ("sys/devices/system/cpu/cpu1/topology/die_id", ""),
    ("sys/devices/system/cpu/cpu0/topology/core_cpus_list", "0-99999999999"),
    ("sys/devices/system/cpu/cpu0/cache/index3/level", "three"),
    ("sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_list", "\x00\x01"),
    ("sys/devices/system/node/node0/cpulist", "0;1"),
    ("sys/devices/system/node/node1/distance", "10"),
    ("sys/devices/system/node/node1/distance", "near far"),
    ("proc/self/status", "Cpus_allowed_list:\tall"),
]


@pytest.mark.parametrize(("path", "text"), MALFORMED)
def test_a_malformed_file_is_a_caveat_and_refuses_nothing(tmp_path: Path, path: str, text: str) -> None:
    (write(tmp_path, server(2, 2, 2)) / path).write_text(f"{text}\n")
    topology = read_topology(tmp_path)
    assert [cpu.number for cpu in topology.online] == list(range(8))
    caveats = [caveat for caveat in topology.caveats if caveat.startswith(f"/{path}: ")]
    assert len(caveats) == 1
    assert "\n" not in caveats[0]
    assert set(topology.caveats) <= set(topology.missing)


def test_files_that_are_malformed_alike_are_one_caveat(tmp_path: Path) -> None:
    write(tmp_path, server(1, 4, 1))
    for number in range(4):
        (tmp_path / f"sys/devices/system/cpu/cpu{number}/topology/die_id").write_text("x\n")
    assert read_topology(tmp_path).caveats == (
        "/sys/devices/system/cpu/cpu0/topology/die_id: 'x' is not a whole number (and 3 files like it)",
    )


def test_a_capture_of_a_malformed_file_reads_like_its_host(tmp_path: Path) -> None:
    write(tmp_path / "host", replace(small_vm(), isolated="x"))
    capture(tmp_path / "odd.tar.gz", tmp_path / "host")
    assert read_topology(tmp_path / "odd.tar.gz") == read_topology(tmp_path / "host")
    assert (
        "/sys/devices/system/cpu/isolated: 'x' is not a number or range"
        in read_topology(tmp_path / "host").caveats
    )


@pytest.mark.parametrize("text", ["\0\n", "0-7\0\n", "0-7\n\0\0", " \n"])
def test_nuls_around_a_list_do_not_matter(tmp_path: Path, text: str) -> None:
    write(tmp_path, server(2, 2, 2))
    before = read_topology(tmp_path)
    for name in ("nohz_full", "online"):
        (tmp_path / f"sys/devices/system/cpu/{name}").write_text(
            text if "7" in text or name != "online" else "0-7"
        )
    after = read_topology(tmp_path)
    assert after.caveats == before.caveats
    assert [cpu.core for cpu in after.cpus] == [cpu.core for cpu in before.cpus]
    assert all(cpu.nohz_full == ("7" in text) for cpu in after.cpus)


def test_a_malformed_file_is_listed_by_its_tree(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("none\n")
    tree = Tree(tmp_path)
    assert tree.integer("number") is None
    assert tree.odd == ["/number: 'none' is not a whole number"]


@pytest.mark.parametrize("folders", [[], ["sys/devices/system"], ["sys/devices/system/cpu"]])
def test_a_folder_that_is_no_host(tmp_path: Path, folders: list[str]) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(UsageError):
        read_topology(tmp_path)


def test_a_sysroot_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder or capture file"):
        read_topology(tmp_path / "nowhere")
