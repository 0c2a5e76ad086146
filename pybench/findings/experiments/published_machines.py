# SPDX-License-Identifier: Apache-2.0
"""The published machines and their simulations: each set of scenarios is simulated once, for all claims."""

from typing import Any

import msgspec

from pybench import Run
from pybench.api.toolkit.result_files import save
from pybench.api.toolkit.scenarios import Scenario, simulate_scenarios
from pybench.findings.experiments.host_experiments import CONTAINERS, LAYERS, PASSES, Experiments
from pybench.findings.verdict import LEAST_DRAWS

DUAL, MESH, TWO_NODES, CHIPLET = "r5.metal", "m7i.metal-24xl", "m7i.metal-48xl", "m7a.24xlarge"
WHOLE = {DUAL: "dual-socket", MESH: "single-socket", TWO_NODES: "dual-socket", CHIPLET: "single-socket"}
AT_ONCE = ("20", "100", "200")
LOCKS = ("ttas", "ticket", "qspinlock")
MANY = 48
"""Threads at which machines are compared: the cores of MESH, and the CPUs of one socket of DUAL."""
# Draws of the uncertain inputs, if there is time.
MOST_DRAWS = 12
SPIN_THREADS = "1,8,24,48"
NOTE = (
    "Simulated: every range is over draws of the assumed inputs. The durations of a launch's steps were measured "
    "on a virtual machine with 2 CPUs. In one draw they, and the speed of kernel code, are the same on every "
    "machine, so differences come from how CPUs, caches and locks interact."
)


def _storm(
    machine: str, containers: tuple[str, ...] = AT_ONCE, strategies: tuple[str, ...] = ("binds",)
) -> Scenario:
    return Scenario(
        machine=machine,
        workload="launch",
        params={
            "strategy": strategies,
            "containers": containers,
            "layers": (str(LAYERS),),
            "passes": (str(PASSES),),
        },
        places=(WHOLE[machine],),
    )


def _with(scenario: Scenario, **changes: Any) -> Scenario:
    return msgspec.structs.replace(scenario, **changes)


STORMS = {
    DUAL: _storm(DUAL),
    MESH: _storm(MESH),
    CHIPLET: _storm(CHIPLET),
    TWO_NODES: _storm(TWO_NODES, (str(CONTAINERS),)),
    "one node": _with(_storm(TWO_NODES, (str(CONTAINERS),)), places=("single-socket",)),
    "smt off": _with(_storm(MESH, (str(CONTAINERS),)), smt=("off",)),
    # As many threads launch at once as with SMT on.
    "smt off shared": _with(
        _storm(MESH, (str(CONTAINERS),)), smt=("off",), threads=str(2 * MANY), oversubscribe=True
    ),
    "crowded": _with(_storm(MESH, (str(CONTAINERS),)), places=("socket:0 siblings-first",), threads=str(MANY)),
    "equal cores": _with(_storm(CHIPLET, (str(CONTAINERS),)), threads=str(MANY)),
}
# One container alone and among many; latency from when a thread takes the container up.
CONTENTION = {
    DUAL: _with(
        _storm(DUAL),
        params={
            "strategy": ("binds", "plain", "parent"),
            "containers": ("1", str(CONTAINERS)),
            "layers": (str(LAYERS),),
            "passes": (str(PASSES),),
            "arrival": ("closed",),
        },
    )
}
SPINS = {
    DUAL: Scenario(
        machine=DUAL,
        workload="spin",
        params={"lock": LOCKS},
        threads=SPIN_THREADS,
        places=("single-socket", "dual-socket"),
    ),
    MESH: Scenario(
        machine=MESH,
        workload="spin",
        params={"lock": LOCKS},
        threads=f"{SPIN_THREADS},max",
        places=("single-socket",),
        smt=("on", "off"),
    ),
    CHIPLET: Scenario(
        machine=CHIPLET, workload="spin", params={"lock": LOCKS}, threads=f"{SPIN_THREADS},max", places=("all",)
    ),
}
SETS = {"storms": STORMS, "contention": CONTENTION, "spins": SPINS}
# Shares of the time for simulations, in proportion to that of the least draws.
PARTS = {"storms": 0.65, "contention": 0.1, "spins": 0.25}
WORDS = {
    "storms": "simulating launch storms on the published machines",
    "contention": "simulating launches alone and among others",
    "spins": "simulating contended locks on the published machines",
}


def simulated(experiments: Experiments, which: str, name: str) -> Run:
    """Return the run of a scenario in one of SETS; the first call for a set simulates all of it."""

    def make() -> dict[str, Run]:
        experiments.tell(WORDS[which])
        scenarios = SETS[which]
        runs = simulate_scenarios(
            list(scenarios.values()),
            seconds=experiments.seconds("simulated") * PARTS[which],
            seed=experiments.seed,
            draws=3 if experiments.quick else MOST_DRAWS,
            least_draws=LEAST_DRAWS,
        )
        if experiments.keep:
            for label, run in zip(scenarios, runs, strict=True):
                save(run, experiments.keep / f"simulated-{which}-{label.replace(' ', '-')}.jsonl")
        return dict(zip(scenarios, runs, strict=True))

    return experiments.once(f"simulated {which}", make)[name]
