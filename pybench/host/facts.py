# SPDX-License-Identifier: Apache-2.0
"""Collect facts about a host that its results depend on, without its topology: one collector per topic.

Each collector reads files below a root, so that tests can use the files of other machines.
"""

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pybench._version import VERSION
from pybench.host.sysfs import Tree

Facts = dict[str, Any]
# scripts/lab puts this word on the kernel's command line.
LAB_WORD = "pybench.lab"


def _cpuinfo(tree: Tree) -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo."""
    first = (tree.text("proc/cpuinfo") or "").split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def kernel(tree: Tree) -> Facts:
    """Return release and build of the kernel, and the command-line words that affect timing."""
    words = (tree.text("proc/cmdline") or "").split()
    shaping = (
        "isolcpus",
        "nohz",
        "rcu_nocbs",
        "mitigations",
        "nosmt",
        "idle",
        "intel_",
        "amd_",
        "processor.",
        "tsc",
        LAB_WORD,
    )
    return {
        "release": tree.text("proc/sys/kernel/osrelease"),
        "version": tree.text("proc/sys/kernel/version"),
        "cmdline": [word for word in words if word.startswith(shaping)],
    }


def cpu(tree: Tree) -> Facts:
    """Return model and microcode. Arm reports numbers of implementer and part instead of a name."""
    fields = _cpuinfo(tree)
    part = " ".join(fields[key] for key in ("CPU implementer", "CPU part") if key in fields)
    return {"model": fields.get("model name") or part or None, "microcode": fields.get("microcode")}


def frequency(tree: Tree) -> Facts:
    """Return the governors in use (sorted, each once; offline CPUs have none), the driver, and boost on or off."""
    cpus = "sys/devices/system/cpu"
    files = (f"{cpus}/cpu{number}/cpufreq/scaling_governor" for number in tree.numbered(cpus, "cpu"))
    governors = {name for file in files if (name := tree.text(file))}
    no_turbo = tree.text("sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = tree.text("sys/devices/system/cpu/cpufreq/boost")
    return {
        "governors": sorted(governors),
        "driver": tree.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver"),
        "boost": {"0": "on", "1": "off"}.get(no_turbo or "") or {"0": "off", "1": "on"}.get(boost or ""),
    }


def hypervisor(tree: Tree) -> Facts:
    """Return whether the host is a virtual machine, and whose; with `emulated` true only for software CPUs."""
    guest = "hypervisor" in _cpuinfo(tree).get("flags", "").split()
    vendor = _dmi(tree, "sys_vendor")
    facts = {
        "virtual": guest or tree.text("sys/hypervisor/type") is not None,
        "vendor": vendor,
        "product": _dmi(tree, "product_name"),
    }
    return facts | ({"emulated": True} if _emulated(tree, guest, vendor) else {})


def _dmi(tree: Tree, name: str) -> str | None:
    # The class folder consists of links, which captures leave out.
    return tree.text(f"sys/class/dmi/id/{name}") or tree.text(f"sys/devices/virtual/dmi/id/{name}")


def _emulated(tree: Tree, guest: bool, vendor: str | None) -> bool:
    """Return whether QEMU emulates the CPUs: it is the vendor of a guest without any hypervisor's clock.

    KVM offers kvm-clock to its guests, Hyper-V's interface a TSC page. QEMU's simplest CPU has TCG in its name.
    """
    if any(word.startswith(LAB_WORD) for word in (tree.text("proc/cmdline") or "").split()):
        return True
    if "TCG" in (_cpuinfo(tree).get("model name") or "").split():
        return True
    sources = tree.text("sys/devices/system/clocksource/clocksource0/available_clocksource")
    if vendor != "QEMU" or not guest or not sources:
        return False
    return not any(name.startswith(("kvm-clock", "hyperv", "xen")) for name in sources.split())


def clock(tree: Tree) -> Facts:
    """Return the kernel's clock source."""
    return {"source": tree.text("sys/devices/system/clocksource/clocksource0/current_clocksource")}


def memory(tree: Tree) -> Facts:
    """Return the total memory in bytes and the huge-page policy."""
    fields = dict(line.split(":", 1) for line in (tree.text("proc/meminfo") or "").splitlines() if ":" in line)
    total = fields.get("MemTotal", "").split()
    thp = tree.text("sys/kernel/mm/transparent_hugepage/enabled") or ""
    chosen = [word.strip("[]") for word in thp.split() if word.startswith("[")]
    return {
        "total_bytes": int(total[0]) * 1024 if total else None,
        "huge_pages": chosen[0] if chosen else None,
    }


def limits(tree: Tree) -> Facts:
    """Return the limit on mounts and the number of mounts."""
    mount_max = tree.text("proc/sys/fs/mount-max")
    mounts = (tree.text("proc/self/mountinfo") or "").count("\n")
    return {"mount_max": int(mount_max) if mount_max else None, "mounts": mounts}


COLLECTORS: dict[str, Callable[[Tree], Facts]] = {
    "kernel": kernel,
    "cpu": cpu,
    "frequency": frequency,
    "hypervisor": hypervisor,
    "clock": clock,
    "memory": memory,
    "limits": limits,
}


def load_average() -> float:
    """Return the host's 1-minute load average."""
    return os.getloadavg()[0]


def read_facts(root: Path = Path("/")) -> Facts:
    """Return all facts by topic; of the running machine also name, load, user and Python version."""
    tree = Tree(root)
    facts: Facts = {topic: collect(tree) for topic, collect in COLLECTORS.items()}
    if tree.live:
        facts["name"] = platform.node()
        facts["load"] = load_average()
        facts["user"] = {"root": os.geteuid() == 0}
        facts["software"] = {"pybench": VERSION, "python": sys.version.split()[0]}
    return facts
