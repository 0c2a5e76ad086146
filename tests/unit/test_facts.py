# SPDX-License-Identifier: Apache-2.0
"""Facts are functions of captured text, so other machines' text tests them."""

from pathlib import Path

import pytest

from pybench.host.facts import COLLECTORS, read_facts
from pybench.host.sysfs import Tree

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
microcode\t: 0x5003901
flags\t\t: fpu vme tsc constant_tsc nonstop_tsc {more}

processor\t: 1
model name\t: another
"""
GRAVITON = """processor\t: 0
BogoMIPS\t: 2100.00
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_bare_metal_xeon(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    facts = read_facts(
        tree(
            tmp_path,
            **{
                "proc/cpuinfo": XEON.format(more=""),
                "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 isolcpus=2-3 mitigations=off quiet\n",
                "proc/sys/kernel/osrelease": "6.8.0-1021-aws\n",
                f"{cpu}/cpu0/cpufreq/scaling_governor": "performance\n",
                f"{cpu}/cpu1/cpufreq/scaling_governor": "powersave\n",
                f"{cpu}/intel_pstate/no_turbo": "1\n",
                "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
                "sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
                "proc/meminfo": "MemTotal:       97866236 kB\nMemFree: 1 kB\n",
                "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
                "proc/sys/fs/mount-max": "100000\n",
            },
        )
    )
    assert facts["cpu"] == {
        "model": "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
        "microcode": "0x5003901",
    }
    assert facts["kernel"]["release"] == "6.8.0-1021-aws"
    assert facts["kernel"]["cmdline"] == ["isolcpus=2-3", "mitigations=off"]
    assert facts["frequency"]["governors"] == ["performance", "powersave"]
    assert facts["frequency"]["boost"] == "off"
    assert facts["clock"]["source"] == "tsc"
    assert facts["hypervisor"] == {"virtual": False, "vendor": "Amazon EC2", "product": None}
    assert facts["memory"] == {"total_bytes": 97866236 * 1024, "huge_pages": "madvise"}
    assert facts["limits"]["mount_max"] == 100_000
    assert "name" not in facts


def test_a_cpu_that_is_off_has_no_governor(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    root = tree(tmp_path, **{f"{cpu}/cpu0/cpufreq/scaling_governor": "performance\n"})
    # A folder cannot be read, as the kernel refuses (EBUSY) the file of a CPU that is off.
    (root / f"{cpu}/cpu1/cpufreq/scaling_governor").mkdir(parents=True)
    assert read_facts(root)["frequency"]["governors"] == ["performance"]


def test_a_guest_says_so(tmp_path: Path) -> None:
    facts = read_facts(tree(tmp_path, **{"proc/cpuinfo": XEON.format(more="hypervisor")}))
    assert facts["hypervisor"]["virtual"]


def test_arm_has_numbers_for_a_name(tmp_path: Path) -> None:
    assert read_facts(tree(tmp_path, **{"proc/cpuinfo": GRAVITON}))["cpu"]["model"] == "0x41 0xd40"


@pytest.mark.parametrize("topic", COLLECTORS)
def test_an_empty_tree_is_no_error(tmp_path: Path, topic: str) -> None:
    assert isinstance(COLLECTORS[topic](Tree(tmp_path)), dict)


def test_this_machine() -> None:
    facts = read_facts()
    assert facts["kernel"]["release"]
    assert facts["memory"]["total_bytes"] > 0
    assert facts["limits"]["mounts"] > 0
