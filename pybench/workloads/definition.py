# SPDX-License-Identifier: Apache-2.0
"""The definition of a workload: its parameters, its limits, and how its results are read."""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from pybench.errors import UsageError

Value = int | str
Params = Mapping[str, Value]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. A number has bounds; a word has choices or a pattern."""

    name: str
    default: Value
    help: str
    low: int = 0
    high: int = 2**62
    choices: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    """Allowed words, or a function that returns them where they are not known before the core is loaded."""
    pattern: str = ""
    shape: str = ""
    """How a value is written, where the choices do not show it: `sync|detach|batch:N`."""
    quiet: bool = False
    """Tables omit it while it is at its default."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """Return the allowed words. May load the core."""
        return self.choices() if callable(self.choices) else self.choices

    @property
    def metavar(self) -> str:
        """Return how a value is written, for --help and messages."""
        return self.shape or "|".join(self.allowed) or "N"

    def parse(self, text: str) -> Value:
        """Return the value of a text. Raises UsageError naming what is allowed."""
        if isinstance(self.default, str):
            known = text in self.allowed or bool(self.pattern and re.fullmatch(self.pattern, text))
            if "\0" in text:
                raise UsageError(f"{self.name} contains a NUL character", fix="leave it out")
            if not known:
                allowed = self.metavar if self.pattern else "|".join(self.allowed)
                raise UsageError(f"{self.name}={text!r} is not known; choose from {allowed}")
            return text
        if not re.fullmatch(r"\d{1,19}", text) or not self.low <= int(text) <= self.high:
            bound = f"{self.low} to {self.high}" if self.high < 2**62 else f"{self.low} or more"
            raise UsageError(f"{self.name}={text!r} must be a whole number, {bound}")
        return int(text)


class Bystander(msgspec.Struct, frozen=True, kw_only=True):
    """A role that runs next to the workload's own threads, by the parameters for its number and placement."""

    count: str
    place: str


class SimulationTraits(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a workload that the simulator models."""

    model: Literal["lock", "launch"]
    fixed: tuple[str, ...]
    """Parameters that the model lacks: they must stay at their defaults."""
    refusal: Callable[[Params], str | None] = lambda _: None
    """Return why these parameters are not modelled, or None."""


def _no_conflict(params: Params, threads: int) -> str | None:
    """Accept all parameters."""
    return None


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A workload of the core: its parameters, and what its results mean."""

    name: str
    summary: str
    operation: str
    """What is counted, in the plural: `mounts`."""
    latency: str
    """The phase whose percentiles stand in tables."""
    parameters: tuple[Parameter, ...]
    conflict: Callable[[Params, int], str | None] = _no_conflict
    """Return why these parameters cannot go together with this number of threads, or None."""
    host_conflict: Callable[[Params, int], str | None] = _no_conflict
    """The same for the limits of this host, which say nothing about a simulated machine."""
    bystanders: tuple[Bystander, ...] = ()
    """Roles next to its threads, in the core's order of members."""
    typical_ns: Callable[[Params, int], int] | None = None
    """Return the approximate time of a trial in ns, for a workload that ends by itself. Such a workload has no
    warm-up, and its threads need not all be busy to the end."""
    domain: Callable[[Params], str] = lambda _: ""
    """Return what the members' NUMA domains are counted by: `socket`, `node` or `l3`; empty: they are unused."""
    kernel_memory: bool = False
    """True if the contended data is the kernel's: a memory policy then covers all that the threads and the kernel
    on their behalf allocate, rather than one line."""
    sleeps: Callable[[Params], bool] = lambda _: False
    """Return True if its threads wait off CPU by design, so that off-CPU time invalidates nothing."""
    hands_over: bool = False
    """True if a lock passes from thread to thread, so that handoffs are recorded."""
    by_default: bool = False
    """True if a sweep without arguments measures it."""
    control: bool = False
    """True if it shares no written line: the curve that should scale, to compare the others with."""
    simulation: SimulationTraits | None = None
    """The part of it that the simulator models; None: nothing."""

    @property
    def ends_by_itself(self) -> bool:
        """Return True if a trial ends when its work is done, rather than when its time is up."""
        return self.typical_ns is not None

    def parameter(self, name: str) -> Parameter:
        """Return the parameter of that name. Raises UsageError naming the known ones."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = ", ".join(parameter.name for parameter in self.parameters)
        raise UsageError(f"{self.name} has no parameter {name!r}; it has {names}")

    def complete(self, given: Params) -> dict[str, Value]:
        """Return all parameters: the given values, and defaults for the rest."""
        for name in given:
            self.parameter(name)
        return {p.name: given.get(p.name, p.default) for p in self.parameters}
