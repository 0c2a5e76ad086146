# SPDX-License-Identifier: Apache-2.0
"""Handoffs of a cell's valid trials: shares and times by distance, streaks, and waits."""

from collections.abc import Iterable, Sequence

import msgspec

from pybench.host.topology import DISTANCES, Distance
from pybench.results.records import Trial
from pybench.stats.estimate import Interval, interval_of


class DistanceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Handoffs of one distance: medians over the trials that had any, with 95 % intervals."""

    distance: Distance
    share: Interval
    """Share of all handoffs."""
    mean_ns: Interval
    """Time from the giver's release to the taker holding the guarded line, ns; n is 0 if none was timed."""
    transfers: Interval
    """The same in line transfers measured shortly before each trial; n is 0 if none was measured."""


class HandoffSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The handoffs of a cell."""

    kept: Interval
    """Share of operations that are reacquisitions: the member had the lock before."""
    longest_streak: Interval
    """Longest streak of any member in a trial, operations."""
    longest_wait_ns: Interval
    """Longest timed wait of any member in a trial."""
    longest_gap_ns: Interval
    """Upper bound of any member's wait, timed or not."""
    distances: list[DistanceSummary]
    """From near to far."""


def summarize_handoffs(trials: Iterable[Trial]) -> HandoffSummary | None:
    """Return the handoffs of the valid trials of one cell; None if they have none."""
    told = [t for t in trials if t.valid and t.handoffs and t.outcome.members and t.outcome.members.longest_streak]
    if not told:
        return None
    simulated = any(t.simulated for t in told)

    def estimate(samples: Sequence[float]) -> Interval:
        return interval_of(samples, drawn=simulated)

    totals = [sum(h.count for h in t.handoffs) for t in told]
    members = [t.outcome.members for t in told if t.outcome.members]
    distances = []
    for distance in DISTANCES:
        own = [
            (h, total) for t, total in zip(told, totals, strict=True) for h in t.handoffs if h.distance == distance
        ]
        if own:
            distances.append(
                DistanceSummary(
                    distance=distance,
                    share=estimate([h.count / total for h, total in own]),
                    mean_ns=estimate([h.mean_ns for h, _ in own if h.timed]),
                    transfers=estimate([h.mean_ns / h.transfer_ns for h, _ in own if h.timed and h.transfer_ns]),
                )
            )
    return HandoffSummary(
        kept=estimate([1 - n / sum(m.operations) for n, m in zip(totals, members, strict=True)]),
        longest_streak=estimate([max(m.longest_streak) for m in members]),
        longest_wait_ns=estimate([max(m.longest_wait_ns, default=0) for m in members]),
        longest_gap_ns=estimate([max(m.longest_gap_ns, default=0) for m in members]),
        distances=distances,
    )
