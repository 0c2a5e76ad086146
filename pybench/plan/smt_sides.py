# SPDX-License-Identifier: Apache-2.0
"""The sides of `pybench compare-smt`: one thread per core, and all its SMT siblings."""

from collections import Counter

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Topology
from pybench.placement import FILLS, SHORTHANDS, limits, place
from pybench.plan.request import KERNEL_OFF
from pybench.plan.sides import SIMULATE, Sides, core_counts


def smt_sides(topology: Topology, words: str | None = None, *, kernel: bool = False) -> Sides:
    """Compare one thread per core with all its siblings, on the first socket unless `words` place it elsewhere.

    With `kernel`, SMT is turned off for the first side by the kernel's switch; without, siblings stay idle. Raises
    UnsupportedError where no core has siblings that can be used, UsageError for a placement that does not fit.
    """
    if not topology.usable:
        raise UsageError(f"no CPU can be used: {limits(topology)}")
    which = words or f"socket:{topology.usable[0].socket or 0}"
    if which.split()[0] in SHORTHANDS or set(which.split()) & set(FILLS):
        raise UsageError(f"--place {which!r}: this fills cores one by one itself; choose CPUs by socket:0 or all")
    packed = f"{which} siblings-first"
    cpus = place(topology, packed, "on").cpus
    cores = Counter(topology.by_number()[cpu].core for cpu in cpus)
    factor = max(cores.values())
    if factor < 2:
        control = topology.smt_control
        off = control in ("off", "forceoff")
        why = f"SMT is switched {control} in the kernel" if off else "no core here has SMT siblings to use"
        raise UnsupportedError("nothing to compare", reason=why, fix=SIMULATE)
    full = [core for core, siblings in cores.items() if siblings == factor]
    if len(full) < len(cores):
        raise UsageError(
            f"--place {which!r}: some of its cores have fewer than {factor} siblings to use; choose cores that "
            "have all of them (pybench topology)"
        )
    return Sides(
        kind="smt",
        one=(packed, KERNEL_OFF if kernel else "off"),
        more=(packed, "on"),
        factor=factor,
        counts=core_counts(len(cores)),
    )
