# SPDX-License-Identifier: Apache-2.0
"""Test the lab itself: the tables for the firmware, refusals, and that nothing is left when it ends."""

import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import LabError, bytecode, guest, kernel
from tests.lab.machines import PRESETS, Machine, apic_table, machine, qemu_arguments

LAB = [sys.executable, str(guest.CHECKOUT / "scripts" / "lab")]
needs_lab = pytest.mark.skipif(
    bool(os.environ.get("PYBENCH_LAB_TESTS") == "0" or guest.why_not()),
    reason=guest.why_not() or "the lab is switched off (PYBENCH_LAB_TESTS=0)",
)
machines = st.builds(
    Machine,
    st.just("any"),
    sockets=st.integers(1, 4),
    cores=st.sampled_from([2, 4, 6, 10]),
    threads=st.integers(1, 3),
    nodes_per_socket=st.sampled_from([1, 2]),
    memory_nodes=st.integers(0, 2),
    numbering=st.sampled_from(["adjacent", "server"]),
)


def run(
    *words: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [*LAB, *map(str, words)]
    return subprocess.run(command, text=True, capture_output=True, timeout=140, env=env, cwd=cwd)


# --- machines ------------------------------------------------------------------------------------


def listed(table: bytes) -> list[int]:
    """Return the hardware ids of the CPUs, in the table's order."""
    found, offset = [], 44
    while offset < len(table):
        kind, length = table[offset : offset + 2]
        if kind == 0:
            found.append(table[offset + 3])
        offset += length
    assert offset == len(table) == struct.unpack_from("<I", table, 4)[0]
    return found


@given(machines)
def test_the_firmware_lists_every_cpu_once_in_the_order_of_its_numbers(this: Machine) -> None:
    table = apic_table(this)
    assert sum(table) % 256 == 0
    ids = listed(table)
    assert len(set(ids)) == len(ids) == this.cpus
    thread_bits = (this.threads - 1).bit_length()
    cores = [apic >> thread_bits for apic in ids]
    if this.numbering == "adjacent":
        assert ids == sorted(ids)
        assert cores == sorted(cores)
    else:
        each = this.sockets * this.cores
        assert all(cores[n] == cores[n % each] for n in range(this.cpus))
        assert cores[:each] == sorted(set(cores))


@given(machines)
def test_nodes_share_all_cpus_and_all_memory(this: Machine) -> None:
    words = qemu_arguments(this)
    fields = [dict(part.partition("=")[::2] for part in word.split(",")) for word in words if "," in word]
    numbers = [
        n
        for one in fields
        if "cpus" in one
        for n in range(int(one["cpus"].split("-")[0]), int(one["cpus"].split("-")[1]) + 1)
    ]
    assert numbers == list(range(this.cpus))
    assert sum(int(one["size"].removesuffix("M")) for one in fields if "size" in one) == this.memory_mib
    distances = {(one["src"], one["dst"]): int(one["val"]) for one in fields if "src" in one}
    assert len(distances) == this.nodes * (this.nodes - 1) // 2
    assert min(distances.values(), default=11) > 10


def test_a_machine_may_be_changed() -> None:
    assert machine("2x2x2") is PRESETS["2x2x2"]
    assert machine("r5.metal", cores=8, sockets=None).cpus == 32


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "3x3", "--", "true"), "no preset '3x3'; there are 2x2x2, server"),
        (("--sockets", "4", "--cores", "64", "--", "true"), "room for 255 CPU ids"),
        (("--cores", "3", "--nodes-per-socket", "2", "--", "true"), "cannot be shared evenly"),
        (("--threads", "0", "--", "true"), "at least one"),
        (("--memory", "100", "--", "true"), "give --memory"),
        (("--preset", "server"), "no command; write it after --"),
        (("--timeout", "0", "--", "true"), "--timeout"),
    ],
)
def test_what_cannot_be_meant_is_one_line(words: tuple[str, ...], message: str) -> None:
    ran = run(*words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1


# --- what it needs -------------------------------------------------------------------------------


def test_each_thing_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/qemu")
    monkeypatch.setattr(guest, "_file_server", lambda: "/usr/lib/virtiofsd")
    assert "scripts/lab --setup" in (guest.why_not() or "")
    monkeypatch.setattr(guest, "_file_server", lambda: None)
    assert "QEMU and virtiofsd" in (guest.why_not() or "")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in (guest.why_not() or "")
    with pytest.raises(LabError, match="needs root"):
        guest.run(PRESETS["single"], guest.Job("true"))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "aarch64" in (guest.why_not() or "")


def test_a_kernel_that_is_not_what_was_downloaded_is_not_booted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = kernel.cache() / "kernel"
    folder.mkdir(parents=True)
    contents = {"vmlinuz": b"kernel", "busybox": b"programs"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    subprocess.run("sha256sum * > sha256sums", shell=True, cwd=folder, check=True)
    assert kernel.kernel_files() == contents
    (folder / "vmlinuz").write_bytes(b"kernal")
    assert kernel.kernel_files() is None
    shutil.rmtree(folder)
    assert kernel.kernel_files() is None


def test_byte_code_is_made_again_for_what_changed(tmp_path: Path) -> None:
    source = tmp_path / "pybench" / "module.py"
    source.parent.mkdir()
    source.write_text("")
    assert not bytecode.missing(tmp_path)  # nothing would run it
    stamp = tmp_path / ".venv" / bytecode.STAMP
    stamp.parent.mkdir()
    assert bytecode.missing(tmp_path)
    stamp.touch()
    os.utime(source, (1, 1))
    assert not bytecode.missing(tmp_path)
    os.utime(source, (stamp.stat().st_mtime + 1,) * 2)
    assert bytecode.missing(tmp_path)


def test_byte_code_is_made_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    made, variables = bytecode.command(guest.CHECKOUT)
    stamp = guest.CHECKOUT / ".venv" / bytecode.STAMP
    stamp.unlink(missing_ok=True)
    compiled = Path(importlib.util.cache_from_source(str(guest.CHECKOUT / "pybench" / "errors.py")))
    compiled.unlink(missing_ok=True)
    subprocess.run(made, env=variables, check=True)
    assert compiled.exists()
    assert not bytecode.missing(guest.CHECKOUT)


# --- pytest --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "variables"), [(["--no-lab"], {}), ([], {"PYBENCH_LAB_TESTS": "0"})], ids=["option", "variable"]
)
def test_tests_can_be_kept_out_of_the_lab(words: list[str], variables: dict[str, str]) -> None:
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/lab/test_guests.py", *words]
    ran = subprocess.run(
        [sys.executable, *tests],
        cwd=guest.CHECKOUT,
        text=True,
        capture_output=True,
        env=os.environ | variables,
    )
    assert ran.returncode == 0, ran.stdout
    assert "the lab is switched off" in ran.stdout
    assert "passed" not in ran.stdout


# --- boots ---------------------------------------------------------------------------------------


def processes_below(folder: Path) -> list[psutil.Process]:
    """Return the processes whose command line names the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return an environment with a new folder for temporary files, near the root as sockets need short paths."""
    with tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp") as folder:
        yield os.environ | {"TMPDIR": folder}
        assert not list(Path(folder).iterdir())
        assert not processes_below(Path(folder))


def wait_until_it_runs(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not any(folder.glob("*/console")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(processes_below(folder)) >= 2


@needs_lab
@pytest.mark.timeout(300)
def test_out_of_time_ends_it(temporary: dict[str, str]) -> None:
    ran = run("--preset", "single", "--timeout", "1", "--", "sleep 100", env=temporary)
    assert ran.returncode == 124
    assert ran.stderr == "lab: stopped after 1 s; give the command more with --timeout\n"


@needs_lab
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(temporary: dict[str, str], number: signal.Signals) -> None:
    folder = Path(temporary["TMPDIR"])
    with subprocess.Popen([*LAB, "--preset", "single", "--", "sleep 100"], env=temporary) as process:
        wait_until_it_runs(folder)
        began = processes_below(folder)
        process.send_signal(number)
        assert process.wait(20) == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:
        psutil.wait_procs(began, timeout=20)
        assert not processes_below(folder)
        # The next run removes its folder.
        assert run("--preset", "single", "--timeout", "0.1", "--", "true", env=temporary).returncode == 124


@needs_lab
@pytest.mark.timeout(300)
def test_power_loss_keeps_what_was_synced(temporary: dict[str, str], tmp_path: Path) -> None:
    disk, shared = tmp_path / "disk", tmp_path / "shared"
    options = ["--preset", "single", "--disk", disk, "--share", shared]
    steps = (
        "echo kept >/disk/kept",
        "sync",
        "echo lost >/disk/lost",
        "echo shared >/mnt/shared",
        "echo >/written-by-a-guest",
        "echo b >/proc/sysrq-trigger",
        "sleep 100",
    )
    assert run(*options, "--", "; ".join(steps), env=temporary).returncode == 125
    assert (shared / "shared").read_text() == "shared\n"
    assert not Path("/written-by-a-guest").exists()
    ran = run(*options, "--", "cat /disk/kept; test ! -e /disk/lost -a ! -t 1 && exit 7", env=temporary)
    assert (ran.returncode, ran.stdout) == (7, "kept\n"), ran.stderr


@needs_lab
@pytest.mark.timeout(600)
def test_what_power_loss_left_turned_is_put_back(
    request: pytest.FixtureRequest, temporary: dict[str, str], tmp_path: Path
) -> None:
    if not request.config.getoption("slow_lab"):
        pytest.skip("boots twice; give --slow-lab")
    cut = ("python", "-m", "tests.validation", "switches", "--power-loss", "/mnt")
    lost = run("--share", tmp_path, "--", *cut, env=temporary, cwd=guest.CHECKOUT)
    assert lost.returncode == 125
    assert "SMT off, CPUs (0, 2, 4, 6) on" in lost.stdout
    assert (tmp_path / "journal.json").exists()
    # CPU 7 was off before the run that lost its power; the boot turned it on.
    steps = (
        "export PYBENCH_STATE_DIR=/mnt",
        "cd /sys/devices/system/cpu",
        "cat online",
        "pybench topology >/dev/null",
        "pybench doctor --restore",
        "echo status $?",
        "cat smt/control online",
    )
    after = run("--share", tmp_path, "--", "; ".join(steps), env=temporary)
    lines = after.stdout.splitlines()
    assert lines[0] == "0-7"
    assert "pybench doctor --restore" in lines[1]
    assert lines[-3:] == ["status 0", "on", "0-6"], after.stdout
    assert "CPU 7 is off again, as before" in after.stdout
    assert not (tmp_path / "journal.json").exists()
