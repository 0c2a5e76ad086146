# SPDX-License-Identifier: Apache-2.0
"""Handoffs of a lock from thread to thread."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain

import altair as alt
import numpy as np
from numpy.typing import NDArray

from pybench.native.outcome import Outcome
from pybench.present.charts import Chart, chart
from pybench.present.charts.cells import measured_cells
from pybench.present.charts.parts import data, finish, heat_colour
from pybench.present.loaded import Loaded

MOST_MAPS = 4


@chart("handoffs", title="Handoffs from thread to thread", section="handoffs", note="valid trials")
def handoffs(files: Sequence[Loaded]) -> Chart:
    """Return a heat map of handoffs between threads: their share of all handoffs, or their mean time."""
    rows: list[dict[str, object]] = []
    names: dict[str, None] = {}
    cells = sorted(measured_cells(files), key=lambda one: -one[0].series.cells[one[1]].cell.threads)
    most = 0
    for line, place, one in cells:
        if len(names) >= MOST_MAPS:
            break
        trials = one.valid[line.series.cells[place].index]
        told = [t.outcome for t in trials if t.outcome.handoffs and t.outcome.members]
        if not told:
            continue
        cpus = told[0].members.cpu if told[0].members else []
        sums = _handed(told, len(cpus))
        total = int(sums[0].sum())
        if not total:
            continue
        threads = line.series.cells[place].cell.threads
        name = f"{line.label}, {threads} threads"
        names[name] = None
        most = max(most, len(cpus))
        for giver, taker in np.argwhere(sums[0]).tolist():
            n, timed_n, ns = sums[:, giver, taker].tolist()
            mean = ns / timed_n if timed_n else math.nan
            rows.append(
                {
                    "cell": name,
                    "giver": giver + 1,
                    "taker": taker + 1,
                    "share": float(f"{100 * n / total:.3g}"),
                    "mean": float(f"{mean:.3g}"),
                    "from": cpus[giver],
                    "to": cpus[taker],
                }
            )
    if not rows:
        raise ValueError("no valid trial with handoffs between threads")
    selects = {
        "cell": ("cell", list(names), next(iter(names))),
        "show": ("colour", ["share of handoffs, %", "mean time, ns"], "share of handoffs, %"),
    }
    base = (
        alt.Chart(data(rows))
        .transform_calculate(value="show == 'mean time, ns' ? datum.mean : datum.share")
        .encode(
            x=alt.X("taker:O", title="to thread", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("giver:O", title="from thread", axis=alt.Axis(labelOverlap=True)),
        )
    )
    tips = [
        alt.Tooltip("from:Q", title="from CPU"),
        alt.Tooltip("to:Q", title="to CPU"),
        alt.Tooltip("share:Q", title="share of handoffs, %"),
        alt.Tooltip("mean:Q", title="mean time, ns"),
    ]
    boxes = base.mark_rect().encode(color=heat_colour("value:Q", "%, or ns"), tooltip=tips)
    return finish(
        boxes,
        "Heat map of lock handoffs from thread to thread, in the order of the placement.",
        selects=selects,
        free=["show"],
        height=min(max(26 * most, 120), 460),
    )


def _handed(told: Sequence[Outcome], members: int) -> NDArray[np.int64]:
    """Return sums of count, timed and ns over trials, shape (3, giver, taker)."""
    sums = np.zeros((3, members, members), dtype=np.int64)
    known = [pairs for outcome in told if (pairs := outcome.handoffs) and pairs.giver]
    known = [pairs for pairs in known if max(*pairs.giver, *pairs.taker) < members]
    at = (_chained(pairs.giver for pairs in known), _chained(pairs.taker for pairs in known))
    for row, name in enumerate(("count", "timed", "ns")):
        np.add.at(sums[row], at, _chained(getattr(pairs, name) for pairs in known))
    return sums


def _chained(parts: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64)
