# SPDX-License-Identifier: Apache-2.0
"""Test files of emulated machines: detected from the host facts, kept from verdicts, and labelled."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import pybench
from pybench.cli import main
from pybench.host.doctor import examine
from pybench.host.facts import read_facts
from pybench.host.sysfs import Tree
from pybench.present.labels import describe_host
from pybench.results.store import EMULATED, EMULATED_NOTE, Results, is_emulated, read
from pybench.results.tables import table
from tests.unit.synthetic import cell, noisy, write
from tests.unit.test_facts import XEON, tree

CLOCKS = "sys/devices/system/clocksource/clocksource0/available_clocksource"
GUEST = {"proc/cpuinfo": XEON.format(more="hypervisor"), "sys/class/dmi/id/sys_vendor": "QEMU\n"}
EMULATED_HOST = {"hypervisor": {"virtual": True, "vendor": "QEMU", "product": None, "emulated": True}}
CELLS = [cell(threads=n) for n in (1, 2)]


def here(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", ["pybench", *map(str, words)])
        patch.setenv("COLUMNS", "80")
        main()
    return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def emulated(results: Results) -> Results:
    """The same results, as an emulated machine's."""
    header = msgspec.structs.replace(results.header, host=results.header.host | EMULATED_HOST)
    return msgspec.structs.replace(results, header=header)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of hardware, and one of an emulated machine."""
    folder = tmp_path_factory.mktemp("emulated")
    one = noisy("real.jsonl", CELLS, factors=[1.0, 0.5])
    other = emulated(noisy("lab.jsonl", CELLS, factors=[1.0, 0.5], seed=1))
    return write(folder / "real.jsonl", one), write(folder / "lab.jsonl", other)


@pytest.mark.parametrize(
    ("more", "known"),
    [
        ({CLOCKS: "tsc hpet acpi_pm\n"}, True),
        ({CLOCKS: "kvm-clock tsc acpi_pm\n"}, False),
        ({CLOCKS: "hyperv_clocksource_tsc_page hpet\n"}, False),
        ({}, False),
        ({CLOCKS: "tsc\n", "sys/class/dmi/id/sys_vendor": "Amazon EC2\n"}, False),
        ({CLOCKS: "tsc\n", "proc/cpuinfo": XEON.format(more="")}, False),
        ({CLOCKS: "kvm-clock\n", "proc/cmdline": "quiet pybench.lab=2x2x2\n"}, True),
        ({"proc/cpuinfo": "model name\t: QEMU TCG CPU version 2.5+\nflags\t: fpu hypervisor\n"}, True),
        ({"proc/cpuinfo": "model name\t: QEMU Virtual CPU version 2.5+\nflags\t: fpu hypervisor\n"}, False),
    ],
)
def test_what_is_known_as_emulated(tmp_path: Path, more: dict[str, str], known: bool) -> None:
    facts = read_facts(tree(tmp_path, **(GUEST | more)))
    assert facts["hypervisor"].get("emulated", False) is known
    assert is_emulated(facts) is known
    advice = next(one for one in examine(Tree(tmp_path), (0,)) if one.topic == "hypervisor")
    assert (advice.level == "problem") is known


def test_a_capture_without_links_is_known_too(tmp_path: Path) -> None:
    files = GUEST | {CLOCKS: "tsc\n"}
    files["sys/devices/virtual/dmi/id/sys_vendor"] = files.pop("sys/class/dmi/id/sys_vendor")
    assert is_emulated(read_facts(tree(tmp_path, **files)))


@pytest.mark.parametrize("host", [{}, {"hypervisor": None}, {"hypervisor": {"virtual": True}}, {"hypervisor": []}])
def test_older_files_are_not_emulated(host: dict[str, Any]) -> None:
    assert not is_emulated(host)


@pytest.mark.parametrize(
    "words", [("compare",), ("compare", "--json"), ("fit",), ("report", "-o", "page.html")], ids=" ".join
)
def test_verdicts_on_emulated_times_are_refused(
    files: tuple[Path, Path], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words[0] == "report":
        pytest.importorskip("altair")
    monkeypatch.chdir(tmp_path)
    both = files[1:] if words[0] == "fit" else files
    ran = here(*words, *both)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert "lab.jsonl" in ran.stderr
    assert "--emulated" in ran.stderr
    assert not (tmp_path / "page.html").exists()
    if words[0] != "report":
        assert here(*words, *[files[0] for _ in both]).returncode in (0, 2)
        forced = here(*words, *both, "--emulated")
        assert forced.returncode == 0, forced.stderr
        assert EMULATED in forced.stdout


def test_a_forced_page_says_it_first(files: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    page = tmp_path / "page.html"
    ran = here("report", files[1], "-o", page, "--emulated", "--svg", tmp_path)
    assert ran.returncode == 0, ran.stderr
    text = page.read_text()
    assert f"({EMULATED})</h1>" in text
    assert text.index(EMULATED_NOTE) < text.index("<figure")
    pictures = list(tmp_path.glob("*.svg"))
    assert pictures
    assert all(EMULATED in picture.read_text() for picture in pictures)


def test_a_page_of_hardware_is_not_labelled(files: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("altair")
    ran = here("report", files[0], "-o", tmp_path / "page.html")
    assert ran.returncode == 0, ran.stderr
    assert EMULATED not in (tmp_path / "page.html").read_text()


def test_tables_and_exports_are_labelled(files: tuple[Path, Path], tmp_path: Path) -> None:
    shown = here("show", files[1])
    assert shown.returncode == 0
    assert EMULATED_NOTE in " ".join(shown.stdout.split())
    assert EMULATED not in here("show", files[0]).stdout
    assert EMULATED in describe_host(read(files[1]).header)
    assert set(table([read(files[1])], "trials")["source"]) == {"emulated"}
    assert set(table([read(files[0])], "trials")["source"]) == {"measured"}


def test_a_comparison_with_an_emulated_machine_names_that(files: tuple[Path, Path]) -> None:
    ran = here("compare", *files, "--emulated", "--json")
    compared = json.loads(ran.stdout)
    assert EMULATED_NOTE in compared["notes"]
    assert "emulated machine" in {row["what"] for pair in compared["pairs"] for row in pair["differences"]}


def test_in_python_it_must_be_asked_for_and_is_labelled(files: tuple[Path, Path]) -> None:
    with pytest.raises(pybench.UsageError, match="emulated=True"):
        pybench.load(*files)
    run = pybench.load(files[1], emulated=True)
    assert run.source == "emulated"
    assert EMULATED in repr(run)
    assert EMULATED_NOTE in " ".join(repr(run.compare(pybench.load(files[0]))).split())


def test_a_chart_in_python_is_labelled(files: tuple[Path, Path]) -> None:
    pytest.importorskip("altair", reason="charts are of the extra `report`")
    assert pybench.load(files[1], emulated=True).chart().to_dict()["title"] == EMULATED
    assert pybench.load(files[0]).chart().to_dict().get("title") != EMULATED


def test_the_note_fits_the_terminal() -> None:
    console = Console(width=80)
    assert len(console.render_lines(EMULATED_NOTE)) <= 2
