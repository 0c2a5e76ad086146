# SPDX-License-Identifier: Apache-2.0
"""Exact throughput of closed queues with n customers, mean think time a and mean service time s."""

import math


def repairman(n: int, a: float, s: float) -> float:
    """Return the throughput of M/M/1//n times a."""
    weights = [1.0]
    for k in range(n):
        weights.append(weights[-1] * (n - k) * s / a)
    return sum(w * (n - k) for k, w in enumerate(weights)) / sum(weights)


def deterministic(n: int, a: float, s: float) -> float:
    """Return the throughput of M/D/1//n times a, from the chain embedded at departures."""
    arrives = 1 - math.exp(-s / a)

    def row(left: int, others: int) -> list[float]:
        chances = [0.0] * n
        for k in range(others + 1):
            chances[left + k] = math.comb(others, k) * arrives**k * (1 - arrives) ** (others - k)
        return chances

    rows = [row(0, n - 1)] + [row(j - 1, n - j) for j in range(1, n)]
    p = [1 / n] * n
    for _ in range(5000):
        p = [sum(p[i] * rows[i][j] for i in range(n)) for j in range(n)]
    return a / (s + p[0] * a / n)
