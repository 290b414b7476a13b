"""The comparison of any two segments: the reader picks them, a few lines of script fill the table.

Without the script the table shows the two largest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from shoal.report.document import Preference, Segment
from shoal.report.draw import Drawing, strip
from shoal.report.draw.strip import places
from shoal.report.names import clean, clipped
from shoal.report.numbers import MISSING
from shoal.report.wording import Wording

#: Features that the sentence names, and those that the table shows.
_NAMED: Final = 3
_SHOWN: Final = 12


@dataclass(frozen=True)
class Row:
    """One thing compared: its printed values for the two chosen, and all values on a line.

    The least different features are hidden until other segments are picked.
    """

    label: str
    shown: tuple[str, str]
    strip: Drawing | None
    hidden: bool = False


@dataclass(frozen=True)
class PairView:
    """What the template shows; `data` is the JSON that the script picks from."""

    names: Sequence[str]
    first: int
    second: int
    widest: str
    rows: Sequence[Row]
    data: Markup


@dataclass(frozen=True)
class _Measure:
    """One thing of all segments; `sizes` rank features by how far apart two segments are."""

    label: str
    shown: Sequence[str]
    values: Sequence[float | None] = ()
    sizes: Sequence[float] = ()


def pair(wording: Wording) -> PairView:
    """The section of a document with two segments or more."""
    segments = wording.document.segments
    ranked = sorted(range(len(segments)), key=lambda place: -segments[place].customers)
    first, second = ranked[0], ranked[1]
    measures = _measures(wording)
    fixed = [one for one in measures if not one.sizes]
    features = sorted(
        (one for one in measures if one.sizes),
        key=lambda one: -abs(one.sizes[first] - one.sizes[second]),
    )
    rows = [
        Row(
            clipped(one.label, 90),
            (one.shown[first], one.shown[second]),
            strip(one.values, first, second) if one.values else None,
            hidden=place >= len(fixed) + _SHOWN,
        )
        for place, one in enumerate((*fixed, *features))
    ]
    names = [clean(one.name, 80) for one in segments]
    named = [clean(one.label, 90) for one in features[:_NAMED]]
    widest = _widest(wording, names[first], names[second], named) if named else ""
    data = _data(wording, names, [*fixed, *features])
    return PairView(names, first, second, widest, rows, data)


def _widest(wording: Wording, first: str, second: str, named: Sequence[str]) -> str:
    texts = wording.texts
    return texts(
        "pair.widest",
        first=texts("punct.quote", text=first),
        second=texts("punct.quote", text=second),
        features=texts("list.semicolon").join(named),
    )


def _data(wording: Wording, names: Sequence[str], measures: Sequence[_Measure]) -> Markup:
    """What the script needs, as JSON that no text in it can end or break out of."""
    texts = wording.texts
    rows: list[dict[str, Any]] = []
    for one in measures:
        row: dict[str, Any] = {"shown": list(one.shown)}
        if one.values:
            row["at"] = [
                None if place is None else round(100 * place, 2) for place in places(one.values)
            ]
        if one.sizes:
            row["label"] = clean(one.label, 90)
            row["sizes"] = [round(size, 3) for size in one.sizes]
        rows.append(row)
    slots = {name: "{" + name + "}" for name in ("first", "second", "features")}
    document = {
        "names": [texts("punct.quote", text=name) for name in names],
        "rows": rows,
        "widest": texts("pair.widest", **slots),
        "comma": texts("list.semicolon"),
        "named": _NAMED,
        "shown": _SHOWN,
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _measures(wording: Wording) -> list[_Measure]:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    segments = document.segments
    counts = [float(one.customers) for one in segments]
    crowd = [wording.crowd(one) for one in segments]
    worth = [wording.worth(one) for one in segments]
    found = [
        _Measure(texts("col.customers"), [numbers.count(one) for one in counts], counts),
        _Measure(texts("col.customer_share"), [numbers.share(one) for one in crowd], crowd),
        _Measure(
            texts("col.value_share", what=wording.what()),
            [numbers.share(one) for one in worth],
            worth,
        ),
        _each(wording, segments),
    ]
    for key, attribute in (("col.category", "categories"), ("col.brand", "brands")):
        if any(getattr(one, attribute) for one in segments):
            shown = [_first(wording, getattr(one, attribute)) for one in segments]
            found.append(_Measure(texts("pair.first", what=texts(key)), shown))
    for feature in document.story.features:
        values = [feature.values.get(one.segment_id) for one in segments]
        found.append(
            _Measure(
                feature.label,
                [wording.value(feature.unit, value) for value in values],
                values,
                [feature.sizes.get(one.segment_id, 0.0) for one in segments],
            )
        )
    return found


def _each(wording: Wording, segments: Sequence[Segment]) -> _Measure:
    """Revenue, or orders, of a customer."""
    texts, numbers = wording.texts, wording.numbers
    if wording.document.has_money:
        values = [(one.revenue or 0.0) / one.customers if one.customers else None
                  for one in segments]  # fmt: skip
        shown = [numbers.money(value) for value in values]
        return _Measure(texts("col.revenue_per_customer"), shown, values)
    values = [one.orders / one.customers if one.customers else None for one in segments]
    label = (
        f"{wording.value_events_title()}{texts('punct.colon')}{texts('col.orders_per_customer')}"
    )
    return _Measure(label, [numbers.plain(value) for value in values], values)


def _first(wording: Wording, preferences: Sequence[Preference]) -> str:
    if not preferences:
        return MISSING
    one = preferences[0]
    return f"{clean(one.label, 60)} ({wording.numbers.share(one.inside)})"
