# SPDX-License-Identifier: Apache-2.0
"""Put the host back into the state that a journal recorded, from any point of the run that wrote it.

The run, its watchdog and `pybench doctor --restore` may all do so, repeatedly. Only switches that the run turned
are turned back; changes by other processes are reported and left alone.
"""

import errno
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from pybench.errors import MeasurementError
from pybench.host.switches.files import SMT_CONTROL, SwitchFiles
from pybench.host.switches.journal import Journal, smt_is_on
from pybench.text import format_list, parse_list

# The kernel may refuse to turn a CPU for a moment (EBUSY, EAGAIN); then it is tried again.
TRIES, PAUSE_S = 20, 0.1
_FOR_NOW = (errno.EBUSY, errno.EAGAIN, errno.EINTR)


class Restored(msgspec.Struct, kw_only=True):
    """The outcome of putting a host back, in sentences."""

    done: list[str] = []
    noted: list[str] = []
    """Switches left alone, because another process turned them."""
    left: list[str] = []
    """Switches that could not be put back."""


def put_back(
    files: SwitchFiles, journal: Journal, save: Callable[[Journal], None], pause_s: float = PAUSE_S
) -> Restored:
    """Put back the switches that the journal's run turned.

    `save` is called before a step that the journal must record. If it raises MeasurementError, the error is noted
    and the host is put back all the same.
    """
    restored = Restored()
    rebooted = journal.boot != files.boot()
    _smt(files, journal, save, restored, rebooted)
    _cpus(files, journal, restored, rebooted, pause_s)
    if not rebooted:
        taken = set(journal.turned) | (set(journal.online) if journal.turned_smt else set())
        lists_back(files, journal, taken & set(files.online()), restored)
    return restored


def _smt(
    files: SwitchFiles, journal: Journal, save: Callable[[Journal], None], restored: Restored, rebooted: bool
) -> None:
    now = files.smt()
    if now == journal.smt or not (journal.turned_smt or rebooted):
        return
    if smt_is_on(journal.smt) and now == "off":
        if not journal.woke:
            journal.woke = True
            try:
                save(journal)
            except MeasurementError as error:
                # A later restore would only miss which CPUs this turns on; they are turned off below.
                restored.noted.append(f"{error}; the host is put back all the same")
        word = journal.smt
    elif smt_is_on(now) and journal.smt == "off" and rebooted:
        word = "off"
    elif now == "forceoff":
        restored.left.append("another process forced SMT off; only a reboot turns it on")
        return
    else:
        restored.noted.append(f"SMT was {journal.smt}; another process turned it {now}: left so")
        return
    try:
        files.write(SMT_CONTROL, word)
        restored.done.append(f"SMT is {word} again")
    except OSError as error:
        restored.left.append(f"SMT stays {now}: {error.strerror}; echo {word} > /{SMT_CONTROL}")


def _cpus(files: SwitchFiles, journal: Journal, restored: Restored, rebooted: bool, pause_s: float) -> None:
    online = set(files.online())
    ours = set(journal.turned) | (set(journal.online) if journal.turned_smt else set())
    back: list[int] = []
    for cpu in sorted(set(journal.online) - online):
        if cpu not in ours:
            restored.noted.append(f"CPU {cpu} was on; another process turned it off: left so")
        elif failed := turn(files, cpu, True, pause_s):
            restored.left.append(f"CPU {cpu} does not turn on: {failed}; echo 1 > /{_file(cpu)}")
        else:
            back.append(cpu)
    if back:
        restored.done.append(f"{_cpus_words(back)} on again")
    gone: list[int] = []
    for cpu in sorted(set(journal.offline) & online):
        if not (journal.woke or rebooted):
            restored.noted.append(f"CPU {cpu} was off; another process turned it on: left so")
        elif failed := turn(files, cpu, False, pause_s):
            restored.left.append(f"CPU {cpu} does not turn off again: {failed}; echo 0 > /{_file(cpu)}")
        else:
            gone.append(cpu)
    if gone:
        restored.done.append(f"{_cpus_words(gone)} off again, as before")


def _file(cpu: int) -> str:
    return f"sys/devices/system/cpu/cpu{cpu}/online"


def _cpus_words(cpus: list[int]) -> str:
    return f"CPU {cpus[0]} is" if len(cpus) == 1 else f"CPUs {format_list(cpus)} are"


def turn(files: SwitchFiles, cpu: int, on: bool, pause_s: float = PAUSE_S) -> str:
    """Turn a CPU on or off and verify it; return the reason if it did not follow, `` if it did."""
    why = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause_s)
        try:
            files.set_cpu(cpu, on)
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno not in _FOR_NOW:
                break
        else:
            why = "the kernel accepted the write but did not turn it"
        if (cpu in files.online()) == on:
            return ""
    return why if (cpu in files.online()) != on else ""


def lists_back(files: SwitchFiles, journal: Journal, cpus: Iterable[int], restored: Restored) -> None:
    """Give cpusets, tasks and interrupts back the CPUs they lost when these CPUs, now on again, went off."""
    here = set(cpus)
    grown = [
        path
        for path, text in journal.cpusets.items()
        if _grow(files, path, set(parse_list(text)) & here, restored)
    ]
    if grown:
        restored.done.append(f"{len(grown)} cpuset{'s have' if len(grown) > 1 else ' has'} the CPUs back")
    for path, text in _all_there(journal.irqs, here).items():
        if files.read(path) not in (None, text):
            try:
                files.write(path, text)
            except OSError as error:
                restored.noted.append(f"/{path} stays {files.read(path)}, was {text}: {error.strerror}")
    for task in journal.tasks:
        if set(task.cpus) <= here:
            try:
                files.bind_again(task)
            except OSError as error:
                restored.noted.append(
                    f"process {task.tid} was bound to CPUs {format_list(task.cpus)}: {error.strerror}"
                )


def _grow(files: SwitchFiles, path: str, lost: set[int], restored: Restored) -> bool:
    now = files.read(path)
    if now is None or lost <= set(parse_list(now)):
        return False
    want = format_list(sorted({*parse_list(now), *lost}))
    try:
        files.write(path, want)
    except OSError as error:
        restored.left.append(f"cpuset /{path} stays {now}: {error.strerror}; echo {want} > /{path}")
        return False
    return True


def _all_there(lists: Mapping[str, str], cpus: set[int]) -> dict[str, str]:
    return {path: text for path, text in lists.items() if set(parse_list(text)) <= cpus}
