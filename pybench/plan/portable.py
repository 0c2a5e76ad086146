# SPDX-License-Identifier: Apache-2.0
"""A sweep written once for many hosts: what this one lacks is left out with a reason, and the rest is planned."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Topology
from pybench.placement import Placement, place
from pybench.plan.cells import Axes, make_cells
from pybench.plan.lists import thread_counts
from pybench.plan.request import Request, check_values, checked, make_plan, place_texts, words
from pybench.results.records import Cell, Plan

# Axes that are not a parameter of a workload, and how to measure. They have the names of `pybench sweep`.
HOW = ("duration", "warmup", "operations", "target", "budget", "seed")
# A test, or a cell of a notebook, should take seconds.
DURATION, WARMUP, TARGET, TRIALS = "50ms", "10ms", 0.05, (6, 20)


class Missing(msgspec.Struct, frozen=True):
    """A value of an axis that this host does not have."""

    axis: str
    value: str
    reason: str


class Portable(msgspec.Struct, frozen=True, kw_only=True):
    """The plan for this host, and what of the wish it leaves out."""

    plan: Plan | None
    """None if nothing is left."""
    missing: list[Missing]
    aliases: dict[str, str]
    """A placement as it was written -> as cells have it."""


def plan_portable(
    topology: Topology,
    workload: str | Sequence[str],
    *,
    threads: int | str | Sequence[int] = "1,2,4..max",
    place: str | Sequence[str] = "single-socket",
    smt: str | Sequence[str] = "on",
    crew: str | Sequence[str] = "threads",
    trials: int | tuple[int, int] = TRIALS,
    oversubscribe: bool = False,
    **more: Any,
) -> Portable:
    """Plan a sweep, leaving out what the host lacks: CPUs for so many threads, a second socket, SMT siblings.

    `trials` is the least and the most a cell, or the least. `more` is any of HOW, or a parameter of the workload:
    a value, or a list. Raises UsageError for what would be wrong on every host.
    """
    how = {name: more.pop(name) for name in HOW if more.get(name) is not None}
    least, most = _trials(trials)
    request = checked(
        {
            "workloads": words(workload),
            "threads": ",".join(words(threads)),
            "smt": words(smt),
            "crew": words(crew),
            "param": {name: words(value) for name, value in more.items() if name not in HOW},
            "min_trials": least,
            "max_trials": most,
            "oversubscribe": oversubscribe,
            **{"duration": DURATION, "warmup": WARMUP, "target": TARGET, **how},
        }
    )
    check_values(request)
    missing: dict[Missing, None] = {}
    aliases: dict[str, str] = {}
    cells: list[Cell] = []
    conflicts: dict[str, None] = {}
    for text in place_texts(place):
        placements = _placements(topology, text, request.smt, missing)
        for placement in placements:
            counts = _thread_counts(request, placement, missing)
            if not counts:
                continue
            axes = Axes(
                workloads=request.workloads,
                params=request.param,
                threads=",".join(map(str, counts)),
                places=(text,),
                smt=(placement.smt,),
                crews=request.crew,
                oversubscribe=oversubscribe,
            )
            made, left_out = make_cells(axes, topology)
            cells += made
            aliases[text] = made[0].place
            conflicts |= dict.fromkeys(left_out)
    if not cells:
        return Portable(plan=None, missing=list(missing), aliases=aliases)
    # For its checks, and the times; the cells are ours.
    base = make_plan(msgspec.structs.replace(request, threads="1", place=(), smt=("on",)), topology)
    left = [f"{one.axis}={one.value}: {one.reason}" for one in missing]
    unique = list({msgspec.json.encode(cell): cell for cell in cells}.values())
    plan = msgspec.structs.replace(base, cells=unique, left_out=[*left, *conflicts])
    return Portable(plan=plan, missing=list(missing), aliases=aliases)


def _trials(asked: Any) -> tuple[Any, Any]:
    """The least and the most a cell. Raises UsageError for what is neither a number nor two."""
    if isinstance(asked, int):
        return asked, max(asked, TRIALS[1])
    if not isinstance(asked, (tuple, list)) or len(asked) != 2:
        raise UsageError(f"trials={asked!r}: write the least, or (least, most)")
    return asked[0], asked[1]


def _placements(
    topology: Topology, text: str, smt: Sequence[str], missing: dict[Missing, None]
) -> list[Placement]:
    """The placement for each SMT setting that differs from the others here."""
    found: list[Placement] = []
    for word in smt:
        if word not in ("on", "off"):
            raise UsageError(f"smt {word!r} is not known; choose from on, off")
        try:
            placement = place(topology, text, word)
        except UnsupportedError as error:
            missing[Missing("place", text, str(error))] = None
            return []
        twin = next((one for one in found if one.cpus == placement.cpus), None)
        if twin is None:
            found.append(placement)
        elif twin.smt != word:
            missing[Missing("smt", word, f"no SMT siblings in {text}, so it is the same as smt={twin.smt}")] = None
    return found


def _thread_counts(request: Request, placement: Placement, missing: dict[Missing, None]) -> list[int]:
    most = len(placement.cpus)
    counts = thread_counts("1" if request.threads is None else request.threads, most)
    for count in counts:
        if count > most and not request.oversubscribe:
            missing[Missing("threads", str(count), f"{placement.text} has {most} CPUs")] = None
    return [count for count in counts if count <= most or request.oversubscribe]
