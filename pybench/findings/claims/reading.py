# SPDX-License-Identifier: Apache-2.0
"""Finding 1: the mount table grows long, and reading it gets slow."""

import math

from pybench.errors import MeasurementError, UnsupportedError
from pybench.findings.claim import Chart, Check, Claim, Evidence, Point
from pybench.findings.lab import LAYERS, TABLES, Lab, clean_samples, cost_over, summary
from pybench.results.records import Trial
from pybench.stats.estimate import Interval, median_interval, ratio_interval
from pybench.stats.histograms import percentiles_ns

LATE_NS = 30e9


def _probe_ns(trial: Trial) -> float:
    phase = trial.outcome.phases.get("probe")
    return percentiles_ns(phase, (0.5,))[0] if phase and phase.calls else math.nan


def _look(lab: Lab) -> Evidence:
    run = lab.reading()
    tables = TABLES[:3] if lab.quick else TABLES
    times = {table: clean_samples(run, _probe_ns, table=table) for table in tables}
    shown = [median_interval(times[table]) for table in tables]
    base = summary(run, table=0).base
    long, longest = 10_000, max(tables)
    grown = ratio_interval(times[long], times[1_000])
    points = [
        Point(series="one read of the mount table", x=base + table, value=i.value, low=i.low, high=i.high)
        for table, i in zip(tables, shown, strict=True)
    ]
    last = shown[-1]
    needed = LATE_NS / (last.value / (base + longest))
    return Evidence(
        checks=[
            _in_flight(lab),
            Check(
                key="grown",
                says="one read of a table of 10,000 mounts takes at least 5 times one of 1,000",
                value=grown,
                least=5.0,
            ),
            Check(
                key="read",
                says=f"one read of {longest:,} mounts on a quiet host takes 30 s by itself",
                value=last,
                least=LATE_NS,
                unit="ns",
                decides=False,
            ),
            _starving(lab),
        ],
        charts=[
            Chart(
                title="One read of the mount table, by its length",
                x="mounts in the table",
                y="time",
                unit="ns",
                points=points,
            )
        ],
        notes=[
            f"At this rate a quiet read would take 30 s only of a table of {needed:,.0f} mounts. The 30 s that "
            "were published are time spent waiting, not the reading of a long table by itself."
        ],
    )


def _in_flight(lab: Lab) -> Check:
    """What the table gains for each container on its way."""
    says = f"each container on its way adds at least {LAYERS // 2} mounts (half its layers) to the table"
    try:
        one = summary(lab.launches(), strategy="binds", containers=lab.containers, threads=lab.threads)
    except (UnsupportedError, MeasurementError) as error:
        return Check(key="added", says=says, unknown=str(error), least=LAYERS // 2, unit="count")
    value, low, high = ((peak - one.base) / lab.threads for peak in (one.peak.value, one.peak.low, one.peak.high))
    return Check(
        key="added", says=says, value=Interval(value, low, high, one.peak.n), least=LAYERS // 2, unit="count"
    )


def _starving(lab: Lab) -> Check:
    says = "while somebody reads a table of 10,000 mounts at each change, a launch takes at least twice as long"
    try:
        run = lab.starving()
        slower = cost_over(run, {"readers": 1}, {"readers": 0})
    except (UnsupportedError, MeasurementError) as error:
        return Check(key="slower", says=says, unknown=str(error), least=2.0)
    return Check(key="slower", says=says, value=slower, least=2.0)


CLAIM = Claim(
    number=1,
    title="A long mount table makes reading it slow",
    said="The mount table grows to tens of thousands of lines; reading it takes up to 30 s; systemd and the "
    "kubelet re-read it at every change, and health checks with a deadline of 30 s fail.",
    refuted_by="a read whose time does not grow with the table, launches that add no mounts to it, or launches "
    "that are as fast beside a reader as without",
    looks=(("measured", _look),),
    sentences={
        "reproduced": "Each container on its way adds {added} mounts, a read of a table ten times as long takes "
        "{grown} as long, and a launch beside a reader of a long table takes {slower} as long: table, readers "
        "and launches slow each other down. Reading alone is {read}, far from 30 s.",
        "not reproduced": "Not all of it holds here: containers add {added} mounts each, a table ten times as "
        "long takes {grown} as long to read, a launch beside a reader {slower} as long.",
        "cannot tell here": "Containers add {added} mounts each, a table ten times as long takes {grown} as "
        "long to read, a launch beside a reader {slower} as long: not enough evidence.",
    },
)
