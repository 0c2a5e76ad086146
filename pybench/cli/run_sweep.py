"""What `pybench sweep` does once its options are read: plan, measure, keep, show."""

import datetime
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pybench import native
from pybench._version import VERSION
from pybench.errors import UsageError
from pybench.host.capture import open_sysroot
from pybench.host.facts import read_facts
from pybench.host.topology import read_topology
from pybench.report.terminal import budget_words, describe_host, first_figure, make_console, plan_table, varying
from pybench.results.records import Header, Trial
from pybench.results.store import Writer, read
from pybench.sweep.config import Request, make_plan
from pybench.sweep.plan import check_supported, expected_ns
from pybench.sweep.runner import Sweep

RESULTS = Path("results")
# More first figures than fit a screen tell nobody anything.
MOST_FIRST_FIGURES = 24


def start_sweep(request: Request) -> None:
    """Plan a sweep and run it into a new file; or, dry, only show the plan."""
    if request.sysroot and not request.dry_run:
        raise UsageError("--sysroot plans for another host, which cannot be measured here; add --dry-run")
    with open_sysroot(request.sysroot or Path("/")) as root:
        topology = read_topology(root)
    plan = make_plan(request, topology)
    if request.dry_run:
        console = make_console()
        console.print(plan_table(plan))
        for reason in plan.left_out:
            console.print(f"left out: {reason}", markup=False)
        console.print(budget_words(plan, *expected_ns(plan)), markup=False)
        return
    check_supported(plan.cells, native.locks())
    header = Header(
        pybench=VERSION,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=["pybench", *sys.argv[1:]],
        host=read_facts(),
        topology=topology.to_dict(),
        plan=plan,
    )
    with Writer(request.output or _new_name(plan.cells[0].workload if request.workloads else "host")) as writer:
        writer.write(header)
        click.echo(f"{describe_host(header)}\n{budget_words(plan, *expected_ns(plan))}", err=True)
        _measure(Sweep(plan, topology=topology), writer, [])


def resume_sweep(path: Path) -> None:
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
    with Writer(path, resume_at=results.good_bytes) as writer:
        sweep = Sweep(results.header.plan, results.trials, seconds_before=before, topology=read_topology())
        click.echo(f"{path}: {len(results.trials)} trials are there, going on", err=True)
        _measure(sweep, writer, results.trials)


def _new_name(what: str) -> Path:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return RESULTS / f"{what}-{platform.node() or 'host'}-{stamp}.jsonl"


def _measure(sweep: Sweep, writer: Writer, before: list[Trial]) -> None:
    """Run what is left of a sweep, show its tables, and say how to go on if it was interrupted."""
    trials, interrupted = list(before), False
    try:
        with _Progress(sweep) as progress:
            for trial in sweep.trials():
                writer.write(trial)
                trials.append(trial)
                progress.show(trial)
    except KeyboardInterrupt:
        interrupted = True
    writer.write(sweep.end(interrupted))
    sweep.raise_if_nothing_measured(trials)
    if trials:
        click.echo(err=True)
        # Imported here: the libraries of the fits take longer to load than a first figure to measure.
        from pybench.cli.show import print_results

        print_results(read(writer.path))
    click.echo(f"kept in {writer.path}", err=True)
    if interrupted:
        click.echo(f"interrupted; go on with: pybench sweep --resume {writer.path}", err=True)
        sys.exit(130)
    if trials:
        _name_report(writer.path)


def _name_report(path: Path) -> None:
    """Write the report of a sweep that was kept under its own name, and name it; of any other, name the command.

    A sweep with --output is often one of a script's many, which has no use for a page each.
    """
    page = path.with_suffix(".html")
    if path.parent == RESULTS and all(map(find_spec, ("altair", "jinja2", "vl_convert"))):
        from pybench.cli.report import write_report

        try:
            write_report((path,), page)
        except UsageError as error:
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
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            transient=True,
            disable=not self._console.is_terminal,
        )
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
