# SPDX-License-Identifier: Apache-2.0
"""The conclusions of a report: results, their certainty, and what is not known, in words."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from pybench.analysis.comparison.verdicts import Compared, MetricComparison
from pybench.analysis.summary.launches import LaunchSummary
from pybench.present import caveats
from pybench.present.labels import BARE, SIMULATED, threads_word
from pybench.present.loaded import Line, Loaded, launch_summaries
from pybench.present.numbers import count, counted, timed
from pybench.present.views.launch import conclusions as launch_words
from pybench.present.views.launch import context
from pybench.results.records import Trial, label, label_settings
from pybench.stats.estimate import Interval
from pybench.stats.ranking import Rates, Standing, standing
from pybench.stats.ratios import ratio_interval
from pybench.workloads import workload

SCALES = 0.8
SAME_WITHIN = 0.03
MOST_LAUNCH_LINES = 4
MOST_PAIRS = 2
MOST_NAMED = 3
# A larger share of invalid trials is a caveat; beyond the other, the host was disturbed.
FEW_INVALID, MOST_INVALID = 0.05, 0.25


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """One finding."""

    text: str
    kind: str = "finding"
    """`finding`, `control`, `caveat` (not enough evidence, or invalid trials), or `nothing`."""


def conclude(files: Sequence[Loaded], compared: Sequence[Compared]) -> list[Conclusion]:
    """Return what the files show, most important first."""
    found = _simulated(files)
    names = dict.fromkeys(line.workload for one in files for line in one.lines)
    for name in names:
        lines = [line for one in files for line in one.lines if line.workload == name]
        if not any(cell.valid for line in lines for cell in line.series.cells):
            continue
        if workload(name).ends_by_itself:
            found += _launches(files)
        elif workload(name).control and len(names) > 1:
            found += _control(lines)
        else:
            found += _scaling(name, lines)
    nothing = [
        name
        for name in names
        if not any(
            c.valid for one in files for line in one.lines if line.workload == name for c in line.series.cells
        )
    ]
    if nothing:
        words = (
            f"No valid trial of {', '.join(nothing)}, so there is no result for {'them' if nothing[1:] else 'it'}."
        )
        found.insert(0, Conclusion(text=words, kind="caveat"))
    for one in compared:
        found += _axis(one)
    found += _validity([trial for one in files for trial in one.results.trials])
    return found or [Conclusion(text="There is no trial in these files.", kind="nothing")]


def _simulated(files: Sequence[Loaded]) -> list[Conclusion]:
    """Return that the results are simulated, which stands first."""
    told = [one for one in files if one.results.header.simulated]
    if not told:
        return []
    machines = ", ".join(dict.fromkeys(s.machine for one in told if (s := one.results.header.simulated)))
    all_of_it = len(told) == len(files)
    which = "Nothing here" if all_of_it else f"{', '.join(one.name for one in told)}"
    words = "was measured" if all_of_it else "was not measured"
    return [
        Conclusion(
            text=f"{which} {words}: {SIMULATED} on a model of {machines}. Intervals are what the model's "
            "uncertain inputs leave open, and hold only if the model does.",
            kind="caveat",
        )
    ]


def _ratio(a: Line, of_a: list[float], b: Line, of_b: list[float]) -> Interval:
    """Return the ratio of the median rates of two lines; of simulations the range over draws."""
    return ratio_interval(of_a, of_b, drawn=a.simulated or b.simulated)


def _measured(line: Line) -> dict[int, tuple[Interval, list[float]]]:
    """Return threads -> median and rates of the valid trials, without cells whose threads share CPUs."""
    rates: dict[int, list[float]] = defaultdict(list)
    for threads, rate in line.series.points:
        rates[threads].append(rate)
    return {
        cell.cell.threads: (cell.throughput, rates[cell.cell.threads])
        for cell in line.series.cells
        if cell.valid and rates[cell.cell.threads]
    }


def _scaling(name: str, lines: Sequence[Line]) -> list[Conclusion]:
    told = [(line, measured) for line in lines if (measured := _measured(line))]
    if not told:
        return [Conclusion(text=f"{name}: no valid trial, so no result.", kind="caveat")]
    found = _ranking(name, told)
    best = max(told, key=lambda one: max(rate.value for rate, _ in one[1].values()))
    chosen = [best] if len(told) > 1 else told
    if len(told) > 1:
        worst = min(told, key=lambda one: one[1][max(one[1])][0].value)
        chosen += [worst] if worst is not best else []
    for line, measured in chosen:
        found.append(_one_curve(name, line, measured, named=len(told) > 1))
    return found


def _ranking(name: str, told: Sequence[tuple[Line, dict[int, tuple[Interval, list[float]]]]]) -> list[Conclusion]:
    """Return the ranking at the largest thread count that all lines have."""
    shared = set.intersection(*(set(measured) for _, measured in told))
    if len(told) < 2 or not shared:
        return []
    at = max(shared)
    rates = [Rates(samples=measured[at][1], drawn=line.simulated) for line, measured in told]
    found = standing(rates, SAME_WITHIN)
    (first, top), (last, bottom) = told[found.order[0]], told[found.order[-1]]
    ratio = _ratio(first, top[at][1], last, bottom[at][1])
    unit = workload(name).operation
    where = f"{name} at {threads_word(at)}"
    if not ratio.known:
        few = "too few valid trials for an interval"
        return [
            Conclusion(
                text=f"{where}: {first.label} is highest, {count(top[at][0].value)} {unit}/s, {last.label} lowest "
                f"at {count(bottom[at][0].value)}; not enough evidence: {few}.",
                kind="caveat",
            )
        ]
    figures = [f"{line.label} ({counted(measured[at][0])} {unit}/s)" for line, measured in told]
    return [_order_words(where, figures, found, _times(ratio))]


def _order_words(where: str, figures: Sequence[str], found: Standing, times: str) -> Conclusion:
    """Return which is best and which worst, as far as it is certain; `times` is the first over the last."""
    first, last = figures[found.order[0]], figures[found.order[-1]]
    if not found.beside_first:
        what = f"the least of {len(figures)}" if found.beside_last else f"the worst of {len(figures)}"
        return Conclusion(text=f"{where}: {first} is best, {times} {last}, {what}.")
    if not found.beside_last:
        near = _some([figures[i] for i in (found.order[0], *found.beside_first)])
        return Conclusion(
            text=f"{where}: which is best is uncertain, as {near} may be equal; {last} is worst, and {first} is "
            f"{times} that."
        )
    if found.apart:
        return Conclusion(
            text=f"{where}: neither the best nor the worst of {len(figures)} is certain, but {first} is {times} "
            f"{last}."
        )
    return Conclusion(text=f"{where}: not enough evidence that {first} and {last} differ.", kind="caveat")


def _some(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _times(ratio: Interval) -> str:
    return f"{ratio.value:.2g} times [{ratio.low:.2g}, {ratio.high:.2g}]"


def _one_curve(
    name: str, line: Line, measured: dict[int, tuple[Interval, list[float]]], named: bool
) -> Conclusion:
    """Return one curve in words: throughput at the largest thread count, peak and knees."""
    who = line.label if named and line.label.startswith(name) else f"{name} {line.label}" if named else name
    unit = workload(name).operation
    least, most = min(measured), max(measured)
    if least == most:
        return Conclusion(
            text=f"{who}: {counted(measured[most][0])} {unit}/s with {threads_word(most)}"
            "; one thread count is not a curve."
        )
    gain = _ratio(line, measured[most][1], line, measured[least][1])
    told = f"[{gain.low:.3g}, {gain.high:.3g}]" if gain.known else "(too few trials for an interval)"
    words = (
        f"{who}: {threads_word(most)} do {gain.value:.3g} times {told} the throughput of {threads_word(least)}"
        f"{': more threads make it slower' if gain.known and gain.high < 1 else ''}."
    )
    fit = line.fits.models[0] if line.fits and line.fits.models else None
    if fit is None:
        top = max(measured, key=lambda n: measured[n][0].value)
        words += f" Maximum measured at {threads_word(top)}, {counted(measured[top][0])} {unit}/s."
        return Conclusion(text=words)
    if fit.peak is not None and fit.peak.value > least:
        words += (
            f" It peaks at about {threads_word(round(fit.peak.value))} [{fit.peak.low:.0f}, {fit.peak.high:.0f}]"
        )
    elif fit.peak is None:
        words += f" No peak up to {threads_word(most)}"
    else:
        words += f" It is fastest with {threads_word(least)}"
    weight = line.ranked.weight if line.ranked else None
    sure = ", models not ranked" if weight is None else f", {weight:.0%} of the Akaike weight"
    words += f" ({fit.title}{sure})."
    knees = [f"{knee.threads} threads ({knee.border})" for knee in fit.knees]
    if knees:
        words += f" Knee beyond {' and '.join(knees)}."
    return Conclusion(text=words)


def _control(lines: Sequence[Line]) -> list[Conclusion]:
    found = []
    for line in lines[:1]:
        measured = _measured(line)
        if len(measured) < 2:
            continue
        least, most = min(measured), max(measured)
        gain = ratio_interval(measured[most][1], measured[least][1])
        enough = SCALES * most / least
        span = f" [{gain.low:.2f}, {gain.high:.2f}]" if gain.known else " (too few trials for an interval)"
        times = f"{gain.value:.2f} times{span}"
        words = f"Control ({line.workload}, no lock): {times} the throughput with {threads_word(most)}"
        if gain.low >= enough:
            kind, said = "control", "so throughput that the others lose is the locks', not the host's."
        elif gain.high < enough:
            kind = "caveat"
            said = (
                f"it should scale to at least {enough:.2f} and does not: the host is busy or limited; repeat it "
                "when idle."
            )
        else:
            kind = "caveat"
            said = f"whether it scales to at least {enough:.2f} is uncertain; use a longer --budget."
        found.append(Conclusion(text=f"{words}; {said}", kind=kind))
    return found


def _launches(files: Sequence[Loaded]) -> list[Conclusion]:
    found: list[Conclusion] = []
    for one in files:
        by_cell: dict[int, list[Trial]] = defaultdict(list)
        for trial in one.results.trials:
            by_cell[trial.cell].append(trial)
        index_of = {id(cell): index for index, cell in enumerate(one.cells)}
        every = [(index_of[id(s.cell)], s) for _, s, _ in launch_summaries([one])]
        if not every:
            found.append(Conclusion(text="launch: nothing was launched.", kind="caveat"))
            continue
        found += _cheapest([summary for _, summary in every], [by_cell[index] for index, _ in every])
        lines = launch_words(every, by_cell)
        found += [Conclusion(text=f"{line}.") for line in lines[:MOST_LAUNCH_LINES]]
    return found


def _cheapest(summaries: Sequence[LaunchSummary], trials: Sequence[Sequence[Trial]]) -> list[Conclusion]:
    """Return the ranking at the largest number of containers, among cells that differ in their strategy alone."""
    most = max(int(one.cell.params["containers"]) for one in summaries)
    alike: dict[bytes, list[tuple[LaunchSummary, Sequence[Trial]]]] = defaultdict(list)
    for one, own in zip(summaries, trials, strict=True):
        if int(one.cell.params["containers"]) == most:
            alike[context(one.cell)].append((one, own))
    shown = [name for name in label_settings([group[0][0].cell for group in alike.values()]) if name != "strategy"]
    if len({group[0][0].cell.threads for group in alike.values()}) > 1:
        shown.append("threads")
    found = []
    for group in list(alike.values())[:MOST_LAUNCH_LINES]:
        own_words = label(group[0][0].cell, [name for name in shown if name != "threads"], bare=BARE).split()
        if "threads" in shown:
            own_words.append(threads_word(group[0][0].cell.threads))
        where = ", ".join([f"launch of {most} at once", *filter(None, [" ".join(own_words)])])
        figures = [f"{one.cell.params['strategy']} ({timed(one.container_ns)} each)" for one, _ in group]
        if len(group) == 1:
            found.append(Conclusion(text=f"{where}: {figures[0]}."))
            continue
        simulated = any(t.simulated for _, own in group for t in own)
        rates = [
            Rates(samples=[t.figures.throughput for t in own if t.valid and t.figures], drawn=simulated)
            for _, own in group
        ]
        order = standing(rates, SAME_WITHIN)
        ratio = ratio_interval(rates[order.order[0]].samples, rates[order.order[-1]].samples, drawn=simulated)
        found.append(_order_words(where, figures, order, f"{_times(ratio)} as fast as"))
    return found


def _axis(compared: Compared) -> list[Conclusion]:
    """Return throughput along a placement axis or file against file, at the largest thread count that both "
    "have."""
    if compared.axis not in ("place", "smt", "crew", ""):
        return []
    found = []
    for pair in compared.pairs[:MOST_PAIRS]:
        cells = [cell for cell in pair.cells if all(cell.valid)]
        shown: dict[str, tuple[int, Conclusion]] = {}
        for cell in cells:
            one = next((c for c in cell.comparisons if c.metric == "throughput"), None)
            if one is None or cell.cell.threads <= shown.get(cell.cell.workload, (0,))[0]:
                continue
            shown[cell.cell.workload] = (
                cell.cell.threads,
                _compared(cell.cell.workload, cell.cell.threads, pair.a.label, pair.b.label, one),
            )
        found += [conclusion for _, conclusion in shown.values()]
    return found


def _compared(name: str, threads: int, a: str, b: str, one: MetricComparison) -> Conclusion:
    a, b = (label.removeprefix("place=") for label in (a, b))
    span = f"[{one.ratio.low:.2f}, {one.ratio.high:.2f}]" if one.ratio.known else "(no interval)"
    sure = one.verdict in ("better", "worse", "same")
    return Conclusion(
        text=f"{name} at {threads_word(threads)}: {b} does {one.ratio.value:.2f} {span} of what {a} does: "
        f"{one.words}.",
        kind="finding" if sure else "caveat",
    )


def _validity(trials: Iterable[Trial]) -> list[Conclusion]:
    every = [trial for trial in trials if not trial.simulated]
    if not every:
        return []
    words, part = caveats.validity(every, suspect=MOST_INVALID)
    return [Conclusion(text=words, kind="caveat" if part > FEW_INVALID else "control")]
