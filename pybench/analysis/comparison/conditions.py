# SPDX-License-Identifier: Apache-2.0
"""Conditions on changes, `--fail-if 'p99 > 5%'`, and whether the trials show them."""

import math
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from pybench.errors import UsageError
from pybench.results.columns import metric
from pybench.stats.ratios import LEVEL, LogRatio, holm

State = Literal["shown", "ruled out", "unsure"]
GRAMMAR = "METRIC > PERCENT% or METRIC < -PERCENT%"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a metric beyond a bound, in percent of the baseline."""

    text: str
    metric: str
    above: bool
    """True: greater than the bound; False: less than it."""
    percent: float

    @property
    def log_bound(self) -> float:
        """Return the ratio at the bound, as a logarithm."""
        return math.log1p(self.percent / 100)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A condition, and its state for each comparison, in the order of the cells."""

    condition: Condition
    states: list[State]

    def count(self, state: State) -> int:
        """Return the number of comparisons in that state."""
        return self.states.count(state)


def parse_condition(text: str) -> Condition:
    """Return a condition from its text. UsageError with the grammar if it is not one."""
    match = re.fullmatch(r"\s*([a-z][\w.]*)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%\s*", text)
    if not match:
        raise UsageError(f"--fail-if {text!r} is not a condition; write {GRAMMAR}, such as 'p99 > 5%'")
    percent = float(match[3])
    if percent <= -100:
        raise UsageError(f"--fail-if {text!r}: a value cannot fall by 100 % or more; write a bound above -100%")
    words = f"{metric(match[1]).name} {match[2]} {percent:g}%"
    return Condition(text=words, metric=match[1], above=match[2] == ">", percent=percent)


def judge(condition: Condition, ratios: Sequence[LogRatio]) -> Judged:
    """Return the state of a condition for each ratio, corrected for their number.

    `shown`: the whole interval lies beyond the bound; `ruled out`: it lies on the other side; else `unsure`.
    """
    bound, sign = condition.log_bound, 1 if condition.above else -1
    states: list[State] = ["unsure"] * len(ratios)
    known = [i for i, ratio in enumerate(ratios) if math.isfinite(ratio.log)]
    risks = [ratios[i].risk_beyond(bound) for i in known]
    beyond = [sign * (ratios[i].log - bound) > 0 for i in known]
    shown = holm([risk if over else 1.0 for risk, over in zip(risks, beyond, strict=True)])
    out = holm([1.0 if over else risk for risk, over in zip(risks, beyond, strict=True)])
    for i, is_shown, is_out in zip(known, shown, out, strict=True):
        if min(is_shown, is_out) <= 1 - LEVEL:
            states[i] = "shown" if is_shown < is_out else "ruled out"
    return Judged(condition=condition, states=states)
