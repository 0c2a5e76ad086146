# SPDX-License-Identifier: Apache-2.0
"""A simulation from Python: a sweep planned for a machine that is not here, and kept if a path is given."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pybench.api.run import Run
from pybench.errors import MeasurementError, UsageError
from pybench.plan.request import checked, place_texts, words
from pybench.results.names import command_of
from pybench.results.records import End
from pybench.results.store import Results, Writer
from pybench.simulator.load import load_machine
from pybench.simulator.run import DRAWS, Runner, header
from pybench.simulator.study import plan_study


def simulate(
    workload: str | Sequence[str],
    *,
    machine: str | Path,
    threads: int | str | Sequence[int] | None = None,
    place: str | Sequence[str] = (),
    smt: str | Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = 1,
    duration: str = "1ms",
    warmup: str = "100us",
    steps: str | None = None,
    oversubscribe: bool = False,
    workers: int | None = None,
    output: str | Path | None = None,
    **params: Any,
) -> Run:
    """Simulate every combination of the axes on a machine, and keep it in the file `output` if one is named.

    `machine` is one of `pybench machines`, or a machine file. Axes and parameters are those of `measure()`;
    left out, they are those of `pybench simulate`. Each of `draws` trials a cell is one draw of the machine's
    uncertain inputs, so intervals are the central 95 % of those. The same call gives the same figures to the bit,
    whatever the number of `workers` (processes; None: one a CPU). What the machine lacks is left out and named in
    `results[0].header.plan.left_out`.

    Raises UsageError for what cannot be meant or is not modelled, MeasurementError if every simulation failed.
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
        }
    )
    study = plan_study(
        load_machine(str(machine)),
        request,
        draws=draws,
        seed=seed,
        duration=request.duration,
        warmup=request.warmup,
        steps=None if steps is None else str(steps),
    )
    began = time.monotonic()
    first, trials = header(study, command_of(sys.argv)), list(Runner(study, workers).trials())
    end = End(reason="limit", seconds=round(time.monotonic() - began, 3))
    if output:
        with Writer(Path(output), resumable=False) as writer:
            for record in (first, *trials, end):
                writer.write(record)
    if not any(trial.figures for trial in trials):
        raise MeasurementError(f"every simulation failed: {trials[0].outcome.reason}")
    path = Path(output) if output else Path(f"simulated {study.machine.name} {first.created}")
    return Run([Results(path=path, header=first, trials=trials, ends=[end], truncated=False, good_bytes=0)])
