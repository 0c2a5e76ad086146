# SPDX-License-Identifier: Apache-2.0
"""`pybench topology`: the picture, placements, JSON, captures, and its one-line errors."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from pybench.cli import main
from pybench.cli.host.topology import command
from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Topology, read_topology

DATA = Path(__file__).parents[1] / "data" / "topologies"
SMALL, LARGE = str(DATA / "two-sockets-8.tar.gz"), str(DATA / "two-sockets-96.tar.gz")

PICTURE = """\
8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes, 1.9 GiB
╭─ socket 0, 2 cores, node 0 (974 MiB), L3 0 (16 MiB) ─────────────────────────╮
│ 0+4 1+5                                                                      │
╰──────────────────────────────────────────────────────────────────────────────╯
╭─ socket 1, 2 cores, node 1 (1007 MiB), L3 1 (16 MiB) ────────────────────────╮
│ 2+6 3+7                                                                      │
╰──────────────────────────────────────────────────────────────────────────────╯
One cell is one core, with its CPU numbers (a+b: its SMT siblings).

NUMA distances   0   1
node 0          10  21
node 1          21  10
"""

PLACED = """\
8 CPUs: 2 sockets x 2 cores x 2 threads, 2 NUMA nodes, 1.9 GiB
╭─ socket 0, 2 cores, node 0 (974 MiB), L3 0 (16 MiB) ─────────────────────────╮
│ 0#1+4 1#3+5                                                                  │
╰──────────────────────────────────────────────────────────────────────────────╯
╭─ socket 1, 2 cores, node 1 (1007 MiB), L3 1 (16 MiB) ────────────────────────╮
│ 2#2+6 3#4+7                                                                  │
╰──────────────────────────────────────────────────────────────────────────────╯
One cell is one core, with its CPU numbers (a+b: its SMT siblings).
#1, #2, ...: the order in which the placement puts threads on CPUs

NUMA distances   0   1
node 0          10  21
node 1          21  10

dual-socket smt:off mem:node:1: 4 CPUs on 4 cores, sockets 0-1, nodes 0-1, SMT
  siblings left out, filled scatter, memory on node 1
order: 0,2,1,3
borders, in threads: socket after 1
"""


def run(*arguments: str, **environment: str) -> Result:
    """Run the verb on an 80-column terminal."""
    runner = CliRunner(env={"COLUMNS": "80", "FORCE_COLOR": None, "NO_COLOR": None, **environment})
    return runner.invoke(command, list(arguments), color=True)


def shown(*arguments: str, **environment: str) -> str:
    """Run the verb and return its standard output."""
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_picture() -> None:
    assert shown("--sysroot", SMALL) == PICTURE


def test_the_picture_of_a_placement() -> None:
    assert shown("--sysroot", SMALL, "--place", "dual-socket mem:node:1", "--smt", "off") == PLACED


def test_96_cpus_fit_one_screen() -> None:
    lines = shown("--sysroot", LARGE).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    words = " ".join(lines).split()
    assert [word for word in words if "+" in word][:-1] == [f"{n}+{n + 48}" for n in range(48)]


def test_a_placement_on_96_cpus_fits_the_width_and_names_every_turn() -> None:
    text = shown("--sysroot", LARGE, "--place", "all scatter")
    assert max(map(len, text.splitlines())) <= 80
    assert "0#1+48#49" in text
    assert "47#48+95#96" in text
    order = "".join(line.strip() for line in text.partition("order:")[2].partition("borders")[0].splitlines())
    assert order.startswith("0,24,1,25,")
    assert order.endswith("70,94,71,95")


def test_several_placements_give_several_pictures() -> None:
    text = shown("--sysroot", SMALL, "--place", "socket:0,1,node:1")
    assert text.count("8 CPUs: 2 sockets") == 2
    assert "socket:0-1: 8 CPUs on 4 cores" in text
    assert "node:1: 4 CPUs on 2 cores" in text


def test_marks_are_explained_only_where_used() -> None:
    text = shown("--sysroot", str(DATA / "cgroup-v2-cpuset.tar.gz"))
    assert "2!~+6~^" in text
    assert "!: not allowed, this process's cpuset leaves 0-1,4-6\n" in text
    assert "~: isolated" in text
    assert "^: runs without the timer tick" in text
    for sign in ("!:", "~:", "^:"):
        assert sign not in PICTURE


def test_offline_cpus_and_smt_switched_off_are_said() -> None:
    text = shown("--sysroot", str(DATA / "smt-off.tar.gz"))
    assert "Offline: CPUs 4-7" in text
    assert "SMT is switched off in the kernel" in text
    assert "Offline: CPU 3\n" in shown("--sysroot", str(DATA / "one-offline.tar.gz"))


def test_colour_only_where_wanted() -> None:
    arguments = ("--sysroot", SMALL, "--place", "0")
    green = "\x1b[1;32m0#1"
    assert green in shown(*arguments, FORCE_COLOR="1")
    assert green not in shown(*arguments, FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b" not in shown(*arguments)


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    code = "from pybench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "topology", "--sysroot", SMALL],
        env={"PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
        capture_output=True,
        check=True,
    )
    assert b"+- socket 0, 2 cores" in done.stdout.replace(b"\n|", b"\n")
    assert done.stderr == b""


def test_json_is_the_topology_and_nothing_else() -> None:
    text = shown("--json", "--sysroot", SMALL)
    assert msgspec.json.decode(text, type=Topology) == read_topology(Path(SMALL))
    assert "placements" not in msgspec.json.decode(text)


def test_json_of_a_placement() -> None:
    placed = msgspec.json.decode(shown("--json", "--sysroot", SMALL, "--place", "all,1,0"))["placements"]
    assert [each["cpus"] for each in placed] == [[0, 1, 4, 5, 2, 3, 6, 7], [1, 0]]
    assert placed[0]["memory"] == {"kind": "local", "nodes": []}
    assert placed[0]["borders"] == [[2, "SMT siblings"], [4, "socket"], [6, "SMT siblings"]]
    assert placed[1]["description"].startswith("1,0: 2 CPUs on 2 cores")


def test_this_machine() -> None:
    assert shown().startswith(f"{len(read_topology().cpus)} CPU")


def test_a_capture_is_read_back(tmp_path: Path) -> None:
    target = tmp_path / "here.tar.gz"
    result = run("--capture", str(target), "--json", "--sysroot", SMALL)
    assert result.exit_code == 0
    assert msgspec.json.decode(result.stdout, type=Topology) == read_topology(target)
    assert f"read it anywhere with --sysroot {target}" in result.stderr


def test_a_capture_overwrites_nothing(tmp_path: Path) -> None:
    target = tmp_path / "mine.tar.gz"
    target.write_text("mine")
    result = run("--capture", str(target))
    assert isinstance(result.exception, UsageError)
    assert result.stdout == ""
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--place", "999"), UsageError, "CPU 999 does not exist; this host has 0-7"),
        (("--place", "all smt:on", "--smt", "off"), UsageError, "keep one of the two"),
        (("--place", "all,0-1 scatterd"), UsageError, "unknown word 'scatterd'"),
        (("--place", "l3:0,dual-socket compact"), UsageError, "write socket:LIST compact"),
        (("--sysroot", "/no/such/place"), UsageError, "no such folder or capture file"),
    ],
)
def test_errors_print_nothing(arguments: tuple[str, ...], error: type, words: str) -> None:
    result = run("--sysroot", SMALL, *arguments)
    assert isinstance(result.exception, error)
    assert words in str(result.exception)
    assert result.stdout == ""


def test_a_host_with_one_socket_has_no_dual_socket(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu"
    (cpu / "cpu0").mkdir(parents=True)
    (cpu / "online").write_text("0\n")
    result = run("--sysroot", str(tmp_path), "--place", "dual-socket")
    assert isinstance(result.exception, UnsupportedError)


def test_smt_alone_says_nothing() -> None:
    result = run("--smt", "off")
    assert result.exit_code == 2
    assert "give --place as well" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--place", "999"], 2, "pybench: CPU 999 does not exist; this host has 0-7\n"),
        (["--json", "--sysroot", "/"], 0, ""),
        (["--sysroot", str(DATA)], 2, f"pybench: {DATA}: no sys/devices/system/cpu there; name the folder that "
         "holds sys and proc\n"),
    ],
)  # fmt: skip
def test_exit_status_and_one_line(
    arguments: list[str],
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["pybench", "topology", "--sysroot", SMALL, *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == status
    assert capsys.readouterr().err == line
