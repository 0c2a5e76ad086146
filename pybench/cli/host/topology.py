# SPDX-License-Identifier: Apache-2.0
"""Show this host's sockets, nodes, caches and cores; try placements."""

from pathlib import Path

import click
import msgspec

from pybench.host.capture import capture, open_sysroot
from pybench.host.topology import topology_of
from pybench.placement import parse_placements, place
from pybench.present.document import Document, HostPicture
from pybench.present.terminal.output import show


@click.command(name="topology")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option(
    "--sysroot",
    type=click.Path(path_type=Path),
    default=Path("/"),
    metavar="DIR|FILE",
    help="Read another host: a folder with its sys and proc, or a file from --capture.",
)
@click.option(
    "--capture",
    "target",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what describes the host to FILE, a new .tar.gz.",
)
@click.option(
    "--place",
    "placements",
    metavar="TEXT",
    help="Show where placements put threads, e.g. 'single-socket,dual-socket smt:off'.",
)
@click.option("--smt", type=click.Choice(["on", "off"]), help="Use SMT siblings in --place, or one per core.")
def command(as_json: bool, sysroot: Path, target: Path | None, placements: str | None, smt: str | None) -> None:
    """Show this host's sockets, NUMA nodes, L3 caches and cores; try placements.

    \b
    A placement is one choice of CPUs
      all  single-socket  dual-socket  socket:LIST  node:LIST  l3:LIST
      core:LIST  or a CPU list such as 0-7,16
    and optional words after a space
      compact | scatter | siblings-first    the order CPUs are filled in
      smt:on | smt:off                      all siblings, or one per core
      mem:local | mem:node:LIST | mem:interleave
    """
    if smt and placements is None:
        raise click.UsageError("--smt says how --place picks CPUs; give --place as well")
    with open_sysroot(sysroot) as tree:
        topology = topology_of(tree)
        texts = [] if placements is None else parse_placements(placements)
        placed = [place(topology, text, smt) for text in texts]
        if target:
            count = capture(target, tree.root)
            click.echo(f"{target}: {count} files; read it anywhere with --sysroot {target}", err=True)
    if as_json:
        shown = [
            {
                **msgspec.to_builtins(each),
                "description": each.describe(topology),
                "borders": each.borders(topology),
            }
            for each in placed
        ]
        document = topology.to_dict() | ({"placements": shown} if placed else {})
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=1))
        return
    show(Document([HostPicture(topology, each) for each in placed] or [HostPicture(topology)]))
