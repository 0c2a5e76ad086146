# SPDX-License-Identifier: Apache-2.0
"""Hosts and settings, measured or simulated, and whether each meets the demand for container launches."""

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from pybench import UsageError
from pybench.api.toolkit.result_files import Cell, Results, Trial, with_defaults
from pybench.api.toolkit.scenarios import Scenario, machine_topology, simulate_scenarios
from pybench.api.toolkit.statistics import LEAST_TRIALS, Interval, median_interval
from pybench.api.toolkit.trials import workload
from pybench.findings.verdict import LEAST_DRAWS, over_draws

# The latency of the slowest launches grows with a power of containers and layers. A power that was not measured is
# assumed to be within these: 1 if all wait for each other, less with fixed costs, more with contention.
EXPONENTS = (0.8, 1.3)
# Margin on a measured power, as growth may change beyond the measured sizes.
BEYOND = 0.1
# Largest factor by which a measured size is extrapolated.
FARTHEST = 4.0
# Parameters in which a cell may differ from the demand: SCALED ones by a power, the others without effect.
SCALED = ("containers", "layers", "passes")
# Draws of the uncertain inputs, if there is time.
MOST_DRAWS = 12
FREE = (*SCALED, "strategy", "deadline_ms", "probers", "probe_every_ms", "arrival")


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """The launches to be met: containers requested at once, each to be launched within the deadline (ns)."""

    containers: int
    layers: int
    passes: int = 1
    deadline_ns: float = 30e9


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One host in one setting, and its slowest launches."""

    host: str
    how: str
    """`measured` or `simulated`."""
    strategy: str
    place: str
    smt: str
    threads: int
    slowest_ns: Interval
    """99th percentile of the latency of a launch, from its request."""
    basis: str
    """`as asked`, or the size that the result was extrapolated from."""
    samples: list[float] = []
    """The percentile in each trial or draw."""
    stretch: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor on the samples for other powers of growth, where extrapolated."""
    failed: str = ""
    """Reason why launches failed or never began in a valid trial, `` if none did."""

    def margin(self, deadline_ns: float) -> Interval:
        """Return the deadline over the slowest launches: at 3 they could take three times as long."""
        low, high = deadline_ns / self.slowest_ns.high, deadline_ns / self.slowest_ns.low
        return Interval(deadline_ns / self.slowest_ns.value, low, high, self.slowest_ns.n)

    def meets(self, deadline_ns: float) -> bool | None:
        """Return True or False if the whole interval of the margin does, else None."""
        margin = self.margin(deadline_ns)
        if self.failed:
            return False
        if not margin.known:
            return None
        if margin.low >= 1:
            return True
        return False if margin.high < 1 else None


# ------------------------------------------------------------------------------------------------------ measured


def options_of(results: Results, demand: Demand, strategies: Sequence[str]) -> tuple[list[Option], list[str]]:
    """Return the settings in a result file that can answer for the demand, and the reasons for leaving out others.

    Raises UsageError if the file has no launches.
    """
    cells = [(i, c) for i, c in enumerate(results.header.plan.cells) if workload(c.workload).ends_by_itself]
    if not cells:
        raise UsageError(
            f"{results.path} has no launches", fix="measure them: pybench launch --containers 50,100,200"
        )
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
        answer = _bring(results.trials, group, demand, bool(simulated))
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
    """Return the reason why a cell cannot answer for a demand, `` if it can."""
    params = with_defaults(cell)
    if params["arrival"] != "burst":
        return f"arrival={params['arrival']} defines latency differently; only bursts are used"
    different = [
        f"{p.name}={params[p.name]}"
        for p in workload("launch").parameters
        if p.name not in FREE and params[p.name] != p.default
    ]
    return f"cells with {', '.join(different)} left out" if different else ""


def _size(cell: Cell) -> tuple[int, int]:
    """Return (containers, layers assembled per container)."""
    params = with_defaults(cell)
    return int(params["containers"]), int(params["layers"]) * int(params["passes"])


def _bring(
    trials: Sequence[Trial], group: Sequence[tuple[int, Cell]], demand: Demand, simulated: bool
) -> tuple[Interval, list[float], tuple[float, float], str, str] | str:
    """Return (slowest, samples, stretch, basis, failures) of the nearest cell scaled to the demand, or why not."""
    asked = (demand.containers, demand.layers * demand.passes)
    # A trial without a single successful launch has no latency, but its failures count.
    valid = [t for t in trials if not t.flags and t.outcome.status == "ok"]
    by_cell = {index: (cell, own) for index, cell in group if (own := [t for t in valid if t.cell == index])}
    if not by_cell:
        return "no valid trial"
    # The nearest cell needs the smallest product of factors.
    cell, own = min(by_cell.values(), key=lambda one: _distance(_size(one[0]), asked))
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
            f"the nearest cell has {at[0]} containers of {at[1]} layers, more than a factor of {FARTHEST:.0f} "
            "away; measure nearer to the demand"
        )
    basis = f"extrapolated from {at[0]} x {at[1]} layers"
    if not samples:
        return slowest, samples, (1.0, 1.0), basis, failed
    powers = _exponents([(_size(c), _estimate(found, simulated).value)
                       for c, ts in by_cell.values() if (found := _slowest(ts))], at[1])  # fmt: skip
    low, high = powers or EXPONENTS
    grown = [_growth(factors[0], low, high), _growth(factors[1], *EXPONENTS)]
    least, middle, most = (math.prod(one) for one in zip(*grown, strict=True))
    slowest = Interval(slowest.value * middle, slowest.low * least, slowest.high * most, slowest.n)
    if not slowest.known:
        return f"too few for an interval: {few_words(len(samples), simulated)}"
    growth = f"power {low:.2f} to {high:.2f}, {'measured' if powers else 'assumed'}"
    basis = f"{basis} ({growth})"
    return slowest, [x * middle for x in samples], (least / middle, most / middle), basis, failed


def few_words(n: int, simulated: bool) -> str:
    """Return the number of trials or draws, and how many an interval needs."""
    if simulated:
        return f"{n} draws, needs at least {LEAST_DRAWS} (--draws)"
    return f"{n} valid trials, needs at least {LEAST_TRIALS}"


def _slowest(trials: Sequence[Trial]) -> list[float]:
    """Return the 99th percentile of the latency of a launch in each trial with one, ns."""
    return [t.figures.p99_ns for t in trials if t.figures]


def _estimate(samples: Sequence[float], simulated: bool) -> Interval:
    if not samples:
        return Interval(math.nan, math.nan, math.nan, 0)
    return over_draws(samples) if simulated else median_interval(samples)


def _failure(trial: Trial, cell: Cell) -> str:
    """Return the reason why not all containers of a trial were launched, `` if all were."""
    wanted, counts = int(with_defaults(cell)["containers"]), trial.outcome.counters
    launched, failed = counts.get("launched", 0), counts.get("failed", 0)
    if not failed and launched >= wanted:
        return ""
    return trial.outcome.note or f"{launched} of {wanted} containers were launched"


def _distance(at: tuple[int, int], asked: tuple[int, int]) -> float:
    return sum(abs(math.log(a / b)) for a, b in zip(at, asked, strict=True))


def _exponents(sizes: Sequence[tuple[tuple[int, int], float]], layers: int) -> tuple[float, float] | None:
    """Return the smallest and largest power of growth between measured numbers of containers at these layers.

    None if there are fewer than three.
    """
    points = sorted((size[0], value) for size, value in sizes if size[1] == layers and value > 0)
    if len({containers for containers, _ in points}) < 3:
        return None
    powers = [math.log(b[1] / a[1]) / math.log(b[0] / a[0]) for a, b in pairwise(points) if b[0] > a[0]]
    # Only the last two: growth is slower while not all threads are busy.
    return min(powers[-2:]) - BEYOND, max(*powers[-2:], 1.0) + BEYOND


def _growth(factor: float, low: float, high: float) -> tuple[float, float, float]:
    """Return the factor to the powers `low` to `high`: least, middle (power 1, if between) and most."""
    least, most = sorted((factor**low, factor**high))
    return least, min(max(factor, least), most), most


# ----------------------------------------------------------------------------------------------------- simulated


def simulated_options(
    machines: Sequence[str], demand: Demand, strategies: Sequence[str], *, seconds: float, seed: int
) -> list[Option]:
    """Simulate the demand on all threads of some machines, in every place, SMT setting and strategy.

    Raises UsageError for an unknown machine, a strategy that is not modelled, or too few `seconds`.
    """
    scenarios, titles = [], []
    for name in machines:
        title, topology = machine_topology(name)
        titles.append(title)
        sockets = {cpu.socket or 0 for cpu in topology.usable}
        scenarios.append(
            Scenario(
                machine=name,
                workload="launch",
                params={
                    "strategy": tuple(strategies),
                    "containers": (str(demand.containers),),
                    "layers": (str(demand.layers),),
                    "passes": (str(demand.passes),),
                },
                places=("single-socket", "dual-socket") if len(sockets) > 1 else ("single-socket",),
                smt=("on", "off") if any(cpu.smt for cpu in topology.usable) else ("on",),
            )
        )
    try:
        runs = simulate_scenarios(
            scenarios, seconds=seconds, seed=seed, draws=MOST_DRAWS, least_draws=LEAST_DRAWS, bounded=True
        )
    except UsageError as error:
        if not error.fix:
            raise
        fix = "give a longer --budget, or ask for fewer --containers, --layers, --strategy or --machine"
        raise UsageError(error.what, reason=error.reason, fix=fix) from None
    found: list[Option] = []
    for title, run in zip(titles, runs, strict=True):
        options, _ = options_of(run.results[0], demand, strategies)
        found += [msgspec.structs.replace(one, host=title) for one in options]
    return found
