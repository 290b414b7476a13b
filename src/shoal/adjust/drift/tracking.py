"""Faults of the tracking, told from behaviour by what they are like.

A fault comes at once, from one day to the next, and befalls one source, or one kind of event of it,
or one field; what customers do comes by and by, or everywhere at once. Looked for are:

- *stopped*: events of a source, or of a kind of one, are gone or fewer than half of what the same
  weekday had in the weeks before, while the rest of the shop goes on;
- *repeated*: visitors of a source have twice the events they had;
- *missing*: a field has no value any more;
- *scaled*: values are another multiple (prices in cents);
- *shifted*: events are at other hours.

A festival moves all sources; a flood from one visitor is taken out first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.adjust.drift.look import Floats, Mask
from shoal.evaluation.jumps import levels, robust_sd
from shoal.evaluation.rhythm import runs

#: At least so much less or more, as a factor.
_FACTOR: Final = 1.8
#: The rest of the shop may move this part of the way, as logarithm.
_OTHERS: Final = 0.5
#: Part of a change that comes from one day to the next.
_SUDDEN: Final = 0.6
#: Difference of a share of events, and of a mean logarithm of prices.
_SHARE: Final = 0.15
_LOGARITHM: Final = 0.4
#: Events of a day that tell a share or mean of it, and visitors that tell events a visitor.
_TELLING: Final = 15
#: Standard deviations of a single day, and of a run of days.
_DAY_AWAY: Final = 4.0
_RUN_AWAY: Final = 8.0
#: Expected events, in units of how counts scatter, without which silence is one.
_EXPECTED: Final = 16.0
#: Kinds that come in bursts because somebody sends them.
_CAMPAIGNS: Final = frozenset({"exposure", "open", "response", "survey"})
_WEEKS_KNOWN: Final = 28

ALL: Final = "events"


@dataclass(frozen=True)
class Fault:
    """Something of the tracking that is, or was, broken.

    Args:
        what: of whom, as `source`, `source kind` or `source kind field`; `events` of all.
        fault: stopped, repeated, missing, scaled or shifted.
        start, end: local days [start, end) since 1970.
        lasts: whether the last day of all still has it.
        factor: of what was expected (a share: the difference).
        series: value and what was expected a day, of the last weeks.
    """

    what: str
    fault: str
    start: int
    end: int
    lasts: bool
    factor: float
    events: int
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
    names = [name for name in ("events", "visitors") if name in groups[0].numbers]
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
    if "visitors" in group.numbers:
        a_visitor = _ratio(group.numbers["events"], group.numbers["visitors"])
        rest = [_ratio(one.numbers["events"], one.numbers["visitors"]) for one in others]
        found.append(
            _moved(group, "repeated", "", np.log(np.where(a_visitor > 0, a_visitor, np.nan)),
                   math.log(_FACTOR) * 0.8, [np.log(one) for one in rest], first, above=True)
        )  # fmt: skip
    if fields:
        found += _field_faults(group, others, first)
    return [one for one in found if one is not None]


def _field_faults(group: _Group, others: list[_Group], first: int) -> Iterator[Fault | None]:
    for name in group.numbers:
        if name.startswith("with_"):
            field = name.removeprefix("with_")
            share = _ratio(group.numbers[name], _whole_events(group))
            fault = "shifted" if field == "night" else "missing"
            beside = [_ratio(one.numbers[name], _whole_events(one)) for one in others]
            # a field that is suddenly told is none that is lost
            yield _moved(
                group, fault, "hour" if fault == "shifted" else field,
                share if fault == "shifted" else -share, _SHARE,
                beside if fault == "shifted" else [], first, above=fault != "shifted",
            )  # fmt: skip
        elif name.startswith("mean_"):
            beside = [one.numbers[name] for one in others]
            told = np.where(group.numbers["events"] >= _TELLING, group.numbers[name], np.nan)
            field = name.removeprefix("mean_")
            yield _moved(group, "scaled", field, told, _LOGARITHM, beside, first)


def _whole_events(group: _Group) -> Floats:
    """With what one visitor did: fields are counted with it."""
    flooded = group.numbers.get("flooded")
    if flooded is None:
        return group.numbers["events"]
    events = group.numbers["events"]
    return np.where(flooded, np.nan, events)


def _ratio(part: Floats, whole: Floats) -> Floats:
    enough = whole >= _TELLING
    told: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=enough)
    return told


def _stopped(group: _Group, whole: _Group | None, first: int) -> Fault | None:
    """Days with hardly any of the events expected; of the whole shop only those without any."""
    counts = np.round(group.numbers["events"]).astype(np.int64)
    # days of a fault tell no level of later weeks
    normal = np.ones(len(counts), bool)
    run = level = None
    for _ in range(2):
        level = levels(counts, normal)
        known = np.nan_to_num(level) > 0
        scatter = _scatter(counts, level, known & normal)
        low = known & (counts * _FACTOR <= level) if whole is not None else known & (counts == 0)
        run = _latest(low, np.where(known, (level - counts) / scatter, 0.0), _EXPECTED)
        if run is None:
            return None
        normal[run[0] : run[1]] = False
    assert run is not None and level is not None
    start, end = run
    expected = float(np.nansum(level[start:end]))
    factor = (counts[start:end].sum() + 0.5) / (expected + 0.5)
    if whole is not None and not _alone(group, whole, level, start, end, math.log(factor)):
        return None
    if start and counts[start - 1] < 0.5 * (counts[start] + np.nan_to_num(level[start - 1])):
        return None  # it went down by and by
    name = ALL if whole is None else group.name
    return _fault(
        name, "stopped", run, first, factor, group, counts.astype(np.float64), np.nan_to_num(level)
    )


def _scatter(counts: Any, level: Floats, known: Mask) -> float:
    """Variance of counts in units of what they should be; 1 of independent events."""
    if known.sum() < 7:
        return 1.0
    away = (counts[known] - level[known]) / np.sqrt(level[known])
    return max(1.0, robust_sd(away) ** 2)


def _alone(group: _Group, whole: _Group, level: Floats, start: int, end: int, moved: float) -> bool:
    """Whether the rest of the shop goes on as before."""
    rest = np.round(whole.numbers["events"] - group.numbers["events"]).astype(np.int64)
    usual = levels(rest)
    expected = float(np.nansum(usual[start:end]))
    if expected < _TELLING:
        # there is nothing else: only a full stop is told
        return bool((group.numbers["events"][start:end] == 0).all())
    others = math.log((rest[start:end].sum() + 0.5) / (expected + 0.5))
    return others > _OTHERS * moved


def _moved(
    group: _Group, fault: str, field: str, values: Floats, least: float, others: list[Floats],
    first: int, *, above: bool = False,
) -> Fault | None:  # fmt: skip
    """Days on which a share or mean differs at once from that of the weeks before."""
    normal = np.ones(len(values), bool)
    run = usual = None
    for _ in range(2):
        usual = _usual(values, normal)
        away = np.nan_to_num(values - usual)
        told = ~np.isnan(values - usual)
        if (told & normal).sum() < 14:
            return None
        spread = max(robust_sd(away[told & normal]), least / 20)
        signs = (1,) if above else (1, -1)
        candidates = [
            one
            for sign in signs
            if (
                one := _latest(
                    (sign * away >= least) & (sign * away >= _DAY_AWAY * spread),
                    sign * away / spread, _RUN_AWAY,
                )
            )
        ]  # fmt: skip
        if not candidates:
            return None
        run = max(candidates, key=lambda pair: pair[1])
        normal[run[0] : run[1]] = False
    assert run is not None and usual is not None
    start, end = run
    size = float(np.nanmean(values[start:end] - usual[start:end]))
    if not _at_once(values, usual, start, size) or _everywhere(others, normal, start, end, size):
        return None
    what = _Group(group.source, f"{group.kind} {field}".strip(), group.numbers)
    factor = math.exp(size) if fault in ("scaled", "repeated") else abs(size)
    sign = -1.0 if fault == "missing" else 1.0
    shown = np.exp(values) if fault == "repeated" else sign * values
    level = np.exp(usual) if fault == "repeated" else sign * usual
    return _fault(what.name, fault, run, first, factor, group, shown, level)


def _usual(values: Floats, normal: Mask) -> Floats:
    """Median of the four weeks before each day, NaN where fewer than 14 days tell it."""
    held = np.where(normal, values, np.nan)
    found = np.full(len(values), np.nan)
    for day in range(14, len(values)):
        near = held[max(0, day - 4 * 7 * 2) : day]
        near = near[~np.isnan(near)][-28:]
        if len(near) >= 14:
            found[day] = np.median(near)
    return found


def _at_once(values: Floats, usual: Floats, start: int, size: float) -> bool:
    """Whether the day before was as usual."""
    before = (values - usual)[:start]
    before = before[~np.isnan(before)]
    return not len(before) or abs(float(before[-1])) <= (1 - _SUDDEN) * abs(size)


def _everywhere(others: list[Floats], normal: Mask, start: int, end: int, size: float) -> bool:
    """Whether as many other groups went the same way as did not."""
    same = judged = 0
    for one in others:
        away = (one - _usual(one, normal))[start:end]
        away = away[~np.isnan(away)]
        if len(away):
            judged += 1
            same += float(np.mean(away)) * np.sign(size) >= _OTHERS * abs(size)
    return judged > 0 and same * 2 > judged


def _latest(marked: Mask, away: Floats, needed: float) -> tuple[int, int] | None:
    """The latest run of marked days, single days between joined, that is far enough in all."""
    joined: list[tuple[int, int]] = []
    for start, end in runs(marked):
        if joined and start - joined[-1][1] <= 1:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    far = [
        (start, end)
        for start, end in joined
        if end - start >= 1 and float(away[start:end].sum()) / math.sqrt(end - start) >= needed
    ]
    return far[-1] if far else None


def _fault(
    what: str, fault: str, run: tuple[int, int], first: int, factor: float, group: _Group,
    values: Floats, usual: Floats,
) -> Fault:  # fmt: skip
    start, end = run
    shown = range(max(0, len(values) - _WEEKS_KNOWN), len(values))
    return Fault(
        what, fault, first + start, first + end, end >= len(values) - 1, factor,
        int(group.numbers["events"][start:end].sum()),
        tuple((first + day, float(values[day]), float(usual[day])) for day in shown),
    )  # fmt: skip


def _within(one: Fault, found: list[Fault]) -> bool:
    """Whether a fault of the whole source tells of it already."""
    source = one.what.split(" ")[0]
    return any(
        other.what == source and other.start <= one.start + 1 and one.end <= other.end + 1
        for other in found
    )
