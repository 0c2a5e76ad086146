# SPDX-License-Identifier: Apache-2.0
"""The scaling models. A new one is a file with one class, and its line here."""

from collections.abc import Callable, Sequence

from pybench.analysis.scaling.models.amdahl import Amdahl
from pybench.analysis.scaling.models.knees import Border, KneedUsl
from pybench.analysis.scaling.models.model import Model
from pybench.analysis.scaling.models.queueing import Queueing
from pybench.analysis.scaling.models.usl import Usl

# Name -> the model, given the borders that lie within the measured thread counts; None where it has no use.
MODELS: dict[str, Callable[[Sequence[Border]], Model | None]] = {
    Amdahl.name: lambda _: Amdahl(),
    Usl.name: lambda _: Usl(),
    KneedUsl.name: lambda borders: KneedUsl(borders) if borders else None,
    Queueing.name: lambda _: Queueing(),
}
