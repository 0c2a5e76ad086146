# SPDX-License-Identifier: Apache-2.0
"""Write one HTML page of result files: conclusion, charts, tables."""

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pybench.errors import UnsupportedError, UsageError
from pybench.results.emulated import LABEL, check_emulated

NEEDS = "a report needs altair, vl-convert-python and jinja2; install them: pip install 'pybench-locks[report]'"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page. [the first FILE, ending in .html]",
)
@click.option(
    "--png", "png", type=click.Path(path_type=Path, file_okay=False), help="Also write charts as PNG here."
)
@click.option(
    "--svg", "svg", type=click.Path(path_type=Path, file_okay=False), help="Also write charts as SVG here."
)
@click.option("--force", is_flag=True, help="Write over a page that pybench did not make.")
@click.option("--emulated", is_flag=True, help="Also show files of emulated machines, labelled.")
def command(
    files: tuple[Path, ...],
    output: Path | None,
    png: Path | None,
    svg: Path | None,
    force: bool,
    emulated: bool,
) -> None:
    """Make one HTML page of result FILES: conclusion, scaling curve and machine first, then all the rest.

    FILES are sweeps (`pybench sweep`, `launch`) and latency files (`pybench latency`). Several sweeps are shown
    together and compared with the first. The page is one file and loads nothing: it can be mailed, and read
    offline. PNG and SVG need no browser either.

    \b
    pybench report results/sweep.jsonl
    pybench report before.jsonl after.jsonl cores.jsonl -o upgrade.html
    pybench report sweep.jsonl --png charts/
    """
    target = output or files[0].with_suffix(".html")
    if target.suffix == ".jsonl" or target in files:
        raise UsageError(f"{target} is a result file; name the page with -o PAGE.html")
    written = write_report(files, target, force=force, png=png, svg=svg, emulated=emulated)
    for path in written:
        click.echo(path)


def write_report(
    files: tuple[Path, ...],
    target: Path,
    *,
    force: bool = False,
    png: Path | None = None,
    svg: Path | None = None,
    emulated: bool = False,
) -> list[Path]:
    """Write the page, and pictures where asked; return what was written.

    UsageError: a file that is none, is of an emulated machine without `emulated`, or cannot be written.
    UnsupportedError: the libraries are not there.
    """
    # Matrices are small: threads would wait for each other longer than they work, most of all on a busy host.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Short-lived, and with millions of objects: looking for reference cycles among them would double its time.
    gc.disable()
    from pybench.results.latency_file import TransferFile, read_any
    from pybench.results.store import Results

    every = [read_any(path) for path in files]
    hosts = [(path, one.header.host) for path, one in zip(files, every, strict=True)]
    if len({path.resolve() for path in files}) < len(files):
        raise UsageError("a file is named twice: a sweep counts once")
    labelled = check_emulated(hosts, emulated)
    try:
        from altair.utils.schemapi import debug_mode

        from pybench.present.html.page import render
        from pybench.present.report.report import make_report
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pybench"):
            raise
        raise UnsupportedError(NEEDS) from None
    check_page(target, force)
    with debug_mode(False):  # no check of each part of a chart against the schema: the tests do that
        report = make_report(
            [one for one in every if isinstance(one, Results)],
            [one for one in every if isinstance(one, TransferFile)],
        )
    written = [write_whole(target, render(report).encode(errors="replace"))]
    for folder, kind in ((png, "png"), (svg, "svg")):
        if folder is not None:
            written += [_picture(one.chart, folder / f"{one.id}.{kind}", labelled) for one in report.views]
    return written


def check_page(target: Path, force: bool) -> None:
    """Raise UsageError if the page would take the place of a file that is no page of pybench's."""
    # Path.exists() raises for a name that is too long, which writing tells.
    if os.path.exists(target) and not force and 'content="pybench ' not in _beginning(target):  # noqa: PTH110
        raise UsageError(f"{target} is there, and no pybench report; name another file, or give --force")


def _picture(chart: Any, path: Path, labelled: bool) -> Path:
    import io

    if labelled:
        chart = chart.properties(title=LABEL)
    buffer = io.BytesIO() if path.suffix == ".png" else io.StringIO()
    chart.save(buffer, format=path.suffix[1:], scale_factor=2)
    value = buffer.getvalue()
    return write_whole(path, value if isinstance(value, bytes) else value.encode())


def write_whole(path: Path, content: bytes) -> Path:
    """Write whole or not at all. Raises UsageError."""
    begun = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        begun.write_bytes(content)
        begun.replace(path)
    except OSError as error:
        with suppress(OSError):  # a name that is too long was none
            begun.unlink()
        raise UsageError(f"cannot write {path}: {error.strerror}; name a writable place") from None
    return path


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4096).decode(errors="replace")
    except OSError:
        return ""
