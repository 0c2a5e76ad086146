# SPDX-License-Identifier: Apache-2.0
"""What the claims ask of simulated machines: sweeps, simulated draw by draw until their time is up."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from pybench.api.run import Run
from pybench.errors import MeasurementError, UsageError
from pybench.findings.claim import LEAST_DRAWS
from pybench.plan.request import Request
from pybench.results.records import Cell, Trial
from pybench.results.store import Results, Writer
from pybench.simulator.launch_steps import DEFAULT_STEPS
from pybench.simulator.machine import Machine, Number
from pybench.simulator.machine_file import load_machine
from pybench.simulator.simulation import Simulation
from pybench.simulator.study import Study, header, make_study

DURATION, WARMUP = "400us", "60us"
# Draws of the uncertain inputs, if there is time.
MOST_DRAWS = 12


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Cells on one machine that differ in these axes. `fixed` sets numbers of the machine file, by dotted name, to
    one value each, to see what they decide."""

    machine: str
    workload: str
    params: dict[str, tuple[str, ...]] = {}
    threads: str = "max"
    places: tuple[str, ...] = ("all",)
    smt: tuple[str, ...] = ("on",)
    fixed: dict[str, float] = {}
    oversubscribe: bool = False
    """Let threads share CPUs."""


def simulate(
    wishes: Sequence[Wish],
    *,
    seconds: float,
    seed: int,
    draws: int = MOST_DRAWS,
    bounded: bool = False,
    keep: Callable[[str], Path | None] = lambda _: None,
) -> list[Run]:
    """A run for each wish. All get as many draws as fit into the time, in turn; the first LEAST_DRAWS, without
    which no figure has a range, whatever it takes, or, `bounded`, within the time: UsageError if they do not fit.

    The same shares of the ranges are drawn on every machine: what is uncertain in the same way of all of them
    (kernel code's speed, the durations of a launch's steps) is the same for all in one draw.
    """
    studies = [_study(wish, seed, draws) for wish in wishes]
    trials: list[list[Trial]] = [[] for _ in studies]
    began = time.monotonic()
    share = seconds / max(len(studies), 1)
    end = began + seconds if bounded else None
    least = min(LEAST_DRAWS, draws)
    for index, study in enumerate(studies):
        # What earlier ones left of their time goes to those that come.
        until = began + share * (index + 1)
        runner = Simulation(study)
        cells = len(study.plan.cells)
        stream = runner.trials(end)
        for trial in stream:
            trials[index].append(trial)
            whole, rest = divmod(len(trials[index]), cells)
            if not rest and whole >= least and time.monotonic() > until:
                stream.close()  # type: ignore[attr-defined]
                break
        if len(trials[index]) < least * cells:
            done = sum(map(len, trials))
            wanted = least * sum(len(one.plan.cells) for one in studies)
            raise UsageError(
                f"{least} draws take longer than the {seconds:g} s given ({done} of {wanted} simulations were "
                "made); give a longer --budget, or ask for fewer --containers, --layers, --strategy or --machine"
            )
    return [
        _run(study, found, keep(wish.machine)) for wish, study, found in zip(wishes, studies, trials, strict=True)
    ]


def simulate_as_they_stand(wishes: Sequence[Wish], seed: int) -> list[Run]:
    """A run for each wish, of one draw: every number as it stands in its file. On all CPUs."""

    def one(wish: Wish) -> Run:
        study = _study(wish, seed, draws=1)
        return _run(study, list(Simulation(study, workers=0).trials()), None)

    # Threads will do: the engine lets others run meanwhile.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(one, wishes))


def _study(wish: Wish, seed: int, draws: int) -> Study:
    machine = _with_fixed(load_machine(wish.machine), wish.fixed)
    steps = load_machine(DEFAULT_STEPS) if wish.workload == "launch" else None
    if steps is not None:
        steps = _with_fixed(steps, wish.fixed, quiet=True)
    request = Request(
        workloads=(wish.workload,),
        param=wish.params,
        threads=wish.threads,
        place=wish.places,
        smt=wish.smt,
        oversubscribe=wish.oversubscribe,
        duration=DURATION,
        warmup=WARMUP,
        seed=seed,
        min_trials=draws,
        max_trials=draws,
    )
    return make_study(machine, request, steps_from=steps)


def _with_fixed(machine: Machine, fixed: dict[str, float], quiet: bool = False) -> Machine:
    times, launch = dict(machine.times), dict(machine.launch)
    for name, value in fixed.items():
        table = times if name in times else launch
        if name in table:
            table[name] = Number(value, value, value, "varied, to see what it decides")
        elif not quiet and not name.startswith("launch."):
            raise UsageError(f"{machine.name} has no number {name}")
    return msgspec.structs.replace(machine, times=times, launch=launch)


def _run(study: Study, trials: list[Trial], path: Path | None) -> Run:
    head = header(study)
    if path is not None:
        with Writer(path, resumable=False) as writer:
            writer.write(head)
            for trial in trials:
                writer.write(trial)
    file = Results(
        path=path or Path(study.machine.name), header=head, trials=trials, ends=[], truncated=False, good_bytes=0
    )
    return Run([file])


def samples(run: Run, figure: Callable[[Trial], float], **settings: Any) -> list[float]:
    """A figure of each draw of the one cell with these settings, in the order of the draws.

    Raises MeasurementError if the simulation gave none.
    """
    for file in run.results:
        for index, cell in enumerate(file.header.plan.cells):
            if _fits(cell, settings):
                found = [trial for trial in file.trials if trial.cell == index]
                failed = next((trial.outcome.reason for trial in found if not trial.figures), "")
                if failed or not found:
                    raise MeasurementError(f"the simulation gave no figure: {failed or 'no time for it'}")
                return [figure(trial) for trial in found]
    raise MeasurementError(f"nothing was simulated with {settings}")


def _fits(cell: Cell, settings: dict[str, Any]) -> bool:
    known = dict(cell.params) | {"threads": cell.threads, "place": cell.place, "smt": cell.smt}
    return all(known.get(name) == value for name, value in settings.items())
