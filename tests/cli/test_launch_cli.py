# SPDX-License-Identifier: Apache-2.0
"""The launch storm as a user types it: real mounts in namespaces of their own, real files, real signals."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybench.results.store import read
from pybench.workloads.launch import STRATEGIES
from tests.cli.cli_runs import ALL_VALID, SKIP_CHECKS, here, pybench, python, said, skip_without_mounts

# The command line on a kernel that lacks a call.
REFUSALS = Path(__file__).parents[1] / "native" / "refusals.py"
LACKING = python(f"{SKIP_CHECKS}; import runpy; runpy.run_path({str(REFUSALS)!r}, run_name='__main__')")
SMALL = ["--containers", "1,4", "--layers", "5", "--budget", "5s"]
SMALLEST = ["--containers", "1", "--layers", "5", "--budget", "1s"]


def measured(*words: str, start: list[str] | None = None) -> "subprocess.CompletedProcess[str]":
    """A launch that must work where mounts do at all."""
    ran = pybench("launch", *words, start=start or ALL_VALID)
    skip_without_mounts(ran)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran


def heading(strategy: str) -> str:
    """Return the line above a strategy's rows in a table."""
    return f"strategy={strategy}"


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, stripped."""
    return [line.strip() for line in text.splitlines()]


@pytest.fixture
def result_file(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


def test_a_launch_shows_the_storm_its_phases_its_timeline_and_what_follows(result_file: Path) -> None:
    ran = measured(*SMALL, "--param", "files=2", "--output", str(result_file))
    out = ran.stdout
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())
    for strategy in STRATEGIES:
        assert heading(strategy) in lines_of(out)
        assert f"\nstrategy={strategy} " in out
    for words in ("containers", "each", "p50", "p99", "max", "mounts", "+6", "100%"):
        assert words in out
    for words in ("one container", "userns", "build", "overlay", "release", "clean", "mount ops", "on CPU"):
        assert words in out
    assert "Mount table over one storm" in out
    assert "files=2" in out
    assert said(out).count("parent at 4 containers:") == len(STRATEGIES) - 1
    assert f"kept in {result_file}" in said(ran.stderr)
    again = here("show", str(result_file))
    assert again.stdout == out
    results = read(result_file)
    assert {t.params["strategy"] for t in results.trials} == set(STRATEGIES)
    assert {t.params["containers"] for t in results.trials} == {1, 4}
    for trial in results.trials:
        assert trial.outcome.counters["launched"] == trial.params["containers"]
        assert trial.outcome.mounts_before == trial.outcome.mounts_after > 0


def test_results_go_below_the_current_directory(tmp_path: Path) -> None:
    ran = pybench("launch", "--strategy", "plain", *SMALLEST, cwd=tmp_path)
    if ran.returncode == 3:
        pytest.skip(ran.stderr)
    (path,) = (tmp_path / "results").glob("*.jsonl")
    assert path.name.startswith("launch-")
    assert read(path).trials


def test_who_suffers_is_shown(result_file: Path) -> None:
    words = ["--readers", "1", "--param", "walkers=1", "--param", "probe_every_ms=1", "--strategy", "binds,parent"]
    ran = measured("--containers", "20", "--layers", "10", "--budget", "5s", *words, "--output", str(result_file))
    table = ran.stdout.partition("Bystanders of the storm")[2].partition("Mount table")[0]
    for strategy in ("binds", "parent"):
        rows = lines_of(table.partition(f"  {heading(strategy)}")[2])
        assert [row.split()[0] for row in rows[1:4]] == ["reader", "walker", "prober"]
    assert "probe p99" in said(ran.stdout)
    members = read(result_file).trials[0].outcome.members
    assert members is not None and members.role[-3:] == [1, 3, 4]


def test_ctrl_c_keeps_what_is_done(result_file: Path) -> None:
    words = ["launch", "--strategy", "binds", "--containers", "30", "--layers", "20", "--budget", "60s"]
    run = subprocess.Popen(
        [*ALL_VALID, *words, "--output", str(result_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (result_file.exists() and result_file.read_bytes().count(b"\n") >= 4):
        if run.poll() == 3:
            pytest.skip(run.communicate()[1])
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert f"pybench sweep --resume {result_file}" in said(err)
    assert "one container" in out
    results = read(result_file)
    assert len(results.trials) >= 3
    assert results.ends[-1].reason == "interrupted"


def test_dry_run_launches_nothing(tmp_path: Path) -> None:
    ran = here("launch", "--quick", "--dry-run", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "12 cells" in ran.stdout
    for words in ("plain", "binds", "fds", "parent", "budget 50 s"):
        assert words in ran.stdout
    assert not list(tmp_path.iterdir())


def test_what_cannot_go_together_is_left_out_and_said(tmp_path: Path) -> None:
    ran = here("launch", "--layers", "5,501", "--strategy", "plain", "--containers", "1", "--dry-run")
    assert ran.returncode == 0, ran.stderr
    assert "left out: launch, threads=" in said(ran.stdout)
    assert "overlay takes at most 500 lower layers" in said(ran.stdout)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--strategy", "bind"], 2, "strategy='bind' is not known; choose from plain|chown|binds|"),
        (["--containers", "0"], 2, "containers='0' must be a whole number, 1 to"),
        (["--containers", "many"], 2, "containers='many' must be a whole number"),
        (["--layers", "501"], 2, "overlay takes at most 500 lower layers; lower --layers"),
        (["--passes", "11"], 2, "passes='11' must be a whole number, 1 to 10"),
        (["--param", "arrival=rate:0"], 2, "choose from closed|burst|rate:N"),
        (["--param", "fs=here"], 2, "choose from tmpfs|DIR"),
        (["--param", "lock=tas"], 2, "launch has no parameter 'lock'"),
        (["--param", "prober_place=socket:9"], 2, "socket"),
        (["--threads", "4096"], 2, "--oversubscribe"),
        (["--budget", "soon"], 2, "invalid duration"),
        (["--place", "999"], 2, "CPU 999 does not exist"),
        (["--no-such-option"], 2, "No such option"),
        (["--strategy", "plain", "--param", "fs=/none/such", *SMALL], 4, "open: /none/such: No such file"),
    ],
)
def test_bad_input_costs_one_line_and_its_exit_status(
    tmp_path: Path, words: list[str], status: int, says: str
) -> None:
    ran = here("launch", *words, cwd=tmp_path)
    if status == 4:
        skip_without_mounts(ran)
    assert ran.returncode == status, ran.stderr
    assert says in ran.stderr
    assert len([line for line in ran.stderr.splitlines() if line.startswith("pybench: ")]) == 1


@pytest.mark.parametrize(
    ("lacks", "without", "error", "needs"),
    [
        (["open_tree=ENOSYS"], "binds, fds, parent, parentfd", "ENOSYS", "Linux 5.2"),
        (["mount_setattr=ENOSYS"], "binds, fds, parent, parentfd", "ENOSYS", "Linux 5.12 (of a tmpfs: 6.3)"),
        (["mount_setattr=EINVAL"], "binds, fds, parent, parentfd", "EINVAL", "Linux 5.12 (of a tmpfs: 6.3)"),
        (["fsopen=ENODEV"], "fds, parentfd", "ENODEV", "the overlay module"),
        (["fsconfig:fd=EINVAL"], "fds, parentfd", "EINVAL", "Linux 6.13 (lowerdir+ itself: 6.7)"),
        (["fsconfig:create=EINVAL"], "fds, parentfd", "EINVAL", "Linux 6.15"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_this_kernel_lacks_is_said_beside_what_it_can(
    result_file: Path, lacks: list[str], without: str, error: str, needs: str
) -> None:
    words = ["--containers", "2", "--layers", "3", "--budget", "2s", "--output", str(result_file)]
    whole = here("launch", "--dry-run", *words)
    assert whole.returncode == 0
    ran = measured(*words, start=[*LACKING, *lacks])
    (line,) = [part for part in said(ran.stdout).split("  ") if "unsupported here" in part]
    assert f"{without}: unsupported here: " in line
    assert f"({error}); " in line
    assert needs in line
    for strategy in STRATEGIES:
        has = strategy not in without.split(", ")
        assert (heading(strategy) in lines_of(ran.stdout)) is has
    trials = read(result_file).trials
    tried_once = [t.params["strategy"] for t in trials if t.outcome.status == "unsupported"]
    assert sorted(tried_once) == sorted(without.split(", "))
    assert here("show", str(result_file)).stdout == ran.stdout


def test_when_nothing_can_be_done_it_is_one_line_and_status_3(result_file: Path) -> None:
    words = ["--strategy", "fds", *SMALLEST, "--output"]
    measured(*words, str(result_file.with_name("can.jsonl")))
    ran = pybench("launch", *words, result_file, start=[*LACKING, "fsconfig:fd=EINVAL"])
    assert ran.returncode == 3
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("pybench: ")]
    assert "this host cannot do it: fsconfig(FSCONFIG_SET_FD, lowerdir+)" in line
    assert "Linux 6.13" in line


def test_launches_that_all_fail_are_status_4_with_the_reason(result_file: Path) -> None:
    """mount_setattr that does nothing: roots belong to the wrong user."""
    words = ["--strategy", "parent", *SMALLEST, "--output", str(result_file)]
    measured(*words[:-1], str(result_file.with_name("can.jsonl")))
    if read(result_file.with_name("can.jsonl")).trials[0].outcome.user_namespace:
        pytest.skip("needs root: an ordinary user's one user range looks like none")
    ran = pybench("launch", *words, start=[*LACKING, "mount_setattr=0"])
    assert ran.returncode == 4, ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("pybench: ")]
    assert "every trial failed: checking content and owner of the last layer's file" in line


@pytest.fixture
def open_folder(disk_path: Path) -> Iterator[Path]:
    """A folder on a file system of the host's that any user may write to."""
    disk_path.chmod(0o777)
    yield disk_path
    assert list(disk_path.iterdir()) == []


def test_who_may_not_map_a_host_s_file_system_learns_what_it_takes(open_folder: Path, result_file: Path) -> None:
    """In a user namespace, as an ordinary user or as root of a container."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare -rm does not work here: no user namespaces")
    words = ["--containers", "2", "--layers", "3", "--budget", "3s", "--output", str(result_file)]
    ran = measured("--param", f"fs={open_folder}", *words, start=["unshare", "-rm", *ALL_VALID])
    text = said(ran.stdout)
    if "unsupported here" not in text:
        pytest.skip("this file system of the host's may be mapped by any user")
    assert "binds, fds, parent, parentfd: unsupported here: mount_setattr(MOUNT_ATTR_IDMAP)" in text
    assert "(EPERM); id-mapping a file system needs CAP_SYS_ADMIN" in text
    assert {heading("plain"), heading("chown")} <= set(lines_of(ran.stdout))


def test_root_of_a_container_launches_by_every_strategy(result_file: Path) -> None:
    """A user namespace with no ranges of users to give: one user is mapped."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare -rm does not work here: no user namespaces")
    measured(*SMALL, "--output", str(result_file), start=["unshare", "-rm", *ALL_VALID])
    for trial in read(result_file).trials:
        assert trial.outcome.status == "ok"
        assert trial.outcome.user_namespace
        assert trial.outcome.counters["launched"] == trial.params["containers"]
