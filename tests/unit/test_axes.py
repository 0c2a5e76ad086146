# SPDX-License-Identifier: Apache-2.0
"""Words that stand for lists: thread counts and durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.errors import UsageError
from pybench.plan.request import duration_ns, show_duration, thread_counts


@pytest.mark.parametrize(
    ("text", "most", "counts"),
    [
        ("1,2,4..max", 96, [1, 2, 4, 8, 16, 32, 64, 96]),
        ("1,2,4..max", 64, [1, 2, 4, 8, 16, 32, 64]),
        ("1,2,4..max", 3, [1, 2, 3]),
        ("1,2,4..max", 2, [1, 2]),
        ("1,2,4..max", 1, [1]),
        ("1..8", 96, [1, 2, 3, 4, 5, 6, 7, 8]),
        ("1,3..9", 96, [1, 3, 5, 7, 9]),
        ("1,3..10", 96, [1, 3, 5, 7, 9, 10]),
        ("1,3,9..100", 100, [1, 3, 9, 27, 81, 100]),
        ("max", 24, [24]),
        ("2,1,2", 4, [1, 2]),
        ("4 , 8", 8, [4, 8]),
    ],
)
def test_thread_counts_as_people_write_them(text: str, most: int, counts: list[int]) -> None:
    assert thread_counts(text, most) == counts


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1,,2", "1..", "..4", "8..4", "1.5", "1,2;3"])
def test_what_is_no_thread_count_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="--threads"):
        thread_counts(text, 8)


@pytest.mark.parametrize("text", ["4097", "1..99999999999", "1,2,4..5000", "9" * 5000])
def test_more_threads_than_there_can_be_are_told_before_they_are_listed(text: str) -> None:
    with pytest.raises(UsageError, match="too many; write 1 to 4096"):
        thread_counts(text, 8)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=8, unique=True), st.integers(1, 500))
def test_listed_counts_come_back_sorted(counts: list[int], most: int) -> None:
    assert thread_counts(",".join(map(str, counts)), most) == sorted(counts)


@given(st.integers(1, 5000))
def test_a_range_to_max_reaches_max_and_never_beyond(most: int) -> None:
    counts = thread_counts("1,2,4..max", most)
    assert counts[-1] == most
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(
    ("text", "ns"), [("200ms", 200_000_000), ("2m", 120 * 10**9), ("1.5s", 1_500_000_000), ("10 us", 10_000)]
)
def test_durations(text: str, ns: int) -> None:
    assert duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5", "0s", "fast", "-1s", "1d", "1e3s"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="invalid duration"):
        duration_ns(text)


def test_durations_for_people() -> None:
    assert [show_duration(ns) for ns in (85e6, 1.2e10, 1.25e11)] == ["85 ms", "12 s", "2 min 05 s"]
