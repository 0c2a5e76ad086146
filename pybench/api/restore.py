# SPDX-License-Identifier: Apache-2.0
"""The host's switches put back after a run that could not."""

import os
from collections.abc import Callable

from pybench.errors import MeasurementError, UnsupportedError
from pybench.host.switches.files import SwitchFiles
from pybench.host.switches.journal import StateFolder
from pybench.host.switches.restore import put_back
from pybench.text import format_list, plural


def restore(*, dry_run: bool = False, forget: bool = False, tell: Callable[[str], None] = print) -> None:
    """Put the host's switches (SMT, CPUs) back as the journal of a dead run has them; `tell` each step.

    With `dry_run` change nothing; with `forget` delete the journal and leave the host as it is. Raises
    UnsupportedError without root, BusyError while the run still works, MeasurementError if a switch stays.
    """
    store = StateFolder()
    if store.load() is None:
        tell("nothing to put back: no run left switches of this host turned")
        return
    if not dry_run and not os.access(store.folder, os.W_OK):
        raise UnsupportedError(f"{store.folder} is not writable", fix="putting switches back needs root")
    held = None if dry_run else store.hold(wait_s=0.0 if forget else 60.0)
    try:
        journal = store.load()
        if journal is None:
            tell("all is put back, by the run's watchdog")
            return
        files = SwitchFiles()
        again = ", before this boot" if journal.boot != files.boot() else ""
        tell(f"from {journal.created}{again}: {' '.join(journal.command)}")
        off = f", CPUs {format_list(journal.offline)} off" if journal.offline else ""
        tell(f"the host had SMT {journal.smt}, CPUs {format_list(journal.online)} on{off}")
        if dry_run:
            now = files.online()
            tell(f"it has SMT {files.smt()}, {plural(len(now), 'CPU')} on: {format_list(now)}")
            return
        if forget:
            store.drop()
            tell("forgotten; the host is left as it is")
            return
        restored = put_back(files, journal, store.save)
        for line in (*restored.done, *restored.noted):
            tell(line)
        if restored.left:
            raise MeasurementError("; ".join(restored.left), fix="then run pybench doctor --restore again")
        store.drop()
        tell("all is as it was" if not restored.noted else "what the run turned is put back")
    finally:
        if held is not None:
            os.close(held)
