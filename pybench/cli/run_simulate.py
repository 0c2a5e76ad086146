# SPDX-License-Identifier: Apache-2.0
"""What `pybench simulate` does once its options are read: plan, simulate, keep, show."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pybench.cli.runs import new_name, progress_bar
from pybench.errors import MeasurementError, UsageError
from pybench.plan.request import Request, from_options
from pybench.present.provenance import banner
from pybench.present.terminal.output import make_console
from pybench.present.views.plan import plan_table
from pybench.results.names import command_of
from pybench.results.records import End, Trial
from pybench.results.store import Writer, read
from pybench.simulator.load import load_machine
from pybench.simulator.machine import Machine
from pybench.simulator.run import DRAWS, Runner, Study, header
from pybench.simulator.study import plan_study

# Fewer draws tell no correlation from chance.
LEAST_FOR_SENSITIVITY = 40
AXES = ("threads", "places", "smt", "params", "oversubscribe")


def start(workloads: tuple[str, ...], options: Mapping[str, Any]) -> None:
    """Simulate on each machine, into a file each, and show them."""
    machines = _machines(options["machines"])
    asked = {k: v for k, v in options.items() if k in AXES or k.startswith("param_")}
    request = from_options(Request(), workloads or ("spin",), asked)
    draws = options["draws"] or DRAWS
    if options["sensitivity"]:
        if options["draws"] and options["draws"] < LEAST_FOR_SENSITIVITY:
            raise UsageError(f"--sensitivity needs {LEAST_FOR_SENSITIVITY} draws or more: leave --draws out")
        draws = max(draws, LEAST_FOR_SENSITIVITY)
    studies = [
        plan_study(
            machine,
            request,
            draws=draws,
            seed=options["seed"],
            duration=options["duration"],
            warmup=options["warmup"],
            steps=options["steps"],
        )
        for machine in machines
    ]
    if options["dry_run"]:
        for study in studies:
            _show_plan(study)
        return
    paths = [_path(study, options["output"], len(studies) > 1) for study in studies]
    for study, path in zip(studies, paths, strict=True):
        _simulate(study, path, options["workers"], sensitivity=options["sensitivity"])
    if len(paths) > 1:
        click.echo(f"\nside by side: pybench compare {' '.join(map(str, paths))}", err=True)


def _machines(texts: tuple[str, ...]) -> list[Machine]:
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--machine names none; see `pybench machines`")
    machines = [load_machine(name) for name in dict.fromkeys(names)]
    known = [machine.name for machine in machines]
    if len(set(known)) < len(known):
        raise UsageError(f"two of these machines have one name ({', '.join(known)}); change it in a file")
    return machines


def _path(study: Study, output: Path | None, several: bool) -> Path:
    name = study.machine.name
    if output is None:
        return new_name(f"simulated-{study.plan.cells[0].workload}", name)
    return output.with_name(f"{output.stem}-{name}{output.suffix or '.jsonl'}") if several else output


def _show_plan(study: Study) -> None:
    console = make_console()
    console.print(f"to simulate: {study.machine.title}", markup=False, style="bold")
    console.print(plan_table(study.plan))
    for reason in study.plan.left_out:
        console.print(f"left out: {reason}", markup=False)
    cells = len(study.plan.cells)
    console.print(f"{cells} cells x {study.draws} draws = {cells * study.draws} simulations", markup=False)


def _simulate(study: Study, path: Path, workers: int | None, *, sensitivity: bool) -> None:
    began, interrupted = time.monotonic(), False
    trials: list[Trial] = []
    with Writer(path, resumable=False) as writer:
        first = header(study, command_of(["pybench", *sys.argv[1:]]))
        writer.write(first)
        click.echo(banner(first), err=True)
        runner = Runner(study, workers)
        try:
            with _Progress(runner) as progress:
                for trial in runner.trials():
                    writer.write(trial)
                    trials.append(trial)
                    progress.show()
        except KeyboardInterrupt:
            interrupted = True
        seconds = round(time.monotonic() - began, 3)
        writer.write(End(reason="interrupted" if interrupted else "limit", seconds=seconds))
    if trials and not interrupted and not any(trial.figures for trial in trials):
        reasons = sorted({trial.outcome.reason for trial in trials})
        raise MeasurementError(f"every simulation failed: {'; '.join(reasons)}")
    if trials:
        # The libraries of the fits take longer to load than short simulations.
        from pybench.cli.read.show import print_results

        results = read(path)
        print_results(results)
        if sensitivity and not interrupted:
            from pybench.present.views.sensitivity import sensitivity_report

            console = make_console()
            for part in sensitivity_report(results):
                console.print(part)
    click.echo(f"{len(trials)} simulations in {seconds:.1f} s, kept in {path}", err=True)
    if interrupted:
        sys.exit(130)


class _Progress:
    """A bar on a terminal."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._bar = progress_bar(make_console(stderr=True), auto_refresh=True)
        self._task = self._bar.add_task("simulating", total=1.0)

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=self._runner.progress())
