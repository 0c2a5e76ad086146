# SPDX-License-Identifier: Apache-2.0
"""The single changes to a host's setting that make its slowest launches faster, by their gain."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from pybench.api.toolkit.statistics import Interval, ratio_interval
from pybench.findings.advice.options import Option
from pybench.findings.verdict import paired_ratio


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change from the present setting, and its gain."""

    host: str
    what: str
    kind: str
    """strategy, strategy without id-mapping, SMT, sockets or machine."""
    gain: Interval
    """Latency now over latency then: at 2 launches take half as long."""
    how: str
    then: Option


def changes(options: Sequence[Option], now: Option) -> list[Change]:
    """Return the best single change from `now` of each kind, the largest gain first.

    Measured settings are compared with measured ones only, simulated with simulated ones.
    """
    found = []
    for one in options:
        kind = _one_change(now, one)
        if kind is None or one.how != now.how:
            continue
        gain = _gain(now, one)
        if math.isnan(gain.value):
            continue
        found.append(
            Change(host=now.host, what=_words(now, one, kind), kind=kind, gain=gain, how=one.how, then=one)
        )
    best: dict[str, Change] = {}
    for change in sorted(found, key=lambda c: -c.gain.value):
        best.setdefault(change.kind, change)
    # Giving up id-mapping comes last, whatever it gains.
    return sorted(best.values(), key=lambda change: change.kind == UNMAPPED)


def _one_change(now: Option, then: Option) -> str | None:
    """Return the kind of change from `now` to `then`, None unless it is a single change."""
    if now.host != then.host:
        # Another machine is compared with the present strategy and SMT setting.
        same = now.strategy == then.strategy and then.smt == now.smt
        return "machine" if same else None
    differs = {
        _strategy_kind(now.strategy, then.strategy): now.strategy != then.strategy,
        "SMT": now.smt != then.smt,
        "sockets": now.place != then.place,
    }
    kinds = [kind for kind, differ in differs.items() if differ]
    if len(kinds) != 1 or ("strategy" in kinds[0] and now.threads != then.threads):
        return None
    return kinds[0]


# All containers share the host's user range, which isolates them less.
NOT_MAPPED = ("plain", "chown")
UNMAPPED = "strategy without id-mapping"


def _strategy_kind(now: str, then: str) -> str:
    return UNMAPPED if then in NOT_MAPPED and now not in NOT_MAPPED else "strategy"


def _words(now: Option, then: Option, kind: str) -> str:
    return {
        "strategy": f"strategy {now.strategy} -> {then.strategy}",
        UNMAPPED: f"strategy {now.strategy} -> {then.strategy} (gives up id-mapping)",
        "SMT": f"SMT {now.smt} -> {then.smt}",
        "sockets": f"{now.place} -> {then.place}",
        "machine": f"{now.host} -> {then.host}",
    }[kind]


def _gain(now: Option, then: Option) -> Interval:
    if not (now.samples and then.samples):
        return Interval(math.nan, math.nan, math.nan, 0)
    if now.how == "simulated":
        both = min(len(now.samples), len(then.samples))
        gain = paired_ratio(now.samples[:both], then.samples[:both])
    else:
        gain = ratio_interval(now.samples, then.samples)
    # The two settings may grow by different powers.
    low, high = now.stretch[0] / then.stretch[1], now.stretch[1] / then.stretch[0]
    return Interval(gain.value, gain.low * low, gain.high * high, gain.n)


def present_settings(options: Sequence[Option], strategy: str) -> Iterator[Option]:
    """Yield the present setting of each host, measured and simulated apart: the strategy on all sockets, with SMT
    and most threads; the nearest setting of a host without that strategy."""
    hosts = dict.fromkeys((one.host, one.how) for one in options)
    for host, how in hosts:
        own = [one for one in options if (one.host, one.how) == (host, how)]
        yield max(
            own, key=lambda o: (o.strategy == strategy, o.smt == "on", o.place != "single-socket", o.threads)
        )
