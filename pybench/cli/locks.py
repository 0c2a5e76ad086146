# SPDX-License-Identifier: Apache-2.0
"""`pybench locks`: the locks that the spin workload can hammer."""

import click
import msgspec

from pybench import native
from pybench.present.terminal.output import make_console
from pybench.present.views.locks import lock_table


@click.command(name="locks")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON list.")
def command(as_json: bool) -> None:
    """List the locks of the spin workload and what sets them apart.

    \b
    space     memory of a lock with n members
    fairness  FIFO: first come, first served; bounded: none is passed by for ever
    waits by  what a member does until the lock is its own
    NUMA      the lock prefers members of the holder's domain (--domain)
    """
    locks = list(native.locks().values())
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(locks), indent=1))
        return
    console = make_console()
    with console.capture() as drawn:
        console.print(lock_table(locks))
    click.echo(drawn.get(), nl=False)
