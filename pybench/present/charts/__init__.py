# SPDX-License-Identifier: Apache-2.0
"""Charts of result files, made with Vega-Altair and found by being here.

A chart is a function in a module of this folder that registers itself with its short name, its title, and the
section of the report that shows it::

    @chart("fairness", title="Fairness over threads", section="fairness")
    def fairness(files: Sequence[Loaded]) -> Chart: ...

It takes loaded files and returns an Altair chart; ValueError if the files hold nothing to draw. `draw("fairness",
files)` is the way to it from outside.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import cast

import altair as alt
import msgspec

from pybench.present.document import ChartReference
from pybench.present.labels import chart_title
from pybench.present.loaded import Loaded, load
from pybench.results.store import Results

Chart = alt.LayerChart | alt.Chart
Source = Sequence[Results] | Sequence[Loaded]
# Of the words that say simulated: legible on both pages.
MARK = "#c2410c"


class ChartKind(msgspec.Struct, frozen=True, kw_only=True):
    """A registered chart."""

    name: str
    title: str
    section: str
    """The section of a report that shows it; `` for none."""
    note: str
    draw: Callable[[Sequence[Loaded]], Chart]


_KINDS: dict[str, ChartKind] = {}


def chart(
    name: str, *, title: str, section: str, note: str = ""
) -> Callable[[Callable[[Sequence[Loaded]], Chart]], Callable[[Source], Chart]]:
    """Register a chart. It then takes results or loaded files, and names simulated files in its title."""

    def register(make: Callable[[Sequence[Loaded]], Chart]) -> Callable[[Source], Chart]:
        @functools.wraps(make)
        def made(source: Source) -> Chart:
            return marked(make, loaded(source))

        _KINDS[name] = ChartKind(name=name, title=title, section=section, note=note, draw=made)
        return made

    return register


def marked(make: Callable[[Sequence[Loaded]], Chart], files: Sequence[Loaded]) -> Chart:
    """Return a chart that names simulated files in its title."""
    made = make(files)
    if words := chart_title([one.results.header for one in files]):
        made.title = alt.TitleParams(text=words, anchor="start", color=MARK)
        made.description = f"{words}. {made.description}"
    return made


def loaded(source: Source) -> list[Loaded]:
    """Return files that were read, loaded; and loaded files as they are."""
    if all(isinstance(one, Loaded) for one in source):
        return list(cast(Sequence[Loaded], source))
    return load(cast(Sequence[Results], source))


def kinds() -> dict[str, ChartKind]:
    """Return every chart of this folder by its short name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _KINDS


def draw(name: str, source: Source) -> Chart:
    """Return the chart of that name. KeyError for another name; ValueError if there is nothing to draw."""
    return kinds()[name].draw(loaded(source))


class DrawnChart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart with its words. In a document its `reference` stands where it is shown."""

    id: str
    title: str
    chart: Chart
    note: str = ""

    @property
    def reference(self) -> ChartReference:
        """Return what stands in a document for the chart."""
        return ChartReference(self.id, self.title, self.note)


def drawn(name: str, title: str, make: Callable[[], Chart], note: str = "") -> list[DrawnChart]:
    """Return a chart under that id, or nothing where there is nothing to draw."""
    try:
        return [DrawnChart(id=name, title=title, chart=make(), note=note)]
    except ValueError:
        return []
