# SPDX-License-Identifier: Apache-2.0
"""Turn the host's switches for the cells of a sweep, and put them back however the sweep ends.

The journal records a switch before it is turned. The run puts the host back at its end, on Ctrl-C, SIGTERM, SIGHUP
and any exception; its watchdog does so if the run is killed, and `pybench doctor --restore` if both are.
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
from pybench.host.switches.files import SMT_CONTROL, SwitchFiles
from pybench.host.switches.journal import (
    AS_FOUND,
    HostState,
    Journal,
    StateFolder,
    off_in,
    smt_is_on,
    why_no_smt_switch,
)
from pybench.host.switches.restore import PAUSE_S, Restored, lists_back, put_back, turn
from pybench.host.switches.watchdog import Watchdog
from pybench.text import format_list

_ENDING = (signal.SIGTERM, signal.SIGHUP)
NEEDS_ROOT = "turning switches of the host needs root"


def _tell(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(2, f"pybench: {line}\n".encode())


class Controls:
    """Context in which one run controls the host's switches; leaving it puts everything back.

    `enter` raises MeasurementError if the host does not reach the state, or another process turns the switches.
    """

    def __init__(
        self,
        states: Sequence[HostState],
        *,
        files: SwitchFiles | None = None,
        store: StateFolder | None = None,
        watched: bool = True,
        tell: Callable[[str], None] = _tell,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._states = [state for state in dict.fromkeys(states) if state.turned]
        self._files = files or SwitchFiles()
        self._store = store or StateFolder()
        self._watched = watched
        self._tell = tell
        self._pause_s = pause_s
        self._watchdog: Watchdog | None = None
        self._lock = -1
        self._journal: Journal | None = None
        self._siblings: tuple[int, ...] = ()
        self._handlers: dict[int, object] = {}
        self.current = AS_FOUND
        self.turns = 0
        """Number of states entered."""

    def __enter__(self) -> Self:
        self._lock = self._store.hold(tell=self._tell)
        try:
            self._check()
            self._journal = self._found()
            if self._watched:
                self._watchdog = Watchdog(self._after_death, keep=(self._lock,))
                self._handlers = {number: signal.signal(number, _end) for number in _ENDING}
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not interrupt the work that the first one started.
        handlers = {}
        if self._watched:
            handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *_ENDING)}
        restored = None
        try:
            restored = self._put_back()
        finally:
            # The watchdog may succeed where the run failed.
            self._let_go(done=restored is not None)
            for number, handler in (handlers | self._handlers).items():
                signal.signal(number, handler)  # type: ignore[arg-type]
        for line in restored.noted:
            self._tell(line)
        if restored.left:
            raise MeasurementError("; ".join(restored.left) + "; then: pybench doctor --restore")

    def enter(self, state: HostState) -> None:
        """Bring the host into a state, unless it is in it already. Raises MeasurementError."""
        if state == self.current:
            return
        if wrong := self.wrong():
            raise MeasurementError(
                f"another process turned this host's switches: {wrong}", fix="stop it, then go on with --resume"
            )
        journal = self._written()
        before, self.turns = self.current, self.turns + 1
        # The host is in neither state until the new one is reached.
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
            raise MeasurementError(f"the host did not reach the state ({state.words()}): {wrong}")

    def wrong(self) -> str:
        """Return in words how the host differs from the current state, `` if it does not."""
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
            raise MeasurementError("another process forced SMT off (forceoff); only a reboot turns it on")
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
        """Turn on the CPUs of the state; return those that the run found on and the state turns off."""
        away = set(off_in(state, self._siblings))
        for cpu in sorted(set(journal.online) - away - set(self._files.online())):
            # The kernel chooses which sibling of a core stays on.
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
        """Raise the error of a state that cannot be reached, before anything is turned."""
        if self._store.load() is not None:
            raise UsageError(
                "an earlier run left switches of this host turned", fix="run pybench doctor --restore first"
            )
        if crews := self._files.crews():
            raise BusyError(f"process {crews[0]} measures on this host", fix="wait for its end (pgrep -a pybench)")
        wants_smt = any(state.smt_off for state in self._states)
        if wants_smt and (why := why_no_smt_switch(self._files.smt())):
            raise UnsupportedError("SMT cannot be turned off", subject="--smt off:kernel", reason=why)
        check_offline(self._files, [cpu for state in self._states for cpu in state.offline])
        for path in [SMT_CONTROL] if wants_smt else []:
            if not os.access(self._files.root / path, os.W_OK):
                raise UnsupportedError(f"/{path} is not writable", fix=NEEDS_ROOT)

    def _found(self) -> Journal:
        """Return a journal of the host as it is, with everything that the states may change."""
        files = self._files
        online = files.online()
        self._siblings = (
            files.siblings() if any(s.smt_off for s in self._states) and smt_is_on(files.smt()) else ()
        )
        away = {cpu for state in self._states for cpu in off_in(state, self._siblings)} & set(online)
        if not set(online) - away:
            raise UsageError("these switches turn every CPU off", fix="leave one on")
        if emptied := files.empty_without(away):
            raise UnsupportedError(
                f"cpuset {emptied[0]} has no CPU but {format_list(sorted(away))}, and the kernel would move its "
                "tasks out for good",
                fix="give it another CPU, or stop its tasks",
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
        """Return the journal, saved on disk before the first switch is turned."""
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
        """Put the host back in the watchdog, by the journal on disk: the copy in memory dates from the fork."""
        try:
            journal = self._store.load()
            if journal is None:
                return
            restored = self._restore(journal)
            self._tell("the run was killed; its watchdog put the host's switches back")
            for line in (*restored.noted, *restored.left):
                self._tell(line)
        except PybenchError as error:
            self._tell(f"neither the run nor its watchdog can put the host back: {error}")

    def _let_go(self, *, done: bool = True) -> None:
        if self._watchdog:
            self._watchdog.dismiss(done=done)
            self._watchdog = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def check_offline(files: SwitchFiles, cpus: Sequence[int]) -> None:
    """Raise UsageError or UnsupportedError for a CPU that cannot be turned off."""
    present = files.present()
    for cpu in dict.fromkeys(cpus):
        if cpu not in present:
            raise UsageError(
                f"CPU {cpu} does not exist", subject="--offline", fix=f"this host has {format_list(present)}"
            )
        if not files.switchable(cpu):
            raise UnsupportedError(
                f"the kernel cannot turn CPU {cpu} off (no cpu{cpu}/online)",
                subject="--offline",
                fix="choose another",
            )
        if not os.access(files.root / f"sys/devices/system/cpu/cpu{cpu}/online", os.W_OK):
            raise UnsupportedError("CPUs cannot be turned off", subject="--offline", fix=NEEDS_ROOT)


def _end(number: int, _: types.FrameType | None) -> None:
    raise SystemExit(128 + number)
