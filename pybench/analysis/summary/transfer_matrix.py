# SPDX-License-Identifier: Apache-2.0
"""The matrix of line transfers: by CPU, by core, or by groups of adjacent cores."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import groupby

import msgspec
import numpy as np
from numpy.typing import NDArray

from pybench.host.topology import Cpu, Topology
from pybench.results.latency_summary import PairLatency


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """The rows and columns of a matrix: groups of adjacent CPUs."""

    groups: tuple[tuple[int, ...], ...]
    of: str
    """The kind of group: `CPU`, `core`, `group of up to 4 cores`, `L3 domain`."""
    sockets: tuple[int, ...]
    """The socket of each group's first CPU."""

    @property
    def names(self) -> list[str]:
        """Return the first CPU of each group."""
        return [str(group[0]) for group in self.groups]


def _near(cpu: Cpu) -> tuple[int, int, int, int]:
    """Return a key that sorts adjacent CPUs side by side; unknown places come last."""
    last = 1 << 30
    l3, core = (last if known is None else known for known in (cpu.l3, cpu.core))
    return cpu.socket or 0, l3, core, cpu.number


def _split(units: Iterable[list[Cpu]], key: Callable[[Cpu], Hashable], size: int) -> list[list[Cpu]]:
    """Merge up to `size` adjacent units, none across a border of `key` of their first CPUs."""
    merged = []
    for _, inside in groupby(units, key=lambda unit: key(unit[0])):
        run = list(inside)
        merged += [
            [cpu for unit in run[start : start + size] for cpu in unit] for start in range(0, len(run), size)
        ]
    return merged


def axis(topology: Topology, cpus: Sequence[int], most: int) -> Axis:
    """Return the finest grouping of CPUs into at most `most` groups (1 or more), adjacent ones side by side.

    It is of CPUs, else cores, else equal groups of cores within an L3 domain, up to whole domains, else within a
    socket, else of any CPUs.
    """
    known = topology.by_number()
    ordered = sorted((known[number] for number in cpus), key=_near)
    single = [[cpu] for cpu in ordered]
    cores = [list(inside) for _, inside in groupby(ordered, key=_core_of)]
    size = -(-len(ordered) // most)
    anyhow = [ordered[start : start + size] for start in range(0, len(ordered), size)], "group of CPUs"
    units, of = next((one for one in _candidates(single, cores) if len(one[0]) <= most), anyhow)
    return Axis(
        groups=tuple(tuple(cpu.number for cpu in unit) for unit in units),
        of=of,
        sockets=tuple(unit[0].socket or 0 for unit in units),
    )


def _candidates(single: list[list[Cpu]], cores: list[list[Cpu]]) -> Iterable[tuple[list[list[Cpu]], str]]:
    yield single, "CPU"
    if len(cores) < len(single):
        yield cores, "core"
    for key, whole in ((_l3_of, "L3 domain"), (_socket_of, "socket")):
        longest = max(len(list(inside)) for _, inside in groupby(cores, key=lambda unit: key(unit[0])))
        for size in [size for size in range(2, longest) if longest % size == 0]:
            yield _split(cores, key, size), f"group of up to {size} cores"
        yield _split(cores, key, longest), whole


def _core_of(cpu: Cpu) -> Hashable:
    return ("CPU", cpu.number) if cpu.core is None else cpu.core


def _l3_of(cpu: Cpu) -> Hashable:
    return cpu.socket or 0, cpu.l3


def _socket_of(cpu: Cpu) -> Hashable:
    return cpu.socket or 0


def finest(pairs: int) -> int:
    """Return the number of groups that this many sampled pairs can fill, about two pairs per cell."""
    return max(2, math.isqrt(pairs))


def matrix(rows: Axis, figures: Iterable[PairLatency]) -> NDArray[np.float64]:
    """Return the transfer times between groups, (groups, groups) in ns, symmetric; NaN without a valid pair.

    Each is the median over the pairs between two groups, or inside one group on the diagonal.
    """
    place = {cpu: index for index, group in enumerate(rows.groups) for cpu in group}
    cells: dict[tuple[int, int], list[float]] = {}
    for figure in figures:
        a, b = sorted((place[figure.cpus[0]], place[figure.cpus[1]]))
        if not math.isnan(figure.transfer_ns.value):
            cells.setdefault((a, b), []).append(figure.transfer_ns.value)
    size = len(rows.groups)
    result = np.full((size, size), np.nan)
    for (a, b), values in cells.items():
        # The lower of two middle values is a measured one; a mean would mix siblings with other pairs.
        result[a, b] = result[b, a] = sorted(values)[(len(values) - 1) // 2]
    return result
