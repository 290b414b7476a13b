"""The section on what changed of late: who moved, what was noticed, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from shoal.domain.time import parse_moment
from shoal.report.draw import Band, Panel, Series, columns, date_ticks, lines
from shoal.report.movement_text import MovementWords
from shoal.report.names import clean, clipped
from shoal.report.numbers import MISSING
from shoal.report.views import Plot, Table
from shoal.report.wording import Wording

#: Flows, customers and looks that the tables hold, and alarms that are drawn.
_ROWS: Final = 12
_FIRST: Final = 10
_LOOKS: Final = 12
_DRAWN: Final = 6

Document = Mapping[str, Any]


@dataclass(frozen=True)
class AlarmView:
    """An alarm in a sentence, and drawn where it carries figures."""

    sentence: str
    plot: Plot | None


@dataclass(frozen=True)
class WeekView:
    """What the template shows."""

    lead: str
    sentences: Sequence[str]
    flows: Table | None
    why: Sequence[str]
    noticed: Sequence[str]
    alarms: Sequence[AlarmView]
    looks: Table | None
    first: Table | None
    notes: Sequence[str]


def week(wording: Wording, document: Document | None) -> WeekView | None:
    """The section; None where memberships are recorded of one moment alone."""
    if document is None:
        return None
    told = MovementWords(document, wording.texts, wording.numbers)
    causes, changes = told.causes(), told.changes()
    semicolon = wording.texts("list.semicolon")
    why = [wording.texts("week.causes", causes=semicolon.join(causes))] if causes else []
    if changes:
        why.append(wording.texts("week.changes", causes=semicolon.join(changes)))
    alarms = told.alarms
    return WeekView(
        lead=told.head,
        sentences=[told.moved, *told.stakes()],
        flows=_flows(told),
        why=[*why, *told.became()],
        noticed=[*([] if alarms else told.noticed()), *told.done()],
        alarms=[
            AlarmView(told.alarm(one), _plot(told, one, place) if place < _DRAWN else None)
            for place, one in enumerate(alarms)
        ],
        looks=_looks(told),
        first=_first(told),
        notes=told.notes(),
    )


# --- Tables ---------------------------------------------------------------------------------------


def _flows(told: MovementWords) -> Table | None:
    """Moves between segments by cause, most first."""
    texts, document = told.texts, told.document
    flows = [one for one in document["flows"] if "new" not in (one["from"], one["to"])]
    if not flows:
        return None
    rows = [
        [
            clipped(told.name(one["from"])), clipped(told.name(one["to"])),
            texts(f"logged.cause.{one['cause']}"), texts(f"week.direction.{one['direction']}"),
            told.numbers.count(one["customers"]),
        ]
        for one in flows[:_ROWS]
    ]  # fmt: skip
    rest = sum(one["customers"] for one in flows[_ROWS:])
    if rest:
        rows.append([texts("moves.rest"), "", "", "", told.numbers.count(rest)])
    headings = [
        texts("moves.from"), texts("moves.to"), texts("week.col.cause"),
        texts("week.col.direction"), texts("col.customers"),
    ]  # fmt: skip
    return Table(headings, rows, text_columns=frozenset({0, 1, 2, 3}))


def _looks(told: MovementWords) -> Table | None:
    """Looks of the period with what was decided and why, the latest first."""
    texts, numbers = told.texts, told.numbers
    rows = [
        [
            clean(look["look"], 40), told.day(look["moment"]), clipped(told.outcome(look, one)),
            clean(told.why(look, one) or MISSING, 200), numbers.count(len(look["alarms"])),
            numbers.share(one["gain"]) if one["gain"] else MISSING,
        ]
        for look in reversed(told.document["looks"])
        for one in look["adjustments"]
    ]  # fmt: skip
    if not rows:
        return None
    headings = [
        texts("week.col.look"), texts("week.col.moment"), texts("week.col.done"),
        texts("week.col.reason"), texts("week.col.alarms"), texts("week.col.gain"),
    ]  # fmt: skip
    return Table(headings, rows[:_LOOKS], text_columns=frozenset({0, 1, 2, 3}))


def _first(told: MovementWords) -> Table | None:
    """Customers who went down, those who brought most first."""
    texts, numbers = told.texts, told.numbers
    rows = [
        [
            clipped(one["customer_id"], 40), clipped(told.name(one["from"])),
            clipped(told.name(one["to"])), texts(f"logged.cause.{one['cause']}"),
            numbers.money(one["brought"]), numbers.money(one["expected"]),
        ]
        for one in told.document["first"][:_FIRST]
    ]  # fmt: skip
    if not rows:
        return None
    headings = [
        texts("week.col.customer"), texts("moves.from"), texts("moves.to"), texts("week.col.cause"),
        texts("week.col.brought"), texts("week.col.expected", days=told.horizon),
    ]  # fmt: skip
    return Table(headings, rows, text_columns=frozenset({0, 1, 2, 3}))


# --- Alarms ---------------------------------------------------------------------------------------


def _plot(told: MovementWords, alarm: Document, place: int) -> Plot | None:
    """The series of an alarm against what was usual, or its values before and now."""
    evidence = alarm["evidence"]
    if evidence.get("series"):
        return _series(told, alarm, evidence["series"], place)
    if (evidence.get("histogram") or {}).get("edges"):
        return _histogram(told, alarm, evidence["histogram"], place)
    return None


def _series(
    told: MovementWords, alarm: Document, series: Sequence[Document], place: int
) -> Plot | None:
    points = [one for one in series if one.get("value") is not None]
    if len(points) < 2:
        return None
    texts, numbers = told.texts, told.numbers
    what, since = told.alarm_words(alarm), parse_moment(alarm["since"])
    moments = [parse_moment(one["moment"]) for one in points]
    xs = [_at(one) for one in moments]
    values = [float(one["value"]) for one in points]
    band = [
        [one.get(edge, one.get("expected")) for one in points] for edge in ("low", "high")
    ]  # fmt: skip
    days = [told.day(one) for one in moments]
    own = Series(what, values, [numbers.plain(value) for value in values])
    expected = [one.get("expected") for one in points]
    usual = Series(texts("week.usual"), expected, [numbers.plain(one) for one in expected])
    told_as_line = any(one is not None for one in expected)
    begun = Band(min(max(_at(since), xs[0]), xs[-1]), xs[-1],
                 texts("week.since_band", day=told.day(since)))  # fmt: skip
    panel = Panel(
        "", [own, usual] if told_as_line else [own], numbers.plain, [begun], names=days,
        usual=None if told_as_line else (band[0], band[1]), from_zero=told_as_line,
    )  # fmt: skip
    known = [value for edge in band for value in edge if value is not None]
    alt = texts(
        "week.alarm_alt", what=what, first=days[0], last=days[-1], day=told.day(since),
        low=numbers.plain(min(known, default=None)), high=numbers.plain(max(known, default=None)),
    )  # fmt: skip
    rows = [
        [day, numbers.plain(value), numbers.plain(low), numbers.plain(high)]
        for day, value, low, high in zip(days, values, *band, strict=True)
    ]
    headings = [
        texts("week.col.moment"), texts("week.col.value"), texts("week.col.low"),
        texts("week.col.high"),
    ]  # fmt: skip
    return Plot(
        key=f"alarm-{place}",
        title=texts("week.alarm_title", what=what, day=told.day(since)),
        drawing=lines(
            xs, [panel], alt, ticks=date_ticks([one.date() for one in moments], 6), height=130,
        ),
        table=Table(headings, rows),
        note=texts("week.alarm_line" if told_as_line else "week.alarm_note"),
        wide=True,
    )  # fmt: skip


def _histogram(told: MovementWords, alarm: Document, found: Document, place: int) -> Plot:
    texts, numbers = told.texts, told.numbers
    what, day = told.alarm_words(alarm), told.day(alarm["since"])
    labels = [numbers.plain((low + high) / 2) for low, high in pairwise(found["edges"])]
    now, before = (
        Series(texts(f"week.{name}"), found[name], [numbers.share(one) for one in found[name]])
        for name in ("now", "before")
    )
    rows = [
        [label, numbers.share(was), numbers.share(has)]
        for label, was, has in zip(labels, found["before"], found["now"], strict=True)
    ]
    missing = found["missing"]
    rows.append([texts("week.missing"), numbers.share(missing[0]), numbers.share(missing[1])])
    alt = texts(
        "week.histogram_alt", what=what, day=day, before=numbers.share(missing[0]),
        now=numbers.share(missing[1]),
    )  # fmt: skip
    return Plot(
        key=f"alarm-{place}",
        title=texts("week.alarm_title", what=what, day=day),
        drawing=columns(labels, [now, before], alt, tick=numbers.short_share),
        table=Table([texts("week.col.value"), texts("week.before"), texts("week.now")], rows),
        note=texts("week.histogram_note", before=numbers.share(missing[0]),
                   now=numbers.share(missing[1])),
        wide=True,
    )  # fmt: skip


def _at(moment: datetime) -> float:
    """A moment on an axis of days."""
    return moment.toordinal() + (moment.hour * 3600 + moment.minute * 60 + moment.second) / 86_400
