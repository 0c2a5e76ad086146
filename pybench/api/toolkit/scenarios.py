# SPDX-License-Identifier: Apache-2.0
"""Simulations of several machines under the same draws, within a time budget, with numbers of machines changed."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec

from pybench.api.run import Run
from pybench.errors import UsageError
from pybench.host.topology import Topology
from pybench.plan.request import Request
from pybench.results.records import Trial
from pybench.results.store import Results
from pybench.simulator.launch_steps import DEFAULT_STEPS
from pybench.simulator.machine import Machine, Number
from pybench.simulator.machine_file import load_machine
from pybench.simulator.simulation import Simulation
from pybench.simulator.study import Study, header, make_study
from pybench.workloads import workload

__all__ = [
    "DEFAULT_STEPS",
    "Number",
    "Scenario",
    "machine_number",
    "machine_topology",
    "simulate_nominal",
    "simulate_scenarios",
]

DURATION, WARMUP = "400us", "60us"


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of one workload on one machine, along some axes."""

    machine: str
    """Name of a shipped machine, or a machine file."""
    workload: str
    params: dict[str, tuple[str, ...]] = {}
    threads: str = "max"
    places: tuple[str, ...] = ("all",)
    smt: tuple[str, ...] = ("on",)
    fixed: dict[str, float] = {}
    """Numbers of the machine file, by dotted name, that are set to one value instead of drawn."""
    oversubscribe: bool = False
    """Threads may share CPUs."""


def machine_number(machine: str, name: str) -> Number:
    """Return a number of a machine, by its dotted name. Raises UsageError without that machine, KeyError."""
    found = load_machine(machine)
    return (found.times | found.launch)[name]


def machine_topology(machine: str) -> tuple[str, Topology]:
    """Return the name of a machine, given by name or file, and its topology. Raises UsageError."""
    found = load_machine(machine)
    return found.name, found.topology()


def simulate_scenarios(
    scenarios: Sequence[Scenario],
    *,
    seconds: float,
    seed: int,
    draws: int,
    least_draws: int,
    bounded: bool = False,
) -> list[Run]:
    """Simulate each scenario under as many draws of its uncertain inputs as fit into the time, at most `draws`.

    Each scenario gets at least `least_draws`, even beyond `seconds`. With `bounded`, `seconds` is a limit, and
    UsageError is raised if the least draws do not fit. The n-th draw takes the same share of every range on every
    machine, so inputs that are uncertain in the same way everywhere (speed of kernel code, durations of launch
    steps) agree within a draw.
    """
    studies = [_study(scenario, seed, draws) for scenario in scenarios]
    trials: list[list[Trial]] = [[] for _ in studies]
    began = time.monotonic()
    end = began + seconds if bounded else None
    least = min(least_draws, draws)
    for index, study in enumerate(studies):
        # Time that earlier scenarios left over goes to later ones.
        until = began + seconds * (index + 1) / len(studies)
        cells = len(study.plan.cells)
        with closing(Simulation(study).trials(end)) as stream:  # type: ignore[type-var]
            for trial in stream:
                trials[index].append(trial)
                whole, rest = divmod(len(trials[index]), cells)
                if not rest and whole >= least and time.monotonic() > until:
                    break
        if len(trials[index]) < least * cells:
            wanted = least * sum(len(one.plan.cells) for one in studies)
            raise UsageError(
                f"{least} draws take longer than {seconds:g} s",
                reason=f"{sum(map(len, trials))} of {wanted} simulations were finished",
                fix="allow more time, or simulate fewer cells",
            )
    return [_run(study, found) for study, found in zip(studies, trials, strict=True)]


def simulate_nominal(scenarios: Sequence[Scenario], seed: int) -> list[Run]:
    """Simulate each scenario once, with the nominal value of every number, on all CPUs in parallel."""

    def one(scenario: Scenario) -> Run:
        study = _study(scenario, seed, draws=1)
        return _run(study, list(Simulation(study, workers=0).trials()))

    # Threads are enough: the engine releases the interpreter lock.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(one, scenarios))


def _study(scenario: Scenario, seed: int, draws: int) -> Study:
    machine = _with_fixed(load_machine(scenario.machine), scenario.fixed)
    model = workload(scenario.workload).simulation
    has_steps = model is not None and model.model == "launch"
    steps = _with_fixed(load_machine(DEFAULT_STEPS), scenario.fixed, quiet=True) if has_steps else None
    request = Request(
        workloads=(scenario.workload,),
        param=scenario.params,
        threads=scenario.threads,
        place=scenario.places,
        smt=scenario.smt,
        oversubscribe=scenario.oversubscribe,
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


def _run(study: Study, trials: list[Trial]) -> Run:
    path = Path(study.machine.name)
    return Run([Results(path, header(study), trials, ends=[], truncated=False, good_bytes=0)])
