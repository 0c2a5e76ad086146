"""From the outcome of one trial to its figures and evidence."""

import itertools
from collections.abc import Mapping, Sequence

from pybench.analysis.estimate import jain
from pybench.analysis.latency import percentiles_ns
from pybench.host.distance import DISTANCES, Distance
from pybench.native.outcome import Handoffs, Members, Phase
from pybench.results.records import Evidence, Figures, HandoffFigure


def figures(members: Members, phases: Mapping[str, Phase], latency: str) -> Figures:
    """The figures of a trial. `latency` names the phase whose percentiles are meant."""
    main = [i for i in range(len(members.cpu)) if members.is_main(i)]
    operations = [members.operations[i] for i in main]
    total = sum(operations)
    p50, p90, p99, p999 = percentiles_ns(phases[latency], (0.5, 0.9, 0.99, 0.999))
    return Figures(
        throughput=total / max(members.stop_ns[i] for i in main) * 1e9,
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        p999_ns=p999,
        max_ns=float(phases[latency].max_ns),
        jain=round(jain(operations), 6),
        cpu_ns_per_operation=sum(members.cpu_ns[i] for i in main) / max(total, 1),
    )


def handoffs_by_distance(handoffs: Handoffs, between: Sequence[Sequence[Distance]]) -> list[HandoffFigure]:
    """Sums of a trial's handoffs by distance, near to far; `between` has shape (members, members)."""
    sums: dict[Distance, list[int]] = {}
    columns = zip(handoffs.giver, handoffs.taker, handoffs.count, handoffs.timed, handoffs.ns, strict=True)
    for giver, taker, *values in columns:
        total = sums.setdefault(between[giver][taker], [0, 0, 0])
        for i, value in enumerate(values):
            total[i] += value
    return [
        HandoffFigure(distance=d, count=count, timed=timed, mean_ns=round(ns / timed, 2) if timed else 0.0)
        for d in DISTANCES
        if d in sums
        for count, timed, ns in [sums[d]]
    ]


def evidence(members: Members, steal: float, load: float) -> Evidence:
    """The evidence of a trial; `steal` is the share of the CPUs' time that /proc/stat calls stolen."""
    spans = [stop - start for start, stop in zip(members.start_ns, members.stop_ns, strict=True)]
    together = min(members.stop_ns) - max(members.start_ns)
    off = max(1 - cpu / span for cpu, span in zip(members.cpu_ns, spans, strict=True))
    return Evidence(
        start_skew_ns=max(members.start_ns),
        overlap=round(max(together, 0) / max(members.stop_ns), 6),
        off_cpu=round(max(off, 0.0), 6),
        steal=round(steal, 6),
        load=round(load, 2),
    )


class StealMeter:
    """Stolen time of some CPUs between two moments, from /proc/stat (in ticks of 1/100 s)."""

    def __init__(self, cpus: Sequence[int]) -> None:
        self._cpus = {f"cpu{cpu}" for cpu in cpus}
        self._before = self._read()

    def _read(self) -> tuple[int, int]:
        """Stolen and total ticks."""
        stolen = total = 0
        with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123 - twice a trial, so kept light
            for line in itertools.takewhile(lambda line: line.startswith("cpu"), file):
                name, *fields = line.split()
                if name in self._cpus:
                    ticks = [int(field) for field in fields[:8]]
                    stolen, total = stolen + ticks[7], total + sum(ticks)
        return stolen, total

    def share(self) -> float:
        """Stolen share of all time since the start. Below one tick in ten trials it reads 0."""
        stolen, total = self._read()
        return (stolen - self._before[0]) / max(total - self._before[1], 1)
