# SPDX-License-Identifier: Apache-2.0
"""Write reports and charts of result files, whole or not at all."""

import gc
import importlib.util
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pybench.errors import UnsupportedError, UsageError
from pybench.outputs import check_output, write_whole
from pybench.results.latency_file import TransferFile, read_any
from pybench.results.store import EMULATED, Results, check_emulated, is_emulated

LIBRARIES = ("altair", "jinja2", "vl_convert")
PICTURES = (".svg", ".png")


def write_report(
    files: Sequence[Path],
    target: Path,
    *,
    force: bool = False,
    png: Path | None = None,
    svg: Path | None = None,
    emulated: bool = False,
) -> list[Path]:
    """Write one page on result files, and its charts as pictures where asked; return what was written.

    Raises UsageError for a file that is not a result, is of an emulated machine without `emulated`, or cannot be
    written; UnsupportedError without the libraries.
    """
    # Matrices are small: threads would wait for each other longer than they work, most of all on a busy host.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Short-lived, and with millions of objects: looking for reference cycles among them would double its time.
    gc.disable()
    every = [read_any(path) for path in files]
    hosts = [(path, one.header.host) for path, one in zip(files, every, strict=True)]
    if len({path.resolve() for path in files}) < len(files):
        raise UsageError("a file is named twice", fix="name each file once")
    labelled = check_emulated(hosts, emulated)
    check_libraries()
    check_page(target, force, files)
    from altair.utils.schemapi import debug_mode

    from pybench.present.html.page import render
    from pybench.present.report.contents import make_report

    # Charts are not checked against the schema here: the tests do that.
    with debug_mode(False):
        report = make_report(
            [one for one in every if isinstance(one, Results)],
            [one for one in every if isinstance(one, TransferFile)],
        )
    written = [write_whole(target, render(report), files)]
    for folder, kind in ((png, "png"), (svg, "svg")):
        if folder is not None:
            written += [
                _write_picture(one.chart, folder / f"{one.id}.{kind}", files, labelled=labelled)
                for one in report.views
            ]
    return written


def write_chart(results: Results | TransferFile, path: Path) -> Path:
    """Draw the first chart of a result file, of scaling, launches or line transfers, into a .svg or .png file.

    Raises UsageError if there is nothing to draw or the file cannot be written; see also check_chart().
    """
    check_chart(path)
    from pybench.present.charts import draw
    from pybench.present.charts.transfers import transfers_picture

    labelled = is_emulated(results.header.host)
    if isinstance(results, TransferFile):
        return _write_picture(transfers_picture(results), path)
    for name in ("scaling", "launch"):
        with suppress(ValueError):
            return _write_picture(draw(name, [results]), path, labelled=labelled)
    raise UsageError("there is nothing to draw", reason="no valid trial")


def check_libraries() -> None:
    """Raise UnsupportedError if a library that reports need is not installed."""
    if not all(map(importlib.util.find_spec, LIBRARIES)):
        raise UnsupportedError(
            "reports and charts need altair, vl-convert-python and jinja2",
            fix="install them: pip install altair vl-convert-python jinja2",
        )


def check_chart(path: Path) -> None:
    """Raise UsageError for a picture that cannot be drawn or written, UnsupportedError without the libraries."""
    if path.suffix.lower() not in PICTURES:
        raise UsageError("unknown kind of picture", subject=f"--chart {path}", fix="name a .svg or .png file")
    check_output(path)
    check_libraries()


def check_page(target: Path, force: bool, inputs: Sequence[Path] = ()) -> None:
    """Raise UsageError if the page would replace an input or, without `force`, another file than a page."""
    check_output(target, inputs)
    # Path.exists() raises for a name that is too long, which writing reports.
    if os.path.exists(target) and not force and 'content="pybench ' not in _beginning(target):  # noqa: PTH110
        raise UsageError(f"{target} exists and is not a pybench report", fix="name another file, or give --force")


def _write_picture(chart: Any, path: Path, inputs: Sequence[Path] = (), *, labelled: bool = False) -> Path:
    if labelled:
        chart = chart.properties(title=EMULATED)
    kind = path.suffix[1:].lower()
    buffer = io.BytesIO() if kind == "png" else io.StringIO()
    chart.save(buffer, format=kind, scale_factor=2)
    return write_whole(path, buffer.getvalue(), inputs)


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4096).decode(errors="replace")
    except OSError:
        return ""
