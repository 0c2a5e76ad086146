# SPDX-License-Identifier: Apache-2.0
"""The one loop behind every run: a backend's trials, kept as they end, to the end or to Ctrl-C.

Sweeps, simulations and matrices of line transfers are backends: they yield trials. The loop writes header, trials
and end, reports to an observer, gives the host back, and hands the trials on.
"""

import datetime
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from pybench._version import VERSION
from pybench.errors import MeasurementError
from pybench.host.facts import read_facts
from pybench.host.topology import Topology
from pybench.results.records import End
from pybench.results.store import Writer, command_of

AnyTrial = TypeVar("AnyTrial", bound=msgspec.Struct)


class Backend(Protocol[AnyTrial]):
    """Yields the trials of a plan."""

    def trials(self) -> Iterator[AnyTrial]:
        """Run the trials that are left, one after the other."""

    def progress(self) -> float:
        """Return the share of the work done, 0 to 1."""

    def end(self, interrupted: bool = False) -> End:
        """Return the record of why the run stopped."""

    def raise_if_nothing(self, trials: Sequence[AnyTrial]) -> None:
        """Raise UnsupportedError or MeasurementError if no trial gave a result."""


class Observer:
    """Follows a run; this one does nothing."""

    def begin(self, header: Any, path: Path | None, done: int) -> None:
        """Take note of a run that begins; `done` trials of it are already in the file."""

    def trial(self, trial: Any, progress: Callable[[], float]) -> None:
        """Take note of a trial that ended; `progress` returns the share of the work done."""

    def end(self) -> None:
        """Take note that trials are over, whatever ended them."""


class Ran(msgspec.Struct, Generic[AnyTrial], frozen=True):
    """The trials of a run, with those that a resumed file already had, and why it stopped."""

    trials: list[AnyTrial]
    end: End


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a run. `results` holds what it measured; the file, if there is one, is ended."""

    def __init__(self, results: Any) -> None:
        super().__init__()
        self.results = results


def run(
    backend: Backend[AnyTrial],
    header: msgspec.Struct,
    *,
    path: Path | None = None,
    before: Sequence[AnyTrial] = (),
    resume_at: int | None = None,
    go_on: str = "",
    host: AbstractContextManager[Any] | None = None,
    observer: Observer | None = None,
) -> Ran[AnyTrial]:
    """Run a backend into the file `path`, if any. `host` is left as soon as trials are over.

    `before` are the trials that a resumed file has in its first `resume_at` bytes. `go_on` is the command that
    resumes the file, for messages. Raises Interrupted, with a Ran, on Ctrl-C; MeasurementError if a trial or the
    host cannot go on, and as the backend does if nothing was measured; UsageError if the file cannot be written.
    """
    observer = observer or Observer()
    trials: list[AnyTrial] = list(before)
    stopped: KeyboardInterrupt | MeasurementError | None = None
    with ExitStack() as files:
        write: Callable[[msgspec.Struct], None] = _ignore
        try:
            with host or nullcontext():
                if path is not None:
                    # Not before the host is ours: without it there is no file.
                    write = files.enter_context(Writer(path, resume_at=resume_at, resumable=bool(go_on))).write
                if resume_at is None:
                    write(header)
                observer.begin(header, path, len(before))
                try:
                    for trial in backend.trials():
                        write(trial)
                        trials.append(trial)
                        observer.trial(trial, backend.progress)
                finally:
                    observer.end()
        except (KeyboardInterrupt, MeasurementError) as error:
            stopped = error
        end = backend.end(interrupted=stopped is not None)
        write(end)
    ran = Ran(trials, end)
    if isinstance(stopped, KeyboardInterrupt):
        raise Interrupted(ran)
    try:
        if stopped:
            raise stopped
        backend.raise_if_nothing(trials)
    except MeasurementError as error:
        if path is not None:
            error.add_note(f"kept in {path}" + (f"; go on with: {go_on}" if stopped and go_on else ""))
        raise
    return ran


def _ignore(_: msgspec.Struct) -> None:
    """Keep no record, for a run without a file."""


def origin(topology: Topology) -> dict[str, Any]:
    """Return the fields of a header that say where a measurement is from: program, time, command and host."""
    return {
        "pybench": VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command_of(sys.argv),
        "host": read_facts(),
        "topology": topology.to_dict(),
    }
