# SPDX-License-Identifier: Apache-2.0
"""Finding 10: O(1) instead of O(layers) mount operations per container remove the bottleneck."""

from pybench.findings.claim import Claim
from pybench.findings.claims.domination import not_lost
from pybench.findings.experiments.host_experiments import CONTAINERS, FEW, Experiments
from pybench.findings.experiments.published_machines import DUAL, NOTE, simulated
from pybench.findings.experiments.samples import cost, cost_over, launches, over, summary
from pybench.findings.verdict import ClaimChart, ClaimCheck, ClaimEvidence, exactly, point

# Largest ratio of an id-mapped launch to one without id-mapping.
NEAR = 1.5


def _costs(here: Experiments) -> ClaimChart:
    points = []
    for strategy in ("binds", "parent", "plain"):
        for containers in dict.fromkeys((FEW, here.containers)):
            each = cost(here.launches(), strategy=strategy, containers=containers, threads=here.threads)
            points.append(point(strategy, containers, each))
    return ClaimChart(
        title="Time of a storm per container, on this host",
        x="containers at once",
        y="time per container",
        unit="ns",
        points=points,
    )


def _measured(here: Experiments) -> ClaimEvidence:
    run, at = here.launches(), {"containers": here.containers, "threads": here.threads}
    parent, binds = (summary(run, strategy=name, **at) for name in ("parent", "binds"))
    return ClaimEvidence(
        checks=[
            ClaimCheck(
                key="operations",
                says="id-mapping the layers' common parent makes at most a tenth of the mount operations",
                value=exactly(parent.mount_operations.value / binds.mount_operations.value, parent.valid),
                most=0.1,
            ),
            ClaimCheck(
                key="cheaper",
                says="a launch by id-mapped binds costs at least twice as much as by the parent",
                value=cost_over(run, {"strategy": "binds", **at}, {"strategy": "parent", **at}),
                least=2.0,
            ),
            ClaimCheck(
                key="near",
                says=f"a launch by the parent costs at most {NEAR} times one without id-mapping",
                value=cost_over(run, {"strategy": "parent", **at}, {"strategy": "plain", **at}),
                most=NEAR,
            ),
        ],
        charts=[_costs(here)],
        notes=[
            f"The mount table grew by at most {parent.peak.value - parent.base:.0f} mounts, with binds by "
            f"{binds.peak.value - binds.base:.0f}."
        ],
    )


def _simulated(here: Experiments) -> ClaimEvidence:
    run = simulated(here, "contention", DUAL)
    parent = launches(run, strategy="parent", containers=CONTAINERS)
    return ClaimEvidence(
        checks=[
            ClaimCheck(
                key="sim_cheaper",
                says=f"on {DUAL}, {CONTAINERS} at once, a launch by id-mapped binds takes at least twice as "
                f"long as "
                "by the parent",
                value=over(launches(run, strategy="binds", containers=CONTAINERS), parent),
                least=2.0,
                how="simulated",
            ),
            ClaimCheck(
                key="sim_near",
                says=f"on {DUAL} a launch by the parent takes at most {NEAR} times one without id-mapping",
                value=over(parent, launches(run, strategy="plain", containers=CONTAINERS)),
                most=NEAR,
                how="simulated",
                decides=False,
            ),
            not_lost(here, "parent", "less than half of a launch by the parent"),
        ],
        notes=[NOTE],
    )


CLAIM = Claim(
    number=10,
    title="O(1) mounting removes the bottleneck",
    said="containerd 2.0.7, 2.1.5 and 2.2.0 id-map the layers' common parent once: a constant number of mount "
    "operations per container, and the lock-ups are gone.",
    refuted_by="launches by one id-mapped parent that cost about as much as by id-mapped binds, or far more than "
    "without id-mapping",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "On this host a launch by binds costs {cheaper} as much as one by an id-mapped parent "
        "({sim_cheaper} on the simulated dual-socket machine), which costs {near} as much as one without "
        "id-mapping: the bottleneck is gone.",
        "not reproduced": "On this host a launch by binds costs {cheaper} as much as one by an id-mapped parent "
        "({sim_cheaper} simulated), which costs {near} as much as one without id-mapping: part of the "
        "bottleneck remains.",
        "cannot tell here": "On this host a launch by binds costs {cheaper} as much as one by an id-mapped "
        "parent, which costs {near} as much as one without id-mapping: not enough evidence.",
    },
)
