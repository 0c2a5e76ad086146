# SPDX-License-Identifier: Apache-2.0
"""Simulations of a sweep on another machine, kept if a path is given; results are marked as simulated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pybench.api.run import Run
from pybench.errors import UsageError
from pybench.plan.request import checked, place_texts, words
from pybench.simulator.machine_file import load_machine
from pybench.simulator.simulation import simulate_study
from pybench.simulator.study import DRAWS, DURATION, WARMUP, plan_study


def simulate(
    workload: str | Sequence[str],
    *,
    machine: str | Path,
    threads: int | str | Sequence[int] | None = None,
    place: str | Sequence[str] = (),
    smt: str | Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = 1,
    duration: str = DURATION,
    warmup: str = WARMUP,
    steps: str | None = None,
    oversubscribe: bool = False,
    workers: int | None = None,
    output: str | Path | None = None,
    **params: Any,
) -> Run:
    """Simulate every combination of the axes on a machine, and keep it in the file `output` if one is named.

    `machine` is one of `pybench machine list`, or a machine file. Axes and parameters are those of `measure()`;
    by default those of `pybench simulate`. Each of `draws` trials per cell is one draw of the machine's
    uncertain inputs, so intervals are the central 95 % of draws. The same call gives the same results to the bit,
    whatever the number of `workers` (processes; None: one per CPU). Values that the machine lacks are left
    out and named in `results[0].header.plan.left_out`.

    Raises UsageError for what cannot be meant or is not modelled, MeasurementError if every simulation failed, and
    Interrupted (a KeyboardInterrupt), with the results so far, on Ctrl-C.
    """
    for name, number, least, most in (
        ("draws", draws, 1, 100_000),
        ("seed", seed, 0, 2**53),
        ("workers", 1 if workers is None else workers, 1, 1024),
    ):
        if not isinstance(number, int) or not least <= number <= most:
            raise UsageError(f"{name}={number!r}: write a whole number, {least} to {most}")
    request = checked(
        {
            "workloads": words(workload),
            "threads": None if threads is None else ",".join(words(threads)),
            "place": place_texts(place),
            "smt": words(smt),
            "param": {name: words(value) for name, value in params.items()},
            "oversubscribe": oversubscribe,
            "duration": duration,
            "warmup": warmup,
            "seed": seed,
            "min_trials": draws,
            "max_trials": draws,
        }
    )
    study = plan_study(load_machine(str(machine)), request, steps=None if steps is None else str(steps))
    return Run([simulate_study(study, path=Path(output) if output else None, workers=workers)])
