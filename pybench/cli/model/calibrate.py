# SPDX-License-Identifier: Apache-2.0
"""`pybench calibrate`: this host as a machine file."""

from pathlib import Path

import click


@click.command(name="calibrate")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The machine file, a new one. [HOST.toml]",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def command(output: Path | None, force: bool) -> None:
    """Measure what a simulation of this host needs, in under a minute, and write it as a machine file.

    Line transfers by distance as `pybench latency` measures them, and how late single ones come; a loop, a hit, an
    atomic, a pause; what SMT siblings take from each other; the steps of a container launch. Every measurement is
    checked as a sweep's trials are: on a busy host this fails rather than write what is not so. What cannot be
    measured is marked assumed, with a range.

    \b
    pybench calibrate -o here.toml
    pybench machines here.toml
    pybench simulate --machine here.toml spin --lock ticket --threads 1,2
    """
    from pybench.api.calibrate import calibrate

    path, done = calibrate(output, force=force, tell=lambda what: click.echo(f"measuring {what}", err=True))
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
