# SPDX-License-Identifier: Apache-2.0
"""Examine a host for what invalidates trials or shifts results: one function per topic."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec
import psutil

from pybench.host.cpu_groups import CORE_FILES, read_groups
from pybench.host.facts import read_facts
from pybench.host.meters import cpu_ticks
from pybench.host.switches.journal import STATE_DIR, StateFolder
from pybench.host.sysfs import Tree, cgroup_folders, effective_cpuset
from pybench.text import format_list, parse_list

Level = Literal["fine", "note", "problem"]
CPUS = "sys/devices/system/cpu"

# Trials with more than 2 % steal are invalid, and steal comes in bursts: its share since boot must be far lower.
MOST_STEAL = 0.005
# Kernel threads of an idle host run 1 % of the time.
MOST_LOAD_PER_CPU = 0.1
LEAST_MEMORY = 0.10
# A mount workload holds some thousand mounts.
LEAST_MOUNT_MAX = 10_000


class Observation(msgspec.Struct, frozen=True):
    """One property of the host and what it means for a measurement."""

    topic: str
    level: Level
    """`fine`; `note`: keep it in mind when reading results; `problem`: it invalidates trials or shifts results."""
    seen: str
    threshold: str
    """The condition under which the property is fine."""
    next_step: str = ""
    """A command, or another remedy; empty if there is nothing to do."""


class Host:
    """The tree to examine, and the CPUs to be measured."""

    def __init__(self, tree: Tree, cpus: Sequence[int]) -> None:
        self.tree = tree
        self.root = tree.root
        self.cpus = tuple(sorted(set(cpus)))
        self.facts = read_facts(tree.root)

    def text(self, path: str) -> str:
        """Return a file's text, empty if the file is missing."""
        return self.tree.text(path) or ""

    def number(self, path: str) -> int | None:
        """Return the number at the start of a file, None if there is none."""
        match = re.match(r"-?\d+", self.text(path))
        return int(match[0]) if match else None

    def numbers(self, path: str) -> set[int]:
        """Return the CPUs listed in a file, none if it is malformed."""
        try:
            return set(parse_list(self.text(path)))
        except ValueError:
            return set()

    def processes(self, name: str) -> list[int]:
        """Return the ids of the processes of that name, ascending."""
        return [pid for pid in self.tree.numbered("proc", "") if self.text(f"proc/{pid}/comm") == name]

    def memory(self) -> tuple[int, int, int] | None:
        """Return (total, available, swapped out) in bytes, None if the host does not report them."""
        if self.tree.live:
            # psutil estimates what is available on kernels that do not report it.
            memory = psutil.virtual_memory()
            return memory.total, memory.available, psutil.swap_memory().used
        fields = re.findall(r"^(\w+):\s+(\d+) kB", self.text("proc/meminfo"), re.M)
        sizes = {name: int(size) << 10 for name, size in fields}
        if not sizes.get("MemTotal") or "MemAvailable" not in sizes:
            return None
        swapped = sizes.get("SwapTotal", 0) - sizes.get("SwapFree", 0)
        return sizes["MemTotal"], sizes["MemAvailable"], swapped


def governor(host: Host) -> Iterator[Observation]:
    """Check the frequency governor."""
    found = {name for cpu in host.cpus if (name := host.text(f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor"))}
    rule = "performance on every CPU"
    if not found:
        yield Observation("governor", "note", "not reported by this host", rule)
    elif found != {"performance"}:
        step = "cpupower frequency-set -g performance"
        yield Observation("governor", "problem", ", ".join(sorted(found)), rule, step)
    else:
        yield Observation("governor", "fine", "performance", rule)


def turbo(host: Host) -> Iterator[Observation]:
    """Check turbo, which makes few threads faster than many and so bends scaling curves."""
    boost, intel = host.facts["frequency"]["boost"], host.tree.is_dir(f"{CPUS}/intel_pstate")
    file = f"/{CPUS}/intel_pstate/no_turbo" if intel else f"/{CPUS}/cpufreq/boost"
    if boost is None:
        yield Observation("turbo", "note", "not reported by this host", "off")
    elif boost == "on":
        yield Observation("turbo", "note", "on", "off", f"echo {int(intel)} > {file}")
    else:
        yield Observation("turbo", "fine", boost, "off")


def smt(host: Host) -> Iterator[Observation]:
    """Check whether the CPUs share cores with SMT siblings."""
    folders = {number: f"{CPUS}/cpu{number}/topology" for number in host.tree.numbered(CPUS, "cpu")}
    siblings = read_groups(host.tree, folders, folders, CORE_FILES)
    shared = sum(len(siblings.of.get(cpu, ())) > 1 and cpu not in siblings.unsure for cpu in host.cpus)
    if shared or host.text(f"{CPUS}/smt/active") == "1":
        step = "measure with --smt on,off to tell it apart"
        yield Observation("SMT", "note", f"on: {shared} of {len(host.cpus)} CPUs share a core", "off", step)
    else:
        yield Observation("SMT", "fine", "off, or none", "off")


def switches(host: Host) -> Iterator[Observation]:
    """Check for switches that a killed run left turned."""
    store = StateFolder() if host.tree.live else StateFolder(host.root / str(STATE_DIR).lstrip("/"))
    if store.path.exists() and not store.held():
        seen = f"an earlier run left some turned ({store.path})"
        yield Observation("host switches", "problem", seen, "none turned", "pybench doctor --restore")


def interrupts(host: Host) -> Iterator[Observation]:
    """Check for irqbalance, and how many interrupts these CPUs serve."""
    if balancers := host.processes("irqbalance"):
        seen = f"irqbalance runs (process {balancers[0]})"
        yield Observation("irqbalance", "note", seen, "not running", "systemctl stop irqbalance")
    lists = sorted(host.root.glob("proc/irq/[0-9]*/effective_affinity_list"))
    here = [path for path in lists if host.numbers(str(path.relative_to(host.root))) & set(host.cpus)]
    if lists:
        step = "if CPUs are left, for i in /proc/irq/*/smp_affinity_list; do echo CPUS > $i; done" if here else ""
        seen = f"{len(here)} of {len(lists)} interrupts go to these CPUs"
        yield Observation("interrupts", "note" if here else "fine", seen, "none", step)


def virtual(host: Host) -> Iterator[Observation]:
    """Check for a hypervisor, which takes CPU time away, and for emulated CPUs."""
    if host.facts["hypervisor"].get("emulated"):
        yield Observation(
            "hypervisor",
            "problem",
            "emulated CPUs: no time measured here is that of a real machine",
            "CPUs that are hardware",
            "measure on hardware; here, check placements and whether workloads run",
        )
        return
    ticks = cpu_ticks(host.text("proc/stat") + "\n")
    ours = [ticks[cpu] for cpu in host.cpus if cpu in ticks]
    stolen = sum(one.steal for one in ours) / max(sum(one.busy + one.steal for one in ours), 1)
    guest = host.facts["hypervisor"]["virtual"]
    rule = f"steal below {MOST_STEAL:.1%} of the busy time since boot"
    seen = f"{'virtual machine' if guest else 'bare metal'}, steal {stolen:.2%} of the busy time"
    level: Level = "problem" if stolen > MOST_STEAL else "note" if guest else "fine"
    step = "measure on bare metal, or on a dedicated host; invalid trials are run again" if level != "fine" else ""
    yield Observation("hypervisor", level, seen, rule, step)


def limits(host: Host) -> Iterator[Observation]:
    """Check cpusets and CPU quotas."""
    allowed = effective_cpuset(host.tree)
    online = host.numbers(f"{CPUS}/online")
    if allowed is not None and online and not online <= set(allowed):
        seen = f"CPUs {format_list(allowed)} of {format_list(sorted(online))}"
        step = "run it outside the container, or widen cpuset.cpus"
        yield Observation("cpuset", "note", seen, "all CPUs", step)
    quotas = [quota for folder in cgroup_folders(host.tree, "cpu") if (quota := _quota(host, folder))]
    rule = "none, or as many as are measured"
    if quotas:
        least = min(quotas)
        short = least < len(host.cpus)
        seen = f"{least:g} CPUs of time for {len(host.cpus)} CPUs"
        step = "lift it: cpu.max, cpu.cfs_quota_us; docker --cpus" if short else ""
        yield Observation("quota", "problem" if short else "note", seen, rule, step)
    else:
        yield Observation("quota", "fine", "none", rule)


def _quota(host: Host, folder: str) -> float | None:
    """Return the CPUs' worth of time that a cgroup may use, None without a limit."""
    words = host.text(f"{folder}/cpu.max").split() or [
        host.text(f"{folder}/cpu.cfs_quota_us"),
        host.text(f"{folder}/cpu.cfs_period_us"),
    ]
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def memory(host: Host) -> Iterator[Observation]:
    """Check page migration, huge pages and free memory."""
    nodes = len(host.tree.numbered("sys/devices/system/node", "node"))
    balancing = host.number("proc/sys/kernel/numa_balancing")
    if balancing and nodes > 1:
        step = "sysctl kernel.numa_balancing=0"
        yield Observation("NUMA balancing", "problem", f"on, {nodes} nodes", "off", step)
    elif balancing is not None:
        yield Observation("NUMA balancing", "fine", "on, but one node" if balancing else "off", "off")
    pages = host.facts["memory"]["huge_pages"]
    if pages:
        step = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled" if pages == "always" else ""
        yield Observation("huge pages", "note" if step else "fine", pages, "madvise or never", step)
    if sizes := host.memory():
        total, available, swapped = sizes
        short = available / total < LEAST_MEMORY
        yield Observation(
            "memory",
            "problem" if short else "note" if swapped > total // 100 else "fine",
            f"{available / total:.0%} available, {swapped >> 20} MiB swapped out",
            f"{LEAST_MEMORY:.0%} available, nothing swapped out",
            "stop what uses it (ps --sort -rss aux | head); swapoff -a" if short or swapped else "",
        )


def isolation(host: Host) -> Iterator[Observation]:
    """Check whether the scheduler leaves these CPUs alone, which helps but is not needed."""
    isolated = host.numbers(f"{CPUS}/isolated") & set(host.cpus)
    tickless = host.numbers(f"{CPUS}/nohz_full") & set(host.cpus)
    rule = "isolated, and without a timer tick"
    if len(isolated) == len(tickless) == len(host.cpus):
        yield Observation("isolation", "fine", "isolated, nohz_full", rule)
    else:
        seen = f"{len(isolated)} of {len(host.cpus)} CPUs isolated, {len(tickless)} nohz_full"
        step = "for the least noise boot with isolcpus=LIST nohz_full=LIST rcu_nocbs=LIST"
        yield Observation("isolation", "note", seen, rule, step)


def clock(host: Host) -> Iterator[Observation]:
    """Check the clock source: a kernel that rejected the TSC has clocks that cannot be trusted."""
    source = host.facts["clock"]["source"]
    if source is None:
        return
    good = source in ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter")
    step = "see why: dmesg | grep -i -e tsc -e clocksource; then boot with tsc=reliable if it is sane"
    rule = "the CPU's own counter (tsc, kvm-clock, arch_sys_counter)"
    yield Observation("clock", "fine" if good else "problem", source, rule, "" if good else step)


def load(host: Host) -> Iterator[Observation]:
    """Check for other measurements and for load."""
    if others := host.processes("pybench-crew"):
        seen = f"process {others[0]} is a crew that runs now"
        yield Observation("another pybench", "problem", seen, "none", "wait for it: pgrep -a pybench")
    words = host.text("proc/loadavg").split()
    if words:
        online = max(len(host.numbers(f"{CPUS}/online")), 1)
        one, most = float(words[0]), max(MOST_LOAD_PER_CPU * online, 0.3)
        seen = f"{one:.2f} over the last minute on {online} CPUs"
        step = "wait, or stop what runs: top -b -n 1 | head -15" if one > most else ""
        yield Observation("load", "problem" if step else "fine", seen, f"{most:.2f}", step)


def mounts(host: Host) -> Iterator[Observation]:
    """Check what the mount workloads need: a high limit, and the right to mount."""
    most = host.facts["limits"]["mount_max"]
    if most is not None:
        step = "sysctl fs.mount-max=100000" if most < LEAST_MOUNT_MAX else ""
        yield Observation("mount limit", "note" if step else "fine", str(most), f"{LEAST_MOUNT_MAX}", step)
    uid = (host.tree.field("proc/self/status", "Uid") or "").split()
    closed = [
        f"{name.replace('/', '.')}={value}"
        for name, bad in (
            ("kernel/unprivileged_userns_clone", 0),
            ("user/max_user_namespaces", 0),
            ("kernel/apparmor_restrict_unprivileged_userns", 1),
        )
        if (value := host.number(f"proc/sys/{name}")) == bad
    ]
    if uid and uid[0] != "0":
        seen = f"ordinary user, {'user namespaces: ' + ', '.join(closed) if closed else 'in a user namespace'}"
        step = "run as root, or allow unprivileged user namespaces" if closed else ""
        rule = "root, or user namespaces allowed"
        yield Observation("mount rights", "problem" if closed else "note", seen, rule, step)


def observers(host: Host) -> Iterator[Observation]:
    """Check whether performance counters and tracepoints are available."""
    paranoid = host.number("proc/sys/kernel/perf_event_paranoid")
    tracing = host.tree.is_dir("sys/kernel/tracing") or host.tree.is_dir("sys/kernel/debug/tracing")
    level, events = "missing" if paranoid is None else paranoid, "present" if tracing else "missing"
    seen = f"perf_event_paranoid {level}, tracefs {events}"
    yield Observation("perf, tracefs", "fine", seen, "no result needs them")


TOPICS: tuple[Callable[[Host], Iterator[Observation]], ...] = (
    governor, turbo, smt, switches, interrupts, virtual, limits, memory, isolation, clock, load, mounts, observers,
)  # fmt: skip


def examine(tree: Tree, cpus: Sequence[int]) -> list[Observation]:
    """Return everything worth knowing of a host before measuring on these CPUs, topic by topic."""
    host = Host(tree, cpus)
    return [one for topic in TOPICS for one in topic(host)]
