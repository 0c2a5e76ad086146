# SPDX-License-Identifier: Apache-2.0
"""The number of thread counts that models need; a module of its own, so that a sweep need not load the models."""

LEAST_LEVELS = 3
"""Thread counts that any model needs."""
LEVELS_TO_COMPARE = 4
"""Thread counts from which there are two models to compare."""


def too_few(levels: int) -> str:
    """Return what a curve of ``levels`` thread counts lacks."""
    return (
        f"{levels} thread count{'s' * (levels != 1)}: a model needs 3 (Amdahl's law) to 5 (a knee), and ranking "
        "them 5 to 7; measure more (--threads)"
    )
