# SPDX-License-Identifier: Apache-2.0
"""When a cell's trials allow no conclusion: not that it is slow, nor that it is not."""

from collections import Counter
from collections.abc import Sequence

from pybench.results.records import Plan, Trial
from pybench.run.checks import explain

MOST_FLAGGED = 0.2
"""Share of flagged trials. They are repeated, so one is no harm; but where many are, whatever disturbed them
may have touched the others too, below the threshold of a check."""


def why_inconclusive(plan: Plan, trials: Sequence[Trial]) -> str:
    """Why these trials of one cell are no ground for a verdict, and what to do; empty if they are.

    Inconclusive are fewer valid trials than the plan's least, and more flagged ones than MOST_FLAGGED of all.
    """
    valid = sum(trial.valid for trial in trials)
    flags = Counter(flag for trial in trials for flag in trial.flags)
    flagged = sum(bool(trial.flags) for trial in trials)
    failed = [trial.outcome for trial in trials if trial.figures is None]
    because = f"; {explain(flags.most_common(1)[0][0])}" if flags else ""
    if failed and not because:
        because = f"; {len(failed)} failed: {failed[0].reason or failed[0].note}"
    if valid < plan.min_trials:
        hint = "" if because else "; give it more time (budget)"
        return f"{valid} valid trials of {len(trials)}, {plan.min_trials} are needed{because}{hint}"
    if flagged > MOST_FLAGGED * len(trials):
        return f"{flagged} of {len(trials)} trials were flagged, more than {MOST_FLAGGED:.0%}{because}"
    return ""
