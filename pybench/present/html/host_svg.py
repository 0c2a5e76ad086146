# SPDX-License-Identifier: Apache-2.0
"""Hosts as pictures for a page: sockets, nodes, L3 domains, cores and siblings, and a placement on them."""

from collections.abc import Mapping, Sequence

import msgspec
from markupsafe import Markup, escape

from pybench.host.topology import Cpu, Topology
from pybench.present.document import HostPicture
from pybench.present.host_shape import title
from pybench.results.records import Cell

CELL, GAP, PAD, HEAD = 22, 3, 8, 16
# A picture of few CPUs is narrow, so that they are not specks on a page.
WIDE, NARROW, FEW = 640, 320, 16
# More pictures would fill the first screen.
MOST_PLACEMENTS = 8


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A placement on the host."""

    label: str
    svg: Markup
    words: str


def placement_pictures(topology: Topology, cells: Sequence[Cell]) -> list[Picture]:
    """Return a picture for each placement and SMT setting of the cells, with the cell of the most threads."""
    largest: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        key = (cell.place, cell.smt)
        if key not in largest or cell.threads > largest[key].threads:
            largest[key] = cell
    known = topology.by_number()
    found = []
    for (place, smt), cell in list(largest.items())[:MOST_PLACEMENTS]:
        turns: dict[int, int] = {}
        for turn, cpu in enumerate(cell.cpus[: cell.threads], 1):
            turns.setdefault(cpu, turn)
        turns = {cpu: turn for cpu, turn in turns.items() if cpu in known}
        sockets = {known[cpu].socket or 0 for cpu in turns}
        label = place if smt == "on" or "smt:" in place else f"{place} smt={smt}"
        words = (
            f"{label}: up to {cell.threads} thread{'s' * (cell.threads != 1)} on {len(turns)} of "
            f"{len(topology.online)} CPUs, {len(sockets)} socket{'s' * (len(sockets) != 1)}"
        )
        found.append(Picture(label=label, svg=draw(topology, turns, f"{title(topology)}. {words}"), words=words))
    return found


def host_picture(picture: HostPicture) -> Markup:
    """Return the SVG of a document's host picture."""
    cpus = picture.placement.cpus if picture.placement else ()
    return draw(picture.topology, {cpu: turn for turn, cpu in enumerate(cpus, 1)}, title(picture.topology))


def draw(topology: Topology, turns: Mapping[int, int], description: str) -> Markup:
    """Return the SVG: a box per socket, in it one per node and per L3, a cell per core with a part per sibling.

    `turns` maps the CPUs of a placement to the order in which it puts threads there. All text is escaped.
    """
    last = 1 << 30
    boxes: list[str] = []
    y = 0
    wide = NARROW if len(topology.online) <= FEW else WIDE
    for socket, cpus in topology.sockets.items():
        cores: dict[object, list[Cpu]] = {}
        for cpu in cpus:
            cores.setdefault(("CPU", cpu.number) if cpu.core is None else cpu.core, []).append(cpu)
        groups: dict[tuple[int, int], list[list[Cpu]]] = {}
        for core in cores.values():
            node, l3 = (last if known is None else known for known in (core[0].node, core[0].l3))
            groups.setdefault((node, l3), []).append(core)
        many_nodes = len({node for node, _ in groups}) > 1
        many_l3 = len({l3 for _, l3 in groups}) > 1
        inner, height = _groups(groups, turns, many_nodes, many_l3, wide - 2 * PAD)
        name = f"socket {socket}" if topology.sockets_known else "sockets unknown"
        nodes = sorted({node for node, _ in groups if node != last})
        if nodes and not many_nodes:
            name += f", node {nodes[0]}"
        name += f", {len(cores)} core{'s' * (len(cores) != 1)}"
        boxes.append(
            f'<g transform="translate(0 {y})"><rect class="socket" x="1" y="1" width="{wide - 2}" '
            f'height="{height + HEAD + PAD}" rx="6"/><text class="name" x="{PAD + 2}" y="{HEAD - 1}">'
            f'{escape(name)}</text><g transform="translate({PAD} {HEAD + 4})">{inner}</g></g>'
        )
        y += height + HEAD + PAD + 10
    return Markup(
        f'<svg class="machine{" few" if wide == NARROW else ""}" role="img" viewBox="0 0 {wide} {max(y - 6, 20)}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(description)}</title>{"".join(boxes)}</svg>'
    )


def _groups(
    groups: Mapping[tuple[int, int], list[list[Cpu]]],
    turns: Mapping[int, int],
    many_nodes: bool,
    many_l3: bool,
    room: int,
) -> tuple[str, int]:
    """Return the boxes of nodes and L3 domains inside a socket, in rows, and their height."""
    last = 1 << 30
    named = many_nodes or many_l3
    parts, x, y, row = [], 0, 0, 0
    for (node, l3), cores in sorted(groups.items()):
        siblings = max(len(core) for core in cores)
        step = CELL * siblings + GAP + 2
        longest = max(1, (room - 12) // step)
        across = (
            len(cores) if not named and len(cores) <= longest else min(longest, _even(len(cores), longest, named))
        )
        rows = -(-len(cores) // across)
        width, height = across * step + 8, rows * (CELL + GAP + 2) + (HEAD if named else 4)
        words = [f"node {node}"] if many_nodes and node != last else []
        words += [f"L3 {l3}"] if many_l3 and l3 != last else []
        width = max(width, 6 * len(", ".join(words)) + 14)
        if x and x + width > room:
            x, y, row = 0, y + row + 6, 0
        inner = "".join(
            _core(core, turns, 5 + (i % across) * step, (HEAD if named else 3) + (i // across) * (CELL + GAP + 2))
            for i, core in enumerate(cores)
        )
        frame = f'<rect class="l3" width="{width}" height="{height}" rx="4"/>' if named else ""
        label = f'<text class="small" x="6" y="12">{escape(", ".join(words))}</text>' if words else ""
        parts.append(f'<g transform="translate({x} {y})">{frame}{label}{inner}</g>')
        x, row = x + width + 6, max(row, height)
    return "".join(parts), y + row


def _even(cores: int, longest: int, named: bool) -> int:
    """Return how many cores stand in a row: as many as fit, in equal rows; small domains are nearly square."""
    if named and cores <= 16:
        return min(cores, 4 if cores > 4 else cores)
    return -(-cores // -(-cores // longest))


def _core(core: Sequence[Cpu], turns: Mapping[int, int], x: int, y: int) -> str:
    parts = [
        f'<rect class="core" x="{x - 1}" y="{y - 1}" width="{CELL * len(core) + 2}" height="{CELL + 2}" rx="3"/>'
    ]
    most = max(turns.values(), default=1)
    for place, cpu in enumerate(sorted(core, key=lambda one: (one.smt or 0, one.number))):
        left = x + place * CELL
        turn = turns.get(cpu.number)
        state = "used" if turn else "idle" if cpu.allowed else "barred"
        said = f"CPU {cpu.number}" + (f": thread {turn}" if turn else "" if cpu.allowed else ": not allowed")
        # Earlier threads are darker, which shows the order of filling.
        shade = f' fill-opacity="{1 - 0.55 * (turn - 1) / max(most - 1, 1):.2f}"' if turn else ""
        parts.append(
            f'<g><title>{escape(said)}</title><rect class="{state}" x="{left + 0.5}" y="{y + 0.5}" '
            f'width="{CELL - 1}" height="{CELL - 1}" rx="2"{shade}/>'
            f'<text class="cpu {state}" x="{left + CELL / 2}" '
            f'y="{y + 15}">{cpu.number}</text></g>'
        )
    return "".join(parts)
