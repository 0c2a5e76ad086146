# SPDX-License-Identifier: Apache-2.0
"""Test the command line in emulated machines: sweeps that turn switches, comparisons of SMT and sockets, 96 CPUs.

All runs in one process per machine: a new one takes half a minute to import pybench there.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pybench.cli import main
from pybench.host.switches.files import SwitchFiles
from pybench.results.store import Results, read
from pybench.run import sweep as runner
from pybench.run.checked_trial import measure
from pybench.text import format_list
from tests.validation.core import switches as switches_study

FILES = SwitchFiles()
SHORT = ("--duration", "5ms", "--warmup", "1ms")
# Hardly a trial is valid in a guest, so waiting for valid ones would take for ever.
TWICE = ("--min-trials", "2", "--max-trials", "2", "--max-invalid", "2")
ONCE = ("--min-trials", "1", "--max-trials", "1", "--max-invalid", "1")


class Seen(NamedTuple):
    """The state that a trial's cell wants, and the host's switches while it ran."""

    smt: str
    offline: tuple[int, ...]
    control: str | None
    online: str


class Ran(NamedTuple):
    status: int
    out: str
    err: str


Pybench = Callable[..., Ran]


def switches() -> tuple[str | None, str]:
    """Return the state of SMT, and the CPUs that are on."""
    return FILES.smt(), format_list(FILES.online())


@pytest.fixture
def pybench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pybench:
    """Return a function that runs the command line, with its journal in `tmp_path`."""
    monkeypatch.setenv("PYBENCH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["pybench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        ran = Ran(int(ended.value.code or 0), *capsys.readouterr())
        # Printed to explain a failure.
        print(*ran, sep="\n")
        return ran

    return run


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """Record the kernel's switches after each trial of a sweep."""
    found: list[Seen] = []

    def look(cell: Any, *more: Any) -> Any:
        measured = measure(cell, *more)
        offline = cell.offline if isinstance(cell.offline, tuple) else ()
        found.append(Seen(cell.smt, offline, *switches()))
        return measured

    monkeypatch.setattr(runner, "measure", look)
    return found


@pytest.fixture
def as_before(tmp_path: Path) -> Iterator[None]:
    """Check that switches are as before afterwards, and that no journal is left."""
    before = switches()
    yield
    assert switches() == before
    assert not (tmp_path / "state" / "journal.json").exists()


def cpus_of(results: Results) -> dict[tuple[str, str, int], str]:
    """Return (placement, SMT, threads) -> CPUs of every cell; check that all trials ran."""
    cells = results.header.plan.cells
    assert {trial.cell for trial in results.trials} == set(range(len(cells)))
    assert {trial.outcome.status for trial in results.trials} == {"ok"}
    return {(cell.place, cell.smt, cell.threads): format_list(cell.cpus) for cell in cells}


@pytest.mark.lab("server", slow=True)
def test_a_sweep_from_end_to_end(tmp_path: Path, pybench: Pybench) -> None:
    file = tmp_path / "sweep.jsonl"
    words = ["--lock", "mcs", "--threads", "4", "--place", "single-socket,dual-socket", "--smt", "on"]
    ran = pybench("sweep", "spin", *words, *SHORT, *TWICE, "--output", str(file))
    assert ran.status == 0
    assert "EMULATED" in ran.out
    results = read(file)
    assert cpus_of(results) == {("single-socket", "on", 4): "0-1,4-5", ("dual-socket", "on", 4): "0,2,1,3"}
    assert len(results.trials) >= 4
    assert results.header.host["hypervisor"]["emulated"] is True
    refused = pybench("report", str(file))
    assert refused.status == 2
    assert "--emulated" in refused.err


# Siblings are 0+1 2+3 4+5 6+7 on 2x2x2, and 0+4 1+5 2+6 3+7 on the server.
@pytest.mark.lab("2x2x2", "server")
@pytest.mark.usefixtures("as_before")
def test_a_sweep_turns_smt_and_a_cpu_off_and_on(
    tmp_path: Path, pybench: Pybench, seen: list[Seen], lab_preset: str
) -> None:
    file = tmp_path / "sweep.jsonl"
    adjacent = lab_preset == "2x2x2"
    # A first sibling, and a second one, which SMT turns off too.
    one, rest = (4, "0-3,5-7") if adjacent else (6, "0-5,7")
    axes = ["--smt", "on,off:kernel", "--offline", "none", "--offline", str(one), "--place", "socket:0"]
    # With that seed the states are: as found, SMT off, one CPU off, both off.
    words = ["sweep", "spin", "--lock", "mcs", "--threads", "2", *axes, *SHORT, *ONCE, "--seed", "5"]
    refused = pybench(*words, "--output", str(file))
    assert (refused.status, refused.out, seen) == (2, "", [])
    assert "--allow-host-changes" in refused.err
    assert not file.exists()
    told = (
        "This plan turns switches of the host, and puts them back:",
        f"SMT off (CPUs {'1,3,5,7' if adjacent else '4-7'} to turn)",
        f"CPU {one} off (CPU {one} to turn)",
        f"SMT off, CPU {one} off (CPUs {'1,3-5,7' if adjacent else '4-7'} to turn)",
    )
    planned = pybench(*words, "--dry-run")
    assert planned.status == 0
    assert [part for part in told if part not in planned.out] == []
    ran = pybench(*words, "--output", str(file), "--allow-host-changes")
    assert ran.status == 0
    assert [part for part in told if part not in ran.err] == []
    cores = "0,2" if adjacent else "0-1"
    places = ("socket:0", f"socket:0 offline:{one}")
    assert cpus_of(read(file)) == {(place, smt, 2): cores for place in places for smt in ("on", "off:kernel")}
    cores_on = "0,2,4,6" if adjacent else "0-3"
    both_off = "0,2,6" if adjacent else "0-3"
    assert seen == [
        Seen("on", (), "on", "0-7"),
        Seen("off:kernel", (), "off", cores_on),
        Seen("on", (one,), "on", rest),
        Seen("off:kernel", (one,), "off", both_off),
    ]


@pytest.mark.lab("2x2x2", "server", slow=True)
@pytest.mark.parametrize("how", ["placement", "kernel"])
@pytest.mark.usefixtures("as_before")
def test_smt_is_compared(tmp_path: Path, pybench: Pybench, seen: list[Seen], lab_preset: str, how: str) -> None:
    file = tmp_path / "compared.jsonl"
    leave = ["--kernel", "--allow-host-changes"] if how == "kernel" else []
    bounds = ["--duration", "5ms", "--max-trials", "6", "--budget", "15s", "--seed", "1"]
    ran = pybench("compare-smt", "spin", "--lock", "mcs", *leave, *bounds, "--output", str(file))
    assert ran.status == 0
    two, four = ("0,2", "0-3") if lab_preset == "2x2x2" else ("0-1", "0,4,1,5")
    pair = "0-1" if lab_preset == "2x2x2" else "0,4"
    off = "off:kernel" if how == "kernel" else "off"
    place = "socket:0 siblings-first"
    assert cpus_of(read(file)) == {
        (place, off, 1): "0",
        (place, off, 2): two,
        (place, "on", 2): pair,
        (place, "on", 4): four,
    }
    left = "0,2,4,6" if lab_preset == "2x2x2" else "0-3"
    expected = {Seen("on", (), "on", "0-7")}
    expected.add(Seen("off:kernel", (), "off", left) if how == "kernel" else Seen("off", (), "on", "0-7"))
    assert set(seen) == expected
    verdict = ran.out.partition("Verdict")[2]
    assert "spin, equal cores (2): " in verdict
    assert "spin, equal threads (2): " in verdict
    assert "EMULATED" in ran.out


@pytest.mark.lab("2x2x2", "server", slow=True)
@pytest.mark.usefixtures("as_before")
def test_sockets_are_compared(tmp_path: Path, pybench: Pybench, lab_preset: str) -> None:
    file, page = tmp_path / "compared.jsonl", tmp_path / "page.html"
    bounds = ["--duration", "5ms", "--max-trials", "6", "--budget", "15s", "--seed", "1"]
    ran = pybench("compare-sockets", "spin", "--lock", "mcs", *bounds, "--output", str(file))
    assert ran.status == 0
    cores = ("0,2", "0,4", "0,4,2,6") if lab_preset == "2x2x2" else ("0-1", "0,2", "0,2,1,3")
    assert cpus_of(read(file)) == {
        ("socket:0 scatter", "off", 1): "0",
        ("socket:0 scatter", "off", 2): cores[0],
        ("dual-socket", "off", 2): cores[1],
        ("dual-socket", "off", 4): cores[2],
    }
    verdict = ran.out.partition("Verdict")[2]
    assert "spin, equal cores per socket (2): " in verdict
    assert "spin, equal threads (2): " in verdict
    assert "EMULATED" in ran.out
    made = pybench("report", str(file), "-o", str(page), "--emulated")
    assert made.status == 0
    assert "(EMULATED)</h1>" in page.read_text()


@pytest.mark.lab("2x2x2")
def test_kills_leave_the_machine_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBENCH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(runner, "SETTLE_S", 0.02)
    before = switches()
    monkeypatch.setattr(switches_study, "WATCHDOG_TOO", 2)
    assert switches_study.kills(2, 1, tmp_path).holds
    assert switches() == before


@pytest.mark.lab("r5.metal", slow=True)
def test_96_cpus_are_shown(pybench: Pybench) -> None:
    ran = pybench("topology")
    assert ran.status == 0
    assert "96 CPUs: 2 sockets x 24 cores x 2 threads, 2 NUMA nodes" in ran.out


@pytest.mark.lab("r5.metal", slow=True)
@pytest.mark.usefixtures("as_before")
def test_a_sweep_of_96_cpus_turns_smt_off_and_on(tmp_path: Path, pybench: Pybench, seen: list[Seen]) -> None:
    file = tmp_path / "sweep.jsonl"
    axes = ["--smt", "on,off:kernel", "--place", "node:0", "--threads", "2", "--allow-host-changes"]
    ran = pybench("sweep", "spin", "--lock", "mcs", *axes, *SHORT, *ONCE, "--seed", "1", "--output", str(file))
    assert ran.status == 0
    assert "SMT off (CPUs 48-95 to turn)" in ran.err
    assert cpus_of(read(file)) == {("node:0", "on", 2): "0-1", ("node:0", "off:kernel", 2): "0-1"}
    assert set(seen) == {Seen("on", (), "on", "0-95"), Seen("off:kernel", (), "off", "0-47")}


@pytest.mark.lab("r5.metal", slow=True)
def test_a_sweep_runs_96_threads(tmp_path: Path, pybench: Pybench) -> None:
    file = tmp_path / "sweep.jsonl"
    axes = ["--smt", "on", "--place", "all", "--threads", "max"]
    ran = pybench("sweep", "spin", "--lock", "mcs", *axes, *SHORT, *ONCE, "--output", str(file))
    assert ran.status == 0
    assert cpus_of(read(file)) == {("all", "on", 96): "0-23,48-71,24-47,72-95"}
