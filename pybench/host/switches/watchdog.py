# SPDX-License-Identifier: Apache-2.0
"""A process that puts the host's switches back if the run that turned them is killed.

The run forks it before it turns the first switch. It has a session of its own and sleeps on a pipe whose other end
only the run holds; however the run dies, the kernel closes that end. A kill of the whole cgroup or container and
power loss end the watchdog too; then `pybench doctor --restore` puts the host back.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

FAREWELL = b"."
MOST_FILES = 1 << 20
_NAME = "pybench-watch"


class Watchdog:
    """The run's side of its watchdog process."""

    def __init__(self, put_back: Callable[[], None], keep: tuple[int, ...]) -> None:
        """Fork the process; it keeps standard error and the descriptors in `keep` open."""
        read_end, self._write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _watch(read_end, put_back, keep)
        os.close(read_end)

    def dismiss(self, *, done: bool = True) -> None:
        """End the process, after it has put the host back unless all is `done`. Waits until it has ended."""
        if done:
            with contextlib.suppress(OSError):
                os.write(self._write_end, FAREWELL)
        os.close(self._write_end)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _watch(read_end: int, put_back: Callable[[], None], keep: tuple[int, ...]) -> None:
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        _name_itself()
        # An open result file would stay locked, and a reader of the run's output would wait for this process.
        stay = sorted({2, read_end, *keep})
        for low, high in zip([-1, *stay], [*stay, MOST_FILES], strict=True):
            os.closerange(low + 1, high)
        if os.read(read_end, 1) != FAREWELL:
            put_back()
        status = 0
    finally:
        # The run's own buffers and exit handlers, of which this process has copies, must not run here.
        os._exit(status)


def _name_itself() -> None:
    """Set the name shown by ps, and make the out-of-memory killer choose this process last."""
    for path, text in (("/proc/self/comm", _NAME), ("/proc/self/oom_score_adj", "-1000")):
        with contextlib.suppress(OSError):
            Path(path).write_text(text)
