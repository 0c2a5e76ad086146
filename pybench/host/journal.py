# SPDX-License-Identifier: Apache-2.0
"""What a run writes down before it turns a switch of the host, so that whoever comes later can put it back.

A journal is one JSON file, replaced as a whole and synced with its folder. It lies in /var/lib/pybench, or in
$PYBENCH_STATE_DIR, with the lock of whoever may turn switches: a lock of an open file, which the kernel lets go
when its holders are dead.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pybench.errors import BusyError, MeasurementError, UnsupportedError, UsageError
from pybench.host.switches import PinnedTask

STATE_DIR = Path("/var/lib/pybench")
# A guard that puts a wide host back takes some seconds.
LONGEST_WAIT_S = 60.0
# A process that was killed is there a moment longer.
DYING_S = 0.3


class Journal(msgspec.Struct, kw_only=True):
    """How the host was found, and what may have been turned since."""

    format: int = 1
    boot: str
    """The kernel's boot id: after a reboot the kernel has turned its own switches anew."""
    pid: int
    created: str
    command: list[str]
    smt: str | None
    """What the SMT switch said."""
    online: tuple[int, ...]
    offline: tuple[int, ...]
    """CPUs that were there, but off."""
    turned_smt: bool = False
    """SMT was turned off by the run, or was about to be."""
    woke: bool = False
    """SMT was turned on again, which wakes every CPU: those that were off before are the run's to turn off."""
    turned: tuple[int, ...] = ()
    """CPUs that went off by the run's doing, or were about to."""
    cpusets: dict[str, str] = {}
    """CPU lists of cpusets that may lose some of them."""
    irqs: dict[str, str] = {}
    tasks: list[PinnedTask] = []


def state_dir() -> Path:
    """Where journal and lock are."""
    return Path(os.environ.get("PYBENCH_STATE_DIR") or STATE_DIR)


class Store:
    """Journal and lock in their folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = state_dir() if folder is None else folder
        self.path = self.folder / "journal.json"
        self._lock = self.folder / "lock"

    def load(self) -> Journal | None:
        """The journal that is there, if any. Raises UsageError if it makes no sense."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Journal)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise UsageError(
                f"cannot read {self.path} ({error}): see by hand what is off (lscpu -e), then delete that file"
            ) from None

    def save(self, journal: Journal) -> None:
        """Put the journal on the disk before anything is turned. Raises MeasurementError if that fails."""
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
            raise MeasurementError(f"cannot write the journal {self.path}: {error.strerror}; make room") from None

    def drop(self) -> None:
        """All is put back, and the journal goes. Raises MeasurementError if it stays."""
        try:
            self.path.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise MeasurementError(
                f"cannot delete {self.path}: {error.strerror}; let that folder be written"
            ) from None

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def hold(self, *, told: Callable[[str], None] = lambda _: None, wait_s: float = LONGEST_WAIT_S) -> int:
        """Be the only one who may turn switches, until the descriptor returned (and its copies) are closed.

        Waits while a dead run's guard puts the host back; raises BusyError while a run measures.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UnsupportedError(
                f"cannot write in {self.folder} ({error.strerror}), where switches are journalled; be root"
            ) from None
        began, waiting = time.monotonic(), False
        while not _locked(fd, fcntl.LOCK_EX):
            holder, waited = self.holder(), time.monotonic() - began
            if waited > wait_s or (waited > DYING_S and _alive(holder)):
                os.close(fd)
                who = f"process {holder}" if holder else "another run of pybench"
                raise BusyError(f"{who} measures on this host or has its switches turned", fix="wait for its end")
            if not waiting and waited > DYING_S:
                told("waiting: the host is being put back after a run that was killed")
                waiting = True
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def share(self) -> int | None:
        """Measure beside others that turn no switch, until the descriptor returned is closed.

        None if nobody ever turned a switch here. Raises BusyError while another process may turn one.
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
        """Whether somebody may turn switches right now, or puts them back."""
        try:
            fd = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _locked(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def holder(self) -> int:
        """Process that last held the lock for itself, 0 if unknown."""
        try:
            return int(self._lock.read_text())
        except (OSError, ValueError):
            return 0


@contextmanager
def undisturbed() -> Iterator[None]:
    """While this lasts, no other pybench turns switches of this host. Raises BusyError while one may."""
    shared = Store().share()
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
    """Whether a process runs; a dead one whose parent has not looked yet does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return pid > 0 and text.rpartition(")")[2].split()[0] not in "ZX"


def left_behind() -> str:
    """One line that points to switches which a dead run left turned; `` if there are none."""
    store = Store()
    if not store.path.exists() or store.held():
        return ""
    return "an earlier run left switches of this host turned (SMT or CPUs); put them back: pybench restore"
