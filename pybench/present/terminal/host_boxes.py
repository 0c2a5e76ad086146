# SPDX-License-Identifier: Apache-2.0
"""The picture of a host: its sockets as boxes, a cell for each core, and where a placement puts threads."""

import re
import textwrap
from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pybench.host.topology import Cpu, Topology
from pybench.placement import Placement, limits
from pybench.present.host_shape import size, title
from pybench.text import format_list, named, plural, printable

# Marks behind the number of a CPU in its cell.
NOT_ALLOWED, ISOLATED, TICKLESS, TURN = "!", "~", "^", "#"
# A panel's two borders and two blanks.
FRAME = 4
Core = tuple[Cpu, ...]


def picture(topology: Topology, placement: Placement | None = None, width: int = 80) -> RenderableType:
    """Return the host drawn for a terminal `width` columns wide, with the CPUs of a placement marked."""
    turns = {number: turn for turn, number in enumerate(placement.cpus if placement else (), start=1)}
    parts = [_text(title(topology), width, style="bold")]
    for socket, cpus in topology.sockets.items():
        parts.append(_socket(topology, socket, cpus, turns, width))
    parts += [_text(line, width, style="dim") for line in _legend(topology, placement)]
    parts += [_text(line, width) for line in _unboxed(topology)]
    if len(topology.nodes) > 1 and any(node.distances for node in topology.nodes):
        parts += ["", _distances(topology, width)]
    if placement:
        parts += ["", *(Text(line) for line in placement_lines(topology, placement, width))]
    lacking = [line for line in topology.missing if line not in topology.caveats]
    if lacking:
        parts += ["", *(_text(f"Not known: {line}", width, style="yellow") for line in lacking)]
    if topology.caveats:
        parts += ["", *(_text(f"Caveat: {line}", width, style="yellow") for line in topology.caveats)]
    return Group(*parts)


def _text(text: str, width: int, style: str = "") -> RenderableType:
    return Text("\n".join(textwrap.wrap(printable(text), width, subsequent_indent="  ")), style=style)


def _unboxed(topology: Topology) -> list[str]:
    """Return what no box shows: nodes without CPUs, CPUs that are offline."""
    lines = []
    for node in topology.nodes:
        if not node.cpus and node.lists_cpus:
            only = "Neither CPU nor memory" if node.memory_bytes == 0 else "Memory only, no CPU"
            lines.append(f"{only}: {_node_name(topology, node.number)}")
    offline = [cpu.number for cpu in topology.cpus if not cpu.online]
    if offline:
        lines.append(f"Offline: {named('CPU', offline)}")
    if topology.smt_control in ("off", "forceoff"):
        lines.append(f"SMT is switched {topology.smt_control} in the kernel")
    return lines


def _node_name(topology: Topology, number: int) -> str:
    node = topology.node(number)
    memory = "" if node is None or node.memory_bytes is None else f" ({size(node.memory_bytes)})"
    return f"node {number}{memory}"


def _l3_name(topology: Topology, l3s: Iterable[int | None]) -> str:
    """Return one L3 by its number and size, several by their count; nothing when none is known."""
    known = sorted({l3 for l3 in l3s if l3 is not None})
    sizes = {topology.l3_bytes[l3] for l3 in known if l3 < len(topology.l3_bytes)}
    each = sizes.pop() if len(sizes) == 1 else None
    if len(known) == 1:
        return f"L3 {known[0]}" + (f" ({size(each)})" if each else "")
    return f"{len(known)} L3" + (f" of {size(each)}" if each else "") if known else ""


def _socket(topology: Topology, socket: int, cpus: Core, turns: Mapping[int, int], width: int) -> RenderableType:
    """Return one socket as a box: a line for each node that needs one, and rows of cores."""
    cores = _cores_in_order(cpus)
    nodes = {core[0].node for core in cores}
    heading = [_socket_name(socket, cpus), plural(len(cores), "core")]
    if len(nodes) == 1:
        heading += [_node_name(topology, node) for node in nodes if node is not None]
    heading.append(_l3_name(topology, {core[0].l3 for core in cores}))
    cells = {core: _cell(core, turns) for core in cores}
    columns = max(len(cell) for cell in cells.values())
    lines: list[Text] = []
    for node in sorted(nodes, key=lambda known: -1 if known is None else known):
        here = [core for core in cores if core[0].node == node]
        if len(nodes) > 1:
            names = ["node unknown" if node is None else _node_name(topology, node)]
            l3s = {core[0].l3 for core in here}
            if len(l3s) == 1 and len({core[0].l3 for core in cores}) > 1:
                names.append(_l3_name(topology, l3s))
            lines.append(Text(", ".join(filter(None, names)), style="bold"))
        lines += _node_lines(here, cells, columns, width - FRAME)
    return Panel(
        Group(*lines),
        title=Text(", ".join(filter(None, heading)), style="not dim"),
        title_align="left",
        width=width,
        border_style="dim",
    )


def _socket_name(socket: int, cpus: Core) -> str:
    return f"socket {socket}" if any(cpu.socket is not None for cpu in cpus) else "sockets unknown"


def _cores_in_order(cpus: Core) -> list[Core]:
    cores: dict[int | None, Core] = {}
    for cpu in cpus:
        cores[cpu.core] = (*cores.get(cpu.core, ()), cpu)
    last = 1 << 30
    return sorted(cores.values(), key=lambda core: (last if core[0].l3 is None else core[0].l3, core[0].core or 0))


def _node_lines(cores: list[Core], cells: Mapping[Core, Text], columns: int, width: int) -> list[Text]:
    """Return the rows of one node's cores, a group for each L3 and each type of core, labelled if several."""
    groups: dict[tuple[int | None, str | None], list[Core]] = {}
    for core in cores:
        groups.setdefault((core[0].l3, core[0].core_type), []).append(core)
    labels = dict(zip(groups, _labels(list(groups)), strict=True))
    margin = max(len(label) for label in labels.values())
    margin += 2 if margin else 0
    fitting = max(1, (width - margin + 1) // (columns + 1))
    longest = max(len(group) for group in groups.values())
    each = -(-longest // -(-longest // fitting))  # rows of equal length
    blocks = []
    for key, group in groups.items():
        for start in range(0, len(group), each):
            block = Text(printable(labels[key] if start == 0 else "").ljust(margin))
            for core in group[start : start + each]:
                block.append_text(cells[core])
                block.append(" " * (columns + 1 - len(cells[core])))
            blocks.append(block)
    # Short groups stand side by side; a group of several rows is wider than half and never does.
    block_width = margin + each * (columns + 1)
    abreast = max(1, (width + 2) // (block_width + 1))
    lines = []
    for start in range(0, len(blocks), abreast):
        line = Text(no_wrap=True)
        for block in blocks[start : start + abreast]:
            line.append_text(block)
            line.append(" " * (block_width + 1 - len(block)))
        line.rstrip()
        lines.append(line)
    return lines


def _labels(keys: list[tuple[int | None, str | None]]) -> list[str]:
    several = len({l3 for l3, _ in keys}) > 1
    typed = any(kind for _, kind in keys)
    labels = []
    for l3, kind in keys:
        name = ("no L3" if l3 is None else f"L3 {l3}") if several else ""
        labels.append(" ".join(filter(None, [name, (kind or "other") if typed else ""])))
    return labels


def _mark(cpu: Cpu) -> str:
    marks = ((NOT_ALLOWED, not cpu.allowed), (ISOLATED, cpu.isolated), (TICKLESS, cpu.nohz_full))
    return "".join(mark for mark, applies in marks if applies)


def _cell(core: Core, turns: Mapping[int, int]) -> Text:
    """Return a core as its CPU numbers, `0+48`, each with its marks and its place in the order."""
    numbers = [cpu.number for cpu in core]
    marks = {_mark(cpu) for cpu in core}
    run = format_list(numbers)
    if len(core) > 2 and len(marks) == 1 and run.count("-") == 1 and "," not in run and not turns:
        return Text(run + marks.pop(), style=_style(core[0], turns))
    cell = Text()
    for cpu in core:
        turn = f"{TURN}{turns[cpu.number]}" if cpu.number in turns else ""
        cell.append("+" if cell else "")
        cell.append(f"{cpu.number}{_mark(cpu)}{turn}", style=_style(cpu, turns))
    return cell


def _style(cpu: Cpu, turns: Mapping[int, int]) -> str:
    if cpu.number in turns:
        return "bold green"
    if turns or not cpu.allowed:
        return "dim"
    return "yellow" if cpu.isolated else ""


def _legend(topology: Topology, placement: Placement | None) -> list[str]:
    """Explain the marks that occur."""
    online = topology.online
    threads = topology.threads_per_core
    sign = "-" if threads > 2 and not placement else "+"
    joined = f" (a{sign}b: its SMT siblings)" if threads > 1 else ""
    lines = [f"One cell is one core, with its CPU numbers{joined}."]
    if placement:
        lines.append(f"{TURN}1, {TURN}2, ...: the order in which the placement puts threads on CPUs")
    if any(not cpu.allowed for cpu in online):
        lines.append(f"{NOT_ALLOWED}: not allowed, {limits(topology)}")
    if any(cpu.isolated for cpu in online):
        lines.append(f"{ISOLATED}: isolated from the scheduler (isolcpus)")
    if any(cpu.nohz_full for cpu in online):
        lines.append(f"{TICKLESS}: runs without the timer tick (nohz_full)")
    return lines


def _distances(topology: Topology, width: int) -> RenderableType:
    nodes = [node for node in topology.nodes if node.distances]
    digits = max((len(str(distance)) for node in nodes for distance in node.distances), default=2)
    if len("NUMA distances") + len(topology.nodes) * (digits + 2) > width:
        return Text(f"NUMA distances between {len(topology.nodes)} nodes: too wide for this terminal; see --json")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column("NUMA distances")
    for node in topology.nodes:
        table.add_column(str(node.number), justify="right", no_wrap=True)
    for node in nodes:
        table.add_row(f"node {node.number}", *(str(distance) for distance in node.distances))
    return table


def placement_lines(topology: Topology, placement: Placement, width: int = 80) -> list[str]:
    """Return a placement as text: its words, the CPUs in order, and where filling crosses a border."""
    lines = textwrap.wrap(placement.describe(topology), width, subsequent_indent="  ")
    # Broken after commas only, so that the list can be copied.
    rows = re.findall(rf".{{1,{max(1, width - 8)}}}(?:,|$)", format_list(placement.cpus))
    lines += [("order: " if index == 0 else " " * 7) + row for index, row in enumerate(rows)]
    after: dict[str, list[str]] = {}
    for count, kind in placement.borders(topology):
        after.setdefault(kind, []).append(str(count))
    if after:
        words = "; ".join(f"{kind} after {', '.join(counts)}" for kind, counts in after.items())
        lines += textwrap.wrap(f"borders, in threads: {words}", width, subsequent_indent=" " * 9)
    return lines
