"""Which CPUs a calibration measures on, on hosts that are not here; what it measures is checked on this one."""

from typing import Any

import pytest
from hosts import HOSTS, read

from pybench.native.outcome import Outcome, Phase
from pybench.simulator import calibrate_launch

STEP = Phase(calls=1, operations=1, wall_ns=2, max_ns=2, histogram=[], cpu_ns=1)
PHASES = dict.fromkeys(("build", "overlay", "release", "clean"), STEP)


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_serial_is_measured_on_two_cores_of_a_socket(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crews: list[tuple[int, ...]] = []

    def clean(kind: str, cpus: tuple[int, ...], repeats: int, **_: Any) -> list[Outcome]:
        crews.append(cpus)
        return [Outcome(status="ok", phases=PHASES)] * repeats

    monkeypatch.setattr(calibrate_launch, "clean", clean)
    monkeypatch.setattr(calibrate_launch, "ns_an_operation", lambda _: 100.0)
    topology = read(name)
    steps, notes = calibrate_launch.launch_steps(topology)
    assert notes == []
    first = [cpu for cpu in topology.usable if cpu.socket == topology.usable[0].socket]
    share = steps["launch.section_share"]
    assert max(map(len, crews)) == min(len({cpu.core for cpu in first}), 2)
    assert share.assumed == (max(map(len, crews)) == 1)
    known = topology.by_number()
    for cpus in crews:
        assert len({known[cpu].core for cpu in cpus}) == len(cpus)
        assert len({known[cpu].socket for cpu in cpus}) == 1
