# SPDX-License-Identifier: Apache-2.0
"""A simulation is a sweep's records, the same each time, and is marked in all that is made of it."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from pybench.analysis.comparison.compare import compare
from pybench.analysis.summary.cell_table import TABLES
from pybench.analysis.summary.series import summarize
from pybench.api.run import load
from pybench.api.simulate import simulate
from pybench.cli import cli
from pybench.errors import PybenchError, UsageError
from pybench.native.engine_spec import ENGINE
from pybench.plan.request import Request
from pybench.results.columns import metrics, read_columns
from pybench.results.export import export
from pybench.results.records import Simulated
from pybench.results.store import Results, read
from pybench.simulator.machine_file import load_machine
from pybench.simulator.sensitivity import sensitivity
from pybench.simulator.simulation import Simulation, simulate_study
from pybench.simulator.study import Study, header, plan_study
from pybench.stats.estimate import median_interval, range_interval
from pybench.stats.ratios import AT_LEVEL, draws_ratio, draws_side, ratio_interval
from tests.unit import synthetic
from tests.unit.synthetic import noisy, write

MARKED = "simulated"


def study(
    machine: str = "r5.metal",
    draws: int = 12,
    threads: str = "1,2,4",
    seed: int = 5,
    locks: tuple[str, ...] = ("ticket", "ttas"),
) -> Study:
    one = load_machine(machine)
    request = Request(
        workloads=("spin",),
        param={"lock": locks},
        threads=threads,
        place=("single-socket",),
        smt=("on",),
        seed=seed,
        duration="30us",
        warmup="3us",
        min_trials=draws,
        max_trials=draws,
    )
    return plan_study(one, request)


def simulated(path: Path, of: Study, workers: int = 1) -> Results:
    simulate_study(of, path=path, workers=workers)
    return read(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A simulated file, and a measured one of the same cells."""
    folder = tmp_path_factory.mktemp("files")
    made = simulated(folder / "model.jsonl", study())
    measured = noisy(str(folder / "real.jsonl"), made.header.plan.cells, factors=[90, 5, 4, 120, 30, 20])
    measured = msgspec.structs.replace(
        measured, header=msgspec.structs.replace(measured.header, topology=made.header.topology)
    )
    write(folder / "real.jsonl", measured)
    return folder / "model.jsonl", folder / "real.jsonl"


def shown(*words: str) -> str:
    ran = CliRunner(env={"COLUMNS": "80"}).invoke(cli, words, catch_exceptions=True)
    assert ran.exit_code == 0, ran.output
    return ran.output


# --------------------------------------------------------------------------------------------------- the records


def test_the_same_study_gives_the_same_trials_to_the_bit_with_any_number_of_workers() -> None:
    of = study(draws=3, threads="1,2")
    once, again = ([msgspec.json.encode(t) for t in Simulation(of, workers).trials()] for workers in (1, 3))
    assert once == again
    other = [msgspec.json.encode(t) for t in Simulation(study(draws=3, threads="1,2", seed=6), 1).trials()]
    assert other != once


def test_a_trial_is_a_draw_and_says_that_it_is_no_measurement(files: tuple[Path, Path]) -> None:
    results = read(files[0])
    told = results.header.simulated
    assert told is not None
    assert (told.machine, told.draws, told.seed) == ("r5.metal", 12, 5)
    assert len(results.trials) == 12 * len(results.header.plan.cells)
    assert all(trial.simulated and trial.valid and trial.evidence is None for trial in results.trials)
    for index in range(len(results.header.plan.cells)):
        assert [t.repeat for t in results.trials if t.cell == index] == list(range(12))
    # Inputs differ from draw to draw, and the results with them.
    assert len({t.figures.throughput for t in results.trials if t.figures}) > 12
    assert told.inputs["core.pause_ns"].source
    assert "transfer.socket" in told.drawn


def test_an_interval_is_the_range_of_the_draws(files: tuple[Path, Path]) -> None:
    results = read(files[0])
    for series in summarize(results.header.plan.cells, results.trials, results.header.topology):
        for cell in series.cells:
            own = [t.figures.throughput for t in results.trials if t.cell == cell.index and t.figures]
            assert min(own) <= cell.throughput.low <= cell.throughput.value <= cell.throughput.high <= max(own)
            assert cell.throughput.high - cell.throughput.low > 0.8 * (max(own) - min(own))
            assert not cell.findings


def test_a_single_draw_has_the_inputs_as_they_stand_and_no_interval(tmp_path: Path) -> None:
    results = simulated(tmp_path / "one.jsonl", study(draws=1, threads="2", locks=("ticket",)))
    (series,) = summarize(results.header.plan.cells, results.trials)
    assert not series.cells[0].throughput.known
    assert results.header.simulated and not results.header.simulated.drawn


def test_more_draws_do_not_narrow_a_range() -> None:
    values = np.random.default_rng(1).normal(100, 10, 4000)
    few, many = range_interval(values[:40]), range_interval(values)
    assert many.high - many.low > 0.8 * (few.high - few.low)
    assert median_interval(values).relative_half_width < many.relative_half_width / 10
    paired = ratio_interval(values, values * 2, drawn=True)
    assert paired.low == paired.high == 0.5


def test_python_and_the_command_line_simulate_the_same_to_the_bit(tmp_path: Path) -> None:
    asked = ["simulate", "--machine", "r5.metal", "spin", "--lock", "mcs", "--threads", "1,2,200", "--draws", "3"]
    times = ["--place", "single-socket", "--duration", "30us", "--warmup", "0", "--seed", "5"]
    ran = CliRunner().invoke(cli, [*asked, *times, "--smt", "on", "--output", str(tmp_path / "cli.jsonl")])
    assert ran.exit_code == 0, ran.output
    run = simulate(
        "spin",
        machine="r5.metal",
        lock="mcs",
        threads=[1, 2, 200],
        place="single-socket",
        smt="on",
        draws=3,
        seed=5,
        duration="30us",
        warmup="0",
        output=tmp_path / "python.jsonl",
    )
    mine, theirs = run.results[0], read(tmp_path / "cli.jsonl")
    assert (mine.trials, mine.header.plan) == (theirs.trials, theirs.header.plan)
    assert read(tmp_path / "python.jsonl").trials == mine.trials
    assert run.source == MARKED
    assert "200" in "; ".join(mine.header.plan.left_out)


def test_what_is_not_modelled_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="lock clh is not modelled; there are tas"):
        study(locks=("clh",), draws=2)
    for words, said in (
        (["spin", "--lock", "ticket", "--page", "huge"], "--page is not modelled"),
        (["mount"], "'mount' is not modelled; there are launch and spin"),
        (["spin", "--place", "dual-socket", "--machine", "graviton3"], "dual-socket needs two sockets"),
        (["spin", "--machine", "r5"], "no machine 'r5'"),
        (["spin", "--sensitivity", "--draws", "5"], "--sensitivity needs 40 draws"),
        (["launch", "--arrival", "rate:3"], "arrival rate:N is not modelled"),
        (["launch", "--readers", "2"], "--readers is not modelled"),
    ):
        machine = [] if "--machine" in words else ["--machine", "r5.metal"]
        with pytest.raises(PybenchError) as refused:
            cli.main(["simulate", *machine, *words], standalone_mode=False)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


def test_places_and_threads_that_a_machine_has_not_are_left_out_and_named() -> None:
    words = ["--dry-run", "spin", "--lock", "ticket", "--threads", "1,96"]
    words += ["--place", "single-socket,dual-socket", "--smt", "on,off"]
    ran = shown("simulate", "--machine", "r5.metal,m7a.24xlarge", *words)
    text = " ".join(ran.split())
    assert "left out: threads 96: 'single-socket smt:off' has 24 CPUs (--oversubscribe shares them)" in text
    assert "left out: dual-socket needs two sockets with usable CPUs: there is one" in text


def test_measurements_do_not_go_into_a_simulated_file(files: tuple[Path, Path]) -> None:
    before = files[0].read_bytes()
    with pytest.raises(UsageError, match="is simulated, and measurements do not go into it"):
        cli.main(["sweep", "--resume", str(files[0])], standalone_mode=False)
    assert files[0].read_bytes() == before


# ----------------------------------------------------------------------------------------------- the marks on them


def test_terminal_tables_are_marked(files: tuple[Path, Path]) -> None:
    text = shown("show", str(files[0]))
    assert text.startswith("SIMULATED, not measured: Amazon EC2 r5.metal")
    assert "SIMULATED spin" in text
    assert "central 95 % of draws" in " ".join(text.split())
    assert "SIMULATED" not in shown("show", str(files[1]))


def test_a_comparison_with_a_model_says_so_first(files: tuple[Path, Path]) -> None:
    text = " ".join(shown("compare", str(files[1]), str(files[0])).split())
    assert text.startswith("B is SIMULATED, not measured (r5.metal, 12 draws): a difference may be the model's")
    assert "source A measured B SIMULATED" in text
    told = json.loads(shown("compare", str(files[1]), str(files[0]), "--json"))
    assert told["pairs"][0]["b"]["simulated"] == ["r5.metal, 12 draws"]
    assert told["pairs"][0]["a"]["simulated"] == []
    axis = " ".join(shown("compare", str(files[0]), "--axis", "lock").split())
    assert axis.startswith("A is SIMULATED")


def test_fits_are_marked(files: tuple[Path, Path]) -> None:
    text = " ".join(shown("fit", str(files[0]), "--model", "amdahl").split())
    assert "SIMULATED spin" in text
    assert "SIMULATED on r5.metal, not measured" in text
    told = json.loads(shown("fit", str(files[0]), "--model", "amdahl", "--json"))
    assert {curve["source"] for curve in told["curves"]} == {"simulated"}
    assert {
        c["source"] for c in json.loads(shown("fit", str(files[1]), "--model", "amdahl", "--json"))["curves"]
    } == {"measured"}


def test_pages_and_charts_are_marked(files: tuple[Path, Path]) -> None:
    pytest.importorskip("altair")
    from pybench.present.html.page import render
    from pybench.present.report.contents import make_report

    results = [read(path) for path in files]
    report = make_report(results[:1])
    assert report.title.startswith("SIMULATED")
    assert report.banner[0].startswith("SIMULATED, not measured")
    assert "Nothing here was measured: SIMULATED" in report.conclusions[0].text
    assert not any("passed every validity check" in one.text for one in report.conclusions)
    assert len(report.views) > 4
    for view in report.views:
        spec = view.chart.to_dict()
        assert spec["title"]["text"].startswith("SIMULATED, not measured: r5.metal"), view.id
        assert spec["description"].startswith("SIMULATED"), view.id
    page = render(report)
    assert page.index("SIMULATED, not measured") < page.index("What was found")
    both = make_report(results)
    assert "model was not measured" in both.conclusions[0].text
    assert all("and measured files" in view.chart.to_dict()["title"]["text"] for view in both.views)
    assert both.banner[0].startswith("model.jsonl: SIMULATED")
    measured = make_report(results[1:])
    assert not measured.banner and "SIMULATED" not in measured.title
    assert all("title" not in view.chart.to_dict() for view in measured.views)


def test_every_export_is_marked(files: tuple[Path, Path]) -> None:
    pytest.importorskip("pytest_benchmark")
    model = [read(files[0])]
    for kind in ("trials", "cells", "members", "phases"):
        rows = list(csv.DictReader(io.StringIO(export(model, "csv", None, kind, TABLES) or "")))
        assert rows and {row["source"] for row in rows} == {MARKED}, kind
    benchmark = json.loads(export(model, "pytest-benchmark", None) or "")
    assert {one["extra_info"]["source"] for one in benchmark["benchmarks"]} == {MARKED}
    assert benchmark["machine_info"]["node"] == "simulated r5.metal"
    pyperf = json.loads(export(model, "pyperf", None) or "")
    assert {one["metadata"]["pybench_source"] for one in pyperf["benchmarks"]} == {MARKED}
    go = (export(model, "go", None) or "").splitlines()
    assert f"source: {MARKED}" in go
    assert "host: simulated r5.metal" in go
    assert "source: measured" in (export([read(files[1])], "go", None) or "")


def test_parquet_queries_and_frames_are_marked(files: tuple[Path, Path], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("duckdb")
    target = tmp_path / "t.parquet"
    export([read(files[0])], "parquet", target)
    assert set(parquet.read_table(target).column("source").to_pylist()) == {MARKED}
    rows = json.loads(
        shown(
            *("export", *map(str, files), "--format", "json"),
            *("--sql", "SELECT DISTINCT file, source FROM trials ORDER BY 2"),
        )
    )
    assert [row["source"] for row in rows] == ["measured", MARKED]
    run = load(*files)
    assert run.source == "measured and simulated"
    assert "SIMULATED" in repr(load(files[0])) and load(files[0]).source == MARKED
    assert set(load(files[0]).to_frame("cells")["source"]) == {MARKED}
    assert repr(load(files[1]).compare(load(files[0]))).startswith("B is SIMULATED")


# ------------------------------------------------------------------------------------------------- what draws tell


def test_a_verdict_of_draws_holds_in_all_of_them_or_is_open(files: tuple[Path, Path], tmp_path: Path) -> None:
    columns = read_columns(files[0])
    compared = compare([[columns]], axis="lock", base="ticket")
    results = read(files[0])
    for cell in compared.pairs[0].cells:
        figures = [
            [
                t.figures.throughput
                for t in results.trials
                if t.figures and t.params["lock"] == lock and t.threads == cell.cell.threads
            ]
            for lock in ("ticket", "ttas")
        ]
        above = sum(b > a for a, b in zip(*figures, strict=True)) / 12
        told = next(one for one in cell.comparisons if one.metric == "throughput")
        assert (told.verdict == "better") == (above == 1.0)
        assert "in all draws" in told.words or told.verdict == "unsure"
    assert compared.family == 0


def drawn(name: str, throughputs: Sequence[float]) -> Results:
    of = synthetic.cell()
    made = synthetic.results(name, [of], [synthetic.trial(0, of, x, repeat=i) for i, x in enumerate(throughputs)])
    told = Simulated(machine="m", title="m", digest="", engine=ENGINE, seed=1, draws=len(throughputs))
    return msgspec.structs.replace(made, header=msgspec.structs.replace(made.header, simulated=told))


@pytest.mark.parametrize(
    ("ratios", "verdict", "words"),
    [
        ([1.0] * 99 + [0.1], "same", "same within 3 % in 99.0% of draws"),
        ([1.0] * 10, "same", "same within 3 % in all draws"),
        ([1.0] * 6 + [0.5] * 4, "unsure", "open: higher in 0%, lower in 40% of draws"),
        ([1.1, 0.9, 1.2, 0.8], "unsure", "open: higher in 50% of draws"),
        ([2.0] * 39 + [1.0], "better", "faster in 97.5% of draws"),
        ([0.5, 0.6], "worse", "slower in all draws"),
        ([2.0], "unsure", "one draw, no range"),
    ],
)
def test_what_is_said_of_draws_is_so(ratios: list[float], verdict: str, words: str) -> None:
    base = [1e6 + i for i in range(len(ratios))]
    sides = [
        synthetic.columns(drawn("a", base)),
        synthetic.columns(drawn("b", [x * r for x, r in zip(base, ratios, strict=True)])),
    ]
    one = compare(sides, metrics=metrics("throughput")).every[0]
    assert (one.verdict, one.words) == (verdict, words)


@pytest.mark.parametrize(("draws", "trials", "words"), [(1, 8, "one draw, no range"), (9, 3, "too few trials")])
def test_one_draw_against_a_measurement_says_nothing(draws: int, trials: int, words: str) -> None:
    sides = [
        synthetic.columns(drawn("a", [1e6] * draws)),
        synthetic.columns(noisy("b", [synthetic.cell()], factors=3.0, trials=trials)),
    ]
    one = compare(sides, metrics=metrics("throughput")).every[0]
    assert one.verdict == "unsure"
    assert words in one.words
    assert one.p == 1


def test_a_ratio_of_draws_reaches_to_their_ends() -> None:
    a = np.exp(np.linspace(0, 1, 101))
    side = draws_side(a)
    assert side.down[AT_LEVEL] == pytest.approx(0.475)
    ratio = draws_ratio(a * 3, a)
    assert ratio.interval().value == pytest.approx(3)
    assert ratio.interval().low == pytest.approx(3)
    # A few draws cannot exclude an event of one in a million.
    assert np.isinf(draws_side(a[:10]).up[-1])


def test_sensitivity_finds_the_input_that_decides() -> None:
    """One thread of seqlock reads lines of its own: hits and the loop decide, and no transfer can."""
    of = study(draws=60, threads="1", locks=("atomic-add",))
    trials = list(Simulation(of, 1).trials())
    results = Results(path=Path("x"), header=header(of), trials=trials, ends=[], truncated=False, good_bytes=0)
    (told,) = sensitivity(results)
    deciding = [one.name for one in told.inputs if one.told]
    assert set(deciding[:2]) == {"core.atomic_ns", "core.loop_ns"}
    assert not any(name.startswith("transfer") for name in deciding)
    by_name = {one.name: one for one in told.inputs}
    assert by_name["core.atomic_ns"].rho < 0 and by_name["core.atomic_ns"].effect < 1
    assert sum(one.share for one in told.inputs) == pytest.approx(1)
    with pytest.raises(UsageError, match="was measured"):
        sensitivity(
            msgspec.structs.replace(results, header=msgspec.structs.replace(results.header, simulated=None))
        )
