# SPDX-License-Identifier: Apache-2.0
"""Vary one assumed number of a machine over its range and far beyond: which values would reproduce a claim?

Every other number keeps its nominal value, so that the result shows the effect of this one alone.
"""

from collections.abc import Callable, Sequence

import msgspec

from pybench.api.toolkit.scenarios import Number, Scenario, machine_number, simulate_nominal
from pybench.findings.experiments.host_experiments import Experiments
from pybench.findings.experiments.samples import launches
from pybench.findings.verdict import Assumption, exactly


def vary(
    experiments: Experiments,
    scenarios: Sequence[Scenario],
    name: str,
    values: Sequence[float],
    result: Callable[[list[float]], float],
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
    """Simulate launch storms at each value of a number, in the scenarios whose indices are in `varied`.

    `result` computes the value of the claim's check from the latencies (`mean` or `p99`, ns), one per scenario.
    `known` is the number, if it is not of the first varied scenario's machine.
    """

    def make() -> list[tuple[float, list[float]]]:
        experiments.tell(f"varying {name} of {scenarios[varied[0]].machine}")
        storms = [
            msgspec.structs.replace(scenario, params=scenario.params | {"containers": (str(containers),)})
            for scenario in scenarios
        ]
        every = [
            msgspec.structs.replace(storm, fixed={name: value}) if index in varied else storm
            for value in values
            for index, storm in enumerate(storms)
        ]
        runs = iter(simulate_nominal(every, experiments.seed))
        return [
            (value, [launches(next(runs), latency, containers=containers)[0] for _ in storms]) for value in values
        ]

    number = known or machine_number(scenarios[varied[0]].machine, name)
    found = experiments.once(f"scan of {name} for: {says}", make)
    tried = [(value, exactly(result(each))) for value, each in found]
    return Assumption(
        name=name, says=says, low=number.low, high=number.high, tried=tried, least=least, most=most, unit=unit
    )
