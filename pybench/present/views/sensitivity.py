# SPDX-License-Identifier: Apache-2.0
"""Which assumed number decides a simulation's answer, for the terminal."""

import math
from collections.abc import Iterable

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pybench.present.labels import settings, threads_word, varying
from pybench.present.numbers import count
from pybench.present.provenance import SIMULATED
from pybench.results.store import Results
from pybench.simulator.sensitivity import CellSensitivity, Influence, sensitivity

MOST_CELLS = 12
MOST_INPUTS = 4


def sensitivity_report(results: Results) -> Iterable[RenderableType]:
    """For the most threads of each series: which inputs move the throughput, and by how much."""
    cells = results.header.plan.cells
    largest: dict[tuple[str, ...], int] = {}
    names = varying(cells)
    for index, cell in enumerate(cells):
        own = settings(cell)
        key = (cell.workload, *(own.get(name, "") for name in names))
        if key not in largest or cells[largest[key]].threads < cell.threads:
            largest[key] = index
    found = sensitivity(results, list(largest.values()))
    if not found:
        yield Text("no cell has enough draws to tell what decides it")
        return
    yield Text(
        f"\n{SIMULATED}: which uncertain number decides the answer (throughput at the most threads)", style="bold"
    )
    for one in found[:MOST_CELLS]:
        yield _cell(one, names)
    if len(found) > MOST_CELLS:
        yield Text(f"and {len(found) - MOST_CELLS} more cells")
    yield Text(_verdict(found))
    yield Text(
        "rho: Spearman's rank correlation over the draws; share: of all inputs' squared correlations; effect: "
        "median figure of the third of draws with most of the input over that of the third with least. *: "
        "assumed.",
        style="dim",
    )


def _cell(one: CellSensitivity, names: list[str]) -> RenderableType:
    own = settings(one.cell)
    where = " ".join(f"{name}={own[name]}" for name in names if name in own)
    low, middle, high = one.spread
    heading = f"{one.cell.workload} {where} {threads_word(one.cell.threads)}".replace("  ", " ")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(
        f"{heading}: {count(middle)}/s, {count(low)} to {count(high)}",
        min_width=44,
        justify="left",
        overflow="fold",
    )
    for name in ("rho", "share", "effect"):
        table.add_column(name, justify="right")
    told = [influence for influence in one.inputs if influence.told][:MOST_INPUTS]
    for influence in told:
        table.add_row(
            Text(f"  {_input(influence)}"),
            f"{influence.rho:+.2f}",
            f"{influence.share:.0%}",
            "-" if math.isnan(influence.effect) else f"{influence.effect:.2f}x",
        )
    if not told:
        table.add_row("  no input: all correlations may be chance", "", "", "")
    return table


def _input(influence: Influence) -> str:
    low, high = influence.range
    return f"{influence.name}{'*' if influence.assumed else ''} ({low:.4g} to {high:.4g})"


def _verdict(found: list[CellSensitivity]) -> str:
    """One line: what decides most, over all cells shown, and whether anybody measured it."""
    shares: dict[str, list[float]] = {}
    known: dict[str, Influence] = {}
    for one in found:
        for influence in one.inputs:
            shares.setdefault(influence.name, []).append(influence.share if influence.told else 0.0)
            known[influence.name] = influence
    ranked = sorted(shares, key=lambda name: -sum(shares[name]))
    first = ranked[0]
    if sum(shares[first]) == 0.0:
        return "No input decides: what moves the figures is within chance."
    mean = sum(shares[first]) / len(found)
    assumed = next((name for name in ranked if known[name].assumed and sum(shares[name]) > 0.0), None)
    words = f"Decides most over these cells: {_input(known[first])}, {mean:.0%} of the spread on average."
    if assumed and assumed != first:
        of_it = sum(shares[assumed]) / len(found)
        words += f" Of what is assumed: {_input(known[assumed])}, {of_it:.0%}."
    return f"{words} Measuring it on the machine would narrow the answer most."
