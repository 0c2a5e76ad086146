# SPDX-License-Identifier: Apache-2.0
"""Compare scaling models on the curves of a result file, or of a table."""

from pathlib import Path

import click
import msgspec

from pybench.analysis.scaling.curve_fits import CurveFits, fit_curve
from pybench.analysis.scaling.models import MODELS
from pybench.errors import UsageError
from pybench.results.store import text_of


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--csv", "table", is_flag=True, help="FILE is a table with columns threads and throughput (ops/s).")
@click.option("--model", metavar="NAME,...", help=f"Models to fit: {', '.join(MODELS)}. [all]")
@click.option(
    "--where", multiple=True, metavar="NAME=V,...", help="Curves with that setting alone: lock=ticket,mcs."
)
@click.option("--borders", metavar="LIST", help="Thread counts beyond which knees may be. [from the topology]")
@click.option("--predict", metavar="LIST", help="Predict throughput at these thread counts: 48,96..384.")
@click.option("--emulated", is_flag=True, help="Also fit a file of an emulated machine, labelled.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    file: Path,
    table: bool,
    model: str | None,
    where: tuple[str, ...],
    borders: str | None,
    predict: str | None,
    emulated: bool,
    as_json: bool,
) -> None:
    """Compare scaling models on each curve of a result FILE.

    Amdahl's law, the Universal Scalability Law (USL), the USL with knees where the placement crosses a border of
    the topology (SMT siblings, L3, node, socket), and the queue of Boyd-Wickizer et al. ("Non-scalable locks are
    dangerous"). For each: parameters with intervals and in words, AICc, the error at thread counts left out of
    the fit, the peak, and when not to believe it. Knees and rankings take 7 thread counts or more.

    \b
    pybench fit results/sweep-....jsonl --where lock=ticket
    pybench fit results/sweep-....jsonl --predict 192,384
    pybench fit --csv curve.csv --borders 18,36,72
    """
    from pybench.cli.read.fit_curves import curves_of_results, curves_of_table, names, thread_list
    from pybench.present.document import Block, Document
    from pybench.present.terminal.output import show
    from pybench.present.views.fit import fit_blocks, legend

    models = names(model)
    at = [(count, "") for count in thread_list(borders, "--borders")] if borders is not None else None
    asked = thread_list(predict, "--predict") if predict is not None else []
    if table and where:
        raise UsageError("--where chooses curves of a result file, and a table is one curve; leave it out")
    curves = curves_of_table(file) if table else curves_of_results(file, where, emulated)
    fitted: list[dict[str, object]] = []
    blocks: list[Block] = []
    for curve in curves:
        fits: CurveFits = fit_curve(
            curve.threads,
            curve.rates,
            borders=curve.borders if at is None else at,
            models=models,
            predict=asked,
        )
        if as_json:
            plain = {"name": curve.name, "source": curve.source, "settings": curve.settings, "notes": curve.notes}
            fitted.append(plain | {"fits": msgspec.to_builtins(fits)})
        else:
            blocks += fit_blocks(curve.name, fits, curve.notes)
    if as_json:
        click.echo(
            msgspec.json.format(msgspec.json.encode({"file": text_of(file), "curves": fitted}), indent=1).decode()
        )
    else:
        show(Document([*blocks, legend()]))
