# SPDX-License-Identifier: Apache-2.0
"""pybench restore: put the host's switches back."""

import os

import click

from pybench.errors import MeasurementError, UnsupportedError


@click.command()
@click.option("--dry-run", is_flag=True, help="Print what would be put back, and change nothing.")
@click.option("--forget", is_flag=True, help="Delete the journal and leave the host as it is.")
def command(dry_run: bool, forget: bool) -> None:
    """Put the host's switches (SMT, CPUs) back after a run that could not.

    A run that turns switches puts them back itself; if it is killed, its watchdog does. This verb is for the
    rest: both were killed (with their container or cgroup), the power failed, or a CPU did not turn on. The run's
    journal, in /var/lib/pybench (or $PYBENCH_STATE_DIR), records the former state of the host. CPUs that were off
    before are turned off again, also after a reboot. Switches that another process turned meanwhile are reported
    and left alone. The verb may be repeated.

    \b
    Exit status: 0   all is put back, or there was nothing to put back
                 3   this needs root
                 4   a switch cannot be put back; the journal stays
                 75  the run still works, and puts its switches back itself
    """
    from pybench.host.switches.files import SwitchFiles
    from pybench.host.switches.journal import StateFolder
    from pybench.host.switches.restore import put_back
    from pybench.text import counted, format_list

    store = StateFolder()
    if store.load() is None:
        click.echo("nothing to put back: no run left switches of this host turned")
        return
    if not dry_run and not os.access(store.folder, os.W_OK):
        raise UnsupportedError(f"{store.folder} is not writable", fix="putting switches back needs root")
    held = None if dry_run else store.hold(wait_s=0.0 if forget else 60.0)
    try:
        journal = store.load()
        if journal is None:
            click.echo("all is put back, by the run's watchdog")
            return
        files = SwitchFiles()
        again = ", before this boot" if journal.boot != files.boot() else ""
        click.echo(f"from {journal.created}{again}: {' '.join(journal.command)}")
        off = f", CPUs {format_list(journal.offline)} off" if journal.offline else ""
        click.echo(f"the host had SMT {journal.smt}, CPUs {format_list(journal.online)} on{off}")
        if dry_run:
            now = files.online()
            click.echo(f"it has SMT {files.smt()}, {counted(len(now), 'CPU')} on: {format_list(now)}")
            return
        if forget:
            store.drop()
            click.echo("forgotten; the host is left as it is")
            return
        restored = put_back(files, journal, store.save)
        for line in (*restored.done, *restored.noted):
            click.echo(line)
        if restored.left:
            raise MeasurementError("; ".join(restored.left), fix="then run pybench restore again")
        store.drop()
        click.echo("all is as it was" if not restored.noted else "what the run turned is put back")
    finally:
        if held is not None:
            os.close(held)
