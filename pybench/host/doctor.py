# SPDX-License-Identifier: Apache-2.0
"""What this host will spoil of a measurement, seen before it: one function a topic, each of files below a root."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from pybench.host.facts import read_facts
from pybench.host.journal import STATE_DIR, Store
from pybench.host.meters import cpu_ticks
from pybench.host.sysfs import Tree, cgroup_folders, effective_cpuset, format_list, parse_list

Level = Literal["fine", "note", "problem"]
CPUS = "sys/devices/system/cpu"

# Steal since boot from here on: trials with more than 2 % of it are invalid, and steal comes in bursts.
MOST_STEAL = 0.005
# Kernel threads of an idle host run a hundredth of the time.
MOST_LOAD_A_CPU = 0.1
LEAST_MEMORY = 0.10
# A mount workload holds some thousand mounts.
LEAST_MOUNT_MAX = 10_000


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing seen of the host."""

    topic: str
    level: Level
    """`fine`; `note`: know it when you read the figures; `problem`: it will spoil trials or move figures."""
    seen: str
    threshold: str
    """From where on it is not fine."""
    next_step: str = ""
    """A command, or what else to do."""


class Host:
    """The tree that is looked at, and the CPUs that will be measured."""

    def __init__(self, root: Path, cpus: Sequence[int]) -> None:
        self.tree = Tree(root)
        self.root = root
        self.cpus = tuple(sorted(set(cpus)))
        self.facts = read_facts(root)

    def text(self, path: str) -> str:
        """A file's text, empty if it is not there."""
        return self.tree.text(path) or ""

    def number(self, path: str) -> int | None:
        """The number that a file begins with, None if there is none."""
        match = re.match(r"-?\d+", self.text(path))
        return int(match[0]) if match else None

    def numbers(self, path: str) -> set[int]:
        """The CPUs in a file, none if it makes no sense."""
        try:
            return set(parse_list(self.text(path)))
        except ValueError:
            return set()

    def commands(self) -> Iterator[tuple[int, str]]:
        """(number, name) of each process."""
        for path in sorted(self.root.glob("proc/[0-9]*/comm")):
            name = self.text(str(path.relative_to(self.root)))
            if name:
                yield int(path.parent.name), name


def governor(host: Host) -> Iterator[Advice]:
    """Frequency governor and turbo."""
    found = {name for cpu in host.cpus if (name := host.text(f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor"))}
    rule = "performance on every CPU"
    if not found:
        yield Advice(topic="governor", level="note", seen="this host does not say", threshold=rule)
    elif found != {"performance"}:
        step = "cpupower frequency-set -g performance"
        yield Advice(
            topic="governor", level="problem", seen=", ".join(sorted(found)), threshold=rule, next_step=step
        )
    else:
        yield Advice(topic="governor", level="fine", seen="performance", threshold=rule)


def turbo(host: Host) -> Iterator[Advice]:
    """Turbo makes few threads faster than many, which bends curves."""
    boost, intel = host.facts["frequency"]["boost"], host.tree.is_dir(f"{CPUS}/intel_pstate")
    file = f"/{CPUS}/intel_pstate/no_turbo" if intel else f"/{CPUS}/cpufreq/boost"
    step = f"echo {int(intel)} > {file}"
    if boost is None:
        yield Advice(topic="turbo", level="note", seen="this host does not say", threshold="off")
    else:
        level: Level = "note" if boost == "on" else "fine"
        yield Advice(
            topic="turbo", level=level, seen=boost, threshold="off", next_step=step if boost == "on" else ""
        )


def smt(host: Host) -> Iterator[Advice]:
    """Siblings share a core."""
    text = host.text(f"{CPUS}/smt/active")
    shared = []
    for cpu in host.cpus:
        siblings = host.numbers(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list")
        if len(siblings) > 1:
            shared.append(cpu)
    if text == "1" or shared:
        seen = f"on: {len(shared)} of these CPUs share a core"
        yield Advice(
            topic="SMT",
            level="note",
            seen=seen,
            threshold="off",
            next_step="measure with --smt on,off to tell it apart",
        )
    else:
        yield Advice(topic="SMT", level="fine", seen="off, or none", threshold="off")


def switches(host: Host) -> Iterator[Advice]:
    """Switches that a dead run left turned."""
    store = Store() if host.root == Path("/") else Store(host.root / str(STATE_DIR).lstrip("/"))
    if store.path.exists() and not store.held():
        seen = f"an earlier run left some turned ({store.path})"
        yield Advice(
            topic="host switches", level="problem", seen=seen, threshold="none turned", next_step="pybench restore"
        )


def interrupts(host: Host) -> Iterator[Advice]:
    """Who moves interrupts, and how many may come to these CPUs."""
    balancers = [pid for pid, name in host.commands() if name == "irqbalance"]
    if balancers:
        seen = f"irqbalance runs (process {balancers[0]})"
        yield Advice(
            topic="irqbalance",
            level="note",
            seen=seen,
            threshold="not running",
            next_step="systemctl stop irqbalance",
        )
    here = set(host.cpus)
    lists = sorted(host.root.glob("proc/irq/[0-9]*/effective_affinity_list"))
    to_us = [path for path in lists if host.numbers(str(path.relative_to(host.root))) & here]
    if lists:
        elsewhere = "where CPUs are left, for i in /proc/irq/*/smp_affinity_list; do echo CPUS > $i; done"
        yield Advice(
            topic="interrupts",
            level="note" if to_us else "fine",
            seen=f"{len(to_us)} of {len(lists)} interrupts go to these CPUs",
            threshold="none",
            next_step=elsewhere if to_us else "",
        )


def virtual(host: Host) -> Iterator[Advice]:
    """A hypervisor takes CPUs away."""
    ticks = cpu_ticks(host.text("proc/stat") + "\n")
    ours = [ticks[cpu] for cpu in host.cpus if cpu in ticks]
    stolen = sum(one.steal for one in ours) / max(sum(one.busy + one.steal for one in ours), 1)
    guest = host.facts["hypervisor"]["virtual"]
    if host.facts["hypervisor"].get("emulated"):
        yield Advice(
            topic="hypervisor",
            level="problem",
            seen="emulated CPUs: no time here is that of a real machine",
            threshold="CPUs that are hardware",
            next_step="measure on hardware; here, look at placement and at what works",
        )
        return
    rule = f"steal below {MOST_STEAL:.1%} of the busy time since boot"
    seen = f"{'virtual machine' if guest else 'bare metal'}, steal {stolen:.2%} of the busy time"
    level: Level = "problem" if stolen > MOST_STEAL else "note" if guest else "fine"
    step = "measure on bare metal, or on a dedicated host; invalid trials are run again" if level != "fine" else ""
    yield Advice(topic="hypervisor", level=level, seen=seen, threshold=rule, next_step=step)


def limits(host: Host) -> Iterator[Advice]:
    """Cpusets and CPU quotas."""
    allowed = effective_cpuset(host.tree)
    online = host.numbers(f"{CPUS}/online")
    if allowed is not None and online and not online <= set(allowed):
        seen = f"CPUs {format_list(allowed)} of {format_list(sorted(online))}"
        step = "run it outside the container, or widen cpuset.cpus"
        yield Advice(topic="cpuset", level="note", seen=seen, threshold="all CPUs", next_step=step)
    quotas = [quota for folder in cgroup_folders(host.tree, "cpu") if (quota := _quota(host, folder))]
    if quotas:
        least = min(quotas)
        short = least < len(host.cpus)
        yield Advice(
            topic="quota",
            level="problem" if short else "note",
            seen=f"{least:g} CPUs of time for {len(host.cpus)} CPUs",
            threshold="none, or as many as are measured",
            next_step="lift it: cpu.max, cpu.cfs_quota_us; docker --cpus" if short else "",
        )
    else:
        yield Advice(topic="quota", level="fine", seen="none", threshold="none, or as many as are measured")


def _quota(host: Host, folder: str) -> float | None:
    """CPUs' worth of time that a cgroup may use, None without a bound."""
    words = host.text(f"{folder}/cpu.max").split() or [
        host.text(f"{folder}/cpu.cfs_quota_us"),
        host.text(f"{folder}/cpu.cfs_period_us"),
    ]
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def memory(host: Host) -> Iterator[Advice]:
    """What moves pages, and whether there is memory."""
    nodes = len(host.tree.numbered("sys/devices/system/node", "node"))
    balancing = host.number("proc/sys/kernel/numa_balancing")
    if balancing and nodes > 1:
        step = "sysctl kernel.numa_balancing=0"
        yield Advice(
            topic="NUMA balancing", level="problem", seen=f"on, {nodes} nodes", threshold="off", next_step=step
        )
    elif balancing is not None:
        seen = "off" if not balancing else "on, but one node"
        yield Advice(topic="NUMA balancing", level="fine", seen=seen, threshold="off")
    pages = host.facts["memory"]["huge_pages"]
    if pages:
        step = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled" if pages == "always" else ""
        level: Level = "note" if pages == "always" else "fine"
        yield Advice(topic="huge pages", level=level, seen=pages, threshold="madvise or never", next_step=step)
    fields = {
        match[1]: int(match[2]) for match in re.finditer(r"^(\w+):\s+(\d+) kB", host.text("proc/meminfo"), re.M)
    }
    total, available = fields.get("MemTotal", 0), fields.get("MemAvailable")
    if total and available is not None:
        share, swapped = available / total, fields.get("SwapTotal", 0) - fields.get("SwapFree", 0)
        short = share < LEAST_MEMORY
        yield Advice(
            topic="memory",
            level="problem" if short else "note" if swapped > total // 100 else "fine",
            seen=f"{share:.0%} available, {swapped // 1024} MiB swapped out",
            threshold=f"{LEAST_MEMORY:.0%} available, nothing swapped out",
            next_step="stop what uses it (ps --sort -rss aux | head); swapoff -a" if short or swapped else "",
        )


def isolation(host: Host) -> Iterator[Advice]:
    """CPUs that the scheduler leaves alone: not needed, but good."""
    isolated = host.numbers(f"{CPUS}/isolated") & set(host.cpus)
    ticking = set(host.cpus) - host.numbers(f"{CPUS}/nohz_full")
    rule = "isolated, and without a timer tick"
    if isolated == set(host.cpus) and not ticking:
        yield Advice(topic="isolation", level="fine", seen="isolated, nohz_full", threshold=rule)
    else:
        seen = f"{len(isolated)} of {len(host.cpus)} CPUs isolated, {len(host.cpus) - len(ticking)} nohz_full"
        step = "for the quietest figures boot with isolcpus=LIST nohz_full=LIST rcu_nocbs=LIST"
        yield Advice(topic="isolation", level="note", seen=seen, threshold=rule, next_step=step)


def clock(host: Host) -> Iterator[Advice]:
    """A clock source that the TSC was thrown out for tells of clocks that cannot be trusted."""
    source = host.facts["clock"]["source"]
    if source is None:
        return
    good = source in ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter")
    step = (
        "" if good else "see why: dmesg | grep -i -e tsc -e clocksource; then boot with tsc=reliable if it is sane"
    )
    yield Advice(
        topic="clock",
        level="fine" if good else "problem",
        seen=source,
        threshold="the CPU's own counter (tsc, kvm-clock, arch_sys_counter)",
        next_step=step,
    )


def load(host: Host) -> Iterator[Advice]:
    """What runs already."""
    others = [pid for pid, name in host.commands() if name == "pybench-crew"]
    if others:
        step = "wait for it: pgrep -a pybench"
        seen = f"process {others[0]} is a crew under way"
        yield Advice(topic="another pybench", level="problem", seen=seen, threshold="none", next_step=step)
    words = host.text("proc/loadavg").split()
    if words:
        online = max(len(host.numbers(f"{CPUS}/online")), 1)
        one = float(words[0])
        busy = one > MOST_LOAD_A_CPU * online and one > 0.3
        yield Advice(
            topic="load",
            level="problem" if busy else "fine",
            seen=f"{one:.2f} over the last minute on {online} CPUs",
            threshold=f"{max(MOST_LOAD_A_CPU * online, 0.3):.2f}",
            next_step="wait, or stop what runs: top -b -n 1 | head -15" if busy else "",
        )


def mounts(host: Host) -> Iterator[Advice]:
    """What the mount workloads need."""
    most = host.facts["limits"]["mount_max"]
    if most is not None:
        low = most < LEAST_MOUNT_MAX
        step = "sysctl fs.mount-max=100000" if low else ""
        level: Level = "note" if low else "fine"
        yield Advice(
            topic="mount limit", level=level, seen=str(most), threshold=f"{LEAST_MOUNT_MAX}", next_step=step
        )
    uid = (host.tree.field("proc/self/status", "Uid") or "").split()
    closed = [
        f"{name.removeprefix('proc/sys/').replace('/', '.')}={value}"
        for name, bad in (
            ("proc/sys/kernel/unprivileged_userns_clone", 0),
            ("proc/sys/user/max_user_namespaces", 0),
            ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1),
        )
        if (value := host.number(name)) == bad
    ]
    if uid and uid[0] != "0":
        seen = f"ordinary user, {'user namespaces: ' + ', '.join(closed) if closed else 'in a user namespace'}"
        step = "run as root, or allow unprivileged user namespaces" if closed else ""
        rule = "root, or user namespaces allowed"
        level = "problem" if closed else "note"
        yield Advice(topic="mount rights", level=level, seen=seen, threshold=rule, next_step=step)


def observers(host: Host) -> Iterator[Advice]:
    """Whether counters and tracepoints can be had, to look deeper."""
    paranoid = host.number("proc/sys/kernel/perf_event_paranoid")
    tracing = host.tree.is_dir("sys/kernel/tracing") or host.tree.is_dir("sys/kernel/debug/tracing")
    level = "not there" if paranoid is None else str(paranoid)
    seen = f"perf_event_paranoid {level}, tracefs {'there' if tracing else 'not there'}"
    yield Advice(topic="perf, tracefs", level="fine", seen=seen, threshold="needed by no figure")


TOPICS: tuple[Callable[[Host], Iterator[Advice]], ...] = (
    governor, turbo, smt, switches, interrupts, virtual, limits, memory, isolation, clock, load, mounts, observers,
)  # fmt: skip


def examine(root: Path, cpus: Sequence[int]) -> list[Advice]:
    """All that is to be said of a host before measuring on these CPUs."""
    host = Host(root, cpus)
    return [advice for topic in TOPICS for advice in topic(host)]
