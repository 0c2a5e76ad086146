# SPDX-License-Identifier: Apache-2.0
"""transfer: two threads pass one cache line back and forth; the lower bound of a handoff."""

from pybench.workloads.definition import Parameter, Params, Workload

METHODS = {
    "cas": "both compare-and-swap one word, and wait by trying",
    "store": "both load one word until it is their turn, then store to it",
    "lines": "each stores to a line of its own that the other watches, as queue locks hand over",
}


def _conflict(params: Params, threads: int) -> str | None:
    return None if threads == 2 else "a line is passed between 2 threads"


WORKLOAD = Workload(
    name="transfer",
    summary="two threads pass a cache line back and forth",
    operation="one-way transfers",
    latency="transfer",
    parameters=(
        Parameter(
            name="method",
            default="cas",
            choices=tuple(METHODS),
            help="; ".join(f"{name}: {description}" for name, description in METHODS.items()),
        ),
        Parameter(
            name="batch",
            default=500,
            low=1,
            high=1_000_000,
            quiet=True,
            help="round trips between two readings of the clock; 1 shows how single ones differ",
        ),
    ),
    conflict=_conflict,
)
