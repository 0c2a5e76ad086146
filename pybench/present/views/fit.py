# SPDX-License-Identifier: Apache-2.0
"""The scaling models of one curve: which is best, what each predicts, and when not to rely on it."""

import math
from collections.abc import Sequence

from pybench.analysis.scaling.curve_fits import CurveFits, ModelFit
from pybench.analysis.scaling.models import MODELS
from pybench.present.document import Block, Column, Content, Drawing, Heading, Paragraph, Span, Table, note
from pybench.present.labels import capital, parameter
from pybench.present.numbers import UNKNOWN, count
from pybench.present.terminal.curve import LEGEND, draw
from pybench.stats.estimate import Interval

COLUMNS = (
    Column("model"),
    Column("AICc", "one digit"),
    Column("weight", "weight"),
    Column("held-out", "share"),
    Column("beyond half", "share"),
    Column("rms", "share"),
    Column("peak, threads", "peak"),
)


def fit_blocks(heading: str, fits: CurveFits, notes: Sequence[str] = (), *, drawn: bool = True) -> list[Block]:
    """Return all of one curve's models; `drawn` with the curve in characters, which a page draws itself."""
    blocks: list[Block] = [Heading(heading)]
    blocks += [Paragraph(line, indent=1) for line in (fits.verdict, *fits.notes, *notes)]
    if not fits.models:
        return blocks
    if fits.borders:
        borders = ", ".join(
            f"{knee.threads} ({knee.border})" if knee.border else str(knee.threads) for knee in fits.borders
        )
        blocks.append(Paragraph(f"Knees were looked for beyond these thread counts: {borders}.", indent=1))
    best = fits.models[0]
    blocks.append(_models(fits.models))
    if drawn:
        title = f"{capital(best.title)}: ops/s against threads (log scale)"
        blocks.append(Drawing(draw(fits.measured, best.curve).split("\n"), title=title, legend=LEGEND))
    for fit in fits.models:
        blocks += _model(fit)
    blocks.append(_residuals(fits))
    if best.predictions:
        blocks.append(_predictions(fits.models))
    return blocks


def legend() -> Paragraph:
    """Return a note on what the columns mean."""
    return note(
        "AICc: lower is better; Gaussian in log throughput, one observation per thread count. weight: Akaike "
        "weight. held-out: median error at thread counts left out of the fit, one at a time. beyond half: median "
        "error above half of the threads, fitted to those below. rms: root mean square of the residuals. "
        "Intervals are 95 %: of parameters by profile likelihood, of peaks and curves by bootstrap."
    )


def _models(models: Sequence[ModelFit]) -> Table:
    rows: list[list[Content]] = [
        [
            fit.title,
            UNKNOWN if fit.aicc is None else fit.aicc,
            UNKNOWN if fit.weight is None else fit.weight,
            _known(fit.held_out.median),
            _known(fit.held_out.extrapolation),
            fit.rms,
            fit.peak or "none observed",
        ]
        for fit in models
    ]
    return Table("models", COLUMNS, rows)


def _known(part: float | None) -> float:
    return math.nan if part is None else part


def _model(fit: ModelFit) -> list[Block]:
    return [
        Heading(capital(fit.title), level=3),
        Paragraph(fit.formula, tone="dim", indent=1),
        Paragraph("; ".join(parameter(one) for one in fit.parameters), indent=1),
        Paragraph(" ".join(fit.says), indent=1),
        *(Paragraph((Span("caveat: ", "warn"), caveat), indent=1) for caveat in fit.caveats),
    ]


def _residuals(fits: CurveFits) -> Table:
    columns = [
        Column("threads", "number"),
        Column("measured", "rate"),
        Column("fit of best", "rate"),
        *(Column(MODELS[fit.name].short, "change") for fit in fits.models),
    ]
    rows: list[list[Content]] = [
        [
            one.threads,
            one.rate,
            fits.models[0].residuals[index].fitted,
            *(fit.residuals[index].relative for fit in fits.models),
        ]
        for index, one in enumerate(fits.measured)
    ]
    return Table("residuals", columns, rows, title="Residuals: measured over fitted")


def _predictions(models: Sequence[ModelFit]) -> Table:
    columns = [
        Column("threads", "number", once=True),
        Column("ops/s", "rate"),
        Column("95 % interval"),
        Column("by"),
        Column("", optional=True),
    ]
    rows: list[list[Content]] = []
    for index, one in enumerate(models[0].predictions):
        for fit in models:
            rate: Interval = fit.predictions[index].rate
            rows.append(
                [
                    one.threads,
                    rate.value,
                    f"[{count(rate.low)}, {count(rate.high)}]",
                    MODELS[fit.name].short,
                    "extrapolated" if one.extrapolated else "",
                ]
            )
    return Table("predictions", columns, rows, title="Predicted ops/s")
