# SPDX-License-Identifier: Apache-2.0
"""The published machines, and what is simulated of them: each set once, for all claims that look at it."""

from typing import Any

from pybench.api.run import Run
from pybench.errors import MeasurementError
from pybench.findings.claim import over_draws, paired_ratio
from pybench.findings.lab import CONTAINERS, LAYERS, PASSES, Lab
from pybench.findings.simulation import Wish, samples, simulate
from pybench.results.records import Trial
from pybench.stats.estimate import Interval, ratio_interval

DUAL, MESH, TWO_NODES, CHIPLET = "r5.metal", "m7i.metal-24xl", "m7i.metal-48xl", "m7a.24xlarge"
WHOLE = {DUAL: "dual-socket", MESH: "single-socket", TWO_NODES: "dual-socket", CHIPLET: "single-socket"}
AT_ONCE = ("20", "100", "200")
LOCKS = ("ttas", "ticket", "qspinlock")
MANY = 48
"""Threads at which machines are compared: cores of the mesh machine, and CPUs of one socket of the dual one."""
SPIN_THREADS = "1,8,24,48"
NOTE = (
    "Simulated: every range is over draws of the assumed inputs. Durations of a launch's steps are those "
    "measured on a 2-CPU virtual machine, and the same on every machine in one draw, as is the speed of the "
    "kernel's code; so differences come from how CPUs, caches and locks interact."
)


def _storm(machine: str, containers: tuple[str, ...] = AT_ONCE, strategies: tuple[str, ...] = ("binds",)) -> Wish:
    return Wish(
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


def _with(wish: Wish, **changes: object) -> Wish:
    import msgspec

    return msgspec.structs.replace(wish, **changes)


STORMS = {
    DUAL: _storm(DUAL),
    MESH: _storm(MESH),
    CHIPLET: _storm(CHIPLET),
    TWO_NODES: _storm(TWO_NODES, (str(CONTAINERS),)),
    "one node": _with(_storm(TWO_NODES, (str(CONTAINERS),)), places=("single-socket",)),
    "smt off": _with(_storm(MESH, (str(CONTAINERS),)), smt=("off",)),
    # As many launch at once as with all CPUs.
    "smt off shared": _with(
        _storm(MESH, (str(CONTAINERS),)), smt=("off",), threads=str(2 * MANY), oversubscribe=True
    ),
    "crowded": _with(_storm(MESH, (str(CONTAINERS),)), places=("socket:0 siblings-first",), threads=str(MANY)),
    "equal cores": _with(_storm(CHIPLET, (str(CONTAINERS),)), threads=str(MANY)),
}
# Alone and in company, latency from when a thread takes a container up.
COMPANY = {
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
    DUAL: Wish(
        machine=DUAL,
        workload="spin",
        params={"lock": LOCKS},
        threads=SPIN_THREADS,
        places=("single-socket", "dual-socket"),
    ),
    MESH: Wish(
        machine=MESH,
        workload="spin",
        params={"lock": LOCKS},
        threads=f"{SPIN_THREADS},max",
        places=("single-socket",),
        smt=("on", "off"),
    ),
    CHIPLET: Wish(
        machine=CHIPLET, workload="spin", params={"lock": LOCKS}, threads=f"{SPIN_THREADS},max", places=("all",)
    ),
}
SETS = {"storms": STORMS, "company": COMPANY, "spins": SPINS}
# How the time for simulating is shared: about as the least draws of each take it.
PARTS = {"storms": 0.65, "company": 0.1, "spins": 0.25}
WORDS = {
    "storms": "simulating launch storms on the published machines",
    "company": "simulating launches alone and in company",
    "spins": "simulating contended locks on the published machines",
}


def simulated(lab: Lab, which: str, name: str) -> Run:
    """A run of one of SETS: simulated with all of its set when first asked for."""

    def make() -> dict[str, Run]:
        lab.tell(WORDS[which])
        wishes = SETS[which]
        runs = simulate(
            list(wishes.values()),
            seconds=lab.seconds("simulated") * PARTS[which],
            seed=lab.seed,
            draws=3 if lab.quick else 12,
        )
        if lab.keep:
            for label, run in zip(wishes, runs, strict=True):
                keep(lab, f"simulated-{which}-{label.replace(' ', '-')}", run)
        return dict(zip(wishes, runs, strict=True))

    return lab.once(f"simulated {which}", make)[name]


def keep(lab: Lab, name: str, run: Run) -> None:
    """Write the records of a simulated run beside those of the measured ones."""
    from pybench.results.store import Writer

    assert lab.keep is not None
    with Writer(lab.keep / f"{name}.jsonl", resumable=False) as writer:
        for file in run.results:
            writer.write(file.header)
            for trial in file.trials:
                writer.write(trial)


def launch_ns(trial: Trial) -> float:
    """Mean latency of a launch in one trial, ns. Raises MeasurementError if there was none."""
    phase = trial.outcome.phases.get("launch")
    if phase is None or not phase.calls:
        raise MeasurementError("a storm launched nothing")
    return phase.wall_ns / phase.operations


def p99_ns(trial: Trial) -> float:
    """99th percentile of the latency of a launch, ns."""
    return trial.figures.p99_ns if trial.figures else float("nan")


def spin_ns(trial: Trial) -> float:
    """Mean time from one acquisition of a thread to its next, ns: threads over throughput (Little's law)."""
    if trial.figures is None or not trial.figures.throughput > 0:
        raise MeasurementError("a lock was never taken")
    return trial.threads * 1e9 / trial.figures.throughput


def rate(trial: Trial) -> float:
    """Operations a second."""
    return trial.figures.throughput if trial.figures else 0.0


def launches(run: Run, figure: str = "mean", /, **settings: Any) -> list[float]:
    """`mean` or `p99` latency of a launch of one cell, ns, a draw each."""
    return samples(run, launch_ns if figure == "mean" else p99_ns, **settings)


def over(upper: list[float], lower: list[float]) -> Interval:
    """Draw by draw, as far as both go: two sets may have got different numbers of draws."""
    both = min(len(upper), len(lower))
    return paired_ratio(upper[:both], lower[:both])


def spread(values: list[float]) -> Interval:
    """The range over draws."""
    return over_draws(values)


def measured_over(upper: list[float], lower: list[float]) -> Interval:
    """A ratio of medians of measured figures with its 95 % interval."""
    return ratio_interval(upper, lower)
