# SPDX-License-Identifier: Apache-2.0
"""Caveats: every warning on results in one place. Each names its threshold, or what it saw, and the next step."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pybench.analysis.diagnosis.patterns import Pattern
from pybench.analysis.summary.series import CellSummary
from pybench.present.labels import bounded, is_storm, where
from pybench.present.numbers import count, share, time_ns
from pybench.results.records import Trial, varying
from pybench.run.checks import explain
from pybench.text import plural
from pybench.workloads import workload

OVERSUBSCRIBED = (
    "* more threads than CPUs: these threads share CPUs, so the cell is left out of the fits; use fewer --threads"
)
FEW_DRAWS = "±? one draw has no range; use more --draws"
FEW_TRIALS = "±? too few trials for a 95 % interval, which needs at least 6; use a longer --budget"
TRUNCATED = (
    "The last line of the file is incomplete and left out; continue a sweep with: pybench sweep --resume FILE"
)


def on_cells(cells: Sequence[CellSummary], *, simulated: bool) -> Iterator[str]:
    """Yield the caveats on cells: invalid and failed trials, modes and drift, and why intervals are missing."""
    flags: Counter[str] = Counter()
    for cell in cells:
        flags.update(cell.flags)
    yield from invalid_trials(flags)
    names = varying([cell.cell for cell in cells])
    for cell in cells:
        if cell.flags and not cell.valid:
            reasons = ", ".join(f"{flag} in {times}" for flag, times in cell.flags.items())
            yield f"{where(cell.cell, names)}: no valid trial of {cell.trials}, so no result: {reasons}"
        yield from (f"{where(cell.cell, names)}: {finding_words(finding)}" for finding in cell.findings)
    for cell in cells:
        for reason, times in cell.failures.items():
            yield f"{where(cell.cell, names)}: {plural(times, 'trial')} failed: {reason}"
    # A launch report lists these itself, by strategy.
    unsupported = {
        (cell.cell.workload, cell.unsupported): None
        for cell in cells
        if cell.unsupported and not is_storm(cell.cell)
    }
    yield from (f"{name}: unsupported here: {reason}" for name, reason in unsupported)
    if any(cell.cell.oversubscribed for cell in cells):
        yield OVERSUBSCRIBED
    if any(cell.valid and not cell.throughput.known for cell in cells):
        yield FEW_DRAWS if simulated else FEW_TRIALS


def invalid_trials(flags: Mapping[str, int]) -> Iterator[str]:
    """Yield a line for each validity check that failed, with the number of trials that failed it."""
    yield from (f"{plural(times, 'invalid trial')}: {explain(bounded(flag))}" for flag, times in flags.items())


def left_out(reasons: Iterable[str]) -> Iterator[str]:
    """Yield a line for each reason why a plan leaves cells out."""
    yield from (f"left out: {reason}" for reason in reasons)


def finding_words(finding: Pattern) -> str:
    """Return what a cell's trials show together, and the next step: `two modes: 17.2M/s in 12 trials, ...`."""
    if finding.name == "bimodal":
        low, low_count, high, high_count = finding.values
        words = f"two modes: {count(low)}/s in {low_count:.0f} trials, {count(high)}/s in {high_count:.0f}"
    elif finding.name == "handoff":
        least, most = finding.values
        words = (
            f"two modes: throughput follows the handoff time, {time_ns(least)} to {time_ns(most)} across trials"
        )
    else:
        (size,) = finding.values
        direction = "rose" if size > 0 else "fell"
        words = f"drift: throughput {direction} by {abs(size):.0%} from the first trial to the last"
    return f"{words}; {finding.next_step}"


def start_and_overlap(trials: Iterable[Trial]) -> str:
    """Return how well the threads of valid trials ran together; `` if no trial had two threads to compare."""
    seen = [
        t.evidence
        for t in trials
        if t.valid and t.evidence and t.threads > 1 and not workload(t.workload).ends_by_itself
    ]
    if not seen:
        return ""
    skews, overlaps = sorted(e.start_skew_ns for e in seen), sorted(e.overlap for e in seen)
    middle = len(seen) // 2
    return (
        f"Threads started within {time_ns(skews[middle])} of each other (median of {plural(len(seen), 'trial')}; "
        f"maximum {time_ns(skews[-1])}) and ran together for {overlaps[middle]:.2%} of a trial "
        f"(minimum {overlaps[0]:.2%})."
    )


def validity(trials: Sequence[Trial], *, suspect: float) -> tuple[str, float]:
    """Return how many trials are invalid and why, and their share; beyond `suspect` with what to do about it."""
    flagged, failed = sum(bool(t.flags) for t in trials), sum(t.figures is None for t in trials)
    if not flagged and not failed:
        return f"All {len(trials)} trials passed every validity check.", 0.0
    checks = Counter(flag for t in trials for flag in t.flags)
    why = f" ({', '.join(f'{flag} {n}' for flag, n in checks.most_common())})" if checks else ""
    words = f"{flagged} of {plural(len(trials), 'trial')} ({flagged / len(trials):.0%}) are invalid{why}"
    words += f"; {failed} gave no result" if failed else ""
    part = (flagged + failed) / len(trials)
    words += (
        f". More than {share(suspect)} means a disturbed host: repeat it when idle." if part > suspect else "."
    )
    return words, part
