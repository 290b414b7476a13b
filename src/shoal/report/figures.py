"""The report's figures: pure functions from its data to drawings.

Blue is the thing spoken of, hollow grey what it is compared with, vermilion what lies below.
"""

from __future__ import annotations

from collections.abc import Sequence

from shoal.report.document import Effect, Grid, Period, Preference, ReportDocument, Segment
from shoal.report.document_reasons import Candidate, Choice, Tried
from shoal.report.draw import (
    Dot,
    Drawing,
    Panel,
    Series,
    bars,
    columns,
    date_ticks,
    diverging,
    dots,
    heat,
    lines,
)
from shoal.report.names import clean
from shoal.report.numbers import Numbers
from shoal.report.texts import Texts


def share_series(name: str, values: Sequence[float | None], numbers: Numbers) -> Series:
    """Values that are fractions of 1, printed as percentages."""
    return Series(name, values, [numbers.share(value) for value in values])


def shares(
    document: ReportDocument,
    segments: Sequence[Segment],
    value: str,
    alt: str,
    texts: Texts,
    numbers: Numbers,
) -> Drawing:
    """Two bars a segment: share of revenue (or of orders), share of all customers.

    Args:
        segments: those to draw, of the document.
        value: what the first bar shows, in words.
    """
    worth = [
        _part(one.revenue, document.revenue)
        if document.has_money
        else _part(one.orders, document.orders)
        for one in segments
    ]
    crowd = [_part(one.customers, document.customers) for one in segments]
    series = [
        share_series(value, worth, numbers),
        share_series(texts("series.customers"), crowd, numbers),
    ]
    return bars([one.name for one in segments], series, alt)


def preferences(items: Sequence[Preference], alt: str, texts: Texts, numbers: Numbers) -> Drawing:
    """Two bars a label: share of the segment's customers who choose it most, and of the others."""
    series = [share_series(texts("series.segment"), [item.inside for item in items], numbers)]
    if all(item.outside is not None for item in items):
        others = [item.outside for item in items]
        series.append(share_series(texts("col.outside"), others, numbers))
    return bars([item.label for item in items], series, alt)


def effects(items: Sequence[Effect], alt: str, texts: Texts, numbers: Numbers) -> Drawing:
    """One bar a feature: right of zero where the segment is higher, left where it is lower."""
    return diverging(
        [item.label for item in items],
        [item.size for item in items],
        [numbers.signed(item.size) for item in items],
        alt,
        whiskers=[
            None if item.low is None or item.high is None else (item.low, item.high)
            for item in items
        ],
        axis=texts("profile.effects_axis"),
    )


def hours(
    inside: Sequence[float],
    overall: Sequence[float],
    zone: str,
    alt: str,
    texts: Texts,
    numbers: Numbers,
) -> Drawing:
    """Share of events by hour of the day: the segment's line over all customers' line."""
    series = [
        share_series(texts("series.segment"), inside, numbers),
        share_series(texts("series.shop"), overall, numbers),
    ]
    return lines(
        range(24),
        [Panel("", series, numbers.short_share)],
        alt,
        ticks=[(hour, f"{hour}:00") for hour in (0, 6, 12, 18)],
        names=[f"{hour}:00" for hour in range(24)],
        axis=texts("profile.hours_axis", zone=clean(zone)),
        height=130,
    )


def weekdays(
    inside: Sequence[float], overall: Sequence[float], alt: str, texts: Texts, numbers: Numbers
) -> Drawing:
    """Share of events by day of the week: the segment's columns beside all customers'."""
    series = [
        share_series(texts("series.segment"), inside, numbers),
        share_series(texts("series.shop"), overall, numbers),
    ]
    names = [texts(f"weekday.short.{day}") for day in range(7)]
    return columns(names, series, alt, tick=numbers.short_share, height=130)


def grid(
    cells: Grid,
    values: Sequence[float],
    shown: Sequence[str],
    vertical: str,
    alt: str,
    texts: Texts,
) -> Drawing:
    """Heat map of one value over recency (across) and frequency (up, best on top).

    Args:
        values: of each cell of the grid, in its order; `shown` the same as texts.
        vertical: what goes up.
    """
    table: list[list[float | None]] = [[None] * 5 for _ in range(5)]
    printed = [[""] * 5 for _ in range(5)]
    said = [[""] * 5 for _ in range(5)]
    for cell, value, text in zip(cells.cells, values, shown, strict=True):
        row, column = 5 - cell.frequency, cell.recency - 1
        table[row][column] = value
        printed[row][column] = text
        said[row][column] = f"{clean(cell.name)}: {text}"
    return heat(
        [str(score) for score in range(5, 0, -1)],
        [str(score) for score in range(1, 6)],
        table,
        printed,
        alt,
        said=said,
        row_title=vertical,
        column_title=texts("grid.recency"),
    )


def activity(
    periods: Sequence[Period],
    panels: Sequence[tuple[str, Sequence[float]]],
    alt: str,
    numbers: Numbers,
) -> Drawing:
    """Small line charts above each other over one time axis, one a panel of (title, values)."""
    days = [period.start for period in periods]
    return lines(
        [float(day.toordinal()) for day in days],
        [
            Panel(
                title,
                [Series(title, values, [numbers.count(value) for value in values])],
                numbers.short_count,
            )
            for title, values in panels
        ],
        alt,
        ticks=date_ticks(days, 6),
        names=[numbers.day(day) for day in days],
    )


def choice(evidence: Choice, alt: str, texts: Texts, numbers: Numbers) -> Drawing:
    """Score of each number of segments tried, with its standard error; the chosen one is filled.

    Those that were left out are crosses.
    """
    foretold = evidence.rule == "next_period"
    points = [
        Dot(
            str(one.k),
            score,
            (one.spread or 0.0) if foretold else 0.0,
            one.eligible,
            texts("choice.chosen", k=one.k) if one.k == evidence.chosen else "",
            f"k = {one.k}: {score:.3f}",
        )
        for one in evidence.candidates
        if (score := one.score if foretold else one.stability) is not None
    ]
    tick = numbers.short_share if foretold and not evidence.relative else numbers.plain
    return dots(points, alt, tick=tick, axis=texts("choice.axis_k"))


def trust(known: Sequence[Candidate], alt: str, texts: Texts) -> Drawing:
    """Stability and prediction strength, 0 to 1, over the numbers of segments tried."""

    def series(key: str, values: Sequence[float | None]) -> Series:
        return Series(texts(key), values, ["" if one is None else f"{one:.3f}" for one in values])

    panel = Panel(
        "",
        [
            series("col.stability", [one.stability for one in known]),
            series("choice.strength", [one.strength for one in known]),
        ],
        lambda value: f"{value:.1f}",
    )
    step = 1 + (len(known) - 1) // 12
    return lines(
        [float(one.k) for one in known],
        [panel],
        alt,
        ticks=[(float(one.k), str(one.k)) for one in known[::step]],
        names=[f"k = {one.k}" for one in known],
        axis=texts("choice.axis_k"),
        height=200,
    )


def tried(
    found: Sequence[Tried], taken: int | None, alt: str, texts: Texts, numbers: Numbers
) -> Drawing:
    """Score of each number of styles, with its standard error; the taken one filled."""
    points = [
        Dot(
            str(one.styles),
            one.score,
            one.spread,
            mark=texts("choice.taken", styles=str(one.styles)) if one.styles == taken else "",
            said=f"{one.styles}: {one.score:.3f}",
        )
        for one in found
    ]
    return dots(points, alt, tick=numbers.plain, axis=texts("choice.axis_styles"))


def _part(value: float | None, whole: float | None) -> float:
    return (value or 0.0) / whole if whole else 0.0
