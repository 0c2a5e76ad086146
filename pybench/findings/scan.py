# SPDX-License-Identifier: Apache-2.0
"""One assumed number of a machine file varied over its range and far beyond: what it would take for a finding.

Everything else stands as in the files, for it is the one number whose say is looked for.
"""

from collections.abc import Callable, Sequence

import msgspec

from pybench.findings.claim import Assumption, exactly
from pybench.findings.lab import Lab
from pybench.findings.published import launches
from pybench.findings.simulation import Wish, simulate_as_they_stand
from pybench.simulator.machine import Number
from pybench.simulator.machine_file import load_machine

Figure = Callable[[list[float]], float]


def number(machine: str, name: str) -> Number:
    """A number of a shipped machine's file, by its dotted name."""
    found = load_machine(machine)
    return (found.times | found.launch)[name]


def scan(
    lab: Lab,
    wishes: Sequence[Wish],
    name: str,
    values: Sequence[float],
    figure: Figure,
    *,
    says: str,
    containers: int,
    latency: str = "mean",
    varied: Sequence[int] = (0,),
    least: float | None = None,
    most: float | None = None,
    unit: str = " ns",
    known: Number | None = None,
) -> Assumption:
    """Simulate storms at each value of a number of those wishes that are `varied`; `figure` makes of the latencies
    (`mean` or `p99`), one a wish, the finding's figure."""

    def make() -> list[tuple[float, list[float]]]:
        lab.tell(f"varying {name} of {wishes[varied[0]].machine}")
        storms = [
            msgspec.structs.replace(wish, params=wish.params | {"containers": (str(containers),)})
            for wish in wishes
        ]
        every = [
            msgspec.structs.replace(storm, fixed={name: value}) if index in varied else storm
            for value in values
            for index, storm in enumerate(storms)
        ]
        runs = iter(simulate_as_they_stand(every, lab.seed))
        return [
            (value, [launches(next(runs), latency, containers=containers)[0] for _ in storms]) for value in values
        ]

    asked = known or number(wishes[varied[0]].machine, name)
    found = lab.once(f"scan of {name} for: {says}", make)
    tried = [(value, exactly(figure(each))) for value, each in found]
    return Assumption(
        name=name, says=says, low=asked.low, high=asked.high, tried=tried, least=least, most=most, unit=unit
    )
