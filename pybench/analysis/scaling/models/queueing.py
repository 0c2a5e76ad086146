# SPDX-License-Identifier: Apache-2.0
"""The queue of Boyd-Wickizer et al.: a lock whose hand-over slows down with the number that wait.

n cores; a the mean time between one core's acquisitions (its work without the lock), s the serial section, c the
time the lock's home directory takes for one request. With k cores holding or waiting,

    arrivals come at a_k = (n - k) / a,   services at s_k = 1 / (s + c k / 2),   P_k a_k = P_{k+1} s_k

and throughput is X(n) = (n - w) / a, with w = sum k P_k. S. Boyd-Wickizer, M. F. Kaashoek, R. Morris and N.
Zeldovich, "Non-scalable locks are dangerous", Linux Symposium (2012). Solved in log space: P_k spans hundreds of
decades, and the exact recursion of mean value analysis is unstable.
"""

import math
from functools import lru_cache

import numpy as np

from pybench.analysis.scaling.model import Facts, LevelMeans, Model, ModelParameter
from pybench.stats.estimate import Floats, Interval

DECADES = 9 * math.log(10)  # a time shorter than an operation's by this factor cannot be distinguished from 0
SERIAL = (0.001, 0.01, 0.03, 0.1, 0.3, 0.6, 0.9, 0.99)  # s / (a + s) to start from
HOME = (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)  # c / (a + s)


@lru_cache(maxsize=64)
def _states(threads: tuple[float, ...]) -> tuple[Floats, Floats, Floats]:
    """Return k (K+1,), sum_{j<k} log(n - j) (m, K+1; -inf where k > n), and n - k likewise (0 where k > n)."""
    from scipy.special import gammaln

    n = np.array(threads)[:, None]
    k = np.arange(int(n.max()) + 1.0)
    left = np.maximum(n - k, 0)
    ways = np.where(n >= k, gammaln(n + 1) - gammaln(left + 1), -np.inf)
    return k, ways, left


class Queueing(Model):
    """The model; theta is (log a, log s, log c) in units of 1 / scale seconds."""

    name = "queueing"
    short = "queueing"
    place = 4
    title = "the queueing model"
    formula = (
        "birth-death: a_k = (n-k)/a, s_k = 1/(s + c k/2), X(n) = (n - w)/a, w the mean number holding or waiting"
    )
    source = 'S. Boyd-Wickizer et al., "Non-scalable locks are dangerous", Linux Symposium (2012)'
    parameters = tuple(ModelParameter(name, "ns", -DECADES, DECADES) for name in ("a", "s", "c"))

    def slopes(self, threads: Floats, theta: Floats) -> tuple[Floats, Floats]:
        """Return log X and its derivatives, which are differences of means over the states."""
        k, ways, left = _states(tuple(threads.tolist()))
        serial, home = math.exp(theta[1]), math.exp(theta[2]) / 2 * k[:-1]
        service = serial + home
        steps = np.zeros((3, k.size))  # sums over j < k of log(1 / s_j) and its derivatives
        np.cumsum((np.log(service), serial / service, home / service), axis=1, out=steps[:, 1:])
        log_p = ways + (steps[0] - k * theta[0])
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        working = p * left
        all_states, at_work = p.sum(axis=1), working.sum(axis=1)
        steps[0] = -k
        slopes = working @ steps.T / at_work[:, None] - p @ steps.T / all_states[:, None]
        slopes[:, 0] -= 1
        return np.log(at_work / all_states) - theta[0], slopes

    def starts(self, levels: LevelMeans) -> list[Floats]:
        """Return the best three of a grid of shares, each with its best unit of time."""
        shares = [(1 - share, share, home) for share in SERIAL for home in HOME]
        grid = np.log(np.array(shares))
        scored = []
        for theta in grid:
            miss = levels.y - self.slopes(levels.threads, theta)[0]
            shift = float(np.average(miss, weights=levels.trials))
            scored.append((float(np.average(np.square(miss - shift), weights=levels.trials)), theta - shift))
        scored.sort(key=lambda pair: pair[0])
        return [theta for _, theta in scored[:3]]

    def says(self, facts: Facts) -> list[str]:
        """Return work between acquisitions, serial section, and the cost of each waiter."""
        a, s, c = (facts.parameters[name] for name in ("a", "s", "c"))
        said = [
            f"A core works for {_time(a)} between acquisitions, and holds the lock for {_time(s)}."
            if a.low > 0 and s.low > 0
            else f"Work between acquisitions {_time(a)}, serial section {_time(s)}: only their sum may be known."
        ]
        if c.low <= 0:
            said.append(
                f"A cost of waiters cannot be distinguished from none: c is at most {_ns(c.high)} a request."
            )
        else:
            said.append(
                f"Each waiter slows a hand-over by c/2 = {_ns(c.value / 2)} "
                f"[{_ns(c.low / 2)}, {_ns(c.high / 2)}]: the lock is not scalable."
            )
        if a.value > 0 and s.value > 0:
            said.append(
                f"The lock would be busy all the time with about {(a.value + s.value) / s.value:.3g} threads."
            )
        return said

    def caveats(self, facts: Facts) -> list[str]:
        """Return a caveat if a closed benchmark loop breaks an assumption of the model."""
        said = []
        if facts.parameters["a"].value < facts.parameters["s"].value:
            said.append(
                "the lock is held for longer than cores work between: the model is made for short sections"
            )
        return said


def throughput(n: Floats, a: float, s: float, c: float) -> Floats:
    """Return X (operations in the unit of time of ``a``, ``s``, ``c``) with ``n`` (m,) cores; s or c may be 0.

    The speedup of the paper is a X.
    """
    with np.errstate(divide="ignore"):
        theta = np.maximum(np.log(np.array([a, s, c], dtype=np.float64)), -600.0)
    return np.asarray(np.exp(Queueing().log_rate(n, theta)), dtype=np.float64)


def _ns(value: float) -> str:
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} ns"


def _time(interval: Interval) -> str:
    return f"{_ns(interval.value)} [{_ns(interval.low)}, {_ns(interval.high)}]"
