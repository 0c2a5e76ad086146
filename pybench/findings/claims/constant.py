# SPDX-License-Identifier: Apache-2.0
"""Finding 10: mounting O(1) times a container, not O(layers), removes the bottleneck."""

from pybench.findings.claim import Chart, Check, Claim, Evidence, Point, exactly
from pybench.findings.claims.domination import not_lost
from pybench.findings.lab import CONTAINERS, FEW, Lab, cost, cost_over, summary
from pybench.findings.published import DUAL, NOTE, launches, over, simulated

# What still may be between an id-mapped launch and one without any id-mapping.
NEAR = 1.5


def _costs(lab: Lab) -> Chart:
    points = []
    for strategy in ("binds", "parent", "plain"):
        for containers in dict.fromkeys((FEW, lab.containers)):
            each = cost(lab.launches(), strategy=strategy, containers=containers, threads=lab.threads)
            points.append(Point(series=strategy, x=containers, value=each.value, low=each.low, high=each.high))
    return Chart(
        title="Time of a storm over its containers, here",
        x="containers at once",
        y="time a container",
        unit="ns",
        points=points,
    )


def _measured(lab: Lab) -> Evidence:
    run, at = lab.launches(), {"containers": lab.containers, "threads": lab.threads}
    parent, binds = (summary(run, strategy=name, **at) for name in ("parent", "binds"))
    return Evidence(
        checks=[
            Check(
                key="operations",
                says="id-mapping the layers' common parent makes at most a tenth of the mount operations",
                value=exactly(parent.mount_operations.value / binds.mount_operations.value, parent.valid),
                most=0.1,
            ),
            Check(
                key="cheaper",
                says="a launch by id-mapped binds costs at least twice as much",
                value=cost_over(run, {"strategy": "binds", **at}, {"strategy": "parent", **at}),
                least=2.0,
            ),
            Check(
                key="near",
                says=f"it costs at most {NEAR} times a launch without any id-mapping",
                value=cost_over(run, {"strategy": "parent", **at}, {"strategy": "plain", **at}),
                most=NEAR,
            ),
        ],
        charts=[_costs(lab)],
        notes=[
            f"The table grew by {parent.peak.value - parent.base:.0f} mounts at most, against "
            f"{binds.peak.value - binds.base:.0f} with binds."
        ],
    )


def _simulated(lab: Lab) -> Evidence:
    run = simulated(lab, "company", DUAL)
    parent = launches(run, strategy="parent", containers=CONTAINERS)
    return Evidence(
        checks=[
            Check(
                key="sim_cheaper",
                says=f"on {DUAL}, among {CONTAINERS} at once, a launch by id-mapped binds takes at least twice "
                "as long",
                value=over(launches(run, strategy="binds", containers=CONTAINERS), parent),
                least=2.0,
                how="simulated",
            ),
            Check(
                key="sim_near",
                says=f"on {DUAL} it takes at most {NEAR} times a launch without any id-mapping",
                value=over(parent, launches(run, strategy="plain", containers=CONTAINERS)),
                most=NEAR,
                how="simulated",
                decides=False,
            ),
            not_lost(lab, "parent", "and less than half of it"),
        ],
        notes=[NOTE],
    )


CLAIM = Claim(
    number=10,
    title="O(1) mounting removes the bottleneck",
    said="containerd 2.0.7, 2.1.5 and 2.2.0 id-map the layers' common parent once: a constant number of mount "
    "operations a container, and the lock-ups are gone.",
    refuted_by="launches by one id-mapped parent that cost about what id-mapped binds cost, or far more than "
    "launches without id-mapping",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "Binds cost {cheaper} what one id-mapped parent costs here ({sim_cheaper} on the "
        "simulated dual-socket machine), which is {near} a launch with no id-mapping at all: the bottleneck is "
        "gone.",
        "not reproduced": "Binds cost {cheaper} what one id-mapped parent costs here ({sim_cheaper} simulated), "
        "which is {near} a launch with no id-mapping: not all of the bottleneck is gone.",
        "cannot tell here": "Binds cost {cheaper} what one id-mapped parent costs here, {near} a launch with no "
        "id-mapping; not enough evidence.",
    },
)
