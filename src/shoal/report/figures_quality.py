"""The figure of the quality section: events over time by source, gaps marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from shoal.domain.quality import Finding, SourceFacts
from shoal.report.draw import Band, Drawing, Panel, Series, date_ticks, lines
from shoal.report.numbers import Numbers

#: Longer histories are drawn by weeks.
_BY_DAY: Final = 800
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class SourcePanel:
    """One source: its name, points (first day of each, events) and gaps (from, to)."""

    name: str
    days: Sequence[date]
    counts: Sequence[int]
    gaps: Sequence[tuple[datetime, datetime]]


def panel(facts: SourceFacts, name: str, gaps: Sequence[Finding], end: datetime) -> SourcePanel:
    """A source's panel; what has no end yet ends with the shop."""
    width = 1 if len(facts.daily) <= _BY_DAY else 7
    counts = list(facts.daily)
    if width > 1:  # the last week may be short: it would look like a fall
        whole = len(counts) // width * width
        counts = [sum(counts[at : at + width]) for at in range(0, whole, width)]
    days = [
        _EPOCH + timedelta(days=facts.first_day + place * width) for place in range(len(counts))
    ]
    spans = [
        (one.since, one.until if isinstance(one.until, datetime) else end)
        for one in gaps
        if isinstance(one.since, datetime)
    ]
    return SourcePanel(name, days, counts, spans)


def sources(panels: Sequence[SourcePanel], alt: str, numbers: Numbers) -> Drawing:
    """Line charts above each other over one time axis, a panel each; gaps are bands."""
    days = sorted({day for one in panels for day in one.days})
    return lines(
        [float(day.toordinal()) for day in days],
        [_lines(one, numbers) for one in panels],
        alt,
        ticks=date_ticks(days, 6),
        height=76,
    )


def _lines(one: SourcePanel, numbers: Numbers) -> Panel:
    bands = [
        Band(_place(start), _place(end), f"{numbers.moment(start)} – {numbers.moment(end)}")
        for start, end in one.gaps
    ]
    return Panel(
        one.name,
        [Series(one.name, one.counts, [numbers.count(count) for count in one.counts])],
        numbers.short_count,
        bands,
        [_place(day) for day in one.days],
        [numbers.day(day) for day in one.days],
    )


def _place(moment: date) -> float:
    """A day or a moment on an axis of days."""
    seconds = 0
    if isinstance(moment, datetime):
        seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return moment.toordinal() + seconds / 86_400
