# SPDX-License-Identifier: Apache-2.0
"""`--fail-if 'p99 > 5%'`: conditions on changes, and what the evidence says of them."""

import math
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from pybench.errors import UsageError
from pybench.results.metrics import metric
from pybench.stats.ratios import LEVEL, LogRatio, holm

State = Literal["shown", "ruled out", "unsure"]
GRAMMAR = "METRIC > PERCENT% or METRIC < -PERCENT%"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's change, in per cent of the base, beyond a bound."""

    text: str
    metric: str
    above: bool
    """True: greater than; False: less than."""
    percent: float

    @property
    def log_bound(self) -> float:
        """The ratio at the bound, as a logarithm."""
        return math.log1p(self.percent / 100)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A condition, and per comparison it was asked of what the evidence says, in the order of the cells."""

    condition: Condition
    states: list[State]

    def count(self, state: State) -> int:
        """Comparisons in that state."""
        return self.states.count(state)


def parse_condition(text: str) -> Condition:
    """A condition from its text. Raises UsageError naming how it is written."""
    match = re.fullmatch(r"\s*([a-z][\w.]*)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%\s*", text)
    if not match:
        raise UsageError(f"--fail-if {text!r} is no condition; write {GRAMMAR}, such as 'p99 > 5%'")
    percent = float(match[3])
    if percent <= -100:
        raise UsageError(f"--fail-if {text!r}: nothing falls by 100 % or more; write a bound above -100%")
    words = f"{metric(match[1]).name} {match[2]} {percent:g}%"
    return Condition(text=words, metric=match[1], above=match[2] == ">", percent=percent)


def judge(condition: Condition, ratios: Sequence[LogRatio]) -> Judged:
    """What the evidence says of a condition, corrected for as many ratios as it is asked of.

    `shown`: the whole interval lies beyond the bound; `ruled out`: it lies on the other side; else `unsure`.
    """
    bound, sign = condition.log_bound, 1 if condition.above else -1
    states: list[State] = ["unsure"] * len(ratios)
    told = [i for i, ratio in enumerate(ratios) if math.isfinite(ratio.log)]
    risks = [ratios[i].risk_beyond(bound) for i in told]
    beyond = [sign * (ratios[i].log - bound) > 0 for i in told]
    shown = holm([risk if over else 1.0 for risk, over in zip(risks, beyond, strict=True)])
    out = holm([1.0 if over else risk for risk, over in zip(risks, beyond, strict=True)])
    for i, is_shown, is_out in zip(told, shown, out, strict=True):
        if min(is_shown, is_out) <= 1 - LEVEL:
            states[i] = "shown" if is_shown < is_out else "ruled out"
    return Judged(condition=condition, states=states)
