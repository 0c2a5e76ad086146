# SPDX-License-Identifier: Apache-2.0
"""`pybench calibrate`: this host as a machine file."""

from pathlib import Path

import click

from pybench.errors import MeasurementError, UsageError


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
    import platform

    from pybench.host.topology import read_topology
    from pybench.simulator.calibrate import calibrate
    from pybench.simulator.load import read_machine
    from pybench.simulator.write import to_toml

    path = output or Path(f"{platform.node() or 'this-host'}.toml")
    if path.suffix != ".toml":
        raise UsageError(f"{path}: a machine file ends in .toml")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; name another -o, or give --force")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no folder; make it, or name another -o")
    done = calibrate(read_topology(), lambda what: click.echo(f"measuring {what}", err=True))
    try:
        path.write_text(to_toml(done.machine), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; name another -o") from None
    # What was written is what will be read.
    try:
        machine = read_machine(path)
    except UsageError as error:
        path.unlink()
        raise MeasurementError(
            f"the measurements make no machine: {error}; measure again on an idle host"
        ) from None
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
