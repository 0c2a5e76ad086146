# SPDX-License-Identifier: Apache-2.0
"""The command line. A verb is one file in the folder of its group, found by being there.

It defines `command`, and the first line of its docstring is its short help, which is read without importing it:
`pybench --help` stays instant. Verbs parse options, call `pybench.api`, and print what `pybench.present` makes.
"""

import ast
import functools
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import click

from pybench._version import VERSION
from pybench.errors import PybenchError, UsageError
from pybench.text import printable

# Folders of verbs in the order of --help; the docstring of each is its title there.
GROUPS = ("measure", "read", "host", "model", "research")
# Verbs of earlier versions, and what to write now.
GONE = {
    "query": "pybench export --sql 'SELECT ...' FILE",
    "restore": "pybench doctor --restore",
    "machines": "pybench machine list, or pybench machine show NAME",
    "calibrate": "pybench machine calibrate",
    "locks": "pybench sweep spin --lock list",
}
# Longer lines of an error are cut: they repeat an argument or a file.
LONGEST_LINE = 1_000
SHELLS = ("bash", "zsh", "fish")


@functools.cache
def verbs() -> dict[str, dict[str, tuple[str, str]]]:
    """Return the verbs by the title of their group: name -> (module, short help)."""
    folder = Path(__file__).parent
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for group in GROUPS:
        title = _first_line(ast.parse((folder / group / "__init__.py").read_bytes()))
        found[title] = {}
        for path in sorted((folder / group).glob("[!_]*.py")):
            tree = ast.parse(path.read_bytes())
            if any(isinstance(one, ast.FunctionDef) and one.name == "command" for one in tree.body):
                name = path.stem.replace("_", "-")
                found[title][name] = (f"{__name__}.{group}.{path.stem}", _first_line(tree))
    return found


def _first_line(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").partition("\n")[0]


class VerbGroup(click.Group):
    """The verbs by group; a verb's module is imported when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for group in verbs().values() for name in group]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in GONE:
            raise click.UsageError(f"{cmd_name!r} is gone; write: {GONE[cmd_name]}")
        for group in verbs().values():
            if cmd_name in group:
                command: click.Command = importlib.import_module(group[cmd_name][0]).command
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in verbs().items():
            with formatter.section(title):
                formatter.write_dl([(name, line) for name, (_, line) in group.items()])


def _print_completion(ctx: click.Context, _: click.Parameter, shell: str | None) -> None:
    if shell is None or ctx.resilient_parsing:
        return
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "pybench", "_PYBENCH_COMPLETE").source())
    ctx.exit()


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
    cls=VerbGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(VERSION, prog_name="pybench")
@click.option(
    "--completion",
    type=click.Choice(SHELLS),
    is_eager=True,
    expose_value=False,
    callback=_print_completion,
    help='Print the completion script of a shell; in ~/.bashrc: eval "$(pybench --completion bash)".',
)
def cli() -> None:
    """Measure how a Linux host behaves when every CPU wants the same lock, and what to do about it."""


def _point_to_left_switches() -> None:
    """Print one line, whatever the verb, if a dead run left switches of the host turned; one stat if none did."""
    folder = os.environ.get("PYBENCH_STATE_DIR") or "/var/lib/pybench"
    if "--restore" not in sys.argv and os.path.exists(f"{folder}/journal.json"):  # noqa: PTH110
        from pybench.host.switches.journal import left_behind

        if line := left_behind():
            _tell(f"pybench: {line}")


class _Lasting(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # The rest in the buffers must not fail again at the end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise UsageError(f"cannot write: {error.strerror}") from None
            return memoryview(data).nbytes


def outlast() -> None:
    """Drop output to a reader that went away: a sweep piped to `head -1` goes on. UsageError: the disk is full."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A stream that a test or a program put in its place stays.
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        stream.flush()
        setattr(sys, name, _lasting(stream))


def _lasting(stream: TextIO) -> TextIO:
    assert isinstance(stream, io.TextIOWrapper)
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        # A file name that is not UTF-8 goes out as it came in.
        errors="surrogateescape" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _tell(line: str) -> None:
    """Print one line to standard error: text of files and arguments steers no terminal, and stays of a length."""
    line = printable(" ".join(line.split("\n")))
    click.echo(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}...", err=True)


def main() -> None:
    """Run the command line; report every expected failure in one line, with its exit status."""
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
        _tell(f"pybench: {' '.join(error.format_message().split())}{hint}")
        status = 2
    except click.ClickException as error:
        _tell(f"pybench: {error.format_message()}")
        status = 2
    except PybenchError as error:
        for note in getattr(error, "__notes__", ()):
            _tell(note)
        _tell(f"pybench: {error}")
        status = error.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("pybench: interrupted", err=True)
        status = 130
    sys.exit(status if isinstance(status, int) else 0)
