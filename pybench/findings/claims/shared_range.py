# SPDX-License-Identifier: Apache-2.0
"""Finding 4: with one user range shared by all containers, there is no bottleneck."""

from pybench.findings.claim import Claim
from pybench.findings.claims.domination import not_lost
from pybench.findings.experiments.host_experiments import CONTAINERS, Experiments
from pybench.findings.experiments.published_machines import DUAL, NOTE, simulated
from pybench.findings.experiments.samples import cost_over, launches, over, summary
from pybench.findings.verdict import ClaimCheck, ClaimEvidence, exactly


def _measured(here: Experiments) -> ClaimEvidence:
    run, at = here.launches(), {"containers": here.containers, "threads": here.threads}
    plain, binds = (summary(run, strategy=name, **at) for name in ("plain", "binds"))
    cheaper = cost_over(run, {"strategy": "plain", **at}, {"strategy": "binds", **at})
    added = plain.peak.value - plain.base
    return ClaimEvidence(
        checks=[
            ClaimCheck(
                key="operations",
                says="a container of the shared range makes at most a tenth of the mount operations",
                value=exactly(plain.mount_operations.value / binds.mount_operations.value, plain.valid),
                most=0.1,
            ),
            ClaimCheck(
                key="cheaper",
                says="it costs at most half of one with id-mapped binds, with all threads launching",
                value=cheaper,
                most=0.5,
            ),
        ],
        notes=[
            f"A storm of {here.containers} added at most {added:.0f} mounts to the table, with id-mapped binds "
            f"{binds.peak.value - binds.base:.0f}. These numbers leave out unpacking, which the shared range "
            f"makes "
            "slow as every file changes its owner; `pybench launch --strategy chown` measures it."
        ],
    )


def _simulated(here: Experiments) -> ClaimEvidence:
    run = simulated(here, "contention", DUAL)
    cheaper = over(
        launches(run, strategy="plain", containers=CONTAINERS),
        launches(run, strategy="binds", containers=CONTAINERS),
    )
    return ClaimEvidence(
        checks=[
            ClaimCheck(
                key="sim_cheaper",
                says=f"on {DUAL}, {CONTAINERS} at once, a launch with the shared range takes at most half as long",
                value=cheaper,
                most=0.5,
                how="simulated",
            ),
            not_lost(here, "plain", "less than half of a launch with the shared range"),
        ],
        notes=[NOTE],
    )


CLAIM = Claim(
    number=4,
    title="One shared user range is not affected",
    said="The older runtime gave all containers one user range, with almost no mounts and no lock-ups.",
    refuted_by="launches without id-mapped mounts that cost as much as those with them",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "With one shared range a launch costs {cheaper} as much as one by id-mapped binds on this "
        "host, and {sim_cheaper} on the simulated dual-socket machine, with {operations} the mount operations.",
        "not reproduced": "A launch with the shared range costs {cheaper} as much as one by id-mapped binds on "
        "this host, and {sim_cheaper} on the simulated dual-socket machine: it is affected too.",
        "cannot tell here": "A launch with the shared range costs {cheaper} as much as one by binds on this "
        "host: not enough evidence.",
    },
)
