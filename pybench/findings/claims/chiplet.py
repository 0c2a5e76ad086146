# SPDX-License-Identifier: Apache-2.0
"""Finding 8: at equal cores, the chiplet machine is about 20 % faster."""

from pybench.findings.claim import Claim
from pybench.findings.experiments.assumptions import vary
from pybench.findings.experiments.host_experiments import CONTAINERS, Experiments
from pybench.findings.experiments.published_machines import CHIPLET, MANY, MESH, NOTE, STORMS, simulated
from pybench.findings.experiments.samples import launches, over
from pybench.findings.verdict import ClaimCheck, ClaimEvidence

# About 20 % faster: launches take 10 to 30 % less.
LEAST, MOST = 0.7, 0.9


def _simulated(here: Experiments) -> ClaimEvidence:
    chiplet = launches(simulated(here, "storms", "equal cores"), containers=CONTAINERS)
    mesh = launches(simulated(here, "storms", "smt off"), containers=CONTAINERS)
    return ClaimEvidence(
        checks=[
            ClaimCheck(
                key="ahead",
                says=f"{CONTAINERS} at once on {MANY} cores: a launch on {CHIPLET} takes 10 to 30 % less than "
                f"on {MESH} without SMT (published: about 20)",
                value=over(chiplet, mesh),
                least=LEAST,
                most=MOST,
                how="simulated",
            )
        ],
        notes=[NOTE],
        assumptions=[
            vary(
                here,
                [STORMS["equal cores"], STORMS["smt off"]],
                "core.speed",
                (0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5),
                lambda mean: mean[0] / mean[1],
                says=f"time of kernel code on {CHIPLET} over that on {MESH}",
                containers=CONTAINERS,
                least=LEAST,
                most=MOST,
                unit="",
            )
        ],
    )


CLAIM = Claim(
    number=8,
    title="The chiplet machine is about 20 % faster at equal cores",
    said="m7a.24xlarge was about 20 % faster than m7i.metal-24xl without hyperthreads, at equal cores.",
    refuted_by="launches that take about the same time on both",
    looks=(("simulated", _simulated),),
    sentences={
        "reproduced": f"A launch on {CHIPLET} takes {{ahead}} its time on {MESH}.",
        "not reproduced": f"In the simulation a launch on {CHIPLET} takes {{ahead}} its time on {MESH} if kernel "
        "code is as fast on both: caches and locks alone make neither machine faster.",
        "cannot tell here": f"In the simulation a launch on {CHIPLET} takes {{ahead}} its time on {MESH}: the "
        "assumed inputs decide.",
    },
)
