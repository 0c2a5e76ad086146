# SPDX-License-Identifier: Apache-2.0
"""What a reader of a figure must know of the host besides its topology: one collector a topic.

Each collector is a function of files below a root, so that captured trees of other machines test it.
"""

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pybench._version import VERSION

Facts = dict[str, Any]
# The kernel is told by scripts/lab that it runs there.
LAB_WORD = "pybench.lab"


def _text(root: Path, name: str) -> str | None:
    try:
        return (root / name).read_text(errors="replace").strip()
    except OSError:
        return None


def _cpuinfo(root: Path) -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo."""
    first = (_text(root, "proc/cpuinfo") or "").split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def kernel(root: Path) -> Facts:
    """Release and build of the kernel, and the command-line words that shape timing."""
    words = (_text(root, "proc/cmdline") or "").split()
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
        "release": _text(root, "proc/sys/kernel/osrelease"),
        "version": _text(root, "proc/sys/kernel/version"),
        "cmdline": [word for word in words if word.startswith(shaping)],
    }


def cpu(root: Path) -> Facts:
    """Model and microcode. Arm gives numbers for implementer and part instead of a name."""
    fields = _cpuinfo(root)
    part = " ".join(fields[key] for key in ("CPU implementer", "CPU part") if key in fields)
    return {"model": fields.get("model name") or part or None, "microcode": fields.get("microcode")}


def frequency(root: Path) -> Facts:
    """Governors in use (sorted, each once; a CPU that is off has none to read), driver and boost."""
    cpus = root / "sys/devices/system/cpu"
    paths = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")) if cpus.is_dir() else []
    governors = {name for path in paths if (name := _text(root, str(path.relative_to(root))))}
    no_turbo = _text(root, "sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = _text(root, "sys/devices/system/cpu/cpufreq/boost")
    return {
        "governors": sorted(governors),
        "driver": _text(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver"),
        "boost": {"0": "on", "1": "off"}.get(no_turbo or "") or {"0": "off", "1": "on"}.get(boost or ""),
    }


def hypervisor(root: Path) -> Facts:
    """Whether this is a virtual machine, and whose; `emulated` is there, and true, if its CPUs are software."""
    guest = "hypervisor" in _cpuinfo(root).get("flags", "").split()
    vendor = _dmi(root, "sys_vendor")
    facts = {
        "virtual": guest or _text(root, "sys/hypervisor/type") is not None,
        "vendor": vendor,
        "product": _dmi(root, "product_name"),
    }
    return facts | ({"emulated": True} if _emulated(root, guest, vendor) else {})


def _dmi(root: Path, name: str) -> str | None:
    # The class folder is links, which a capture does not have.
    return _text(root, f"sys/class/dmi/id/{name}") or _text(root, f"sys/devices/virtual/dmi/id/{name}")


def _emulated(root: Path, guest: bool, vendor: str | None) -> bool:
    """QEMU emulates x86 CPUs if it is the vendor of a guest that is offered none of a hypervisor's clocks.

    KVM gives its guests kvm-clock, Hyper-V's interface a TSC page. QEMU's plainest CPU says so in its model name.
    """
    if any(word.startswith(LAB_WORD) for word in (_text(root, "proc/cmdline") or "").split()):
        return True
    if "TCG" in (_cpuinfo(root).get("model name") or "").split():
        return True
    sources = _text(root, "sys/devices/system/clocksource/clocksource0/available_clocksource")
    if vendor != "QEMU" or not guest or not sources:
        return False
    return not any(name.startswith(("kvm-clock", "hyperv", "xen")) for name in sources.split())


def clock(root: Path) -> Facts:
    """The kernel's clock source."""
    return {"source": _text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource")}


def memory(root: Path) -> Facts:
    """Total memory and the huge-page policy."""
    fields = dict(line.split(":", 1) for line in (_text(root, "proc/meminfo") or "").splitlines() if ":" in line)
    total = fields.get("MemTotal", "").split()
    thp = _text(root, "sys/kernel/mm/transparent_hugepage/enabled") or ""
    chosen = [word.strip("[]") for word in thp.split() if word.startswith("[")]
    return {
        "total_bytes": int(total[0]) * 1024 if total else None,
        "huge_pages": chosen[0] if chosen else None,
    }


def limits(root: Path) -> Facts:
    """Settings that bound mount work."""
    mount_max = _text(root, "proc/sys/fs/mount-max")
    mounts = (_text(root, "proc/self/mountinfo") or "").count("\n")
    return {"mount_max": int(mount_max) if mount_max else None, "mounts": mounts}


COLLECTORS: dict[str, Callable[[Path], Facts]] = {
    "kernel": kernel,
    "cpu": cpu,
    "frequency": frequency,
    "hypervisor": hypervisor,
    "clock": clock,
    "memory": memory,
    "limits": limits,
}


def load_average() -> float:
    """The host's 1-minute load average."""
    return os.getloadavg()[0]


def read_facts(root: Path = Path("/")) -> Facts:
    """All facts by topic; of the running machine also its name, load, user and Python."""
    facts: Facts = {topic: collect(root) for topic, collect in COLLECTORS.items()}
    if root == Path("/"):
        facts["name"] = platform.node()
        facts["load"] = load_average()
        facts["user"] = {"root": os.geteuid() == 0}
        facts["software"] = {"pybench": VERSION, "python": sys.version.split()[0]}
    return facts
