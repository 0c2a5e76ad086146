# SPDX-License-Identifier: Apache-2.0
"""The trials of a result file as arrays by cell: what a comparison of very many of them needs, and no more.

A line at a time, and of each only the figures, the counters and the histogram of the workload's main phase.
"""

import warnings
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pybench.errors import UsageError
from pybench.results.records import Figures, Header, upgraded
from pybench.results.store import Results, check_version
from pybench.workloads import WORKLOADS

FIGURES = tuple(field for field in Figures.__struct_fields__)
BUCKETS = 2304
"""Of the core's histograms."""


class _Phase(msgspec.Struct, gc=False):
    calls: int = 0
    histogram: msgspec.Raw = msgspec.Raw(b"[]")


class _Outcome(msgspec.Struct, gc=False):
    status: str
    phases: dict[str, _Phase] = {}
    counters: dict[str, int] = {}
    timer_step_ns: float = 0.0


class _Trial(msgspec.Struct, tag_field="kind", tag="trial", gc=False):
    cell: int
    outcome: _Outcome
    figures: Figures | None = None
    flags: list[str] = []


class _End(msgspec.Struct, tag_field="kind", tag="end"):
    pass


_decoder = msgspec.json.Decoder(Header | _Trial | _End)


class CellColumns(msgspec.Struct, kw_only=True):
    """The trials of one cell in one file. Arrays have an entry a valid trial unless they say otherwise."""

    trials: int
    """All there are."""
    flagged: int
    failed: int
    """Without a figure."""
    figures: NDArray[np.float64]
    """(valid trials, FIGURES)."""
    pairs: NDArray[np.int64]
    """Histograms of the main phase, flat pairs (distance from the previous bucket, count), one after the other."""
    lengths: NDArray[np.int64]
    """Pairs of each histogram; 0 if it has none."""
    calls: int
    """Timed for all of them: a sample counts once here, in its histogram for each operation it stands for."""
    timer_step_ns: float
    """Largest of all."""
    launched: NDArray[np.float64]
    """Within the deadline, an entry a trial without a flag that told (also one without a figure)."""

    @property
    def valid(self) -> int:
        """How many trials enter an estimate."""
        return int(self.figures.shape[0])

    def figure(self, name: str) -> NDArray[np.float64]:
        """One column of the figures."""
        return self.figures[:, FIGURES.index(name)]


class FileColumns(msgspec.Struct, kw_only=True):
    """One result file: its header, and the columns of the cells that have trials, by index into the plan."""

    path: Path
    header: Header
    cells: dict[int, CellColumns]
    truncated: bool = False
    """The last line broke off."""


class _Gather:
    """Fills the columns of one cell."""

    def __init__(self, workload: str) -> None:
        known = WORKLOADS.get(workload)
        self.latency = known.latency if known else ""
        self.launches = workload == "launch"
        self.trials = self.flagged = self.failed = self.calls = 0
        self.figures = array("d")
        # Histograms: as text, or as numbers if they were read before.
        self.pairs: list[bytes] = []
        self.read = array("q")
        self.lengths = array("q")
        self.step = 0.0
        self.launched = array("d")

    def add(self, trial: Any) -> None:
        """Take a trial, of whichever type, in. ValueError if its histogram is none."""
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
        pairs = [] if phase is None else phase.histogram
        self.calls += phase.calls if phase else 0
        if isinstance(pairs, list):
            entries = len(pairs)
            self.read.extend(pairs)
        else:
            # A copy: what was decoded holds on to the whole line.
            text = bytes(pairs).strip()[1:-1].strip()
            entries = text.count(b",") + 1 if text else 0
            if text:
                self.pairs.append(text)
        if entries % 2:
            raise ValueError("a histogram has an odd number of entries")
        self.lengths.append(entries // 2)

    def columns(self) -> CellColumns:
        """What was gathered. ValueError if histograms or figures are none."""
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
            raise ValueError("a figure is not finite")
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
    """Whole numbers between commas, all at once: list by list takes twice the time. ValueError if they are not."""
    if not size:
        return np.zeros(0, dtype=np.int64)
    with warnings.catch_warnings():
        # It says of what is no number that it will not go on with it some day; the size tells already.
        warnings.simplefilter("ignore", DeprecationWarning)
        numbers = np.fromstring(text.decode(), sep=",", dtype=np.int64)
    if numbers.size != size:
        raise ValueError("a histogram is no list of whole numbers")
    return numbers


def joined(cells: Sequence[CellColumns]) -> CellColumns:
    """The trials of several cells as of one."""
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
    """Where each of several stretches begins that lie one after the other."""
    return np.cumsum(lengths) - lengths


def read_columns(path: Path) -> FileColumns:
    """Read a file into columns; a last line that broke off is left out and said so.

    Raises UsageError, in one line, for anything that is not such a file.
    """
    header: Header | None = None
    gathered: dict[int, _Gather] = {}
    number, line, version = 0, b"\n", 0
    try:
        with path.open("rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                if number == 1:
                    version = check_version(path, line)
                if line.isspace():
                    continue
                record = _decoder.decode(upgraded(line, version))
                if isinstance(record, Header):
                    header = _checked(path, number, record)
                elif header is None:
                    raise UsageError(f"{path} is not a pybench result file: its first line is no header")
                elif isinstance(record, _Trial):
                    _gather(header, gathered, record.cell).add(record)
        number = 0
        cells = {index: gather.columns() for index, gather in sorted(gathered.items())}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        what = "it is not a pybench result file" if number == 1 else "the file is damaged there"
        where = f"{path}, line {number}" if number else f"{path}"
        raise UsageError(f"{where}: {what if number else 'the file is damaged'} ({error})") from None
    if header is None:
        raise UsageError(f"{path} is not a pybench result file: its first line is no header")
    return FileColumns(path=path, header=header, cells=cells, truncated=not line.endswith(b"\n"))


def _checked(path: Path, number: int, header: Header) -> Header:
    if number != 1:
        raise UsageError(f"{path}, line {number}: the file is damaged there (a second header)")
    return header


def _gather(header: Header, gathered: dict[int, _Gather], cell: int) -> _Gather:
    if cell not in gathered:
        if not 0 <= cell < len(header.plan.cells):
            raise ValueError(f"its plan has no cell {cell}")
        gathered[cell] = _Gather(header.plan.cells[cell].workload)
    return gathered[cell]


def columns_of(results: Results) -> FileColumns:
    """The columns of a file that was read whole. Raises UsageError if its trials make no sense."""
    gathered: dict[int, _Gather] = {}
    try:
        for trial in results.trials:
            _gather(results.header, gathered, trial.cell).add(trial)
        cells = {index: gather.columns() for index, gather in sorted(gathered.items())}
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{results.path}: the file is damaged ({error})") from None
    return FileColumns(path=results.path, header=results.header, cells=cells, truncated=results.truncated)


def edges_ns(buckets: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where buckets begin, and how wide they are, ns: a latency of whole n ns lies from n - 1/2 to n + 1/2."""
    shift = np.maximum(buckets // 64 - 1, 0)
    first = np.where(buckets < 128, buckets, (buckets - 64 * shift) << shift)
    return first - 0.5, (np.int64(1) << shift).astype(np.float64)


def absolute(cell: CellColumns) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Bucket, count, and trial (counted from 0) of all pairs of a cell's histograms."""
    distances, counts = cell.pairs[::2], cell.pairs[1::2]
    running = np.cumsum(distances)
    begins = starts(cell.lengths)
    filled = cell.lengths > 0
    base = np.zeros(cell.lengths.size, dtype=np.int64)
    base[filled] = running[begins[filled]] - distances[begins[filled]]
    owner = np.repeat(np.arange(cell.lengths.size), cell.lengths)
    return running - base[owner], counts, owner


def percentiles(cell: CellColumns, share: float) -> NDArray[np.float64]:
    """A percentile (`share` of 0 to 1) of each valid trial's latencies, ns; NaN for a trial without any.

    From the histogram, straight within a bucket: it lies within 0.8 % of the figure that a record keeps, which is
    the bucket's middle, and has no ties where trials agree to less than a bucket.
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
