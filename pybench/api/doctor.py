# SPDX-License-Identifier: Apache-2.0
"""The facts of this host that make measurements invalid: its settings, and a short real trial."""

from pathlib import Path

from pybench.errors import MeasurementError, UsageError
from pybench.host import doctor
from pybench.host.capture import open_sysroot
from pybench.host.doctor import Observation
from pybench.host.topology import topology_of
from pybench.placement import parse_placements, place
from pybench.results.records import Cell, Plan, Trial
from pybench.run.checks import next_step
from pybench.run.sweep import Sweep
from pybench.workloads import workload

# More CPUs show no more of the host.
MOST_REHEARSED = 64
DURATION_NS = 500_000_000


def examine(
    words: str = "all", sysroot: Path = Path("/"), *, quick: bool = False
) -> tuple[tuple[int, ...], list[Observation]]:
    """Examine the CPUs of a placement, on this host or in a tree; return them, and what was observed.

    On this host a trial of half a second is part of it, unless `quick`. Raises UsageError for words that are not
    one placement, MeasurementError if the trial fails.
    """
    with open_sysroot(sysroot) as tree:
        texts = parse_placements(words)
        if len(texts) != 1:
            raise UsageError(f"--place {words!r}: doctor looks at one placement")
        topology = topology_of(tree)
        cpus = place(topology, texts[0]).cpus
        found = doctor.examine(tree, cpus)
        rule = "reported in full"
        found += [Observation("topology", "note", line, rule) for line in topology.missing]
    if sysroot == Path("/") and not quick:
        found += rehearse(cpus)
    return cpus, found


def rehearse(cpus: tuple[int, ...]) -> list[Observation]:
    """Run a short trial on these CPUs, and return what it shows. Raises MeasurementError if it fails."""
    trial = _trial_on(cpus[:MOST_REHEARSED])
    worst, share = _gaps(trial)[0]
    seen = f"CPU {worst} was away for {share:.2%} of half a second"
    if not trial.flags:
        return [Observation(topic="a short trial", level="fine", seen=seen, threshold="no check fails")]
    return [
        Observation(
            topic="a short trial",
            level="problem",
            seen=f"{seen}; it failed: {', '.join(trial.flags)}",
            threshold="no check fails",
            next_step=next_step(trial.flags[0]),
        )
    ]


def _trial_on(cpus: tuple[int, ...]) -> Trial:
    """Run a trial of an mcs lock on these CPUs, checked as any other. Raises MeasurementError if it fails."""
    params = workload("spin").complete({"lock": "mcs", "hold_ns": 200})
    cell = Cell(workload="spin", params=params, threads=len(cpus), place="", smt="on", cpus=tuple(cpus))
    plan = Plan(cells=[cell], seed=1, duration_ns=DURATION_NS, warmup_ns=20_000_000, min_trials=1, max_trials=1)
    trial = next(Sweep(plan).trials())
    if trial.figures is None:
        raise MeasurementError(f"a short trial failed: {trial.outcome.reason}")
    return trial


def _gaps(trial: Trial) -> list[tuple[int, float]]:
    """Return (CPU, share of the trial in which its member was not on it), worst first."""
    members = trial.outcome.members
    assert members is not None
    spans = (max(stop - start, 1) for start, stop in zip(members.start_ns, members.stop_ns, strict=True))
    shares = [max(1 - cpu_ns / span, 0.0) for cpu_ns, span in zip(members.cpu_ns, spans, strict=True)]
    return sorted(zip(members.cpu, shares, strict=True), key=lambda one: -one[1])
