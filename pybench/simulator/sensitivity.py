# SPDX-License-Identifier: Apache-2.0
"""The uncertain inputs of a simulation that decide its results, by rank correlations over the draws."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.stats import spearmanr

from pybench.errors import UsageError
from pybench.results.records import Cell, InputRange
from pybench.results.store import Results
from pybench.simulator.draws import draw
from pybench.stats.estimate import Floats

LEAST_DRAWS = 10


class Influence(msgspec.Struct, frozen=True, kw_only=True):
    """The influence of one input on one result of one cell."""

    name: str
    rho: float
    """Spearman's rank correlation of the input and the result."""
    share: float
    """Of the squares of all inputs' correlations: about this input's share of the result's spread."""
    effect: float
    """Median result of the third of draws with the largest input over that of the third with the smallest."""
    told: bool
    """False if a correlation this small may be chance."""
    assumed: bool
    range: tuple[float, float]
    """Of the input; of a transfer its median's."""


class CellSensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: its result's spread over the draws, and the inputs that make it, the strongest first."""

    index: int
    cell: Cell
    metric: str
    spread: tuple[float, float, float]
    """Central 95 % of draws and their median: low, median, high."""
    inputs: list[Influence]


def sensitivity(
    results: Results, cells: Sequence[int] | None = None, metric: str = "throughput"
) -> list[CellSensitivity]:
    """Return the inputs that decide `metric`, a field of `trial.figures`, in `cells` (None: all) of a simulation.

    The draws are made again from the header's seed. UsageError: a measured file, too few draws.
    """
    told = results.header.simulated
    if told is None:
        raise UsageError(f"{results.path} was measured: only a simulation has inputs to draw")
    if told.draws < LEAST_DRAWS:
        raise UsageError(
            f"{told.draws} draws are too few to rank inputs; simulate with --draws {LEAST_DRAWS} or more"
        )
    shares = draw(told.drawn, told.draws, told.seed)
    wanted = range(len(results.header.plan.cells)) if cells is None else cells
    found = []
    for index in wanted:
        values = {
            t.repeat: float(getattr(t.figures, metric)) for t in results.trials if t.cell == index and t.figures
        }
        if len(values) < LEAST_DRAWS:
            continue
        y = np.array(list(values.values()))
        inputs = []
        for name in told.drawn:
            x = np.array([shares[repeat][name] for repeat in values])
            inputs.append((name, x, _rho(x, y)))
        total = sum(rho * rho for _, _, rho in inputs) or 1.0
        # Of independent ranks about one in twenty correlations is larger, over all inputs together.
        chance = _chance(len(values), len(inputs))
        low, middle, high = (float(q) for q in np.quantile(y, (0.025, 0.5, 0.975)))
        found.append(
            CellSensitivity(
                index=index,
                cell=results.header.plan.cells[index],
                metric=metric,
                spread=(low, middle, high),
                inputs=sorted(
                    (
                        Influence(
                            name=name,
                            rho=rho,
                            share=rho * rho / total,
                            effect=_effect(x, y),
                            told=abs(rho) > chance,
                            assumed=_number(told.inputs, name).source.startswith("assumed"),
                            range=(_number(told.inputs, name).low, _number(told.inputs, name).high),
                        )
                        for name, x, rho in inputs
                    ),
                    key=lambda one: -abs(one.rho),
                ),
            )
        )
    return found


def _number(inputs: dict[str, InputRange], name: str) -> InputRange:
    return inputs[f"{name}.median"] if name.startswith("transfer.") else inputs[name]


def _rho(x: Floats, y: Floats) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(spearmanr(x, y).statistic)


def _chance(draws: int, inputs: int) -> float:
    """Return the correlation that one of `inputs` without influence exceeds in 5 % (Bonferroni, normal)."""
    from scipy.special import ndtri

    return float(ndtri(1 - 0.05 / (2 * max(inputs, 1)))) / math.sqrt(max(draws - 1, 1))


def _effect(x: Floats, y: Floats) -> float:
    upper, lower = y[x >= 2 / 3], y[x < 1 / 3]
    if not upper.size or not lower.size or np.median(lower) <= 0:
        return math.nan
    return float(np.median(upper) / np.median(lower))
