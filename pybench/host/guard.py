# SPDX-License-Identifier: Apache-2.0
"""A process that outlives the run it guards by as long as putting the host back takes.

It is forked before the first switch is turned, in a session of its own, and sleeps on a pipe whose other end only
the run has. However the run dies, the kernel closes that end. What it cannot survive is what kills it too: a kill
of its whole cgroup or container, and power loss; then `pybench restore` puts the host back.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

FAREWELL = b"."
MOST_FILES = 1 << 20
_NAME = "pybench-guard"


class Guard:
    """The run's side."""

    def __init__(self, put_back: Callable[[], None], keep: tuple[int, ...]) -> None:
        """Fork the guard; `keep` are the descriptors that stay open in it, beside standard error."""
        read_end, self._write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _watch(read_end, put_back, keep)
        os.close(read_end)

    def dismiss(self, *, done: bool = True) -> None:
        """The guard may go if all is done, and puts the host back if not. Waits until it is gone."""
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
        # A result file that stays open here stays locked; a reader of our output would wait for our end.
        stay = sorted({2, read_end, *keep})
        for low, high in zip([-1, *stay], [*stay, MOST_FILES], strict=True):
            os.closerange(low + 1, high)
        if os.read(read_end, 1) != FAREWELL:
            put_back()
        status = 0
    finally:
        # Nothing of the run that we are a copy of (buffers, exit handlers) may happen again.
        os._exit(status)


def _name_itself() -> None:
    """A name of its own in ps, and last in line when memory is short."""
    for path, text in (("/proc/self/comm", _NAME), ("/proc/self/oom_score_adj", "-1000")):
        with contextlib.suppress(OSError):
            Path(path).write_text(text)
