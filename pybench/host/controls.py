# SPDX-License-Identifier: Apache-2.0
"""Turns the host's switches for the cells of a sweep, and puts them back whatever happens to it.

Before a switch is turned the journal has it. At the end, on Ctrl-C, SIGTERM, SIGHUP and on any exception the run
itself puts the host back; when it is killed its guard does; after that, `pybench restore`.
"""

import contextlib
import datetime
import os
import signal
import sys
import types
from collections.abc import Callable, Sequence
from typing import Self

from pybench.errors import BusyError, MeasurementError, PybenchError, UnsupportedError, UsageError
from pybench.host.guard import Guard
from pybench.host.journal import Journal, Store
from pybench.host.restore import PAUSE_S, Restored, lists_back, put_back, turn
from pybench.host.switches import (
    AS_FOUND,
    SMT_CONTROL,
    HostState,
    SwitchFiles,
    off_in,
    smt_is_on,
    why_no_smt_switch,
)
from pybench.text import format_list

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def _tell(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(2, f"pybench: {line}\n".encode())


class Controls:
    """The host's switches, in the hand of one run. A context: leaving it puts everything back.

    `enter` raises MeasurementError when the host does not follow, or another process turns the same switches.
    """

    def __init__(
        self,
        states: Sequence[HostState],
        *,
        files: SwitchFiles | None = None,
        store: Store | None = None,
        guarded: bool = True,
        tell: Callable[[str], None] = _tell,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._states = [state for state in dict.fromkeys(states) if state.turned]
        self._files = files or SwitchFiles()
        self._store = store or Store()
        self._guarded = guarded
        self._tell = tell
        self._pause_s = pause_s
        self._guard: Guard | None = None
        self._lock = -1
        self._journal: Journal | None = None
        self._siblings: tuple[int, ...] = ()
        self._handlers: dict[int, object] = {}
        self.current = AS_FOUND
        self.turns = 0
        """How often a state was entered."""

    def __enter__(self) -> Self:
        self._lock = self._store.hold(told=self._tell)
        try:
            self._check()
            self._journal = self._found()
            if self._guarded:
                self._guard = Guard(self._after_death, keep=(self._lock,))
                self._handlers = {number: signal.signal(number, _end) for number in _ENDING}
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not end half-way what the first one began.
        handlers = {}
        if self._guarded:
            handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *_ENDING)}
        restored = None
        try:
            restored = self._put_back()
        finally:
            # What stopped the run half-way need not stop its guard.
            self._let_go(done=restored is not None)
            for number, handler in (handlers | self._handlers).items():
                signal.signal(number, handler)  # type: ignore[arg-type]
        for line in restored.noted:
            self._tell(line)
        if restored.left:
            raise MeasurementError("; ".join(restored.left) + "; then: pybench restore")

    def enter(self, state: HostState) -> None:
        """Bring the host into a state; nothing happens if it is in it."""
        if state == self.current:
            return
        if wrong := self.wrong():
            raise MeasurementError(
                f"another process turned this host's switches: {wrong}; stop it, then go on with --resume"
            )
        journal = self._written()
        before, self.turns = self.current, self.turns + 1
        # Until it is reached, the host is in neither.
        self._smt(journal, off=state.smt_off)
        away = self._wake(journal, state)
        for cpu in sorted(away | set(journal.offline)):
            self._turn(cpu, False)
        self.current = state
        restored = Restored()
        lists_back(self._files, journal, set(self._files.online()), restored)
        for line in (*restored.noted, *restored.left):
            self._tell(line)
        self._expected = tuple(sorted(set(journal.online) - away))
        if wrong := self.wrong():
            self.current = before
            raise MeasurementError(f"the host did not follow ({state.words()}): {wrong}")

    def wrong(self) -> str:
        """What of the host is not as the current state has it, in words; `` if nothing."""
        journal = self._journal
        if journal is None or self.turns == 0:
            return ""
        online, smt = set(self._files.online()), self._files.smt()
        words = []
        if self.current.smt_off and smt_is_on(smt):
            words.append(f"SMT is {smt}")
        if came := sorted(online - set(self._expected)):
            words.append(f"CPUs {format_list(came)} are on")
        if went := sorted(set(self._expected) - online):
            words.append(f"CPUs {format_list(went)} are off")
        return ", ".join(words)

    def _smt(self, journal: Journal, *, off: bool) -> None:
        now = self._files.smt()
        if off and smt_is_on(now):
            word = "off"
        elif not off and now == "off" and smt_is_on(journal.smt):
            word = journal.smt
        elif not off and now == "forceoff" and smt_is_on(journal.smt):
            raise MeasurementError("another process forced SMT off (forceoff): only a reboot brings it back")
        else:
            return
        if not (journal.turned_smt if off else journal.woke):
            journal.turned_smt, journal.woke = True, journal.woke or not off
            self._store.save(journal)
        try:
            self._files.write(SMT_CONTROL, word)
        except OSError as error:
            raise MeasurementError(f"turning SMT {word} failed: {error.strerror}") from None

    def _wake(self, journal: Journal, state: HostState) -> set[int]:
        """Turn on what is to be on; return which of the CPUs found on the state takes."""
        away = set(off_in(state, self._siblings))
        for cpu in sorted(set(journal.online) - away - set(self._files.online())):
            # Which of a core's siblings the kernel lets stay is its own choice.
            if state.smt_off and turn(self._files, cpu, True, self._pause_s):
                away.add(cpu)
            else:
                self._turn(cpu, True)
        return away

    def _turn(self, cpu: int, on: bool) -> None:
        if (cpu in self._files.online()) == on:
            return
        if failed := turn(self._files, cpu, on, self._pause_s):
            raise MeasurementError(f"CPU {cpu} does not go {'on' if on else 'off'}: {failed}")

    def _check(self) -> None:
        """Refuse what cannot be done, before anything is touched."""
        if self._store.load() is not None:
            raise UsageError("an earlier run left switches of this host turned; first: pybench restore")
        if crews := self._files.crews():
            raise BusyError(f"process {crews[0]} measures on this host", fix="wait for its end (pgrep -a pybench)")
        wants_smt = any(state.smt_off for state in self._states)
        if wants_smt and (why := why_no_smt_switch(self._files.smt())):
            raise UnsupportedError(f"--smt off:kernel: {why}")
        check_offline(self._files, [cpu for state in self._states for cpu in state.offline])
        for path in [SMT_CONTROL] if wants_smt else []:
            if not os.access(self._files.root / path, os.W_OK):
                raise UnsupportedError(f"/{path} is not writable: turning switches of the host needs root")

    def _found(self) -> Journal:
        """The host as it is, with all that it may lose."""
        files = self._files
        online = files.online()
        self._siblings = (
            files.siblings() if any(s.smt_off for s in self._states) and smt_is_on(files.smt()) else ()
        )
        away = {cpu for state in self._states for cpu in off_in(state, self._siblings)} & set(online)
        if not set(online) - away:
            raise UsageError("these switches leave no CPU on")
        if emptied := files.empty_without(away):
            raise UnsupportedError(
                f"cpuset {emptied[0]} has no other CPU than {format_list(sorted(away))}, and the kernel would "
                "move its tasks out for good; give it another CPU, or stop what runs in it"
            )
        lists = files.cpuset_lists()
        return Journal(
            boot=files.boot(),
            pid=os.getpid(),
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            command=["pybench", *sys.argv[1:]],
            smt=files.smt(),
            online=online,
            offline=tuple(sorted(set(files.present()) - set(online))),
            turned=tuple(sorted(away)),
            cpusets=lists,
            irqs=files.irq_lists(away),
            tasks=files.pinned_tasks(away),
        )

    def _written(self) -> Journal:
        """The journal, on the disk since before the first turn."""
        assert self._journal is not None
        if self.turns == 0:
            self._store.save(self._journal)
            self._expected = self._journal.online
        return self._journal

    def _put_back(self) -> Restored:
        if self._journal is None or not self._store.path.exists():
            return Restored()
        return self._restore(self._journal)

    def _restore(self, journal: Journal) -> Restored:
        restored = put_back(self._files, journal, self._store.save, self._pause_s)
        if not restored.left:
            try:
                self._store.drop()
            except MeasurementError as error:
                restored.left.append(str(error))
        return restored

    def _after_death(self) -> None:
        """What the guard does: the journal on the disk is what counts, not the copy that it was forked with."""
        try:
            journal = self._store.load()
            if journal is None:
                return
            restored = self._restore(journal)
            self._tell("the run could not put the host's switches back; its guard did")
            for line in (*restored.noted, *restored.left):
                self._tell(line)
        except PybenchError as error:
            self._tell(f"neither the run nor its guard can put the host back: {error}")

    def _let_go(self, *, done: bool = True) -> None:
        if self._guard:
            self._guard.dismiss(done=done)
            self._guard = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def check_offline(files: SwitchFiles, cpus: Sequence[int]) -> None:
    """Raise UsageError or UnsupportedError for a CPU that cannot be turned off."""
    present = files.present()
    for cpu in dict.fromkeys(cpus):
        if cpu not in present:
            raise UsageError(f"--offline: CPU {cpu} does not exist; this host has {format_list(present)}")
        if not files.switchable(cpu):
            raise UnsupportedError(
                f"--offline: the kernel does not let CPU {cpu} go off (no cpu{cpu}/online); choose others"
            )
        if not os.access(files.root / f"sys/devices/system/cpu/cpu{cpu}/online", os.W_OK):
            raise UnsupportedError("--offline: turning switches of the host needs root")


def _end(number: int, _: types.FrameType | None) -> None:
    raise SystemExit(128 + number)
