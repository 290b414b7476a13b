"""The sections on the data and on how the report was made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shoal.report.names import clean
from shoal.report.numbers import MISSING
from shoal.report.views import Made, RowsView, Table
from shoal.report.wording import Wording


def local(wording: Wording, moment: datetime) -> datetime:
    """The moment in the shop's time zone."""
    return moment.astimezone(ZoneInfo(wording.document.provenance.time_zone))


def data(wording: Wording) -> RowsView:
    """What became of every row that was read."""
    found = wording.document.rows
    reasons = _reasons(wording) if found.reasons else None
    return RowsView(_files(wording), _rows(wording), reasons, _guests(wording))


def made(wording: Wording) -> Made:
    """How the report was made, enough to make it again."""
    return Made(_facts(wording), _parameters(wording))


def _parameters(wording: Wording) -> list[tuple[str, str]]:
    """Every parameter of the segmentation, by name."""
    known = wording.document.provenance.parameters
    return [(clean(str(name), 80), clean(_shown(known[name]), 300)) for name in sorted(known)]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _rows(wording: Wording) -> Table:
    rows, texts, numbers = wording.document.rows, wording.texts, wording.numbers
    lines = [
        [texts(f"data.{what}"), numbers.count(count), numbers.share(count / (rows.read or 1))]
        for what, count in (
            ("stored", rows.stored),
            *((("withdrawn", rows.withdrawn),) if rows.withdrawn else ()),
            ("duplicate", rows.duplicate),
            ("conflicting", rows.conflicting),
            ("quarantined", rows.quarantined),
            ("skipped", rows.skipped),
            ("read", rows.read),
        )
    ]
    columns = [texts("data.col.outcome"), texts("data.col.rows"), texts("data.col.share")]
    return Table(columns, lines)


def _files(wording: Wording) -> str:
    files = wording.document.rows.files
    if not files:
        return ""
    shown = wording.texts.counted("file", files, wording.numbers.count(files))
    return wording.texts("data.files", files=shown)


def _reasons(wording: Wording) -> Table:
    rows, texts, numbers = wording.document.rows, wording.texts, wording.numbers
    lines = []
    for code, count in sorted(rows.reasons.items(), key=lambda pair: (-pair[1], pair[0])):
        key = f"reason.{code}"
        meaning = texts(key) if texts.known(key) else texts("reason.other")
        lines.append([clean(code), meaning, numbers.count(count)])
    columns = [texts("data.col.reason"), texts("data.col.meaning"), texts("data.col.rows")]
    return Table(columns, lines, text_columns=frozenset({0, 1}))


def _guests(wording: Wording) -> str:
    guests = wording.document.guest_events
    if not guests:
        return ""
    events = wording.texts.counted("event", guests, wording.numbers.count(guests))
    return wording.texts("data.guests", events=events)


def _facts(wording: Wording) -> list[tuple[str, str]]:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    made = document.provenance
    zone = f" ({made.time_zone})"
    currency = document.currency
    if not document.has_money:
        currency = texts("made.currency_none")
    elif not currency:
        currency = texts("made.currency_unknown")
    facts = [
        (texts("made.version"), made.shoal_version),
        (texts("made.at"), numbers.moment(made.made_at.astimezone(UTC)) + " UTC"),
        (
            texts("made.period"),
            f"{numbers.day(document.first)} – {numbers.day(document.last)}",
        ),
        (texts("made.as_of"), numbers.moment(local(wording, made.as_of)) + zone),
        *_compared(wording, zone),
        (texts("made.zone"), made.time_zone),
        (texts("made.currency"), currency),
        (texts("made.value_event"), clean(document.value_event)),
        (texts("made.table"), numbers.count(made.table_version)),
        (texts("made.catalog"), made.catalog_fingerprint or MISSING),
    ]
    for identity, title in made.segmentations:
        facts.append((clean(title, 80), clean(identity, 80)))
    return [*facts, (texts("made.seed"), MISSING if made.seed is None else str(made.seed))]


def _compared(wording: Wording, zone: str) -> list[tuple[str, str]]:
    """The comparison date, and who chose it."""
    moves = wording.document.story.moves
    if moves is None:
        return []
    day = wording.numbers.moment(local(wording, moves.since)) + zone
    key = "made.since_told" if moves.told else "made.since_chosen"
    return [(wording.texts("made.since"), wording.texts(key, day=day))]
