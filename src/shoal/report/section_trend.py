"""What today's members of one segment did over time."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.report import figures
from shoal.report.document import Period, Segment
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table


def trend(
    teller: Teller, segment: Segment, periods: Sequence[Period], key: str
) -> Plot | None:  # fmt: skip
    """Active members and what they brought, period by period; None for a single period."""
    wording = teller.wording
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    if len(periods) < 2:
        return None
    worth = [
        (one.revenue or 0.0) if document.has_money else float(one.orders) for one in periods
    ]  # fmt: skip
    panels = [
        (texts("activity.customers"), [float(one.customers) for one in periods]),
        (teller.worth_title(), worth),
    ]
    best = max(range(len(worth)), key=worth.__getitem__)
    days = texts.counted("day", document.days_per_period, numbers.count(document.days_per_period))
    rows = [
        [numbers.day(one.start), numbers.count(one.customers), numbers.count(value)]
        for one, value in zip(periods, worth, strict=True)
    ]
    alt = texts(
        "profile.trend_alt",
        name=wording.name(segment),
        what=panels[1][0],
        last=numbers.count(worth[-1]),
        peak=numbers.count(worth[best]),
        day=numbers.day(periods[best].start),
    )
    return Plot(
        key=key,
        title=texts("profile.trend"),
        drawing=figures.activity(periods, panels, alt, numbers),
        table=Table([texts("col.from"), *(name for name, _ in panels)], rows),
        note=texts("profile.trend_note", days=days),
    )
