# SPDX-License-Identifier: Apache-2.0
"""The sweep as a user types it: real trials, real files, real signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pybench.cli import GONE, verbs
from pybench.results.store import read
from tests.cli.cli_runs import ALL_VALID, MAIN, SKIP_CHECKS, here, pybench, python, skip_without_mounts

QUICK = ["--duration", "5ms", "--warmup", "1ms", "--max-trials", "8"]


def test_a_sweep_prints_what_it_keeps(tmp_path: Path) -> None:
    words = ["--lock", "ticket,mcs", "--threads", "1", *QUICK]
    ran = pybench("sweep", "spin", *words, start=ALL_VALID, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "results").glob("*.jsonl")
    assert str(path.relative_to(tmp_path)) in ran.stderr
    for text in ("lock=ticket", "lock=mcs", "speedup", "p99", "Jain"):
        assert text in ran.stdout
    assert all(len(line.rstrip()) <= 80 for line in ran.stdout.splitlines())
    again = here("show", path)
    assert again.stdout == ran.stdout
    results = read(path)
    assert results.header.command[:3] == ["pybench", "sweep", "spin"]
    assert results.header.host["kernel"]["release"] == os.uname().release
    assert {t.cell for t in results.trials} == {0, 1}
    assert [end.reason for end in results.ends] in (["sure"], ["limit"])


@pytest.mark.parametrize("workload", ["spin", "stat", "mount"])
def test_records_add_up(tmp_path: Path, workload: str) -> None:
    file = tmp_path / "r.jsonl"
    ran = pybench("sweep", workload, "--threads", "1", "--output", file, *QUICK, start=ALL_VALID)
    if workload == "mount":
        skip_without_mounts(ran)
    assert ran.returncode == 0, ran.stderr
    assert read(file).trials
    for trial in read(file).trials:
        members, figures = trial.outcome.members, trial.figures
        assert members and figures
        assert len(members.cpu) == trial.threads
        assert figures.throughput == pytest.approx(sum(members.operations) / max(members.stop_ns) * 1e9)
        for phase in trial.outcome.phases.values():
            # A batched call counts once, a sample once for each operation that it represents.
            counted = sum(phase.histogram[1::2])
            assert counted == (phase.calls if trial.workload == "mount" else phase.operations)
            if counted == phase.calls:
                assert phase.wall_ns <= trial.threads * max(members.stop_ns) * 1.5
        assert figures.p50_ns <= figures.p99_ns <= figures.max_ns
        if trial.workload == "mount":
            assert trial.outcome.mounts_after == trial.outcome.mounts_before > 0


def test_pandas_reads_the_file_and_a_thousand_trials_are_small(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    file = tmp_path / "r.jsonl"
    words = ["--threads", "1..max", *QUICK[2:], "--duration", "50ms", "--max-trials", "6"]
    assert pybench("sweep", "stat", "spin", "--output", file, *words, start=ALL_VALID).returncode == 0
    frame = pandas.read_json(file, lines=True)
    trials = frame[frame.kind == "trial"]
    assert set(trials.workload) == {"stat", "spin"}
    assert trials.figures.map(lambda figures: figures["throughput"]).gt(0).all()
    sizes = [len(line) for line in file.read_bytes().splitlines() if b'"kind":"trial"' in line]
    assert 1000 * sum(sizes) / len(sizes) < 5e6


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    words = ["sweep", "spin", "--lock", "tas,ttas", "--threads", "1", "--duration", "30ms", "--target", "0.001"]
    run = subprocess.Popen(
        [*ALL_VALID, *words, "--max-trials", "12", "--output", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_bytes().count(b"\n") >= 5):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.01)
    run.kill()
    run.wait()
    before = len(read(file).trials)
    with file.open("ab") as tail:
        tail.write(b'{"kind":"trial","cell":0,')
    ran = pybench("sweep", "--resume", file, start=ALL_VALID)
    assert ran.returncode == 0, ran.stderr
    assert f"{before} trials are there" in ran.stderr
    trials = read(file).trials
    assert [t.sequence for t in trials] == list(range(len(trials)))
    for cell in (0, 1):
        assert sorted(t.repeat for t in trials if t.cell == cell) == list(range(12))


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    words = ["sweep", "spin", "--threads", "1", "--duration", "50ms", "--target", "0.001", "--max-trials", "500"]
    run = subprocess.Popen(
        [*ALL_VALID, *words, "--output", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_bytes().count(b"\n") >= 4):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert f"pybench sweep --resume {file}" in err
    assert "speedup" in out
    results = read(file)
    assert len(results.trials) >= 3
    assert results.ends[-1].reason == "interrupted"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["sweep", "spin", "--lock", "tickett"], 2, "lock='tickett' is not known; choose from tas|ttas|"),
        (["sweep", "spin", "--place", "999"], 2, "CPU 999 does not exist; this host has"),
        (["sweep", "spin", "--place", ""], 2, "placement"),
        (["sweep", "spin", "--place", "socket:9"], 2, "socket"),
        (["sweep", "none"], 2, "no workload 'none'; there are launch, mount, spin, stat"),
        (["sweep", "--threads", "4096"], 2, "--oversubscribe"),
        (["sweep", "spin", "--param", "lock"], 2, "write NAME=VALUE"),
        (["sweep", "spin", "--smt", "maybe"], 2, "--smt 'maybe' is not known"),
        (["sweep", "spin", "--duration", "soon"], 2, "invalid duration"),
        (["sweep", "spin", "--min-trials", "9", "--max-trials", "8"], 2, "below --min-trials"),
        (["sweep", "--resume", "x.jsonl", "--seed", "1"], 2, "leave out the other options"),
        (["sweep", "--resume", "x.jsonl", "--seed", "0"], 2, "leave out the other options"),
        (["sweep", "spin", "--seed", "-1"], 2, "seed: -1 is out of range; write 0 to"),
        (["sweep", "--resume", "none.jsonl"], 2, "cannot read none.jsonl"),
        (["sweep", "--sysroot", "/"], 2, "add --dry-run"),
        (["sweep", "mount", "--fs", "/none/such", "--threads", "1", *QUICK], 4, "No such file or directory"),
        (["show", "none.jsonl"], 2, "cannot read none.jsonl"),
        (["show", "/"], 2, "Is a directory"),
        (["frobnicate"], 2, "No such command 'frobnicate'"),
        (["sweep", "--no-such-option"], 2, "No such option"),
    ],
)
def test_bad_input_costs_one_line_and_its_exit_status(
    tmp_path: Path, words: list[str], status: int, says: str
) -> None:
    ran = here(*words, cwd=tmp_path)
    if "unsupported" in ran.stderr and status == 4:
        pytest.skip(f"no mounts here: {ran.stderr.splitlines()[-1]}")
    assert ran.returncode == status, ran.stderr
    assert says in ran.stderr
    assert len([line for line in ran.stderr.splitlines() if line.startswith("pybench: ")]) == 1


VERBS = {name: module for group in verbs().values() for name, (module, _) in group.items()}
SUBVERBS = [[verb] for verb in VERBS] + [["machine", verb] for verb in ("list", "show", "calibrate")]


@pytest.mark.parametrize("verb", [[], *SUBVERBS])
def test_help_fits_80_columns(verb: list[str]) -> None:
    ran = here(*verb, "--help")
    assert ran.returncode == 0
    assert "Usage: " in ran.stdout
    assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []


def test_there_are_at_most_16_verbs_each_with_a_short_help() -> None:
    assert 10 < len(VERBS) <= 16
    for group in verbs().values():
        assert all(line.endswith(".") and line[0].isupper() for _, line in group.values())


@pytest.mark.parametrize("verb", GONE)
def test_a_verb_that_is_gone_names_its_new_spelling(verb: str) -> None:
    ran = here(verb)
    assert ran.returncode == 2
    assert ran.stderr == f"pybench: '{verb}' is gone; write: {GONE[verb]}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    ran = here("--completion", shell)
    assert ran.returncode == 0
    assert "_PYBENCH_COMPLETE" in ran.stdout


def test_no_verb_waits_for_scipy_to_load() -> None:
    """Check that SciPy is not imported: that takes longer than the rest of most commands."""
    modules = [*VERBS.values(), "pybench.api.sweep", "pybench.cli.runs", "pybench.api.latency"]
    code = f"import importlib, sys; [importlib.import_module(m) for m in {modules}]; print(*sys.modules)"
    ran = subprocess.run(python(code), text=True, capture_output=True, check=True, timeout=100)
    assert "pybench.run.sweep" in ran.stdout.split()
    assert "scipy" not in ran.stdout.split()


COUNT_FILES = """
import atexit, pathlib, sys
def count():
    own = [module for name, module in sys.modules.items() if name.split(".")[0] == "pybench"]
    paths = [getattr(module, "__file__", None) or "" for module in own]
    # Not the packages that hold a docstring alone.
    print(sum(path.endswith(".py") and pathlib.Path(path).read_text().count("\\n") > 3 for path in paths))
atexit.register(count)
"""


def test_a_sweep_loads_only_what_it_needs(tmp_path: Path) -> None:
    """Each file costs start-up time; a sweep without a fit, a launch or a report waits for none of theirs."""
    words = ["sweep", "spin", "--threads", "1,2", "--no-report", "--output", str(tmp_path / "r.jsonl"), *QUICK]
    ran = pybench(*words, start=python(f"{COUNT_FILES}\n{SKIP_CHECKS}; {MAIN}"))
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.splitlines()[-1]) <= 48


def test_offline_cpu_is_named(tmp_path: Path) -> None:
    cpus = tmp_path / "sys/devices/system/cpu"
    for number in (0, 1):
        topology = cpus / f"cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
    (cpus / "online").write_text("0\n")
    (cpus / "present").write_text("0-1\n")
    (tmp_path / "proc").mkdir()
    ran = here("sweep", "spin", "--place", "1", "--dry-run", "--sysroot", tmp_path)
    assert ran.returncode == 2
    assert "CPU 1 is offline" in ran.stderr


def test_the_core_is_not_built(tmp_path: Path) -> None:
    package = tmp_path / "pybench"
    shutil.copytree(
        Path(__file__).parents[2] / "pybench", package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    ran = subprocess.run(
        [sys.executable, "-c", "from pybench.cli import main; main()", "sweep", "spin", "--threads", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "the native core does not load" in ran.stderr
    assert "C compiler" in ran.stderr


def test_results_folder_not_writable(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Root may write anywhere but below a file.
        (tmp_path / "results").touch()
    else:
        tmp_path.chmod(0o500)
    ran = here("sweep", "spin", "--threads", "1", *QUICK, cwd=tmp_path)
    tmp_path.chmod(0o700)
    assert ran.returncode == 2
    assert "name a writable file with --output" in ran.stderr


def private_namespace(script: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell script where it may mount, or skip."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare -rm does not work here: no user namespaces")
    command = ["unshare", "-rm", "sh", "-ec", script, "sh", *ALL_VALID]
    return subprocess.run(command, text=True, capture_output=True, timeout=100, check=False)


def test_a_full_disk_loses_nothing_that_was_measured(tmp_path: Path) -> None:
    ran = private_namespace(
        f"mount -t tmpfs -o size=48k none {tmp_path}; cd {tmp_path}; set +e;"
        '"$@" sweep spin --threads 1 --target 0.001 --max-trials 200 --duration 5ms --output r;'
        'echo "status $?"; "$@" show r'
    )
    assert "status 4" in ran.stdout
    assert "make room, then go on with --resume r" in ran.stderr
    assert "speedup" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_no_namespaces_are_told_with_what_is_needed(tmp_path: Path) -> None:
    # In a namespace whose limit is 0, the crew gets no namespace of its own.
    limit = "/proc/sys/user/max_mnt_namespaces"
    if not Path(limit).exists():
        pytest.skip(f"no {limit} here")
    ran = private_namespace(f'echo 0 > {limit}; cd {tmp_path}; exec "$@" sweep stat --threads 1')
    assert ran.returncode == 3, ran.stderr
    assert "this host cannot do it" in ran.stderr


def test_dry_run_measures_nothing(tmp_path: Path) -> None:
    ran = here("sweep", "spin", "--lock", "tas,mcs", "--dry-run", "--threads", "1", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "2 cells, 6 to 30 trials of 200 ms each" in ran.stdout
    assert not (tmp_path / "results").exists()


def test_a_config_file_is_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('workloads = ["spin"]\nthreads = 1\nduration = "5ms"\nmax_trials = 7\n')
    ran = pybench("sweep", "--config", "s.toml", "--output", "r.jsonl", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])["plan"]["max_trials"] == 7


@pytest.mark.parametrize(("words", "page"), [([], True), (["--no-report"], False)])
def test_a_sweep_ends_by_naming_its_report(tmp_path: Path, words: list[str], page: bool) -> None:
    pytest.importorskip("vl_convert")
    ran = pybench("sweep", "spin", "--threads", "1", *QUICK, *words, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "results").glob("*.jsonl")
    last = ran.stderr.splitlines()[-1]
    name = path.relative_to(tmp_path)
    assert last == (f"report: {name.with_suffix('.html')}" if page else f"a page of it: pybench report {name}")
    assert path.with_suffix(".html").exists() is page
