# SPDX-License-Identifier: Apache-2.0
"""Worker processes for simulations: they die with the program, and are killed when their answers are unwanted."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from pybench.errors import MeasurementError

PR_SET_PDEATHSIG = 1
# Jobs that a worker has at once: the next is there when it has done one.
AHEAD = 2

Work = Callable[[Any], bytes]


def in_order(
    count: int, make: Callable[[], Work], jobs: Iterable[Any], *, until: float | None = None
) -> Generator[bytes, None, None]:
    """Yield the answer to each job, in the order of the jobs; `count` processes work on several at once.

    Each process calls `make` for the function that does its jobs. Answers end at the time `until` (of
    time.monotonic(), s), whatever is running. However this is left, the processes are killed. Raises
    MeasurementError if one dies, and the error that a job raised.
    """
    context = get_context("fork")
    workers: dict[Connection, Any] = {}
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, make, os.getpid()), daemon=True)
            process.start()
            # Otherwise the end of a worker would not be seen.
            theirs.close()
            workers[ours] = process
        yield from _answers(list(workers), jobs, until)
    finally:
        for process in workers.values():
            process.kill()
        for connection, process in workers.items():
            process.join()
            connection.close()


def _answers(workers: list[Connection], jobs: Iterable[Any], until: float | None) -> Iterator[bytes]:
    waiting, given, taken = enumerate(jobs), 0, 0
    busy = dict.fromkeys(workers, 0)
    ready: dict[int, bytes] = {}
    # No worker runs far ahead of the consumer: answers are large.
    most = 4 * len(workers)
    while True:
        for worker in [one for _ in range(AHEAD) for one in workers]:
            if busy[worker] < AHEAD and given - taken < most and (job := next(waiting, None)) is not None:
                worker.send(job)
                busy[worker] += 1
                given += 1
        if given == taken:
            return
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return
        told = wait([one for one in workers if busy[one]], left)
        for worker in [one for one in workers if one in told]:
            try:
                index, answer = worker.recv()
            except (EOFError, OSError):
                raise MeasurementError(
                    "a simulating process was killed; if memory ran out, use fewer --workers"
                ) from None
            if isinstance(answer, Exception):
                raise answer
            busy[worker] -= 1
            ready[index] = answer
        while taken in ready:
            yield ready.pop(taken)
            taken += 1


def _serve(parent: Connection, make: Callable[[], Work], parent_pid: int) -> None:
    # The parent handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died already
        os._exit(1)
    work = make()
    while True:
        index, job = parent.recv()
        try:
            answer: bytes | Exception = work(job)
        except Exception as error:  # the parent raises it
            answer = error
        parent.send((index, answer))
