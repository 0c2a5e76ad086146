# SPDX-License-Identifier: Apache-2.0
"""A sweep as it is asked for, planned on a machine that is not here."""

from pybench.errors import UsageError
from pybench.plan.cells import Axes, default_axes
from pybench.plan.lists import duration_ns, warmup_ns
from pybench.plan.request import Request
from pybench.simulator.load import load_machine
from pybench.simulator.machine import Machine
from pybench.simulator.run import DRAWS, DURATION_NS, WARMUP_NS, Study, check, make_study
from pybench.simulator.steps import DEFAULT_STEPS
from pybench.workloads import SIMULATED


def plan_study(
    machine: Machine,
    request: Request,
    *,
    draws: int = DRAWS,
    seed: int = 1,
    duration: str | None = None,
    warmup: str | None = None,
    steps: str | None = None,
) -> Study:
    """What to simulate for a request's workloads and axes; what the machine does not have is left out and named.

    `duration` and `warmup` are of a trial, as "1ms", in simulated time; `steps` names the machine, or its file,
    that has the durations of a launch's steps: without, the machine itself, or the shipped one that has them.
    Raises UsageError for what the model does not have.
    """
    for name in request.workloads:
        if name not in SIMULATED:
            raise UsageError(f"{name!r} is not modelled; there are {' and '.join(SIMULATED)}")
    for word in request.smt:
        if word not in ("on", "off"):
            raise UsageError(f"--smt {word!r} is not known; choose from on, off")
    default = default_axes(machine.topology())
    axes = Axes(
        workloads=request.workloads,
        params=request.param,
        threads=default.threads if request.threads is None else request.threads,
        places=request.place or default.places,
        smt=request.smt or default.smt,
        oversubscribe=request.oversubscribe,
        elsewhere=True,
    )
    study = make_study(
        machine,
        axes,
        steps_from=_steps_from(machine, request, steps),
        seed=seed,
        draws=draws,
        duration_ns=DURATION_NS if duration is None else duration_ns(duration),
        warmup_ns=WARMUP_NS if warmup is None else warmup_ns(warmup),
    )
    check(study)
    return study


def _steps_from(machine: Machine, request: Request, steps: str | None) -> Machine | None:
    if "launch" not in request.workloads:
        if steps:
            raise UsageError("--steps has the durations of a launch; add the workload launch")
        return None
    if steps:
        return load_machine(steps)
    return machine if machine.launch else load_machine(DEFAULT_STEPS)
