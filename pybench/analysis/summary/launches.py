# SPDX-License-Identifier: Apache-2.0
"""Summarise launch storms per cell, from the counters, phases and timelines of their trials."""

from collections.abc import Callable, Sequence

import msgspec

from pybench.results.records import Cell, Trial
from pybench.stats.estimate import NOTHING, Interval, interval_of, median_interval, percentiles_ns
from pybench.stats.ratios import ratio_interval

# The phases of a launch, in order; `clean` follows it.
PHASES = ("userns", "build", "overlay", "release", "clean")
# Role of bystanders -> the phase that times them.
BESIDE = {"readers": "read", "listers": "list", "walkers": "walk", "probers": "probe"}


class LaunchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One cell. Each Interval is the median over its valid trials, with its 95 % interval."""

    cell: Cell
    valid: int
    trials: int
    per_second: Interval
    container_ns: Interval
    """Wall time of the storm over the containers launched: the cost of one more container on this host."""
    p50_ns: Interval
    p99_ns: Interval
    max_ns: Interval
    success: float
    """Share of the containers launched within the deadline, over all trials without a flag."""
    failed: int
    late: int
    not_launched: int
    """Still waiting when the trial reached its deadline."""
    notes: dict[str, int]
    """First failure of a trial -> number of trials."""
    mount_operations: Interval
    """Per container, without its clean-up."""
    syscalls: Interval
    peak: Interval
    """Maximum length of the mount table; `base` of it was there before."""
    base: int
    phases: dict[str, tuple[Interval, Interval]]
    """Phase -> wall and on-CPU time per container, ns."""
    beside: dict[str, dict[str, Interval]]
    """Phase of the bystanders -> its p50, p99 (ns) and rate per second."""
    probes: int
    probes_late: int


def summarize_launches(cell: Cell, trials: Sequence[Trial]) -> LaunchSummary | None:
    """Return the summary of one cell, or None if no valid trial launched anything.

    A trial in which every launch failed has no times, but counts in the share of success.
    """
    valid = [t for t in trials if t.valid and t.outcome.members and t.outcome.counters.get("launched")]
    if not valid:
        return None

    told = [t for t in trials if t.outcome.members and not t.flags]

    def total(name: str) -> int:
        return sum(t.outcome.counters.get(name, 0) for t in told)

    simulated = any(t.simulated for t in valid)

    def each(figure: Callable[[Trial], float]) -> Interval:
        return interval_of([figure(t) for t in valid], drawn=simulated)

    def per_container(name: str) -> Interval:
        return each(lambda t: t.outcome.counters.get(name, 0) / attempted(t))

    def attempted(t: Trial) -> int:
        return t.outcome.counters.get("launched", 0) + t.outcome.counters.get("failed", 0)

    # The model counts no system calls, no mounts over time, and no CPU time by phase.
    notes: dict[str, int] = {}
    for t in told:
        if t.outcome.note:
            notes[t.outcome.note] = notes.get(t.outcome.note, 0) + 1
    wanted = len(told) * int(cell.params["containers"])
    return LaunchSummary(
        cell=cell,
        valid=len(valid),
        trials=len(trials),
        per_second=each(lambda t: _figure(t, "throughput")),
        container_ns=each(lambda t: 1e9 / _figure(t, "throughput")),
        p50_ns=each(lambda t: _figure(t, "p50_ns")),
        p99_ns=each(lambda t: _figure(t, "p99_ns")),
        max_ns=each(lambda t: _figure(t, "max_ns")),
        success=(total("launched") - total("late")) / wanted,
        failed=total("failed"),
        not_launched=wanted - total("launched") - total("failed"),
        late=total("late"),
        notes=notes,
        mount_operations=per_container("mount_operations"),
        syscalls=NOTHING if simulated else per_container("syscalls"),
        peak=NOTHING if simulated else each(lambda t: t.outcome.peak),
        base=valid[0].outcome.mounts_before,
        phases={
            name: (
                each(lambda t, name=name: t.outcome.phases[name].wall_ns / attempted(t)),  # type: ignore[misc]
                NOTHING if simulated else each(lambda t, name=name: t.outcome.phases[name].cpu_ns / attempted(t)),  # type: ignore[misc]
            )
            for name in PHASES
        },
        beside={phase: _beside(valid, phase) for phase in BESIDE.values() if phase in valid[0].outcome.phases},
        probes=total("probes"),
        probes_late=total("probes_late"),
    )


def _figure(trial: Trial, name: str) -> float:
    return float(getattr(trial.figures, name))


def _beside(trials: Sequence[Trial], phase: str) -> dict[str, Interval]:
    """Return p50, p99 and rate of bystanders; empty if every storm was over before their first call."""
    seen = [(t, t.outcome.phases[phase]) for t in trials if t.outcome.phases[phase].calls]
    if not seen:
        return {}
    both = [percentiles_ns(part, (0.5, 0.99)) for _, part in seen]
    spans = [max(t.outcome.members.stop_ns) / 1e9 for t, _ in seen if t.outcome.members]
    return {
        "p50": median_interval([p50 for p50, _ in both]),
        "p99": median_interval([p99 for _, p99 in both]),
        "rate": median_interval([part.calls / span for (_, part), span in zip(seen, spans, strict=True)]),
    }


def cost_ratio(slow: Sequence[Trial], fast: Sequence[Trial]) -> Interval:
    """Return the time per container of one cell over that of another, with its 95 % interval."""
    times = [[1 / _figure(t, "throughput") for t in trials if t.valid] for trials in (slow, fast)]
    return ratio_interval(times[0], times[1], drawn=any(t.simulated for t in [*slow, *fast]))
