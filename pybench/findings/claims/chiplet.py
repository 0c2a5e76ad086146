# SPDX-License-Identifier: Apache-2.0
"""Finding 8: at equal cores, the chiplet machine is about 20 % ahead."""

from pybench.findings.claim import Check, Claim, Evidence
from pybench.findings.lab import CONTAINERS, Lab
from pybench.findings.published import CHIPLET, MANY, MESH, NOTE, STORMS, launches, over, simulated
from pybench.findings.scan import scan

# About 20 % ahead: launches take 10 to 30 % less.
LEAST, MOST = 0.7, 0.9


def _simulated(lab: Lab) -> Evidence:
    chiplet = launches(simulated(lab, "storms", "equal cores"), containers=CONTAINERS)
    mesh = launches(simulated(lab, "storms", "smt off"), containers=CONTAINERS)
    return Evidence(
        checks=[
            Check(
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
            scan(
                lab,
                [STORMS["equal cores"], STORMS["smt off"]],
                "core.speed",
                (0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5),
                lambda mean: mean[0] / mean[1],
                says=f"time of the kernel's code on {CHIPLET} over that on {MESH}",
                containers=CONTAINERS,
                least=LEAST,
                most=MOST,
                unit="",
            )
        ],
    )


CLAIM = Claim(
    number=8,
    title="The chiplet machine is about 20 % ahead at equal cores",
    said="m7a.24xlarge was ahead of m7i.metal-24xl without hyperthreads by about 20 % at equal cores.",
    refuted_by="launches that take about as long on both",
    looks=(("simulated", _simulated),),
    sentences={
        "reproduced": f"A launch on {CHIPLET} takes {{ahead}} what it takes on {MESH}.",
        "not reproduced": f"In the simulation a launch on {CHIPLET} takes {{ahead}} what it takes on {MESH}, if "
        "the kernel's code is as fast on both: caches and locks alone put neither ahead.",
        "cannot tell here": f"A launch on {CHIPLET} takes {{ahead}} what it takes on {MESH} in the simulation: "
        "the assumed inputs decide.",
    },
)
