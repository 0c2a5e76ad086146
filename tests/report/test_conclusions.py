# SPDX-License-Identifier: Apache-2.0
"""A report's first lines: who is called best, worst, cheapest, and what is said of the control."""

import pytest

pytest.importorskip("altair")
import msgspec

from pybench.native.outcome import Members, Phase
from pybench.present.loaded import load
from pybench.present.report.conclusions import Conclusion, conclude
from pybench.results.store import Results
from tests.unit.synthetic import cell, noisy, results, trial


def said(file: Results) -> list[Conclusion]:
    return conclude(load([file]), [])


def ranking(factors: list[float], trials: int = 10) -> Conclusion:
    locks = ["ticket", "mcs", "ttas", "clh"][: len(factors)]
    cells = [cell("spin", lock=lock, threads=2, cpus=(0, 1)) for lock in locks]
    return said(noisy("a.jsonl", cells, factors=factors, trials=trials))[0]


def test_one_that_is_ahead_of_all_others_is_best() -> None:
    found = ranking([3.0, 1.0, 2.0])
    assert "ticket (2.99M" in found.text and "is best" in found.text
    assert "mcs (" in found.text and "the worst of 3" in found.text


def test_the_best_is_not_picked_among_equals_but_the_worst_is_named() -> None:
    found = ranking([3.0, 3.01, 1.0])
    assert "which is best is uncertain" in found.text
    assert "ticket (" in found.text.split("may be equal")[0] and "mcs (" in found.text.split("may be equal")[0]
    assert "ttas (993k" in found.text and "is worst" in found.text
    assert "is best," not in found.text


def test_the_worst_is_not_picked_among_equals() -> None:
    found = ranking([3.0, 1.0, 1.01])
    assert "ticket (" in found.text and "is best" in found.text
    assert "the least of 3" in found.text and "worst" not in found.text
    both = ranking([2.0, 2.01, 1.0, 1.01])
    assert "neither the best nor the worst of 4 is certain" in both.text


@pytest.mark.parametrize(("trials", "words"), [(10, "not enough evidence that"), (4, "too few valid trials")])
def test_equals_and_few_trials_are_caveats(trials: int, words: str) -> None:
    found = ranking([1.0, 1.01], trials)
    assert words in found.text
    assert found.kind == "caveat"


@pytest.mark.parametrize(
    ("gain", "noise", "kind", "words"),
    [
        (2.0, 0.01, "control", "the locks', not the host's"),
        (1.2, 0.01, "caveat", "does not: the host is busy"),
        (1.6, 0.2, "caveat", "is uncertain"),
    ],
)
def test_the_control_speaks_by_its_interval(gain: float, noise: float, kind: str, words: str) -> None:
    cells = [cell("stat", threads=n, cpus=tuple(range(n))) for n in (1, 2)]
    file = noisy("a.jsonl", [*cells, cell("spin")], factors=[1.0, gain, 1.0], noise=noise)
    (control,) = [one for one in said(file) if one.text.startswith("Control")]
    assert control.kind == kind
    assert words in control.text


def storms(rates: dict[tuple[str, int], float]) -> Results:
    """Launches: (strategy, layers) -> containers a second, give or take a little."""
    cells = [cell("launch", strategy=s, layers=n, containers=10, threads=2, cpus=(0, 1)) for s, n in rates]
    members = Members(
        cpu=[0, 1], operations=[5, 5], start_ns=[0, 0], stop_ns=[9, 9], cpu_ns=[9, 9],
        voluntary_switches=[0, 0], involuntary_switches=[0, 0],
    )  # fmt: skip
    empty = Phase(calls=0, operations=0, wall_ns=0, max_ns=0, histogram=[])
    made = []
    for index, (of, rate) in enumerate(zip(cells, rates.values(), strict=True)):
        for repeat in range(10):
            one = trial(index, of, rate * (1 + 0.002 * repeat), repeat=repeat, launched=10)
            phases = dict.fromkeys(("userns", "build", "overlay", "release", "clean"), empty)
            outcome = msgspec.structs.replace(one.outcome, members=members, phases=one.outcome.phases | phases)
            made.append(msgspec.structs.replace(one, outcome=outcome))
    return results("storm.jsonl", cells, made)


def test_launches_are_ranked_among_their_like() -> None:
    file = storms({("plain", 5): 900.0, ("binds", 5): 300.0, ("plain", 50): 90.0, ("parent", 50): 90.5})
    texts = [one.text for one in said(file) if one.text.startswith("launch of")]
    assert len(texts) == 2
    assert "layers=5:" in texts[0] and "plain (" in texts[0] and "is best, 3 times" in texts[0]
    assert "layers=50:" in texts[1] and "not enough evidence" in texts[1]
