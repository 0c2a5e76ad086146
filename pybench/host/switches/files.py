# SPDX-License-Identifier: Apache-2.0
"""Read and write the switches of the host that a sweep may turn: SMT as a whole, and single CPUs.

A CPU that goes off changes more than itself: version 1 cpusets drop it for good, and tasks and interrupts bound to
it alone lose their binding. `SwitchFiles` reads and writes these too; tests replace it by a model of the kernel.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pybench.host.switches.journal import PinnedTask
from pybench.host.sysfs import Tree
from pybench.text import parse_list

CPUS = "sys/devices/system/cpu"
SMT_CONTROL = f"{CPUS}/smt/control"
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD
_UNESCAPED = re.compile(r"\\([0-7]{3})")


class SwitchFiles:
    """The files of the switches, below a root; paths are relative to it, without a leading slash."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self._tree = Tree(root)

    def read(self, path: str) -> str | None:
        """Return a file's text, None if it is missing."""
        return self._tree.text(path)

    def write(self, path: str, text: str) -> None:
        """Write text in one call, as the kernel requires. Raises OSError."""
        fd = os.open(self.root / path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def boot(self) -> str:
        """Return the id of this boot."""
        return self.read("proc/sys/kernel/random/boot_id") or ""

    def smt(self) -> str | None:
        """Return the text of the SMT switch (on, off, forceoff, notsupported, notimplemented) or None."""
        return self.read(SMT_CONTROL)

    def online(self) -> tuple[int, ...]:
        """Return the CPUs that are on, ascending."""
        return self._list(f"{CPUS}/online")

    def present(self) -> tuple[int, ...]:
        """Return the present CPUs, on or off, ascending."""
        return self._list(f"{CPUS}/present") or self.online()

    def switchable(self, cpu: int) -> bool:
        """Return whether the CPU can be turned off; on most hosts CPU 0 cannot."""
        return self.read(f"{CPUS}/cpu{cpu}/online") is not None

    def set_cpu(self, cpu: int, on: bool) -> None:
        """Turn one CPU on or off. Raises OSError."""
        self.write(f"{CPUS}/cpu{cpu}/online", "1" if on else "0")

    def siblings(self) -> tuple[int, ...]:
        """Return the CPUs that turning SMT off is expected to turn off: all but the first sibling of each core."""
        taken: set[int] = set()
        for cpu in self.online():
            taken.update(self._list(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list")[1:])
        return tuple(sorted(taken))

    def cpuset_lists(self) -> dict[str, str]:
        """Return the CPU list of each cpuset that has one, by file, parents before children."""
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
        """Return the version 1 cpusets that have tasks but no other CPUs; the kernel would move the tasks out."""
        gone, found = set(cpus), []
        for path, text in self.cpuset_lists().items():
            folder = path.rpartition("/")[0]
            if set(parse_list(text)) <= gone and self.read(f"{folder}/cpuset.sched_load_balance") is not None:
                found += [f"/{folder}"] if self.read(f"{folder}/tasks") else []
        return found

    def irq_lists(self, cpus: Iterable[int]) -> dict[str, str]:
        """Return the CPU lists of interrupts bound to these CPUs alone, by file; they lose it with the CPUs."""
        gone, found = set(cpus), {}
        for number in self._tree.numbered("proc/irq", ""):
            path = f"proc/irq/{number}/smp_affinity_list"
            text = self.read(path)
            if text and set(parse_list(text)) <= gone:
                found[path] = text
        return found

    def pinned_tasks(self, cpus: Iterable[int]) -> list[PinnedTask]:
        """Return the tasks, other than kernel threads, that are bound to these CPUs alone."""
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
        """Bind a task to its former CPUs, if it still runs. Raises OSError."""
        if self._start(task.tid) == task.start and os.sched_getaffinity(task.tid) != set(task.cpus):
            os.sched_setaffinity(task.tid, task.cpus)

    def crews(self) -> list[int]:
        """Return the processes that measure now."""
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
        """Return the start of a task in ticks after boot, 0 if it has ended or is a kernel thread."""
        fields = (self.read(f"proc/{tid}/stat") or "").rpartition(")")[2].split()
        if len(fields) < 20 or int(fields[6]) & _KERNEL_THREAD:
            return 0
        return int(fields[19])
