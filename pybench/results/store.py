# SPDX-License-Identifier: Apache-2.0
"""Result files: append a record at a time, read them back, go on after any kind of end."""

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from pybench.errors import MeasurementError, UsageError
from pybench.native.outcome import Members, Outcome, Phase
from pybench.results.records import FORMAT, End, Header, Record, Trial, upgraded

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)

# Most of the file of a large machine, and on no page. Histograms are there, but read from their text.
UNSHOWN = (
    *("start_ns", "cpu_ns", "cpu_seen", "voluntary_switches", "involuntary_switches", "node", "waited_ns"),
    *("hold_ns", "hold_asked_ns", "think_ns", "think_asked_ns", "work_ns", "clock_offset_ns"),
)


class Results(msgspec.Struct, frozen=True):
    """A file read back."""

    path: Path
    header: Header
    trials: list[Trial]
    ends: list[End]
    truncated: bool
    """The last line broke off in the middle: the run was killed while it wrote."""
    good_bytes: int
    """Length of the file up to there."""


class Writer:
    """Appends records to a result file, which it holds locked, and flushes each.

    A record that cannot be written whole (a full disk) is taken back, so the file stays readable.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None, resumable: bool = True) -> None:
        """Open a new file, or with `resume_at` an existing one that is good up to there.

        Messages offer `--resume` if the verb has it (`resumable`). Raises UsageError if it exists (or does
        not), is not writable, or another run holds it or wrote to it since it was read.
        """
        self.path = path
        self._go_on = f"go on with --resume {path}" if resumable else ""
        # Path.exists() raises for a name that is too long, which opening tells.
        if resume_at is None and os.path.exists(path):  # noqa: PTH110
            choices = ", or ".join(filter(None, [self._go_on, "name another --output"]))
            raise UsageError(f"{path} exists; {choices}")
        try:
            if resume_at is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("xb" if resume_at is None else "r+b", buffering=0)
        except OSError as error:
            fix = "name a writable file with --output" if resume_at is None else "make it writable"
            raise UsageError(f"cannot write {path}: {error.strerror}; {fix}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UsageError(f"{path} is being written by another run; wait for it") from None
        if resume_at is not None:
            self._cut(resume_at)
        self._file.seek(0, os.SEEK_END)

    def _cut(self, good: int) -> None:
        """Drop the line that broke off after `good` bytes, and nothing else: whole ones are another run's."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(good)
        if size < good or b"\n" in self._file.read():
            self._file.close()
            raise UsageError(f"{self.path} was changed by another run just now; give the command again")
        self._file.truncate(good)

    def write(self, record: msgspec.Struct) -> None:
        """Append one record. Raises MeasurementError if the disk will not take it."""
        line = _encoder.encode(record) + b"\n"
        start = self._file.tell()
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            self._file.truncate(start)
            fix = f"make room, then {self._go_on or 'measure again'}"
            raise MeasurementError(f"cannot write {self.path}: {error.strerror}; {fix}") from None

    def close(self) -> None:
        """Close the file and let go of its lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the search for reference cycles: records have none, and looking through all of them, again and again
    as they come, takes longer than to read them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Kind(msgspec.Struct):
    kind: str = ""


def kind_of(path: Path) -> str:
    """Return what a file's first line says it is, `sweep` or `transfers`; `` if its reader will refuse it."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.readline(), type=_Kind).kind
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ""


def read(path: Path, *, shown: bool = False) -> Results:
    """Read a result file. A last line that broke off is left out and said so.

    With `shown`, for a report, in a third less time: the columns UNSHOWN of members, and histograms, are left as
    they stand in the file (msgspec.Raw). Raises UsageError, in one line, for anything that is not such a file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    good = data.rfind(b"\n") + 1
    decoder = _shown_decoder() if shown else _decoder
    with uncollected():
        complete = upgraded(data[:good], check_version(path, data[:good].partition(b"\n")[0]))
        try:
            records = decoder.decode_lines(complete)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # One by one, to tell which it is.
            records = [_decode(path, number, line) for number, line in enumerate(complete.splitlines(), 1)]
    if not records or not isinstance(records[0], Header):
        raise UsageError(f"{path} is not a pybench result file: its first line is no header")
    _check_trials(path, records[0], records)
    try:
        msgspec.convert(records[0].topology, _Topology)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}, line 1: the file is damaged there (its topology: {error})") from None
    return Results(
        path=path,
        header=records[0],
        trials=[record for record in records if isinstance(record, Trial)],
        ends=[record for record in records if isinstance(record, End)],
        truncated=good != len(data),
        good_bytes=good,
    )


def _check_trials(path: Path, header: Header, records: list[Record]) -> None:
    """UsageError if trials may be another plan's: files put together, or a cell that the plan has not."""
    cells = len(header.plan.cells)
    for number, record in enumerate(records, 1):
        wrong = ""
        if isinstance(record, Trial) and not 0 <= record.cell < cells:
            wrong = f"its plan has no cell {record.cell}"
        elif isinstance(record, Header) and number > 1:
            wrong = "a second header"
        if wrong:
            raise UsageError(f"{path}, line {number}: the file is damaged there ({wrong})")


@cache
def _shown_decoder() -> msgspec.json.Decoder[Record]:
    """Of the same records, with text for what no page shows."""

    def altered(base: type[msgspec.Struct], *fields: tuple[Any, ...]) -> Any:
        return msgspec.defstruct(base.__name__, fields, bases=(base,), frozen=True, kw_only=True, gc=False)

    def text(name: str) -> tuple[Any, ...]:
        return name, msgspec.Raw, msgspec.Raw(b"[]")

    members, phase = altered(Members, *map(text, UNSHOWN)), altered(Phase, text("histogram"))
    outcome = altered(Outcome, ("members", members | None, None), ("phases", dict[str, phase], {}))  # type: ignore[valid-type]
    return msgspec.json.Decoder(Header | altered(Trial, ("outcome", outcome)) | End)


class _Cpu(msgspec.Struct):
    online: bool


class _Topology(msgspec.Struct):
    """The least that whoever shows a file takes from it."""

    cpus: list[_Cpu]


class _Version(msgspec.Struct):
    kind: str
    format: int = 0


def check_version(path: Path, line: bytes) -> int:
    """Return the format that a first line names. Raises UsageError if this pybench cannot read it."""
    try:
        version = msgspec.json.decode(line, type=_Version)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return FORMAT  # as reading it will say
    if version.kind == "transfers":
        raise UsageError(f"{path} is a latency file; see it with: pybench show {path}")
    if version.kind == "header" and version.format > FORMAT:
        raise UsageError(f"{path} has format {version.format}, this pybench reads up to {FORMAT}; upgrade pybench")
    return version.format


def _decode(path: Path, number: int, line: bytes) -> Record:
    try:
        record: Record = _decoder.decode(line)
        return record
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = "it is not a pybench result file" if number == 1 else "the file is damaged there"
        raise UsageError(f"{path}, line {number}: {what} ({error})") from None
