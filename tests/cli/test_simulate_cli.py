# SPDX-License-Identifier: Apache-2.0
"""The simulator as a user types it: machines, simulate, calibrate."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pybench.cli import cli
from pybench.errors import UsageError
from pybench.results.store import read
from pybench.simulator.machine_file import read_machine, shipped

PYBENCH = [sys.executable, "-c", "from pybench.cli import main; main()"]
SHORT = ["--duration", "20us", "--warmup", "2us"]


def pybench(*words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PYBENCH, *words],
        cwd=cwd,
        text=True,
        capture_output=True,
        timeout=110,
        env=os.environ | {"COLUMNS": "80"},
    )


def inside(*words: str) -> str:
    """Return the output of a command, run in this process."""
    ran = CliRunner(env={"COLUMNS": "80"}).invoke(cli, words, catch_exceptions=False)
    assert ran.exit_code == 0
    return ran.output


def test_machines_are_listed_and_drawn_with_their_sources() -> None:
    listed, drawn = inside("machine", "list"), inside("machine", "show", "r5.metal")
    assert all(name in listed for name in shipped())
    for words in ("socket 1, 24 cores", "23+71", "NUMA distances", "transfer, ns", "assumed: ", "not this host"):
        assert words in drawn
    assert all(len(line.rstrip()) <= 80 for line in (listed + drawn).splitlines())
    told = json.loads(inside("machine", "show", "r5.metal", "--json"))
    number = told["numbers"]["transfer.socket.median"]
    assert (number["value"], number["assumed"]) == (47, False)
    assert len(told["topology"]["cpus"]) == 96


def test_the_example_of_the_help_runs_shows_and_keeps(tmp_path: Path) -> None:
    words = ["simulate", "--machine", "r5.metal", "spin", "--lock", "ticket", "--threads", "1,24,96"]
    words += ["--place", "single-socket,dual-socket", "--smt", "on,off", "--draws", "3", *SHORT]
    ran = pybench(*words, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "results").glob("simulated-spin-r5.metal-*.jsonl")
    assert str(path.relative_to(tmp_path)) in ran.stderr
    assert ran.stdout.startswith("SIMULATED, not measured")
    results = read(path)
    places = {(cell.place, cell.smt, cell.threads) for cell in results.header.plan.cells}
    assert ("dual-socket", "on", 96) in places and ("single-socket", "off", 24) in places
    assert ("single-socket", "off", 96) not in places
    assert results.header.simulated is not None
    assert pybench("show", str(path)).stdout == ran.stdout.replace(str(path.relative_to(tmp_path)), str(path))
    again = pybench(*words, "--output", "again.jsonl", "--workers", "1", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    once, twice = (p.read_bytes().splitlines()[1:-1] for p in (path, tmp_path / "again.jsonl"))
    assert once == twice


def test_several_machines_make_a_file_each_and_launches_have_steps_of_somewhere(tmp_path: Path) -> None:
    words = ["simulate", "--machine", "m7i.metal-24xl,m7a.24xlarge", "launch", "--strategy", "binds,parent"]
    words += ["--containers", "8", "--layers", "6", "--threads", "4", "--draws", "2", "--smt", "off"]
    ran = pybench(*words, "--output", str(tmp_path / "l.jsonl"))
    assert ran.returncode == 0, ran.stderr
    paths = [tmp_path / f"l-{name}.jsonl" for name in ("m7i.metal-24xl", "m7a.24xlarge")]
    assert f"pybench compare {paths[0]} {paths[1]}" in ran.stderr
    for path in paths:
        results = read(path)
        assert results.header.simulated and results.header.simulated.steps.startswith("vm-epyc-2 (")
        for trial in results.trials:
            assert trial.outcome.counters["launched"] == 8
            assert trial.outcome.counters["mount_operations"] == 8 * (
                13 if trial.params["strategy"] == "binds" else 3
            )
        each = {
            strategy: [t.figures.p50_ns for t in results.trials if t.figures and t.params["strategy"] == strategy]
            for strategy in ("binds", "parent")
        }
        # Six layers' mounts and unmounts, each with a grace period, against one.
        assert min(each["binds"]) > max(each["parent"])
    compared = pybench("compare", *map(str, paths))
    assert "SIMULATED" in compared.stdout.splitlines()[0]


def test_sensitivity_is_told(tmp_path: Path) -> None:
    words = [
        "simulate",
        "--machine",
        "graviton3",
        "spin",
        "--lock",
        "mcs",
        "--threads",
        "8",
        "--sensitivity",
        *SHORT,
    ]
    ran = pybench(*words, "--output", str(tmp_path / "s.jsonl"))
    assert ran.returncode == 0, ran.stderr
    text = " ".join(ran.stdout.split())
    assert "sensitivity of throughput to the uncertain inputs" in text
    assert re.search(r"Decides most over these cells: [a-z0-9._-]+\*? \([0-9.e+]+ to [0-9.e+]+\), \d+% of", text)
    assert len(read(tmp_path / "s.jsonl").trials) == 40


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(shipped()["r5.metal"].read_text().replace("pause_ns", "paws_ns"))
    for words, said in (
        (["machine", "show", "r5"], "no machine 'r5'"),
        (["machine", "show", str(wrong)], "core.paws_ns is not known; did you mean pause_ns?"),
        (["simulate", "spin"], "Missing option '--machine'"),
        (["simulate", "--machine", str(tmp_path), "spin"], "cannot read"),
        (["simulate", "--machine", "r5.metal", "spin", "--steps", "vm-epyc-2"], "add the workload launch"),
        (["simulate", "--machine", "r5.metal,r5.metal", "spin", "--smt", "maybe"], "--smt 'maybe' is not known"),
        (["simulate", "--machine", "r5.metal", "launch", "--steps", "r5.metal"], "--steps FILE"),
        (["machine", "calibrate", "-o", str(wrong)], "exists; name another -o, or give --force"),
        (["machine", "calibrate", "-o", str(tmp_path / "x.txt")], "a machine file ends in .toml"),
        (["machine", "calibrate", "-o", str(tmp_path / "no" / "x.toml")], "is not a folder"),
    ):
        with pytest.raises((UsageError, click.UsageError)) as refused:
            cli.main(words, standalone_mode=False)
        error = refused.value
        message = error.format_message() if isinstance(error, click.UsageError) else str(error)
        assert said in message
        assert "\n" not in message
    ran = pybench("simulate", "--machine", str(wrong), "spin")
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)


@pytest.mark.alone
def test_this_host_calibrated_is_a_machine(tmp_path: Path) -> None:
    """A busy host is refused; what is written is complete, this host's, and can be simulated."""
    path = tmp_path / "here.toml"
    ran = pybench("machine", "calibrate", "-o", str(path))
    if ran.returncode == 4:
        assert "on an idle host" in ran.stderr
        assert not path.exists()
        pytest.skip(ran.stderr.strip().splitlines()[-1])
    assert ran.returncode == 0, ran.stderr
    machine = read_machine(path)
    here = len(os.sched_getaffinity(0))
    assert len(machine.topology().cpus) >= here
    measured = {name for name, number in machine.numbers().items() if not number.assumed}
    assert {"core.loop_ns", "core.atomic_ns", "core.pause_ns"} <= measured
    assert 0.1 < machine.times["core.pause_ns"].value < 1000
    kept = tmp_path / "k.jsonl"
    ran = pybench("simulate", "--machine", str(path), "spin", "--lock", "ticket", "--draws", "2", *SHORT,
                  "--output", str(kept))  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = read(kept).header.simulated
    assert told is not None and told.digest == machine.digest
