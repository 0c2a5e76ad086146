# SPDX-License-Identifier: Apache-2.0
"""Test the host's counters, read from other machines' text, and the difference of two readings."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.host import meters
from pybench.host.meters import (
    TICK_NS,
    HostMeter,
    Ticks,
    cpu_ticks,
    difference,
    interrupts,
    pressure_ns,
    running,
    softirqs,
    throttled,
)

DATA = Path(__file__).parents[1] / "data" / "proc"
VM = (DATA / "interrupts-vm-2.txt").read_text()
# CPU 2 is offline; an Arm server's rows.
ARM = """           CPU0       CPU1       CPU3
 11:   12345678   22345678   32345678     GICv3  27 Level     arch_timer
 47:          5          0          7   ITS-MSI 524288 Edge      nvme0q0
IPI0:      1111       2222       3333       Rescheduling interrupts
IPI1:        10         20         30       Function call interrupts
IPI5:         1          2          3       IRQ work interrupts
Err:          0
"""
SOFTIRQS = """                    CPU0       CPU1       CPU3
          HI:          1          2          3
      NET_RX:       5525       6757        900
         RCU:      37260      41268         12
"""
STAT = """cpu  1 2 3 4 5 6 7 8 9 10
cpu0 100 10 20 800 5 2 3 7 50 0
cpu3 200 0 40 700 0 0 1 9 0 0
intr 292968 0 0 1
ctxt 5
"""
OLD_STAT = "cpu  1 2 3 4\ncpu0 1 2 3 4\nintr 5\n"


def test_ticks_of_each_cpu() -> None:
    assert cpu_ticks(STAT) == {0: Ticks(135, 5, 805, 7), 3: Ticks(241, 1, 700, 9)}
    assert cpu_ticks(OLD_STAT) == {0: Ticks(6, 0, 4, 0)}
    assert cpu_ticks("") == {}


def test_interrupts_of_a_virtual_machine() -> None:
    found = interrupts(VM, (0, 1))
    assert set(found) == {"device", "timer", "reschedule", "call", "other"}
    rows = {line.split()[0]: line.split()[1:3] for line in VM.splitlines()[1:] if len(line.split()) > 2}
    assert found["timer"] == {cpu: int(rows["LOC:"][cpu]) for cpu in (0, 1)}
    assert found["call"][1] == sum(int(rows[row][1]) for row in ("CAL:", "TLB:", "IWI:"))
    assert found["device"][0] == sum(int(counts[0]) for row, counts in rows.items() if row[:-1].isdigit())


def test_interrupts_of_an_arm_server_with_a_cpu_offline() -> None:
    assert interrupts(ARM, (1, 2, 3)) == {
        "timer": {1: 22345678, 3: 32345678},
        "device": {1: 0, 3: 7},
        "reschedule": {1: 2222, 3: 3333},
        "call": {1: 22, 3: 33},
    }
    assert interrupts("", (0,)) == {}


def test_softirqs() -> None:
    assert softirqs(SOFTIRQS, (3, 5)) == {"HI": {3: 3}, "NET_RX": {3: 900}, "RCU": {3: 12}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("usage_usec 9\nnr_periods 5\nnr_throttled 3\nthrottled_usec 1500\nnr_bursts 0\n", (3, 1_500_000)),
        ("nr_periods 5\nnr_throttled 2\nthrottled_time 70000\n", (2, 70_000)),
        ("usage_usec 9\nuser_usec 5\n", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_throttling_of_either_cgroup_version(text: str, expected: tuple[int, int]) -> None:
    assert throttled(text) == expected


def test_pressure_and_load() -> None:
    assert (
        pressure_ns("some avg10=33.38 avg60=77.87 avg300=46.78 total=200872316\nfull avg10=0.00\n") == 200872316000
    )
    assert pressure_ns("") == 0
    assert running("0.45 0.30 0.25 3/823 16000\n") == (0.45, 2)
    assert running("") == (0.0, 0)


def snapshot(ms: int, crew_ms: int = 0, ticks: dict[int, Ticks] | None = None, **more: object) -> meters._Snapshot:
    base: dict[str, object] = {
        "time_ns": ms * 1_000_000,
        "crew_ns": crew_ms * 1_000_000,
        "own_ns": 0,
        "ticks": ticks or {},
        "counts": {},
        "throttled_ns": 0,
        "thermal": 0,
        "frequency_khz": 0,
        "pressure_ns": 0,
    }
    return meters._Snapshot(**(base | more))  # type: ignore[arg-type]


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60))
def test_whose_time_it_was(crew: int, others: int, stolen: int) -> None:
    """Others' time is what the CPU was busy beyond the crew's, never more, and short by one tick at most."""
    length = crew + others + stolen
    before = snapshot(0, 0, {9001: Ticks(5, 0, 5, 5)})
    after = snapshot(length * 10, crew * 10, {9001: Ticks(5 + crew + others, 0, 5, 5 + stolen)})
    seen = difference(before, after, (9001,))
    tick = TICK_NS / 1e6 / 10 / length
    assert others / length - tick - 1e-9 <= seen.other_work <= others / length + 1e-9
    assert seen.steal == pytest.approx(stolen / length)
    assert seen.tick_share == pytest.approx(tick)


def test_what_ran_elsewhere_and_on_a_sibling(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {9001: (9001, 9002), 9002: (9001, 9002)}
    monkeypatch.setattr(meters, "siblings_of", lambda cpu: pairs.get(cpu, (cpu,)))
    idle = {cpu: Ticks() for cpu in (9001, 9002, 9003, 9004)}
    busy = {9001: Ticks(20), 9002: Ticks(11, 0, 9), 9003: Ticks(21), 9004: Ticks(0, 0, 20)}
    seen = difference(snapshot(0, 0, idle), snapshot(200, 200, busy), (9001,))
    assert seen.siblings_busy == pytest.approx(0.5)
    # Short by the tick that idle time may have been cut by.
    assert seen.elsewhere == pytest.approx(0.95)
    assert seen.other_work == 0


def test_what_the_crew_s_leader_does_elsewhere_is_the_crew_s() -> None:
    idle = {cpu: Ticks() for cpu in (9001, 9003)}
    busy = {9001: Ticks(20), 9003: Ticks(15, 0, 5)}
    assert difference(snapshot(0, 0, idle), snapshot(200, 340, busy), (9001,)).elsewhere == pytest.approx(0.0)
    assert difference(snapshot(0, 0, idle), snapshot(200, 200, busy), (9001,)).elsewhere == pytest.approx(0.7)


def test_idle_time_that_stands_still_is_no_work() -> None:
    seen = difference(
        snapshot(0, 0, {9001: Ticks(), 9003: Ticks()}), snapshot(200, 0, {9001: Ticks(), 9003: Ticks(2)}), (9001,)
    )
    assert seen.elsewhere <= 3 / 20


def test_rates_are_of_the_worst_cpu() -> None:
    before = snapshot(0, counts={"device": {0: 100, 1: 900}, "timer": {0: 5, 1: 5}})
    after = snapshot(
        500, counts={"device": {0: 1100, 1: 1000}, "timer": {0: 5, 1: 5}}, throttled_ns=50_000_000, thermal=2
    )
    seen = difference(before, after, (0, 1))
    assert seen.interrupts == {"device": 2000.0}
    assert seen.throttled == pytest.approx(0.1)
    assert seen.thermal_throttles == 2


def test_this_machine(cpus: tuple[int, ...]) -> None:
    seen = HostMeter(cpus).around()
    assert seen.elapsed_ns > 0
    assert 0 <= seen.steal <= 1
    assert meters.siblings_of(cpus[0]).count(cpus[0]) == 1
