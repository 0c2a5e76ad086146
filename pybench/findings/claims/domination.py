# SPDX-License-Identifier: Apache-2.0
"""Finding 3: launches are dominated by time under global locks."""

from pybench.errors import MeasurementError, UnsupportedError
from pybench.findings.claim import Chart, Check, Claim, Evidence, Point
from pybench.findings.lab import CONTAINERS, Lab, cost, cost_over, lost_share, scaled
from pybench.findings.published import DUAL, NOTE, launches, over, simulated, spread
from pybench.stats.estimate import Interval

# Fewer CPUs cannot show what a hundred do.
ENOUGH_THREADS = 16
HALF = 0.5


def inflation(lab: Lab, strategy: str) -> Interval:
    """How much longer a launch takes a thread in company of all others of its socket than alone, measured."""
    run, n = lab.launches(), lab.containers
    both = ({"strategy": strategy, "containers": n, "threads": threads} for threads in (lab.threads, 1))
    return scaled(cost_over(run, *both), lab.threads)


def _measured(lab: Lab) -> Evidence:
    if lab.threads < 2:
        return Evidence(notes=["One CPU has nobody to wait for."])
    try:
        return _inflated(lab)
    except (UnsupportedError, MeasurementError) as error:
        if lab.threads >= ENOUGH_THREADS:
            raise
        return Evidence(notes=[f"Not measured here: {error}. {lab.threads} threads could decide nothing anyway."])


def _inflated(lab: Lab) -> Evidence:
    enough = lab.threads >= ENOUGH_THREADS
    on = f"{lab.threads} threads"
    share = lost_share(inflation(lab, "binds"))
    control = lost_share(inflation(lab, "plain"))
    notes = []
    if not enough:
        notes.append(
            f"This host launches with {on} at once; the finding is of hosts with about a hundred. What is "
            "measured here shows the trend and decides nothing."
        )
    checks = [
        Check(
            key="lost",
            says=f"with {on}, more than half of a launch by id-mapped binds is time that it would not take alone",
            value=share,
            least=HALF,
            unit="share",
            decides=enough,
        ),
        Check(
            key="control",
            says="without id-mapped mounts (the control), less than half is",
            value=control,
            most=HALF,
            unit="share",
            decides=False,
        ),
    ]
    try:
        waits = lab.waits()
    except (UnsupportedError, MeasurementError) as error:
        notes.append(f"Which locks: {error}.")
    else:
        told = sorted(waits.waited_ns.items(), key=lambda one: -one[1])
        shares = [f"{name} {ns / waits.worker_ns:.1%}" for name, ns in told if ns > 0]
        notes.append(
            f"Waits that the kernel traces, as shares of the workers' time: {', '.join(shares)}. Spinning for a "
            "sleeping lock is not traced, so namespace_sem is underestimated; tracing itself costs some of it."
        )
    points = []
    for strategy in ("binds", "plain", "parent"):
        for threads in dict.fromkeys((1, lab.threads)):
            each = cost(lab.launches(), strategy=strategy, containers=lab.containers, threads=threads)
            each = scaled(each, threads)
            points.append(Point(series=strategy, x=threads, value=each.value, low=each.low, high=each.high))
    chart = Chart(
        title="A thread's time for one launch, alone and in company",
        x="threads that launch",
        y="time",
        unit="ns",
        points=points,
    )
    return Evidence(checks=checks, charts=[chart], notes=notes)


def company(lab: Lab, strategy: str) -> Interval:
    """The same on the simulated dual-socket machine, over draws."""
    run = simulated(lab, "company", DUAL)
    many, one = (launches(run, strategy=strategy, containers=n) for n in (CONTAINERS, 1))
    return over(many, one)


def not_lost(lab: Lab, strategy: str, says: str) -> Check:
    """Beside a finding: less than half of a launch by this strategy is lost to others there. `says` begins it."""
    return Check(
        key="sim_lost",
        says=f"{says} is lost to others",
        value=lost_share(company(lab, strategy)),
        most=HALF,
        unit="share",
        how="simulated",
        decides=False,
    )


def _simulated(lab: Lab) -> Evidence:
    factor = company(lab, "binds")
    shares = {name: lost_share(company(lab, name)) for name in ("binds", "plain")}
    threads = simulated(lab, "company", DUAL).results[0].header.plan.cells[0].threads
    mean = spread(launches(simulated(lab, "company", DUAL), strategy="binds", containers=CONTAINERS))
    return Evidence(
        checks=[
            Check(
                key="sim_lost",
                says=f"on {DUAL} with {threads} threads, more than half of a launch by id-mapped binds is time "
                "that it would not take alone",
                value=shares["binds"],
                least=HALF,
                unit="share",
                how="simulated",
            ),
            Check(
                key="sim_control",
                says=f"on {DUAL}, less than half is without id-mapped mounts (the control)",
                value=shares["plain"],
                most=HALF,
                unit="share",
                how="simulated",
                decides=False,
            ),
        ],
        notes=[
            NOTE,
            f"On {DUAL} a launch among {CONTAINERS} takes {factor.value:.1f} times as long as one alone, "
            f"{mean.value / 1e6:.0f} ms on average.",
        ],
    )


CLAIM = Claim(
    number=3,
    title="Launches are dominated by time under global locks",
    said="Under the launch storm the CPUs spend their time spinning in the kernel's global mount locks; 95.5 % "
    "of pipeline slots were on contested accesses.",
    refuted_by="launches that take little longer in company than alone, with as many threads as such hosts have",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "On a machine of that size {sim_lost} of a launch is time lost to the others, who hold "
        "the same locks.",
        "not reproduced": "Waiting for others takes {sim_lost} of a launch on the simulated machine, and {lost} "
        "here: not the most of it.",
        "cannot tell here": "Measured here, {lost} of a launch is lost to others; on the simulated machine "
        "{sim_lost}: not enough evidence either way.",
    },
)
