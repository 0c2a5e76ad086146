# SPDX-License-Identifier: Apache-2.0
"""The progress of a run on a terminal."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pybench.present.terminal.output import make_console
from pybench.run.loop import Observer


class Bar(Observer):
    """A bar on a terminal, under lines about the run; only the lines elsewhere.

    The bar moves between trials, as Python must not run during one. A simulation lets it move by itself
    (`auto_refresh`).
    """

    def __init__(
        self,
        word: str,
        lines: Callable[[Any], list[str]],
        *,
        auto_refresh: bool = False,
        every_s: float = 0.0,
    ) -> None:
        """Draw a bar called `word` at most once per `every_s`; `lines` are printed of the header."""
        self.console = make_console(stderr=True)
        self._lines = lines
        self._every_s = every_s
        self._shown = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            auto_refresh=auto_refresh,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(word, total=1.0)

    def begin(self, header: Any, path: Path | None, done: int) -> None:
        """Print the lines about the run, and start the bar."""
        for line in [f"{path}: {done} trials are there, going on"] if done else self._lines(header):
            click.echo(line, err=True)
        self._bar.start()

    def trial(self, trial: Any, progress: Callable[[], float]) -> None:
        """Move the bar."""
        if not self._bar.disable and time.monotonic() - self._shown >= self._every_s:
            self._bar.update(self._task, completed=progress())
            self._bar.refresh()
            self._shown = time.monotonic()

    def end(self) -> None:
        """Take the bar away."""
        self._bar.stop()
