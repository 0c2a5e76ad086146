# SPDX-License-Identifier: Apache-2.0
"""The journal that a run writes before it turns a switch of the host, by which any later process can put it back.

The journal is one JSON file in /var/lib/pybench, or in $PYBENCH_STATE_DIR, replaced as a whole and synced with its
folder. The folder also holds the lock of the process that may turn switches: an flock, which the kernel releases
when its holders end.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeGuard

import msgspec
import psutil

from pybench.errors import BusyError, MeasurementError, UnsupportedError, UsageError
from pybench.text import format_list


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """The switches that a cell turns; by default none."""

    smt_off: bool = False
    """SMT is off by the kernel's switch."""
    offline: tuple[int, ...] = ()
    """CPUs that are off by their own switches, ascending."""

    @property
    def turned(self) -> bool:
        """Return whether the state differs from the host as found."""
        return self.smt_off or bool(self.offline)

    def words(self) -> str:
        """Return the state in words: `SMT off, CPUs 4-7 off`; `as found`."""
        parts = ["SMT off"] if self.smt_off else []
        if self.offline:
            parts.append(f"CPU{'s' if len(self.offline) > 1 else ''} {format_list(self.offline)} off")
        return ", ".join(parts) or "as found"


AS_FOUND = HostState()


def smt_is_on(control: str | None) -> TypeGuard[str]:
    """Return whether the text of the SMT switch says on: `on`, or a number of threads per core above 1."""
    return control == "on" or ((control or "").isdigit() and int(control or "0") > 1)


def why_no_smt_switch(control: str | None) -> str:
    """Return the reason why the kernel cannot turn SMT off, `` if it can or SMT is off already."""
    return {
        None: "this kernel has no switch for SMT (/sys/devices/system/cpu/smt/control)",
        "notsupported": "these CPUs have no SMT siblings, or firmware hides them (the kernel says notsupported)",
        "notimplemented": "this kernel has no switch for SMT (it says notimplemented)",
    }.get(control, "" if smt_is_on(control) or control in ("off", "forceoff", "1") else f"it says {control!r}")


class PinnedTask(NamedTuple):
    """A task bound to some CPUs; `start` (ticks after boot) identifies it if its number is reused."""

    tid: int
    start: int
    cpus: tuple[int, ...]


def off_in(state: HostState, siblings: Sequence[int]) -> tuple[int, ...]:
    """Return the CPUs that a state turns off, ascending."""
    return tuple(sorted({*state.offline, *(siblings if state.smt_off else ())}))


STATE_DIR = Path("/var/lib/pybench")
# A watchdog needs some seconds to put a wide host back.
LONGEST_WAIT_S = 60.0
# A killed process exists a moment longer.
DYING_S = 0.3


class Journal(msgspec.Struct, kw_only=True):
    """The host as the run found it, and the switches that it may have turned since."""

    format: int = 1
    boot: str
    """The kernel's boot id; a reboot resets the switches."""
    pid: int
    created: str
    command: list[str]
    smt: str | None
    """Text of the SMT switch."""
    online: tuple[int, ...]
    offline: tuple[int, ...]
    """CPUs that were present but off."""
    turned_smt: bool = False
    """The run turned SMT off, or was about to."""
    woke: bool = False
    """The run turned SMT on again, which turns on every CPU, so it must turn off those that were off before."""
    turned: tuple[int, ...] = ()
    """CPUs that the run turned off, or was about to."""
    cpusets: dict[str, str] = {}
    """CPU lists of the cpusets that may lose CPUs, by file."""
    irqs: dict[str, str] = {}
    tasks: list[PinnedTask] = []


def state_dir() -> Path:
    """Return the folder of the journal and the lock."""
    return Path(os.environ.get("PYBENCH_STATE_DIR") or STATE_DIR)


class StateFolder:
    """The folder of the journal and of the lock on the host's switches."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = state_dir() if folder is None else folder
        self.path = self.folder / "journal.json"
        self._lock = self.folder / "lock"

    def load(self) -> Journal | None:
        """Return the journal, None if there is none. Raises UsageError if it is malformed."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Journal)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise UsageError(
                f"cannot read {self.path}",
                reason=str(error),
                fix="check by hand which CPUs are off (lscpu -e), then delete that file",
            ) from None

    def save(self, journal: Journal) -> None:
        """Write the journal to disk. Raises MeasurementError if that fails."""
        new = self.path.with_suffix(".new")
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                data = msgspec.json.encode(journal)
                if os.write(fd, data) != len(data):
                    raise OSError(28, os.strerror(28))
                os.fsync(fd)
            finally:
                os.close(fd)
            new.rename(self.path)
            self._sync_folder()
        except OSError as error:
            raise MeasurementError(
                f"cannot write the journal {self.path}", reason=error.strerror or "", fix="free disk space"
            ) from None

    def drop(self) -> None:
        """Delete the journal, once the host is put back. Raises MeasurementError if that fails."""
        try:
            self.path.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise MeasurementError(
                f"cannot delete {self.path}", reason=error.strerror or "", fix="make that folder writable"
            ) from None

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def hold(self, *, tell: Callable[[str], None] = lambda _: None, wait_s: float = LONGEST_WAIT_S) -> int:
        """Take the lock for this process alone; return its descriptor, whose last copy releases it when closed.

        Waits while the watchdog of a killed run puts the host back, up to `wait_s`. Raises BusyError while a run
        measures, UnsupportedError if the folder is not writable.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UnsupportedError(
                f"cannot write the journal of switches in {self.folder}",
                reason=error.strerror or "",
                fix="be root",
            ) from None
        began, waiting = time.monotonic(), False
        while not _locked(fd, fcntl.LOCK_EX):
            holder, waited = self.holder(), time.monotonic() - began
            if waited > wait_s or (waited > DYING_S and _alive(holder)):
                os.close(fd)
                who = f"process {holder}" if holder else "another run of pybench"
                raise BusyError(f"{who} measures on this host or has its switches turned", fix="wait for its end")
            if not waiting and waited > DYING_S:
                tell("waiting: the watchdog of a killed run puts the host back")
                waiting = True
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def share(self) -> int | None:
        """Share the lock with other runs that turn no switch, until the returned descriptor is closed.

        Returns None if no run ever turned a switch here. Raises BusyError while another process may turn one.
        """
        try:
            fd = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        began = time.monotonic()
        while not _locked(fd, fcntl.LOCK_SH):
            holder, waited = self.holder(), time.monotonic() - began
            if waited > LONGEST_WAIT_S or (waited > DYING_S and _alive(holder)):
                os.close(fd)
                raise BusyError(
                    f"process {holder} turns switches of this host (SMT, CPUs)", fix="wait for its end"
                )
            time.sleep(0.05)
        return fd

    def held(self) -> bool:
        """Return whether another process may turn switches now, or puts them back."""
        try:
            fd = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _locked(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def holder(self) -> int:
        """Return the process that last held the lock alone, 0 if unknown."""
        try:
            return int(self._lock.read_text())
        except (OSError, ValueError):
            return 0


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep other pybench processes from turning switches of this host. Raises BusyError while one may."""
    shared = StateFolder().share()
    try:
        yield
    finally:
        if shared is not None:
            os.close(shared)


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and waits for its parent does not."""
    try:
        return pid > 0 and psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def left_behind() -> str:
    """Return a line on the switches that a killed run left turned, `` if there are none."""
    store = StateFolder()
    if not store.path.exists() or store.held():
        return ""
    return (
        "an earlier run left switches of this host turned (SMT or CPUs); put them back with "
        "pybench doctor --restore"
    )
