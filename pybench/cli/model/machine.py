# SPDX-License-Identifier: Apache-2.0
"""List, draw and calibrate the machines to simulate."""

from pathlib import Path
from typing import Any

import click

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")


@click.group()
def command() -> None:
    """List the machines that `pybench simulate` knows, draw one, or add this host.

    A number of a machine is measured, published or assumed; each has a source and a range, from which simulations
    draw it. docs/reference/machine-files.md describes the files.

    \b
    pybench machine list
    pybench machine show r5.metal
    pybench machine calibrate -o here.toml
    """


@command.command(name="list")
@as_json_option
def list_machines(as_json: bool) -> None:
    """List the machines that come with pybench."""
    from pybench.present.terminal.output import show as print_document
    from pybench.present.views.machines import machine_document, machines_table
    from pybench.simulator.machine_file import read_machine, shipped

    known = {name: read_machine(path) for name, path in shipped().items()}
    if as_json:
        _print_json([machine_document(one) for one in known.values()])
        return
    print_document(machines_table(known))


@command.command()
@click.argument("machine", metavar="NAME|FILE")
@as_json_option
def show(machine: str, as_json: bool) -> None:
    """Draw a machine, with its numbers and where each is from.

    The machine is one of `pybench machine list`, or a file of `pybench machine calibrate`.
    """
    from pybench.present.terminal.output import show as print_document
    from pybench.present.views.machines import machine_document, machine_view
    from pybench.simulator.machine_file import load_machine

    one = load_machine(machine)
    if as_json:
        _print_json(machine_document(one))
    else:
        print_document(machine_view(one))


@command.command(short_help="Measure this host into a machine file.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the machine to FILE, a new one. [HOST.toml]",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def calibrate(output: Path | None, force: bool) -> None:
    """Measure what a simulation of this host needs, in under a minute, and write it as a machine file.

    Measures line transfers by distance as `pybench latency` does, and how late single ones come; a loop, a hit, an
    atomic, a pause; what SMT siblings take from each other; the steps of a container launch. Every measurement is
    checked as the trials of a sweep are: on a busy host this fails. What cannot be measured is marked assumed,
    with a range.

    \b
    pybench machine calibrate -o here.toml
    pybench machine show here.toml
    pybench simulate --machine here.toml spin --lock ticket --threads 1,2
    """
    from pybench.api.calibrate import calibrate as measured

    path, done = measured(output, force=force, tell=lambda what: click.echo(f"measuring {what}", err=True))
    machine = done.machine
    numbers = machine.numbers()
    assumed = [name for name, number in numbers.items() if number.assumed]
    for distance, spread in machine.transfer.items():
        click.echo(f"transfer, {distance}: {spread.median.value:.3g} ns", err=True)
    worst = max(done.misses, key=lambda lock: abs(done.misses[lock]))
    click.echo(
        f"lone operations fit the model within {abs(done.misses[worst]):.0%} ({worst}); "
        f"{len(assumed)} of {len(numbers)} numbers are assumed",
        err=True,
    )
    for note in machine.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"measured in {done.seconds:.0f} s; simulate it: pybench simulate --machine {path}", err=True)
    click.echo(path)


def _print_json(data: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=1))
