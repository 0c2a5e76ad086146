# SPDX-License-Identifier: Apache-2.0
"""The comparison as a user types it, on files of real sweeps and made-up ones."""

import json
import os
import resource
import subprocess
from pathlib import Path

import pytest

from pybench.results.store import read
from tests.cli.cli_runs import ALL_VALID, PYBENCH, here, pybench
from tests.unit.synthetic import cell, noisy, write

CELLS = [cell(threads=n) for n in (1, 2)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("compare")
    made = {
        "before": noisy("x", CELLS),
        "again": noisy("x", CELLS, seed=2),
        "slow": noisy("x", CELLS, factors=0.8, seed=3, cpu={"model": "[bold]Other", "microcode": "0x9"}),
        "other": noisy("x", [cell("stat")]),
    }
    return {name: write(folder / f"{name}.jsonl", file) for name, file in made.items()}


def test_two_real_sweeps(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    quick = ["--threads", "1", "--duration", "5ms", "--warmup", "1ms", "--max-trials", "7", "--lock", "ticket,mcs"]
    for path in paths:
        assert pybench("sweep", "spin", *quick, "--output", path, start=ALL_VALID).returncode == 0
    ran = here("compare", *paths, "--metric", "throughput,p99,jain,cpu,max,p99.9")
    assert ran.returncode == 0, ran.stderr
    assert all(len(line.rstrip()) <= 80 for line in ran.stdout.splitlines())
    assert "One sweep per side" in ran.stdout
    locks = here("compare", *paths, "--axis", "lock", "--json")
    said = json.loads(locks.stdout)
    assert [pair["b"]["label"] for pair in said["pairs"]] == ["lock=mcs"]
    valid = [sum(t.valid for t in read(p).trials if t.params["lock"] == "ticket") for p in paths]
    assert said["pairs"][0]["cells"][0]["valid"][0] == sum(valid)


def test_a_slower_file_says_so_and_what_could_explain_it(files: dict[str, Path]) -> None:
    ran = here("compare", files["before"], files["slow"])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("slower") >= 4
    assert "[bold]Other" in ran.stdout
    assert ran.stdout.index("[bold]Other") < ran.stdout.index("throughput")


@pytest.mark.parametrize(
    ("other", "options", "status"),
    [
        ("slow", ["--fail-if", "throughput < -3%"], 1),
        ("slow", ["--fail-if", "p99 > 5%", "--fail-if", "throughput > 3%"], 1),
        ("slow", ["--fail-if", "throughput > 3%", "--fail-if-unsure"], 0),
        ("slow", ["--fail-if", "throughput < -20%"], 0),
        ("slow", ["--fail-if", "throughput < -20%", "--fail-if-unsure"], 1),
        ("again", ["--fail-if", "throughput < -3%"], 0),
        ("again", ["--fail-if", "throughput<-10%", "--json"], 0),
    ],
)
def test_a_condition_decides_the_status(
    files: dict[str, Path], other: str, options: list[str], status: int
) -> None:
    ran = here("compare", files["before"], files[other], *options)
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert not ran.stderr


@pytest.mark.parametrize(("other", "status"), [("slow", 1), ("again", 0)])
def test_a_reader_that_goes_away_changes_no_status(files: dict[str, Path], other: str, status: int) -> None:
    words = ["compare", str(files["before"]), str(files[other]), "--fail-if", "throughput < -3%"]
    ran = subprocess.Popen([*PYBENCH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert ran.stdout and ran.stderr
    ran.stdout.close()
    err = ran.stderr.read()
    assert (ran.wait(timeout=60), err) == (status, "")


@pytest.mark.parametrize("words", [["export"], ["show"], ["fit", "--json"]])
def test_output_that_does_not_fit_is_one_line(files: dict[str, Path], tmp_path: Path, words: list[str]) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    with (tmp_path / "out").open("wb") as out:
        ran = subprocess.run(
            [*PYBENCH, *words, str(files["before"])],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=full,
            # Byte code would be cut short too, and break every later import.
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
    assert (ran.returncode, ran.stderr) == (2, "pybench: cannot write: File too large\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["before"], "a comparison needs two sides; name another file, or an --axis of this one"),
        (["before", "other"], "no cell of before and other has a partner"),
        (["before", "none.jsonl"], "No such file"),
        (["before", "again", "--metric", "speed"], "no metric 'speed'; there are throughput"),
        (["before", "again", "--fail-if", "p99 > five"], "is not a condition; write METRIC > PERCENT%"),
        (["before", "again", "--base", "x"], "add --axis"),
        (["before", "again", "--fail-if-unsure"], "needs a condition"),
        (["before", "--axis", "lock"], "lock is ticket everywhere"),
        (["before", "again", "--same-within", "0"], "--same-within"),
        (["before", "no-such-*.jsonl"], "no file matches"),
        (["before", "again,again"], "names a file twice"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(files: dict[str, Path], words: list[str], said: str) -> None:
    folder = files["before"].parent
    full = [
        ",".join(str(folder / f"{part}.jsonl") if part in files else part for part in w.split(",")) for w in words
    ]
    ran = here("compare", *full)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not ran.stdout


def test_patterns_and_lists_name_the_sweeps_of_a_side(files: dict[str, Path]) -> None:
    folder = files["before"].parent
    ran = here("compare", f"{files['before']},{files['again']}", f"{folder}/slo[w].jsonl", "--json")
    pair = json.loads(ran.stdout)["pairs"][0]
    assert [Path(file).stem for file in pair["a"]["files"]] == ["before", "again"]
    assert pair["cells"][0]["comparisons"][0]["basis"] == "sweeps"
