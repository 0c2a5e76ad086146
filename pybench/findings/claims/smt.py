# SPDX-License-Identifier: Apache-2.0
"""Finding 7: with hyperthreads off, launches on the single-socket mesh machine take 20 to 30 % less."""

from pybench.findings.claim import Check, Claim, Evidence
from pybench.findings.lab import CONTAINERS, Lab, clean_samples
from pybench.findings.published import (
    MANY,
    MESH,
    NOTE,
    STORMS,
    launch_ns,
    launches,
    measured_over,
    over,
    simulated,
)
from pybench.findings.scan import scan

# 20 to 30 % less, give or take five points.
LEAST, MOST = 0.65, 0.85


def _measured(lab: Lab) -> Evidence:
    if not lab.siblings:
        return Evidence(notes=["This host shows no SMT siblings, so it cannot be measured here."])
    run = lab.places("launch")
    on, off = (
        clean_samples(run, launch_ns, place="single-socket", smt=smt, threads=lab.threads) for smt in ("on", "off")
    )
    check = Check(
        key="here",
        says=f"this host, {lab.threads} launching at once: a launch takes 15 to 35 % less without SMT siblings",
        value=measured_over(off, on),
        least=LEAST,
        most=MOST,
    )
    return Evidence(checks=[check], notes=["Siblings are left idle here, not switched off."])


def _simulated(lab: Lab) -> Evidence:
    def latencies(name: str, figure: str = "mean") -> list[float]:
        return launches(simulated(lab, "storms", name), figure, containers=CONTAINERS)

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
            "and so do the slowest (99th percentile)",
            over(latencies("smt off shared", "p99"), latencies(MESH, "p99")),
            False,
        ),
        (
            "fewer",
            f"and so it does on average if only {MANY} launch at once with SMT off",
            over(latencies("smt off"), on),
            False,
        ),
        (
            "fewer_slowest",
            "and the slowest of those",
            over(latencies("smt off", "p99"), latencies(MESH, "p99")),
            False,
        ),
        (
            "crowded",
            f"and so it does if {MANY} launch at once both times: on 24 cores with SMT, on 48 without",
            over(latencies("smt off"), latencies("crowded")),
            False,
        ),
    ]
    return Evidence(
        checks=[
            Check(key=key, says=says, value=value, least=LEAST, most=MOST, how="simulated", decides=decides)
            for key, says, value, decides in checks
        ],
        notes=[
            NOTE,
            "A runtime launches as many at once with SMT off as with it on, on half the CPUs, so that decides. "
            "If only as many launch at once as there are CPUs, others wait for their turn before they begin: "
            "the average falls, and the last is done as late as before.",
        ],
        assumptions=[
            scan(
                lab,
                [STORMS[MESH], STORMS["smt off shared"]],
                "core.smt_slowdown",
                (1.1, 1.4, 1.9, 3.0, 5.0, 8.0),
                lambda mean: mean[1] / mean[0],
                says=f"by how much a busy sibling slows a CPU of {MESH}",
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
    refuted_by="launches that take about as long, or longer, with one thread a core",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "With SMT off a launch takes {off} what it takes with it on, as many launching at once.",
        "not reproduced": "In the simulation a launch with SMT off takes {off} what it takes with it on, as "
        "many launching at once: not 20 to 30 % less. On average it takes {fewer}, but the slowest "
        "{fewer_slowest}, if only as many launch at once as there are CPUs: then fewer wait for each other, "
        "which limiting launches would do as well.",
        "cannot tell here": "In the simulation a launch with SMT off takes {off} what it takes with it on: the "
        "assumed inputs decide whether that is 20 to 30 % less.",
    },
)
