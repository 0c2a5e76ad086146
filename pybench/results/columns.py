# SPDX-License-Identifier: Apache-2.0
"""The trials of a result file as arrays by cell, all that a comparison needs of very many trials; their metrics.

Trials are decoded one at a time. Of each, only its metrics, the counters and the histogram of the workload's main
phase are kept. A metric has a name, a unit, which way is better, and its place in records and in columns.
"""

import re
import warnings
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pybench.errors import UsageError
from pybench.native.outcome import held_histogram
from pybench.results.records import Figures, Header, Trial
from pybench.results.store import Results, damaged, read, uncollected
from pybench.stats.estimate import Floats, percentiles_ns
from pybench.workloads import WORKLOADS

FIGURES = tuple(field for field in Figures.__struct_fields__)
BUCKETS = 2304
"""Of the core's histograms."""


class CellColumns(msgspec.Struct, kw_only=True):
    """The trials of one cell in one file. Arrays have an entry per valid trial unless they say otherwise."""

    trials: int
    flagged: int
    failed: int
    """Trials without results."""
    figures: NDArray[np.float64]
    """Recorded metrics, (valid trials, `FIGURES`)."""
    pairs: NDArray[np.int64]
    """Histograms of the main phase, one after the other: flat pairs (distance from the bucket before, count)."""
    lengths: NDArray[np.int64]
    """Number of pairs in each trial's histogram; 0 if it has none."""
    calls: int
    """Calls timed in all trials: a sample counts once here, in a histogram once per operation it stands for."""
    timer_step_ns: float
    """The largest of all trials."""
    launched: NDArray[np.float64]
    """Containers launched within the deadline, an entry per trial with status ok and no flag."""

    @property
    def valid(self) -> int:
        """Return the number of trials that enter an estimate."""
        return int(self.figures.shape[0])

    def figure(self, name: str) -> NDArray[np.float64]:
        """Return one recorded metric, (valid trials,)."""
        return self.figures[:, FIGURES.index(name)]


class FileColumns(msgspec.Struct, kw_only=True):
    """A sweep as columns: its header, and each cell that has trials by its index into the plan."""

    path: Path
    header: Header
    cells: dict[int, CellColumns]
    truncated: bool = False
    """Whether the last line broke off."""


class _Gather:
    """Fills the columns of one cell."""

    def __init__(self, workload: str) -> None:
        known = WORKLOADS.get(workload)
        self.latency = known.latency if known else ""
        self.launches = bool(known and known.ends_by_itself)
        self.trials = self.flagged = self.failed = self.calls = 0
        self.figures = array("d")
        # Histograms are kept as text if they came from a file, and as numbers if they were just measured.
        self.pairs: list[bytes] = []
        self.read = array("q")
        self.lengths = array("q")
        self.step = 0.0
        self.launched = array("d")

    def add(self, trial: Trial) -> None:
        """Add a trial. ValueError if its histogram makes no sense."""
        self.trials += 1
        outcome, figures = trial.outcome, trial.figures
        self.flagged += bool(trial.flags)
        self.failed += figures is None
        if trial.flags:
            return
        if self.launches and outcome.status == "ok":
            counts = outcome.counters
            self.launched.append(counts.get("launched", 0) - counts.get("late", 0))
        if figures is None:
            return
        self.step = max(self.step, outcome.timer_step_ns)
        self.figures.extend(msgspec.structs.astuple(figures))
        phase = outcome.phases.get(self.latency)
        pairs = [] if phase is None else held_histogram(phase)
        self.calls += phase.calls if phase else 0
        if isinstance(pairs, list):
            entries = len(pairs)
            self.read.extend(pairs)
        else:
            # Copy it: the decoded text keeps its whole line alive.
            text = bytes(pairs).strip()[1:-1].strip()
            entries = text.count(b",") + 1 if text else 0
            if text:
                self.pairs.append(text)
        if entries % 2:
            raise ValueError("a histogram has an odd number of entries")
        self.lengths.append(entries // 2)

    def columns(self) -> CellColumns:
        """Return the columns. ValueError for a histogram or a metric that makes no sense."""
        lengths = np.array(self.lengths, dtype=np.int64)
        if self.read:
            pairs = np.array(self.read, dtype=np.int64)
        else:
            pairs = _numbers(b",".join(self.pairs), 2 * int(lengths.sum()))
        figures = np.array(self.figures, dtype=np.float64).reshape(-1, len(FIGURES))
        if pairs.size and pairs.min() < 0:
            raise ValueError("a histogram has a negative entry")
        if pairs.size and int(np.add.reduceat(pairs[::2], starts(lengths[lengths > 0])).max()) >= BUCKETS:
            raise ValueError("a histogram goes beyond its last bucket")
        if not np.isfinite(figures).all():
            raise ValueError("a metric is not finite")
        return CellColumns(
            trials=self.trials,
            flagged=self.flagged,
            failed=self.failed,
            figures=figures,
            pairs=pairs,
            lengths=lengths,
            calls=self.calls,
            timer_step_ns=self.step,
            launched=np.array(self.launched, dtype=np.float64),
        )


def _numbers(text: bytes, size: int) -> NDArray[np.int64]:
    """Return whole numbers between commas, all at once: twice as fast as list by list. ValueError for others."""
    if not size:
        return np.zeros(0, dtype=np.int64)
    with warnings.catch_warnings():
        # NumPy warns of text that is not a number; the size shows that already.
        warnings.simplefilter("ignore", DeprecationWarning)
        numbers = np.fromstring(text.decode(), sep=",", dtype=np.int64)
    if numbers.size != size:
        raise ValueError("a histogram is not a list of whole numbers")
    return numbers


def joined(cells: Sequence[CellColumns]) -> CellColumns:
    """Return the trials of several cells as those of one."""
    return CellColumns(
        trials=sum(cell.trials for cell in cells),
        flagged=sum(cell.flagged for cell in cells),
        failed=sum(cell.failed for cell in cells),
        figures=np.concatenate([cell.figures for cell in cells]),
        pairs=np.concatenate([cell.pairs for cell in cells]),
        lengths=np.concatenate([cell.lengths for cell in cells]),
        calls=sum(cell.calls for cell in cells),
        timer_step_ns=max(cell.timer_step_ns for cell in cells),
        launched=np.concatenate([cell.launched for cell in cells]),
    )


def starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each of several adjoining stretches begins."""
    return np.cumsum(lengths) - lengths


def read_columns(path: Path) -> FileColumns:
    """Read a file into columns; an incomplete last line is left out and noted.

    Raises UsageError, in one line, for a file that is not a result file.
    """
    return columns_of(read(path))


def columns_of(results: Results) -> FileColumns:
    """Return the columns of a sweep; a file's trials are decoded one by one. UsageError if it is damaged."""
    gathered: dict[int, _Gather] = {}
    cells = results.header.plan.cells
    try:
        with uncollected():
            for trial in results.stream():
                if trial.cell not in gathered:
                    gathered[trial.cell] = _Gather(cells[trial.cell].workload)
                gathered[trial.cell].add(trial)
        columns = {index: gather.columns() for index, gather in sorted(gathered.items())}
    except (ValueError, OverflowError, TypeError) as error:
        raise damaged(results.path, 0, str(error)) from None
    return FileColumns(path=results.path, header=results.header, cells=columns, truncated=results.truncated)


def edges_ns(buckets: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where buckets begin, and their widths, ns: a latency of whole n ns lies from n - 1/2 to n + 1/2."""
    shift = np.maximum(buckets // 64 - 1, 0)
    first = np.where(buckets < 128, buckets, (buckets - 64 * shift) << shift)
    return first - 0.5, (np.int64(1) << shift).astype(np.float64)


def absolute(cell: CellColumns) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return bucket, count, and trial (from 0) of all pairs of a cell's histograms, (pairs,) each."""
    distances, counts = cell.pairs[::2], cell.pairs[1::2]
    running = np.cumsum(distances)
    begins = starts(cell.lengths)
    filled = cell.lengths > 0
    base = np.zeros(cell.lengths.size, dtype=np.int64)
    base[filled] = running[begins[filled]] - distances[begins[filled]]
    owner = np.repeat(np.arange(cell.lengths.size), cell.lengths)
    return running - base[owner], counts, owner


def percentiles(cell: CellColumns, share: float) -> NDArray[np.float64]:
    """Return a percentile (`share`, 0 to 1) of each valid trial's latencies, ns; NaN for a trial without any.

    It is interpolated within a bucket of the histogram: it lies within 0.8 % of the record's, which is the
    bucket's middle, and has no ties where trials agree to less than a bucket.
    """
    found = np.full(cell.valid, np.nan)
    if not cell.pairs.size:
        return found
    buckets, counts, _ = absolute(cell)
    filled = np.flatnonzero(cell.lengths)
    begins, lengths = starts(cell.lengths)[filled], cell.lengths[filled]
    above = np.cumsum(counts)
    before = above[begins] - counts[begins]
    total = above[begins + lengths - 1] - before
    rank = before + share * total
    at = np.clip(np.searchsorted(above, rank * (1 - 1e-15), side="left"), begins, begins + lengths - 1)
    low, width = edges_ns(buckets[at])
    part = np.clip((rank - (above[at] - counts[at])) / np.maximum(counts[at], 1), 0, 1)
    values = np.minimum(low + part * width, np.maximum(cell.figure("max_ns")[filled], low))
    found[filled] = np.where(total > 0, values, np.nan)
    return found


Unit = Literal["rate", "ns", "share"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One number that each valid trial has. Rates are in ops/s."""

    name: str
    """As in `--metric`: `throughput`, `p99`."""
    unit: Unit
    better: str
    """The word for more of the good: `faster`."""
    worse: str
    higher_is_better: bool = False
    percentile: float = 0.0
    """Of the latency of the workload's main phase, 0 to 1; 0 if the metric is not a percentile."""
    field: str = ""
    """Of `records.Figures`; empty if a record does not keep it."""
    header: str = ""
    """Column of the tables of CSV, Parquet, SQL and data frames; empty if they do not have it."""

    @property
    def is_latency(self) -> bool:
        """Return whether the clock's step limits the metric's resolution."""
        return self.name == "max" or self.percentile > 0

    def value(self, trial: Trial) -> float | None:
        """Return the metric of a trial as its record keeps it, or from its histogram; None if it has none."""
        if trial.figures is None:
            return None
        if self.field:
            return float(getattr(trial.figures, self.field))
        kind = WORKLOADS.get(trial.workload)
        phase = trial.outcome.phases.get(kind.latency) if kind else None
        if phase is None or not phase.histogram or not self.percentile:
            return None
        return percentiles_ns(phase, [self.percentile])[0]


def _latency(name: str, share: float = 0.0, field: str = "") -> Metric:
    return Metric(
        name=name, unit="ns", better="faster", worse="slower", percentile=share, field=field, header=field
    )


# In the order of the record's fields.
RECORDED = (
    Metric(
        name="throughput",
        unit="rate",
        better="faster",
        worse="slower",
        higher_is_better=True,
        field="throughput",
        header="throughput_ops_per_s",
    ),
    _latency("p50", 0.5, "p50_ns"),
    _latency("p90", 0.9, "p90_ns"),
    _latency("p99", 0.99, "p99_ns"),
    _latency("p99.9", 0.999, "p999_ns"),
    _latency("max", field="max_ns"),
    Metric(
        name="jain",
        unit="share",
        better="fairer",
        worse="less fair",
        higher_is_better=True,
        field="jain",
        header="jain",
    ),
    Metric(
        name="cpu",
        unit="ns",
        better="less CPU",
        worse="more CPU",
        field="cpu_ns_per_operation",
        header="cpu_ns_per_operation",
    ),
)
# Of the launches of a cell, not of one trial.
SUCCESS = Metric(name="success", unit="share", better="more succeed", worse="fewer succeed", higher_is_better=True)
METRICS = {one.name: one for one in (*RECORDED, SUCCESS)}
SUMMARIZED = tuple(METRICS[name] for name in ("throughput", "p50", "p99", "max", "jain"))
"""Metrics of which the summary of a cell has a median."""


def metric(name: str) -> Metric:
    """Return the metric of that name: one of METRICS, or any percentile such as p95. UsageError for others."""
    if name in METRICS:
        return METRICS[name]
    match = re.fullmatch(r"p(\d{1,2}(?:\.\d{1,4})?)", name)
    if match and 0 < float(match[1]) < 100:
        share = round(float(match[1]) / 100, 8)
        return next(
            (msgspec.structs.replace(one, name=name) for one in RECORDED if one.percentile == share),
            _latency(name, share),
        )
    names = ", ".join(name for name in METRICS if not METRICS[name].percentile)
    raise UsageError(f"no metric {name!r}; there are {names}, and percentiles such as p50, p99 and p99.9")


DEFAULT = tuple(METRICS[name] for name in ("throughput", "p50", "p99"))


def metrics(text: str) -> tuple[Metric, ...]:
    """Return the metrics of a list such as `throughput,p99`, each once. UsageError for other words."""
    names = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    if not names:
        raise UsageError("--metric names nothing; write throughput,p99")
    return tuple(metric(name) for name in names)


def values(one: Metric, cell: CellColumns) -> Floats:
    """Return a metric of each valid trial of a cell that has it, (n,); (0,) for `success`.

    Percentiles come from the histograms, straight within a bucket, and from the records where a file has no
    histograms. Latencies below half a step of the clock count as that half.
    """
    if one.percentile:
        found = percentiles(cell, one.percentile)
        if one.field and np.isnan(found).any():
            found = cell.figure(one.field)
    elif one.field:
        found = cell.figure(one.field)
    else:
        return np.zeros(0)
    if one.is_latency:
        found = np.maximum(found, clock_step_ns(cell.timer_step_ns) / 2)
    return found[np.isfinite(found) & (found > 0)]


def clock_step_ns(timer_step_ns: float) -> float:
    """Return the least difference in ns that the clock, or the histogram's whole ns, can show."""
    return max(timer_step_ns, 1.0)
