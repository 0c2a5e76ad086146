# SPDX-License-Identifier: Apache-2.0
"""Finding 6: two NUMA nodes are far worse than one."""

from pybench.api.toolkit.statistics import ratio_interval
from pybench.findings.claim import Claim
from pybench.findings.experiments.assumptions import vary
from pybench.findings.experiments.host_experiments import CONTAINERS, Experiments
from pybench.findings.experiments.published_machines import MESH, NOTE, STORMS, TWO_NODES, simulated
from pybench.findings.experiments.samples import launch_ns, launches, measured_samples, over
from pybench.findings.verdict import ClaimCheck, ClaimEvidence

FAR_WORSE = 1.5


def _measured(here: Experiments) -> ClaimEvidence:
    if not here.two_sockets:
        return ClaimEvidence(notes=["This host has one socket, so it cannot measure this."])
    run, most = here.places("launch"), here.threads
    two, one = (
        measured_samples(run, launch_ns, place=place, smt="on", threads=most)
        for place in ("dual-socket", "single-socket")
    )
    check = ClaimCheck(
        key="here",
        says=f"this host: {most} threads on two sockets take at least {FAR_WORSE} times as long for a launch as "
        "on one",
        value=ratio_interval(two, one),
        least=FAR_WORSE,
    )
    return ClaimEvidence(checks=[check])


def _simulated(here: Experiments) -> ClaimEvidence:
    two = launches(simulated(here, "storms", TWO_NODES), containers=CONTAINERS)
    half = launches(simulated(here, "storms", "one node"), containers=CONTAINERS)
    mesh = launches(simulated(here, "storms", MESH), containers=CONTAINERS)
    return ClaimEvidence(
        checks=[
            ClaimCheck(
                key="two",
                says=f"{CONTAINERS} at once: a launch on {TWO_NODES} takes at least {FAR_WORSE} times as long "
                f"as on {MESH}",
                value=over(two, mesh),
                least=FAR_WORSE,
                how="simulated",
            ),
            ClaimCheck(
                key="half",
                says=f"{CONTAINERS} at once: a launch on two sockets of {TWO_NODES} takes at least {FAR_WORSE} "
                f"times as long "
                "as on one",
                value=over(two, half),
                least=FAR_WORSE,
                how="simulated",
                decides=False,
            ),
        ],
        notes=[
            NOTE,
            f"{TWO_NODES} launches on 192 threads, {MESH} on 96: of 100 containers, 4 wait for a thread there.",
        ],
        assumptions=[
            vary(
                here,
                [STORMS[TWO_NODES], STORMS[MESH]],
                "service.retry_ns",
                (20.0, 200.0, 2_000.0, 20_000.0),
                lambda mean: mean[0] / mean[1],
                says=f"how long a rejected request for a line waits on {TWO_NODES}",
                containers=CONTAINERS,
                least=FAR_WORSE,
            ),
            vary(
                here,
                [STORMS[TWO_NODES], STORMS[MESH]],
                "core.speed",
                (0.7, 1.0, 1.5, 2.0, 3.0),
                lambda mean: mean[0] / mean[1],
                says=f"time of kernel code on {TWO_NODES} over that on the machine that measured the steps",
                containers=CONTAINERS,
                least=FAR_WORSE,
                unit="",
            ),
        ],
    )


CLAIM = Claim(
    number=6,
    title="Two NUMA nodes are far worse than one",
    said="m7i.metal-48xl, with two nodes, was far worse than m7i.metal-24xl, with one node of the same kind.",
    refuted_by="launches that take about as long on two nodes as on one",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "A launch on two nodes takes {two} as long as on one.",
        "not reproduced": "In the simulation a launch on two nodes takes {two} as long as on one: line transfers "
        "between sockets add little to the waits for the holders of locks.",
        "cannot tell here": "In the simulation a launch on two nodes takes {two} as long as on one: not enough "
        "evidence.",
    },
)
