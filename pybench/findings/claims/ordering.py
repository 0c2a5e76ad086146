# SPDX-License-Identifier: Apache-2.0
"""Finding 9: how machines order on a microbenchmark of one contended lock."""

from pybench import Run
from pybench.api.toolkit.statistics import ratio_interval
from pybench.findings.claim import Claim
from pybench.findings.experiments.host_experiments import Experiments
from pybench.findings.experiments.published_machines import (
    CHIPLET,
    DUAL,
    LOCKS,
    MANY,
    MESH,
    SPIN_THREADS,
    simulated,
)
from pybench.findings.experiments.samples import acquisition_ns, measured_samples, over, rate, simulated_samples
from pybench.findings.verdict import ClaimChart, ClaimCheck, ClaimEvidence, over_draws, point

# The published profile shows a loop of load, test and pause: a test-and-test-and-set lock.
PROFILED = LOCKS[0]
FAR = 1.5
MORE = 1.05


def _measured(here: Experiments) -> ClaimEvidence:
    if not (here.two_sockets or here.siblings):
        return ClaimEvidence(notes=["This host has one socket and no SMT siblings, so it cannot measure this."])
    run, checks, most = here.places("spin"), [], here.threads
    for lock in LOCKS if here.two_sockets else ():
        two, one = (
            measured_samples(run, acquisition_ns, lock=lock, place=place, smt="on", threads=most)
            for place in ("dual-socket", "single-socket")
        )
        checks.append(
            ClaimCheck(
                key=f"here_two_{lock}",
                says=f"this host, lock {lock}: {most} threads on two sockets wait at least {FAR} times as long "
                "as on one",
                value=ratio_interval(two, one),
                least=FAR,
                decides=lock == PROFILED,
            )
        )
    cells = [cell for cell in run.results[0].header.plan.cells if cell.place == "single-socket"]
    for lock in LOCKS if here.siblings else ():
        on, off = (
            measured_samples(
                run,
                rate,
                lock=lock,
                place="single-socket",
                smt=smt,
                threads=max(cell.threads for cell in cells if cell.smt == smt),
            )
            for smt in ("on", "off")
        )
        checks.append(
            ClaimCheck(
                key=f"here_smt_{lock}",
                says=f"this host, lock {lock}: one thread per core takes the lock more often than all siblings "
                "together",
                value=ratio_interval(off, on),
                least=MORE,
                # The claim is about mesh machines.
                decides=False,
            )
        )
    return ClaimEvidence(checks=checks)


def _simulated(here: Experiments) -> ClaimEvidence:
    dual, mesh, chiplet = (simulated(here, "spins", name) for name in (DUAL, MESH, CHIPLET))
    checks: list[ClaimCheck] = []
    notes = [
        "The lock of the published microbenchmark is not known. Its profile shows a loop of load, test and "
        f"pause, so {PROFILED} decides; a fair lock (ticket) and the kernel's lock (qspinlock) are shown too.",
        "Simulated: every range is over draws of the assumed inputs. Time to take the lock: threads over "
        "throughput.",
    ]
    for lock in LOCKS:
        two, one = (
            simulated_samples(dual, acquisition_ns, lock=lock, place=place, threads=MANY)
            for place in ("dual-socket", "single-socket")
        )
        on = simulated_samples(mesh, rate, lock=lock, smt="on", threads=2 * MANY)
        off = simulated_samples(mesh, rate, lock=lock, smt="off", threads=MANY)
        one_rate = simulated_samples(dual, rate, lock=lock, place="single-socket", threads=MANY)
        best = simulated_samples(chiplet, rate, lock=lock, threads=MANY)
        others = [max(pair) for pair in zip(off, one_rate, strict=False)]
        decides = lock == PROFILED
        checks += [
            ClaimCheck(
                key=f"two_{lock}",
                says=f"lock {lock}, {MANY} threads on {DUAL}: on two sockets a thread waits at least {FAR} "
                f"times as "
                "long as on one",
                value=over(two, one),
                least=FAR,
                how="simulated",
                decides=decides,
            ),
            ClaimCheck(
                key=f"smt_{lock}",
                says=f"lock {lock}: {MESH} takes it more often with SMT off ({MANY} threads) than with SMT on "
                f"({2 * MANY})",
                value=over(off, on),
                least=MORE,
                how="simulated",
                decides=decides,
            ),
            ClaimCheck(
                key=f"best_{lock}",
                says=f"lock {lock}, {MANY} threads: {CHIPLET} takes it more often than any other machine",
                value=over(best, others),
                least=MORE,
                how="simulated",
                decides=decides,
            ),
        ]
    charts = []
    for lock in LOCKS:
        points = []
        places: tuple[tuple[str, Run, dict[str, str]], ...] = (
            (f"{DUAL}, two sockets", dual, {"place": "dual-socket"}),
            (f"{DUAL}, one socket", dual, {"place": "single-socket"}),
            (f"{MESH}, SMT off", mesh, {"smt": "off"}),
            (CHIPLET, chiplet, {}),
        )
        for name, run, where in places:
            for threads in (int(word) for word in SPIN_THREADS.split(",") if word != "1"):
                value = over_draws(simulated_samples(run, acquisition_ns, lock=lock, threads=threads, **where))
                points.append(point(f"{name} (simulated)", threads, value, "simulated"))
        charts.append(
            ClaimChart(
                log=False,
                title=f"Time to take the lock once, {lock}",
                x="threads",
                y="time",
                unit="ns",
                points=points,
            )
        )
    return ClaimEvidence(checks=checks, charts=charts, notes=notes)


CLAIM = Claim(
    number=9,
    title="The microbenchmark's ordering of machines",
    said="Published without numbers: at high thread counts r5.metal takes far less time on one socket than on "
    "two; m7i.metal-24xl with hyperthreading off is better still; m7a.24xlarge scales best.",
    refuted_by="any other order, under the lock that the profile shows",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": f"Under {PROFILED} the order is the published one: threads on two sockets wait "
        f"{{two_{PROFILED}}} as long as on one, throughput with SMT off is {{smt_{PROFILED}}} that with SMT on, "
        f"and that of the chiplet machine {{best_{PROFILED}}} the next best.",
        "not reproduced": f"Under {PROFILED} threads on two sockets wait {{two_{PROFILED}}} as long as on one, "
        f"throughput with SMT off is {{smt_{PROFILED}}} that with SMT on, and that of the chiplet machine "
        f"{{best_{PROFILED}}} the next best. Under the kernel's qspinlock these are {{two_qspinlock}}, "
        f"{{smt_qspinlock}} and {{best_qspinlock}}: the lock decides the order.",
        "cannot tell here": f"Under {PROFILED} threads on two sockets wait {{two_{PROFILED}}} as long as on one, "
        f"throughput with SMT off is {{smt_{PROFILED}}} that with SMT on, and that of the chiplet machine "
        f"{{best_{PROFILED}}} the next best: the assumed inputs decide.",
    },
)
