# SPDX-License-Identifier: Apache-2.0
"""Finding 2: a hundred containers of fifty layers are 20,200 mount operations."""

from pybench.findings.claim import Check, Claim, Evidence, exactly
from pybench.findings.lab import LAYERS, PASSES, Lab


def _look(lab: Lab) -> Evidence:
    count = lab.count()
    seen = count.operations
    wanted = lab.containers * PASSES * (1 + 2 * LAYERS)
    storm = f"{lab.containers} containers of {LAYERS} layers, assembled twice"
    by_kernel = Check(
        key="kernel",
        says=f"{storm}: the kernel's own tracepoints see {wanted:,} mounts, moves of mounts and unmounts",
        value=exactly(seen.kernel_operations) if seen.kernel else None,
        least=wanted,
        most=wanted,
        unit="count",
        # Without them, pybench's own count of the calls that it made stands alone.
        decides=bool(seen.kernel),
        unknown=count.without_kernel,
    )
    own = Check(
        key="core",
        says=f"{storm}: pybench makes {wanted:,} such calls, each of which succeeds, and every root is right",
        value=exactly(seen.core if seen.launched == lab.containers else 0),
        least=wanted,
        most=wanted,
        unit="count",
    )
    notes = [
        f"1 overlay, {LAYERS} id-mapped binds and {LAYERS} unmounts, twice: {lab.containers} x 2 x (1 + {LAYERS} "
        f"+ {LAYERS}) = {wanted:,}. Taking the roots down afterwards is not in it ({seen.core_clean:,} more)."
    ]
    if not seen.kernel:
        notes.append(f"The kernel's own count is left out: {count.without_kernel}.")
    return Evidence(checks=[own, by_kernel], notes=notes)


CLAIM = Claim(
    number=2,
    title="20,200 mount operations for 100 containers of 50 layers",
    said="Launching 100 containers of 50 layers each takes 100 x 2 x (1 + 50 + 50) = 20,200 mount operations.",
    refuted_by="a count of the calls of one such storm that is any other number",
    looks=(("measured", _look),),
    sentences={
        "reproduced": "Counted, not computed: a real storm made {core} mount operations.",
        "not reproduced": "A real storm made {core} mount operations by pybench's count and {kernel} by the "
        "kernel's.",
        "cannot tell here": "No storm could be launched here.",
    },
)
