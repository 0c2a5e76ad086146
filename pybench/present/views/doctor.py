# SPDX-License-Identifier: Apache-2.0
"""What the doctor says, for the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pybench.host.doctor import Observation
from pybench.text import counted, format_list

ORDER = ("problem", "note", "fine")
STYLES = {"problem": "bold red", "note": "yellow", "fine": "green"}


def advice_table(found: Sequence[Observation]) -> Table:
    """A row for each thing seen, the worst first: level, topic, what was seen, what is fine, what to do."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column("level", width=7)
    table.add_column("topic", width=15)
    table.add_column("seen", ratio=1)
    for one in sorted(found, key=lambda one: ORDER.index(one.level)):
        words = Text(one.seen)
        if one.level != "fine":
            words.append(f" (fine: {one.threshold})", style="dim")
        if one.next_step:
            words.append(f"\n-> {one.next_step}")
        table.add_row(Text(one.level, style=STYLES[one.level]), one.topic, words)
    return table


def verdict(found: Sequence[Observation], cpus: Sequence[int]) -> str:
    """One line over it all."""
    spoils = [one.topic for one in found if one.level == "problem"]
    where = f"CPUs {format_list(cpus)}"
    if not spoils:
        return f"{where}: nothing here will spoil a measurement."
    return f"{where}: {counted(len(spoils), 'thing')} will spoil a measurement: {', '.join(spoils)}."
