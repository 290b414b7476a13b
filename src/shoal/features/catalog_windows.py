"""Behaviour of the last local days: sessions, the windows of 7, 28 and 90 days, and trends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import ibis
from ibis import Deferred, _

from shoal.domain.text import Text
from shoal.domain.time import SECOND_US
from shoal.features.algebra import (
    LONGEST_WINDOW_DAYS,
    Feature,
    Summary,
    currency,
    ratio,
    total,
    within,
)
from shoal.features.catalog_behaviour import MONEY_KNOWN

WINDOWS_DAYS: Final = (7, 28, 90)
_MINUTE_US: Final = 60 * SECOND_US


@dataclass(frozen=True)
class _Measure:
    """Something counted in windows: column `value` of the grain's rows."""

    name: str
    grain: str
    value: Deferred | int
    unit: str
    en: str
    zh: str
    money: bool = False


_MEASURES: Final = (
    _Measure("events", "session", _.n, "events", "events", "事件数"),
    _Measure("views", "session", _.views, "events", "views of items", "浏览次数"),
    _Measure("searches", "session", _.searches, "events", "searches", "搜索次数"),
    _Measure("cart_adds", "session", _.carts, "events", "cart additions", "加购次数"),
    _Measure("orders", "order", 1, "orders", "orders", "下单次数"),
    _Measure("spend", "session", _.net, "currency", "net revenue", "净消费额", money=True),
)

#: (last days, the days before them it is compared with)
_TRENDS_DAYS: Final = ((7, 21), (28, 62))


def _column(measure: _Measure, window: int) -> str:
    return f"{measure.name}_in_{window}d"


def _sums() -> Iterator[Summary]:
    spans = {*WINDOWS_DAYS, *(last + before for last, before in _TRENDS_DAYS)}
    for measure in _MEASURES:
        for span in sorted(spans):
            yield Summary(
                _column(measure, span), measure.grain, total(measure.value, where=within(span))
            )


_RECENT: Final = within(LONGEST_WINDOW_DAYS)

SUMMARIES: Final = (
    *_sums(),
    Summary("sessions_90d", "session", total(1, where=_RECENT)),
    Summary("session_us_90d", "session", total(_.last_us - _.first_us, where=_RECENT)),
    Summary("session_depth_max_90d", "session", _.n.max(where=_RECENT), default=None),
    Summary("buying_sessions_90d", "session", total(1, where=_RECENT & (_.bought > 0))),
    Summary("active_days_90d", "day", total(1, where=_RECENT)),
)


def _windowed(measure: _Measure, window: int) -> Feature:
    value = _[_column(measure, window)]
    if measure.money:
        value = ibis.ifelse(MONEY_KNOWN, currency(value), ibis.null("float64"))
    return Feature(
        name=f"{measure.name}_{window}d",
        group="behaviour",
        unit=measure.unit,
        window=f"{window} days",
        formula=f"{measure.name} of the last {window} local days, today included",
        sentence=Text(
            f"{measure.en.capitalize()} in the last {window} days.",
            f"最近 {window} 天的{measure.zh}。",
        ),
        finish=value,
        type="number" if measure.money else "count",
    )


def _trend(measure: _Measure, last: int, before: int) -> Feature:
    recent = _[_column(measure, last)]
    earlier = _[_column(measure, last + before)] - recent
    # rates a day, on a common denominator so that integers stay exact until the one division
    a, b = recent * before, earlier * last
    if measure.money:  # a refund can make a rate negative; -1 and 1 remain the ends
        a, b = ibis.greatest(a, 0), ibis.greatest(b, 0)
    return Feature(
        name=f"{measure.name}_trend_{last}d",
        group="behaviour",
        unit="-1 to 1",
        window=f"{last + before} days",
        formula=f"(a - b) / (a + b) with a = {measure.name} a day in the last {last} days, "
        f"b = in the {before} days before{', each at least 0' if measure.money else ''}",
        sentence=Text(
            f"{measure.en.capitalize()} of the last {last} days against the {before} days before: "
            "1 only now, 0 as before, -1 no longer.",
            f"最近 {last} 天与之前 {before} 天的{measure.zh}对比：1 仅在近期，0 持平，-1 已停止。",
        ),
        finish=ratio(a - b, a + b),
    )


def _session(
    name: str, unit: str, formula: str, en: str, zh: str, finish: Deferred, *, count: bool = False
) -> Feature:
    return Feature(
        name, "behaviour", unit, "90 days", formula, Text(en, zh), finish,
        "count" if count else "number",
    )  # fmt: skip


FEATURES: Final = (
    _session(
        "sessions_90d", "visits", "distinct (local day, session id or none)",
        "Visits in the last 90 days; without session ids a day is a visit.",
        "最近 90 天的访问次数；无会话标识时每天计一次。", _.sessions_90d, count=True,
    ),
    _session(
        "active_days_90d", "days", "distinct local days with an event",
        "Days with an event in the last 90 days.", "最近 90 天有事件的天数。",
        _.active_days_90d, count=True,
    ),
    _session(
        "session_minutes_90d", "minutes", "mean of last - first event of a visit",
        "Mean length of a visit.", "平均访问时长（分钟）。",
        ratio(_.session_us_90d, _.sessions_90d) / _MINUTE_US,
    ),
    _session(
        "session_depth_90d", "events", "events / visits", "Events in a visit.",
        "平均每次访问的事件数。", ratio(_.events_in_90d, _.sessions_90d),
    ),
    _session(
        "session_depth_max_90d", "events", "most events of a visit",
        "Events in the deepest visit.", "单次访问的最多事件数。",
        _.session_depth_max_90d, count=True,
    ),
    _session(
        "buying_session_share_90d", "share", "visits with a value event / visits",
        "Share of visits that ended in a purchase.", "产生购买的访问比例。",
        ratio(_.buying_sessions_90d, _.sessions_90d),
    ),
    *(_windowed(measure, window) for measure in _MEASURES for window in WINDOWS_DAYS),
    *(_trend(measure, *spans) for measure in _MEASURES for spans in _TRENDS_DAYS),
)  # fmt: skip
