# SPDX-License-Identifier: Apache-2.0
"""Distances between CPUs, on hosts whose topology is known."""

import pytest

from pybench.host.topology import DISTANCES, Cpu, Topology, distance, distances

A = Cpu(number=0, socket=0, l3=0, core=0)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (A, "same-cpu"),
        (Cpu(number=8, socket=0, l3=0, core=0), "smt"),
        (Cpu(number=1, socket=0, l3=0, core=1), "l3"),
        (Cpu(number=2, socket=0, l3=1, core=2), "socket"),
        (Cpu(number=3, socket=1, l3=2, core=3), "cross-socket"),
        (Cpu(number=4), "socket"),
    ],
)
def test_the_nearest_thing_that_both_share_names_the_distance(other: Cpu, expected: str) -> None:
    assert distance(A, other) == distance(other, A) == expected


def test_a_matrix_is_symmetric_with_the_cpu_itself_on_its_diagonal() -> None:
    cpus = tuple(Cpu(number=n, socket=n // 4, l3=n // 2, core=n // 2) for n in range(8))
    matrix = distances(Topology(cpus=cpus), [0, 1, 2, 5])
    assert matrix[0] == ["same-cpu", "smt", "socket", "cross-socket"]
    assert all(matrix[i][j] == matrix[j][i] for i in range(4) for j in range(4))
    assert {d for row in matrix for d in row} <= set(DISTANCES)
