# SPDX-License-Identifier: Apache-2.0
"""pybench fit as a user types it: on a result file of a 96-CPU host, on a table, and on what is neither."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pybench.cli import cli
from pybench.errors import UsageError
from pybench.host.topology import Cpu, Topology
from pybench.native.outcome import Outcome
from pybench.placement import place
from pybench.results.records import Cell, Figures, Header, Plan, Trial, trial_of
from pybench.results.store import Writer

CURVES = Path(__file__).parents[1] / "data" / "curves"
COUNTS = (1, 2, 4, 8, 16, 24, 36, 48, 72, 96)
Run = Callable[..., Result]


@pytest.fixture
def fit() -> Run:
    runner = CliRunner(env={"COLUMNS": "80"})
    return lambda *words: runner.invoke(cli, ["fit", *map(str, words)])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two locks on two sockets of 24 cores with SMT: ticket has a knee where the second socket begins."""
    host = Topology(
        cpus=tuple(
            Cpu(number=n, socket=n // 24 % 2, node=n // 24 % 2, l3=n // 24 % 2, core=n % 48, smt=n // 48)
            for n in range(96)
        )
    )
    cpus = place(host, "all compact").cpus
    noise = np.random.default_rng(1)
    cells, trials = [], []
    for lock, beyond in (("ticket", 0.2), ("mcs", 0.04)):
        for n in (*COUNTS, 192):
            cells.append(
                Cell(
                    workload="spin",
                    params={"lock": lock},
                    threads=n,
                    place="all",
                    smt="on",
                    cpus=(cpus * 2)[:n],
                    oversubscribed=n > 96,
                )
            )
            cost = 1 + 0.04 * (min(n, 48) - 1) + beyond * max(n - 48, 0)
            rate = 5e6 * n / cost if n <= 96 else 1e4
            trials += [trial(len(cells) - 1, cells[-1], rate * noise.normal(1, 0.01)) for _ in range(6)]
    path = tmp_path_factory.mktemp("results") / "r.jsonl"
    plan = Plan(cells=cells, seed=1, duration_ns=1, warmup_ns=0)
    facts = {
        "name": "big",
        "cpu": {"model": "a Xeon"},
        "kernel": {"release": "6.8"},
        "hypervisor": {"virtual": False},
    }
    header = Header(
        pybench="1", created="2025-01-01", command=["pybench"], host=facts, topology=host.to_dict(), plan=plan
    )
    with Writer(path) as writer:
        for record in (header, *trials):
            writer.write(record)
    return path


def trial(index: int, cell: Cell, rate: float) -> Trial:
    figures = Figures(
        throughput=rate,
        p50_ns=1,
        p90_ns=1,
        p99_ns=1,
        p999_ns=1,
        max_ns=1,
        jain=1,
        cpu_ns_per_operation=1,
    )
    return trial_of(
        cell,
        index,
        repeat=0,
        sequence=0,
        started=0,
        seconds=0,
        outcome=Outcome(status="ok"),
        figures=figures,
    )


def test_a_result_file_brings_its_borders(fit: Run, file: Path) -> None:
    ran = fit(file, "--where", "lock=ticket", "--predict", "128", "--model", "amdahl,usl,knees")
    assert ran.exit_code == 0, ran.output
    assert all(len(line.rstrip()) <= 80 for line in ran.output.splitlines())
    assert "lock=ticket" in ran.output.splitlines()[0]
    assert "lock=mcs" not in ran.output
    text = " ".join(ran.output.split())
    assert "The USL with a knee of contention at 48 describes this curve best" in text
    assert "Beyond the border at 48 threads (socket) contention grows" in text
    assert "24 (SMT siblings), 48 (socket), 72 (SMT siblings)" in text
    assert "Left out, since threads share CPUs there: 192 threads." in text
    assert "? extrapolated: not measured" in text
    assert "…" not in text


def test_json_has_every_curve_and_what_to_draw(fit: Run, file: Path) -> None:
    ran = fit(file, "--json", "--model", "usl,amdahl", "--predict", "48,144")
    assert ran.exit_code == 0, ran.output
    curves = json.loads(ran.output)["curves"]
    assert [one["settings"]["lock"] for one in curves] == ["ticket", "mcs"]
    best = curves[1]["fits"]["models"][0]
    assert best["name"] == "amdahl"
    assert [one["extrapolated"] for one in best["predictions"]] == [False, True]
    assert {len(column) for column in best["curve"].values()} == {len(best["curve"]["threads"])}
    assert [one["threads"] for one in curves[0]["fits"]["measured"]] == list(COUNTS)


def test_show_names_the_best_model_and_points_here(file: Path) -> None:
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["show", str(file)])
    assert ran.exit_code == 0, ran.output
    assert "Best model: the USL with a knee of contention at 48" in ran.output
    assert f"pybench fit {file}" in " ".join(ran.output.split())


def test_a_table_of_ones_own(fit: Run, tmp_path: Path) -> None:
    ran = fit("--csv", CURVES / "specsdm91.csv", "--model", "usl,amdahl")
    assert ran.exit_code == 0, ran.output
    assert "Cannot tell Amdahl's law from the USL" in " ".join(ran.output.split())
    few = tmp_path / "few.csv"
    few.write_text("trial,Threads,Throughput\n0,1,10\n1,1,11\n0,2,20\n")
    assert "2 thread counts: a model needs 3" in fit("--csv", few).output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line must name the columns"),
        ("a,b\n1,2\n", "first line must name the columns"),
        ("threads,throughput\n", "has no rows"),
        ("# a note\nthreads,throughput\n1,2\n2,x\n", "line 4: threads must be a whole number"),
        ("threads,throughput\n1,2\n2\n", "line 3: threads must be a whole number"),
        ("threads,throughput\n0,2\n", "line 2: threads must be 1 to"),
        ("threads,throughput\n1,-2\n", "line 2: threads must be 1 to"),
        ("threads,throughput\n1,nan\n", "line 2: threads must be 1 to"),
    ],
)
def test_a_bad_table_is_told_in_a_line(fit: Run, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    ran = fit("--csv", path)
    assert isinstance(ran.exception, UsageError)
    assert said in str(ran.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "cubic"], "no model 'cubic'; there are amdahl, usl, knees, queueing"),
        (["--where", "lock"], "write NAME=VALUE"),
        (["--where", "colour=red"], "no setting 'colour'; there are crew, lock, place"),
        (["--where", "lock=clh"], "no curve has lock=clh; there are mcs, ticket"),
        (["--borders", "18,x"], "--borders '18,x': invalid thread count 'x'"),
        (["--predict", "1..max"], "--predict '1..max': a curve has no CPUs of its own"),
        (["--predict", "99999"], "write 1 to 4096"),
        (["--csv", "--where", "lock=mcs"], "--where chooses curves of a result file"),
        (["--csv"], "first line must name the columns"),
    ],
)
def test_bad_words_name_the_fix(fit: Run, file: Path, words: list[str], said: str) -> None:
    ran = fit(file, *words)
    assert isinstance(ran.exception, UsageError), ran.output
    assert said in str(ran.exception)


def test_what_is_no_result_file_is_told(fit: Run) -> None:
    for path in (CURVES / "specsdm91.csv", CURVES / "none.jsonl"):
        assert isinstance(fit(path).exception, UsageError)


def test_a_table_as_spreadsheets_write_it(fit: Run, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(b'\xef\xbb\xbfthreads,throughput,note\n1,10,"two\nlines"\n2,18,\n4,30,\n8,40,\n')
    assert fit(table, "--csv").exit_code == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [("2," + "1" * 140_000, "line 3: field larger than"), ("2,1e-300", "line 3: "), ("2,1e300", "line 3: ")],
)
def test_a_cell_that_is_none_is_one_line(fit: Run, tmp_path: Path, row: str, said: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"threads,throughput\n1,10\n{row}\n4,5\n8,7\n")
    ran = fit(table, "--csv")
    assert isinstance(ran.exception, UsageError) and said in str(ran.exception)
