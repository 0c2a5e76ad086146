# SPDX-License-Identifier: Apache-2.0
"""`pybench latency` as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pybench.api.latency import measure_transfers
from pybench.host.topology import read_topology
from pybench.results.latency_file import read_transfers
from pybench.results.latency_summary import summarize
from pybench.run import checked_trial
from pybench.run.line_transfers import TRIES
from tests.cli.cli_runs import ALL_VALID, ENVIRONMENT, MAIN, PYBENCH, here, pybench, python

needs_two = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="takes two CPUs")


def two() -> str:
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))


@needs_two
def test_a_matrix_is_printed_kept_and_printed_again(tmp_path: Path) -> None:
    words = ["--place", two(), "--method", "cas,lines", "--rounds", "3"]
    ran = pybench("latency", *words, start=ALL_VALID, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "results").glob("*.jsonl")
    assert str(path.relative_to(tmp_path)) in ran.stderr
    assert max(len(line.rstrip()) for line in ran.stdout.splitlines()) <= 80
    again = here("show", path)
    assert again.returncode == 0 and again.stdout == ran.stdout
    file = read_transfers(path)
    assert file.header.host["kernel"]["release"] == os.uname().release
    assert [end.reason for end in file.ends] == ["limit"]
    rounds = {(t.method, t.round) for t in file.trials}
    assert rounds == {(method, n) for method in ("cas", "lines") for n in range(3)}
    assert all(t.p5_ns and t.transfer_ns and t.p95_ns for t in file.trials)
    assert all((t.p5_ns or 0) <= (t.transfer_ns or 0) <= (t.p95_ns or 0) for t in file.trials)
    assert summarize(file.trials, "cas").classes[0].median_ns.value > 0
    told = json.loads(here("show", path, "--json").stdout)
    assert told["blocks"]


@needs_two
def test_a_quick_look_at_the_limit_gives_every_class_of_these_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_trial, "flags", lambda *_: [])  # valid on a busy host too
    cpus = sorted(os.sched_getaffinity(0))[:2]
    told = measure_transfers(read_topology(), cpus, "store", 5_000_000)
    assert told.method == "store" and len(told.classes) == 1
    assert told.classes[0].pairs == 1 and told.classes[0].median_ns.value > 0


@needs_two
def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    run = subprocess.Popen(
        [*ALL_VALID, "latency", "--place", two(), "--rounds", "5000", "--all", "--output", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_bytes().count(b'"round":1') >= 1):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert read_transfers(file).ends[-1].reason == "interrupted"
    assert run.returncode == 130, err
    assert "This run was interrupted" in out


@needs_two
def test_a_matrix_without_a_clean_trial_is_status_4_and_kept(tmp_path: Path) -> None:
    """As on a host where all is invalid."""
    invalid = python(f"from pybench.run import checked_trial; checked_trial.flags = lambda *_: ['steal']; {MAIN}")
    words = ["--place", two(), "--method", "cas", "--rounds", "2", "--output", "l.jsonl"]
    ran = pybench("latency", *words, start=invalid, cwd=tmp_path)
    assert ran.returncode == 4, ran.stderr
    assert "kept in l.jsonl\npybench: no pair gave a valid measurement: steal" in ran.stderr
    trials = read_transfers(tmp_path / "l.jsonl").trials
    # Each of the two rounds was tried again as often as it may be.
    assert [(t.round, t.attempt) for t in trials] == [(n, attempt) for n in range(2) for attempt in range(TRIES)]
    assert all(t.flags == ["steal"] and t.transfer_ns for t in trials)


@needs_two
def test_ctrl_c_before_a_clean_trial_is_status_130(tmp_path: Path) -> None:
    interrupted = "os.kill(os.getpid(), signal.SIGINT) or ['steal']"
    invalid = python(
        "import os, signal; from pybench.run import checked_trial; "
        f"checked_trial.flags = lambda *_: {interrupted}; {MAIN}"
    )
    words = ["--place", two(), "--method", "cas", "--rounds", "2", "--output", "l.jsonl"]
    ran = pybench("latency", *words, start=invalid, cwd=tmp_path)
    assert (ran.returncode, "Traceback" in ran.stderr) == (130, False), ran.stderr
    assert "kept in l.jsonl" in ran.stderr


def test_one_cpu_is_not_enough(tmp_path: Path) -> None:
    cpu = str(min(os.sched_getaffinity(0)))
    ran = pybench("latency", cwd=tmp_path, start=["taskset", "-c", cpu, *PYBENCH])
    assert ran.returncode == 3
    assert "needs two CPUs" in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


@needs_two
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "telepathy"], "choose from cas, store, lines"),
        (["--method", ""], "choose from cas, store, lines"),
        (["--place", "moon"], "unknown word 'moon'"),
        (["--place", "all,core:0"], "a matrix is of one"),
        (["--duration", "soon"], "write 200ms"),
        (["--budget", "soon"], "write 200ms"),
        (["--all", "--budget", "1m"], "keep one of the two"),
        (["--rounds", "0"], "--rounds"),
        (["--chart", "heat.gif"], "name a .svg or .png file"),
        (["--output", "there.jsonl"], "there.jsonl exists; name another --output"),
    ],
)
def test_bad_input_is_one_line_with_the_fix(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "there.jsonl").write_text("mine\n")
    ran = here("latency", *words, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert said in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.jsonl"]
    assert (tmp_path / "there.jsonl").read_text() == "mine\n"


@pytest.mark.parametrize(
    "text", ["", "no JSON\n", '{"kind":"transfers"}\n', '{"kind":"transfers","format":99}\n', "[]\n"]
)
def test_a_file_of_another_kind_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    file.write_text(text)
    ran = here("show", file)
    assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1 and str(file) in ran.stderr


def test_a_chart_without_its_libraries_says_what_to_install(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['altair'] = None; from pybench.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", hidden, "latency", "--chart", "heat.svg"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert ran.returncode == 3 and "pip install altair vl-convert-python jinja2" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())
