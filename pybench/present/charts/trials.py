# SPDX-License-Identifier: Apache-2.0
"""Every trial in the order they ran."""

import math
from collections import defaultdict
from collections.abc import Sequence

import altair as alt
import numpy as np

from pybench.present.charts import Chart, chart
from pybench.present.charts.parts import data, finish, rounded, tooltips
from pybench.present.loaded import Loaded
from pybench.present.numbers import count
from pybench.results.records import Trial

MOST_POINTS = 1500
MOST_INVALID = 500


@chart(
    "trials",
    title="Every trial",
    section="evidence",
    note=f"at most {MOST_POINTS}, evenly sampled; invalid trials first",
)
def trials(files: Sequence[Loaded]) -> Chart:
    """Return every trial in the order they ran, over its cell's median: drift, modes, and invalid trials.

    More than MOST_POINTS trials are sampled evenly, invalid ones first.
    """
    rows: list[dict[str, object]] = []
    for one in files:
        medians = {
            cell.index: (line.label, cell.throughput.value) for line in one.lines for cell in line.series.cells
        }
        told = [t for t in one.results.trials if t.figures and t.cell in medians]
        # Without a valid trial, the invalid trials of the cell are shown over their own median.
        invalid: dict[int, list[float]] = defaultdict(list)
        for trial in told:
            if trial.figures and not medians[trial.cell][1] > 0:
                invalid[trial.cell].append(trial.figures.throughput)
        for index, rates in invalid.items():
            medians[index] = (medians[index][0], float(np.median(rates)))
        flagged, valid = _sampled([t for t in told if t.flags], MOST_INVALID), [t for t in told if not t.flags]
        for trial in [*flagged, *_sampled(valid, MOST_POINTS - len(flagged))]:
            label, median = medians[trial.cell]
            if trial.figures is None or not median > 0:
                continue
            rows.append(
                {
                    "state": "invalid" if trial.flags else "valid",
                    "trial": trial.sequence,
                    "y": rounded(trial.figures.throughput / median),
                    "series": label,
                    "threads": trial.threads,
                    "throughput": f"{count(trial.figures.throughput)}/s",
                    "flags": ", ".join(trial.flags) or "none",
                }
            )
    if not rows:
        raise ValueError("no trial with a result")
    states = ["valid", "invalid"]
    dots = (
        alt.Chart(data(rows))
        .mark_point(filled=True, opacity=0.75, size=34)
        .encode(
            x=alt.X("trial:Q", title="trial, in the order they ran", axis=alt.Axis(grid=False)),
            y=alt.Y("y:Q", title="throughput over its cell's median", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "state:N",
                title=None,
                scale=alt.Scale(domain=states, range=["#0072b2", "#d55e00"]),
                legend=alt.Legend(orient="bottom"),
            ),
            shape=alt.Shape("state:N", title=None, scale=alt.Scale(domain=states, range=["circle", "cross"])),
            tooltip=tooltips("series:N", "threads:Q", "throughput:N", "flags:N", "trial:Q"),
        )
    )
    return finish(dots, "Throughput of each trial over its cell's median.", axes={"y": "linear"}, height=220)


def _sampled(trials: Sequence[Trial], most: int) -> list[Trial]:
    return list(trials[:: max(1, math.ceil(len(trials) / max(most, 1)))])
