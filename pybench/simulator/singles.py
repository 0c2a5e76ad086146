"""How late single transfers come, from round trips that were timed one by one."""

import numpy as np
import numpy.typing as npt

from pybench.host.topology import Topology
from pybench.native import histogram_values
from pybench.native.simulate import LATE_SHARE
from pybench.simulator.machine import Number
from pybench.simulator.measuring import REPEATS, assumed, clean, measured

TAIL = 0.99
"""Percentile of round trips that lateness is told from."""


def singles(topology: Topology) -> dict[str, Number]:
    """core.late, and core.jitter. Raises MeasurementError on a busy host."""
    first = topology.usable[0]
    other = next((cpu for cpu in topology.usable if (cpu.socket, cpu.core) != (first.socket, first.core)), None)
    if other is None:
        late = assumed(0.0, 0.0, 0.4, "this host has one core, and nothing to transfer to")
    else:
        found = []
        for one in clean("transfer", (first.number, other.number), REPEATS, method="cas", batch=1):
            distances, counts = np.array(one.phases["transfer"].histogram).reshape(-1, 2).T
            found.append(lateness(histogram_values()[np.cumsum(distances)], counts))
        how = f"measured: percentile {TAIL * 100:g} of round trips by compare-and-swap, timed one by one"
        late = measured(found, how)
    return {
        "core.jitter": assumed(0.03, 0.01, 0.08, "the clock's step and reading blur what is less than lateness"),
        "core.late": late,
    }


def lateness(ns: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> float:
    """`EngineSpec.late`, from half round trips: `counts` of each of the rising `ns`.

    Each of the two transfers is late with chance LATE_SHARE, by an exponential time with the mean asked for: the
    round trip exceeds its middle by x with chance 2 LATE_SHARE exp(-x / mean), for x beyond what is not late.
    """
    share = np.cumsum(counts) / counts.sum()
    # A clock's step may be a third of a transfer: between its values is told by how many are on each.
    upper = np.append((ns[:-1] + ns[1:]) / 2, ns[-1])
    tail = np.interp(TAIL, share, upper)
    middle = np.average(ns, weights=np.diff(np.clip(share, 0.1, 0.9), prepend=0.1))
    return float(2 * max(tail - middle, 0.0) / np.log(2 * LATE_SHARE / (1 - TAIL)) / middle)
