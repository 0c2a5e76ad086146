# SPDX-License-Identifier: Apache-2.0
"""A model of how the kernel's CPU switches behave, behind files: for tests that turn them."""

import errno
from collections.abc import Callable, Iterable
from pathlib import Path

from pybench.host.switches.files import CPUS, SwitchFiles
from pybench.text import format_list, parse_list


class Crash(BaseException):
    """The run is killed here."""


class KernelModel(SwitchFiles):
    """Cores of `threads` siblings, numbered core by core; a version 1 cpuset for each list in `cpusets`.

    Turning SMT on wakes every CPU, a sibling cannot be turned on while SMT is off, and a cpuset loses the CPUs
    that go off, as Linux 6.1 does in a guest. `before` is called before each write with its path, and may raise.
    """

    def __init__(self, root: Path, cores: int, threads: int, smt: str, cpusets: Iterable[str] = ()) -> None:
        super().__init__(root)
        self.threads = threads
        self.count = cores * threads
        self.dead: set[int] = set()
        """CPUs that do not come back."""
        self.busy = 0
        """Writes that the kernel refuses for the moment."""
        self.before: Callable[[str], None] = lambda _: None
        self.on = set(range(self.count))
        self.control = smt
        self.boot_id = "first"
        self._shown: dict[str, str] = {}
        for cpu in range(self.count):
            first = cpu // threads * threads
            self._put(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list", f"{first}-{first + threads - 1}")
            if cpu:
                self._put(f"{CPUS}/cpu{cpu}/online", "1")
        self._put("proc/self/mountinfo", "30 20 0:26 / /run/cpuset rw - cgroup cpuset rw,cpuset")
        if smt in ("off", "forceoff"):
            self.on -= self.secondary
        lists = [format_list(cpu for cpu in parse_list(text) if cpu in self.on) for text in cpusets]
        self.sets = {f"run/cpuset/c{i}/cpuset.cpus": text for i, text in enumerate(lists)}
        self._show()

    @property
    def secondary(self) -> set[int]:
        """Siblings that SMT off takes."""
        return {cpu for cpu in range(self.count) if cpu % self.threads}

    def state(self) -> tuple[str, set[int], dict[str, str]]:
        """All that a run must leave as it was."""
        return self.control, set(self.on), dict(self.sets)

    def boot(self) -> str:
        return self.boot_id

    def reboot(self) -> None:
        """Every switch is as the firmware has it, and cpusets are gone."""
        self.boot_id += "'"
        self.control, self.on, self.sets = "on", set(range(self.count)), {}
        self.dead, self.busy, self.before = set(), 0, lambda _: None
        self._show()

    def write(self, path: str, text: str) -> None:
        self.before(path)
        self._look()
        if path in self.sets:
            self.sets[path] = text
        elif self.busy and not path.startswith("run/"):
            self.busy -= 1
            raise OSError(errno.EBUSY, "Device or resource busy")
        elif path == f"{CPUS}/smt/control":
            self._smt(text)
        else:
            self._cpu(int(path.split("/")[4].removeprefix("cpu")), text == "1")
        self._show()

    def _look(self) -> None:
        """Read from the files what another process's copy of the model did."""
        self.on, self.control = set(self.online()), self.smt() or ""
        self.sets = {path: self.read(path) or "" for path in self.sets}
        self._shown = {}

    def _smt(self, text: str) -> None:
        if self.control not in ("on", "off"):
            raise OSError(errno.EPERM if self.control == "forceoff" else errno.ENODEV, "No such device")
        if text == "off" and self.control == "on":
            self._gone(self.secondary)
        elif text == "on" and self.control == "off":
            self.control = text
            if late := self.dead - self.on:
                # The kernel wakes them in order, and gives up at the first that does not come.
                self.on |= set(range(min(late)))
                self._show()
                raise OSError(errno.EIO, "Input/output error")
            self.on = set(range(self.count))
        self.control = text

    def _cpu(self, cpu: int, on: bool) -> None:
        if not on:
            if self.on == {cpu}:
                raise OSError(errno.EBUSY, "Device or resource busy")
            self._gone({cpu})
        elif cpu in self.secondary and self.control in ("off", "forceoff"):
            raise OSError(errno.EPERM, "Operation not permitted")
        elif cpu in self.dead and cpu not in self.on:
            raise OSError(errno.EIO, "Input/output error")
        else:
            self.on.add(cpu)

    def _gone(self, cpus: set[int]) -> None:
        self.on -= cpus
        for path, text in self.sets.items():
            self.sets[path] = format_list(cpu for cpu in parse_list(text) if cpu in self.on)

    def _show(self) -> None:
        self._put(f"{CPUS}/online", format_list(sorted(self.on)))
        self._put(f"{CPUS}/present", f"0-{self.count - 1}")
        self._put(f"{CPUS}/smt/control", self.control)
        for cpu in range(self.count):
            first = cpu // self.threads * self.threads
            siblings = [n for n in range(first, first + self.threads) if n in self.on]
            self._put(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list", format_list(siblings))
        for path, text in self.sets.items():
            self._put(path, text)

    def _put(self, path: str, text: str) -> None:
        if self._shown.get(path) == text:
            return
        self._shown[path] = text
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
