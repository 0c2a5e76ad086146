# SPDX-License-Identifier: Apache-2.0
"""The scaling models of one curve for the terminal: which is best, what each says, and when not to believe it."""

import math
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pybench.analysis.scaling.curves import CurveFits, FittedParameter, ModelFit
from pybench.analysis.scaling.models import MODELS
from pybench.present.numbers import UNKNOWN, count, counted, time_ns
from pybench.present.terminal.curve import LEGEND, draw
from pybench.stats.estimate import Interval


def fit_report(heading: str, fits: CurveFits, notes: Sequence[str] = ()) -> RenderableType:
    """Return all of one curve's report, 80 columns wide."""
    parts: list[RenderableType] = [Text(heading, style="bold")]
    said = [fits.verdict, *fits.notes, *notes]
    parts += [Padding(Text(line), (0, 0, 0, 2)) for line in said]
    if not fits.models:
        return Group(*parts, "")
    if fits.borders:
        where = ", ".join(
            f"{knee.threads} ({knee.border})" if knee.border else str(knee.threads) for knee in fits.borders
        )
        parts.append(Padding(Text(f"Knees were looked for beyond threads {where}."), (0, 0, 0, 2)))
    parts += ["", _models(fits.models), ""]
    best = fits.models[0]
    parts += [
        Text(f"  {_capital(best.title)}: ops/s against threads (log scale)"),
        Text(draw(fits.measured, best.curve)),
        Text(f"  {LEGEND}", style="dim"),
        "",
    ]
    for fit in fits.models:
        parts += _one(fit)
    parts += [_residuals(fits), ""]
    if best.predictions:
        parts += [_predictions(fits.models), ""]
    return Group(*parts)


def fit_legend() -> str:
    """What the columns mean."""
    return (
        "AICc: lower is better; Gaussian in log throughput, one observation a thread count. weight: of Akaike, "
        "a share of the belief. held-out: median error at thread counts left out of the fit, one at a time. "
        "beyond half: median error above half of the threads, fitted to those below. rms: of the fit's misses. "
        "Intervals are 95 %: of parameters by profile likelihood, of peaks and curves by bootstrap."
    )


def _models(models: Sequence[ModelFit]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("model", min_width=24)
    for column in ("AICc", "weight", "held-out", "beyond half", "rms", "peak, threads"):
        table.add_column(column, justify="right")
    for fit in models:
        table.add_row(
            fit.title,
            UNKNOWN if fit.aicc is None else f"{fit.aicc:.1f}",
            UNKNOWN if fit.weight is None else _share(fit.weight),
            _percent(fit.held_out.median),
            _percent(fit.held_out.extrapolation),
            _percent(fit.rms),
            _span(fit.peak) if fit.peak else "none observed",
        )
    return table


def _one(fit: ModelFit) -> Iterable[RenderableType]:
    yield Text(_capital(fit.title), style="bold")
    yield Padding(Text(fit.formula, style="dim"), (0, 0, 0, 2))
    yield Padding(Text("; ".join(parameter(one) for one in fit.parameters)), (0, 0, 0, 2))
    yield Padding(Text(" ".join(fit.says)), (0, 0, 0, 2))
    for caveat in fit.caveats:
        yield Padding(Text(f"! {caveat}"), (0, 0, 0, 2))
    yield ""


def _residuals(fits: CurveFits) -> Table:
    table = Table(
        box=None, padding=(0, 2, 0, 0), pad_edge=False, title="Measured over fitted", title_justify="left"
    )
    for column in ("threads", "measured", "fit of best", *(MODELS[fit.name].short for fit in fits.models)):
        table.add_column(column, justify="right")
    for index, one in enumerate(fits.measured):
        misses = [f"{fit.residuals[index].relative:+.1%}" for fit in fits.models]
        table.add_row(str(one.threads), counted(one.rate), count(fits.models[0].residuals[index].fitted), *misses)
    return table


def _predictions(models: Sequence[ModelFit]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title="Predicted ops/s", title_justify="left")
    table.add_column("threads", justify="right")
    for column in ("ops/s", "95 % interval"):
        table.add_column(column, justify="right")
    table.add_column("by")
    table.add_column("")
    for index, one in enumerate(models[0].predictions):
        for fit in models:
            rate = fit.predictions[index].rate
            span = f"[{count(rate.low)}, {count(rate.high)}]"
            mark = "extrapolated" if one.extrapolated else ""
            table.add_row(
                str(one.threads) if fit is models[0] else "", count(rate.value), span, MODELS[fit.name].short, mark
            )
    return table


def model_words(fit: ModelFit) -> list[str]:
    """Return a line of parameters and what they mean, then a line per caveat."""
    values = "; ".join(parameter(one) for one in fit.parameters if one.unit != "ops/s")
    said = [f"{_capital(fit.title)}: {values}. {' '.join(fit.says)}"]
    return said + [f"! {caveat}" for caveat in fit.caveats]


def parameter(one: FittedParameter) -> str:
    """`alpha 3.0 % [2.7, 3.2]`, `gamma 1.01M ops/s [0.99M, 1.02M]`, `c 39.6ns [31.4ns, 50ns]`."""
    values = (one.interval.value, one.interval.low, one.interval.high)
    if one.unit == "share":
        value, low, high = (f"{100 * share:.3g}" for share in values)
        return f"{one.name} {value} % [{low}, {high}]"
    value, low, high = (count(v) if one.unit == "ops/s" else time_ns(v) for v in values)
    return f"{one.name} {value}{' ops/s' if one.unit == 'ops/s' else ''} [{low}, {high}]"


def _capital(title: str) -> str:
    return title[0].upper() + title[1:]


def _share(weight: float) -> str:
    return f"{weight:.2f}" if weight >= 0.005 else "<0.01"


def _percent(share: float | None) -> str:
    if share is None or math.isnan(share):
        return UNKNOWN
    return f"{share:.1%}" if share < 9.995 else ">999%"


def _span(peak: Interval) -> str:
    return f"{peak.value:.0f} [{peak.low:.0f}, {peak.high:.0f}]"
