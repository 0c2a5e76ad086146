# SPDX-License-Identifier: Apache-2.0
"""Draws of the uncertain inputs from their ranges: a quantile of each input, the same in every cell."""

import random
from collections.abc import Mapping

from pybench.simulator.machine import Machine

Shares = dict[str, float]


def uncertain(machine: Machine, launch: bool = False) -> list[str]:
    """Return the names of the inputs that have a range. The percentiles of a transfer are one input."""
    names = [
        f"transfer.{distance}"
        for distance, spread in machine.transfer.items()
        if not (spread.p5.exact and spread.median.exact and spread.p95.exact)
    ]
    wanted = machine.times | (machine.launch if launch else {})
    # The engine does not use these.
    unused = {"core.clock_ghz"} | (set() if launch else {"core.speed"})
    return names + [name for name, number in wanted.items() if not number.exact and name not in unused]


def draw(names: list[str], draws: int, seed: int) -> list[Shares]:
    """Return `draws` draws of a quantile, 0 to 1, for each input in `names`.

    A Latin hypercube: over the draws each input takes every one of as many equally likely slices of its range once
    (McKay, Beckman, Conover, Technometrics 21 (1979) 239-245), so that few draws cover it. Each input has a stream
    of its own by its name: one input more changes no other. A single draw leaves every input at its value.
    """
    if draws == 1:
        return [{}]
    columns: Mapping[str, list[float]] = {name: _column(name, draws, seed) for name in names}
    return [{name: column[i] for name, column in columns.items()} for i in range(draws)]


def _column(name: str, draws: int, seed: int) -> list[float]:
    chance = random.Random(f"{seed}:{name}")
    slices = list(range(draws))
    chance.shuffle(slices)
    return [(slot + chance.random()) / draws for slot in slices]
