# SPDX-License-Identifier: Apache-2.0
"""Decide whether the trials of a cell allow a conclusion."""

from collections import Counter
from collections.abc import Sequence

from pybench.results.records import Plan, Trial
from pybench.run.checks import explain

MOST_FLAGGED = 0.2
"""Maximum share of invalid trials. They are repeated, so one does no harm; but many mean a disturbance that may
have affected other trials too, below the threshold of a check."""


def why_inconclusive(plan: Plan, trials: Sequence[Trial]) -> str:
    """Return why the trials of one cell do not allow a verdict, and what to do; empty if they do.

    They do not if fewer are valid than the plan's minimum, or if more than MOST_FLAGGED of all are flagged.
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
