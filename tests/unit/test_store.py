# SPDX-License-Identifier: Apache-2.0
"""Result files survive whatever ends a run."""

import multiprocessing
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench.api.run import load
from pybench.errors import MeasurementError, UsageError
from pybench.native.outcome import Outcome
from pybench.results.columns import read_columns
from pybench.results.records import Cell, End, Figures, Header, Plan, Trial
from pybench.results.store import Writer, read
from pybench.stats.estimate import percentiles_ns
from tests.unit import synthetic

CELL = Cell(workload="spin", params={"lock": "tas"}, threads=1, place="all", smt="on", cpus=(0,))
HEADER = Header(
    pybench="0",
    created="2026-01-01T00:00:00+00:00",
    command=["pybench", "sweep"],
    host={},
    topology={"cpus": []},
    plan=Plan(cells=[CELL], seed=1, duration_ns=1, warmup_ns=0),
)


def trial(sequence: int, reason: str = "") -> Trial:
    figures = Figures(
        throughput=1e6 + sequence,
        p50_ns=1.5,
        p90_ns=2,
        p99_ns=3,
        p999_ns=4,
        max_ns=5,
        jain=1,
        cpu_ns_per_operation=1,
    )
    return Trial(
        cell=0,
        repeat=sequence,
        sequence=sequence,
        workload="spin",
        params={"lock": "tas"},
        threads=1,
        place="all",
        smt="on",
        crew="threads",
        started=1.0,
        seconds=0.1,
        outcome=Outcome(status="failed" if reason else "ok", reason=reason),
        figures=None if reason else figures,
    )


def write(path: Path, count: int) -> None:
    with Writer(path) as writer:
        writer.write(HEADER)
        for sequence in range(count):
            writer.write(trial(sequence))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "r.jsonl"
    with Writer(path) as writer:
        records = [HEADER, trial(0), trial(1, "member 0 was killed by signal 9"), End(reason="sure", seconds=2)]
        for record in records:
            writer.write(record)
    results = read(path)
    assert [results.header, *results.trials, *results.ends] == records
    assert not results.truncated


@settings(max_examples=60)
@given(cut=st.integers(1, 2000))
def test_a_file_cut_anywhere_keeps_its_whole_records_and_can_go_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "r.jsonl"
    write(path, 5)
    whole = path.read_bytes()
    header_end = whole.index(b"\n") + 1
    keep = min(max(len(whole) - cut, header_end), len(whole))
    path.write_bytes(whole[:keep])
    before = read(path)
    assert [t.sequence for t in before.trials] == list(range(len(before.trials)))
    assert before.truncated == (not whole[:keep].endswith(b"\n"))
    with Writer(path, resume_at=before.good_bytes) as writer:
        for sequence in range(len(before.trials), 5):
            writer.write(trial(sequence))
    assert path.read_bytes() == whole


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, 1)
    lines = [msgspec.json.decode(line) | {"later": [1]} for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    assert read(path).trials == [trial(0)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its first line is not a header"),
        (b"\x89PNG\r\n\x1a\n", "it is not a pybench result file"),
        (b'{"kind":"trial"}\n', "it is not a pybench result file"),
        (b'{"kind":"header","format":99}\n', "has format 99, this pybench reads up to 2; upgrade pybench"),
        (b'{"kind":"header"', "its first line is not a header"),
    ],
)
def test_what_is_no_result_file_is_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_damage_in_the_middle_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\x00\x00\n", *lines[3:]]))
    with pytest.raises(UsageError, match="line 3: the file is damaged there"):
        read(path).trials  # noqa: B018 - trials are decoded when they are asked for
    with pytest.raises(UsageError, match="line 3: the file is damaged there"):
        load(path)


def test_trials_that_may_be_of_another_plan_are_refused_as_columns_are(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, 2)
    whole = path.read_bytes()
    strange = [msgspec.json.encode(msgspec.structs.replace(trial(2), cell=cell)) + b"\n" for cell in (1, -1)]
    for added, words in [
        (whole, "line 4: the file is damaged there (a second header)"),
        (strange[0], "line 4: the file is damaged there (its plan has no cell 1)"),
        (strange[1], "line 4: the file is damaged there (its plan has no cell -1)"),
    ]:
        path.write_bytes(whole + added)
        for reader in (lambda path: read(path).trials, read_columns):
            with pytest.raises(UsageError) as error:
                reader(path)
            assert words in str(error.value)


def test_missing_folder_and_no_permission(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="Is a directory"):
        read(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="name a writable file with --output"):
        Writer(tmp_path / "file" / "r.jsonl")


def test_a_name_that_is_too_long_and_a_file_that_may_not_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="File name too long; name a writable file"):
        Writer(tmp_path / ("n" * 300))
    write(tmp_path / "a.jsonl", 1)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # As root every file can be written.
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UsageError, match="Permission denied; make it writable"):
        Writer(tmp_path / "a.jsonl", resume_at=10)


def test_a_header_without_a_topology_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, 1)
    path.write_bytes(path.read_bytes().replace(b'"topology":{"cpus":[]}', b'"topology":{}'))
    with pytest.raises(UsageError, match=r"line 1: the file is damaged there \(its topology: .*cpus"):
        read(path)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, 1)
    with pytest.raises(UsageError, match="exists; go on with --resume"):
        Writer(path)


def _try_to_open(path: str, answers: "multiprocessing.Queue[str]") -> None:
    try:
        Writer(Path(path), resume_at=0)
        answers.put("opened")
    except UsageError as error:
        answers.put(str(error))


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with Writer(path) as writer:
        writer.write(HEADER)
        other = context.Process(target=_try_to_open, args=(str(path), answers))
        other.start()
        assert "is being written by another run" in answers.get(timeout=30)
        other.join()
    assert read(path).header == HEADER


@pytest.mark.parametrize("broken", [b"", b'{"kind":"tr'])
def test_what_another_run_added_since_a_file_was_read_is_kept(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "r.jsonl"
    write(path, 2)
    path.write_bytes(path.read_bytes() + broken)
    stale = read(path)
    with Writer(path, resume_at=stale.good_bytes) as other:
        other.write(trial(2))
    changed = path.read_bytes()
    for length in (stale.good_bytes, len(changed) + 1):
        with pytest.raises(UsageError, match=r"changed by another run.*again"):
            Writer(path, resume_at=length)
        assert path.read_bytes() == changed


def test_a_record_that_does_not_fit_the_disk_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, 2)
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    size = path.stat().st_size
    # A file-size limit ends a write in the middle, as a full disk does.
    before_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before_signal = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before_limit[1]))
    try:
        with Writer(path, resume_at=size) as writer, pytest.raises(MeasurementError, match="make room"):
            writer.write(trial(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before_limit)
        signal.signal(signal.SIGXFSZ, before_signal)
    assert path.stat().st_size == size
    assert [t.sequence for t in read(path).trials] == [0, 1]


def test_a_file_from_before_there_was_more_evidence() -> None:
    results = read(Path(__file__).parents[1] / "data" / "results" / "format-1-before-evidence.jsonl")
    assert len(results.trials) == 2
    assert results.header.plan.max_invalid > 0
    for trial in results.trials:
        assert trial.evidence
        assert trial.evidence.interrupts == {}
        assert trial.evidence.hold_error == 0
        assert trial.outcome.members
        assert trial.outcome.members.work_ns == []
        assert trial.outcome.line_node_after == -1


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=9))
def test_a_file_read_back_has_the_same_percentiles(latencies: list[int]) -> None:
    of = synthetic.cell()
    with TemporaryDirectory() as folder:
        path = synthetic.write(
            Path(folder) / "a.jsonl",
            synthetic.results("a", [of], [synthetic.trial(0, of, latencies_ns=latencies)]),
        )
        read_back = read(path).trials[0].outcome.phases["operation"]
    measured = synthetic.trial(0, of, latencies_ns=latencies).outcome.phases["operation"]
    assert percentiles_ns(read_back, (0.5, 0.99)) == percentiles_ns(measured, (0.5, 0.99))


@pytest.mark.parametrize(("column", "text"), [("start_ns", '["x"]'), ("cpu_ns", "[[1]]"), ("work_ns", "3")])
def test_a_column_that_makes_no_sense_is_told_when_it_is_asked_for(tmp_path: Path, column: str, text: str) -> None:
    sample = Path(__file__).parents[1] / "data" / "results" / "format-1-measured.jsonl"
    path = tmp_path / "r.jsonl"
    path.write_text(re.sub(rf'"{column}":(\[\[.*?\]\]|\[[^]]*\])', f'"{column}":{text}', sample.read_text()))
    members = next(trial.outcome.members for trial in read(path).trials if trial.outcome.members)
    assert members.operations
    with pytest.raises(UsageError, match="the result file is damaged"):
        getattr(members, column)
