# SPDX-License-Identifier: Apache-2.0
"""Record kernel events in a tracefs instance of one's own, which is removed however the process ends."""

import contextlib
import ctypes
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pybench.errors import UnsupportedError

TRACEFS = Path("/sys/kernel/tracing")
CLONE_NEWNS, MS_REC_PRIVATE = 0x20000, 0x4000 | 1 << 18


def mount_tracefs() -> None:
    """Mount tracefs at its standard place, in a private mount namespace, unless it is mounted already.

    Raises UnsupportedError without root or without tracefs.
    """
    try:
        if (TRACEFS / "instances").is_dir():
            return
    except PermissionError:
        pass
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        raise UnsupportedError("no mount namespace", reason=os.strerror(ctypes.get_errno()), fix="run it as root")
    if libc.mount(b"tracefs", os.fsencode(TRACEFS), b"tracefs", 0, None):
        raise UnsupportedError(
            "tracefs cannot be mounted", reason=os.strerror(ctypes.get_errno()), fix="run it as root"
        )
    if not (TRACEFS / "instances").is_dir():
        raise UnsupportedError("tracefs has no instances here")


def _remove_when_over(instance: Path) -> tuple[int, int]:
    """Fork a process that removes the instance once this one ends or closes the pipe; return (process, pipe)."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read_end)
        return pid, write_end
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.close(write_end)
    os.read(read_end, 1)
    for _ in range(200):
        with contextlib.suppress(OSError):
            instance.rmdir()
        if not instance.exists():
            break
        time.sleep(0.05)  # another process still reads from it
    os._exit(0)


@contextlib.contextmanager
def tracing(events: Sequence[str], kilobytes: int, *, stacks: bool = False) -> Iterator[Path]:
    """Record `events` (`syscalls/sys_exit_mount`) of this process's children; yield the instance's folder.

    Addresses are not hashed; `stacks` adds the callers; each CPU has `kilobytes` of buffer. The process must have
    no other threads. Raises UnsupportedError without root, tracefs, or such events.
    """
    mount_tracefs()
    instance = TRACEFS / "instances" / f"pybench-{os.getpid()}"
    remover, pipe = _remove_when_over(instance)
    try:
        instance.mkdir()
        (instance / "buffer_size_kb").write_text(str(kilobytes))
        (instance / "options/event-fork").write_text("1")
        with contextlib.suppress(FileNotFoundError):
            (instance / "options/hash-ptr").write_text("0")
        if stacks:
            (instance / "options/stacktrace").write_text("1")
        (instance / "set_event_pid").write_text(str(os.getpid()))
        for event in events:
            (instance / f"events/{event}/enable").write_text("1")
        yield instance
    except FileNotFoundError as error:
        raise UnsupportedError(f"no {error.filename}", reason="the kernel was built without it") from None
    except PermissionError as error:
        raise UnsupportedError("permission denied", subject=str(error.filename), fix="run it as root") from None
    finally:
        os.close(pipe)
        os.waitpid(remover, 0)


def stop(instance: Path) -> int:
    """Stop recording; return the number of events that did not fit into the buffers."""
    (instance / "tracing_on").write_text("0")
    stats = [path.read_text() for path in instance.glob("per_cpu/cpu*/stats")]
    return sum(int(n) for text in stats for n in re.findall(r"^(?:overrun|dropped events): (\d+)", text, re.M))
