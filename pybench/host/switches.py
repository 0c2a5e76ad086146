# SPDX-License-Identifier: Apache-2.0
"""The switches of the host that a sweep may turn: SMT as a whole, and single CPUs; and what they take along.

A CPU that goes off takes more with it than itself: version 1 cpusets drop it for good, and tasks and interrupts
that were bound to it alone lose their binding. `SwitchFiles` reads and writes all of these; tests put a model of
the kernel in its place.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

import msgspec

from pybench.host.sysfs import Tree
from pybench.text import format_list, parse_list

CPUS = "sys/devices/system/cpu"
SMT_CONTROL = f"{CPUS}/smt/control"
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD
_UNESCAPED = re.compile(r"\\([0-7]{3})")


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell wants of the host: nothing unless told."""

    smt_off: bool = False
    """SMT off by the kernel's own switch."""
    offline: tuple[int, ...] = ()
    """CPUs off by their own switches, ascending."""

    @property
    def turned(self) -> bool:
        """True if this is anything else than the host as it was found."""
        return self.smt_off or bool(self.offline)

    def words(self) -> str:
        """`SMT off, CPUs 4-7 off`; `as found`."""
        parts = ["SMT off"] if self.smt_off else []
        if self.offline:
            parts.append(f"CPU{'s' if len(self.offline) > 1 else ''} {format_list(self.offline)} off")
        return ", ".join(parts) or "as found"


AS_FOUND = HostState()


def smt_is_on(control: str | None) -> TypeGuard[str]:
    """Whether the SMT switch says that siblings are on: `on`, or threads a core where the kernel counts them."""
    return control == "on" or ((control or "").isdigit() and int(control or "0") > 1)


def why_no_smt_switch(control: str | None) -> str:
    """Why the kernel cannot turn SMT off here, in words; `` if it can, or need not."""
    return {
        None: "this kernel has no switch for SMT (/sys/devices/system/cpu/smt/control)",
        "notsupported": "these CPUs have no SMT siblings, or firmware hides them (the kernel says notsupported)",
        "notimplemented": "this kernel has no switch for SMT (it says notimplemented)",
    }.get(control, "" if smt_is_on(control) or control in ("off", "forceoff", "1") else f"it says {control!r}")


class PinnedTask(NamedTuple):
    """A task bound to some CPUs; `start` (ticks after boot) tells it from a later one of the same number."""

    tid: int
    start: int
    cpus: tuple[int, ...]


class SwitchFiles:
    """The files behind the switches, below a root; paths are relative to it, without a leading slash."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self._tree = Tree(root)

    def read(self, path: str) -> str | None:
        """A file's text, None if it is not there."""
        return self._tree.text(path)

    def write(self, path: str, text: str) -> None:
        """Write in one call, as the kernel wants it. Raises OSError."""
        fd = os.open(self.root / path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def boot(self) -> str:
        """What tells this boot from others."""
        return self.read("proc/sys/kernel/random/boot_id") or ""

    def smt(self) -> str | None:
        """What the SMT switch says: on, off, forceoff, notsupported, notimplemented; None if there is none."""
        return self.read(SMT_CONTROL)

    def online(self) -> tuple[int, ...]:
        """CPUs that are on, ascending."""
        return self._list(f"{CPUS}/online")

    def present(self) -> tuple[int, ...]:
        """CPUs that there are, on or off, ascending."""
        return self._list(f"{CPUS}/present") or self.online()

    def switchable(self, cpu: int) -> bool:
        """Whether the CPU can be turned off; CPU 0 mostly cannot."""
        return self.read(f"{CPUS}/cpu{cpu}/online") is not None

    def set_cpu(self, cpu: int, on: bool) -> None:
        """Turn one CPU. Raises OSError."""
        self.write(f"{CPUS}/cpu{cpu}/online", "1" if on else "0")

    def siblings(self) -> tuple[int, ...]:
        """CPUs that turning SMT off is expected to take: all but the first of each core that are on."""
        taken: set[int] = set()
        for cpu in self.online():
            taken.update(self._list(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list")[1:])
        return tuple(sorted(taken))

    def cpuset_lists(self) -> dict[str, str]:
        """The CPU list of every cpuset that has one, by its file, those above before those below."""
        found: dict[str, str] = {}
        for top in self._cpuset_tops():
            for folder, below, names in os.walk(self.root / top):
                below.sort()
                if "cpuset.cpus" in names:
                    path = str((Path(folder) / "cpuset.cpus").relative_to(self.root))
                    if text := self.read(path):
                        found[path] = text
        return found

    def empty_without(self, cpus: Iterable[int]) -> list[str]:
        """Version 1 cpusets with tasks that would have no CPU left without these, which moves the tasks out."""
        gone, found = set(cpus), []
        for path, text in self.cpuset_lists().items():
            folder = path.rpartition("/")[0]
            if set(parse_list(text)) <= gone and self.read(f"{folder}/cpuset.sched_load_balance") is not None:
                found += [f"/{folder}"] if self.read(f"{folder}/tasks") else []
        return found

    def irq_lists(self, cpus: Iterable[int]) -> dict[str, str]:
        """Interrupts that may come to these CPUs only, by their file: without them they go anywhere."""
        gone, found = set(cpus), {}
        for number in self._tree.numbered("proc/irq", ""):
            path = f"proc/irq/{number}/smp_affinity_list"
            text = self.read(path)
            if text and set(parse_list(text)) <= gone:
                found[path] = text
        return found

    def pinned_tasks(self, cpus: Iterable[int]) -> list[PinnedTask]:
        """Tasks, the kernel's own aside, that are bound to these CPUs only."""
        gone = set(cpus)
        found: list[PinnedTask] = []
        if not self._tree.live:
            return found
        for tid in self._tids():
            try:
                bound = os.sched_getaffinity(tid)
            except OSError:
                continue
            if bound <= gone and (start := self._start(tid)):
                found.append(PinnedTask(tid, start, tuple(sorted(bound))))
        return found

    def bind_again(self, task: PinnedTask) -> None:
        """Bind a task as it was, if it is still there. Raises OSError."""
        if self._start(task.tid) == task.start and os.sched_getaffinity(task.tid) != set(task.cpus):
            os.sched_setaffinity(task.tid, task.cpus)

    def crews(self) -> list[int]:
        """Processes that measure right now."""
        found = []
        for pid in self._tree.numbered("proc", ""):
            if self.read(f"proc/{pid}/comm") == "pybench-crew":
                found.append(pid)
        return found

    def _list(self, path: str) -> tuple[int, ...]:
        try:
            return tuple(sorted(parse_list(self.read(path) or "")))
        except ValueError:
            return ()

    def _cpuset_tops(self) -> Iterator[str]:
        for line in (self.read("proc/self/mountinfo") or "").splitlines():
            before, dash, after = line.partition(" - ")
            left, right = before.split(), after.split()
            if not dash or len(left) < 5 or len(right) < 3:
                continue
            if right[0] == "cgroup2" or (right[0] == "cgroup" and "cpuset" in right[2].split(",")):
                yield _UNESCAPED.sub(lambda match: chr(int(match[1], 8)), left[4]).lstrip("/")

    def _tids(self) -> Iterator[int]:
        for pid in self._tree.numbered("proc", ""):
            yield from self._tree.numbered(f"proc/{pid}/task", "")

    def _start(self, tid: int) -> int:
        """When a task started, ticks after boot; 0 if it is gone, or the kernel's own."""
        fields = (self.read(f"proc/{tid}/stat") or "").rpartition(")")[2].split()
        if len(fields) < 20 or int(fields[6]) & _KERNEL_THREAD:
            return 0
        return int(fields[19])


def off_in(state: HostState, siblings: Sequence[int]) -> tuple[int, ...]:
    """CPUs that a state takes, ascending."""
    return tuple(sorted({*state.offline, *(siblings if state.smt_off else ())}))
