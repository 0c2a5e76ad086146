# SPDX-License-Identifier: Apache-2.0
"""Processes that disturb trials on command. They wait on a pipe, and die with the process that started them."""

import contextlib
import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pybench import native
from pybench.native import TrialSpec

PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 1, 29
MEMBARRIER_GLOBAL_EXPEDITED, MEMBARRIER_REGISTER = 2, 4
SYS_MEMBARRIER = {"x86_64": 324, "aarch64": 283}.get(os.uname().machine, -1)
LIBC = ctypes.CDLL(None, use_errno=True)


def until(end_ns: int) -> Iterator[None]:
    """Loop until a moment of CLOCK_MONOTONIC, in ns."""
    while time.monotonic_ns() < end_ns:
        yield


def burn(end_ns: int) -> None:
    """Use the CPU."""
    for _ in until(end_ns):
        pass


def burst(end_ns: int) -> None:
    """Use the CPU for 3 ms of every 10."""
    for _ in until(end_ns):
        burn(min(time.monotonic_ns() + 3_000_000, end_ns))
        time.sleep(0.007)


def tick(end_ns: int) -> None:
    """Wake up every 50 us or so, and work for a moment."""
    LIBC.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    for _ in until(end_ns):
        time.sleep(30e-6)


def flood(end_ns: int) -> None:
    """Send small packets over the loopback interface, which the softirq of this CPU receives."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s,
    ):
        to.bind(("127.0.0.1", 0))
        for _ in until(end_ns):
            with contextlib.suppress(OSError):
                s.sendto(b"x" * 64, to.getsockname())


def spawn(end_ns: int) -> None:
    """Start processes, one after the other."""
    for _ in until(end_ns):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def interrupt(end_ns: int) -> None:
    """Interrupt every CPU that runs a process which registered for it."""
    for _ in until(end_ns):
        LIBC.syscall(SYS_MEMBARRIER, MEMBARRIER_GLOBAL_EXPEDITED, 0, 0)


def register_for_interrupts() -> bool:
    """Let interrupt() reach this process and those that it forks. Return False if the kernel cannot."""
    return SYS_MEMBARRIER > 0 and LIBC.syscall(SYS_MEMBARRIER, MEMBARRIER_REGISTER, 0, 0) == 0


def mount_during(cpu: int) -> Callable[[int], None]:
    """Return work that mounts on that CPU, as another run of pybench would."""
    params: dict[str, int | str] = {
        "api": "mount",
        "idmap": "no",
        "umount": "batch:100",
        "children": 0,
        "peers": 0,
        "table": 0,
        "fs": "tmpfs",
    }

    def run(end_ns: int) -> None:
        left = max(end_ns - time.monotonic_ns(), 1_000_000)
        native.run_trial(TrialSpec(workload="mount", params=params, cpus=(cpu,), duration_ns=left))

    return run


class Helper:
    """A process that waits for a command, then works on the CPUs given until the moment given."""

    def __init__(self, work: Callable[[int], None], cpus: tuple[int, ...], fifo: bool = False) -> None:
        """Fork it; with `fifo` as a real-time process. Raises PermissionError if that is not allowed."""
        if fifo:
            # Tried here, where an error can be reported.
            probe = os.fork()
            if probe == 0:
                with contextlib.suppress(OSError):
                    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
                    os._exit(0)
                os._exit(1)
            if os.waitpid(probe, 0)[1]:
                raise PermissionError("no real-time scheduling")
        read_end, self._pipe = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid:
            os.close(read_end)
            return
        try:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.close(self._pipe)
            os.sched_setaffinity(0, cpus)
            if fifo:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            while os.getppid() == parent and len(word := os.read(read_end, 8)) == 8:
                work(int.from_bytes(word, "little"))
        finally:
            os._exit(0)

    def start(self, end_ns: int) -> None:
        """Let it work until `end_ns` of CLOCK_MONOTONIC."""
        os.write(self._pipe, end_ns.to_bytes(8, "little"))

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._pipe)


def leader_of(parent: int) -> int:
    """Return the process id of the crew leader that `parent` started. Raises ProcessLookupError without one."""
    for task in Path(f"/proc/{parent}/task").iterdir():
        with contextlib.suppress(OSError):
            for pid in map(int, (task / "children").read_text().split()):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "pybench-crew":
                    return pid
    raise ProcessLookupError("no crew runs")


def members_of(leader: int) -> list[int]:
    """Return the thread ids of the crew's members, be they threads or processes."""
    tids = [int(path.name) for path in Path(f"/proc/{leader}/task").iterdir() if int(path.name) != leader]
    return sorted(tids) or sorted(map(int, Path(f"/proc/{leader}/task/{leader}/children").read_text().split()))


class Quota:
    """A CPU quota on this process and its crews: a cgroup that is removed however this process ends."""

    PERIOD_US = 20_000

    def __init__(self) -> None:
        """Make the cgroup. Raises OSError if that is not possible."""
        self._folder, self._home, self._file, self._none = _cgroup_place()
        self._folder.mkdir()
        self._guard_pipe = self._guard()
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    def _guard(self) -> int:
        """Fork a process that removes the folder once this one is gone; return the pipe that it watches."""
        read_end, write_end = os.pipe()
        self._guard_pid = os.fork()
        if self._guard_pid:
            os.close(read_end)
            return write_end
        os.close(write_end)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        os.read(read_end, 1)
        for _ in range(100):
            with contextlib.suppress(OSError):
                self._folder.rmdir()
            if not self._folder.exists():
                break
            time.sleep(0.05)
        os._exit(0)

    def set(self, cpus: float | None) -> None:
        """Set the quota, in CPUs; None: no quota."""
        value = self._none if cpus is None else str(round(cpus * self.PERIOD_US))
        if self._file == "cpu.max":
            value = f"{value} {self.PERIOD_US}"
        else:
            (self._folder / "cpu.cfs_period_us").write_text(str(self.PERIOD_US))
        (self._folder / self._file).write_text(value)

    def close(self) -> None:
        """Return to the former cgroup and remove the new one."""
        (self._home / "cgroup.procs").write_text(str(os.getpid()))
        os.close(self._guard_pipe)
        os.waitpid(self._guard_pid, 0)


def _cgroup_place() -> tuple[Path, Path, str, str]:
    """Return (new folder, own folder, the quota's file, its word for none) in the first hierarchy that can."""
    name = f"pybench-disturb-{os.getpid()}"
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup")
        if "cpu" in controllers.split(","):
            home = root / controllers / path.lstrip("/")
            home = home if home.is_dir() else root / "cpu" / path.lstrip("/")
            if os.access(home, os.W_OK):
                return home / name, home, "cpu.cfs_quota_us", "-1"
        control = root / path.lstrip("/") / "cgroup.subtree_control"
        if number == "0" and os.access(control, os.W_OK) and "cpu" in control.read_text().split():
            home = control.parent
            return home / name, home, "cpu.max", "max"
    raise PermissionError("no cgroup with a CPU quota that this user can make")
