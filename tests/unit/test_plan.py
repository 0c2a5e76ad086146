# SPDX-License-Identifier: Apache-2.0
"""From axes to cells and their order."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import read_topology
from pybench.plan.planner import make_plan, round_order
from pybench.plan.request import Request, from_options, read_config
from pybench.results.records import Cell, Plan
from pybench.run.sweep import check_supported

HOST = read_topology()
CPUS = len(HOST.usable)


def cells_of(**axes: object) -> list[Cell]:
    axes = {"place": ("single-socket",), "smt": ("on",)} | axes
    return make_plan(Request(**axes), HOST).plan.cells  # type: ignore[arg-type]


def test_every_combination_is_a_cell_once() -> None:
    cells = cells_of(
        workloads=("spin",),
        param={"lock": ("tas", "mcs"), "hold_ns": ("0", "100", "100")},
        threads="1",
        crew=("threads", "processes"),
    )
    seen = {(c.params["lock"], c.params["hold_ns"], c.crew) for c in cells}
    assert seen == set(itertools.product(("tas", "mcs"), (0, 100), ("threads", "processes")))
    assert len(cells) == len(seen)


def test_a_cell_names_its_cpus_and_all_its_parameters() -> None:
    (cell,) = cells_of(workloads=("mount",), threads="max")
    assert cell.cpus == tuple(cpu for cpu in cell.cpus if cpu in {c.number for c in HOST.usable})
    assert len(set(cell.cpus)) == cell.threads
    assert cell.params["umount"] == "batch:100"
    assert set(cell.params) == {"api", "idmap", "umount", "children", "peers", "table", "fs"}


def test_a_parameter_can_be_meant_for_one_workload() -> None:
    cells = cells_of(
        workloads=("mount", "stat"), threads="1", param={"mount.children": ("0", "5"), "depth": ("3",)}
    )
    assert [(c.workload, c.params.get("children"), c.params.get("depth")) for c in cells] == [
        ("mount", 0, None),
        ("mount", 5, None),
        ("stat", None, 3),
    ]


def test_more_threads_than_cpus_must_be_asked_for() -> None:
    with pytest.raises(UsageError, match="--oversubscribe"):
        cells_of(workloads=("spin",), threads=str(CPUS + 1))
    (cell,) = cells_of(workloads=("spin",), threads=str(2 * CPUS), oversubscribe=True, place=("all",))
    assert cell.oversubscribed
    assert sorted(cell.cpus) == sorted([c.number for c in HOST.usable] * 2)


def test_impossible_combinations_are_left_out_with_their_reason() -> None:
    request = Request(
        workloads=("mount",),
        threads="1",
        place=("all",),
        smt=("on",),
        param={"api": ("mount", "open_tree"), "idmap": ("yes",)},
    )
    plan = make_plan(request, HOST).plan
    assert [cell.params["api"] for cell in plan.cells] == ["open_tree"]
    assert plan.left_out == ["mount, threads=1: idmap=yes needs api=open_tree: mount(2) cannot map ids"]


def test_nothing_left_is_an_error_with_the_reason() -> None:
    with pytest.raises(UsageError, match="idmap=yes needs api=open_tree"):
        cells_of(workloads=("mount",), threads="1", param={"idmap": ("yes",)})


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"workloads": ("spine",)}, "no workload 'spine'; there are launch, mount, spin, stat"),
        ({"workloads": ("spin",), "param": {"lock": ("tass",)}}, "lock='tass' is not known; choose from tas"),
        ({"workloads": ("spin",), "param": {"hold": ("1",)}}, "spin has no parameter 'hold'; it has lock"),
        ({"workloads": ("spin",), "param": {"hold_ns": ("-1",)}}, "hold_ns='-1' must be a whole number, 0 to"),
        ({"workloads": ("spin",), "param": {"stat.depth": ("1",)}}, "'stat' is not among the workloads"),
        ({"workloads": ("mount",), "param": {"umount": ("batch:0",)}}, "choose from sync|detach|batch:N"),
        ({"workloads": ("spin",), "place": ("999",)}, "CPU 999 does not exist"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(axes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as error:
        cells_of(**axes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_mount_table_beyond_the_kernel_limit_is_seen_before_the_run() -> None:
    limit = Path("/proc/sys/fs/mount-max")
    if not limit.exists() or int(limit.read_text()) > 180_000:
        pytest.skip("this kernel's fs.mount-max is above what the parameters allow")
    with pytest.raises(UsageError, match=r"sysctl fs\.mount-max="):
        cells_of(workloads=("mount",), threads="1", param={"table": ("90000",), "children": ("90000",)})


def plan_of(n: int, seed: int) -> Plan:
    cell = Cell(workload="spin", params={}, threads=1, place="all", smt="on", cpus=(0,))
    return Plan(cells=[cell] * n, seed=seed, duration_ns=1, warmup_ns=0)


@given(st.integers(1, 40), st.integers(0, 2**32), st.integers(0, 30))
def test_a_round_runs_each_open_cell_once_in_an_order_of_seed_and_round(n: int, seed: int, number: int) -> None:
    plan = plan_of(n, seed)
    order = round_order(plan, number, range(n))
    assert sorted(order) == list(range(n))
    assert order == round_order(plan, number, list(reversed(range(n))))


def test_rounds_differ() -> None:
    plan = plan_of(20, 1)
    assert len({tuple(round_order(plan, number, range(20))) for number in range(10)}) == 10


def test_without_arguments_all_workloads_are_swept_within_a_budget() -> None:
    plan = make_plan(Request(), HOST).plan
    assert {cell.workload for cell in plan.cells} == {"mount", "spin", "stat"}
    assert plan.budget_ns > 0
    if CPUS <= 2:
        assert plan.budget_ns <= 60e9


def test_options_win_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text(
        'workloads = ["spin"]\nthreads = [1]\nsmt = "on"\nplace = "all,single-socket"\nseed = 7\n'
        'duration = "50ms"\n[param]\nlock = ["tas", "mcs"]\nhold_ns = 100\n'
    )
    options = {"params": ("hold_ns=5",), "duration": "10ms", "budget": None, "places": ()}
    request = from_options(read_config(config), (), options)
    plan = make_plan(request, HOST).plan
    assert {(c.params["lock"], c.params["hold_ns"], c.place) for c in plan.cells} == set(
        itertools.product(("tas", "mcs"), (5,), ("all", "single-socket"))
    )
    assert (plan.seed, plan.duration_ns) == (7, 10_000_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("thread = 1", "unknown field `thread`"),
        ("target = 'low'", "Expected `float`"),
        ("= 3", "is not TOML"),
        ("output = 5", "Expected `str`, got `int` - at `$.output`"),
    ],
)
def test_a_wrong_config_names_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text(text)
    with pytest.raises(UsageError) as error:
        read_config(config)
    assert words in str(error.value)
    assert str(config) in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        *("min_trials = 0", "max_trials = 0", "max_trials = -5", "max_invalid = 0", "operations = -1"),
        *(
            "target = -0.5",
            "target = 0",
            "target = 30.0",
            "target = nan",
            "seed = -1",
            "seed = 99999999999999999999",
        ),
        *("duration = '0.4ns'", "warmup = '0.4ns'", "budget = '99999999h'"),
    ],
)
def test_a_number_out_of_range_is_told_with_the_range(tmp_path: Path, line: str) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text(line)
    with pytest.raises(UsageError, match=r"out of range.*write .* to ") as error:
        make_plan(read_config(config), HOST)
    assert line.split(" = ")[1].strip("'") in str(error.value)


def test_a_config_names_files_as_text_and_cpus_as_numbers(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text('output = "a.jsonl"\nsysroot = "/there"\nplace = [0, "all"]\n')
    request = read_config(config)
    assert (request.output, request.sysroot, request.place) == (Path("a.jsonl"), Path("/there"), ("0", "all"))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(threads=""), "--threads ''"),
        (Request(offline=("",)), "--offline '': no CPU is named"),
        (Request(budget=""), "invalid duration ''"),
        (Request(threads="5000", oversubscribe=True), "write 1 to 4096"),
    ],
)
def test_what_is_empty_or_too_much_does_not_mean_the_default(request_: Request, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan(request_, HOST)


@given(st.integers(0, 2**32))
def test_the_seed_that_is_given_is_the_plans(seed: int) -> None:
    request = from_options(Request(seed=5), ("spin",), {"seed": seed, "threads": "1"})
    assert make_plan(request, HOST).plan.seed == seed


def test_a_lock_that_the_built_core_lacks_is_told() -> None:
    cells = cells_of(workloads=("spin",), threads="1")
    with pytest.raises(UnsupportedError, match="no lock 'ticket'"):
        check_supported(cells, {"tas": ""})
