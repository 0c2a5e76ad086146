# SPDX-License-Identifier: Apache-2.0
"""Test the doctor on other machines."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pybench.cli.host.doctor import command
from pybench.host.doctor import Observation, examine
from pybench.host.sysfs import Tree

CAPTURES = Path(__file__).parents[1] / "data" / "topologies"
CPU = "sys/devices/system/cpu"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def said(root: Path, files: dict[str, str], cpus: tuple[int, ...] = (0, 1)) -> dict[str, Observation]:
    return {one.topic: one for one in examine(Tree(tree(root, files)), cpus)}


def test_a_laptop_as_it_comes(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        {
            f"{CPU}/online": "0-1\n",
            f"{CPU}/smt/active": "1\n",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu0/topology/thread_siblings_list": "0-1\n",
            f"{CPU}/cpu1/topology/thread_siblings_list": "0-1\n",
            f"{CPU}/intel_pstate/no_turbo": "0\n",
            "proc/77/comm": "irqbalance\n",
            "proc/78/comm": "pybench-crew\n",
            "proc/irq/9/effective_affinity_list": "1\n",
            "proc/irq/10/effective_affinity_list": "5\n",
            "proc/loadavg": "1.80 1.0 0.5 2/300 4242\n",
            "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
            "sys/devices/system/node/node0/cpulist": "0-1\n",
            "proc/sys/kernel/numa_balancing": "1\n",
            "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
            "proc/meminfo": "MemTotal: 1000000 kB\nMemAvailable: 50000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
        },
    )
    levels = {topic: one.level for topic, one in found.items()}
    assert levels["governor"] == levels["load"] == levels["clock"] == levels["another pybench"] == "problem"
    assert levels["memory"] == "problem"
    assert levels["turbo"] == levels["SMT"] == levels["irqbalance"] == levels["interrupts"] == "note"
    assert levels["huge pages"] == "note"
    assert levels["NUMA balancing"] == "fine"
    assert found["interrupts"].seen == "1 of 2 interrupts go to these CPUs"
    assert found["turbo"].next_step == f"echo 1 > /{CPU}/intel_pstate/no_turbo"
    assert all(one.next_step for one in found.values() if one.level == "problem")


def test_a_tuned_server(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        {
            f"{CPU}/online": "0-3\n",
            f"{CPU}/isolated": "0-1\n",
            f"{CPU}/nohz_full": "0-1\n",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "performance\n",
            f"{CPU}/cpu1/cpufreq/scaling_governor": "performance\n",
            f"{CPU}/cpufreq/boost": "0\n",
            "proc/irq/9/effective_affinity_list": "2\n",
            "proc/loadavg": "0.02 0.01 0.00 1/300 4242\n",
            "proc/stat": "cpu0 10 0 0 900 0 0 0 0 0 0\ncpu1 10 0 0 900 0 0 0 0 0 0\n",
            "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
            "proc/sys/kernel/numa_balancing": "0\n",
            "proc/sys/fs/mount-max": "100000\n",
        },
    )
    assert {one.level for one in found.values()} == {"fine"}


def test_a_guest_whose_cpus_are_taken(tmp_path: Path) -> None:
    stat = "cpu0 100 0 0 900 0 0 0 {steal} 0 0\ncpu9 1 0 0 900 0 0 0 900 0 0\n"
    files = {"proc/cpuinfo": "flags : fpu hypervisor\n"}
    busy = said(tmp_path / "a", files | {"proc/stat": stat.format(steal=5)})["hypervisor"]
    quiet = said(tmp_path / "b", files | {"proc/stat": stat.format(steal=0)})["hypervisor"]
    assert (busy.level, quiet.level) == ("problem", "note")
    assert "4.76%" in busy.seen


@pytest.mark.parametrize(
    "files",
    [
        {
            "proc/self/cgroup": "0::/box\n",
            "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/box/cpu.max": "150000 100000\n",
        },
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/a/b\n",
            "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
            "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        },
    ],
)
def test_a_quota_on_the_group_or_one_above(tmp_path: Path, files: dict[str, str]) -> None:
    found = said(tmp_path, files)
    assert found["quota"].level == "problem"
    assert found["quota"].seen == "1.5 CPUs of time for 2 CPUs"
    assert {one.topic: one for one in examine(Tree(tmp_path), (0,))}["quota"].level == "note"


def test_no_user_namespaces_for_an_ordinary_user(tmp_path: Path) -> None:
    files = {"proc/self/status": "Uid:\t1000\t1000\t1000\t1000\n"}
    assert said(tmp_path / "a", files)["mount rights"].level == "note"
    closed = said(tmp_path / "b", files | {"proc/sys/user/max_user_namespaces": "0\n"})["mount rights"]
    assert closed.level == "problem"
    assert "user.max_user_namespaces=0" in closed.seen


@pytest.mark.parametrize("capture", sorted(CAPTURES.glob("*.tar.gz")), ids=lambda path: path.name)
def test_captured_machines(capture: Path) -> None:
    ran = CliRunner().invoke(command, ["--sysroot", str(capture), "--json", "--strict"])
    advice = json.loads(ran.output)["advice"]
    assert {"governor", "SMT", "hypervisor", "quota", "isolation"} <= {one["topic"] for one in advice}
    assert ran.exit_code == any(one["level"] == "problem" for one in advice)
    assert all(one["next_step"] for one in advice if one["level"] == "problem")


def test_a_screen_is_80_wide_and_names_what_spoils(tmp_path: Path) -> None:
    capture = str(CAPTURES / "two-sockets-8.tar.gz")
    advice = json.loads(CliRunner().invoke(command, ["--sysroot", capture, "--json"]).output)["advice"]
    ran = CliRunner().invoke(command, ["--sysroot", capture], env={"COLUMNS": "80"})
    assert ran.exit_code == 0
    assert all(len(line.rstrip()) <= 80 for line in ran.output.splitlines())
    for one in advice:
        assert any(line.startswith(one["level"]) and one["topic"] in line for line in ran.output.splitlines())


def test_this_machine_with_a_trial() -> None:
    ran = CliRunner().invoke(command, ["--json", "--place", "core:0 smt:off"])
    if ran.exit_code:
        ran = CliRunner().invoke(command, ["--json"])
    assert ran.exit_code == 0, ran.output
    assert "a short trial" in {one["topic"] for one in json.loads(ran.output)["advice"]}
