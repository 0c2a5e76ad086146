# SPDX-License-Identifier: Apache-2.0
"""Switches of the host: whatever is done to a run, the host ends as it began, and what was off stays off."""

import errno
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench.errors import BusyError, MeasurementError, UnsupportedError, UsageError
from pybench.host.switches.controls import Controls
from pybench.host.switches.files import CPUS
from pybench.host.switches.journal import AS_FOUND, HostState, Journal, StateFolder, left_behind
from pybench.host.switches.restore import Restored, put_back
from tests.unit.kernel_model import Crash, KernelModel

SHM = Path("/dev/shm")


@contextmanager
def host(
    cores: int = 4, threads: int = 2, smt: str = "on", off: tuple[int, ...] = (), cpusets: tuple[str, ...] = ()
) -> Iterator[tuple[KernelModel, StateFolder]]:
    with tempfile.TemporaryDirectory(dir=SHM if os.access(SHM, os.W_OK) else None) as folder:
        kernel = KernelModel(Path(folder) / "root", cores, threads, smt, cpusets)
        for cpu in off:
            kernel.write(f"{CPUS}/cpu{cpu}/online", "0")
        yield kernel, StateFolder(Path(folder) / "state")


def controls(
    kernel: KernelModel, store: StateFolder, states: list[HostState], said: list[str] | None = None
) -> Controls:
    told = said if said is not None else []
    return Controls(states, files=kernel, store=store, watched=False, tell=told.append, pause_s=0)


def restore(kernel: KernelModel, store: StateFolder) -> Restored:
    journal = store.load()
    restored = put_back(kernel, journal, store.save, 0) if journal else Restored()
    if not restored.left:
        store.drop() if journal else None
    return restored


def state(cpus: set[int] | tuple[int, ...] = (), *, smt_off: bool = False) -> HostState:
    return HostState(smt_off=smt_off, offline=tuple(sorted(cpus)))


# CPU 0 is never asked to go off: it has no switch. 1 to 7 exist on the smallest machine drawn.
STATES = st.lists(
    st.builds(state, st.sets(st.integers(1, 5), max_size=3), smt_off=st.booleans()), min_size=1, max_size=5
)
MACHINES = st.fixed_dictionaries(
    {
        "threads": st.sampled_from([1, 2, 4]),
        "smt": st.sampled_from(["on", "on", "off", "forceoff"]),
        "off": st.sets(st.sampled_from([2, 6, 7]), max_size=2).map(tuple),
        "cpusets": st.lists(st.sampled_from(["0-7", "0,3", "0-1,4-5", "0,6"]), max_size=2).map(tuple),
    }
)


@settings(max_examples=60)
@given(machine=MACHINES, states=STATES, data=st.data())
def test_however_a_run_ends_the_host_ends_as_it_began(
    machine: dict[str, Any], states: list[HostState], data: st.DataObject
) -> None:
    with host(cores=8 // machine["threads"], **machine) as (kernel, store):
        began = kernel.state()
        end = data.draw(st.sampled_from(["well", "crash", "killed", "killed twice"]))
        dies_at = [data.draw(st.integers(0, 25)), data.draw(st.integers(0, 10))]
        kernel.busy = data.draw(st.integers(0, 3))

        def count(_: str) -> None:
            if end != "well":
                dies_at[0] -= 1
                if dies_at[0] < 0:
                    raise (OSError(errno.EIO, "Input/output error") if end == "crash" else Crash)

        run = controls(kernel, store, states)
        with suppress(Crash, MeasurementError), run:
            kernel.before = count
            for one in [*states, AS_FOUND, *states[:2]]:
                run.enter(one)
                away = set(one.offline) | (kernel.secondary if one.smt_off else set())
                assert kernel.on == began[1] - away
                assert run.wrong() == ""
        if end == "killed twice" and store.load():
            # And so is the watchdog that puts it back, in the middle of that.
            dies_at[0] = dies_at[1]
            with suppress(Crash):
                restore(kernel, store)
        kernel.before = lambda _: None
        assert restore(kernel, store).left == []
        assert kernel.state() == began
        assert store.load() is None


@settings(max_examples=25)
@given(machine=MACHINES, states=STATES, dies_at=st.integers(0, 20))
def test_after_a_reboot_the_host_is_brought_to_where_it_was(
    machine: dict[str, Any], states: list[HostState], dies_at: int
) -> None:
    if machine["smt"] == "forceoff":
        machine |= {"smt": "off"}  # a boot forces it again
    with host(cores=8 // machine["threads"], **machine) as (kernel, store):
        control, on, _ = kernel.state()
        left = [dies_at]

        def count(_: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

        run = controls(kernel, store, states)
        with suppress(Crash), run:
            kernel.before = count
            for one in states:
                run.enter(one)
            raise Crash
        if store.load() is None:
            return  # nothing was turned yet, or all was put back before the power went
        kernel.reboot()
        assert restore(kernel, store).left == []
        assert kernel.state()[:2] == (control, on)


@settings(max_examples=25)
@given(
    asked=STATES,
    other=st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=3),
    at=st.integers(0, 4),
)
def test_what_another_turns_is_told_and_not_fought(
    asked: list[HostState], other: list[tuple[int, bool]], at: int
) -> None:
    with host(off=(7,)) as (kernel, store):
        began, run = kernel.state(), controls(kernel, store, asked)
        fought = False
        try:
            with run:
                for i, one in enumerate(asked):
                    if i == min(at, len(asked) - 1):
                        for cpu, on in other:
                            with suppress(OSError):
                                kernel.write(f"{CPUS}/cpu{cpu}/online", "1" if on else "0")
                        fought = run.wrong() != "" and one != run.current
                    run.enter(one)
        except MeasurementError as error:
            assert "another process" in str(error) or "does not" in str(error) or "did not" in str(error)
        else:
            assert not fought
        ours = {cpu for one in asked for cpu in one.offline} | (
            kernel.secondary if any(one.smt_off for one in asked) else set()
        )
        # Only the other run's changes remain, which were never ours.
        changed = kernel.on ^ began[1]
        assert changed <= {cpu for cpu, _ in other}
        assert not (began[1] - kernel.on) & ours
        assert store.load() is None


class FullDisk(StateFolder):
    """A journal that can be written a limited number of times."""

    writes = 10**9

    def save(self, journal: Journal) -> None:
        if self.writes == 0:
            raise MeasurementError("cannot write the journal: No space left on device; make room")
        self.writes -= 1
        super().save(journal)


@settings(max_examples=25)
@given(machine=MACHINES, states=STATES, writes=st.integers(0, 3))
def test_a_disk_that_fills_up_keeps_nothing_from_being_put_back(
    machine: dict[str, Any], states: list[HostState], writes: int
) -> None:
    with host(cores=8 // machine["threads"], **machine) as (kernel, store):
        began, full = kernel.state(), FullDisk(store.folder)
        full.writes = writes
        with suppress(MeasurementError), controls(kernel, full, states) as run:
            for one in states:
                run.enter(one)
        assert kernel.state() == began
        assert store.load() is None


def test_a_journal_that_cannot_be_written_at_the_end_is_told() -> None:
    with host(off=(6,)) as (kernel, store):
        said: list[str] = []
        began, full = kernel.state(), FullDisk(store.folder)
        with controls(kernel, full, [state(smt_off=True)], said) as run:
            run.enter(state(smt_off=True))
            full.writes = 0
        assert kernel.state() == began
        assert [line for line in said if "No space left" in line]


def test_a_journal_that_cannot_be_deleted_is_told() -> None:
    with host() as (kernel, store):
        began, run = kernel.state(), controls(kernel, store, [state({3})])
        with (
            pytest.raises(MeasurementError, match=r"cannot delete .*journal\.json.*pybench doctor --restore"),
            run,
        ):
            run.enter(state({3}))
            store.path.unlink()
            store.path.mkdir()
        assert kernel.state() == began


def test_what_stops_the_run_from_putting_back_does_not_stop_its_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getpid()

    def broken(*args: object) -> Restored:
        if os.getpid() == me:
            raise RuntimeError("out of memory")
        return put_back(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("pybench.host.switches.controls.put_back", broken)
    with host(off=(6,)) as (kernel, store):
        run = Controls([state({3}, smt_off=True)], files=kernel, store=store, tell=lambda _: None, pause_s=0)
        with pytest.raises(RuntimeError), run:
            run.enter(state({3}, smt_off=True))
        assert store.load() is None
        assert set(kernel.online()) == {0, 1, 2, 3, 4, 5, 7}
        assert kernel.smt() == "on"


def test_a_cpu_that_does_not_come_back_is_told_and_stays_in_the_journal() -> None:
    with host(cpusets=("0-7",)) as (kernel, store):
        began, run = kernel.state(), controls(kernel, store, [state({3, 5})])
        with pytest.raises(MeasurementError, match=r"CPU 3 does not turn on.*pybench doctor --restore"), run:
            run.enter(state({3, 5}))
            kernel.dead = {3}
        assert kernel.on == began[1] - {3}
        with pytest.raises(UsageError, match="pybench doctor --restore"), controls(kernel, store, [state({5})]):
            pass
        kernel.dead = set()
        assert restore(kernel, store).left == []
        assert kernel.state() == began


def test_siblings_that_do_not_come_back_are_told() -> None:
    with host() as (kernel, store):
        began, run = kernel.state(), controls(kernel, store, [state(smt_off=True)])
        with pytest.raises(MeasurementError, match="CPU 3 does not turn on"), run:
            run.enter(state(smt_off=True))
            kernel.dead = {3}
        assert kernel.on == began[1] - {3}
        assert kernel.control == "on"


@pytest.mark.parametrize(
    ("smt", "words"), [("notsupported", "no SMT siblings"), ("notimplemented", "no switch for SMT")]
)
def test_a_host_without_the_switch_says_so_and_is_not_touched(smt: str, words: str) -> None:
    with host(smt=smt) as (kernel, store):
        kernel.before = lambda path: pytest.fail(f"wrote {path}")
        with pytest.raises(UnsupportedError, match=words), controls(kernel, store, [state(smt_off=True)]):
            pass


def test_smt_that_another_forces_off_under_way_is_told() -> None:
    with host() as (kernel, store):
        run = controls(kernel, store, [state(smt_off=True)])
        with pytest.raises(MeasurementError, match="only a reboot"), run:
            run.enter(state(smt_off=True))
            kernel.control = "forceoff"
            kernel._show()
            run.enter(AS_FOUND)
        assert store.load() is not None


def test_a_cpuset_that_would_be_emptied_is_refused() -> None:
    with host(cpusets=("0-7", "3,5")) as (kernel, store):
        folder = kernel.root / "run/cpuset/c1"
        (folder / "cpuset.sched_load_balance").write_text("1")
        (folder / "tasks").write_text("17\n")
        with (
            pytest.raises(UnsupportedError, match=r"cpuset /run/cpuset/c1 .*3,5"),
            controls(kernel, store, [state({3, 5})]),
        ):
            pass


@pytest.mark.parametrize("cpu", [0, 99])
def test_a_cpu_without_a_switch_is_refused(cpu: int) -> None:
    with (
        host() as (kernel, store),
        pytest.raises((UsageError, UnsupportedError), match=f"CPU {cpu} "),
        controls(kernel, store, [state({cpu})]),
    ):
        pass


def test_one_run_at_a_time_turns_switches_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    store = StateFolder(tmp_path)
    assert store.share() is None  # no run ever turned one
    pid = os.fork()
    if pid == 0:
        store.hold()
        time.sleep(60)
        os._exit(0)
    try:
        deadline = time.monotonic() + 30
        while store.holder() != pid and time.monotonic() < deadline:
            time.sleep(0.01)
        for refused in (store.hold, store.share):
            with pytest.raises(BusyError, match=f"process {pid}"):
                refused()
    finally:
        os.kill(pid, signal.SIGKILL)
    # Not reaped yet: still no holder.
    shared = store.share()
    assert shared is not None
    with pytest.raises(BusyError, match="measures on this host"):
        store.hold(wait_s=0.1)
    os.close(shared)
    os.close(store.hold())
    os.waitpid(pid, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_killed_run_is_put_back(number: signal.Signals) -> None:
    with host(off=(6,), cpusets=("0-5",)) as (kernel, store):
        began = kernel.state()
        ready, done = os.pipe()
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                run = Controls(
                    [state({3}, smt_off=True)], files=kernel, store=store, tell=lambda _: None, pause_s=0
                )
                signal.signal(signal.SIGINT, signal.default_int_handler)
                with run:
                    run.enter(state({3}, smt_off=True))
                    os.write(done, b".")
                    time.sleep(60)
            os._exit(0)
        os.read(ready, 1)
        assert kernel.online() == (0, 2, 4)
        os.kill(pid, number)
        os.waitpid(pid, 0)
        deadline = time.monotonic() + 30
        while store.held() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert store.load() is None
        assert set(kernel.online()) == began[1]
        assert kernel.smt() == "on"
        assert kernel.read("run/cpuset/c0/cpuset.cpus") == "0-5"


def test_a_left_journal_is_pointed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBENCH_STATE_DIR", str(tmp_path))
    assert left_behind() == ""
    store = StateFolder()
    store.save(Journal(boot="b", pid=1, created="", command=[], smt="on", online=(0, 1), offline=()))
    assert "pybench doctor --restore" in left_behind()
    held = store.hold()
    assert left_behind() == ""  # its run, or guard, is at it
    os.close(held)


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_text('{"boot": ')
    with pytest.raises(UsageError, match=r"journal\.json.*lscpu"):
        StateFolder(tmp_path).load()
