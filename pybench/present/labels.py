# SPDX-License-Identifier: Apache-2.0
"""Words of a label, with those that `results.cells` has."""

from pybench.results.cells import settings, varying

__all__ = ["settings", "threads_word", "varying"]


def threads_word(threads: int) -> str:
    """Return `1 thread`, `2 threads`."""
    return f"{threads} thread{'' if threads == 1 else 's'}"
