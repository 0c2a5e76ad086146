# SPDX-License-Identifier: Apache-2.0
"""From trials to cells and curves, and the tables made of them."""

import random

import msgspec
import pytest

from pybench.analysis.summary.series import summarize
from pybench.native.outcome import Members, Outcome, Phase
from pybench.present.document import Document
from pybench.present.terminal.output import to_text
from pybench.present.views.sweep import result_blocks
from pybench.results.records import Cell, Evidence, Figures, Trial, trial_of
from pybench.stats.estimate import Interval


def cell(threads: int, **changes: object) -> Cell:
    params = {"lock": "mcs", "hold_ns": 0, "think_ns": 0, "writers": 1, "write_think_ns": 1000}
    base = {"workload": "spin", "params": params, "threads": threads, "place": "all", "smt": "on"}
    return Cell(**(base | {"cpus": tuple(range(threads))} | changes))  # type: ignore[arg-type]


def trial(index: int, of: Cell, throughput: float, repeat: int = 0, flags: tuple[str, ...] = ()) -> Trial:
    count = of.threads
    members = Members(
        cpu=list(range(count)),
        operations=[10] * count,
        start_ns=[0] * count,
        stop_ns=[100] * count,
        cpu_ns=[100] * count,
        voluntary_switches=[0] * count,
        involuntary_switches=[0] * count,
    )
    phases = {"acquire": Phase(calls=2, operations=2, wall_ns=200, max_ns=150, histogram=[50, 1, 100, 1])}
    return trial_of(
        of,
        index,
        repeat=repeat,
        sequence=repeat,
        started=0.0,
        seconds=0.1,
        outcome=Outcome(status="ok", members=members, phases=phases, timer_step_ns=10.0),
        figures=Figures(
            throughput=throughput,
            p50_ns=123.0,
            p90_ns=200.0,
            p99_ns=456.0,
            p999_ns=500.0,
            max_ns=1e6,
            jain=0.9,
            cpu_ns_per_operation=5.0,
        ),
        evidence=Evidence(start_skew_ns=5, overlap=1.0, off_cpu=0.0, steal=0.0, load=0.0),
        flags=list(flags),
    )


def curve(cells: list[Cell], spread: float = 0.01) -> list[Trial]:
    """Trials of a USL with alpha 0.05, beta 0.001, gamma 1e6."""
    noise = random.Random(1)
    return [
        trial(
            i,
            one,
            1e6 * (n := one.threads) / (1 + 0.05 * (n - 1) + 0.001 * n * (n - 1)) * noise.gauss(1, spread),
            repeat,
        )
        for i, one in enumerate(cells)
        for repeat in range(8)
    ]


def test_a_curve_has_speedups_and_fits() -> None:
    cells = [cell(n) for n in (8, 1, 2, 4, 16, 32, 64)]
    (series,) = summarize(cells, curve(cells))
    assert [s.cell.threads for s in series.cells] == [1, 2, 4, 8, 16, 32, 64]
    # No estimate: the fewest threads over themselves.
    assert series.cells[0].speedup == Interval(1.0, 1.0, 1.0, 8)
    assert "1.00" in printed(cells, curve(cells))
    assert "1.00 ±" not in printed(cells, curve(cells))
    assert series.cells[2].speedup.low < 4 / (1 + 0.15 + 0.012) < series.cells[2].speedup.high
    best = series.best()
    assert best is not None
    assert best.fit.name == "usl"
    alpha = best.fit.parameters[1].interval
    assert alpha.low < 0.05 < alpha.high
    assert best.fit.peak is not None
    assert best.fit.peak.low - 0.5 < (0.95 / 0.001) ** 0.5 < best.fit.peak.high + 0.5


def test_series_are_apart_by_everything_but_threads() -> None:
    cells = [
        cell(n, smt=smt, crew=crew) for n in (1, 2) for smt in ("on", "off") for crew in ("threads", "processes")
    ]
    series = summarize(cells, [])
    assert len(series) == 4
    assert all(len(one.cells) == 2 for one in series)


def test_threads_that_share_cpus_are_in_no_fit() -> None:
    cells = [cell(n) for n in (1, 2, 4, 8)] + [cell(64, oversubscribed=True)]
    (series,) = summarize(cells, curve(cells))
    best = series.best()
    assert best is not None
    assert [one.threads for one in best.fits.measured] == [1, 2, 4, 8]


def test_invalid_and_failed_trials_are_counted_apart() -> None:
    one = cell(1)
    failed = Trial(
        **{
            name: getattr(trial(0, one, 1.0), name)
            for name in Trial.__struct_fields__
            if name not in ("outcome", "figures", "evidence")
        },
        outcome=Outcome(status="failed", reason="running: member 0 was killed by signal 9"),
    )
    trials = [*(trial(0, one, 1e6) for _ in range(6)), trial(0, one, 5e6, flags=("steal",)), failed]
    (series,) = summarize([one], trials)
    (summary,) = series.cells
    assert (summary.trials, summary.valid) == (8, 6)
    assert summary.throughput.high == 1e6
    assert summary.flags == {"steal": 1}
    assert summary.failures == {"running: member 0 was killed by signal 9": 1}
    text = printed([one], trials)
    assert "6/8" in text
    assert "1 invalid trial: steal" in text
    assert "killed by signal 9" in text


def printed(cells: list[Cell], trials: list[Trial]) -> str:
    return to_text(Document(result_blocks(summarize(cells, trials), cells, trials)))


@pytest.mark.parametrize(("simulated", "words"), [(False, "a longer --budget"), (True, "more --draws")])
def test_what_has_no_interval_names_what_gives_one(simulated: bool, words: str) -> None:
    one = cell(1)
    made = [msgspec.structs.replace(trial(0, one, 1e6), simulated=simulated)]
    text = printed([one], made)
    assert words in " ".join(text.split())
    assert ("--budget" in text) != simulated


def test_tables_fit_80_columns_and_cut_nothing() -> None:
    cells = [cell(n) for n in (1, 2, 4, 8, 16, 96)]
    text = printed(cells, curve(cells, spread=0.2))
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert "…" not in text
    assert "Best model: " in text
    assert "law: alpha" in text.lower()


def test_a_cell_without_trials_has_a_row_and_no_figures() -> None:
    text = printed([cell(1)], [])
    assert "0" in text
    assert "nan" not in text
