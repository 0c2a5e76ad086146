# SPDX-License-Identifier: Apache-2.0
"""Simulate a sweep on another machine; output is marked SIMULATED."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybench.cli.options import (
    SectionedCommand,
    output_option,
    oversubscribe_option,
    param_option,
    parameter_options,
    place_option,
    threads_option,
)
from pybench.errors import UsageError
from pybench.workloads import SIMULATED

if TYPE_CHECKING:
    from pybench.simulator.machine import Machine
    from pybench.simulator.study import Study

# Fewer draws tell no correlation from chance.
LEAST_FOR_SENSITIVITY = 40
AXES = ("threads", "places", "smt", "params", "oversubscribe", "duration", "warmup")


class SimulateCommand(SectionedCommand):
    """A command whose --help has the parameters of the workloads that are modelled."""

    kinds = SIMULATED


@click.command(cls=SimulateCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(SIMULATED)}]...")
@click.option(
    "--machine",
    "machines",
    multiple=True,
    required=True,
    metavar="NAME|FILE,...",
    help="Simulate this machine: see `pybench machine list`, or a machine file. Several: a result file each.",
)
@threads_option
@place_option
@click.option("--smt", metavar="on,off", help="Use SMT siblings, or one thread per core. [on, and off if any]")
@param_option
@parameter_options(SIMULATED)
@click.option(
    "--draws", type=click.IntRange(1, 100_000), metavar="N", help="Draw the uncertain inputs N times. [10]"
)
@click.option(
    "--sensitivity", is_flag=True, help="Print which uncertain input decides the result; draws 40 times or more."
)
@click.option("--duration", metavar="TIME", help="Simulate TIME of each trial. [1ms]")
@click.option("--warmup", metavar="TIME", help="Simulate TIME before each trial, without counting. [100us]")
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=1, metavar="N", help="Seed draws and simulation. [1]"
)
@click.option("--steps", metavar="NAME|FILE", help="Take the durations of a launch's steps from this machine.")
@oversubscribe_option
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Use N processes. [one per CPU]")
@output_option
@click.option("--dry-run", is_flag=True, help="Print the cells, and simulate nothing.")
def command(workloads: tuple[str, ...], **options: Any) -> None:
    """Simulate a sweep on another machine; output is marked SIMULATED.

    Axes and records are those of `pybench sweep`: show, compare, fit, report and export read them, and mark all
    that they write. Each trial is one draw of the machine's uncertain inputs, so the interval of a result is the
    central 95 % of draws. The same command gives the same results to the bit.

    Placements that the machine lacks, and thread counts beyond its CPUs, are left out and named.

    \b
    pybench simulate --machine r5.metal spin --place single-socket,dual-socket
    pybench simulate --machine r5.metal,c6a.metal spin --draws 200 --sensitivity
    pybench simulate --machine m7i.metal-48xl launch --strategy binds,parent
    pybench compare measured.jsonl simulated.jsonl
    """
    from pybench.plan.request import Request, from_options
    from pybench.simulator.study import DRAWS, DURATION, WARMUP, plan_study

    machines = _machines(options["machines"])
    draws = options["draws"] or DRAWS
    if options["sensitivity"]:
        if options["draws"] and options["draws"] < LEAST_FOR_SENSITIVITY:
            raise UsageError(f"--sensitivity needs {LEAST_FOR_SENSITIVITY} draws or more: leave --draws out")
        draws = max(draws, LEAST_FOR_SENSITIVITY)
    base = Request(duration=DURATION, warmup=WARMUP, seed=options["seed"], min_trials=draws, max_trials=draws)
    asked = {k: v for k, v in options.items() if k in AXES or k.startswith("param_")}
    request = from_options(base, workloads or ("spin",), asked)
    studies = [plan_study(machine, request, steps=options["steps"]) for machine in machines]
    if options["dry_run"]:
        for study in studies:
            _print_plan(study)
        return
    paths = [_path(study, options["output"], len(studies) > 1) for study in studies]
    for study, path in zip(studies, paths, strict=True):
        _simulate(study, path, options["workers"], sensitivity=options["sensitivity"])
    if len(paths) > 1:
        click.echo(f"\nside by side: pybench compare {' '.join(map(str, paths))}", err=True)


def _machines(texts: Sequence[str]) -> "list[Machine]":
    from pybench.simulator.machine_file import load_machine

    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--machine names none; see `pybench machine list`")
    machines = [load_machine(name) for name in dict.fromkeys(names)]
    known = [machine.name for machine in machines]
    if len(set(known)) < len(known):
        raise UsageError(f"two machines have one name ({', '.join(known)}); change it in a file")
    return machines


def _path(study: "Study", output: Path | None, several: bool) -> Path:
    from pybench.results.store import new_name

    name = study.machine.name
    if output is None:
        return new_name(f"simulated-{study.plan.cells[0].workload}", name)
    return output.with_name(f"{output.stem}-{name}{output.suffix or '.jsonl'}") if several else output


def _print_plan(study: "Study") -> None:
    from pybench.present.terminal.output import show
    from pybench.present.views.sweep import plan_view

    cells = len(study.plan.cells)
    size = f"{cells} cells x {study.draws} draws = {cells * study.draws} simulations"
    show(plan_view(study.plan, [size], title=f"To simulate: {study.machine.title}"))


def _simulate(study: "Study", path: Path, workers: int | None, *, sensitivity: bool) -> None:
    from pybench.cli.runs import Bar
    from pybench.present.labels import banner
    from pybench.run.loop import Interrupted
    from pybench.simulator.simulation import simulate_study

    bar, interrupted = Bar("simulating", lambda header: [banner(header)], auto_refresh=True), False
    try:
        results = simulate_study(study, path=path, workers=workers, observer=bar)
    except Interrupted as stop:
        results, interrupted = stop.results, True
    if results.trials:
        # The libraries of the fits take longer to load than short simulations.
        from pybench.cli.runs import print_results

        print_results(results)
        if sensitivity and not interrupted:
            from pybench.present.terminal.output import show
            from pybench.present.views.sensitivity import sensitivity_report

            show(sensitivity_report(results))
    click.echo(f"{len(results.trials)} simulations in {results.ends[-1].seconds:.1f} s, kept in {path}", err=True)
    if interrupted:
        sys.exit(130)
