# SPDX-License-Identifier: Apache-2.0
"""Puts the host back as a journal found it, from whatever point the run that wrote it came to.

It may be done again and again, by the run itself, its guard, or `pybench restore`. What another process turned
meanwhile is told and left alone: only what the run turned, or woke, is turned back.
"""

import errno
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from pybench.errors import MeasurementError
from pybench.host.journal import Journal
from pybench.host.switches import SMT_CONTROL, SwitchFiles, smt_is_on
from pybench.text import format_list, parse_list

# A CPU whose coming or going the kernel refuses for the moment (EBUSY, EAGAIN) is asked again.
TRIES, PAUSE_S = 20, 0.1
_FOR_NOW = (errno.EBUSY, errno.EAGAIN, errno.EINTR)


class Restored(msgspec.Struct, kw_only=True):
    """What came of it, in sentences."""

    done: list[str] = []
    noted: list[str] = []
    """Left as it is, because another turned it."""
    left: list[str] = []
    """Should be put back, and could not be."""


def put_back(
    files: SwitchFiles, journal: Journal, save: Callable[[Journal], None], pause_s: float = PAUSE_S
) -> Restored:
    """Put back what the journal's run turned. `save` is called before what should be written down first; where it
    raises MeasurementError, that is noted and the rest is put back."""
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
                # All that a later restore would not know is which CPUs this wakes; they are turned off below.
                restored.noted.append(f"{error}; the host is put back all the same")
        word = journal.smt
    elif smt_is_on(now) and journal.smt == "off" and rebooted:
        word = "off"
    elif now == "forceoff":
        restored.left.append("SMT is forced off now, which another did: only a reboot brings it back")
        return
    else:
        restored.noted.append(f"SMT was {journal.smt} and is {now} now, which another did: left so")
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
            restored.noted.append(f"CPU {cpu} was on and is off now, which another did: left so")
        elif failed := turn(files, cpu, True, pause_s):
            restored.left.append(f"CPU {cpu} does not come back: {failed}; echo 1 > /{_file(cpu)}")
        else:
            back.append(cpu)
    if back:
        restored.done.append(f"{_cpus_words(back)} on again")
    gone: list[int] = []
    for cpu in sorted(set(journal.offline) & online):
        if not (journal.woke or rebooted):
            restored.noted.append(f"CPU {cpu} was off and is on now, which another did: left so")
        elif failed := turn(files, cpu, False, pause_s):
            restored.left.append(f"CPU {cpu} was off and does not go off again: {failed}; echo 0 > /{_file(cpu)}")
        else:
            gone.append(cpu)
    if gone:
        restored.done.append(f"{_cpus_words(gone)} off again, as before")


def _file(cpu: int) -> str:
    return f"sys/devices/system/cpu/cpu{cpu}/online"


def _cpus_words(cpus: list[int]) -> str:
    return f"CPU {cpus[0]} is" if len(cpus) == 1 else f"CPUs {format_list(cpus)} are"


def turn(files: SwitchFiles, cpu: int, on: bool, pause_s: float = PAUSE_S) -> str:
    """Turn a CPU and look that it went; why not, in words, `` if it did."""
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
            why = "the kernel took the order and did not follow"
        if (cpu in files.online()) == on:
            return ""
    return why if (cpu in files.online()) != on else ""


def lists_back(files: SwitchFiles, journal: Journal, cpus: Iterable[int], restored: Restored) -> None:
    """Give cpusets, tasks and interrupts the CPUs back that they lost when these went off; they are on again."""
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
