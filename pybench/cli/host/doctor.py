# SPDX-License-Identifier: Apache-2.0
"""Check this host for what makes measurements invalid; put its switches back."""

import sys
from pathlib import Path

import click
import msgspec

from pybench.errors import UsageError
from pybench.present.terminal.output import show
from pybench.present.views.doctor import doctor


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option(
    "--sysroot",
    type=click.Path(path_type=Path),
    default=Path("/"),
    metavar="DIR|FILE",
    help="Read another host: a folder with its sys and proc, or a file from `pybench topology --capture`.",
)
@click.option("--place", "words", default="all", metavar="WORDS", help="Check these CPUs. [all]")
@click.option("--quick", is_flag=True, help="Leave out the short trial on these CPUs.")
@click.option("--strict", is_flag=True, help="Exit 1 if there is a problem.")
@click.option("--restore", is_flag=True, help="Put switches back that a dead run left turned, and nothing else.")
@click.option("--dry-run", is_flag=True, help="With --restore: print what would be put back, and change nothing.")
@click.option("--forget", is_flag=True, help="With --restore: delete the journal and leave the host as it is.")
def command(
    as_json: bool,
    sysroot: Path,
    words: str,
    quick: bool,
    strict: bool,
    restore: bool,
    dry_run: bool,
    forget: bool,
) -> None:
    """Check this host for what makes measurements invalid or moves results, and say what to do about it.

    Looks at frequency, SMT, interrupts, hypervisor, limits, memory, clock and load, and runs one trial of half a
    second on the CPUs. Each line has a level: `problem` makes trials invalid or moves results, `note` helps to
    read them. Nothing is changed.

    A run that turns switches of the host (SMT, CPUs) puts them back itself; if it is killed, its watchdog does.
    --restore is for the rest: both were killed (with their container or cgroup), the power failed, or a CPU did
    not turn on. The run's journal, in /var/lib/pybench (or $PYBENCH_STATE_DIR), records the former state of the
    host. Switches that another process turned meanwhile are reported and left alone. It may be repeated.

    \b
    pybench doctor
    pybench doctor --place 'socket:0 smt:off' --strict
    pybench doctor --sysroot other-host.tar.gz --json
    pybench doctor --restore

    \b
    Exit status:
      0   looked at, or all is put back
      1   --strict: there is a problem
      3   --restore needs root
      4   --restore: a switch cannot be put back; the journal stays
      75  --restore: the run still works, and puts its switches back itself
    """
    if (dry_run or forget) and not restore:
        raise UsageError("--dry-run and --forget are for --restore; add it")
    if restore:
        from pybench.api.restore import restore as put_back

        put_back(dry_run=dry_run, forget=forget, tell=click.echo)
        return
    from pybench.api.doctor import examine

    cpus, found = examine(words, sysroot, quick=quick)
    if as_json:
        shown = {"place": words, "cpus": list(cpus), "advice": msgspec.to_builtins(found)}
        click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=1))
    else:
        show(doctor(found, cpus))
    if strict and any(one.level == "problem" for one in found):
        sys.exit(1)
