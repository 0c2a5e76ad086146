# SPDX-License-Identifier: Apache-2.0
"""Write one HTML page on result files: conclusions, charts, tables."""

from pathlib import Path

import click

from pybench.api.report import write_report
from pybench.errors import UsageError


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the page to this file. [the first FILE, ending in .html]",
)
@click.option(
    "--png",
    "png",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the charts as PNG into this folder.",
)
@click.option(
    "--svg",
    "svg",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the charts as SVG into this folder.",
)
@click.option("--force", is_flag=True, help="Overwrite a page that is not from pybench.")
@click.option("--emulated", is_flag=True, help="Also show files of emulated machines, labelled.")
def command(
    files: tuple[Path, ...],
    output: Path | None,
    png: Path | None,
    svg: Path | None,
    force: bool,
    emulated: bool,
) -> None:
    """Write one HTML page on result FILES: conclusions, scaling curve and host first, then the evidence.

    FILES are sweeps (`pybench sweep`, `launch`) and latency files (`pybench latency`). Several sweeps are shown
    together and compared with the first. The page is one file and loads nothing, so it can be mailed and read
    offline. PNG and SVG need no browser.

    \b
    pybench report results/sweep.jsonl
    pybench report before.jsonl after.jsonl cores.jsonl -o upgrade.html
    pybench report sweep.jsonl --png charts/
    """
    target = output or files[0].with_suffix(".html")
    if target.suffix == ".jsonl":
        raise UsageError(f"{target} ends as result files do; name the page with -o PAGE.html")
    written = write_report(files, target, force=force, png=png, svg=svg, emulated=emulated)
    for path in written:
        click.echo(path)
