"""The section with the map of customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shoal.report.document_reasons import CustomerMap
from shoal.report.draw import Cloud, scatter
from shoal.report.names import clean, clipped
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: Segments that have a colour of their own, those that bring most; where there is one more, so has
#: that.
_COLOURS: Final = 6


@dataclass(frozen=True)
class MapView:
    """What the template shows."""

    lead: str
    plot: Plot


def customer_map(teller: Teller, found: CustomerMap | None) -> MapView | None:
    """The section; None for segments that no map was made of, such as those of rules."""
    document, texts = teller.wording.document, teller.wording.texts
    if found is None or found.flat or not document.segments:
        return None
    key = "map.lead_one" if len(document.segments) == 1 else "map.lead"
    lead = texts("punct.between").join((texts(key), _sample(teller, found)))
    return MapView(lead, _plot(teller, found))


def _sample(teller: Teller, found: CustomerMap) -> str:
    """How the customers that are drawn were taken."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    customers = teller.customers(len(found.points))
    if not found.sampled:
        return texts("map.all", customers=customers)
    placed = numbers.count(teller.wording.document.placed)
    if not found.floor:
        return texts("map.sampled_plain", customers=customers, placed=placed)
    return texts(
        "map.sampled", customers=customers, placed=placed, floor=numbers.count(found.floor)
    )


def _plot(teller: Teller, found: CustomerMap) -> Plot:
    document, texts = teller.wording.document, teller.wording.texts
    numbers = teller.wording.numbers
    drawn: dict[str, list[tuple[float, float]]] = {}
    for x, y, name in found.points:
        drawn.setdefault(name, []).append((x, y))
    told = len(document.segments) if len(document.segments) <= _COLOURS + 1 else _COLOURS
    clouds = [
        Cloud(
            f"{clean(one.segment_id, 12)} {clean(one.name, 60)}" if place < told
            else texts("map.others"),
            drawn.get(one.segment_id, ()),
            clean(one.segment_id, 12) if place < told else "",
            told=place < told,
        )
        for place, one in enumerate(document.segments)
    ]  # fmt: skip
    alt = texts(
        "map.alt",
        customers=teller.customers(len(found.points)),
        segments=texts.counted(
            "segment", len(document.segments), numbers.count(len(document.segments))
        ),
    )
    rows = [
        [
            f"{clean(one.segment_id, 12)} {clipped(one.name)}", numbers.count(one.customers),
            numbers.count(len(drawn.get(one.segment_id, ()))),
        ]
        for one in document.segments
    ]  # fmt: skip
    columns = [texts("col.segment"), texts("col.customers"), texts("map.drawn")]
    links = [teller.segments[one.segment_id][1] for one in document.segments]
    return Plot(
        key="map",
        title=texts("map.figure"),
        drawing=scatter(clouds, alt),
        table=Table(columns, rows, links=links),
        wide=True,
    )
