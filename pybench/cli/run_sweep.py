# SPDX-License-Identifier: Apache-2.0
"""What `pybench sweep` does once its options are read: plan, measure, keep, show."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from pybench import native
from pybench.cli.runs import RESULTS, new_name, origin, progress_bar
from pybench.errors import MeasurementError, UnsupportedError, UsageError
from pybench.host.facts import read_facts
from pybench.host.switches.controls import Controls
from pybench.host.switches.journal import undisturbed
from pybench.host.topology import Topology, read_topology
from pybench.plan.blocks import states_of, switch_words, turns_switches
from pybench.plan.cells import check_supported, expected_ns
from pybench.plan.request import Request, make_plan
from pybench.present.labels import varying
from pybench.present.provenance import describe_host
from pybench.present.terminal.output import make_console
from pybench.present.views.plan import budget_words, first_figure, plan_table
from pybench.results.records import Header, Plan, Trial
from pybench.results.store import Writer, read
from pybench.run.sweep import Sweep

# More first figures than fit a screen tell nobody anything.
MOST_FIRST_FIGURES = 24


def start_sweep(request: Request, report: bool | None = None) -> None:
    """Plan a sweep and run it into a new file; or, dry, only show the plan. `report`: see `_name_report`."""
    if request.sysroot and not request.dry_run:
        raise UsageError("--sysroot plans for another host, which cannot be measured here; add --dry-run")
    topology = read_topology(request.sysroot or Path("/"))
    plan = make_plan(request, topology)
    if request.dry_run:
        show_plan(plan, topology)
        return
    run_plan(request, plan, topology, name=plan.cells[0].workload if request.workloads else "host", report=report)


def show_plan(plan: Plan, topology: Topology) -> None:
    """Print the cells of a plan, the time they take, and the switches it turns."""
    console = make_console()
    console.print(plan_table(plan))
    for reason in plan.left_out:
        console.print(f"left out: {reason}", markup=False)
    console.print(budget_words(plan, *expected_ns(plan)), markup=False)
    for line in switch_words(plan, topology):
        console.print(line, markup=False)


def run_plan(request: Request, plan: Plan, topology: Topology, *, name: str, report: bool | None = None) -> Path:
    """Run a plan into a new file, which is returned, and show its tables. `name` begins the file's, if the request
    names none. Raises UsageError if the plan turns switches of the host and was not allowed to."""
    check_allowed(plan, request.allow_host_changes)
    check_supported(plan.cells, native.locks())
    header = Header(**origin(topology), plan=plan)
    with ExitStack() as host:
        # Before there is a file: a host that cannot be had leaves none.
        controls = host.enter_context(_host(plan))
        with Writer(request.output or new_name(name)) as writer:
            writer.write(header)
            click.echo(f"{describe_host(header)}\n{budget_words(plan, *expected_ns(plan))}", err=True)
            for line in switch_words(plan, topology):
                click.echo(line, err=True)
            _measure(Sweep(plan, topology=topology, controls=controls), host, writer, [], report)
            return writer.path


def check_allowed(plan: Plan, allowed: bool) -> None:
    """Raise UsageError if a plan turns switches of the host without leave."""
    if turns_switches(plan) and not allowed:
        what = next(state.words() for state in states_of(plan.cells) if state.turned)
        raise UsageError(
            f"this turns switches of the whole host ({what}) and puts them back at the end; allow it with "
            "--allow-host-changes, or see them with --dry-run"
        )


def resume_sweep(path: Path, report: bool | None = None, *, allow_host_changes: bool = False) -> None:
    """Go on with the plan of a file where it stopped. Raises UsageError if it is another host's."""
    results = read(path)
    if results.header.simulated:
        raise UsageError(f"{path} is simulated, and measurements do not go into it; simulate it again instead")
    here, there = read_facts(), results.header.host
    for topic, key in (("cpu", "model"), ("kernel", "release")):
        if here[topic][key] != there.get(topic, {}).get(key):
            raise UsageError(
                f"{path} was measured on {there.get(topic, {}).get(key)!r}, this is {here[topic][key]!r}; "
                "figures of two hosts do not go into one file: start a new sweep"
            )
    # The last end counts all that was before it; a sweep that was killed has none.
    before = max([sum(trial.seconds for trial in results.trials), *(end.seconds for end in results.ends)])
    check_allowed(results.header.plan, allow_host_changes)
    plan = results.header.plan
    with ExitStack() as host:
        topology = read_topology()
        controls = host.enter_context(_host(plan))
        with Writer(path, resume_at=results.good_bytes) as writer:
            click.echo(f"{path}: {len(results.trials)} trials are there, going on", err=True)
            sweep = Sweep(plan, results.trials, seconds_before=before, topology=topology, controls=controls)
            _measure(sweep, host, writer, results.trials, report)


@contextmanager
def _host(plan: Plan) -> Iterator[Controls | None]:
    """The host for as long as a plan runs: its switches in hand if it turns any, else kept from those who do."""
    if turns_switches(plan):
        with Controls(states_of(plan.cells)) as controls:
            yield controls
        return
    with undisturbed():
        yield None


def _measure(sweep: Sweep, host: ExitStack, writer: Writer, before: list[Trial], report: bool | None) -> None:
    """Run what is left of a sweep, show its tables, and say how to go on if it was interrupted.

    `host` is left before tables and pages are made, which takes a while: it is put back by then.
    """
    trials, interrupted, failed = list(before), False, None
    try:
        with host.pop_all(), _Progress(sweep) as progress:
            for trial in sweep.trials():
                writer.write(trial)
                trials.append(trial)
                progress.show(trial)
    except KeyboardInterrupt:
        interrupted = True
    except MeasurementError as error:
        failed = error
    writer.write(sweep.end(interrupted or failed is not None))
    if failed:
        click.echo(f"kept in {writer.path}; go on with: pybench sweep --resume {writer.path}", err=True)
        raise failed
    if not interrupted:
        sweep.raise_if_nothing_measured(trials)
    if trials:
        click.echo(err=True)
        # Imported here: the libraries of the fits take longer to load than a first figure to measure.
        from pybench.cli.read.show import print_results

        print_results(read(writer.path))
    click.echo(f"kept in {writer.path}", err=True)
    if interrupted:
        click.echo(f"interrupted; go on with: pybench sweep --resume {writer.path}", err=True)
        sys.exit(130)
    if trials:
        _name_report(writer.path, report)


def _name_report(path: Path, wanted: bool | None) -> None:
    """Write the report of a sweep and name it; where it is not wanted, name the command that makes it.

    Without a word of the user's (None), a sweep that was kept under its own name has one. A sweep with --output is
    often one of a script's many, which has no use for a page each.
    """
    page = path.with_suffix(".html")
    can = all(map(find_spec, ("altair", "jinja2", "vl_convert")))
    if wanted or (wanted is None and path.parent == RESULTS and can):
        from pybench.cli.read.report import write_report

        try:
            write_report((path,), page)
        except (UsageError, UnsupportedError) as error:
            click.echo(f"no report: {error}", err=True)
        else:
            click.echo(f"report: {page}", err=True)
        return
    click.echo(f"a page of it: pybench report {path}", err=True)


class _Progress:
    """A bar on a terminal, plain lines elsewhere. Drawn between trials only: Python must not run beside one."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._seen: set[int] = set()
        self._shown = varying(sweep.plan.cells)
        self._console = make_console(stderr=True)
        self._bar = progress_bar(self._console)
        self._task = self._bar.add_task("measuring", total=1.0)

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, trial: Trial) -> None:
        """Move the bar; print a cell's first figure."""
        if trial.cell not in self._seen and len(self._seen) < MOST_FIRST_FIGURES:
            self._seen.add(trial.cell)
            self._console.print(first_figure(trial, self._shown), markup=False, soft_wrap=True)
        self._bar.update(self._task, completed=self._sweep.progress())
        self._bar.refresh()
