# SPDX-License-Identifier: Apache-2.0
"""Compare two sides cell by cell: ratios with intervals, corrected verdicts in words, cells without a partner.

Every ratio is B over A, and A is the baseline. The repeated unit is a sweep where a side has several, else a trial
of the one sweep. Verdicts are corrected by Holm's method over all ratios of the run, differences and equalities
separately: the probability that any verdict of either kind is wrong is at most 5 %.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from pybench.analysis.comparison.cell_pairs import Group, Part, by_axis, by_file, filled_in, match, outside_axis
from pybench.analysis.comparison.conditions import Condition, Judged, judge
from pybench.analysis.comparison.distributions import compare_distributions
from pybench.analysis.comparison.environment import differences
from pybench.analysis.comparison.metric_ratios import MetricRatio, common_sweeps, metric_ratio
from pybench.analysis.comparison.verdicts import (
    CellComparison,
    Compared,
    MetricComparison,
    PairComparison,
    SideInfo,
)
from pybench.errors import UsageError
from pybench.results.columns import DEFAULT, FileColumns, Metric, metric
from pybench.results.store import text_of
from pybench.stats.estimate import Floats
from pybench.stats.ratios import AT_LEVEL, LEAST_TRIALS, LEVEL, MOST_FURTHER, further_needed, holm
from pybench.workloads import workload

SAME_WITHIN = 0.03


def compare(
    sides: Sequence[Sequence[FileColumns]],
    *,
    axis: str = "",
    base: str | None = None,
    metrics: Sequence[Metric] = DEFAULT,
    same_within: float = SAME_WITHIN,
    conditions: Sequence[Condition] = (),
    distributions: bool = True,
) -> Compared:
    """Compare every side with the first; or, with an axis, each value of it with `base` over all files.

    `same_within` is a share: ratios from 1 / (1 + same_within) to 1 + same_within count as the same. Metrics of
    conditions are compared as well. Raises UsageError if there is nothing to compare, or `same_within` is not a
    share above 0.
    """
    if not isinstance(same_within, (int, float)) or not 0 < same_within <= 1:
        raise UsageError(f"same within {same_within!r} is out of range; write a share above 0, to 1 (100 percent)")
    files = [file for side in sides for file in side]
    wanted = {one.name: one for one in (*metrics, *(metric(c.metric) for c in conditions))}
    groups = _groups(sides, axis, base)
    return compare_groups(
        files,
        [(groups[0], group) for group in groups[1:]],
        axis=axis,
        metrics=list(wanted.values()),
        same_within=same_within,
        conditions=conditions,
        distributions=distributions,
    )


def compare_groups(
    files: Sequence[FileColumns],
    sides: Sequence[tuple[Group, Group]],
    *,
    axis: str,
    metrics: Sequence[Metric] = DEFAULT,
    same_within: float = SAME_WITHIN,
    conditions: Sequence[Condition] = (),
    distributions: bool = True,
) -> Compared:
    """Compare pairs of sides, with all verdicts corrected together. Raises UsageError if no cell has a partner."""
    estimates: list[MetricRatio] = []
    pairs = [_pair(files, a, b, axis, metrics, estimates, distributions) for a, b in sides]
    if not any(pair.cells for pair in pairs):
        raise UsageError(_no_partner(pairs))
    compared = Compared(
        axis=axis,
        metrics=[one.name for one in metrics],
        same_within=same_within,
        level=LEVEL,
        family=sum(math.isfinite(one.ratio.interval().low) and one.drawn is None for one in estimates),
        notes=[
            *filled_in(files),
            *(
                f"{text_of(file.path)}: the last line is incomplete and left out"
                for file in files
                if file.truncated
            ),
        ],
        outside=outside_axis(files, axis),
        pairs=pairs,
        conditions=[],
    )
    _decide(compared, estimates)
    compared.conditions = [_judged(one, estimates) for one in conditions]
    return compared


def pairs_of_cells(sides: Sequence[Sequence[FileColumns]], axis: str = "") -> int:
    """Return the number of pairs of cells that a comparison would have, without making it. Raises as `compare`."""
    groups = _groups(sides, axis, None)
    return sum(len(match(groups[0], group)[0]) for group in groups[1:])


def _groups(sides: Sequence[Sequence[FileColumns]], axis: str, base: str | None) -> list[Group]:
    files = [file for side in sides for file in side]
    if axis:
        return by_axis(files, axis, base)
    if len(sides) < 2:
        raise UsageError("a comparison needs two sides; name another file, or an --axis of this one")
    starts = list(accumulate((len(side) for side in sides), initial=0))
    return by_file(files, [range(start, end) for start, end in pairwise(starts)])


def _no_partner(pairs: Sequence[PairComparison]) -> str:
    orphans = [orphan for pair in pairs for orphan in pair.unmatched]
    sides = " and ".join(dict.fromkeys([pairs[0].a.label, *(pair.b.label for pair in pairs)]))
    if not orphans:
        return f"nothing to compare: {sides} have no cells"
    first = orphans[0]
    where = " ".join(f"{k}={v}" for k, v in first.cell.params.items())
    return (
        f"no cell of {sides} has a partner; {first.only_in} alone has {first.cell.workload} "
        f"threads={first.cell.threads} place={first.cell.place} smt={first.cell.smt} {where}"
    )


def _judged(condition: Condition, estimates: Sequence[MetricRatio]) -> Judged:
    ratios = [one.ratio for one in estimates if one.metric.name == condition.metric]
    if all(math.isnan(ratio.log) for ratio in ratios):
        raise UsageError(f"--fail-if {condition.text!r}: no cell has {condition.metric} on both sides")
    return judge(condition, ratios)


def _pair(
    files: Sequence[FileColumns],
    a: Group,
    b: Group,
    axis: str,
    metrics: Sequence[Metric],
    estimates: list[MetricRatio],
    distributions: bool,
) -> PairComparison:
    matched, unmatched = match(a, b)
    cells = []
    drawn = tuple(any(files[i].header.simulated for i in group.files) for group in (a, b))
    for one, other in matched:
        cell = _cell(one, other, metrics, distributions and not any(drawn), (drawn[0], drawn[1]))
        cells.append(cell[0])
        estimates += cell[1]
    return PairComparison(
        a=_info(files, a),
        b=_info(files, b),
        differences=differences([files[i].header for i in a.files], [files[i].header for i in b.files]),
        caveats=_caveats(files, a, b, axis),
        cells=cells,
        unmatched=unmatched,
    )


def _info(files: Sequence[FileColumns], group: Group) -> SideInfo:
    return SideInfo(
        label=group.label,
        files=[text_of(files[i].path) for i in group.files],
        created=[files[i].header.created for i in group.files],
        simulated=[
            f"{model.machine}, {model.draws} draws" for i in group.files if (model := files[i].header.simulated)
        ],
    )


def _caveats(files: Sequence[FileColumns], a: Group, b: Group, axis: str) -> list[str]:
    how = (
        f"pybench compare {f'--axis {axis} s1.jsonl s2.jsonl' if axis else 'a1.jsonl,a2.jsonl b1.jsonl,b2.jsonl'}"
    )
    if any(files[i].header.simulated for i in (*a.files, *b.files)):
        # The views mark simulated sides first; repeated sweeps do not apply to them.
        return []
    shared = set(a.files) & set(b.files)
    few, many = sorted((len(a.files), len(b.files)))
    if shared:
        pooled = [files[i].header for i in sorted(shared)]
        mixed = [one.what for one in differences(pooled[:1], pooled[1:])] if len(pooled) > 1 else []
        said = [f"the sweeps that are pooled differ: {', '.join(mixed)}"] if mixed else []
        if few > 1:
            return said
        return [
            "Both sides ran interleaved in one sweep, on one host: variation between sweeps that affects both "
            "sides alike cancels; any other is not in these intervals. To measure it, repeat the sweep: " + how
        ]
    if many == 1:
        return [
            "One sweep per side: variation between sweeps (memory layout, other tenants, a reboot) is NOT in "
            "these intervals, and may explain a difference entirely. To measure it, repeat the sweeps and name "
            "them all: " + how
        ]
    if few == 1:
        return ["One side has one sweep: its variation between sweeps is taken to be that of the other side"]
    return []


def _cell(
    a: list[Part],
    b: list[Part],
    metrics: Sequence[Metric],
    distributions: bool,
    simulated: tuple[bool, bool],
) -> tuple[CellComparison, list[MetricRatio]]:
    a, b, notes = common_sweeps(a, b)
    estimates = [
        metric_ratio(one, a, b, simulated)
        for one in metrics
        if one.name != "success" or workload(a[0].cell.workload).ends_by_itself
    ]
    if a[0].cell.cpus != b[0].cell.cpus and a[0].cell.place == b[0].cell.place and a[0].cell.smt == b[0].cell.smt:
        notes.append(
            f"on other CPUs: {','.join(map(str, a[0].cell.cpus))} and {','.join(map(str, b[0].cell.cpus))}"
        )

    def total(parts: list[Part], name: str) -> int:
        return sum(getattr(part.columns, name) for part in parts if part.columns)

    comparison = CellComparison(
        cell=a[0].cell,
        other=b[0].cell,
        valid=(total(a, "valid"), total(b, "valid")),
        trials=(total(a, "trials"), total(b, "trials")),
        comparisons=[_comparison(one) for one in estimates],
        distribution=compare_distributions(b, a) if distributions else None,
        notes=notes,
    )
    return comparison, estimates


def _comparison(one: MetricRatio) -> MetricComparison:
    return MetricComparison(
        metric=one.metric.name,
        a=one.a,
        b=one.b,
        ratio=one.ratio.interval(),
        basis=one.basis,
        n_a=one.n[0],
        n_b=one.n[1],
        p=one.ratio.risk_beyond(0.0),
        same_p=1.0,
        note=one.note,
    )


def _decide(compared: Compared, estimates: Sequence[MetricRatio]) -> None:
    """Correct all p-values together, and put the verdicts into words."""
    margin, least = math.log1p(compared.same_within), 1 - LEVEL
    every = compared.every
    for comparison, one in zip(every, estimates, strict=True):
        if abs(one.ratio.log) < margin:
            comparison.same_p = max(one.ratio.risk_beyond(margin), one.ratio.risk_beyond(-margin))
    # A ratio without an interval is not tested.
    tested = [
        i for i, one in enumerate(estimates) if not math.isnan(one.ratio.down[AT_LEVEL]) and one.drawn is None
    ]
    corrected = holm([every[i].p for i in tested]), holm([every[i].same_p for i in tested])
    for i, p, same in zip(tested, *corrected, strict=True):
        every[i].corrected_p, every[i].same_corrected_p = p, same
    shapes = [cell.distribution for pair in compared.pairs for cell in pair.cells if cell.distribution]
    shapes = [shape for shape in shapes if not math.isnan(shape.p)]
    for shape, p in zip(shapes, holm([shape.p for shape in shapes]), strict=True):
        shape.corrected_p = p
    for comparison, one in zip(every, estimates, strict=True):
        if one.drawn is not None:
            _over_draws(comparison, one, one.drawn, margin)
        elif comparison.same_corrected_p <= least:
            comparison.verdict, comparison.words = "same", f"same within {compared.same_within * 100:g} %"
        elif comparison.corrected_p <= least:
            good = (one.ratio.log > 0) == one.metric.higher_is_better
            comparison.verdict = "better" if good else "worse"
            comparison.words = one.metric.better if good else one.metric.worse
        elif math.isnan(one.ratio.log) and min(one.n) > 0:
            comparison.verdict, comparison.words = "nothing", one.note
        else:
            _unsure(comparison, one, margin, max(compared.family, 1))


def _over_draws(comparison: MetricComparison, one: MetricRatio, drawn: Floats, margin: float) -> None:
    """Set the verdict of a model: the share of draws in which it holds. It is not corrected, as nothing was
    sampled."""
    interval, certain = one.ratio.interval(), (1 + LEVEL) / 2
    up, down = float((drawn > 0).mean()), float((drawn < 0).mean())
    # A tie counts for neither side.
    above = (1 + up - down) / 2
    if not interval.known:
        comparison.verdict = "unsure"
        comparison.words = "one draw, no range" if drawn.size == 1 else "too few trials for a range"
        return
    comparison.p = comparison.corrected_p = min(1.0, 2 * min(above, 1 - above))
    if -margin <= math.log(interval.low) and math.log(interval.high) <= margin:
        within = float((np.abs(drawn) <= margin).mean())
        comparison.verdict = "same"
        comparison.words = f"same within {math.expm1(margin) * 100:.3g} % in {_share(within)} draws"
    elif above >= certain or above <= 1 - certain:
        good = (above > 0.5) == one.metric.higher_is_better
        comparison.verdict = "better" if good else "worse"
        comparison.words = f"{one.metric.better if good else one.metric.worse} in {_share(max(up, down))} draws"
    else:
        comparison.verdict = "unsure"
        lower = f", lower in {down:.0%}" if up + down < 1 else ""
        comparison.words = f"open: higher in {up:.0%}{lower} of draws"


def _share(share: float) -> str:
    return "all" if share == 1 else f"{min(share, 0.999):.1%} of"


def _unsure(comparison: MetricComparison, one: MetricRatio, margin: float, family: int) -> None:
    """Report what is missing: trials at all, more of them, or significance after correction."""
    least = 1 - LEVEL
    if one.metric.name != "success" and one.basis == "trials" and min(one.n) < LEAST_TRIALS:
        comparison.further = LEAST_TRIALS - min(one.n)
    elif not one.blurred and math.isfinite(one.ratio.down[AT_LEVEL] + one.ratio.up[AT_LEVEL]):
        size, risk = abs(one.ratio.log), least / family
        # Whichever takes fewer trials: showing a difference, or showing equality, if the ratio stays where it is.
        targets = [size] if size > margin else [size, margin - size]
        comparison.further = min(
            further_needed(one.ratio, min(one.n), one.freedom, target, risk) for target in targets if target > 0
        )
    comparison.words = f"not enough evidence{_more(comparison)}"
    if comparison.p <= least:
        said = f"1 is outside its interval, but not after correction for {family} comparisons"
        comparison.note = "; ".join(words for words in (comparison.note, said) if words)


def _more(comparison: MetricComparison) -> str:
    if comparison.further is None:
        return ""
    what = "trial" if comparison.basis == "trials" else "sweep"
    if comparison.further > MOST_FURTHER:
        return f": over {MOST_FURTHER:,} more {what}s per side"
    about = "" if comparison.basis == "trials" and min(comparison.n_a, comparison.n_b) < LEAST_TRIALS else "~"
    return f": {about}{comparison.further} more {what}{'s' if comparison.further > 1 else ''} per side"
