"""The sections on the shop as a whole: the RFM grid and activity over time."""

from __future__ import annotations

from shoal.report import figures
from shoal.report.document import Grid
from shoal.report.names import clipped
from shoal.report.numbers import MISSING
from shoal.report.views import Activity, GridView, Plot, Table
from shoal.report.wording import Wording


def grid(wording: Wording) -> GridView:
    """The RFM grid, or a view that says that there is none."""
    document = wording.document
    found = document.grid
    lead = wording.texts("grid.lead_money" if document.has_money else "grid.lead_orders")
    if found is None:
        return GridView(lead)
    return GridView(
        lead,
        _grid_plots(wording, found),
        _grid_table(wording, found),
        _grid_bounds(wording, found),
    )


def _grid_plots(wording: Wording, grid: Grid) -> list[Plot]:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    if not grid.cells:
        return []
    vertical = texts("grid.frequency_money" if document.has_money else "grid.frequency_orders")
    counts = [float(cell.customers) for cell in grid.cells]
    panels = [("customers", counts, [numbers.short_count(one) for one in counts], numbers.count)]
    if document.has_money:
        amounts = [cell.revenue or 0.0 for cell in grid.cells]
        # The currency stands in the title, not in 25 cells.
        panels.append(
            ("revenue", amounts, [numbers.short_count(one) for one in amounts], numbers.money)
        )
    plots = []
    for what, values, shown, exact in panels:
        best = max(range(len(values)), key=values.__getitem__)
        alt = texts(
            f"grid.{what}_alt",
            n=exact(values[best]),
            r=grid.cells[best].recency,
            f=grid.cells[best].frequency,
        )
        unit = f" ({document.currency})" if what == "revenue" and document.currency else ""
        table = Table(
            [texts("col.recency"), vertical, texts("col.segment"), texts(f"grid.{what}")],
            [
                [str(cell.recency), str(cell.frequency), clipped(cell.name), exact(value)]
                for cell, value in zip(grid.cells, values, strict=True)
            ],
            text_columns=frozenset({2}),
        )
        plots.append(
            Plot(
                key=f"grid-{what}",
                title=texts(f"grid.{what}") + unit,
                drawing=figures.grid(grid, values, shown, vertical, alt, texts),
                table=table,
            )
        )
    return plots


def _grid_bounds(wording: Wording, grid: Grid) -> list[str]:
    """What the scores cut at, a sentence each."""
    texts, numbers = wording.texts, wording.numbers
    said = []
    for key, bounds, shown in (
        ("recency", grid.recency_days, lambda days: numbers.plain(round(days, 1))),
        ("frequency", grid.frequency, numbers.plain),
        ("spend", grid.spend, numbers.money),
    ):
        if bounds:
            listed = texts("list.comma").join(shown(bound) for bound in bounds)
            said.append(texts(f"grid.bounds_{key}", bounds=listed, what=wording.value_events()))
    return said


def _grid_table(wording: Wording, grid: Grid) -> Table | None:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    if not grid.segments:
        return None
    rows = []
    for one in grid.segments:
        worth = numbers.money(one.revenue) if document.has_money else numbers.count(one.orders)
        rows.append(
            [
                clipped(one.name, 60), clipped(one.rule, 200) if one.rule else MISSING,
                numbers.count(one.customers), numbers.share(wording.crowd(one)), worth,
                numbers.share(wording.worth(one)),
            ]
        )  # fmt: skip
    what = texts("col.revenue") if document.has_money else wording.value_events_title()
    columns = [
        texts("col.segment"), texts("grid.rule"), texts("col.customers"),
        texts("col.customer_share"), what, texts("col.value_share", what=wording.what()),
    ]  # fmt: skip
    return Table(columns, rows, text_columns=frozenset({0, 1}))


def activity(wording: Wording) -> Activity:
    """Customers, orders and revenue over time."""
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    days = texts.counted("day", document.days_per_period, numbers.count(document.days_per_period))
    lead = texts("activity.lead", days=days, last=numbers.day(document.last))
    return Activity(lead, _activity_plot(wording))


def _activity_plot(wording: Wording) -> Plot:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    periods = document.activity
    panels: list[tuple[str, list[float]]] = [
        (texts("activity.customers"), [float(one.customers) for one in periods]),
        (wording.value_events_title(), [float(one.orders) for one in periods]),
    ]
    if document.has_money:
        unit = f" ({document.currency})" if document.currency else ""
        panels.append((texts("activity.revenue") + unit, [one.revenue or 0.0 for one in periods]))
    title, values = panels[-1]
    best = max(range(len(values)), key=values.__getitem__)
    alt = texts(
        "activity.alt",
        what=title,
        peak=numbers.count(values[best]),
        day=numbers.day(periods[best].start),
    )
    rows = [
        [numbers.day(one.start), *(numbers.count(values[place]) for _, values in panels)]
        for place, one in enumerate(periods)
    ]
    return Plot(
        key="activity",
        title="",
        drawing=figures.activity(periods, panels, alt, numbers),
        table=Table([texts("col.from"), *(name for name, _ in panels)], rows),
    )
