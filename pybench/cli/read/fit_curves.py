# SPDX-License-Identifier: Apache-2.0
"""Turn the arguments of `pybench fit` into curves."""

import csv
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pybench.analysis.scaling.models import MODELS
from pybench.analysis.scaling.thread_counts import Border
from pybench.analysis.summary.series import Series, summarize
from pybench.errors import UsageError
from pybench.plan.request import thread_counts
from pybench.present.labels import SIMULATED
from pybench.results.records import MOST_THREADS, settings, varying
from pybench.results.store import EMULATED_NOTE, check_emulated, read, text_of

# Rates beyond these are typing errors, and overflow the arithmetic of models.
LEAST_RATE, MOST_RATE = 1e-30, 1e30


class CurveInput(msgspec.Struct, frozen=True):
    """One curve to fit: an entry per trial in ``threads`` and ``rates`` (ops/s)."""

    name: str
    settings: dict[str, str]
    threads: list[int]
    rates: list[float]
    borders: Sequence[Border]
    notes: list[str]
    source: str = "measured"
    """`measured` or `simulated`."""


def names(text: str | None) -> list[str]:
    """Return the models named in a comma list, or all. UsageError for an unknown one."""
    if text is None:
        return list(MODELS)
    wanted = [word.strip().lower() for word in text.split(",")]
    for word in wanted:
        if word not in MODELS:
            raise UsageError(f"no model {word!r}; there are {', '.join(MODELS)}")
    return list(dict.fromkeys(wanted))


def thread_list(text: str, option: str) -> list[int]:
    """Return the thread counts of `48,96..384`. UsageError for anything else."""
    if "max" in text:
        raise UsageError(
            "a curve has no CPUs of its own", subject=f"{option} {text!r}", fix="write a number instead of max"
        )
    try:
        return thread_counts(text, MOST_THREADS)
    except UsageError as error:
        raise UsageError(error.what, subject=f"{option} {text[:40]!r}", fix=error.fix) from None


def curves_of_results(path: Path, where: Sequence[str], emulated: bool = False) -> list[CurveInput]:
    """Return the curves of a result file that have the settings ``where`` (NAME=V,... each).

    UsageError: no such file, setting or curve; a file of an emulated machine, unless that is allowed.
    """
    results = read(path)
    caution = [EMULATED_NOTE] if check_emulated([(path, results.header.host)], emulated) else []
    plan = results.header.plan
    series = summarize(plan.cells, results.trials, results.header.topology)
    all_settings = [{"workload": one.cell.workload} | settings(one.cell) for one in series]
    shown = varying([one.cell for one in series])
    for condition in where:
        name, equals, values = condition.partition("=")
        if not equals or not values:
            raise UsageError(f"--where {condition}: write NAME=VALUE, such as lock=ticket")
        known = {own[name] for own in all_settings if name in own}
        if not known:
            every = sorted({key for own in all_settings for key in own})
            raise UsageError(f"--where {condition}: no setting {name!r}; there are {', '.join(every)}")
        wanted = set(values.split(","))
        if missing := wanted - known:
            has = ", ".join(sorted(known))
            raise UsageError(
                f"--where {condition}: no curve has {name}={', '.join(sorted(missing))}; there are {has}"
            )
        kept = [i for i, own in enumerate(all_settings) if own.get(name) in wanted]
        series, all_settings = [series[i] for i in kept], [all_settings[i] for i in kept]
    if not series:
        raise UsageError("no curve has all settings; leave one --where out")
    curves = [_curve(one, own, shown, caution) for one, own in zip(series, all_settings, strict=True)]
    model = results.header.simulated
    if model is None:
        return curves
    note = f"{SIMULATED} on {model.machine}, not measured: intervals are over {model.draws} draws of its inputs."
    return [
        msgspec.structs.replace(
            curve, name=f"{SIMULATED} {curve.name}", notes=[note, *curve.notes], source="simulated"
        )
        for curve in curves
    ]


def _curve(series: Series, own: dict[str, str], shown: Sequence[str], caution: Sequence[str]) -> CurveInput:
    words = [f"{name}={own[name]}" for name in (*shown, *([] if "place" in shown else ["place"])) if name in own]
    shared = [str(one.cell.threads) for one in series.cells if one.cell.oversubscribed and one.valid]
    notes = [*caution]
    if shared:
        notes.append(f"Left out, since threads share CPUs there: {', '.join(shared)} threads.")
    invalid = sum(one.trials - one.valid for one in series.cells)
    if invalid:
        notes.append(
            f"{invalid} of {sum(one.trials for one in series.cells)} trials failed or were flagged: left out."
        )
    return CurveInput(
        name=" ".join([series.cell.workload, *words]),
        settings=own,
        threads=[n for n, _ in series.points],
        rates=[x for _, x in series.points],
        borders=series.borders,
        notes=notes,
    )


def curves_of_table(path: Path) -> list[CurveInput]:
    """Return the curve of a CSV table with columns threads and throughput; a row per trial, other columns are
    ignored.

    Lines that begin with # are comments. UsageError, naming the line, for a file that is not such a table.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file") from None
    numbered = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")
    ]
    reader = csv.reader(line for _, line in numbered)
    # A row may span several lines; messages name its last line.
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            rows.append((numbered[reader.line_num - 1][0], row))
    except csv.Error as error:
        raise UsageError(f"{path}, line {numbered[reader.line_num - 1][0]}: {error}") from None
    header = [word.strip().lower() for word in rows[0][1]] if rows else []
    if not {"threads", "throughput"} <= set(header):
        raise UsageError(f"{path}: its first line must name the columns threads and throughput (ops/s)")
    threads, rates = [], []
    for number, row in rows[1:]:
        fields = dict(zip(header, row, strict=False))
        try:
            count, rate = int(fields["threads"]), float(fields["throughput"])
        except (KeyError, ValueError):
            raise UsageError(
                f"{path}, line {number}: threads must be a whole number, throughput a number"
            ) from None
        if not 1 <= count <= MOST_THREADS or not LEAST_RATE <= rate <= MOST_RATE:
            raise UsageError(
                f"{path}, line {number}: threads must be 1 to {MOST_THREADS}, throughput {LEAST_RATE:g} to "
                f"{MOST_RATE:g} ops/s"
            )
        threads.append(count)
        rates.append(rate)
    if not threads:
        raise UsageError(f"{path} has no rows")
    return [CurveInput(name=text_of(path), settings={}, threads=threads, rates=rates, borders=(), notes=[])]
