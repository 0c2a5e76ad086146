# SPDX-License-Identifier: Apache-2.0
"""Test which pairs are measured, what becomes of invalid trials, and how a matrix is shown, on known hosts."""

import functools
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench.analysis.summary.transfer_matrix import axis, matrix
from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Topology
from pybench.native.outcome import Outcome
from pybench.present.terminal.output import to_text
from pybench.present.views.transfers import Levels, transfers
from pybench.results.latency_file import PairTrial, TransferFile, TransferPlan, read_transfers
from pybench.results.latency_summary import pair_latencies, summarize
from pybench.run.line_transfers import (
    TransferRun,
    expected_ns,
    order_of_round,
    pairs_by_class,
    plan_transfers,
    sample,
    spread,
)
from tests.unit.topologies import MACHINES, Host, server
from tests.unit.transfer_files import NS, calm, file_of, header_of, outcome, topology_of, write_file

SECOND = 10**9


def m7a() -> Host:
    """Two sockets of 96 cores, 8 to an L3."""
    return server(2, 96, 1, cores_per_l3=8)


LARGE = ["r5_metal", "milan", "arm_server", "four_sockets", m7a]


@pytest.mark.parametrize("machine", MACHINES)
def test_classes_share_out_all_pairs(machine: str) -> None:
    topology = topology_of(machine)
    cpus = [cpu.number for cpu in topology.usable]
    pairs = [pair for one in pairs_by_class(topology, cpus).values() for pair in one]
    assert len(pairs) == len(set(map(frozenset, pairs))) == math.comb(len(cpus), 2)


def test_a_small_host_is_measured_whole() -> None:
    topology = topology_of("interleaved")
    plan = plan_transfers(topology, range(8), methods=("cas",))
    assert len(plan.pairs) == 28 and not plan.sampled and plan.rounds == 7


@pytest.mark.parametrize("machine", LARGE)
def test_a_large_host_is_sampled_within_the_budget(machine: str) -> None:
    plan = header_of(topology_of(machine)).plan
    assert plan.sampled and plan.rounds == 3
    assert 0.9 * 60 * SECOND < expected_ns(plan) <= 60 * SECOND
    taken = Counter(t.distance for t in file_of(topology_of(machine), rounds=1, methods=("cas",)).trials)
    assert set(taken) == set(plan.pairs_there)
    every = plan_transfers(topology_of(machine), plan.cpus, every_pair=True)
    assert len(every.pairs) == math.comb(len(plan.cpus), 2) and not every.sampled


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 100), st.integers())
def test_a_sample_is_even_over_classes(sizes: list[int], most: int, seed: int) -> None:
    names = ("smt", "l3", "socket", "cross-socket")
    named = zip(names, sizes, strict=False)
    classes = {name: [(i, 1000 + n) for n in range(size)] for i, (name, size) in enumerate(named)}
    picked = sample(classes, most, random.Random(seed))  # type: ignore[arg-type]
    assert len(set(picked)) == len(picked) <= max(most, len(classes))
    assert len(picked) >= min(most, sum(sizes))
    taken = Counter(a for a, _ in picked)
    assert all(taken[i] >= 1 for i in range(len(classes)))
    # No class gets fewer pairs than another, unless it has fewer.
    for i, size in enumerate(classes.values()):
        assert taken[i] == len(size) or taken[i] >= max(taken.values()) - 1


def test_rounds_hold_every_pair_once_in_an_order_of_their_own() -> None:
    plan = header_of(topology_of("interleaved"), rounds=3).plan
    orders = [order_of_round(plan, n) for n in range(3)]
    assert all(sorted(order) == sorted((m, p) for p in plan.pairs for m in plan.methods) for order in orders)
    assert orders[0] != orders[1] and orders == [order_of_round(plan, n) for n in range(3)]


def test_two_cpus_are_the_least() -> None:
    with pytest.raises(UnsupportedError, match="needs two CPUs"):
        plan_transfers(topology_of("one_cpu"), [0])
    with pytest.raises(UsageError, match="placement '3' gives one"):
        plan_transfers(topology_of("interleaved"), [3], place="3")
    with pytest.raises(UsageError, match="choose from cas, store, lines"):
        plan_transfers(topology_of("interleaved"), [0, 1], methods=("cas", "telepathy"))


def small(**how: Any) -> tuple[TransferPlan, Topology]:
    return header_of(topology_of("small_vm"), methods=("cas",), **how).plan, topology_of("small_vm")


def test_a_invalid_measurement_is_kept_marked_and_done_again() -> None:
    plan, topology = small(rounds=2)
    answers = iter([outcome((0, 1), 900.0, off_cpu=0.2), outcome((0, 1), 50.0), outcome((0, 1), 52.0)])
    trials = list(TransferRun(plan, topology, lambda _: next(answers), calm).trials())
    assert [(t.round, t.attempt, t.flags) for t in trials] == [(0, 0, ["off-cpu"]), (0, 1, []), (1, 0, [])]
    (figure,) = pair_latencies(trials, "cas")
    assert figure.transfer_ns.value == 51.0 and figure.invalid == 1


def test_a_pair_that_never_comes_out_clean_has_no_figure() -> None:
    plan, topology = small(rounds=2)
    failed = Outcome(status="failed", reason="running: member 1 was killed by signal 9")
    trials = list(TransferRun(plan, topology, lambda _: failed, calm).trials())
    assert len(trials) == 2 * plan.tries
    assert summarize(trials, "cas").classes == ()
    assert summarize(trials, "cas").transfer_ns("l3") is None


@pytest.mark.parametrize("machine", ["r5_metal", m7a])
def test_classes_tell_what_was_put_in(machine: str) -> None:
    file = file_of(topology_of(machine))
    for method, factor in (("cas", 1.0), ("store", 1.8)):
        told = summarize(file.trials, method)
        assert {one.distance for one in told.classes} == set(file.header.plan.pairs_there)
        for one in told.classes:
            true = NS[one.distance] * factor
            assert one.median_ns.low <= one.median_ns.value <= one.median_ns.high
            assert one.median_ns.value == pytest.approx(true, rel=0.05)
            assert 0.949 * true <= one.p5_ns <= one.p95_ns <= 1.051 * true


@pytest.mark.parametrize("machine", [*MACHINES, m7a])
@pytest.mark.parametrize("most", [1, 2, 7, 24, 70, 300])
def test_groups_hold_every_cpu_once_and_fit(machine: str, most: int) -> None:
    topology = topology_of(machine)
    cpus = [cpu.number for cpu in topology.usable]
    rows = axis(topology, cpus, most)
    assert sorted(cpu for group in rows.groups for cpu in group) == sorted(cpus)
    assert len(rows.groups) <= most
    assert len(rows.groups) == len(rows.sockets) == len(set(rows.names))
    if rows.of != "group of CPUs":
        known = topology.by_number()
        assert all(len({known[cpu].socket for cpu in group}) == 1 for group in rows.groups)


@pytest.mark.parametrize("machine", ["interleaved", "cpuset_v1", "hybrid"])
def test_a_matrix_of_cpus_holds_each_pair_twice_and_nothing_else(machine: str) -> None:
    file = file_of(topology_of(machine), rounds=1, every_pair=True, methods=("cas",))
    rows = axis(file.topology, file.header.plan.cpus, 300)
    values = matrix(rows, pair_latencies(file.trials, "cas"))
    assert np.array_equal(values, values.T, equal_nan=True)
    assert np.isnan(np.diag(values)).all()
    place = {group[0]: index for index, group in enumerate(rows.groups)}
    for trial in file.trials:
        assert values[place[trial.cpus[0]], place[trial.cpus[1]]] == trial.transfer_ns
    assert np.isfinite(values).sum() == 2 * len(file.trials)


@given(st.lists(st.floats(0.5, 1e9), min_size=1, max_size=30))
def test_levels_hold_every_value_within_their_bounds(values: list[float]) -> None:
    levels = Levels(np.array(values))
    assert 1 <= levels.count <= 9
    for value in values:
        low, high = levels.bounds(levels.of(value))
        assert low * (1 - 1e-6) <= value <= high * (1 + 1e-6)


def printed(file: TransferFile, width: int = 80) -> list[str]:
    return to_text(transfers(file, width), width).splitlines()


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("machine", ["small_vm", "cpuset_v1", "interleaved", *LARGE])
def test_a_heat_map_never_wraps(machine: str, width: int) -> None:
    file = file_of(topology_of(machine), methods=("cas",), rounds=1)
    lines = printed(file, width)
    assert max(map(len, lines)) <= width
    sizes = [len(one) for one in axis(file.topology, file.header.plan.cpus, 1000).groups]
    first = next(i for i, line in enumerate(lines) if line.split()[:1] == [str(file.header.plan.cpus[0])])
    rows = [line for line in lines[first:] if line.strip()][: len(sizes)]
    # The first row has a mark or a value for every column.
    assert len(rows[0]) > 3


def test_a_full_map_of_96_cpus_has_a_row_a_core_and_shows_the_sockets() -> None:
    lines = printed(file_of(topology_of("r5_metal"), methods=("cas",), rounds=1, every_pair=True))
    rows = [line.split() for line in lines if len(line.split()) == 3 and line.split()[0].isdigit()]
    assert [row[0] for row in rows] == [str(core) for core in range(48)]
    assert {len(half) for row in rows for half in row[1:]} == {24}
    assert all(rows[core][1 + core // 24][core % 24] == "1" for core in range(48))  # its sibling
    assert all(set(rows[core][2 - core // 24]) == {"9"} for core in range(48))  # the other socket


def test_what_was_left_out_is_said() -> None:
    text = " ".join(" ".join(printed(file_of(topology_of("r5_metal")))).split())
    assert "500 of 4560 pairs were measured" in text and "--all takes about" in text


def test_pairs_whose_rounds_disagree_are_named() -> None:
    plan, topology = small(rounds=6)
    answers = iter([outcome((0, 1), ns) for ns in (25, 26, 25, 120, 26, 25)])
    trials = list(TransferRun(plan, topology, lambda _: next(answers), calm).trials())
    file = file_of(topology, methods=("cas",))
    text = " ".join(" ".join(printed(msgspec.structs.replace(file, trials=trials))).split())
    assert "Rounds of 1 pair differ more than 2 times (CPUs 0 and 1 by cas: 25.0ns to 120ns)" in text
    assert "differ more than" not in " ".join(printed(file))


def test_strings_of_a_file_cannot_drive_the_terminal() -> None:
    file = file_of(topology_of("small_vm"), methods=("cas",))
    evil = "\x1b]0;owned\x07[bold]" + 200 * "x"
    host = {"name": evil, "cpu": {"model": evil}, "kernel": "none", "hypervisor": None}
    trials = [msgspec.structs.replace(t, flags=[evil], reason=evil) for t in file.trials]
    header = msgspec.structs.replace(file.header, host=host)
    lines = printed(msgspec.structs.replace(file, header=header, trials=trials))
    assert "\x1b" not in "".join(lines) and "[bold]" in "".join(lines)
    assert max(map(len, lines)) <= 80


def test_a_file_is_read_back_as_it_was(tmp_path: Path) -> None:
    file = file_of(topology_of("interleaved"), rounds=2, methods=("cas", "lines"))
    path = write_file(tmp_path / "l.jsonl", file.header, file.trials)
    again = read_transfers(path)
    assert again.header.plan == file.header.plan and again.trials == file.trials
    assert printed(again) == printed(file)
    assert summarize(again.trials, "lines") == summarize(file.trials, "lines")


@functools.cache
def good_bytes() -> bytes:
    """A whole file, the same each time it is asked for."""
    file = file_of(topology_of("small_vm"), methods=("cas",))
    return b"".join(msgspec.json.encode(record) + b"\n" for record in (file.header, *file.trials, *file.ends))


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "l.jsonl"
    good = bytearray(good_bytes())
    at = data.draw(st.integers(0, len(good) - 1))
    good[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    path.write_bytes(good)
    try:
        printed(read_transfers(path))
    except UsageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpus": (0, 5)}, "is not in its plan"),
        ({"method": "store"}, "is not in its plan"),
        ({"transfer_ns": -1.0}, "a transfer time that is not above 0"),
        ({"transfer_ns": 0.0}, "a transfer time that is not above 0"),
    ],
)
def test_records_that_do_not_fit_the_plan_are_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = file_of(topology_of("small_vm"), methods=("cas",))
    bad: PairTrial = msgspec.structs.replace(file.trials[0], **change)
    with pytest.raises(UsageError, match=said):
        read_transfers(write_file(tmp_path / "l.jsonl", file.header, [bad]))


def test_a_chart_has_a_square_for_each_pair_both_ways_and_no_markup_of_others(tmp_path: Path) -> None:
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    from pybench.api.report import write_chart
    from pybench.present.charts.transfers import transfers_picture

    file = file_of(topology_of("cpuset_v1"), rounds=1)
    host = file.header.host | {"name": "<script>alert(1)</script>\x1b"}
    file = msgspec.structs.replace(file, header=msgspec.structs.replace(file.header, host=host))
    panels = transfers_picture(file).to_dict()["hconcat"]
    assert [panel["title"]["text"] for panel in panels] == ["cas", "store"]
    write_chart(file, tmp_path / "heat.svg")
    svg = (tmp_path / "heat.svg").read_text()
    assert "<script>" not in svg and "&lt;script&gt;" in svg and "\x1b" not in svg
    assert svg.count('aria-roledescription="rect mark"') == 2 * 12
    write_chart(file, tmp_path / "heat.png")
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
def test_percentiles_are_as_numpys(values: list[float]) -> None:
    assert spread(values) == pytest.approx(np.percentile(values, (5, 50, 95)))
