# SPDX-License-Identifier: Apache-2.0
"""The records of a latency file: pairs of CPUs, methods, and the time of a line transfer.

JSON Lines, as a sweep's: a header, then one line per pair in the order they ran, then an end.
docs/reference/results.md describes them.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from pybench.errors import UsageError
from pybench.host.topology import Distance, Topology
from pybench.results.records import End, Evidence
from pybench.results.store import Results, check_version, damaged, decode, kind_of, lines, outline, read

FORMAT = 1

Pair = tuple[int, int]
"""Two CPUs, the lower place in the plan first."""


class TransferPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides which pairs are measured, in which order, and for how long. Times in ns."""

    place: str
    cpus: tuple[int, ...]
    methods: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    """The pairs to measure, the lower place in `cpus` first."""
    pairs_there: dict[Distance, int]
    """Number of pairs of the plan's CPUs by class; larger than `pairs` if that is a sample."""
    rounds: int
    duration_ns: int
    warmup_ns: int
    tries: int
    """Maximum measurements of a pair in a round, while they are invalid."""
    seed: int
    budget_ns: int = 0
    """0: none."""

    @property
    def sampled(self) -> bool:
        """Return whether some pairs are left out."""
        return len(self.pairs) < sum(self.pairs_there.values())


class TransferHeader(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="transfers"):
    """The first line of a file."""

    format: int = FORMAT
    pybench: str
    created: str
    """ISO 8601, UTC."""
    command: list[str]
    host: dict[str, Any]
    topology: dict[str, Any]
    plan: TransferPlan


class PairTrial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="pair"):
    """One trial of a pair. Times are of one line transfer: half a round trip, so the mean of both directions."""

    cpus: tuple[int, int]
    distance: Distance
    method: str
    round: int
    attempt: int = 0
    """Number of this try of the pair's round; earlier tries were invalid or failed."""
    sequence: int = 0
    started: float = 0.0
    """Seconds since the epoch."""
    seconds: float = 0.0
    transfer_ns: float | None = None
    """Median over batches of their mean; None if the trial failed."""
    p5_ns: float | None = None
    p95_ns: float | None = None
    """Percentiles over batches."""
    batches: int = 0
    transfers: int = 0
    """Of both CPUs together."""
    evidence: Evidence | None = None
    flags: list[str] = []
    """Names of the validity checks that the trial failed: it is kept, and enters no estimate."""
    status: str = "ok"
    reason: str = ""

    @property
    def valid(self) -> bool:
        """Return whether the trial may enter an estimate."""
        return self.transfer_ns is not None and not self.flags


class TransferFile(msgspec.Struct, frozen=True, kw_only=True):
    """A latency file, read back or just measured."""

    header: TransferHeader
    topology: Topology
    """The header's."""
    trials: list[PairTrial]
    ends: list[End] = []


_decoder = msgspec.json.Decoder(TransferHeader | PairTrial | End)


def read_any(path: Path) -> Results | TransferFile:
    """Read a result file of either kind: of a sweep, or of line transfers. UsageError for any other file."""
    first, _, _ = outline(path)
    return read_transfers(path) if kind_of(first) == "transfers" else read(path)


def read_transfers(path: Path) -> TransferFile:
    """Read a latency file; an incomplete last line is left out.

    Raises UsageError, in one line, for a file that is not one or does not fit together.
    """
    first, good, _ = outline(path)
    if kind_of(first) == "header":
        raise UsageError(f"{path} is the result of a sweep; see it with: pybench show {path}")
    check_version(path, first, FORMAT)
    records = [decode(path, number, line, _decoder) for number, line in lines(path, good) if not line.isspace()]
    if not records or not isinstance(records[0], TransferHeader):
        raise UsageError(f"{path} is not a latency file: its first line is not its header")
    header = records[0]
    trials = [record for record in records if isinstance(record, PairTrial)]
    try:
        topology = msgspec.convert(header.topology, Topology)
    except msgspec.ValidationError as error:
        raise damaged(path, 1, f"its topology: {error}") from None
    _check(path, header.plan, topology, trials)
    ends = [record for record in records if isinstance(record, End)]
    return TransferFile(header=header, topology=topology, trials=trials, ends=ends)


def _check(path: Path, plan: TransferPlan, topology: Topology, trials: list[PairTrial]) -> None:
    """Check what the decoder does not: CPUs without a topology, pairs that were not planned, times that make no
    sense."""
    known = set(topology.by_number())
    planned = set(plan.pairs)
    if not known.issuperset(plan.cpus) or len(set(plan.cpus)) != len(plan.cpus):
        raise UsageError(f"{path}: its plan names CPUs twice, or that its topology does not have")
    if any(a == b or not {a, b}.issubset(plan.cpus) for a, b in planned):
        raise UsageError(f"{path}: its plan pairs CPUs that are not among its own")
    for trial in trials:
        if trial.cpus not in planned or trial.method not in plan.methods:
            raise UsageError(f"{path}: pair {trial.cpus}, {trial.method}, is not in its plan")
        times = [t for t in (trial.transfer_ns, trial.p5_ns, trial.p95_ns) if t is not None]
        if not all(math.isfinite(t) and t > 0 for t in times):
            raise UsageError(f"{path}: pair {trial.cpus} has a transfer time that is not above 0")


def why_invalid(trials: Iterable[PairTrial]) -> str:
    """Return the reasons and flags of the invalid trials, each once."""
    said = dict.fromkeys(words for t in trials if not t.valid for words in (t.flags or [t.reason or t.status]))
    return ", ".join(said)
