# SPDX-License-Identifier: Apache-2.0
"""Result files: name them, append a record at a time, read them back, go on after any kind of end; and the mark of
files from emulated machines, whose placement is real and whose times are not."""

import datetime
import fcntl
import gc
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from pybench.errors import MeasurementError, UsageError
from pybench.native.outcome import resolved_on_access
from pybench.results.records import FORMAT, End, Header, Record, Trial, upgraded

RESULTS = Path("results")


def new_name(what: str, where: str | None = None) -> Path:
    """Return a name for the result of a run that begins now; `where` is this host by default."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return RESULTS / f"{what}-{where or platform.node() or 'host'}-{stamp}.jsonl"


def text_of(name: str | Path) -> str:
    """Return a name as text. Bytes that are not UTF-8, which Linux allows in names, become U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


def command_of(words: Iterable[str]) -> list[str]:
    """Return the words of a command line as text, for a file's header."""
    return [text_of(word) for word in words]


EMULATED = "EMULATED"
EMULATED_NOTE = (
    f"{EMULATED}: threads and memory were where it says, but no time or rate here is that of a real machine."
)


def is_emulated(host: Mapping[str, Any]) -> bool:
    """Return whether the facts of a header's `host` describe emulated CPUs."""
    facts = host.get("hypervisor")
    return isinstance(facts, Mapping) and facts.get("emulated") is True


def check_emulated(
    files: Iterable[tuple[Path, Mapping[str, Any]]], allowed: bool, how: str = "give --emulated"
) -> bool:
    """Return whether any file, given with its `host` facts, is of an emulated machine, so that output is marked.

    Raises UsageError if one is and `allowed` is false; the message names `how` to allow it.
    """
    found = [path for path, host in files if is_emulated(host)]
    if found and not allowed:
        raise UsageError(
            f"{found[0]} was measured in an emulated machine, whose times say nothing of a real one; "
            f"measure on hardware, or {how} to see them, labelled"
        )
    return bool(found)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


class Results(msgspec.Struct, frozen=True):
    """A sweep: its header at once; the trials and ends of a file are decoded when they are first asked for.

    Then UsageError names the line where the file is damaged.
    """

    path: Path
    header: Header
    trials: list[Trial]
    ends: list[End]
    truncated: bool
    """The last line broke off in the middle: the run was killed while it wrote."""
    good_bytes: int
    """Length of the file up to there."""

    def stream(self) -> Iterator[Trial]:
        """Yield the trials in their order, without keeping those of a file that were not asked for before."""
        held = _TRIALS.__get__(self)
        yield from (one for one in _records(self) if isinstance(one, Trial)) if held is None else held


_TRIALS, _ENDS = (Results.__dict__[name] for name in ("trials", "ends"))


def _load(results: Results) -> tuple[list[Trial], list[End]]:
    """Decode the records of a file once for both."""
    with uncollected():
        records = list(_records(results))
    trials = [one for one in records if isinstance(one, Trial)]
    ends = [one for one in records if isinstance(one, End)]
    for slot, found in ((_TRIALS, trials), (_ENDS, ends)):
        if slot.__get__(results) is None:
            slot.__set__(results, found)
    return trials, ends


resolved_on_access(Results, "trials", lambda results, held: _load(results)[0] if held is None else held)
resolved_on_access(Results, "ends", lambda results, held: _load(results)[1] if held is None else held)


class Writer:
    """Appends records to a result file, which it keeps locked, and flushes each.

    A record that does not fit (a full disk) is taken back, so that the file stays readable.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None, resumable: bool = True) -> None:
        """Open a new file, or with `resume_at` an existing one that is good up to that byte.

        Messages offer `--resume` if the verb has it (`resumable`). Raises UsageError if the file exists (or, to
        resume, does not), is not writable, or another run holds it or wrote to it since it was read.
        """
        self.path = path
        self._go_on = f"go on with --resume {path}" if resumable else ""
        # Path.exists() raises for a name that is too long; opening the file reports it better.
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
        """Cut off the broken line after `good` bytes. UsageError if another run wrote whole ones."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(good)
        if size < good or b"\n" in self._file.read():
            self._file.close()
            raise UsageError(f"{self.path} was changed by another run just now; give the command again")
        self._file.truncate(good)

    def write(self, record: msgspec.Struct) -> None:
        """Append one record. Raises MeasurementError if the disk does not take it."""
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
        """Close the file and release its lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn off the search for reference cycles: records have none, and it takes longer than reading them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read(path: Path) -> Results:
    """Read the header of a result file; see `Results` for the rest. A last line that broke off is left out.

    Raises UsageError, in one line, for anything that is not such a file.
    """
    first, good, size = outline(path)
    if kind_of(first) == "transfers":
        raise UsageError(f"{path} is a latency file; see it with: pybench show {path}")
    header = decode(path, 1, upgraded(first, check_version(path, first)), _decoder) if good else None
    if not isinstance(header, Header):
        raise UsageError(f"{path} is not a pybench result file: its first line is not a header")
    try:
        msgspec.convert(header.topology, _Topology)
    except msgspec.ValidationError as error:
        raise damaged(path, 1, f"its topology: {error}") from None
    return Results(path, header, None, None, good != size, good)  # type: ignore[arg-type]


def _records(results: Results) -> Iterator[Trial | End]:
    """Yield the records after the header. UsageError for one of another plan: files were put together."""
    path, cells = results.path, len(results.header.plan.cells)
    for number, line in lines(path, results.good_bytes):
        if number == 1 or line.isspace():
            continue
        record = decode(path, number, upgraded(line, results.header.format), _decoder)
        if isinstance(record, Header):
            raise damaged(path, number, "a second header")
        if isinstance(record, Trial) and not 0 <= record.cell < cells:
            raise damaged(path, number, f"its plan has no cell {record.cell}")
        yield record


class _Cpu(msgspec.Struct):
    online: bool


class _Topology(msgspec.Struct):
    """The part of a topology that every view of a file needs."""

    cpus: list[_Cpu]


# ------------------------------------------------------------------------------------ of sweep and latency files


class _Kind(msgspec.Struct):
    kind: str = ""
    format: int = 0


def outline(path: Path) -> tuple[bytes, int, int]:
    """Return the first line of a file, its length up to the last whole line, and its length in bytes."""
    block = 1 << 16
    try:
        with path.open("rb") as file:
            first = file.readline()
            size = at = file.seek(0, os.SEEK_END)
            while at > 0:
                at = max(0, at - block)
                file.seek(at)
                end = file.read(block).rfind(b"\n")
                if end >= 0:
                    return first, at + end + 1, size
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return first, 0, size


def lines(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the number (from 1) and the text of each line in the first `size` bytes of a file."""
    try:
        with path.open("rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, 1):
                if size <= 0:
                    return
                size -= len(line)
                yield number, line
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def decode(path: Path, number: int, line: bytes, decoder: "msgspec.json.Decoder[Any]") -> Any:
    """Return the record of a line. UsageError for none; for a first line, that it is another tool's file."""
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if number == 1:
            raise UsageError(f"{path}, line 1: it is not a pybench result file ({error})") from None
        raise damaged(path, number, str(error)) from None


def damaged(path: Path, number: int, why: str) -> UsageError:
    """Return the error for a line that makes no sense; with line 0, for a file that does not."""
    where = f"{path}, line {number}: the file is damaged there" if number else f"{path}: the file is damaged"
    return UsageError(f"{where} ({why})")


def kind_of(line: bytes) -> str:
    """Return the kind that a first line names, `header` or `transfers`; `` if it names none."""
    try:
        return msgspec.json.decode(line, type=_Kind).kind
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def check_version(path: Path, line: bytes, newest: int = FORMAT) -> int:
    """Return the format that a first line names. UsageError if it is newer than this pybench reads."""
    try:
        version = msgspec.json.decode(line, type=_Kind).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return newest
    if version > newest:
        raise UsageError(f"{path} has format {version}, this pybench reads up to {newest}; upgrade pybench")
    return version
