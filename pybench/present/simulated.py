# SPDX-License-Identifier: Apache-2.0
"""What must stand over everything that was made of a simulation: that it is one, of which machine, how sure."""

from collections.abc import Iterable, Sequence

from pybench.results.records import Header

WORD = "SIMULATED"
"""Stands in every table, chart, page and export made of a simulation."""


def banner(header: Header) -> str:
    """One or two lines over tables; empty if the file was measured."""
    told = header.simulated
    if told is None:
        return ""
    assumed = [name for name, one in told.inputs.items() if one.source.startswith("assumed")]
    drawn = (
        f"{told.draws} draws of {len(told.drawn)} uncertain inputs"
        if told.draws > 1
        else "one draw: every input as it stands, so no interval"
    )
    steps = f"; launch steps of {told.steps}" if told.steps else ""
    return (
        f"{WORD}, not measured: {told.title}\n"
        f"{drawn} ({len(assumed)} of {len(told.inputs)} numbers are assumed); "
        f"seed {told.seed}, engine {told.engine}, machine file {told.digest}{steps}"
    )


def short(header: Header) -> str:
    """`simulated r5.metal` or empty: for labels and titles."""
    return f"simulated {header.simulated.machine}" if header.simulated else ""


def title(headers: Iterable[Header]) -> str:
    """For charts: `SIMULATED r5.metal`, or of which files some were; empty if all were measured."""
    every = list(headers)
    names = list(dict.fromkeys(h.simulated.machine for h in every if h.simulated))
    if not names:
        return ""
    mixed = "" if all(h.simulated for h in every) else " beside measured"
    return f"{WORD}, not measured: {', '.join(names)}{mixed}"


def sides(labels: Sequence[tuple[str, Sequence[Header]]]) -> list[str]:
    """`A is SIMULATED (r5.metal, 10 draws)` for each side that is; empty if none is."""
    said = []
    for label, headers in labels:
        told = [h.simulated for h in headers if h.simulated]
        if told:
            names = ", ".join(dict.fromkeys(f"{one.machine}, {one.draws} draws" for one in told))
            part = "" if len(told) == len(headers) else "in part "
            said.append(f"{label} is {part}{WORD} ({names})")
    return said
