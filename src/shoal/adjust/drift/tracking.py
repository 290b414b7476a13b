"""Faults of the tracking, told from behaviour by what they are like.

A fault comes at once, from one day to the next, and befalls one source, or one kind of event of it,
or one field; what customers do comes by and by, or everywhere at once. Looked for are:

- *stopped*: events of a source, or of a kind of one, are gone or little more than half of what the
  same weekday had in the weeks before, while the rest of the shop goes on;
- *repeated*: visitors of a source have twice the events they had;
- *missing*: a field has no value any more, in a quarter of the events at least;
- *scaled*: values are another multiple (prices in cents);
- *shifted*: events are at other hours.

A festival moves all sources; a flood from one visitor is taken out first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from shoal.adjust.drift.look import Floats
from shoal.adjust.drift.sudden import SUDDEN, everywhere, latest_run, moved, spread
from shoal.evaluation.jumps import levels

#: At least so much less or more, as a factor.
_FACTOR: Final = 1.8
#: The rest of the shop may move this part of the way, as logarithm.
_OTHERS: Final = 0.5
#: Difference of a share of events, of the share that has a field, and of mean logarithms of prices.
_SHARE: Final = 0.15
_LOST: Final = 0.25
_LOGARITHM: Final = 0.3
#: Events of a day that tell a share of it, and visitors that tell events a visitor; of prices
#: fewer.
_TELLING: Final = 15
_TELLING_PRICES: Final = 5
#: Expected events of all days of a run; fewer stay away by themselves.
_EXPECTED: Final = 60.0
#: Kinds that come in bursts because somebody sends them.
_CAMPAIGNS: Final = frozenset({"exposure", "open", "response", "survey"})
_SHOWN_DAYS: Final = 28

ALL: Final = "events"


@dataclass(frozen=True)
class Fault:
    """Something of the tracking that is, or was, broken.

    Args:
        what: of whom, as `source`, `source kind` or `source kind field`; `events` of all.
        kind: of event; empty: of a whole source, or of all.
        fault: stopped, repeated, missing, scaled or shifted.
        start, end: local days [start, end) since 1970.
        lasts: whether the last day of all still has it.
        factor: of what was expected (a share: the difference).
        events: of the days it lasted.
        visitors: of the group on a day, the most in the last weeks.
        series: value and what was expected a day, of the last weeks.
    """

    what: str
    kind: str
    fault: str
    start: int
    end: int
    lasts: bool
    factor: float
    events: int
    visitors: int
    series: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class _Group:
    """A source, or a kind of it: daily numbers by column, days from the first."""

    source: str
    kind: str
    numbers: dict[str, Floats]

    @property
    def name(self) -> str:
        return f"{self.source or '-'} {self.kind}".strip()


def faults(rhythm: pa.Table, until: int | None = None) -> list[Fault]:
    """The latest fault of each kind, of every source and kind of event; widest first.

    What begins within the first four weeks cannot be told.

    Args:
        rhythm: `shoal.features.rhythm`.
        until: the local day since 1970 after the last whole one; None: that after the last event.
    """
    if not rhythm.num_rows:
        return []
    first, groups = _groups(rhythm, until)
    if not groups:
        return []
    whole = _sum("", "", groups)
    silent = _stopped(whole, None, first)
    if silent is not None:
        return [silent]
    found: list[Fault] = []
    sources = list(_of_sources(groups))
    for source in sources:
        found += _group_faults(source, sources, whole, first)
    for group in groups:
        if len([one for one in groups if one.source == group.source]) > 1 or len(sources) == 1:
            own = _group_faults(group, groups, whole, first, fields=True)
            found += [one for one in own if not _within(one, found)]
    return found


def _groups(rhythm: pa.Table, until: int | None) -> tuple[int, list[_Group]]:
    days = np.asarray(rhythm["day"].to_numpy(), np.int64)
    first = int(days.min())
    count = max(int(days.max()) + 1, until or 0) - first
    keys = list(zip(rhythm["source"].to_pylist(), rhythm["kind"].to_pylist(), strict=True))
    names = [name for name in rhythm.column_names if name not in ("day", "source", "kind")]
    columns = {name: np.array(rhythm[name].cast(pa.float64()).to_numpy()) for name in names}
    groups = []
    for key in sorted(set(keys)):
        if key[1] in _CAMPAIGNS:
            continue
        rows = np.array([own == key for own in keys])
        numbers = {}
        for name in names:
            held = np.full(count, np.nan if name.startswith("mean_") else 0.0)
            held[days[rows] - first] = columns[name][rows]
            numbers[name] = held
        groups.append(_Group(*key, _without_flood(numbers)))
    return first, groups


def _without_flood(numbers: dict[str, Floats]) -> dict[str, Floats]:
    """Days on which one visitor did more than half: what the others did."""
    largest, events = numbers.get("largest"), numbers["events"]
    if largest is None:
        return numbers
    flooded = largest > np.maximum(events / 2, _TELLING)
    return numbers | {"events": np.where(flooded, events - largest, events), "flooded": flooded}


def _of_sources(groups: list[_Group]) -> Iterator[_Group]:
    for source in sorted({one.source for one in groups}):
        yield _sum(source, "", [one for one in groups if one.source == source])


def _sum(source: str, kind: str, groups: list[_Group]) -> _Group:
    summed = ("events", "visitors", "with_night")
    names = [name for name in summed if name in groups[0].numbers]
    return _Group(
        source,
        kind,
        {name: np.sum([one.numbers[name] for one in groups], axis=0) for name in names},
    )


def _group_faults(
    group: _Group, beside: list[_Group], whole: _Group, first: int, *, fields: bool = False
) -> list[Fault]:
    """What is wrong with one group."""
    found = [_stopped(group, whole, first)]
    others = [one for one in beside if one is not group]
    found += _field_faults(group, others, first) if fields else _habit_faults(group, others, first)
    return [one for one in found if one is not None]


def _habit_faults(group: _Group, others: list[_Group], first: int) -> Iterator[Fault | None]:
    """Of a whole source: events of a visitor, and the hours."""
    if "visitors" in group.numbers:
        rates = [_events_a_visitor(one) for one in (group, *others)]
        error = np.full(len(rates[0]), 0.05)
        yield _moved(group, "repeated", "", rates, error, 0.8 * math.log(_FACTOR), (1,), first)
    if "with_night" in group.numbers:
        shares = [_share_of(one, "with_night") for one in (group, *others)]
        error = _error_of(group, shares[0])
        yield _moved(group, "shifted", "hour", shares, error, _SHARE, (1, -1), first)


def _field_faults(group: _Group, others: list[_Group], first: int) -> Iterator[Fault | None]:
    """Of a kind of event: values that are gone, and values that are other multiples."""
    for name in group.numbers:
        field = name.partition("_")[2]
        if name.startswith("with_") and field != "night":
            share = _share_of(group, name)
            error = _error_of(group, share)
            yield _moved(group, "missing", field, [share], error, _LOST, (-1,), first)
        elif name.startswith("mean_"):
            told = [
                np.where(one.numbers["events"] >= _TELLING_PRICES, one.numbers[name], np.nan)
                for one in (group, *others)
            ]
            error = np.full(len(told[0]), 0.02)
            yield _moved(group, "scaled", field, told, error, _LOGARITHM, (1, -1), first)


def _events_a_visitor(group: _Group) -> Floats:
    rate = _ratio(group.numbers["events"], group.numbers["visitors"])
    return np.log(np.where(rate > 0, rate, np.nan))


def _share_of(group: _Group, name: str) -> Floats:
    """Share of events that have a field; NaN on days of a flood, whose fields are counted too."""
    if name not in group.numbers:
        return np.full(len(group.numbers["events"]), np.nan)
    events = np.where(group.numbers.get("flooded", False), np.nan, group.numbers["events"])
    return _ratio(group.numbers[name], events)


def _error_of(group: _Group, share: Floats) -> Floats:
    """Of a binomial share; one that was 0 or 1 may as well be a little less."""
    events = np.maximum(group.numbers["events"], 1.0)
    p = float(np.clip(np.nanmedian(share), 0, 1)) if np.isfinite(share).any() else 0.5
    return np.sqrt((p * (1 - p) + 1 / events) / events)


def _ratio(part: Floats, whole: Floats) -> Floats:
    enough = np.nan_to_num(whole) >= _TELLING
    told: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=enough)
    return told


def _stopped(group: _Group, whole: _Group | None, first: int) -> Fault | None:
    """Days with hardly any of the events expected; of the whole shop only those without any."""
    counts = np.round(group.numbers["events"]).astype(np.int64)
    # days of a fault tell no level of later weeks
    normal = np.ones(len(counts), bool)
    run: tuple[int, int] | None = None
    level = away = np.zeros(len(counts))
    for _ in range(2):
        level = levels(counts, normal)
        known = np.nan_to_num(level) > 0
        away = np.where(known, np.log((np.nan_to_num(level) + 0.5) / (counts + 0.5)), 0.0)
        # never less than what independent events scatter
        poisson = 1 / np.sqrt(np.maximum(np.nan_to_num(level), 0.25))
        scale = np.maximum(spread(away, known & normal), poisson)
        low = known & ((counts * _FACTOR <= level) if whole is not None else (counts == 0))
        run = latest_run(low, away / scale, known)
        if run is None:
            return None
        normal[run[0] : run[1]] = False
    assert run is not None
    start, end = run
    expected = float(np.nansum(level[start:end]))
    if expected < _EXPECTED:
        return None
    factor = float((counts[start:end].sum() + 0.5) / (expected + 0.5))
    if whole is not None and not _alone(group, whole, start, end, math.log(factor)):
        return None
    if start and away[start - 1] > (1 - SUDDEN) * -math.log(factor):
        return None  # it went down by and by
    name, told = ALL if whole is None else group.name, np.asarray(counts, np.float64)
    return _fault(name, "stopped", run, first, factor, group, told, np.nan_to_num(level))


def _alone(group: _Group, whole: _Group, start: int, end: int, moved_by: float) -> bool:
    """Whether the rest of the shop goes on as before."""
    rest = np.round(whole.numbers["events"] - group.numbers["events"]).astype(np.int64)
    expected = float(np.nansum(levels(rest)[start:end]))
    if expected < _TELLING:
        # there is nothing else: only a full stop is told
        return bool((group.numbers["events"][start:end] == 0).all())
    others = math.log((rest[start:end].sum() + 0.5) / (expected + 0.5))
    return others > _OTHERS * moved_by


def _moved(
    group: _Group, fault: str, field: str, series: list[Floats], error: Floats, least: float,
    signs: tuple[int, ...], first: int,
) -> Fault | None:  # fmt: skip
    """A run of days of the group's series, the first one, that is none of the others as well."""
    values, *others = series
    found = moved(values, error, least, signs)
    if found is None:
        return None
    run, level, size = found
    if others and everywhere(others, run, size, _OTHERS):
        return None
    name = f"{group.name} {field}".strip()
    factor = math.exp(size) if fault in ("scaled", "repeated") else abs(size)
    shown, usually = (np.exp(one) if fault == "repeated" else one for one in (values, level))
    return _fault(name, fault, run, first, factor, group, shown, usually)


def _fault(
    what: str, fault: str, run: tuple[int, int], first: int, factor: float, group: _Group,
    values: Floats, level: Floats,
) -> Fault:  # fmt: skip
    start, end = run
    shown = range(max(0, len(values) - _SHOWN_DAYS), len(values))
    # days since that tell nothing do not say that it is over
    over = bool(np.isfinite(values[end:]).sum() > 1)
    return Fault(
        what, group.kind, fault, first + start, first + end, not over, factor,
        int(group.numbers["events"][start:end].sum()),
        int(group.numbers.get("visitors", np.zeros(1))[-_SHOWN_DAYS:].max()),
        tuple((first + day, float(values[day]), float(level[day])) for day in shown),
    )  # fmt: skip


def _within(one: Fault, found: list[Fault]) -> bool:
    """Whether a fault of the whole source tells of it already."""
    source, days = one.what.split(" ")[0], one.end - one.start
    return any(
        other.what == source
        and other.fault in ("stopped", "repeated")
        and 2 * (min(one.end, other.end + 1) - max(one.start, other.start - 1)) >= days
        for other in found
    )
