"""Finding 7: with hyperthreads off, launches on the single-socket mesh machine take 20 to 30 % less."""

from pybench.claims.claim import Check, Claim, Evidence
from pybench.claims.lab import CONTAINERS, Lab, clean_samples
from pybench.claims.published import MANY, MESH, NOTE, STORMS, launch_ns, launches, measured_over, over, simulated
from pybench.claims.scan import scan

# 20 to 30 % less, give or take five points.
LEAST, MOST = 0.65, 0.85


def _measured(lab: Lab) -> Evidence:
    if not lab.siblings:
        return Evidence(notes=["This host shows no SMT siblings, so it cannot be measured here."])
    run = lab.places("launch")
    cells = run.results[0].header.plan.cells
    most = {
        smt: max(cell.threads for cell in cells if cell.smt == smt and cell.place == "single-socket")
        for smt in ("on", "off")
    }
    on, off = (
        clean_samples(run, launch_ns, place="single-socket", smt=smt, threads=most[smt]) for smt in ("on", "off")
    )
    check = Check(
        key="here",
        says="this host: with one thread a core, a launch takes 15 to 35 % less than with all siblings in use",
        value=measured_over(off, on),
        least=LEAST,
        most=MOST,
    )
    return Evidence(checks=[check], notes=["Siblings are left idle here, not switched off."])


def _simulated(lab: Lab) -> Evidence:
    on = launches(simulated(lab, "storms", MESH), containers=CONTAINERS)
    off = launches(simulated(lab, "storms", "smt off"), containers=CONTAINERS)
    crowded = launches(simulated(lab, "storms", "crowded"), containers=CONTAINERS)
    slow = launches(simulated(lab, "storms", MESH), "p99", containers=CONTAINERS)
    slow_off = launches(simulated(lab, "storms", "smt off"), "p99", containers=CONTAINERS)
    return Evidence(
        checks=[
            Check(
                key="off",
                says=f"{CONTAINERS} at once on {MESH}: a launch takes 15 to 35 % less with SMT off (published: "
                "20 to 30)",
                value=over(off, on),
                least=LEAST,
                most=MOST,
                how="simulated",
            ),
            Check(
                key="slowest",
                says="and so do the slowest (99th percentile)",
                value=over(slow_off, slow),
                least=LEAST,
                most=MOST,
                how="simulated",
                decides=False,
            ),
            Check(
                key="crowded",
                says=f"and so it would if {MANY} threads launched both times: on 24 cores with SMT, on 48 without",
                value=over(off, crowded),
                least=LEAST,
                most=MOST,
                how="simulated",
                decides=False,
            ),
        ],
        notes=[
            NOTE,
            "With SMT off there are 48 threads for 100 containers, so half of them have to wait for one.",
        ],
        assumptions=[
            scan(
                lab,
                [STORMS[MESH], STORMS["smt off"]],
                "core.smt_slowdown",
                (1.1, 1.4, 1.9, 3.0, 5.0, 8.0),
                lambda mean: mean[1] / mean[0],
                says=f"by how much a busy sibling slows a CPU of {MESH}",
                containers=CONTAINERS,
                least=LEAST,
                most=MOST,
                unit="",
            )
        ],
    )


CLAIM = Claim(
    number=7,
    title="SMT off: 20 to 30 % better launches on the single-socket mesh machine",
    said="With hyperthreading off on m7i.metal-24xl, container launch latency was 20 to 30 % better.",
    refuted_by="launches that take about as long, or longer, with one thread a core",
    looks=(("measured", _measured), ("simulated", _simulated)),
    sentences={
        "reproduced": "With SMT off a launch takes {off} what it takes with it on.",
        "not reproduced": "In the simulation a launch with SMT off takes {off} what it takes with it on (the "
        "slowest "
        "{slowest}): not 20 to 30 % less.",
        "cannot tell here": "With SMT off a launch takes {off} what it takes with it on in the simulation: the "
        "assumed "
        "inputs decide whether that is 20 to 30 % less.",
    },
)
