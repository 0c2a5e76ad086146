# SPDX-License-Identifier: Apache-2.0
"""Finding 2: a hundred containers of fifty layers are 20,200 mount operations."""

from pybench.findings.claim import Claim
from pybench.findings.experiments.host_experiments import LAYERS, PASSES, Experiments
from pybench.findings.verdict import ClaimCheck, ClaimEvidence, exactly


def _look(here: Experiments) -> ClaimEvidence:
    count = here.count()
    seen = count.operations
    wanted = here.containers * PASSES * (1 + 2 * LAYERS)
    storm = f"{here.containers} containers of {LAYERS} layers, assembled twice"
    by_kernel = ClaimCheck(
        key="kernel",
        says=f"{storm}: the kernel's own tracepoints see {wanted:,} mounts, moves of mounts and unmounts",
        value=exactly(seen.kernel_operations) if seen.kernel else None,
        least=wanted,
        most=wanted,
        unit="count",
        # Without them, pybench's own count of its calls decides alone.
        decides=bool(seen.kernel),
        unknown=count.without_kernel,
    )
    own = ClaimCheck(
        key="core",
        says=f"{storm}: pybench makes {wanted:,} such calls, all succeed, and every root file system is correct",
        value=exactly(seen.core if seen.launched == here.containers else 0),
        least=wanted,
        most=wanted,
        unit="count",
    )
    notes = [
        f"1 overlay, {LAYERS} id-mapped binds and {LAYERS} unmounts, twice: {here.containers} x 2 x (1 + {LAYERS} "
        f"+ {LAYERS}) = {wanted:,}, without the later unmounts of the roots ({seen.core_clean:,} more)."
    ]
    if not seen.kernel:
        notes.append(f"There is no count by the kernel: {count.without_kernel}.")
    return ClaimEvidence(checks=[own, by_kernel], notes=notes)


CLAIM = Claim(
    number=2,
    title="20,200 mount operations for 100 containers of 50 layers",
    said="Launching 100 containers of 50 layers each takes 100 x 2 x (1 + 50 + 50) = 20,200 mount operations.",
    refuted_by="any other count of the calls of such a storm",
    looks=(("measured", _look),),
    sentences={
        "reproduced": "A real storm made {core} mount operations, as counted.",
        "not reproduced": "A real storm made {core} mount operations as counted by pybench, and {kernel} as "
        "counted by the kernel.",
        "cannot tell here": "This host cannot run the storm.",
    },
)
