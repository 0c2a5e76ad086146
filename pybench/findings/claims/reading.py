# SPDX-License-Identifier: Apache-2.0
"""Finding 1: the mount table grows long, and reading it becomes slow."""

import math

from pybench import MeasurementError, UnsupportedError
from pybench.api.toolkit.result_files import Trial
from pybench.api.toolkit.statistics import Interval, median_interval, percentiles_ns, ratio_interval
from pybench.findings.claim import Claim
from pybench.findings.experiments.host_experiments import LAYERS, TABLES, Experiments
from pybench.findings.experiments.samples import cost_over, measured_samples, summary
from pybench.findings.verdict import ClaimChart, ClaimCheck, ClaimEvidence, point

LATE_NS = 30e9


def _probe_ns(trial: Trial) -> float:
    phase = trial.outcome.phases.get("probe")
    return percentiles_ns(phase, (0.5,))[0] if phase and phase.calls else math.nan


def _look(here: Experiments) -> ClaimEvidence:
    run = here.reading()
    tables = TABLES[:3] if here.quick else TABLES
    times = {table: measured_samples(run, _probe_ns, table=table) for table in tables}
    shown = [median_interval(times[table]) for table in tables]
    base = summary(run, table=0).base
    long, longest = 10_000, max(tables)
    grown = ratio_interval(times[long], times[1_000])
    points = [
        point("one read of the mount table", base + table, i) for table, i in zip(tables, shown, strict=True)
    ]
    last = shown[-1]
    needed = LATE_NS / (last.value / (base + longest))
    return ClaimEvidence(
        checks=[
            _in_flight(here),
            ClaimCheck(
                key="grown",
                says="one read of a table of 10,000 mounts takes at least 5 times one of 1,000",
                value=grown,
                least=5.0,
            ),
            ClaimCheck(
                key="read",
                says=f"one read of {longest:,} mounts on a quiet host takes 30 s",
                value=last,
                least=LATE_NS,
                unit="ns",
                decides=False,
            ),
            _starving(here),
        ],
        charts=[
            ClaimChart(
                title="One read of the mount table, by its length",
                x="mounts in the table",
                y="time",
                unit="ns",
                points=points,
            )
        ],
        notes=[
            f"At this rate a read on a quiet host takes 30 s for a table of {needed:,.0f} mounts. The published "
            "30 s are mostly waiting, not the reading of a long table."
        ],
    )


def _in_flight(here: Experiments) -> ClaimCheck:
    """Check how many mounts each container that is being launched adds to the table."""
    says = f"each container being launched adds at least {LAYERS // 2} mounts (half its layers) to the table"
    try:
        one = summary(
            here.launches(),
            strategy="binds",
            containers=here.containers,
            threads=here.threads,
        )
    except (UnsupportedError, MeasurementError) as error:
        return ClaimCheck(key="added", says=says, unknown=str(error), least=LAYERS // 2, unit="count")
    value, low, high = ((peak - one.base) / here.threads for peak in (one.peak.value, one.peak.low, one.peak.high))
    return ClaimCheck(
        key="added", says=says, value=Interval(value, low, high, one.peak.n), least=LAYERS // 2, unit="count"
    )


def _starving(here: Experiments) -> ClaimCheck:
    says = "while a process reads a table of 10,000 mounts at each change, a launch takes at least twice as long"
    try:
        run = here.starving()
        slower = cost_over(run, {"readers": 1}, {"readers": 0})
    except (UnsupportedError, MeasurementError) as error:
        return ClaimCheck(key="slower", says=says, unknown=str(error), least=2.0)
    return ClaimCheck(key="slower", says=says, value=slower, least=2.0)


CLAIM = Claim(
    number=1,
    title="A long mount table makes reading it slow",
    said="The mount table grows to tens of thousands of lines, and reading it takes up to 30 s. systemd and the "
    "kubelet read it again at every change, and health checks with a deadline of 30 s fail.",
    refuted_by="a read whose time does not grow with the table, launches that add no mounts to it, or launches "
    "that are as fast with a reader as without",
    looks=(("measured", _look),),
    sentences={
        "reproduced": "Each container being launched adds {added} mounts, a table ten times as long takes "
        "{grown} as long to read, and a launch takes {slower} as long with a reader of a long table: table, "
        "readers and launches slow each other down. A read on a quiet host takes {read}, far from 30 s.",
        "not reproduced": "Not all of it holds on this host: containers add {added} mounts each, a table ten "
        "times as long takes {grown} as long to read, and a launch takes {slower} as long with a reader.",
        "cannot tell here": "Containers add {added} mounts each, a table ten times as long takes {grown} as "
        "long to read, and a launch takes {slower} as long with a reader: not enough evidence.",
    },
)
