"""From a document to what the templates show: texts, tables and figures, section by section."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import plotly.graph_objects as go

from shoal.report import figures
from shoal.report.document import Candidate, Choice, Exemplar, Grid, Preference, Segment
from shoal.report.figures import clean
from shoal.report.numbers import MISSING, Numbers
from shoal.report.wording import Wording


@dataclass(frozen=True)
class Table:
    """A table of finished texts; `text_columns` are set flush left, the others are numbers.

    `links` holds an anchor for each row (or None), put on its first cell.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: frozenset[int] = frozenset({0})
    links: Sequence[str | None] = ()


@dataclass(frozen=True)
class Plot:
    """A figure with its title, its text alternative and its numbers."""

    key: str
    title: str
    figure: go.Figure
    alt: str
    table: Table
    note: str = ""

    @property
    def height(self) -> int:
        return int(self.figure.layout.height)


@dataclass(frozen=True)
class Profile:
    """One segment's section."""

    anchor: str
    segment_id: str
    name: str
    line: str
    apart: Sequence[tuple[str, str, str]]
    plots: Sequence[Plot]
    exemplars: Table | None


@dataclass(frozen=True)
class Tier:
    text: str
    value: str


@dataclass(frozen=True)
class Page:
    """Everything the page template needs; every string is plain text, escaped by the template."""

    title: str
    period: str
    made: str
    key_figures: Sequence[tuple[str, str]]
    findings: Sequence[str]
    segments_lead: str
    segments_plot: Plot | None
    segments_table: Table | None
    profiles: Sequence[Profile]
    tier: Tier | None
    grid_lead: str
    grid_plots: Sequence[Plot]
    grid_table: Table | None
    activity_lead: str
    activity: Plot | None
    rows: Table
    files: str
    reasons: Table | None
    guests: str
    made_facts: Sequence[tuple[str, str]]
    parameters: Sequence[tuple[str, str]]
    choice: Plot | None
    choice_reason: str
    caveats: Sequence[str] = field(default_factory=tuple)


def page(wording: Wording) -> Page:
    """The whole page of a document."""
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    made = document.provenance
    days = texts.counted("day", document.days_per_period, numbers.count(document.days_per_period))
    return Page(
        title=texts("page.title", shop=clean(document.shop, 80)),
        period=texts(
            "page.period", first=numbers.day(document.first), last=numbers.day(document.last)
        ),
        made=texts(
            "page.made", version=made.shoal_version, day=numbers.day(_local(wording, made.made_at))
        ),
        key_figures=_key_figures(wording),
        findings=wording.findings(),
        segments_lead=texts("segments.lead_money")
        if document.has_money
        else texts("segments.lead_orders", what=wording.what()),
        segments_plot=_shares(wording) if document.segments or document.tier else None,
        segments_table=_segments_table(wording) if document.segments or document.tier else None,
        profiles=[_profile(wording, one) for one in document.segments],
        tier=_tier(wording),
        grid_lead=texts("grid.lead_money" if document.has_money else "grid.lead_orders"),
        grid_plots=_grid_plots(wording, document.grid) if document.grid else (),
        grid_table=_grid_table(wording, document.grid) if document.grid else None,
        activity_lead=texts("activity.lead", days=days, last=numbers.day(document.last)),
        activity=_activity(wording) if len(document.activity) > 1 else None,
        rows=_rows(wording),
        files=_files(wording),
        reasons=_reasons(wording) if document.rows.reasons else None,
        guests=_guests(wording),
        made_facts=_made(wording),
        parameters=[
            (clean(str(key), 80), clean(_shown(value), 300))
            for key, value in sorted(made.parameters.items())
        ],
        choice=_choice(wording, document.choice) if document.choice else None,
        choice_reason=_choice_reason(wording),
        caveats=wording.caveats(),
    )


def _local(wording: Wording, moment: Any) -> Any:
    return moment.astimezone(ZoneInfo(wording.document.provenance.time_zone))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _key_figures(wording: Wording) -> list[tuple[str, str]]:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    days = (document.last - document.first).days + 1
    said = [
        (texts("key.customers"), numbers.count(document.customers)),
        (texts("key.events"), numbers.count(document.events)),
        (wording.value_events_title(), numbers.count(document.orders)),
    ]
    if document.has_money:
        said.append((texts("key.revenue"), numbers.short_money(document.revenue)))
    return [*said, (texts("key.period"), texts.counted("day", days, numbers.count(days)))]


# -- segments at a glance ---------------------------------------------------------------------


def _everyone(wording: Wording) -> tuple[Segment, ...]:
    document = wording.document
    return (*document.segments, *((document.tier,) if document.tier else ()))


def _shares(wording: Wording) -> Plot:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    worth = texts("series.revenue") if document.has_money else wording.value_events_title()
    top = max(_everyone(wording), key=wording.worth)
    segments = texts.counted("segment", len(document.segments), str(len(document.segments)))
    return Plot(
        key="shares",
        title=texts("segments.figure", what=wording.what()),
        figure=figures.shares(document, worth, texts, numbers),
        alt=texts(
            "segments.alt",
            segments=segments,
            what=wording.what(),
            value=numbers.share(wording.worth(top)),
            name=wording.name(top),
        ),
        table=_segments_table(wording),
    )


def _segments_table(wording: Wording) -> Table:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    columns = [texts("col.segment"), texts("col.customers"), texts("col.customer_share")]
    if document.has_money:
        columns += [
            texts("col.revenue"), texts("col.revenue_share"), texts("col.revenue_per_customer"),
        ]  # fmt: skip
    else:
        columns += [
            wording.value_events_title(),
            texts("col.value_share", what=wording.what()),
            texts("col.orders_per_customer"),
        ]
    rows = []
    for one in _everyone(wording):
        whole = one.revenue if document.has_money else one.orders
        each = (whole or 0) / one.customers if one.customers else None
        rows.append(
            [
                clean(one.name, 80),
                numbers.count(one.customers),
                numbers.share(wording.crowd(one)),
                numbers.money(whole) if document.has_money else numbers.count(whole),
                numbers.share(wording.worth(one)),
                numbers.money(each) if document.has_money else numbers.plain(each),
            ]
        )
    links = [_anchor(place) for place in range(len(document.segments))]
    return Table(columns, rows, links=[*links, *(["tier"] if document.tier else [])])


def _anchor(place: int) -> str:
    # Never from an id or a name: those come from data.
    return f"segment-{place + 1}"


# -- one segment ------------------------------------------------------------------------------


def _profile(wording: Wording, segment: Segment) -> Profile:
    place = wording.document.segments.index(segment)
    plots = [
        _effects_plot(wording, segment, f"effects-{place}"),
        _preferences_plot(wording, segment, segment.categories, "categories", f"categories-{place}"),
        _preferences_plot(wording, segment, segment.brands, "brands", f"brands-{place}"),
        _hours_plot(wording, segment, f"hours-{place}"),
        _weekdays_plot(wording, segment, f"weekdays-{place}"),
    ]
    return Profile(
        anchor=_anchor(place),
        segment_id=clean(segment.segment_id, 40),
        name=clean(segment.name, 120),
        line=wording.line(segment),
        apart=wording.apart(segment),
        plots=[plot for plot in plots if plot is not None],
        exemplars=_exemplars(wording, segment.exemplars) if segment.exemplars else None,
    )


def _effects_plot(wording: Wording, segment: Segment, key: str) -> Plot | None:
    texts, numbers = wording.texts, wording.numbers
    items = sorted(segment.effects, key=lambda one: -abs(one.size))[:8]
    if not items:
        return None
    columns = [texts("col.feature"), texts("col.inside"), texts("col.outside"), texts("col.size")]
    intervals = any(one.low is not None for one in items)
    rows = []
    for one in items:
        row = [
            clean(one.label, 120), wording.value(one.unit, one.inside),
            wording.value(one.unit, one.outside), numbers.signed(one.size),
        ]  # fmt: skip
        if intervals:
            row.append(f"{numbers.signed(one.low)} … {numbers.signed(one.high)}")
        rows.append(row)
    return Plot(
        key=key,
        title=texts("profile.effects"),
        figure=figures.effects(items, texts, numbers),
        alt=texts(
            "profile.effects_alt",
            name=wording.name(segment),
            label=clean(items[0].label, 120),
            size=numbers.signed(items[0].size),
        ),
        table=Table([*columns, *([texts("col.interval")] if intervals else [])], rows),
    )


def _preferences_plot(
    wording: Wording, segment: Segment, items: Sequence[Preference], what: str, key: str
) -> Plot | None:
    texts, numbers = wording.texts, wording.numbers
    items = items[:6]
    if not items:
        return None
    noun = "col.category" if what == "categories" else "col.brand"
    rows = [
        [clean(one.label, 120), numbers.share(one.inside), numbers.share(one.outside)]
        for one in items
    ]
    return Plot(
        key=key,
        title=texts(f"profile.{what}"),
        figure=figures.preferences(items, texts, numbers),
        alt=texts(
            f"profile.{what}_alt",
            name=wording.name(segment),
            label=clean(items[0].label),
            inside=numbers.share(items[0].inside),
        ),
        table=Table([texts(noun), texts("col.inside"), texts("col.outside")], rows),
        note=texts("profile.first_note"),
    )


def _hours_plot(wording: Wording, segment: Segment, key: str) -> Plot | None:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    if not segment.hours or not document.hours:
        return None
    rows = [
        [f"{hour:02d}:00", numbers.share(segment.hours[hour]), numbers.share(document.hours[hour])]
        for hour in range(24)
    ]
    return Plot(
        key=key,
        title=texts("profile.hours"),
        figure=figures.hours(segment.hours, document.hours, document.provenance.time_zone, texts),
        alt=texts(
            "profile.hours_alt",
            name=wording.name(segment),
            peak=max(range(24), key=segment.hours.__getitem__),
        ),
        table=Table([texts("col.hour"), texts("col.inside"), texts("col.overall")], rows),
    )


def _weekdays_plot(wording: Wording, segment: Segment, key: str) -> Plot | None:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    if not segment.weekdays or not document.weekdays:
        return None
    rows = [
        [
            texts(f"weekday.{day}"),
            numbers.share(segment.weekdays[day]),
            numbers.share(document.weekdays[day]),
        ]
        for day in range(7)
    ]
    return Plot(
        key=key,
        title=texts("profile.weekdays"),
        figure=figures.weekdays(segment.weekdays, document.weekdays, texts),
        alt=texts(
            "profile.weekdays_alt",
            name=wording.name(segment),
            peak=texts(f"weekday.{max(range(7), key=segment.weekdays.__getitem__)}"),
        ),
        table=Table([texts("col.weekday"), texts("col.inside"), texts("col.overall")], rows),
    )


def _exemplars(wording: Wording, exemplars: Sequence[Exemplar]) -> Table:
    labels = list(dict.fromkeys(fact.label for one in exemplars for fact in one.facts))[:5]
    rows = []
    for one in exemplars[:5]:
        known = {fact.label: wording.value(fact.unit, fact.value) for fact in one.facts}
        cells = [known.get(name, MISSING) for name in labels]
        rows.append([clean(one.customer_id, 40), *cells])
    columns = [wording.texts("col.customer"), *(clean(name, 60) for name in labels)]
    return Table(columns, rows)


def _tier(wording: Wording) -> Tier | None:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    tier = document.tier
    if tier is None or not tier.customers:
        return None
    customers = texts.counted("customer", tier.customers, numbers.count(tier.customers))
    share = numbers.share(wording.crowd(tier))
    if document.tier_minimum is None:
        text = texts("tier.text_unknown", customers=customers, share=share)
    else:
        least = texts.counted("event", document.tier_minimum, numbers.count(document.tier_minimum))
        text = texts("tier.text", customers=customers, share=share, minimum=least)
    worth = numbers.share(wording.worth(tier))
    if document.has_money:
        value = texts("tier.value", revenue=numbers.money(tier.revenue), share=worth)
    else:
        value = texts(
            "tier.value_orders",
            orders=numbers.count(tier.orders),
            what=wording.value_events(),
            share=worth,
        )
    return Tier(text, value)


# -- the shop as a whole ----------------------------------------------------------------------


def _grid_plots(wording: Wording, grid: Grid) -> list[Plot]:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    if not grid.cells:
        return []
    vertical = texts("grid.frequency_money" if document.has_money else "grid.frequency_orders")
    counts = [float(cell.customers) for cell in grid.cells]
    panels = [("customers", counts, [numbers.short_count(one) for one in counts], numbers.count)]
    if document.has_money:
        amounts = [cell.revenue or 0.0 for cell in grid.cells]
        bare = Numbers(numbers.lang)  # the currency stands in the title, not in 25 cells
        panels.append(("revenue", amounts, [bare.short_money(one) for one in amounts], numbers.money))
    plots = []
    for what, values, shown, exact in panels:
        best = max(range(len(values)), key=values.__getitem__)
        unit = f" ({document.currency})" if what == "revenue" and document.currency else ""
        table = Table(
            [texts("col.recency"), vertical, texts("col.segment"), texts(f"grid.{what}")],
            [
                [str(cell.recency), str(cell.frequency), clean(cell.name), exact(value)]
                for cell, value in zip(grid.cells, values, strict=True)
            ],
            text_columns=frozenset({2}),
        )
        plots.append(
            Plot(
                key=f"grid-{what}",
                title=texts(f"grid.{what}") + unit,
                figure=figures.grid(grid, values, shown, vertical, texts),
                alt=texts(
                    f"grid.{what}_alt",
                    n=exact(values[best]),
                    r=grid.cells[best].recency,
                    f=grid.cells[best].frequency,
                ),
                table=table,
            )
        )
    return plots


def _grid_table(wording: Wording, grid: Grid) -> Table | None:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    if not grid.segments:
        return None
    rows = []
    for one in grid.segments:
        worth = numbers.money(one.revenue) if document.has_money else numbers.count(one.orders)
        rows.append(
            [
                clean(one.name, 60), clean(one.rule, 200) if one.rule else MISSING,
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


def _activity(wording: Wording) -> Plot:
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
    rows = [
        [numbers.day(one.start), *(numbers.count(values[place]) for _, values in panels)]
        for place, one in enumerate(periods)
    ]
    return Plot(
        key="activity",
        title=texts.listed([name for name, _ in panels]),
        figure=figures.activity(periods, panels, numbers),
        alt=texts(
            "activity.alt",
            what=title,
            peak=numbers.count(values[best]),
            day=numbers.day(periods[best].start),
        ),
        table=Table([texts("col.from"), *(name for name, _ in panels)], rows),
    )


# -- data and how it was made -----------------------------------------------------------------


def _rows(wording: Wording) -> Table:
    rows, texts, numbers = wording.document.rows, wording.texts, wording.numbers
    lines = [
        [texts(f"data.{what}"), numbers.count(count), numbers.share(count / (rows.read or 1))]
        for what, count in (
            ("stored", rows.stored),
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


def _made(wording: Wording) -> list[tuple[str, str]]:
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
            texts("page.period", first=numbers.day(document.first), last=numbers.day(document.last)),
        ),
        (texts("made.as_of"), numbers.moment(_local(wording, made.as_of)) + zone),
        (texts("made.zone"), made.time_zone),
        (texts("made.currency"), currency),
        (texts("made.value_event"), clean(document.value_event)),
        (texts("made.table"), numbers.count(made.table_version)),
        (texts("made.catalog"), made.catalog_fingerprint or MISSING),
    ]
    for identity, title in made.segmentations:
        facts.append((clean(title, 80), clean(identity, 80)))
    return [*facts, (texts("made.seed"), MISSING if made.seed is None else str(made.seed))]


def _choice_reason(wording: Wording) -> str:
    choice = wording.document.choice
    if choice is None:
        return ""
    return clean(choice.reason, 600) if choice.reason else (
        wording.texts("choice.told") if choice.rule == "told" else ""
    )


def _choice(wording: Wording, choice: Choice) -> Plot | None:
    texts, numbers = wording.texts, wording.numbers
    next_period = choice.rule == "next_period"

    def score(one: Candidate) -> float | None:
        return one.score if next_period else one.stability

    tried = [one for one in choice.candidates if score(one) is not None]
    if len(tried) < 2:
        return None
    days = choice.horizon_days or 0
    measure = (
        texts("choice.next_period", days=texts.counted("day", days, numbers.count(days)))
        if next_period
        else texts("choice.stability")
    )
    rows = []
    for one in choice.candidates:
        note = texts("col.chosen") if one.k == choice.chosen else one.note
        rows.append(
            [
                str(one.k), _decimal(wording, one.score), _decimal(wording, one.spread),
                _decimal(wording, one.stability), numbers.share(one.smallest), clean(note, 200),
            ]
        )  # fmt: skip
    columns = [texts(f"col.{what}") for what in ("k", "score", "spread", "stability", "smallest", "note")]
    return Plot(
        key="choice",
        title=measure,
        figure=figures.choice(choice, measure, texts),
        alt=texts("choice.alt", low=tried[0].k, high=tried[-1].k, what=measure, k=choice.chosen),
        table=Table(columns, rows, text_columns=frozenset({5})),
    )


def _decimal(wording: Wording, value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"
