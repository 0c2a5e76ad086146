# SPDX-License-Identifier: Apache-2.0
"""Machine files: those that are shipped, what is refused and in which words, and what is written and read back."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench import native
from pybench.errors import UsageError
from pybench.host.topology import distances
from pybench.placement import place
from pybench.simulator.calibration.calibrate import ascending
from pybench.simulator.calibration.core import made_of
from pybench.simulator.calibration.trials import measured
from pybench.simulator.draws import draw, uncertain
from pybench.simulator.machine import CpuPlace, Machine, Number, Shape, grid, sim_threads
from pybench.simulator.machine_file import load_machine, read_machine, shipped, to_toml

GOOD = shipped()["r5.metal"].read_text()
SHAPES = {  # what the machines are, as their makers say: CPUs, sockets, cores, L3 caches
    "r5.metal": (96, 2, 48, 2),
    "m7i.metal-24xl": (96, 1, 48, 1),
    "m7i.metal-48xl": (192, 2, 96, 2),
    "m7a.24xlarge": (96, 1, 96, 12),
    "haswell-ex-4s": (144, 4, 72, 4),
    "epyc-256": (256, 2, 128, 16),
    "c6a.metal": (192, 2, 96, 12),
    "graviton3": (64, 1, 64, 1),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shipped_machines_are_what_they_are_called(name: str) -> None:
    machine = load_machine(name)
    topology = machine.topology()
    found = len(topology.cpus), len(topology.sockets), len(topology.cores), len(topology.l3_domains)
    assert found == SHAPES[name]
    assert machine.name == name


@pytest.mark.parametrize("name", shipped())
def test_every_number_says_where_it_is_from(name: str) -> None:
    for key, number in load_machine(name).numbers().items():
        assert number.low <= number.value <= number.high, key
        assert number.source.strip(), key
        if number.assumed:
            assert number.low < number.high, f"{key} is assumed and has no range"
            assert number.source.startswith("assumed: "), key


@pytest.mark.parametrize("name", shipped())
def test_all_placements_and_distances_work_on_every_machine(name: str) -> None:
    machine = load_machine(name)
    topology, known = machine.topology(), set(machine.transfer)
    for words in ("all", "single-socket", "socket:0 scatter", "l3:0", "core:0,1", "node:0 siblings-first smt:off"):
        chosen = place(topology, words)
        for row in distances(topology, chosen.cpus[:40]):
            assert all(one == "same-cpu" or known & {one, "socket" if one == "l3" else one} for one in row)
        assert len(sim_threads(topology, chosen.cpus)) == len(chosen.cpus)
    if len(topology.sockets) > 1:
        assert len(place(topology, "dual-socket smt:off").cpus) * topology.threads_per_core == len(
            place(topology, "dual-socket").cpus
        )


WRONG = {
    "negative": (("value = 47, low = 43", "value = -47, low = -50"), "transfer.socket.median.value is -47"),
    "range": (("value = 47, low = 43, high = 53", "value = 47, low = 48, high = 53"), "must ascend"),
    "percentiles": (
        ("median = { value = 47, low = 43, high = 53 }", "median = { value = 97, low = 93, high = 99 }"),
        "transfer.socket has values p5=43 median=97 p95=51; they must ascend",
    ),
    "unknown key": (("pause_ns =", "paus_ns ="), "core.paus_ns is not known; did you mean pause_ns?"),
    "unknown table": (("[scheduler]", "[sheduler]"), "sheduler is not known; did you mean scheduler?"),
    "missing number": (("atomic_ns =", "#"), "core.atomic_ns is missing"),
    "missing high": (("low = 11.4, high = 17.6,", "low = 11.4,"), "pause_ns.high is missing"),
    "bare number": (("sockets = 2", "sockets = 2.5"), "shape.sockets is 2.5; it must be a whole number"),
    "a million CPUs": (("cores_per_socket = 24", "cores_per_socket = 250000"), "CPUs; at most 4,096 are"),
    "no sockets": (("sockets = 2\n", "sockets = 0\n"), "shape.sockets is 0; it must be a whole number, 1 or more"),
    "does not divide": (("l3_per_socket = 1", "l3_per_socket = 5"), "l3_per_socket = 5 does not divide"),
    "numbering": (('"cores-first"', '"core-first"'), "did you mean cores-first?"),
    "service": (('kind = "central"', 'kind = "centre"'), "service.kind is 'centre'; did you mean central?"),
    "format": (("format = 1", "format = 9"), "format is 9; this pybench reads format = 1"),
    "no transfer": (("[transfer.cross-socket]", "[transfer.l3]"), "transfer.cross-socket is missing"),
    "not finite": (("value = 13.5", "value = nan"), "core.pause_ns.value is nan; it must be a number"),
    "infinite": (("value = 13.5", "value = inf"), "core.pause_ns.value is inf; it must be a number"),
    "a truth": (("value = 13.5", "value = true"), "core.pause_ns.value is True; it must be a number"),
    "huge": (("value = 13.5, low = 11.4, high = 17.6", "value = 1e9, low = 1e9, high = 1e9"), "at most 100000"),
    "slowdown": (("value = 1.4, low = 1.1", "value = 0.4, low = 0.1"), "value is 0.4; it must be 1 or more"),
    "not TOML": (("[shape]", "[shape"), "is not TOML"),
    "a list": (("[shape]\n", "[[shape]]\n"), "shape must be a table"),
    "no title": (("title =", "#"), "title is missing"),
    "long": (('name = "r5.metal"', f'name = "{"x" * 400}"'), "name must be one line"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_one_clear_line(what: str, tmp_path: Path) -> None:
    (old, new), said = WRONG[what]
    assert old in GOOD, "the test's own text is out of date"
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError) as refused:
        read_machine(path)
    message = str(refused.value)
    assert said in message
    assert message.startswith(str(path))
    assert "\n" not in message


@pytest.mark.parametrize(("source", "said"), [("assumed", "without a reason"), ("", "source is missing")])
def test_a_number_without_a_source_is_refused(source: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(re.sub(r'(pause_ns = .*source = ")[^"]*"', rf'\g<1>{source}"', GOOD))
    with pytest.raises(UsageError, match=said):
        read_machine(path)


def test_an_assumed_number_needs_a_range(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(re.sub(r"value = 1\.4, low = 1\.1, high = 1\.9", "value = 1.4, low = 1.4, high = 1.4", GOOD))
    with pytest.raises(UsageError, match=r"core\.smt_slowdown is assumed without a range"):
        read_machine(path)


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    makers: tuple[Callable[[Path], object], ...] = (
        Path.mkdir,
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_text("a = 1"),
    )
    for make in makers:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.toml"
        make(path)
        with pytest.raises(UsageError) as refused:
            load_machine(path)
        assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match=r"cannot read .*none\.toml: No such file"):
        load_machine(tmp_path / "none.toml")
    with pytest.raises(UsageError, match=r"no machine 'r5\.metl'; did you mean r5\.metal\?"):
        load_machine("r5.metl")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
@settings(max_examples=60)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    # In memory: a path that reads as this text.
    class Text(type(Path())):  # type: ignore[misc]
        def read_bytes(self) -> bytes:
            return text.encode()

    with pytest.raises(UsageError) as refused:
        read_machine(Text("any.toml"))
    assert str(refused.value).count("\n") == 0 or "is not TOML" in str(refused.value)


def _number(cuts: tuple[float, float, float], source: str) -> Number:
    low, value, high = sorted(cuts)
    return Number(value, low, high, source)


numbers = st.builds(
    _number,
    st.tuples(*[st.floats(1.5, 9.5)] * 3),
    st.sampled_from(["measured: somewhere", 'it said "yes"\\n', "é — ü"]),
)


BOUNDED = ("core.atomic_overlap", "core.migratory", "core.jitter", "scheduler.timeslice_ns")


@given(data=st.data())
@settings(max_examples=20)
def test_what_is_written_is_read_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = load_machine(data.draw(st.sampled_from(sorted(shipped()))))
    times = {name: number if name in BOUNDED else data.draw(numbers) for name, number in base.times.items()}
    machine = msgspec.structs.replace(
        base, times=times, title=data.draw(st.sampled_from(["a", 'a "b" \\ c', "ü"]))
    )
    path = tmp_path_factory.mktemp("machine") / "m.toml"
    path.write_text(to_toml(machine), encoding="utf-8")
    again = read_machine(path)
    assert msgspec.structs.replace(again, digest="") == msgspec.structs.replace(machine, digest="")


def test_listed_cpus_keep_gaps_and_unknown_caches(tmp_path: Path) -> None:
    shape = Shape(
        cpus=(CpuPlace(0, 0, 0, -1, 0), CpuPlace(4, 0, 0, -1, 1), CpuPlace(9, 1, 1, -1, 2)), source="here"
    )
    machine = msgspec.structs.replace(load_machine("r5.metal"), shape=shape)
    path = tmp_path / "m.toml"
    path.write_text(to_toml(machine))
    topology = read_machine(path).topology()
    assert [cpu.number for cpu in topology.cpus] == [0, 4, 9]
    assert {cpu.l3 for cpu in topology.cpus} == {None}
    assert len(topology.sockets) == 2


@given(
    st.integers(1, 4), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4),
    st.sampled_from(["cores-first", "siblings-adjacent", "sockets-alternate"]),
)  # fmt: skip
def test_a_grid_is_regular_however_it_is_numbered(
    sockets: int, nodes: int, l3s: int, each: int, threads: int, numbering: str
) -> None:
    cores = nodes * l3s * each
    cpus = grid(sockets, nodes, l3s, cores, threads, numbering)  # type: ignore[arg-type]
    assert [cpu.number for cpu in cpus] == list(range(sockets * cores * threads))
    by_core: dict[int, set[tuple[int, int, int]]] = {}
    for cpu in cpus:
        by_core.setdefault(cpu.core, set()).add((cpu.socket, cpu.node, cpu.l3))
    assert len(by_core) == sockets * cores
    assert all(len(where) == 1 for where in by_core.values())
    per_l3 = {l3: sum(cpu.l3 == l3 for cpu in cpus) for l3 in {cpu.l3 for cpu in cpus}}
    assert set(per_l3.values()) == {cores * threads // l3s}


def test_servers_number_cores_before_siblings() -> None:
    """As lscpu shows on such a host: 0-23 and 48-71 on socket 0."""
    topology = load_machine("r5.metal").topology()
    first = [cpu.number for cpu in topology.sockets[0]]
    assert first == [*range(24), *range(48, 72)]
    assert [cpu.number for cpu in topology.cores[0]] == [0, 48]


# ------------------------------------------------------------------------------------------------------- draws


def test_each_draw_is_within_its_range_and_covers_it() -> None:
    machine = load_machine("r5.metal")
    names = uncertain(machine)
    draws = draw(names, 40, 7)
    for name in names:
        shares = sorted(one[name] for one in draws)
        assert all(i / 40 <= share < (i + 1) / 40 for i, share in enumerate(shares)), name
        if name in machine.times:
            number = machine.times[name]
            values = [number.at(share) for share in shares]
            assert values == sorted(values)
            assert number.low <= values[0] < values[-1] <= number.high


def test_draws_of_one_input_do_not_hang_on_the_others() -> None:
    few, many = draw(["core.pause_ns"], 10, 3), draw(["core.atomic_ns", "core.pause_ns"], 10, 3)
    assert [one["core.pause_ns"] for one in few] == [one["core.pause_ns"] for one in many]
    assert draw(["core.pause_ns"], 10, 4) != few
    assert draw(["core.pause_ns"], 1, 3) == [{}]


@given(st.floats(0, 1), st.tuples(*[st.floats(1, 100)] * 3), st.tuples(*[st.floats(1, 100)] * 3))
def test_percentiles_stay_in_order_at_any_draw(
    share: float, cuts: tuple[float, float, float], more: tuple[float, float, float]
) -> None:
    low, value, high = sorted(cuts)
    other = sorted(max(a, b) for a, b in zip(sorted(more), (low, value, high), strict=True))
    below, above = Number(value, low, high, "x"), Number(other[1], other[0], other[2], "x")
    assert below.at(share) <= above.at(share) + 1e-9


def test_a_machine_is_plain_data() -> None:
    assert isinstance(msgspec.to_builtins(load_machine("graviton3")), dict)
    assert isinstance(load_machine("graviton3"), Machine)


# ------------------------------------------------------------------------------------------------- calibration


def test_a_measured_number_is_never_narrower_than_its_repeats() -> None:
    number = measured([10.0, 12.0, 11.0], "measured: here")
    assert (number.low, number.value, number.high) == (10, 11, 12)
    alone = measured([100.0, 100.0, 100.0], "measured: here")
    assert (alone.low, alone.high) == (98, 102)


@given(st.lists(st.lists(st.floats(1, 1000), min_size=3, max_size=3).map(sorted), min_size=3, max_size=7))
def test_percentiles_of_rounds_make_a_spread_that_a_file_takes(rounds: list[list[float]]) -> None:
    columns = [measured(column, "measured: here", 0.1) for column in zip(*rounds, strict=True)]
    kept = ascending(columns)
    for part in ("value", "low", "high"):
        values = [getattr(number, part) for number in kept]
        assert values == sorted(values)
    assert all(number.low <= number.value <= number.high for number in kept)


def test_the_model_tells_what_its_primitives_are_made_of() -> None:
    """Each value that calibration solves for must change the trials' results."""
    assert made_of("empty") == (1, 0, 0, 0)
    assert made_of("atomic-add") == (1, 0, 1, 0)
    loop, hits, atomics, drains = made_of("seqlock")
    assert loop == 1 and hits > 0 and atomics == drains == 0
    loop, _, atomics, drains = made_of("tas")
    assert loop == atomics == drains == 1


def test_a_pause_and_a_mispredicted_branch_take_some_time() -> None:
    assert 0 < native.relax_ns() < 10_000
    # More than one turn of a loop: at least 9 cycles, on any core that speculates.
    assert 1 < native.mispredict_ns() < 1000
