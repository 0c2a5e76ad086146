# SPDX-License-Identifier: Apache-2.0
"""`pybench machines`: the machines that can be simulated, drawn, with every number's source."""

import click
import msgspec

from pybench.present.terminal.output import make_console
from pybench.present.views.machines import machine_document, machine_report, machines_table
from pybench.simulator.machine_file import load_machine, read_machine, shipped

MAX_WIDTH = 100


@click.command(name="machines")
@click.argument("machine", required=False, metavar="[NAME|FILE]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(machine: str | None, as_json: bool) -> None:
    """List the machines that `pybench simulate` knows; draw one, with its numbers and where each is from.

    NAME is one of the list, or a file: `pybench calibrate` writes this host's, docs/reference/machine-files.md has
    the format.
    A number is measured or published by somebody, or it is assumed; each has a range, from which simulations
    draw it.

    \b
    pybench machines
    pybench machines r5.metal
    pybench machines this-host.toml --json
    """
    if machine is None:
        known = {name: read_machine(path) for name, path in shipped().items()}
        if as_json:
            rows = [machine_document(one) for one in known.values()]
            click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=1))
            return
        parts = [machines_table(known)]
    else:
        one = load_machine(machine)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(machine_document(one)), indent=1))
            return
        parts = list(machine_report(one, min(make_console().width, MAX_WIDTH)))
    console = make_console()
    with console.capture() as drawn:
        for part in parts:
            console.print(part, width=min(console.width, MAX_WIDTH))
        if machine is None:
            console.print("\nns: median one-way transfer of a cache line. Draw one: pybench machines NAME")
    click.echo(drawn.get(), nl=False)
