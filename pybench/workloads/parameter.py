# SPDX-License-Identifier: Apache-2.0
"""What a workload can be asked for: parameters with a default, bounds and a line of help."""

import re
from collections.abc import Callable, Mapping

import msgspec

from pybench.errors import UsageError

Value = int | str
Params = Mapping[str, Value]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. Numbers have bounds; words have choices or a pattern."""

    name: str
    default: Value
    help: str
    low: int = 0
    high: int = 2**62
    choices: tuple[str, ...] = ()
    pattern: str = ""
    shape: str = ""
    """How a value is written, where choices do not tell: `sync|detach|batch:N`."""
    quiet: bool = False
    """Tables do not tell it while it is at its default."""

    @property
    def metavar(self) -> str:
        """How a value is written, for --help and messages."""
        return self.shape or "|".join(self.choices) or "N"

    def parse(self, text: str) -> Value:
        """A value from its text. Raises UsageError naming what is allowed."""
        if isinstance(self.default, str):
            known = text in self.choices or bool(self.pattern and re.fullmatch(self.pattern, text))
            if not known:
                allowed = self.metavar if self.pattern else "|".join(self.choices)
                raise UsageError(f"{self.name}={text!r} is not known; choose from {allowed}")
            return text
        if not re.fullmatch(r"\d+", text) or not self.low <= int(text) <= self.high:
            bound = f"{self.low} to {self.high}" if self.high < 2**62 else f"{self.low} or more"
            raise UsageError(f"{self.name}={text!r} must be a whole number, {bound}")
        return int(text)


def nothing_wrong(params: Params, threads: int) -> str | None:
    """The check of a workload whose parameters always go together."""
    return None


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A role beside the workload's own threads, by the parameters that say how many members it has and where."""

    count: str
    place: str


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A workload of the core: its parameters, and what its figures mean."""

    name: str
    summary: str
    operation: str
    """What is counted, in the plural: `mounts`."""
    latency: str
    """The phase whose percentiles stand in tables."""
    parameters: tuple[Parameter, ...]
    conflict: Callable[[Params, int], str | None] = nothing_wrong
    """Why these parameters cannot go together with so many threads, or None."""
    beside: tuple[Beside, ...] = ()
    """Roles beside its threads, in the order in which the core seats them."""
    typical_ns: Callable[[Params, int], int] | None = None
    """About how long a trial takes with so many threads, for a workload that ends by itself; it then has no
    warm-up, and its threads need not all be busy to the end."""
    domain: Callable[[Params], str] = lambda _: ""
    """What the NUMA domains of its members are counted by: `socket`, `node` or `l3`; empty if nothing asks."""
    kernel_memory: bool = False
    """True if what its threads contend for is the kernel's: a memory policy then holds for all that they and the
    kernel on their behalf allocate, and not for one line."""
    sleeps: Callable[[Params], bool] = lambda _: False
    """True if its threads wait off CPU by nature, so that off-CPU time spoils nothing."""

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name. Raises UsageError naming those there are."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = ", ".join(parameter.name for parameter in self.parameters)
        raise UsageError(f"{self.name} has no parameter {name!r}; it has {names}")

    def complete(self, given: Params) -> dict[str, Value]:
        """All parameters: what is given, and defaults for the rest."""
        for name in given:
            self.parameter(name)
        return {p.name: given.get(p.name, p.default) for p in self.parameters}
