# SPDX-License-Identifier: Apache-2.0
"""Which hosts and settings meet a launch workload, from results and machine files, and what to change first."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from pybench.errors import UsageError
from pybench.findings.claim import LEAST_DRAWS, over_draws, paired_ratio
from pybench.findings.simulation import Wish, simulate
from pybench.results.cells import with_defaults
from pybench.results.records import Cell, Trial
from pybench.results.store import Results
from pybench.simulator.machine_file import load_machine
from pybench.stats.estimate import Interval, median_interval, ratio_interval
from pybench.stats.ratios import LEAST_TRIALS

# The latency of the slowest grows with containers and with layers to a power within this, where nothing tells
# better: 1 where all wait for each other, a little less or more as fixed costs and contention have it.
EXPONENTS = (0.8, 1.3)
# What was seen of the growth may change a little beyond.
BEYOND = 0.1
# Farther than this from what was measured nothing is told.
FARTHEST = 4.0
# Parameters in which a cell may differ from what is asked: it is brought there by a power.
SCALED = ("containers", "layers", "passes")
FREE = (*SCALED, "strategy", "deadline_ms", "probers", "probe_every_ms", "arrival")


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What must be met: so many containers wanted at once, each launched within the deadline (ns)."""

    containers: int
    layers: int
    passes: int = 1
    deadline_ns: float = 30e9


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One host in one setting, and whether it meets the workload."""

    host: str
    how: str
    """`measured` or `simulated`."""
    strategy: str
    place: str
    smt: str
    threads: int
    slowest_ns: Interval
    """99th percentile of a launch's latency from its being wanted."""
    basis: str
    """What the figure is from: `as asked`, or how far it was taken."""
    samples: list[float] = []
    """Of it, a trial or a draw each."""
    stretch: tuple[float, float] = (1.0, 1.0)
    """Least and most that samples may have to be multiplied by where extrapolated: other powers of growth."""
    failed: str = ""
    """Why launches failed or were never begun, where some were, in any undisturbed trial."""

    def margin(self, deadline_ns: float) -> Interval:
        """The deadline over the slowest launches: 3 says that they could take three times as long."""
        low, high = deadline_ns / self.slowest_ns.high, deadline_ns / self.slowest_ns.low
        return Interval(deadline_ns / self.slowest_ns.value, low, high, self.slowest_ns.n)

    def meets(self, deadline_ns: float) -> bool | None:
        """True or False if the whole margin says so, None otherwise."""
        margin = self.margin(deadline_ns)
        if self.failed:
            return False
        if not margin.known:
            return None
        if margin.low >= 1:
            return True
        return False if margin.high < 1 else None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing changed from what there is now, and what it gains."""

    host: str
    what: str
    kind: str
    """strategy, strategy without id-mapping, SMT, sockets or machine."""
    gain: Interval
    """Latency now over latency then: 2 says half as long."""
    how: str
    then: Option


# ------------------------------------------------------------------------------------------------------ measured


def options_of(results: Results, wanted: Workload, strategies: Sequence[str]) -> tuple[list[Option], list[str]]:
    """The settings of a result file that tell of the workload, and why others do not.

    Raises UsageError if the file has no launches.
    """
    cells = [(i, c) for i, c in enumerate(results.header.plan.cells) if c.workload == "launch"]
    if not cells:
        raise UsageError(f"{results.path} has no launches; measure them: pybench launch --containers 50,100,200")
    simulated = results.header.simulated
    host = simulated.machine if simulated else str(results.header.host.get("name") or results.path.name)
    groups: dict[tuple[str, str, str, int, str], list[tuple[int, Cell]]] = {}
    left_out: dict[str, None] = {}
    for index, cell in cells:
        strategy = str(with_defaults(cell)["strategy"])
        if strategies and strategy not in strategies:
            continue
        if reason := _foreign(cell):
            left_out[f"{results.path.name}: {reason}"] = None
            continue
        setting = (strategy, cell.place, cell.smt, cell.threads, cell.crew)
        groups.setdefault(setting, []).append((index, cell))
    found: list[Option] = []
    for (strategy, place, smt, threads, _), group in groups.items():
        answer = _bring(results.trials, group, wanted, bool(simulated))
        if isinstance(answer, str):
            left_out[f"{host}, {strategy}, {place}, {threads} threads: {answer}"] = None
            continue
        slowest, samples, stretch, basis, failed = answer
        found.append(
            Option(
                host=host,
                how="simulated" if simulated else "measured",
                strategy=strategy,
                place=place,
                smt=smt,
                threads=threads,
                slowest_ns=slowest,
                basis=basis,
                samples=samples,
                stretch=stretch,
                failed=failed,
            )
        )
    return found, list(left_out)


def _foreign(cell: Cell) -> str:
    """Why a cell is of another workload altogether."""
    from pybench.workloads import workload

    params = with_defaults(cell)
    if params["arrival"] != "burst":
        return f"arrival={params['arrival']} counts latency otherwise; only bursts are used"
    different = [
        f"{p.name}={params[p.name]}"
        for p in workload("launch").parameters
        if p.name not in FREE and params[p.name] != p.default
    ]
    return f"cells with {', '.join(different)} left out" if different else ""


def _size(cell: Cell) -> tuple[int, int]:
    """(containers, layers put together for each)."""
    params = with_defaults(cell)
    return int(params["containers"]), int(params["layers"]) * int(params["passes"])


def _bring(
    trials: Sequence[Trial], group: Sequence[tuple[int, Cell]], wanted: Workload, simulated: bool
) -> tuple[Interval, list[float], tuple[float, float], str, str] | str:
    """(slowest, samples, stretch, basis, failures) of the nearest cell brought to what is wanted, or why not."""
    asked = (wanted.containers, wanted.layers * wanted.passes)
    # A trial of which every launch failed has no figure, but tells that they did.
    undisturbed = [t for t in trials if not t.flags and t.outcome.status == "ok"]
    told = {index: (cell, own) for index, cell in group if (own := [t for t in undisturbed if t.cell == index])}
    if not told:
        return "no undisturbed trial"
    # Few steps of a container's layers are nearer than many of containers: what is extrapolated is their product.
    cell, own = min(told.values(), key=lambda one: _distance(_size(one[0]), asked))
    samples = _slowest(own)
    slowest = _estimate(samples, simulated)
    failed = next(filter(None, (_failure(t, cell) for t in own)), "")
    at = _size(cell)
    if at == asked:
        return slowest, samples, (1.0, 1.0), "as asked", failed
    factors = (asked[0] / at[0], asked[1] / at[1])
    if (
        max(max(f, 1 / f) for f in factors) > FARTHEST
        or max(math.prod(factors), 1 / math.prod(factors)) > FARTHEST
    ):
        return (
            f"measured nearest at {at[0]} containers of {at[1]} layers, more than {FARTHEST:.0f} times away; "
            "measure nearer to what is asked"
        )
    basis = f"extrapolated from {at[0]} x {at[1]} layers"
    if not samples:
        return slowest, samples, (1.0, 1.0), basis, failed
    seen = _exponents([(_size(c), _estimate(found, simulated).value)
                       for c, ts in told.values() if (found := _slowest(ts))], at[1])  # fmt: skip
    low, high = seen or EXPONENTS
    grown = [_growth(factors[0], low, high), _growth(factors[1], *EXPONENTS)]
    least, middle, most = (math.prod(one) for one in zip(*grown, strict=True))
    slowest = Interval(slowest.value * middle, slowest.low * least, slowest.high * most, slowest.n)
    if not slowest.known:
        return f"{few_words(len(samples), simulated)}, too few for an interval"
    growth = f"power {low:.2f} to {high:.2f}, {'seen' if seen else 'assumed'}"
    basis = f"{basis} ({growth})"
    return slowest, [x * middle for x in samples], (least / middle, most / middle), basis, failed


def few_words(n: int, simulated: bool) -> str:
    """How many trials or draws there are, and how many are the least."""
    if simulated:
        return f"{n} draws of {LEAST_DRAWS} at least (--draws)"
    return f"{n} undisturbed trials of {LEAST_TRIALS} at least"


def _slowest(trials: Sequence[Trial]) -> list[float]:
    """99th percentile of a launch's latency in each trial that launched anything, ns."""
    return [t.figures.p99_ns for t in trials if t.figures]


def _estimate(samples: Sequence[float], simulated: bool) -> Interval:
    if not samples:
        return Interval(math.nan, math.nan, math.nan, 0)
    return over_draws(samples) if simulated else median_interval(samples)


def _failure(trial: Trial, cell: Cell) -> str:
    """Why not all containers of a trial were launched; `` if they were."""
    wanted, counts = int(with_defaults(cell)["containers"]), trial.outcome.counters
    launched, failed = counts.get("launched", 0), counts.get("failed", 0)
    if not failed and launched >= wanted:
        return ""
    return trial.outcome.note or f"{launched} of {wanted} containers were launched"


def _distance(at: tuple[int, int], asked: tuple[int, int]) -> float:
    return sum(abs(math.log(a / b)) for a, b in zip(at, asked, strict=True))


def _exponents(sizes: Sequence[tuple[tuple[int, int], float]], layers: int) -> tuple[float, float] | None:
    """Least and greatest power by which the slowest grew from one number of containers to the next; None if fewer
    than three were measured at these layers."""
    points = sorted((size[0], value) for size, value in sizes if size[1] == layers and value > 0)
    if len({containers for containers, _ in points}) < 3:
        return None
    powers = [math.log(b[1] / a[1]) / math.log(b[0] / a[0]) for a, b in pairwise(points) if b[0] > a[0]]
    # Growth that was slower at first, where not all threads were busy, tells little of what comes.
    return min(powers[-2:]) - BEYOND, max(*powers[-2:], 1.0) + BEYOND


def _growth(factor: float, low: float, high: float) -> tuple[float, float, float]:
    """Factor to a power between low and high: least, middle (power 1, if that is between) and most."""
    least, most = sorted((factor**low, factor**high))
    return least, min(max(factor, least), most), most


# ----------------------------------------------------------------------------------------------------- simulated


def simulated_options(
    machines: Sequence[str], wanted: Workload, strategies: Sequence[str], *, seconds: float, seed: int
) -> list[Option]:
    """Every place, SMT setting and strategy of these machines, simulated for the workload with all their threads.

    Raises UsageError for a machine that there is not, a strategy that is not modelled, or too few `seconds`.
    """
    wishes = []
    for name in machines:
        topology = load_machine(name).topology()
        sockets = {cpu.socket or 0 for cpu in topology.usable}
        wishes.append(
            Wish(
                machine=name,
                workload="launch",
                params={
                    "strategy": tuple(strategies),
                    "containers": (str(wanted.containers),),
                    "layers": (str(wanted.layers),),
                    "passes": (str(wanted.passes),),
                },
                places=("single-socket", "dual-socket") if len(sockets) > 1 else ("single-socket",),
                smt=("on", "off") if any(cpu.smt for cpu in topology.usable) else ("on",),
            )
        )
    found: list[Option] = []
    for wish, run in zip(wishes, simulate(wishes, seconds=seconds, seed=seed, bounded=True), strict=True):
        options, _ = options_of(run.results[0], wanted, strategies)
        found += [msgspec.structs.replace(one, host=load_machine(wish.machine).name) for one in options]
    return found


# ------------------------------------------------------------------------------------------------------- changes


def changes(options: Sequence[Option], now: Option) -> list[Change]:
    """What one change from `now` gains, greatest first.

    Figures are only set against others of their kind: measured against measured, simulated against simulated.
    """
    found = []
    for one in options:
        kind = _one_change(now, one)
        if kind is None or one.how != now.how:
            continue
        gain = _gain(now, one)
        if math.isnan(gain.value):
            continue
        found.append(
            Change(host=now.host, what=_words(now, one, kind), kind=kind, gain=gain, how=one.how, then=one)
        )
    # For each kind the best of it.
    best: dict[str, Change] = {}
    for change in sorted(found, key=lambda c: -c.gain.value):
        best.setdefault(change.kind, change)
    # What gives up id-mapping stands last, whatever it gains.
    return sorted(best.values(), key=lambda change: change.kind == UNMAPPED)


def _one_change(now: Option, then: Option) -> str | None:
    """What sets `then` apart, if it is one thing."""
    if now.host != then.host:
        # Another machine is taken whole, as it comes, with the strategy that there is.
        same = now.strategy == then.strategy and then.smt == now.smt
        return "machine" if same else None
    differs = {
        _strategy_kind(now.strategy, then.strategy): now.strategy != then.strategy,
        "SMT": now.smt != then.smt,
        "sockets": now.place != then.place,
    }
    kinds = [kind for kind, differ in differs.items() if differ]
    if len(kinds) != 1 or ("strategy" in kinds[0] and now.threads != then.threads):
        return None
    return kinds[0]


# All containers have the host's user range, so what keeps them apart is less.
NOT_MAPPED = ("plain", "chown")
UNMAPPED = "strategy without id-mapping"


def _strategy_kind(now: str, then: str) -> str:
    return UNMAPPED if then in NOT_MAPPED and now not in NOT_MAPPED else "strategy"


def _words(now: Option, then: Option, kind: str) -> str:
    return {
        "strategy": f"strategy {now.strategy} -> {then.strategy}",
        UNMAPPED: f"strategy {now.strategy} -> {then.strategy} (gives up id-mapping)",
        "SMT": f"SMT {now.smt} -> {then.smt}",
        "sockets": f"{now.place} -> {then.place}",
        "machine": f"{now.host} -> {then.host}",
    }[kind]


def _gain(now: Option, then: Option) -> Interval:
    if not (now.samples and then.samples):
        return Interval(math.nan, math.nan, math.nan, 0)
    if now.how == "simulated":
        both = min(len(now.samples), len(then.samples))
        gain = paired_ratio(now.samples[:both], then.samples[:both])
    else:
        gain = ratio_interval(now.samples, then.samples)
    # How either was extrapolated says nothing of how the other grows.
    low, high = now.stretch[0] / then.stretch[1], now.stretch[1] / then.stretch[0]
    return Interval(gain.value, gain.low * low, gain.high * high, gain.n)


def present(options: Sequence[Option], strategy: str) -> Iterator[Option]:
    """Of each host (measured and simulated apart) the setting that stands for now: the strategy, all sockets, SMT
    on, most threads; of a host without that strategy, the nearest there is."""
    hosts = dict.fromkeys((one.host, one.how) for one in options)
    for host, how in hosts:
        own = [one for one in options if (one.host, one.how) == (host, how)]
        yield max(
            own, key=lambda o: (o.strategy == strategy, o.smt == "on", o.place != "single-socket", o.threads)
        )
