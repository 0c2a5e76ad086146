# SPDX-License-Identifier: Apache-2.0
"""Read the host's counters just before and just after a trial, and subtract them.

Each parser takes captured text, so that tests can use the text of other machines. All readings together take well
under 1 ms on each side of a trial; a source that takes longer on a wide host (`/proc/interrupts` of hundreds of
CPUs) is left out there.
"""

import functools
import os
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pybench.host.sysfs import Tree, cgroup_folders
from pybench.text import named, parse_list

CPUS = "/sys/devices/system/cpu"
# A source that takes longer to read is left out: it would be 1 % of a trial of 50 ms.
LONGEST_READ_S = 0.5e-3
# Files per CPU (frequency, throttling) are read for at most this many CPUs, evenly chosen.
MOST_CPUS_READ = 8
TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


class Ticks(NamedTuple):
    """Time of one or more CPUs since boot by /proc/stat, in ticks (1/100 s on nearly all hosts)."""

    busy: int = 0
    """Time in tasks, interrupts and softirqs."""
    serving: int = 0
    """The part of `busy` in interrupts and softirqs."""
    idle: int = 0
    steal: int = 0

    def plus(self, other: "Ticks") -> "Ticks":
        """Return the sum of both."""
        return Ticks(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: "Ticks") -> "Ticks":
        """Return the growth since `other`. A counter that decreased (idle does, on some kernels) counts as 0."""
        return Ticks(*(max(a - b, 0) for a, b in zip(self, other, strict=True)))


def cpu_ticks(text: str) -> dict[int, Ticks]:
    """Return the ticks of each CPU in /proc/stat."""
    found = {}
    for line in text[: text.find("\nintr ")].splitlines():
        name, *rest = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, idle, iowait, irq, softirq, steal = (int(field) for field in (*rest, *"0" * 8)[:8])
            found[int(name[3:])] = Ticks(user + nice + system + irq + softirq, irq + softirq, idle + iowait, steal)
    return found


# Names of interrupts in /proc/interrupts on x86 and Arm.
_KINDS = {"LOC": "timer", "RES": "reschedule", "CAL": "call", "TLB": "call", "IWI": "call"}
_ARM_KINDS = {"Rescheduling": "reschedule", "Function": "call", "Timer": "timer", "IRQ": "call"}


def interrupts(text: str, cpus: Iterable[int]) -> dict[str, dict[int, int]]:
    """Return the interrupts of each CPU by kind (`timer`, `reschedule`, `call`, `device`, `other`)."""
    lines = text.splitlines()
    columns = [int(word[3:]) for word in lines[0].split()] if lines else []
    wanted = [(index, cpu) for cpu in cpus if cpu in columns for index in (columns.index(cpu) + 1,)]
    found: dict[str, dict[int, int]] = {}
    for line in lines[1:]:
        fields = line.split(None, len(columns) + 1)
        if len(fields) <= len(columns):
            continue  # ERR and MIS have one count for all CPUs
        words = fields[-1] if len(fields) > len(columns) + 1 else ""
        counts = found.setdefault(_kind(fields[0].rstrip(":"), words), {})
        for index, cpu in wanted:
            counts[cpu] = counts.get(cpu, 0) + int(fields[index])
    return found


def _kind(label: str, words: str) -> str:
    if label.isdigit():
        return "timer" if "timer" in words.lower() else "device"
    if label.startswith("IPI"):
        return _ARM_KINDS.get(words.split(" ", 1)[0], "other")
    return _KINDS.get(label, "other")


def softirqs(text: str, cpus: Iterable[int]) -> dict[str, dict[int, int]]:
    """Return the softirqs of each CPU by name, from /proc/softirqs."""
    lines = text.splitlines()
    columns = [int(word[3:]) for word in lines[0].split()] if lines else []
    wanted = [(columns.index(cpu) + 1, cpu) for cpu in cpus if cpu in columns]
    rows = (line.split() for line in lines[1:])
    return {row[0].rstrip(":"): {cpu: int(row[index]) for index, cpu in wanted} for row in rows if row}


def throttled(text: str) -> tuple[int, int]:
    """Return (times throttled, ns throttled) from a cgroup's cpu.stat, version 1 or 2."""
    fields = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    ns = int(fields.get("throttled_usec", 0)) * 1000 or int(fields.get("throttled_time", 0))
    return int(fields.get("nr_throttled", 0)), ns


def pressure_ns(text: str) -> int:
    """Return the ns in which some task waited for a CPU, from /proc/pressure/cpu."""
    for line in text.splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2]) * 1000
    return 0


def running(text: str) -> tuple[float, int]:
    """Return (1-minute load average, runnable tasks other than the reader) from /proc/loadavg."""
    fields = text.split()
    if len(fields) < 4:
        return 0.0, 0
    return float(fields[0]), max(int(fields[3].partition("/")[0]) - 1, 0)


def read_file(path: str) -> str:
    """Return a file's text, empty if it cannot be read. Cheaper than pathlib, as it runs with every trial."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts = []
        while part := os.read(fd, 1 << 18):
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _number(path: str) -> int:
    text = read_file(path).strip()
    return int(text) if text.isdigit() else 0


@functools.cache
def siblings_of(cpu: int) -> tuple[int, ...]:
    """Return the CPU's SMT siblings, including itself."""
    try:
        return parse_list(read_file(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list")) or (cpu,)
    except ValueError:
        return (cpu,)


@functools.cache
def node_of(cpu: int) -> int:
    """Return the CPU's NUMA node, -1 if the host does not report it."""
    try:
        names = os.listdir(f"{CPUS}/cpu{cpu}")  # noqa: PTH208
    except OSError:
        return -1
    nodes = [int(name[4:]) for name in names if name.startswith("node") and name[4:].isdigit()]
    return nodes[0] if nodes else -1


@functools.cache
def _throttle_files() -> tuple[str, ...]:
    """Return cpu.stat of this process's cgroup and its ancestors, whose quotas apply too."""
    return tuple(f"/{folder}/cpu.stat" for folder in cgroup_folders(Tree(Path("/")), "cpu"))


@functools.cache
def _interrupts_are_cheap() -> bool:
    started = time.perf_counter()
    interrupts(read_file("/proc/interrupts"), (0,))
    return time.perf_counter() - started < LONGEST_READ_S


def forget_topology() -> None:
    """Forget siblings and nodes after CPUs went off or on."""
    siblings_of.cache_clear()
    node_of.cache_clear()


class HostCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The host's counters over one trial, including its set-up and clean-up. Rates are per second."""

    elapsed_ns: int = 0
    load: float = 0.0
    running: int = 0
    """Runnable tasks just before the trial, without this process."""
    topology: list[str] = []
    """In words: CPUs that went off or on, or were taken from this process, and CPUs of the trial that are off."""
    barred: list[int] = []
    """CPUs of the trial that affinity or cpuset forbid to this process now."""
    steal: float = 0.0
    """Share of the time of the trial's CPUs."""
    tick_share: float = 0.0
    """One tick of /proc/stat as a share of that time, the resolution of `steal`."""
    other_work: float = 0.0
    """Share of the time of the trial's CPUs in tasks outside the crew, less the resolution of ticks."""
    siblings_busy: float = 0.0
    """Largest busy share of an SMT sibling without a member."""
    elsewhere: float = 0.0
    """Number of busy CPUs other than those of the trial and their siblings."""
    interrupts: dict[str, float] = {}
    """Kind -> largest rate on a CPU of the trial; softirqs by their names."""
    throttled: float = 0.0
    """Share of the time in which a quota of the cgroup throttled its tasks, summed over CPUs."""
    thermal_throttles: int = 0
    frequency_khz: list[int] = []
    """[before, after], mean over the trial's CPUs; empty if the host does not report it."""
    pressure: float = 0.0
    """Share of the time in which some task of the host waited for a CPU."""


class _Snapshot(msgspec.Struct):
    time_ns: int
    crew_ns: int
    own_ns: int
    ticks: dict[int, Ticks]
    counts: dict[str, dict[int, int]]
    throttled_ns: int
    thermal: int
    frequency_khz: int
    pressure_ns: int
    online: frozenset[int] = frozenset()
    allowed: frozenset[int] = frozenset()


class HostMeter:
    """Reader of the host's counters around a trial on some CPUs."""

    def __init__(self, cpus: Sequence[int]) -> None:
        """Take the first reading."""
        self._cpus = sorted(set(cpus))
        step = max(len(self._cpus) // MOST_CPUS_READ, 1)
        self._some = self._cpus[::step][:MOST_CPUS_READ]
        self.load, self.running = self._running()
        self._before = self._read()

    @staticmethod
    def _running() -> tuple[float, int]:
        """Return the smallest of some readings over 20 ms, to ignore kernel threads that end the last trial."""
        readings = [running(read_file("/proc/loadavg"))]
        while readings[-1][1] and len(readings) < 7:
            time.sleep(0.0003 * 2 ** (len(readings) - 1))
            readings.append(running(read_file("/proc/loadavg")))
        return min(readings, key=lambda reading: reading[1])

    def _read(self) -> _Snapshot:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        counts = softirqs(read_file("/proc/softirqs"), self._cpus)
        if _interrupts_are_cheap():
            counts |= interrupts(read_file("/proc/interrupts"), self._cpus)
        frequencies = [f for cpu in self._some if (f := _number(f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq"))]
        return _Snapshot(
            time_ns=time.monotonic_ns(),
            crew_ns=round((children.ru_utime + children.ru_stime) * 1e9),
            own_ns=time.process_time_ns(),
            ticks=cpu_ticks(read_file("/proc/stat")),
            counts=counts,
            throttled_ns=sum(throttled(read_file(path))[1] for path in _throttle_files()),
            thermal=sum(
                _number(f"{CPUS}/cpu{cpu}/thermal_throttle/{unit}_throttle_count")
                for cpu in self._some
                for unit in ("core", "package")
            ),
            frequency_khz=sum(frequencies) // len(frequencies) if frequencies else 0,
            pressure_ns=pressure_ns(read_file("/proc/pressure/cpu")),
            online=_online(),
            allowed=frozenset(os.sched_getaffinity(0)),
        )

    def around(self) -> HostCounts:
        """Return the growth of the counters since the first reading."""
        around = difference(self._before, self._read(), self._cpus, self.load, self.running)
        if around.topology:
            forget_topology()
        return around


def difference(
    before: _Snapshot, after: _Snapshot, cpus: Sequence[int], load: float = 0.0, waiting: int = 0
) -> HostCounts:
    """Return the difference of two readings, for a trial on these CPUs."""
    elapsed = max(after.time_ns - before.time_ns, 1)
    spent = {cpu: ticks.minus(before.ticks[cpu]) for cpu, ticks in after.ticks.items() if cpu in before.ticks}
    own = [spent[cpu] for cpu in cpus if cpu in spent]
    total = _sum(own)
    time_ns = max(total.busy + total.idle + total.steal, elapsed * max(len(own), 1) // TICK_NS, 1) * TICK_NS
    crew_ns = after.crew_ns - before.crew_ns + after.own_ns - before.own_ns
    # The busy time of each CPU is rounded down to whole ticks in both readings.
    others_ns = (total.busy - len(own)) * TICK_NS - crew_ns
    # CPU time of the crew beyond that of its CPUs was elsewhere: its leader's, in set-up and clean-up.
    crew_elsewhere_ns = max(crew_ns - total.busy * TICK_NS, 0)
    idle_siblings = {s for cpu in cpus for s in siblings_of(cpu)} - set(cpus)
    rest = [ticks for cpu, ticks in spent.items() if cpu not in cpus and cpu not in idle_siblings]
    return HostCounts(
        elapsed_ns=elapsed,
        load=load,
        running=waiting,
        steal=total.steal * TICK_NS / time_ns,
        tick_share=TICK_NS / time_ns,
        other_work=max(others_ns / time_ns, 0.0),
        siblings_busy=max((_least_ns(spent[s], elapsed) for s in idle_siblings if s in spent), default=0)
        / elapsed,
        elsewhere=max(sum(_least_ns(ticks, elapsed) for ticks in rest) - crew_elsewhere_ns, 0) / elapsed,
        interrupts=_rates(before.counts, after.counts, elapsed),
        throttled=(after.throttled_ns - before.throttled_ns) / elapsed,
        thermal_throttles=after.thermal - before.thermal,
        frequency_khz=[before.frequency_khz, after.frequency_khz] if before.frequency_khz else [],
        pressure=(after.pressure_ns - before.pressure_ns) / elapsed,
        topology=_changes(before, after, cpus),
        barred=sorted(set(cpus) - after.allowed) if after.allowed else [],
    )


def _online() -> frozenset[int]:
    try:
        return frozenset(parse_list(read_file(f"{CPUS}/online")))
    except ValueError:
        return frozenset()


def _changes(before: _Snapshot, after: _Snapshot, cpus: Sequence[int]) -> list[str]:
    """Return in words how the CPUs changed, and which CPUs of the trial are off."""
    went, came = before.online - after.online, after.online - before.online
    off = set(cpus) - after.online - went if after.online else set()
    taken = before.allowed - after.allowed - went
    given = after.allowed - before.allowed - came
    words = ((went, "went off"), (came, "came"), (off, "off"), (taken, "taken from us"), (given, "given to us"))
    return [f"{named('CPU', sorted(some))} {what}" for some, what in words if some]


def _sum(ticks: Iterable[Ticks]) -> Ticks:
    return functools.reduce(Ticks.plus, ticks, Ticks())


def _least_ns(ticks: Ticks, elapsed_ns: int) -> int:
    """Return a lower bound of the time that a CPU was busy, in ns.

    Time that is not idle is busy: idle time is exact to the microsecond where idle CPUs have no ticks, and rounded
    down to whole ticks when read. Busy ticks are samples, of which short trials have few, so they only bound the
    result: on some kernels idle time stands still.
    """
    return max(min(elapsed_ns - (ticks.idle + ticks.steal + 1) * TICK_NS, (ticks.busy + 1) * TICK_NS), 0)


def _rates(
    before: Mapping[str, Mapping[int, int]], after: Mapping[str, Mapping[int, int]], elapsed_ns: int
) -> dict[str, float]:
    most = {
        kind: max((count - before.get(kind, {}).get(cpu, 0) for cpu, count in counts.items()), default=0)
        for kind, counts in after.items()
    }
    return {kind: round(count * 1e9 / elapsed_ns, 1) for kind, count in most.items() if count > 0}
