# SPDX-License-Identifier: Apache-2.0
"""pybench restore: put the host's switches back."""

import os

import click

from pybench.errors import MeasurementError, UnsupportedError


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what was found and may have been turned, and change nothing.")
@click.option("--forget", is_flag=True, help="Leave the host as it is, and delete the journal.")
def command(dry_run: bool, forget: bool) -> None:
    """Put the host's switches (SMT, CPUs) back after a run that could not.

    A run that turns switches puts them back itself, and when it is killed its guard does. What is left for this
    verb: both were killed (a container, a cgroup), the power went, or a CPU did not come back. The journal of the
    run, in /var/lib/pybench (or $PYBENCH_STATE_DIR), tells how the host was. CPUs that were off before go off
    again; after a reboot too. What another process turned meanwhile is told and left. It may be run again.

    \b
    Exit status: 0  all is put back, or nothing was to be
                 2  a run is under way that puts them back itself
                 3  this needs root
                 4  something does not go back: it is named, and the journal stays
    """
    from pybench.host.journal import Store
    from pybench.host.restore import put_back
    from pybench.host.switches import SwitchFiles
    from pybench.text import counted, format_list

    store = Store()
    if store.load() is None:
        click.echo("nothing to put back: no run left switches of this host turned")
        return
    if not dry_run and not os.access(store.folder, os.W_OK):
        raise UnsupportedError(f"{store.folder} is not writable: putting switches back needs root")
    held = None if dry_run else store.hold(wait_s=0.0 if forget else 60.0)
    try:
        journal = store.load()
        if journal is None:
            click.echo("all is put back: the run's guard was at it")
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
            raise MeasurementError("; ".join(restored.left) + "; then again: pybench restore")
        store.drop()
        click.echo("all is as it was" if not restored.noted else "what the run turned is put back")
    finally:
        if held is not None:
            os.close(held)
