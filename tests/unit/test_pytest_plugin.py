# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin on made-up trials: what passes, what is inconclusive, what is skipped, what is recorded."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import scipy.stats

from pybench import native
from pybench.host.meters import HostCounts, HostMeter
from pybench.native.outcome import Members, Outcome, Phase, TrialSpec
from pybench.pytest_plugin import sweeps

pytest_plugins = ["pytester"]
# A run in this process would import modules that cannot be imported twice after its end.
IMPORTED_BEFORE = (scipy.stats, sweeps)
SPAN_NS = 100_000_000
RATES = {"ticket": 1000, "mcs": 2000}
ONE = """
    import pytest

    @pytest.mark.sweep(workload="spin", lock=["ticket", "mcs"], threads=[1, 500], smt=["on", "off"])
    def test_lock(sweep): assert sweep.ratio(lock="mcs", over="ticket", threads=1, smt="on").low > {bound}

    def test_ordinary(): pass
"""


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Trials whose mcs does twice what ticket does; with the share of them that is off its CPU."""
    calls = {"n": 0, "every": 0}

    def run(spec: TrialSpec) -> Outcome:
        calls["n"] += 1
        invalid = calls["every"] and calls["n"] % calls["every"] == 0
        n = len(spec.cpus)
        rate = RATES[str(spec.params["lock"])] + calls["n"] % 3
        members = Members(
            cpu=list(spec.cpus),
            operations=[rate] * n,
            start_ns=[0] * n,
            stop_ns=[SPAN_NS] * n,
            cpu_ns=[SPAN_NS // 2 if invalid else SPAN_NS] * n,
            voluntary_switches=[0] * n,
            involuntary_switches=[0] * n,
        )
        phase = Phase(calls=10, operations=10, wall_ns=1000, max_ns=100, histogram=[100, 10])
        return Outcome(status="ok", members=members, phases={"operation": phase})

    def spoil(every: float) -> None:
        calls["every"] = int(every)

    monkeypatch.setattr(native, "run_trial", run)
    monkeypatch.setattr(HostMeter, "around", lambda _: HostCounts())
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    return spoil


def test_without_the_option_nothing_is_measured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ONE.format(bound=1.9))
    result = pytester.runpytest_inprocess("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*add --benchmark*"])


def test_each_cell_is_a_benchmark_with_the_cores_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ONE.format(bound=1.9))
    result = pytester.runpytest_inprocess("--benchmark", "--benchmark-json=out.json", "--benchmark-results=kept")
    result.assert_outcomes(passed=2)
    saved = {b["name"]: b for b in json.loads((pytester.path / "out.json").read_text())["benchmarks"]}
    # 500 threads are left out, and SMT off too where there are no siblings.
    assert {b["params"]["lock"] for b in saved.values()} == {"ticket", "mcs"}
    assert all(b["group"].startswith("spin: ") and "lock" in b["group"] for b in saved.values())
    for b in saved.values():
        expected = SPAN_NS / 1e9 / RATES[b["params"]["lock"]]
        assert b["stats"]["median"] == pytest.approx(expected, rel=0.01)
        info = b["extra_info"]
        assert info["place"] == "single-socket" and info["flags"] == {} and info["inconclusive"] == ""
        assert info["ns_per_operation"]["low"] <= expected * 1e9 * 1.01
    kept = list((pytester.path / "kept").glob("*.jsonl"))
    assert len(kept) == 1


def test_an_assertion_that_does_not_hold_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ONE.format(bound=2.5))
    pytester.runpytest_inprocess("--benchmark").assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("bound", [0.1, 2.5])
def test_flagged_trials_are_neither_green_nor_red(
    pytester: pytest.Pytester, made_up: Callable[[float], None], bound: float
) -> None:
    made_up(2)
    pytester.makepyfile(ONE.format(bound=bound))
    result = pytester.runpytest_inprocess("--benchmark")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*inconclusive, neither passed nor failed*", "*off-cpu*"])
    pytester.runpytest_inprocess("--benchmark", "--benchmark-strict").assert_outcomes(passed=1, failed=1)


def test_a_flagged_trial_that_clean_ones_made_up_for_is_told_and_no_harm(
    pytester: pytest.Pytester, made_up: Callable[[float], None]
) -> None:
    made_up(9)
    pytester.makepyfile(ONE.format(bound=1.9))
    pytester.runpytest_inprocess("--benchmark", "--benchmark-json=out.json").assert_outcomes(passed=2)
    told = [b["extra_info"] for b in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]
    assert any(info["flags"] for info in told)
    for info in told:
        assert info["valid"] >= 6 and info["trials"] == info["valid"] + sum(info["flags"].values())


@pytest.mark.parametrize("bound", [0.1, 2.5])
def test_too_few_clean_trials_are_neither_green_nor_red(pytester: pytest.Pytester, bound: float) -> None:
    pytester.makepyfile(ONE.format(bound=bound).replace("threads=[1, 500]", 'threads=[1], budget="1us"'))
    result = pytester.runpytest_inprocess("--benchmark")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*inconclusive, neither passed nor failed*", "*6 are needed*budget*"])


def test_xdist_workers_refuse(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ONE.format(bound=0.1))
    result = pytester.runpytest_subprocess("--benchmark", "-n", "2", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*pytest-xdist*-n 0*"])


def test_what_this_host_lacks_is_skipped_with_the_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.sweep(workload="spin", threads=[4000])
        def test_none(sweep): assert False

        @pytest.mark.sweep(workload="spin", threads=[1, 4000])
        def test_asked(sweep): assert sweep.ratio(threads=4000, over=1).low > 9

        @pytest.mark.sweep(workload="spin", lock="typo", threads=[1])
        def test_wrong(sweep): pass
        """
    )
    result = pytester.runpytest_inprocess("--benchmark", "-rs")
    result.assert_outcomes(skipped=2, errors=1)
    result.stdout.fnmatch_lines(["*threads=4000*CPU*"])


def test_without_pytest_benchmark_one_line_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ONE.format(bound=0.1))
    result = pytester.runpytest_subprocess("--benchmark", "-p", "no:benchmark")
    result.stderr.fnmatch_lines(["*--benchmark needs pytest-benchmark: pip install pytest-benchmark*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_plugin_and_the_package_import_nothing_heavy() -> None:
    words = [sys.executable, "-c", "import sys, pybench, pybench.pytest_plugin; print(*sys.modules)"]
    loaded = subprocess.run(words, text=True, capture_output=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "msgspec", "click", "rich", "pybench.native"} & set(loaded)
