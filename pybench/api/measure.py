# SPDX-License-Identifier: Apache-2.0
"""A sweep from Python: planned for this host, measured, and kept if a path is given."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pybench import native
from pybench.api.run import Run
from pybench.errors import UsageError
from pybench.host.topology import read_topology
from pybench.native.outcome import Outcome, TrialSpec
from pybench.plan.planner import Missing, Planned, make_plan
from pybench.plan.request import Request, checked, place_texts, words
from pybench.results.store import Results
from pybench.run.sweep import measure_plan

# How to measure, by the names of the options of `pybench sweep`; any other argument is a parameter of a workload.
HOW = ("duration", "warmup", "operations", "target", "budget", "seed")
# A test, or a cell of a notebook, should take seconds.
DURATION, WARMUP, TARGET, TRIALS = "50ms", "10ms", 0.05, (6, 20)


class Measured(Run):
    """A run that was just measured."""

    def __init__(self, results: Results, planned: Planned) -> None:
        super().__init__([results], planned.aliases)
        self.planned = planned
        self.missing: list[Missing] = planned.missing
        """Values of the axes that this host does not have, each with the reason; their cells are left out."""


def request_of(
    workload: str | Sequence[str],
    *,
    threads: int | str | Sequence[int] = "1,2,4..max",
    place: str | Sequence[str] = "single-socket",
    smt: str | Sequence[str] = "on",
    crew: str | Sequence[str] = "threads",
    trials: int | tuple[int, int] = TRIALS,
    oversubscribe: bool = False,
    **more: Any,
) -> Request:
    """Return the request for these axes, each a value or a list. Raises UsageError for a value of a wrong type.

    `trials` is the minimum and the maximum per cell, or the minimum. `more` is any of HOW, or a parameter of the
    workload.
    """
    how = {name: more.pop(name) for name in HOW if more.get(name) is not None}
    least, most = _trials(trials)
    return checked(
        {
            "workloads": words(workload),
            "threads": ",".join(words(threads)),
            "place": place_texts(place),
            "smt": words(smt),
            "crew": words(crew),
            "param": {name: words(value) for name, value in more.items() if name not in HOW},
            "min_trials": least,
            "max_trials": most,
            "oversubscribe": oversubscribe,
            **{"duration": DURATION, "warmup": WARMUP, "target": TARGET, **how},
        }
    )


def measure(
    workload: str | Sequence[str],
    *,
    output: str | Path | None = None,
    run_trial: Callable[[TrialSpec], Outcome] | None = None,
    **axes: Any,
) -> Measured:
    """Measure every combination of the axes, and keep it in the file `output` if one is named.

    Axes: threads, place, smt, crew, and any parameter of the workload, each a value or a list. How: duration
    ("50ms"), warmup ("10ms"), target (0.05), trials ((6, 20), or the minimum), budget, operations, seed,
    oversubscribe. Values that this host lacks (SMT siblings, a second socket, CPUs for more threads) are left out
    and named in `missing`.

    Raises UsageError for what cannot be meant, UnsupportedError if this host can do none of it, MeasurementError
    if every trial failed, and Interrupted (a KeyboardInterrupt), with the results so far, on Ctrl-C.
    """
    topology = read_topology()
    planned = make_plan(request_of(workload, **axes), topology, "leave out")
    results = measure_plan(
        planned.plan,
        topology,
        path=Path(output) if output else None,
        resumable=False,
        run_trial=run_trial or native.run_trial,
    )
    return Measured(results, planned)


def _trials(asked: Any) -> tuple[Any, Any]:
    """Return minimum and maximum per cell. Raises UsageError for what is neither a number nor two."""
    if isinstance(asked, int):
        return asked, max(asked, TRIALS[1])
    if not isinstance(asked, (tuple, list)) or len(asked) != 2:
        raise UsageError(f"trials={asked!r}: write the minimum, or (minimum, maximum)")
    return asked[0], asked[1]
