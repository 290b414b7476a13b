"""The section with the main features of every segment at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.document_story import MainFeature
from shoal.report.draw import heat
from shoal.report.names import clean, clipped
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: The darkest colour: Sawilowsky's "huge" (2009); beyond it all look alike.
_REACH: Final = 2.0


@dataclass(frozen=True)
class HeatView:
    """What the template shows."""

    lead: str
    plot: Plot | None = None


def features(teller: Teller, found: Sequence[MainFeature]) -> HeatView | None:
    """The section; None where there is nothing to say."""
    if not found:
        why = teller.absent("features")
        return HeatView(why) if why else None
    return HeatView(teller.wording.texts("heat.lead"), _plot(teller, found))


def _plot(teller: Teller, found: Sequence[MainFeature]) -> Plot:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    segments = teller.wording.document.segments
    values = [[one.sizes.get(segment.segment_id) for segment in segments] for one in found]
    shown = [
        ["" if value is None else numbers.signed(round(value, 1) or 0.0, 1) for value in row]
        for row in values
    ]  # fmt: skip
    said = [
        [
            f"{clean(segment.name)}: {clean(one.label, 90)}, "
            f"{teller.wording.value(one.unit, one.values.get(segment.segment_id))}"
            for segment in segments
        ]
        for one in found
    ]
    size, label, name = max(
        (
            (one.sizes.get(segment.segment_id, 0.0), one.label, segment.segment_id)
            for one in found
            for segment in segments
        ),
        key=lambda each: abs(each[0]),
    )
    return Plot(
        key="features",
        title=texts("heat.figure"),
        drawing=heat(
            [one.label for one in found],
            [segment.name for segment in segments],
            values,
            shown,
            texts(
                "heat.alt", label=clean(label, 90), name=teller.quoted(name),
                size=numbers.signed(size),
            ),
            both_ways=True,
            reach=_REACH,
            said=said,
        ),
        table=_table(teller, found),
        note="",
        wide=True,
    )  # fmt: skip


def _table(teller: Teller, found: Sequence[MainFeature]) -> Table:
    texts, segments = teller.wording.texts, teller.wording.document.segments
    rows = [
        [
            clipped(one.label, 90) + (" *" if one.average else ""),
            *(
                teller.wording.value(one.unit, one.values.get(segment.segment_id))
                for segment in segments
            ),
        ]
        for one in found
    ]
    return Table([texts("heat.values"), *(clipped(one.name, 40) for one in segments)], rows)
