# SPDX-License-Identifier: Apache-2.0
"""Short storms of launches, and what must hold of every one without a failure."""

from typing import Any

from pybench.native import Outcome, TrialSpec
from pybench.workloads import workload
from tests.native.crew_tools import run_or_skip

LAUNCH = workload("launch")
PARTS = ("userns", "build", "overlay", "release")


def launch_spec(cpus: tuple[int, ...], **params: Any) -> TrialSpec:
    fields = {key: params.pop(key) for key in list(params) if key in TrialSpec.__struct_fields__}
    spec = {"duration_ns": 60_000_000_000} | fields
    return TrialSpec(workload="launch", params=LAUNCH.complete(params), cpus=cpus, **spec)


def launch(cpus: tuple[int, ...], **params: Any) -> Outcome:
    return run_or_skip(launch_spec(cpus, **params))


def operations(strategy: str, layers: int, passes: int) -> int:
    """Mounts and unmounts of one container, but for the last unmount of its root."""
    return passes * {"binds": 2 * layers + 1, "parent": 3}.get(strategy, 1)


def check(outcome: Outcome, params: dict[str, Any], workers: int) -> None:
    """Check what holds for every storm without a failure."""
    containers, layers, passes = (params[name] for name in ("containers", "layers", "passes"))
    strategy, kept = params["strategy"], containers if params["keep"] == "yes" else 0
    counts, members = outcome.counters, outcome.members
    assert members
    assert outcome.note == ""
    assert counts["launched"] == containers
    assert "failed" not in counts
    assert counts["mount_operations"] == containers * operations(strategy, layers, passes)
    # Between passes the root goes, and at the end, unless it is kept.
    assert counts.get("clean_operations", 0) == containers * passes - kept
    assert outcome.mounts_after == outcome.mounts_before + kept > 0
    in_flight = {"binds": layers + 1, "parent": 2}.get(strategy, 1)
    base = outcome.mounts_before
    assert base + in_flight <= outcome.peak <= base + workers * in_flight + kept
    assert all(base <= value <= outcome.peak for _, value in outcome.timeline)
    times = [ns for ns, _ in outcome.timeline]
    assert times == sorted(times)
    calls = {name: outcome.phases[name].calls for name in ("launch", *PARTS, "clean")}
    once, each_pass = containers, containers * passes
    assert calls == {
        "launch": once,
        "userns": once,
        "build": each_pass,
        "overlay": each_pass,
        "release": each_pass,
        "clean": once,
    }
    main = [count for i, count in enumerate(members.operations) if members.is_main(i)]
    assert len(main) == workers
    assert sum(main) == containers
    assert all(sum(phase.histogram[1::2]) == phase.calls for phase in outcome.phases.values())


def storm(cpus: tuple[int, ...], **changes: Any) -> Outcome:
    """Run, skip or check."""
    params = {"strategy": "binds", "containers": 5, "layers": 4, "passes": 1, "keep": "no"} | changes
    outcome = launch(cpus, **params)
    check(outcome, params, len(cpus))
    return outcome
