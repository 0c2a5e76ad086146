# SPDX-License-Identifier: Apache-2.0
"""Finding 6: two NUMA nodes are far worse than one."""

from pybench.findings.claim import Check, Claim, Evidence
from pybench.findings.lab import CONTAINERS, Lab, clean_samples
from pybench.findings.published import (
    MESH,
    NOTE,
    STORMS,
    TWO_NODES,
    launch_ns,
    launches,
    measured_over,
    over,
    simulated,
)
from pybench.findings.scan import scan

FAR_WORSE = 1.5


def _measured(lab: Lab) -> Evidence:
    if not lab.two_sockets:
        return Evidence(notes=["This host shows one socket, so it cannot be measured here."])
    run, most = lab.places("launch"), lab.threads
    two, one = (
        clean_samples(run, launch_ns, place=place, smt="on", threads=most)
        for place in ("dual-socket", "single-socket")
    )
    check = Check(
        key="here",
        says=f"this host: {most} threads on two sockets take at least {FAR_WORSE} times as long for a launch as "
        "on one",
        value=measured_over(two, one),
        least=FAR_WORSE,
    )
    return Evidence(checks=[check])


def _simulated(lab: Lab) -> Evidence:
    two = launches(simulated(lab, "storms", TWO_NODES), containers=CONTAINERS)
    half = launches(simulated(lab, "storms", "one node"), containers=CONTAINERS)
    mesh = launches(simulated(lab, "storms", MESH), containers=CONTAINERS)
    return Evidence(
        checks=[
            Check(
                key="two",
                says=f"{CONTAINERS} at once: a launch on {TWO_NODES} takes at least {FAR_WORSE} times as long "
                f"as on {MESH}",
                value=over(two, mesh),
                least=FAR_WORSE,
                how="simulated",
            ),
            Check(
                key="half",
                says=f"and so it does against one socket of the same {TWO_NODES}",
                value=over(two, half),
                least=FAR_WORSE,
                how="simulated",
                decides=False,
            ),
        ],
        notes=[
            NOTE,
            f"{TWO_NODES} launches with 192 threads, {MESH} with 96: of 100 containers, 4 have to wait there.",
        ],
        assumptions=[
            scan(
                lab,
                [STORMS[TWO_NODES], STORMS[MESH]],
                "service.retry_ns",
                (20.0, 200.0, 2_000.0, 20_000.0),
                lambda mean: mean[0] / mean[1],
                says=f"how long a rejected request for a line waits on {TWO_NODES}",
                containers=CONTAINERS,
                least=FAR_WORSE,
            ),
            scan(
                lab,
                [STORMS[TWO_NODES], STORMS[MESH]],
                "core.speed",
                (0.7, 1.0, 1.5, 2.0, 3.0),
                lambda mean: mean[0] / mean[1],
                says=f"time of the kernel's code on {TWO_NODES} over that where the steps were measured",
                containers=CONTAINERS,
                least=FAR_WORSE,
                unit="",
            ),
        ],
    )


CLAIM = Claim(
    number=6,
    title="Two NUMA nodes are far worse than one",
    said="m7i.metal-48xl, with two nodes, was far worse than m7i.metal-24xl, with one of the same.",
    refuted_by="launches on two nodes that take about as long as on one",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "A launch on two nodes takes {two} as long as on one.",
        "not reproduced": "In the simulation a launch on two nodes takes {two} as long as on one of them: what "
        "a line's way between sockets adds is small beside the waiting for the locks' holders.",
        "cannot tell here": "A launch on two nodes takes {two} as long as on one in the simulation; not enough "
        "evidence.",
    },
)
