# SPDX-License-Identifier: Apache-2.0
"""The loaded C core, its tables of workloads, phases and locks, and its small timings."""

import functools
import importlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pybench.errors import UnsupportedError
from pybench.native.outcome import LockInfo

ABI = 6


@functools.cache
def load() -> Any:
    """Load the C core, once, and return its cffi module.

    Raises UnsupportedError if it is not built, or built for another version of this package.
    """
    try:
        core = importlib.import_module("pybench.native._core")
    except ImportError as error:
        raise UnsupportedError(
            f"the native core does not load ({error}); build it with a C compiler: pip install -e ."
        ) from error
    if core.lib.pb_abi() != ABI:
        raise UnsupportedError("the native core is of another version; build it again: pip install -e .")
    return core


def names(lookup: Any, *arguments: Any) -> Iterator[str]:
    """Yield the names of one of the core's tables, in order."""
    ffi = load().ffi
    index = 0
    while (name := lookup(*arguments, index)) != ffi.NULL:
        yield ffi.string(name).decode()
        index += 1


def error_text(error: Any) -> str:
    """Return a `struct pb_error` as one line: what was tried, on what, and the errno's meaning."""
    ffi = load().ffi
    tried, subject = tried_call(error), ffi.string(error.subject).decode(errors="replace")
    text = f"{tried}: {subject}" if subject else tried
    return f"{text}: {os.strerror(-error.code)}" if error.code else text


def tried_call(error: Any) -> str:
    """Return the call that a `struct pb_error` is about."""
    text: str = load().ffi.string(error.tried).decode(errors="replace")
    return text


@functools.cache
def locks() -> dict[str, LockInfo]:
    """Return the core's locks by name, in the order of its table (csrc/locks/locks.def)."""
    core = load()
    found: dict[str, LockInfo] = {}
    while (info := core.lib.pb_lock_info(len(found))) != core.ffi.NULL:
        lock = _lock_info(core.ffi, info)
        found[lock.name] = lock
    return found


def _lock_info(ffi: Any, info: Any) -> LockInfo:
    def text(field: Any) -> str:
        return str(ffi.string(field).decode())

    return LockInfo(
        name=text(info.name),
        family=text(info.family),
        space=text(info.space),
        fairness=text(info.fairness),
        waiting=text(info.waiting),
        source=text(info.source),
        most_members=info.most_members,
        numa=bool(info.numa),
        readers=bool(info.readers),
        excludes=bool(info.excludes),
        shares_line=bool(info.shares_line),
    )


@functools.cache
def simulated_locks() -> tuple[str, ...]:
    """Return the names of the locks that the simulator has programs for, in the order of its table."""
    return tuple(names(load().lib.pb_sim_lock_name))


def workloads() -> list[str]:
    """Return the names of the core's workloads."""
    return list(names(load().lib.pb_workload_name))


def phases(workload: str) -> list[str]:
    """Return the names of the timed parts of a workload's operation, in order."""
    return list(names(load().lib.pb_phase_name, workload.encode()))


@functools.cache
def histogram_values() -> npt.NDArray[np.float64]:
    """Return the middle of each histogram bucket in ns, ascending: exact below 128 ns, within 0.8 % above."""
    lib = load().lib
    return np.array([lib.pb_histogram_value(i) for i in range(lib.PB_HISTOGRAM_BUCKETS)])


def relax_ns() -> float:
    """Measure one pause of a waiting loop (PAUSE, ISB) on the current CPU, in ns; takes about 2 ms."""
    return float(load().lib.pb_relax_ns())


def mispredict_ns() -> float:
    """Measure the cost of a mispredicted branch on the current CPU, in ns; takes about 25 ms."""
    return float(load().lib.pb_mispredict_ns())
