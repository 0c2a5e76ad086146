# SPDX-License-Identifier: Apache-2.0
"""Finding 4: with one user range shared by all containers, nothing of it happens."""

from pybench.findings.claim import Check, Claim, Evidence, exactly
from pybench.findings.claims.domination import not_lost
from pybench.findings.lab import CONTAINERS, Lab, cost_over, summary
from pybench.findings.published import DUAL, NOTE, launches, over, simulated


def _measured(lab: Lab) -> Evidence:
    run, at = lab.launches(), {"containers": lab.containers, "threads": lab.threads}
    plain, binds = (summary(run, strategy=name, **at) for name in ("plain", "binds"))
    cheaper = cost_over(run, {"strategy": "plain", **at}, {"strategy": "binds", **at})
    added = plain.peak.value - plain.base
    return Evidence(
        checks=[
            Check(
                key="operations",
                says="a container of the shared range makes at most a tenth of the mount operations",
                value=exactly(plain.mount_operations.value / binds.mount_operations.value, plain.valid),
                most=0.1,
            ),
            Check(
                key="cheaper",
                says="it costs at most half of one with id-mapped binds, all threads launching",
                value=cheaper,
                most=0.5,
            ),
        ],
        notes=[
            f"A storm of {lab.containers} added {added:.0f} mounts to the table at most, against "
            f"{binds.peak.value - binds.base:.0f} with id-mapped binds. Unpacking, which the shared range made "
            "slow (every file changes owner), is not in these figures; `pybench launch --strategy chown` "
            "measures it."
        ],
    )


def _simulated(lab: Lab) -> Evidence:
    run = simulated(lab, "company", DUAL)
    cheaper = over(
        launches(run, strategy="plain", containers=CONTAINERS),
        launches(run, strategy="binds", containers=CONTAINERS),
    )
    return Evidence(
        checks=[
            Check(
                key="sim_cheaper",
                says=f"on {DUAL}, among {CONTAINERS} at once, it takes at most half as long",
                value=cheaper,
                most=0.5,
                how="simulated",
            ),
            not_lost(lab, "plain", "and less than half of that"),
        ],
        notes=[NOTE],
    )


CLAIM = Claim(
    number=4,
    title="One shared user range is not affected",
    said="The older runtime gave all containers one user range: almost no mounts, and no lock-ups.",
    refuted_by="launches without id-mapped mounts that cost as much as those with them",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "With one shared range a launch costs {cheaper} what id-mapped binds cost here, and "
        "{sim_cheaper} on the simulated dual-socket machine, at {operations} the mount operations.",
        "not reproduced": "A launch with the shared range costs {cheaper} what id-mapped binds cost here, and "
        "{sim_cheaper} on the simulated dual-socket machine: it is affected too.",
        "cannot tell here": "Measured here it costs {cheaper} what binds cost; not enough evidence.",
    },
)
