# SPDX-License-Identifier: Apache-2.0
"""The command line: one file a verb; each parses, calls and prints, and holds no logic."""

import importlib
import os
import sys

import click

from pybench._version import VERSION
from pybench.cli.streams import outlast
from pybench.errors import PybenchError

# verb -> (module that defines `command`, one line for `pybench --help`).
# The module is imported only when its verb is used, which keeps --help instant.
VERBS: dict[str, tuple[str, str]] = {
    "sweep": ("pybench.cli.measure.sweep", "Measure workloads over thread counts, placements and parameters."),
    "launch": (
        "pybench.cli.measure.launch",
        "Launch containers by each strategy, many at once: cost, and who suffers.",
    ),
    "latency": (
        "pybench.cli.measure.latency",
        "Measure how long a cache line takes from CPU to CPU: a heat map.",
    ),
    "simulate": (
        "pybench.cli.model.simulate",
        "Simulate the same sweeps on a machine that is not here: never a measurement, and says so.",
    ),
    "machines": (
        "pybench.cli.model.machines",
        "List and draw the machines to simulate: every number, and its source.",
    ),
    "calibrate": (
        "pybench.cli.model.calibrate",
        "Measure what a simulation of this host needs, into a machine file.",
    ),
    "reproduce": (
        "pybench.cli.research.reproduce",
        "Look at the published findings on mount storms: a verdict for each.",
    ),
    "advise": (
        "pybench.cli.research.advise",
        "Say which hosts and settings meet a workload, and what to change first.",
    ),
    "doctor": (
        "pybench.cli.host.doctor",
        "Say before the run what this host will spoil, and what to do about it.",
    ),
    "locks": ("pybench.cli.locks", "List the locks of the spin workload and what sets them apart."),
    "compare": ("pybench.cli.read.compare", "Compare result files, or an axis of one, cell by cell."),
    "compare-smt": (
        "pybench.cli.measure.compare_smt",
        "Compare this host with and without SMT: a sweep and its verdict.",
    ),
    "compare-sockets": (
        "pybench.cli.measure.compare_sockets",
        "Compare one socket of this host with two: a sweep and its verdict.",
    ),
    "report": ("pybench.cli.read.report", "Make one HTML page of result files: conclusion, charts, tables."),
    "show": ("pybench.cli.read.show", "Print the tables of a result file again."),
    "fit": ("pybench.cli.read.fit", "Compare scaling models on the curves of a result file, or of a table."),
    "query": ("pybench.cli.read.query", "Ask result files by SQL."),
    "export": (
        "pybench.cli.read.export",
        "Write result files for other tools: CSV, Parquet, pytest-benchmark, pyperf, benchstat.",
    ),
    "restore": ("pybench.cli.host.restore", "Put the host's switches back after a run that could not."),
    "topology": (
        "pybench.cli.host.topology",
        "Show this host's sockets, nodes, caches and cores; try placements.",
    ),
}


class LazyGroup(click.Group):
    """A click group that imports a verb's module when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(VERBS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


EPILOG = """\b
Exit status:
  0  done
  1  compare: a --fail-if condition holds
  2  the command or its input is wrong; the message names the fix
  3  this host cannot do it; the message names what it would need
  4  a measurement failed
  75  another run measures on this host; try again later
  130  interrupted; what was measured is kept"""


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="pybench")
def cli() -> None:
    """How a Linux host behaves when every CPU wants the same lock, and what to do about it."""


def _point_to_left_switches() -> None:
    """One line, whatever the verb, if a dead run left switches of the host turned. Costs a stat if none did."""
    folder = os.environ.get("PYBENCH_STATE_DIR") or "/var/lib/pybench"
    if "restore" not in sys.argv[1:2] and os.path.exists(f"{folder}/journal.json"):  # noqa: PTH110
        from pybench.host.switches.journal import left_behind

        if line := left_behind():
            click.echo(f"pybench: {line}", err=True)


def main() -> None:
    """Run the command line; turn every expected failure into one line and its exit status."""
    # Result files record the command as a user types it.
    sys.argv[0] = "pybench"
    try:
        outlast()
        _point_to_left_switches()
        status = cli.main(prog_name="pybench", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        status = 2
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        click.echo(f"pybench: {' '.join(error.format_message().split())}{hint}", err=True)
        status = 2
    except click.ClickException as error:
        click.echo(f"pybench: {error.format_message()}", err=True)
        status = 2
    except PybenchError as error:
        for note in getattr(error, "__notes__", ()):
            click.echo(note, err=True)
        click.echo(f"pybench: {error}", err=True)
        status = error.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("pybench: interrupted", err=True)
        status = 130
    sys.exit(status if isinstance(status, int) else 0)
