"""One assumed number of a machine file varied over its range and far beyond: what it would take for a finding."""

from collections.abc import Sequence

import msgspec

from pybench.analysis.estimate import Interval
from pybench.claims.claim import Assumption, over_draws
from pybench.claims.lab import Lab
from pybench.claims.published import launches
from pybench.claims.simulation import Wish, simulate
from pybench.simulate.load import load_machine
from pybench.simulate.machine import Number

DRAWS = 2


def number(machine: str, name: str) -> Number:
    """A number of a shipped machine's file, by its dotted name."""
    found = load_machine(machine)
    return (found.times | found.launch)[name]


def scan(
    lab: Lab,
    wish: Wish,
    name: str,
    values: Sequence[float],
    *,
    says: str,
    figure: str,
    over: float | Sequence[float],
    containers: int,
    least: float | None = None,
    most: float | None = None,
    unit: str = " ns",
    known: Number | None = None,
) -> Assumption:
    """Simulate one storm of `wish` at each value of the number.

    The figure is the mean or p99 latency over `over`: a constant, or the same of another machine, draw by draw.
    """

    def make() -> list[tuple[float, Interval]]:
        lab.tell(f"varying {name} of {wish.machine}")
        params = wish.params | {"containers": (str(containers),)}
        one = [msgspec.structs.replace(wish, params=params, fixed=wish.fixed | {name: value}) for value in values]
        runs = simulate(one, seconds=0.0, seed=lab.seed, draws=DRAWS)
        tried = []
        for value, run in zip(values, runs, strict=True):
            found = launches(run, figure, containers=containers)
            base = [over] * len(found) if isinstance(over, float) else list(over)[: len(found)]
            tried.append((value, over_draws([a / b for a, b in zip(found, base, strict=False)])))
        return tried

    asked = known or number(wish.machine, name)
    tried = lab.once(f"scan {wish.machine} {name} {wish.smt} {wish.places} {wish.threads} {figure}", make)
    return Assumption(
        name=name, says=says, low=asked.low, high=asked.high, tried=tried, least=least, most=most, unit=unit
    )
