# SPDX-License-Identifier: Apache-2.0
"""Finding 7: with hyperthreads off, launches on the single-socket mesh machine take 20 to 30 % less."""

from pybench.api.toolkit.statistics import ratio_interval
from pybench.findings.claim import Claim
from pybench.findings.experiments.assumptions import vary
from pybench.findings.experiments.host_experiments import CONTAINERS, Experiments
from pybench.findings.experiments.published_machines import MANY, MESH, NOTE, STORMS, simulated
from pybench.findings.experiments.samples import launch_ns, launches, measured_samples, over
from pybench.findings.verdict import ClaimCheck, ClaimEvidence

# 20 to 30 % less, with a tolerance of five points.
LEAST, MOST = 0.65, 0.85


def _measured(here: Experiments) -> ClaimEvidence:
    if not here.siblings:
        return ClaimEvidence(notes=["This host has no SMT siblings, so it cannot measure this."])
    run = here.places("launch")
    on, off = (
        measured_samples(run, launch_ns, place="single-socket", smt=smt, threads=here.threads)
        for smt in ("on", "off")
    )
    check = ClaimCheck(
        key="here",
        says=f"this host, {here.threads} launching at once: a launch takes 15 to 35 % less without SMT siblings",
        value=ratio_interval(off, on),
        least=LEAST,
        most=MOST,
    )
    return ClaimEvidence(
        checks=[check], notes=["The measurement leaves siblings idle instead of turning them off."]
    )


def _simulated(here: Experiments) -> ClaimEvidence:
    def latencies(name: str, figure: str = "mean") -> list[float]:
        return launches(simulated(here, "storms", name), figure, containers=CONTAINERS)

    on, off = latencies(MESH), latencies("smt off shared")
    checks = [
        (
            "off",
            f"{CONTAINERS} at once on {MESH}: a launch takes 15 to 35 % less with SMT off (published: 20 to "
            f"30); {2 * MANY} launch at once both times",
            over(off, on),
            True,
        ),
        (
            "slowest",
            f"{CONTAINERS} at once on {MESH}: so do the slowest launches (99th percentile)",
            over(latencies("smt off shared", "p99"), latencies(MESH, "p99")),
            False,
        ),
        (
            "fewer",
            f"a launch takes 15 to 35 % less on average if only {MANY} launch at once with SMT off",
            over(latencies("smt off"), on),
            False,
        ),
        (
            "fewer_slowest",
            f"so do the slowest launches if only {MANY} launch at once with SMT off",
            over(latencies("smt off", "p99"), latencies(MESH, "p99")),
            False,
        ),
        (
            "crowded",
            f"a launch takes 15 to 35 % less if {MANY} launch at once both times: on 24 cores with SMT, on 48 "
            f"without",
            over(latencies("smt off"), latencies("crowded")),
            False,
        ),
    ]
    return ClaimEvidence(
        checks=[
            ClaimCheck(key=key, says=says, value=value, least=LEAST, most=MOST, how="simulated", decides=decides)
            for key, says, value, decides in checks
        ],
        notes=[
            NOTE,
            "A runtime launches as many at once with SMT off as with SMT on, on half the CPUs, so that case "
            "decides. If only as many launch at once as there are CPUs, the others wait before they begin: the "
            "average falls, and the last launch ends as late as before.",
        ],
        assumptions=[
            vary(
                here,
                [STORMS[MESH], STORMS["smt off shared"]],
                "core.smt_slowdown",
                (1.1, 1.4, 1.9, 3.0, 5.0, 8.0),
                lambda mean: mean[1] / mean[0],
                says=f"factor by which a busy sibling slows a CPU of {MESH}",
                containers=CONTAINERS,
                least=LEAST,
                most=MOST,
                unit="",
            )
        ],
    )


CLAIM = Claim(
    number=7,
    title="SMT off: 20 to 30 % better launches on the single-socket mesh machine",
    said="With hyperthreading off on m7i.metal-24xl, container launch latency was 20 to 30 % better.",
    refuted_by="launches that take about as long, or longer, with one thread per core",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "With SMT off a launch takes {off} its time with SMT on, with as many launching at once.",
        "not reproduced": "In the simulation a launch with SMT off takes {off} its time with SMT on, with as many "
        "launching at once: not 20 to 30 % less. If only as many launch at once as there are CPUs, it takes "
        "{fewer} on average and the slowest {fewer_slowest}: fewer launches wait for each other, which a limit on "
        "launches would achieve too.",
        "cannot tell here": "In the simulation a launch with SMT off takes {off} its time with SMT on: the "
        "assumed inputs decide whether that is 20 to 30 % less.",
    },
)
