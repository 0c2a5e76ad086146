# SPDX-License-Identifier: Apache-2.0
"""Finding 3: launches spend most of their time on global locks."""

from pybench import MeasurementError, UnsupportedError
from pybench.api.toolkit.statistics import Interval
from pybench.findings.claim import Claim
from pybench.findings.experiments.host_experiments import CONTAINERS, Experiments
from pybench.findings.experiments.published_machines import DUAL, NOTE, simulated
from pybench.findings.experiments.samples import cost, cost_over, launches, lost_share, over, scaled
from pybench.findings.verdict import ClaimChart, ClaimCheck, ClaimEvidence, over_draws, point

# Fewer CPUs cannot show the contention of a hundred.
ENOUGH_THREADS = 16
HALF = 0.5


def inflation(here: Experiments, strategy: str) -> Interval:
    """Return by how much longer a launch takes among launches on all CPUs of the socket than alone, measured."""
    run, n = here.launches(), here.containers
    both = ({"strategy": strategy, "containers": n, "threads": threads} for threads in (here.threads, 1))
    return scaled(cost_over(run, *both), here.threads)


def _measured(here: Experiments) -> ClaimEvidence:
    if here.threads < 2:
        return ClaimEvidence(notes=["With one CPU there is no contention."])
    try:
        return _inflated(here)
    except (UnsupportedError, MeasurementError) as error:
        if here.threads >= ENOUGH_THREADS:
            raise
        return ClaimEvidence(notes=[f"Not measured: {error}. {here.threads} threads are too few to decide."])


def _inflated(here: Experiments) -> ClaimEvidence:
    enough = here.threads >= ENOUGH_THREADS
    on = f"{here.threads} threads"
    share = lost_share(inflation(here, "binds"))
    control = lost_share(inflation(here, "plain"))
    notes = []
    if not enough:
        notes.append(
            f"This host launches with {on} at once, the published hosts with about a hundred. The measurement "
            "shows the trend and does not decide."
        )
    checks = [
        ClaimCheck(
            key="lost",
            says=f"with {on}, a launch by id-mapped binds loses more than half of its time to others",
            value=share,
            least=HALF,
            unit="share",
            decides=enough,
        ),
        ClaimCheck(
            key="control",
            says="a launch without id-mapped mounts (the control) loses less than half",
            value=control,
            most=HALF,
            unit="share",
            decides=False,
        ),
    ]
    try:
        waits = here.waits()
    except (UnsupportedError, MeasurementError) as error:
        notes.append(f"The locks are unknown: {error}.")
    else:
        longest = sorted(waits.waited_ns.items(), key=lambda one: -one[1])
        shares = [f"{name} {ns / waits.worker_ns:.1%}" for name, ns in longest if ns > 0]
        notes.append(
            f"Lock waits traced by the kernel, as shares of the workers' time: {', '.join(shares)}. The kernel "
            f"does "
            "not trace spinning for sleeping locks, so namespace_sem is underestimated; tracing adds to the waits."
        )
    points = []
    for strategy in ("binds", "plain", "parent"):
        for threads in dict.fromkeys((1, here.threads)):
            each = cost(here.launches(), strategy=strategy, containers=here.containers, threads=threads)
            each = scaled(each, threads)
            points.append(point(strategy, threads, each))
    chart = ClaimChart(
        title="Time of a launch on one thread, alone and among others",
        x="launching threads",
        y="time",
        unit="ns",
        points=points,
    )
    return ClaimEvidence(checks=checks, charts=[chart], notes=notes)


def simulated_inflation(here: Experiments, strategy: str) -> Interval:
    """Return the same ratio on the simulated dual-socket machine, over draws."""
    run = simulated(here, "contention", DUAL)
    many, one = (launches(run, strategy=strategy, containers=n) for n in (CONTAINERS, 1))
    return over(many, one)


def not_lost(here: Experiments, strategy: str, subject: str) -> ClaimCheck:
    """Check, without deciding, that launches by a strategy lose less than half; `subject` begins the text."""
    return ClaimCheck(
        key="sim_lost",
        says=f"{subject} is lost to others",
        value=lost_share(simulated_inflation(here, strategy)),
        most=HALF,
        unit="share",
        how="simulated",
        decides=False,
    )


def _simulated(here: Experiments) -> ClaimEvidence:
    factor = simulated_inflation(here, "binds")
    shares = {name: lost_share(simulated_inflation(here, name)) for name in ("binds", "plain")}
    threads = simulated(here, "contention", DUAL).results[0].header.plan.cells[0].threads
    mean = over_draws(launches(simulated(here, "contention", DUAL), strategy="binds", containers=CONTAINERS))
    return ClaimEvidence(
        checks=[
            ClaimCheck(
                key="sim_lost",
                says=f"on {DUAL} with {threads} threads, a launch by id-mapped binds loses more than half of "
                f"its time "
                "to others",
                value=shares["binds"],
                least=HALF,
                unit="share",
                how="simulated",
            ),
            ClaimCheck(
                key="sim_control",
                says=f"on {DUAL}, a launch without id-mapped mounts (the control) loses less than half",
                value=shares["plain"],
                most=HALF,
                unit="share",
                how="simulated",
                decides=False,
            ),
        ],
        notes=[
            NOTE,
            f"On {DUAL} a launch among {CONTAINERS} takes {factor.value:.1f} times as long as one alone: "
            f"{mean.value / 1e6:.0f} ms on average.",
        ],
    )


CLAIM = Claim(
    number=3,
    title="Launches spend most of their time on global locks",
    said="During the launch storm the CPUs spend their time spinning on the kernel's global mount locks; 95.5 % "
    "of pipeline slots were lost to contested accesses.",
    refuted_by="launches that take little longer among others than alone, on as many threads as such hosts have",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "On a machine of that size a launch loses {sim_lost} of its time to others that hold the "
        "same locks.",
        "not reproduced": "A launch loses {sim_lost} of its time to others on the simulated machine, and {lost} "
        "on this host: less than most of it.",
        "cannot tell here": "A launch loses {lost} of its time to others on this host, and {sim_lost} on the "
        "simulated machine: not enough evidence.",
    },
)
