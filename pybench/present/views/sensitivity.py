# SPDX-License-Identifier: Apache-2.0
"""Sensitivity of a simulation: which uncertain input decides its answer."""

from pybench.present.document import Block, Column, Content, Document, Heading, Paragraph, Table, note
from pybench.present.labels import SIMULATED, where
from pybench.present.numbers import count
from pybench.results.records import settings, varying
from pybench.results.store import Results
from pybench.simulator.sensitivity import CellSensitivity, Influence, sensitivity

MOST_CELLS = 12
MOST_INPUTS = 4


def sensitivity_report(results: Results) -> Document:
    """Return, for the largest thread count of each series, which inputs move the throughput and by how much."""
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
        return Document([Paragraph("No cell has enough draws for a sensitivity; use more --draws.")])
    blocks: list[Block] = [
        Heading(f"{SIMULATED}: sensitivity of throughput to the uncertain inputs, at the largest thread count"),
        *(_cell(one, names) for one in found[:MOST_CELLS]),
    ]
    if len(found) > MOST_CELLS:
        blocks.append(Paragraph(f"and {len(found) - MOST_CELLS} more cells"))
    return Document(
        [
            *blocks,
            Paragraph(_verdict(found)),
            note(
                "rho: Spearman's rank correlation over the draws. share: of all inputs' squared correlations. "
                "effect: median throughput of the third of draws with the largest input over that of the third "
                "with the smallest. *: assumed."
            ),
        ]
    )


def _cell(one: CellSensitivity, names: list[str]) -> Table:
    low, middle, high = one.spread
    rows: list[list[Content]] = [
        [f"  {_input(influence)}", influence.rho, influence.share, influence.effect]
        for influence in [influence for influence in one.inputs if influence.told][:MOST_INPUTS]
    ]
    return Table(
        "sensitivity",
        [Column("input"), Column("rho", "signed"), Column("share", "percent"), Column("effect", "factor")],
        rows or [["  no input: all correlations may be chance", None, None, None]],
        title=f"{where(one.cell, names)}: {count(middle)}/s, {count(low)} to {count(high)}",
    )


def _input(influence: Influence) -> str:
    low, high = influence.range
    return f"{influence.name}{'*' if influence.assumed else ''} ({low:.4g} to {high:.4g})"


def _verdict(found: list[CellSensitivity]) -> str:
    """Return which input decides most over all cells, and which assumed one."""
    shares: dict[str, list[float]] = {}
    known: dict[str, Influence] = {}
    for one in found:
        for influence in one.inputs:
            shares.setdefault(influence.name, []).append(influence.share if influence.told else 0.0)
            known[influence.name] = influence
    ranked = sorted(shares, key=lambda name: -sum(shares[name]))
    first = ranked[0]
    if sum(shares[first]) == 0.0:
        return "No input decides: all correlations may be chance."
    mean = sum(shares[first]) / len(found)
    assumed = next((name for name in ranked if known[name].assumed and sum(shares[name]) > 0.0), None)
    words = f"Decides most over these cells: {_input(known[first])}, {mean:.0%} of the spread on average."
    if assumed and assumed != first:
        of_it = sum(shares[assumed]) / len(found)
        words += f" Of the assumed inputs: {_input(known[assumed])}, {of_it:.0%}."
    return f"{words} Measuring it on the machine would narrow the answer most."
