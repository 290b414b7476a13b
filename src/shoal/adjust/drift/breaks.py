"""What broke: faults of the tracking (`shoal.adjust.drift.tracking`), and features that show one.

A feature is broken if, since the look before, many more customers have no value of it, or all
have the same one, or all values are another multiple of what they were: every quantile by the same
factor, at least 1.7. People never do that together, or not with one feature alone: where more than
a third of features look so it is behaviour (or all of the tracking, which its faults tell).

Nothing is learned from what is broken. A fault that is over is in the windows of features for four
weeks more, and blocks learning while it is a tenth of them: a shop that was closed on a holiday, or
a day that was counted twice, is not. A fault of facts about persons (sign-up, profile, consent)
is told of and blocks nothing: segments are not learned from them, and they come once a person, so
that a young log has ever fewer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from shoal.adjust.adjustment import BROKEN, Alarm
from shoal.adjust.drift.contrast import Panel
from shoal.adjust.drift.look import Floats
from shoal.adjust.drift.series import histogram
from shoal.adjust.drift.tracking import Fault, faults
from shoal.domain import kinds
from shoal.domain.time import DAY_US, from_us, iso, to_us

#: More customers without a value, as a share of all.
_NULLS: Final = 0.2
#: The least factor of a scale, and how far quantiles may differ in it (logarithms).
_SCALED: Final = math.log(1.7)
_ALIKE: Final = 0.2
_QUANTILES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_FEWEST: Final = 50
#: Part of the features from which on it is no fault of single ones.
_MANY: Final = 1 / 3
#: A fault that ended so many days ago is still in the windows of features.
GONE_DAYS: Final = 28
#: Part of these days from which on it blocks learning.
_PART: Final = 0.1
#: Kinds that tell of a person what no segment is learned from.
_FACTS: Final = frozenset({kinds.SIGN_UP, kinds.PROFILE, kinds.CONSENT})
#: Chance of a rhythm without fault being told of; what the thresholds of tracking stand for.
_P_VALUE: Final = 1e-4


@dataclass(frozen=True)
class Broken:
    """What broke.

    Args:
        alarms: of what is broken now.
        blocked: names of what is broken, or was for a tenth of `GONE_DAYS`: features, and sources
            with kinds and fields.
        features: of the table, that are broken now.
    """

    alarms: tuple[Alarm, ...] = ()
    blocked: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


def broken(panel: Panel | None, rhythm: pa.Table | None, moment: datetime) -> Broken:
    """Faults of features between the last earlier look and now, and of the tracking."""
    alarms: list[Alarm] = []
    blocked: list[str] = []
    features: list[str] = []
    if panel is not None and panel.recent:
        for alarm in _features(panel):
            alarms.append(alarm)
            features.append(alarm.what)
    if rhythm is not None:
        today = _whole_until(rhythm, moment)
        for one in faults(rhythm, until=today):
            if one.lasts:
                alarms.append(_alarm(one))
            if one.kind not in _FACTS and (one.lasts or _in_windows(one, today) >= _PART):
                blocked.append(one.what)
    return Broken(tuple(alarms), tuple(dict.fromkeys([*features, *blocked])), tuple(features))


def _whole_until(rhythm: pa.Table, moment: datetime) -> int:
    """The local day that a look is on; of a rhythm that does not say, that of UTC."""
    told = (rhythm.schema.metadata or {}).get(b"until")
    return to_us(moment) // DAY_US if told is None else int(told)


def _in_windows(one: Fault, today: int) -> float:
    """Part of the last `GONE_DAYS` that a fault was; a day that had many times its events is as
    many."""
    days = max(0, one.end - max(one.start, today - GONE_DAYS))
    return days * (max(1.0, one.factor) if one.fault == "repeated" else 1.0) / GONE_DAYS


def _features(panel: Panel) -> list[Alarm]:
    """Features that broke since the last earlier look."""
    names = [name for name in panel.looks[-1].names if name in panel.looks[panel.recent - 1].names]
    found = []
    for name in names:
        told = panel.feature(name)
        what = _fault_of(told[: panel.recent], told[-1])
        if what is not None:
            found.append((name, *what, told))
    kinds = {fault for _, fault, _, _ in found}
    alarms = []
    for kind in sorted(kinds):
        own = [one for one in found if one[1] == kind]
        if kind == "scaled" and len(own) > max(1, _MANY * len(names)):
            continue
        alarms += [_of_feature(panel, *one) for one in own]
    return alarms


def _fault_of(before: Sequence[Floats], now: Floats) -> tuple[str, float] | None:
    """(fault, size) of a feature; None where it is whole."""
    if not len(now) or not len(before[-1]):
        return None
    nulls = [float(np.isnan(one).mean()) for one in (*before, now)]
    if nulls[-1] - max(nulls[:-1]) >= _NULLS:
        return "missing", nulls[-1] - nulls[-2]
    held = [one[~np.isnan(one)] for one in (*before[-2:], now)]
    if min(len(held[-1]), len(held[-2])) < _FEWEST:
        return None
    if np.ptp(held[-1]) == 0 and all(_varied(one) for one in held[:-1] if len(one)):
        return "constant", float(held[-1][0])
    shift = _scale(held[-2], held[-1])
    if shift is None:
        return None
    if len(held) > 2 and len(held[0]) >= _FEWEST:
        earlier = _scale(held[0], held[1])
        if earlier is not None and earlier * shift > 0:
            return None  # it was on its way before
    return "scaled", math.exp(shift)


def _varied(values: Floats) -> bool:
    """Whether customers differ, a tenth of them at least."""
    _, counts = np.unique(values, return_counts=True)
    return bool(counts.max() < 0.9 * len(values))


def _scale(before: Floats, now: Floats) -> float | None:
    """Logarithm of the factor that all quantiles share; None where there is none."""
    positive = [one[one > 0] for one in (before, now)]
    if min(len(one) for one in positive) < _FEWEST:
        return None
    middle = [math.log(float(np.median(one))) for one in positive]
    if abs(middle[1] - middle[0]) < _SCALED - _ALIKE:
        return None
    logs = [np.log(np.quantile(one, _QUANTILES)) for one in positive]
    if np.ptp(logs[0]) < _ALIKE:
        return None  # nearly one value: no quantiles to speak of
    moved = logs[1] - logs[0]
    shift = float(np.median(moved))
    if abs(shift) < _SCALED or float(np.ptp(moved)) > 2 * _ALIKE:
        return None
    return shift


def _of_feature(panel: Panel, name: str, fault: str, size: float, told: Sequence[Floats]) -> Alarm:
    last = panel.looks[panel.recent - 1]
    return Alarm(
        BROKEN, name, size, {"missing": "share", "constant": "value", "scaled": "factor"}[fault],
        _P_VALUE, len(told[-1]), last.moment, (name,), None,
        {"fault": fault, "histogram": histogram(told[panel.recent - 1], told[-1])},
    )  # fmt: skip


def _alarm(one: Fault) -> Alarm:
    since = from_us(one.start * DAY_US)
    unit = "share" if one.fault in ("missing", "shifted") else "factor"
    series = [
        {"moment": iso(from_us(day * DAY_US)), "value": _finite(value), "expected": _finite(usual)}
        for day, value, usual in one.series
    ]
    return Alarm(
        BROKEN, one.what, one.factor, unit, _P_VALUE, one.visitors, since, (), None,
        {"fault": one.fault, "until": iso(since + timedelta(days=one.end - one.start)),
         "events": one.events, "series": series},
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
