# SPDX-License-Identifier: Apache-2.0
"""The USL with knees: contention or coherency that changes where threads cross a border of the topology.

    X(N) = gamma N / cost(N),  cost(N) = 1 + alpha (N-1) + beta N (N-1)

is kept, but beyond a border b one of the two costs grows at another rate: with a knee of contention

    cost(N) = 1 + alpha (min(N, b) - 1) + alpha2 max(N - b, 0) + beta N (N-1)

and with a knee of coherency, m = min(N, b),

    cost(N) = 1 + alpha (N-1) + beta m (m-1) + beta2 (N (N-1) - m (m-1)).

The curve is continuous, and equal rates give back the USL.

Which borders, and which of the two costs, is chosen by AICc among the topology's borders that lie within the
measured thread counts; AICc charges for the number of forms it was chosen from (see `akaike`).
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Literal

import numpy as np

from pybench.analysis.scaling.akaike import aicc
from pybench.analysis.scaling.cost_model import CostModel, percent, says_coherency, says_serial
from pybench.analysis.scaling.model import Facts, LevelMeans, LogProblem, Model, ModelParameter, gamma
from pybench.analysis.scaling.thread_counts import Border
from pybench.stats.estimate import Floats, Interval

Kind = Literal["contention", "coherency"]

MOST_KNEES = 2
SYMBOLS: dict[Kind, str] = {"contention": "alpha", "coherency": "beta"}
MOST_COST = 1e3  # of a thread beyond a knee, in one thread's work


class KneedUsl(CostModel):
    """The USL with one or more knees of one kind, or (no knees given) the choice among ``borders``."""

    name = "knees"
    short = "knees"
    place = 3
    title = "the USL with knees"
    formula = "X(N) = gamma N / cost(N); contention alpha or coherency beta changes past a border, continuously"
    source = "the USL, its cost piecewise at the borders of the topology"

    def __init__(
        self, borders: Sequence[Border], at: Sequence[Border] = (), kind: Kind = "contention", choices: int = 1
    ) -> None:
        """Make the model; ``borders`` are the candidates, ``at`` those that became knees of ``kind``."""
        self.borders = tuple(borders)
        self.at = tuple(at) or self.borders[:1]
        self.kind: Kind = kind
        self._choices = choices
        parameters = [gamma()]
        for symbol in ("alpha", "beta"):
            parameters.append(ModelParameter(symbol, "share", 0.0, 1.0))
            if symbol == SYMBOLS[kind]:
                more = range(2, len(self.at) + 2)
                parameters += [ModelParameter(f"{symbol}{segment}", "share", 0.0, MOST_COST) for segment in more]
        self.parameters = tuple(parameters)

    @classmethod
    def make(cls, borders: Sequence[Border]) -> Model | None:
        """Return the choice among ``borders``; None without any."""
        return cls(borders) if borders else None

    def terms(self, threads: Floats) -> Floats:
        """Return the segments' parts of N - 1 and of N (N - 1)."""
        edges = [1.0, *(float(b) for b, _ in self.at), np.inf]

        def parts(kind: Kind) -> list[Floats]:
            pairs = kind == "coherency"
            pieces = list(pairwise(edges)) if kind == self.kind else [(1.0, np.inf)]
            found = []
            for low, high in pieces:
                n = np.clip(threads, low, high)
                found.append(n * (n - 1) - low * (low - 1) if pairs else n - low)
            return found

        return np.column_stack([*parts("contention"), *parts("coherency")])

    def fit(self, levels: LevelMeans, near: Sequence[Floats] = ()) -> tuple[Model, Floats, float]:
        """Try one knee of either kind at each candidate, then a second next to the best; return the least AICc."""
        choices = {count: 2 * len(list(combinations(self.borders, count))) for count in range(1, MOST_KNEES + 1)}
        best: tuple[float, KneedUsl, Floats, float] | None = None
        for count in range(1, MOST_KNEES + 1):
            before = best
            for at in combinations(self.borders, count):
                if before and not set(before[1].at) & set(at):
                    continue
                for kind in SYMBOLS:
                    form = KneedUsl(self.borders, at, kind, choices[count])
                    if form.levels_needed() > levels.size + (count == 1):
                        continue
                    theta, least = LogProblem(form, levels).solve(form.starts(levels))
                    score = aicc(least, levels, form)
                    # With too few thread counts for AICc, the fit alone decides where the knee is.
                    score = (1e6 + least) if score is None else score
                    if best is None or score < best[0]:
                        best = (score, form, theta, least)
        if best is None:
            raise ValueError("no form of the model has the thread counts it needs")
        return best[1:]

    @property
    def choices(self) -> int:
        """Return the number of forms with the same number of knees."""
        return self._choices

    @property
    def label(self) -> str:
        """Return the title with the knees."""
        where = " and ".join(str(b) for b, _ in self.at)
        return f"the USL with {'a knee' if len(self.at) == 1 else 'knees'} of {self.kind} at {where}"

    @property
    def knees(self) -> list[tuple[int, str]]:
        """Return the chosen borders."""
        return list(self.at)

    def says(self, facts: Facts) -> list[str]:
        """Return the first segment's costs as for the USL, then how each border changes them."""
        symbol = SYMBOLS[self.kind]
        said = []
        alpha, beta = facts.parameters["alpha"], facts.parameters["beta"]
        for kind, words in (("contention", says_serial(alpha)), ("coherency", says_coherency(beta))):
            inside = f"Up to {self.at[0][0]} threads: {words[0].lower()}{words[1:]}"
            said.append(inside if kind == self.kind else words)
        for segment, (b, what) in enumerate(self.at, start=2):
            previous = symbol if segment == 2 else f"{symbol}{segment - 1}"
            said.append(_says_knee(facts, self.kind, (b, what), previous, f"{symbol}{segment}"))
        return said

    def caveats(self, facts: Facts) -> list[str]:
        """Return a caveat for each knee whose intervals overlap."""
        symbol = SYMBOLS[self.kind]
        said = []
        for segment, (b, _) in enumerate(self.at, start=2):
            previous = symbol if segment == 2 else f"{symbol}{segment - 1}"
            one, two = facts.parameters[previous], facts.parameters[f"{symbol}{segment}"]
            if one.low <= two.high and two.low <= one.high:
                said.append(f"{self.kind} beyond {b} threads may equal that before: there may be no knee")
        if self._choices > 1:
            said.append(
                f"the knee was chosen among {self._choices} forms, and its intervals take that choice as given"
            )
        return said


def _says_knee(facts: Facts, kind: Kind, border: Border, before: str, after: str) -> str:
    b, what = border
    reason = f" ({what})" if what else ""
    one, two = facts.parameters[before], facts.parameters[after]
    ratio = _ratio(facts, before, after)
    each = "an added thread" if kind == "contention" else "an added pair"
    if ratio is None or not np.isfinite(ratio.high) or ratio.low <= 0:
        return (
            f"Beyond the border at {b} threads{reason} {each} costs {percent(two.value)} % of one thread's work "
            f"[{percent(two.low)}, {percent(two.high)}], before it {percent(one.value)} % "
            f"[{percent(one.low)}, {percent(one.high)}]."
        )
    verb = "grows" if ratio.value > 1 else "falls to"
    return (
        f"Beyond the border at {b} threads{reason} {kind} {verb} {ratio.value:.2g}x "
        f"[{ratio.low:.2g}, {ratio.high:.2g}]: {each} costs {percent(two.value)} % of one thread's work."
    )


def _ratio(facts: Facts, before: str, after: str) -> Interval | None:
    one, two = np.array(facts.draws[before]), np.array(facts.draws[after])
    value = facts.parameters[before].value
    if value <= 0 or one.size == 0 or (one <= 0).mean() > 0.02:
        return None
    ratios = np.divide(two, one, out=np.full(two.size, np.inf), where=one > 0)
    low, high = np.quantile(ratios, (0.025, 0.975), method="nearest")
    middle = facts.parameters[after].value / value
    return Interval(middle, min(float(low), middle), max(float(high), middle), int(one.size))
