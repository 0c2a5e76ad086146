# SPDX-License-Identifier: Apache-2.0
"""The only access to the C core: one trial at a time, the core's tables, and its small timings.

Importing this package does not load the core. The first call does, and raises UnsupportedError with the fix if the
core is not built."""

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pybench.errors import UnsupportedError
from pybench.native.outcome import Handoffs, LockInfo, Members, Outcome, Phase, Status, TrialSpec

__all__ = [
    "Handoffs",
    "LockInfo",
    "Members",
    "Outcome",
    "Phase",
    "TrialSpec",
    "histogram_values",
    "locks",
    "mispredict_ns",
    "phases",
    "relax_ns",
    "run_trial",
    "simulated_locks",
    "workloads",
]

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


STATUSES: tuple[Status, ...] = ("ok", "unsupported", "failed", "interrupted")
CREWS = {"threads": 0, "processes": 1}
MEMORIES = {"local": 0, "bind": 1, "interleave": 2}


def run_trial(spec: TrialSpec) -> Outcome:
    """Run one trial and return how it ended; the calling thread sleeps meanwhile.

    Nothing of the crew is left when this returns. An interrupting signal ends the trial with status
    `interrupted`; the signal's Python handler runs on return. Raises UnsupportedError if the core is not
    built, and ValueError if the core refuses the spec.
    """
    core = load()
    ffi, lib = core.ffi, core.lib
    c_spec, keep = _to_c(ffi, spec)
    trial, error = ffi.new("struct pb_trial **"), ffi.new("struct pb_error *")
    try:
        code = lib.pb_trial_run(c_spec, trial, error)
        del keep
        if code:
            raise ValueError(error_text(error))
        return _outcome(ffi, lib, spec, trial[0])
    finally:
        lib.pb_trial_free(trial[0])


def _to_c(ffi: Any, spec: TrialSpec) -> tuple[Any, list[Any]]:
    workload = ffi.new("char[]", spec.workload.encode())
    cpus, nodes = ffi.new("int32_t[]", list(spec.cpus)), ffi.new("int32_t[]", list(spec.nodes))
    domains = ffi.new("int32_t[]", list(spec.domains)) if spec.domains else ffi.NULL
    if spec.domains and len(spec.domains) != len(spec.cpus):
        raise ValueError(f"{len(spec.domains)} domains for {len(spec.cpus)} members")
    params = ffi.new("struct pb_param[]", len(spec.params))
    for slot, (key, value) in zip(params, spec.params.items(), strict=True):
        slot.key = key.encode()
        if isinstance(value, str):
            if len(value.encode()) >= 256:
                raise ValueError(f"{key} is longer than 255 bytes")
            slot.text = value.encode()
        else:
            slot.number = value
    c_spec = ffi.new(
        "struct pb_spec *",
        {
            "workload": workload,
            "params": params,
            "n_params": len(spec.params),
            "crew": CREWS[spec.crew],
            "n_members": len(spec.cpus),
            "cpus": cpus,
            "domains": domains,
            "memory": MEMORIES[spec.memory],
            "nodes": nodes,
            "n_nodes": len(spec.nodes),
            "warmup_ns": spec.warmup_ns,
            "duration_ns": spec.duration_ns,
            "operations": spec.operations,
            "grace_ns": spec.grace_ns,
            "seed": spec.seed & (2**64 - 1),
        },
    )
    return c_spec, [workload, cpus, domains, nodes, params]


def _phase_roles(lib: Any, workload: str) -> list[tuple[str, int]]:
    """Return the phases in order, each with the role of the members that time it."""
    return [(name, lib.pb_phase_role(workload.encode(), i)) for i, name in enumerate(phases(workload))]


def _outcome(ffi: Any, lib: Any, spec: TrialSpec, trial: Any) -> Outcome:
    summary = lib.pb_trial_summary(trial)
    status = STATUSES[summary.status]
    if status != "ok":
        error = lib.pb_trial_error(trial)
        reason = "interrupted by a signal" if status == "interrupted" else error_text(error)
        return Outcome(status=status, reason=reason or "the crew died", tried=tried_call(error), errno=-error.code)
    members = [lib.pb_trial_member(trial, i) for i in range(summary.n_members)]
    counters = names(lib.pb_counter_name, spec.workload.encode())
    sums = {name: sum(member.counters[i] for member in members) for i, name in enumerate(counters)}
    error = lib.pb_trial_error(trial)
    points = lib.pb_trial_timeline(trial)
    return Outcome(
        status=status,
        note=error_text(error) if error.code else "",
        timeline=[[points[i].ns, points[i].value] for i in range(summary.timeline_points)],
        peak=summary.peak,
        members=members_of(members),
        handoffs=handoffs_of(ffi, lambda taker: lib.pb_trial_handoffs(trial, taker), summary.n_members),
        phases={
            name: phase_of(ffi, [lib.pb_trial_phase(trial, i, p) for i, m in enumerate(members) if m.role == role])
            for p, (name, role) in enumerate(_phase_roles(lib, spec.workload))
            if any(m.role == role for m in members)
        },
        counters={name: count for name, count in sums.items() if count},
        line_node=summary.line_node,
        line_node_after=summary.line_node_after,
        line_offset=summary.line_offset,
        line_page_bytes=summary.line_page_bytes,
        user_namespace=bool(summary.user_namespace),
        timer_ns=round(summary.timer_ns, 3),
        timer_step_ns=round(summary.timer_step_ns, 3),
        ns_per_tick=summary.ns_per_tick,
        setup_ns=summary.setup_ns,
        teardown_ns=summary.teardown_ns,
        mounts_before=summary.mounts_before,
        mounts_after=summary.mounts_after,
    )


def members_of(members: list[Any]) -> Members:
    first = min(member.start_ns for member in members)
    base = members[0].clock_start_ns
    seen = [[m.cpu_start, m.cpu_stop] for m in members]
    moved = any(pair != [m.cpu_asked, m.cpu_asked] for pair, m in zip(seen, members, strict=True))
    return Members(
        cpu=[m.cpu_asked for m in members],
        operations=[m.operations for m in members],
        start_ns=[m.start_ns - first for m in members],
        stop_ns=[m.stop_ns - first for m in members],
        cpu_ns=[m.cpu_ns for m in members],
        voluntary_switches=[m.voluntary_switches for m in members],
        involuntary_switches=[m.involuntary_switches for m in members],
        cpu_seen=seen if moved else [],
        role=[m.role for m in members] if any(m.role for m in members) else [],
        node=[m.node for m in members] if any(m.node >= 0 for m in members) else [],
        hold_ns=_column(members, "hold_ns"),
        hold_asked_ns=_column(members, "hold_asked_ns"),
        think_ns=_column(members, "think_ns"),
        think_asked_ns=_column(members, "think_asked_ns"),
        work_ns=[[round(m.work_before_ns, 1), round(m.work_after_ns, 1)] for m in members],
        clock_offset_ns=[[round(m.clock_start_ns - base, 1), round(m.clock_stop_ns - base, 1)] for m in members],
        waited_ns=_column(members, "waited_ns"),
        longest_wait_ns=_column(members, "longest_wait_ns"),
        longest_gap_ns=_column(members, "longest_gap_ns"),
        longest_streak=_column(members, "longest_streak"),
    )


def _column(members: list[Any], name: str) -> list[Any]:
    """A column, or nothing where it is 0 for all members."""
    values = [getattr(member, name) for member in members]
    values = [round(value, 3) if isinstance(value, float) else value for value in values]
    return values if any(values) else []


def handoffs_of(ffi: Any, row_of: Callable[[int], Any], count: int) -> Handoffs | None:
    entry = np.dtype([("count", "u8"), ("timed", "u8"), ("ns", "u8")])
    columns: list[list[int]] = [[], [], [], [], []]
    for taker in range(count):
        row = row_of(taker)
        if row == ffi.NULL:
            return None
        taken = np.frombuffer(ffi.buffer(row, count * entry.itemsize), dtype=entry)
        givers = np.flatnonzero(taken["count"])
        columns[0] += givers.tolist()
        columns[1] += [taker] * len(givers)
        for index, field in enumerate(("count", "timed", "ns"), 2):
            columns[index] += taken[field][givers].tolist()
    return Handoffs(*columns) if columns[0] else None


def phase_of(ffi: Any, parts: list[Any]) -> Phase:
    histograms = [np.frombuffer(ffi.buffer(part.histogram), dtype=np.uint64) for part in parts]
    counts = np.stack(histograms).sum(axis=0).astype(np.int64)
    filled = np.flatnonzero(counts)
    distances = np.diff(filled, prepend=0)
    return Phase(
        calls=sum(part.calls for part in parts),
        operations=sum(part.operations for part in parts),
        wall_ns=sum(part.wall_ns for part in parts),
        max_ns=max(part.max_ns for part in parts),
        histogram=np.column_stack((distances, counts[filled])).ravel().tolist(),
        cpu_operations=sum(part.cpu_operations for part in parts),
        cpu_ns=sum(part.cpu_ns for part in parts),
        cpu_wall_ns=sum(part.cpu_wall_ns for part in parts),
    )
