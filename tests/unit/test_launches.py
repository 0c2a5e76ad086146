# SPDX-License-Identifier: Apache-2.0
"""Test the presentation of launch storms on made-up trials: results, charts, conclusions and refusals."""

import errno
import math
import resource
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.analysis.summary.launches import cost_ratio, summarize_launches
from pybench.analysis.summary.series import summarize
from pybench.host.meters import HostCounts
from pybench.native import histogram_values
from pybench.native.outcome import Members, Outcome, Phase
from pybench.present.document import Document
from pybench.present.terminal.output import to_text
from pybench.present.views.launch import BLOCKS, conclusions, launch_blocks, sparkline, unsupported
from pybench.present.views.sweep import result_blocks
from pybench.results.records import Cell, Trial, varying
from pybench.run.checked_trial import evidence, figures, needs
from pybench.workloads import mount, workload
from pybench.workloads.launch import MOST_LAYERS, STRATEGIES, host_conflict, typical_ns

LAUNCH = workload("launch")
MS = 1_000_000
BASE = 20


def cell(**params: Any) -> Cell:
    threads = params.pop("threads", 2)
    full = LAUNCH.complete({"layers": 5} | params)
    return Cell(workload="launch", params=full, threads=threads, place="all", smt="on", cpus=(0, 1)[:threads])


def phase(calls: int, each_ns: int) -> Phase:
    bucket = int(abs(histogram_values() - each_ns).argmin())
    return Phase(
        calls=calls,
        operations=calls,
        wall_ns=calls * each_ns,
        max_ns=each_ns,
        histogram=[bucket, calls] if calls else [],
        cpu_operations=calls,
        cpu_ns=calls * each_ns // 2,
        cpu_wall_ns=calls * each_ns,
    )


def trial(
    of: Cell,
    span_ns: int,
    *,
    index: int = 0,
    repeat: int = 0,
    failed: int = 0,
    late: int = 0,
    note: str = "",
    peak: int = BASE + 10,
    flags: Sequence[str] = (),
    probes: int = 0,
) -> Trial:
    """Return a storm of all of the cell's containers that takes `span_ns`."""
    wanted = int(of.params["containers"])
    launched = wanted - failed
    roles: dict[str, Any] = {"role": [0, 0, 4]} if probes else {}
    count = 3 if probes else 2
    members = Members(
        cpu=[0, 1, 1][:count],
        operations=[launched - launched // 2, launched // 2, probes][:count],
        start_ns=[0] * count,
        stop_ns=[span_ns] * count,
        cpu_ns=[span_ns] * count,
        voluntary_switches=[0] * count,
        involuntary_switches=[0] * count,
        **roles,
    )
    phases = {"launch": phase(launched, span_ns // 2)}
    phases |= {name: phase(wanted, 40_000) for name in ("userns", "build", "overlay", "release", "clean")}
    if probes:
        phases["probe"] = phase(probes, 200_000)
    counters = {"launched": launched, "failed": failed, "late": late, "mount_operations": 11 * launched}
    counters |= {"syscalls": 38 * launched, "probes": probes}
    outcome = Outcome(
        status="ok",
        members=members,
        phases=phases,
        counters={name: count for name, count in counters.items() if count},
        note=note,
        timeline=[[0, BASE], [span_ns // 2, peak], [span_ns, BASE]],
        peak=peak,
        mounts_before=BASE,
        mounts_after=BASE,
    )
    return Trial(
        cell=index,
        repeat=repeat,
        sequence=repeat,
        workload="launch",
        params=of.params,
        threads=2,
        place="all",
        smt="on",
        crew="threads",
        started=1.0,
        seconds=span_ns / 1e9,
        outcome=outcome,
        figures=figures(members, phases, "launch") if launched else None,
        evidence=evidence(of, outcome, HostCounts()),
        flags=list(flags),
    )


def trials(of: Cell, spans_ms: Sequence[float], **rest: Any) -> list[Trial]:
    return [trial(of, int(ms * MS), repeat=i, **rest) for i, ms in enumerate(spans_ms)]


def cannot(of: Cell, index: int, reason: str, code: int) -> Trial:
    failed = trial(of, MS, index=index)
    return Trial(
        **{name: getattr(failed, name) for name in Trial.__struct_fields__}
        | {
            "outcome": Outcome(status="unsupported", reason=reason, errno=code),
            "figures": None,
            "evidence": None,
        }
    )


def test_a_summary_is_the_medians_of_its_clean_trials() -> None:
    of = cell(containers=10, probers=1)
    seen = trials(of, [10, 11, 12, 13, 14, 15, 16], probes=5) + trials(of, [500], flags=["steal"], probes=5)
    got = summarize_launches(of, seen)
    assert got
    assert (got.valid, got.trials) == (7, 8)
    # 10 containers in 13 ms.
    assert got.container_ns.value == pytest.approx(1.3e6)
    assert got.per_second.value == pytest.approx(10 / 13e-3)
    assert got.max_ns.value == 6.5e6
    assert got.mount_operations.value == 11
    assert got.syscalls.value == 38
    assert (got.success, got.failed, got.late, got.notes) == (1.0, 0, 0, {})
    assert (got.peak.value, got.base) == (BASE + 10, BASE)
    wall, cpu = got.phases["build"]
    assert (wall.value, cpu.value) == (40_000, 20_000)
    assert got.beside["probe"]["rate"].value == pytest.approx(5 / 13e-3)
    assert (got.probes, got.probes_late) == (35, 0)


def test_failed_and_late_launches_are_no_successes() -> None:
    of = cell(containers=10)
    seen = [
        trial(of, 10 * MS, failed=3, note="open_tree: a container: Too many open files"),
        trial(of, 10 * MS, late=2),
        trial(of, 10 * MS, failed=10, note="open_tree: a container: Too many open files"),
        trial(of, 10 * MS, failed=9, flags=["steal"]),
    ]
    got = summarize_launches(of, seen)
    assert got
    # Of 30 without a flag 13 failed and 2 were late; a trial that launched none has no time, but counts here.
    assert (got.failed, got.late, got.valid) == (13, 2, 2)
    assert got.success == pytest.approx(15 / 30)
    assert got.notes == {"open_tree: a container: Too many open files": 2}
    # Attempts that failed made no mounts, and are in the average.
    assert got.mount_operations.value == pytest.approx((7.7 + 11) / 2)


def test_a_cell_that_launched_nothing_has_no_summary() -> None:
    of = cell(containers=4)
    none = [trial(of, MS, failed=4, note="move_mount: a container: No space left on device")]
    assert summarize_launches(of, none) is None
    assert summarize_launches(of, []) is None
    text = " ".join(rendered([of], none).split())
    assert "nothing was launched" in text
    assert "1 trial failed: move_mount: a container: No space left on device" in text


def test_cost_is_time_against_time() -> None:
    slow, fast = cell(containers=10), cell(containers=10, strategy="parent")
    ratio = cost_ratio(trials(slow, [80, 81, 82, 83, 84, 85, 86]), trials(fast, [10] * 7))
    assert ratio.value == pytest.approx(8.3)
    assert ratio.low <= 8.3 <= ratio.high
    assert not cost_ratio(trials(slow, [80]), trials(fast, [10])).known


@given(
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**5)), min_size=1, max_size=200),
    st.integers(0, 10**4),
    st.integers(1, 10**5),
)
def test_a_sparkline_is_as_wide_as_asked_and_drops_nothing(
    points: list[tuple[int, int]], base: int, top: int
) -> None:
    timeline = sorted([ns, value] for ns, value in points)
    drawn = sparkline(timeline, base, top)
    assert len(drawn) == 40
    assert set(drawn) <= set(BLOCKS)
    # The highest value is in sight, and nothing is drawn where nothing rose.
    rise = max(value for _, value in timeline) - base
    assert max(BLOCKS.index(block) for block in drawn) == (
        0 if rise <= 0 else min(max(1, round(rise / top * 8)), 8)
    )


def test_a_sparkline_is_to_scale() -> None:
    timeline = [[0, 10], [10, 18], [20, 14], [30, 10], [40, 11]]
    assert sparkline(timeline, 10, 8, width=4) == " █▄▁"
    assert sparkline([[0, 10]], 10, 8, width=4) == "    "


def storm(**kwargs: Any) -> tuple[list[Cell], list[Trial]]:
    """Every strategy at 1 and 100 containers, binds the dearest."""
    cells: list[Cell] = []
    seen: list[Trial] = []
    for strategy in STRATEGIES:
        for containers in (1, 100):
            of = cell(strategy=strategy, containers=containers, probers=1)
            times = [(80 if strategy == "binds" else 10) + i / 100 for i in range(7)]
            peak = BASE + (12_345 if strategy == "binds" else 2)
            seen += trials(of, times, index=len(cells), probes=3, peak=peak, **kwargs)
            cells.append(of)
    return cells, seen


def rendered(cells: Sequence[Cell], seen: Sequence[Trial]) -> str:
    """The report as `pybench show` prints it in 80 columns."""
    return to_text(Document(result_blocks(summarize(cells, seen), cells, seen)))


def test_a_report_has_all_its_parts_in_80_columns() -> None:
    text = rendered(*storm())
    lines = text.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    header = next(i for i, line in enumerate(lines) if line.startswith("containers "))
    assert lines[header].split() == ["containers", "time", "each", "p50", "p99", "max", "success", "mounts"]
    for strategy in STRATEGIES:
        assert any(line.strip() == f"strategy={strategy}" for line in lines)
    assert sum(line.startswith("prober ") for line in lines) == len(STRATEGIES)
    assert "+12345" in text
    assert "Time of one container by phase" in text
    assert "Mount table over one storm" in text
    assert "binds takes 8 times" in text
    assert "the time of parent at 100 containers: 800us against 100us each" in " ".join(text.split())
    # Rows of tables are whole: nothing is cut off or folded.
    rows = [line for line in lines[header + 1 :] if line.strip().startswith(("1 ", "100 "))]
    assert len(rows) == 12
    assert not any("…" in line for line in lines)


def test_wide_figures_still_fit() -> None:
    of = cell(strategy="parentfd", containers=100_000)
    wild = [
        trial(of, int(ms * MS), repeat=i, peak=BASE + 99_999)
        for i, ms in enumerate((1, 9, 99, 500, 7e3, 9e4, 9e5))
    ]
    text = rendered([of], wild)
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert "100000" in text
    assert "+99999" in text


def measured(cells: Sequence[Cell], seen: Sequence[Trial]) -> tuple[list[Any], dict[int, list[Trial]]]:
    by_cell = {i: [t for t in seen if t.cell == i] for i in range(len(cells))}
    return [(i, summarize_launches(one, by_cell[i])) for i, one in enumerate(cells)], by_cell


def test_conclusions_set_each_strategy_against_parent() -> None:
    lines = conclusions(*measured(*storm()))
    assert [line.split()[0] for line in lines] == [name for name in STRATEGIES if name != "parent"]
    (binds,) = [line for line in lines if line.startswith("binds")]
    assert binds.startswith(
        "binds takes 8 times [8, 8] the time of parent at 100 containers: 800us against 100us each"
    )
    assert "probe p99 200us against 200us" in binds


def test_conclusions_of_a_file_from_before_there_were_probers_take_it_that_there_were_none() -> None:
    cells = [cell(strategy="binds", containers=5, probers=n, probe_every_ms=1) for n in (0, 1)]
    seen = [t for i, one in enumerate(cells) for t in trials(one, [10 + i] * 7, index=i)]
    older = dict(cells[0].params)
    for name in ("readers", "listers", "walkers", "probers", "table"):
        assert older.pop(name) == LAUNCH.parameter(name).default
    told = conclusions(*measured(cells, seen))
    assert told
    assert conclusions(*measured([msgspec.structs.replace(cells[0], params=older), cells[1]], seen)) == told


def test_conclusions_say_when_they_cannot_know() -> None:
    cells = [cell(strategy=name, containers=5) for name in ("binds", "parent")]
    seen = [t for i, one in enumerate(cells) for t in trials(one, [10, 11], index=i)]
    (line,) = conclusions(*measured(cells, seen))
    assert "too few trials for an interval" in line


def test_conclusions_without_parent_are_none_but_failures_are_told() -> None:
    of = cell(strategy="fds", containers=10)
    seen = [trial(of, MS, failed=2, late=1, note="open_tree(OPEN_TREE_CLONE): a container: Too many open files")]
    assert conclusions(*measured([of], seen)) == [
        "fds at 10 containers: 2 launches failed, 1 were late",
        "  open_tree(OPEN_TREE_CLONE): a container: Too many open files (first failure of 1 trials)",
    ]


def test_only_like_is_compared_with_like() -> None:
    cells = [cell(strategy="binds", containers=5, layers=9), cell(strategy="parent", containers=5, layers=2)]
    seen = [t for i, one in enumerate(cells) for t in trials(one, [10] * 7, index=i)]
    assert conclusions(*measured(cells, seen)) == []


def test_what_cannot_be_done_is_one_line_beside_what_can() -> None:
    cells = [cell(strategy=name, containers=n) for name in ("plain", "fds", "parentfd") for n in (1, 5)]
    reason = "fsconfig(FSCONFIG_SET_FD, lowerdir+): one layer of fs=tmpfs: Invalid argument"
    seen = [t for i in (0, 1) for t in trials(cells[i], [5] * 7, index=i)]
    seen += [cannot(cells[i], i, reason, errno.EINVAL) for i in (2, 3, 4, 5)]
    (line,) = unsupported(cells, {i: [t for t in seen if t.cell == i] for i in range(6)})
    assert line.startswith(f"fds, parentfd: unsupported here: {reason} (EINVAL); ")
    assert "Linux 6.13" in line
    text = " ".join(rendered(cells, seen).split())
    assert text.count("unsupported here") == 1
    assert "failed" not in text


@pytest.mark.parametrize(
    ("reason", "code", "needed"),
    [
        ("open_tree(OPEN_TREE_CLONE): x", errno.ENOSYS, "Linux 5.2"),
        ("mount_setattr(MOUNT_ATTR_IDMAP): x", errno.ENOSYS, "Linux 5.12 (of a tmpfs: 6.3)"),
        ("mount_setattr(MOUNT_ATTR_IDMAP): x", errno.EPERM, "root on the host"),
        ("mount(overlay): x", errno.EINVAL, "Linux 5.19"),
        ("fsconfig(FSCONFIG_SET_FD, lowerdir+): x", errno.EINVAL, "6.13 (lowerdir+ itself: 6.7)"),
        ("fsconfig(FSCONFIG_CMD_CREATE): x", errno.EINVAL, "Linux 6.15"),
        ("clone(CLONE_NEWUSER): x", errno.EPERM, "user.max_user_namespaces"),
        ("unshare(CLONE_NEWUSER | CLONE_NEWNS): x", errno.EPERM, "need root"),
        ("listmount: x", errno.ENOSYS, "Linux 6.8"),
        ("mount(tmpfs): x", errno.EPERM, ""),
    ],
)
def test_what_a_call_needs(reason: str, code: int, needed: str) -> None:
    assert needed in needs(Outcome(status="unsupported", tried=reason, errno=code))
    assert bool(needed) == bool(needs(Outcome(status="unsupported", tried=reason, errno=code)))


def asked(threads: int = 2, **params: Any) -> str | None:
    return host_conflict(LAUNCH.complete(params), threads)


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A host with room for anything; each test takes one thing away."""
    monkeypatch.setattr("pybench.workloads.launch.mount_limit", lambda: 100_000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**40))
    return monkeypatch


def test_there_is_nothing_against_what_fits(roomy: pytest.MonkeyPatch) -> None:
    for strategy in STRATEGIES:
        assert asked(strategy=strategy, containers=200, layers=MOST_LAYERS, passes=2) is None


def test_too_many_layers_are_refused(roomy: pytest.MonkeyPatch) -> None:
    said = asked(layers=501)
    assert said == "layers=501: overlay takes at most 500 lower layers; lower --layers"


def test_mounts_beyond_the_limit_are_refused_with_the_sysctl(roomy: pytest.MonkeyPatch) -> None:
    roomy.setattr("pybench.workloads.launch.mount_limit", lambda: 5_000)
    needed = 10 * 301 + mount.OWN_MOUNTS
    assert asked(10, strategy="binds", layers=300) == (
        f"it needs {needed} mounts and fs.mount-max is 5000; raise it: sysctl fs.mount-max={needed}"
    )
    assert asked(10, strategy="parent", layers=300) is None
    for params in ({"table": 4_000}, {"keep": "yes", "containers": 4_000}):
        assert "sysctl fs.mount-max=" in str(asked(strategy="plain", **params))
    roomy.setattr("pybench.workloads.launch.mount_limit", lambda: None)
    assert asked(10, strategy="binds", layers=300) is None


def test_descriptors_beyond_the_limit_are_refused_with_the_ulimit(roomy: pytest.MonkeyPatch) -> None:
    roomy.setattr(resource, "getrlimit", lambda _: (256, 1000))
    for strategy in ("fds", "parentfd"):
        said = str(asked(4, strategy=strategy, layers=300))
        assert said == "it needs 1296 open files and the hard limit is 1000; raise it: ulimit -Hn 1296"
    assert asked(4, strategy="binds", layers=300) is None


def test_memory_beyond_what_is_available_is_refused(roomy: pytest.MonkeyPatch) -> None:
    roomy.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30))
    said = str(asked(strategy="binds", layers=100, files=10_000))
    assert said == ("its tmpfs needs 4.8 GiB of 1.0 GiB available; lower files or containers, or use --fs DIR")
    assert asked(strategy="binds", layers=100, files=10_000, fs="/var/tmp") is None
    # Copies count: of what is under way, or of all if they are kept.
    assert asked(strategy="chown", layers=50, files=100, containers=50) is None
    assert "GiB" in str(asked(strategy="chown", layers=50, files=100, containers=50, keep="yes"))


def test_every_refusal_is_one_line(roomy: pytest.MonkeyPatch) -> None:
    roomy.setattr("pybench.workloads.launch.mount_limit", lambda: 1)
    assert "\n" not in str(asked(layers=501))
    assert "\n" not in str(asked())


def test_what_is_typical_grows_with_the_work_and_keeps_the_rate() -> None:
    def typical(threads: int = 1, **params: Any) -> int:
        return typical_ns(LAUNCH.complete(params), threads)

    for strategy in STRATEGIES:
        assert typical(strategy=strategy, containers=200) == 2 * typical(strategy=strategy, containers=100)
        assert typical(strategy=strategy, passes=2) == 2 * typical(strategy=strategy)
        assert typical(2, strategy=strategy) < typical(strategy=strategy)
    assert typical(strategy="binds") > typical(strategy="parent")
    assert typical(strategy="chown", files=9) == 9 * typical(strategy="chown")
    assert typical(arrival="rate:10", containers=100) == 10 * 10**9


def test_a_report_of_one_strategy_says_its_name_nowhere_twice() -> None:
    of = [cell(strategy="parent", containers=n) for n in (1, 5)]
    seen = [t for i, one in enumerate(of) for t in trials(one, [10] * 7, index=i)]
    text = to_text(Document(launch_blocks(of, seen, "strategy=parent", varying(of))))
    assert text.count("parent") == 1
    assert not math.isnan(cost_ratio(seen, seen).value)
