# SPDX-License-Identifier: Apache-2.0
"""A study: a sweep planned on a machine of the simulator, with all inputs of its simulation."""

import datetime
import sys

import msgspec

from pybench._version import VERSION
from pybench.errors import UsageError
from pybench.native.engine_spec import ENGINE
from pybench.plan.planner import Absent, make_plan
from pybench.plan.request import Request
from pybench.results.records import Cell, Header, InputRange, Plan, Simulated
from pybench.results.store import command_of
from pybench.simulator import launch_steps
from pybench.simulator.draws import Shares, draw, uncertain
from pybench.simulator.machine import Machine
from pybench.simulator.machine_file import load_machine
from pybench.workloads import SIMULATED, workload

DURATION, WARMUP = "1ms", "100us"
DRAWS = 10


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """A plan on a machine, with all inputs of its simulation."""

    plan: Plan
    machine: Machine
    steps_from: Machine | None = None
    """The machine in whose file the durations of launch steps are; None if the plan has no launch."""

    @property
    def draws(self) -> int:
        """Draws of the uncertain inputs: the trials of each cell."""
        return self.plan.max_trials

    @property
    def launches(self) -> bool:
        """Return True if some cell is a launch."""
        return any(map(is_launch, self.plan.cells))

    @property
    def inputs(self) -> Machine:
        """Return the machine with the launch steps that are used."""
        given = self.steps_from.launch if self.steps_from else {}
        return msgspec.structs.replace(self.machine, launch=dict(given))

    def drawn(self) -> list[str]:
        """Return the inputs that are drawn; none for a single draw."""
        return uncertain(self.inputs, self.launches) if self.draws > 1 else []

    def shares(self) -> list[Shares]:
        """Return the draws, each a share of the range of each uncertain input."""
        return draw(uncertain(self.inputs, self.launches), self.draws, self.plan.seed)


def plan_study(machine: Machine, request: Request, *, steps: str | None = None) -> Study:
    """Plan a request on a machine; what the machine does not have is left out and named.

    The trials of the request are the draws, its duration is simulated time. `steps` names the machine or file that
    has the durations of a launch's steps; by default the machine itself, or the shipped one that has them. Raises
    UsageError for what the model does not have.
    """
    for name in request.workloads:
        if name not in SIMULATED:
            raise UsageError(f"{name!r} is not modelled; there are {' and '.join(SIMULATED)}")
    return make_study(
        machine, request, steps_from=_steps_from(machine, request, steps), absent="leave out of machine"
    )


def make_study(
    machine: Machine, request: Request, *, steps_from: Machine | None, absent: Absent = "refuse"
) -> Study:
    """Plan a request on a machine, with launch steps of another. Raises UsageError or UnsupportedError."""
    study = Study(plan=make_plan(request, machine.topology(), absent).plan, machine=machine, steps_from=steps_from)
    check(study)
    return study


def is_launch(cell: Cell) -> bool:
    """Return True if a cell is simulated as a launch of containers, by its steps."""
    return _model(cell.workload) == "launch"


def _model(name: str) -> str:
    simulation = workload(name).simulation
    return simulation.model if simulation else ""


def _steps_from(machine: Machine, request: Request, steps: str | None) -> Machine | None:
    if not any(_model(name) == "launch" for name in request.workloads):
        if steps:
            raise UsageError("--steps has the durations of a launch; add the workload launch")
        return None
    if steps:
        return load_machine(steps)
    return machine if machine.launch else load_machine(launch_steps.DEFAULT_STEPS)


def check(study: Study) -> None:
    """Raise UsageError, in one line, for a plan that the model does not cover."""
    for cell in study.plan.cells:
        kind = workload(cell.workload)
        if kind.simulation is None:
            raise UsageError(f"{cell.workload} is not modelled; there are {' and '.join(SIMULATED)}")
        for name in kind.simulation.fixed:
            if cell.params[name] != kind.parameter(name).default:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is not modelled; leave it at {kind.parameter(name).default!r}")
        if (reason := kind.simulation.refusal(cell.params)) is not None:
            raise UsageError(reason)
        if is_launch(cell):
            if cell.params["strategy"] not in launch_steps.STRATEGIES:
                known = ", ".join(launch_steps.STRATEGIES)
                raise UsageError(f"strategy {cell.params['strategy']} is not modelled; there are {known}")
            if not study.steps_from or not study.steps_from.launch:
                raise UsageError(
                    "a launch needs the durations of its steps: --steps FILE, of pybench machine calibrate"
                )


def header(study: Study) -> Header:
    """Return the first record of a file."""
    machine = study.inputs
    return Header(
        pybench=VERSION,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command_of(sys.argv),
        host={
            "simulated": True,
            "name": f"simulated {machine.name}",
            "kernel": {"release": "simulated", "version": None, "cmdline": [], "machine": machine.architecture},
            "cpu": {"model": machine.cpu_model, "microcode": None},
            "frequency": {"governors": [], "driver": None, "boost": None},
            "hypervisor": {"virtual": False, "vendor": None, "product": None},
        },
        topology=machine.topology().to_dict(),
        plan=study.plan,
        simulated=Simulated(
            machine=machine.name,
            title=machine.title,
            digest=machine.digest,
            engine=ENGINE,
            seed=study.plan.seed,
            draws=study.draws,
            inputs={
                name: InputRange(number.value, number.low, number.high, number.source)
                for name, number in machine.numbers().items()
            },
            drawn=study.drawn(),
            steps=f"{study.steps_from.name} ({study.steps_from.digest})" if study.steps_from else "",
        ),
    )
