"""The sections on segments: all at a glance, each one, and the tier of the too little known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal.report import figures, section_funnel, section_moves, section_rules, section_trend
from shoal.report.document import Exemplar, Period, Preference, Segment
from shoal.report.draw import Drawing, sparkline
from shoal.report.names import clean, clipped
from shoal.report.numbers import MISSING
from shoal.report.story_wording import Teller
from shoal.report.views import Glance, Plot, Profile, Table, Tier
from shoal.report.wording import Wording

#: The most segments that the figure shows, those of most worth; the table has all.
_DRAWN: Final = 20
#: Differences that a segment's figure shows, and that its table lists.
_EFFECTS: Final = 8
_LISTED: Final = 30


def _everyone(wording: Wording) -> tuple[Segment, ...]:
    document = wording.document
    return (*document.segments, *((document.tier,) if document.tier else ()))


def glance(wording: Wording) -> Glance:
    """All segments at a glance, the tier among them."""
    texts = wording.texts
    if wording.document.has_money:
        lead = texts("segments.lead_money")
    else:
        lead = texts("segments.lead_orders", what=wording.what())
    return Glance(lead, _shares(wording) if _everyone(wording) else None)


def _shares(wording: Wording) -> Plot:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    worth = texts("series.revenue") if document.has_money else wording.value_events_title()
    everyone = _everyone(wording)
    ranked = sorted(everyone, key=wording.worth, reverse=True)
    top, foremost = ranked[0], ranked[:_DRAWN]
    drawn = [one for one in everyone if one in foremost]
    segments = texts.counted("segment", len(document.segments), str(len(document.segments)))
    alt = texts(
        "segments.alt",
        segments=segments,
        what=wording.what(),
        value=numbers.share(wording.worth(top)),
        name=wording.name(top),
    )
    return Plot(
        key="shares",
        title=texts("segments.figure", what=wording.what()),
        drawing=figures.shares(document, drawn, worth, alt, texts, numbers),
        table=table(wording),
        note="" if len(drawn) == len(everyone) else texts("segments.foremost", n=len(drawn)),
    )


def table(wording: Wording) -> Table:
    """Size and worth of every segment, the tier among them."""
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
    trends = document.story.trends
    if trends:
        columns.append(texts("col.trend"))
    rows: list[list[str | Drawing]] = []
    for one in _everyone(wording):
        whole = one.revenue if document.has_money else one.orders
        each = (whole or 0) / one.customers if one.customers else None
        rows.append(
            [
                clipped(one.name, 60),
                numbers.count(one.customers),
                numbers.share(wording.crowd(one)),
                numbers.money(whole) if document.has_money else numbers.count(whole),
                numbers.share(wording.worth(one)),
                numbers.money(each) if document.has_money else numbers.plain(each),
                *([_trend(wording, trends.get(one.segment_id, ()))] if trends else ()),
            ]
        )
    links = [_anchor(place) for place in range(len(document.segments))]
    return Table(columns, rows, links=[*links, *(["tier"] if document.tier else [])])


def _trend(wording: Wording, periods: Sequence[Period]) -> str | Drawing:
    """Active members over time as a line in a cell."""
    if len(periods) < 2:
        return MISSING
    texts, numbers = wording.texts, wording.numbers
    active = [one.customers for one in periods]
    ends = {"first": numbers.count(active[0]), "last": numbers.count(active[-1])}
    return sparkline(active, texts("segments.trend_alt", most=numbers.count(max(active)), **ends))


def _anchor(place: int) -> str:
    # Never from an id or a name: those come from data.
    return f"segment-{place + 1}"


# -- one segment ------------------------------------------------------------------------------


def profile(wording: Wording, segment: Segment) -> Profile:
    """One segment: what sets it apart, its habits, typical customers."""
    place = wording.document.segments.index(segment)
    plots = [
        _effects_plot(wording, segment, f"effects-{place}"),
        _preferences_plot(
            wording, segment, segment.categories, "categories", f"categories-{place}"
        ),
        _preferences_plot(wording, segment, segment.brands, "brands", f"brands-{place}"),
        _hours_plot(wording, segment, f"hours-{place}"),
        _weekdays_plot(wording, segment, f"weekdays-{place}"),
        *_story_plots(wording, segment, place),
    ]
    since, moved = _moved(wording, segment)
    told = section_rules.told(Teller(wording), segment)
    return Profile(
        anchor=_anchor(place),
        segment_id=clean(segment.segment_id, 40),
        name=clipped(segment.name, 90),
        line=wording.line(segment),
        apart=wording.apart(segment),
        plots=[plot for plot in plots if plot is not None],
        exemplars=_exemplars(wording, segment.exemplars) if segment.exemplars else None,
        since=since,
        moved=moved,
        persona=told.persona,
        expected=told.expected,
        rule_title=told.rule_title,
        rules=told.rules,
        rule_notes=told.rule_notes,
        borderline=told.borderline,
    )


def _story_plots(wording: Wording, segment: Segment, place: int) -> list[Plot | None]:
    teller, story = Teller(wording), wording.document.story
    periods = story.trends.get(segment.segment_id, ())
    own = story.funnels.get(segment.segment_id)
    plots = [section_trend.trend(teller, segment, periods, f"trend-{place}")]
    if own:
        name, note = wording.name(segment), wording.texts("profile.funnel_note")
        key = f"funnel-{place}"
        plots.append(section_funnel.plot(teller, own, story.funnels[""], name, key, note))
    return plots


def _moved(wording: Wording, segment: Segment) -> tuple[str, Sequence[str]]:
    """A heading and sentences on what became of the segment since the comparison date."""
    story = wording.document.story
    if story.moves is None:
        return "", ()
    teller = Teller(wording)
    heading = wording.texts("profile.moved_title", day=teller.day(story.moves.since))
    said = section_moves.moved(teller, story.moves, story.moves_before, segment.segment_id)
    return heading, said


def _effects_plot(wording: Wording, segment: Segment, key: str) -> Plot | None:
    texts, numbers = wording.texts, wording.numbers
    every = sorted(segment.effects, key=lambda one: -abs(one.size))[:_LISTED]
    items = every[:_EFFECTS]
    if not items:
        return None
    columns = [texts("col.feature"), texts("col.inside"), texts("col.outside"), texts("col.size")]
    intervals = any(one.low is not None for one in every)
    rows = []
    for one in every:
        row = [
            clipped(one.label, 90), wording.value(one.unit, one.inside),
            wording.value(one.unit, one.outside), numbers.signed(one.size),
        ]  # fmt: skip
        if intervals:
            row.append(f"{numbers.signed(one.low)} … {numbers.signed(one.high)}")
        rows.append(row)
    alt = texts(
        "profile.effects_alt",
        name=wording.name(segment),
        label=clean(items[0].label, 120),
        size=numbers.signed(items[0].size),
    )
    return Plot(
        key=key,
        title=texts("profile.effects"),
        drawing=figures.effects(items, alt, texts, numbers),
        table=Table([*columns, *([texts("col.interval")] if intervals else [])], rows),
    )


def _preferences_plot(
    wording: Wording, segment: Segment, items: Sequence[Preference], what: str, key: str
) -> Plot | None:
    texts, numbers = wording.texts, wording.numbers
    items = items[:6]
    if not items:
        return None
    alt = texts(
        f"profile.{what}_alt",
        name=wording.name(segment),
        label=clean(items[0].label),
        inside=numbers.share(items[0].inside),
    )
    noun = "col.category" if what == "categories" else "col.brand"
    rows = [
        [clipped(one.label, 60), numbers.share(one.inside), numbers.share(one.outside)]
        for one in items
    ]
    return Plot(
        key=key,
        title=texts(f"profile.{what}"),
        drawing=figures.preferences(items, alt, texts, numbers),
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
    zone = document.provenance.time_zone
    peak = max(range(24), key=segment.hours.__getitem__)
    alt = texts("profile.hours_alt", name=wording.name(segment), peak=peak)
    return Plot(
        key=key,
        title=texts("profile.hours"),
        drawing=figures.hours(segment.hours, document.hours, zone, alt, texts, numbers),
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
    peak = texts(f"weekday.{max(range(7), key=segment.weekdays.__getitem__)}")
    alt = texts("profile.weekdays_alt", name=wording.name(segment), peak=peak)
    return Plot(
        key=key,
        title=texts("profile.weekdays"),
        drawing=figures.weekdays(segment.weekdays, document.weekdays, alt, texts, numbers),
        table=Table([texts("col.weekday"), texts("col.inside"), texts("col.overall")], rows),
    )


def _exemplars(wording: Wording, exemplars: Sequence[Exemplar]) -> Table:
    labels = list(dict.fromkeys(fact.label for one in exemplars for fact in one.facts))[:5]
    rows = []
    for one in exemplars[:5]:
        known = {fact.label: wording.value(fact.unit, fact.value) for fact in one.facts}
        cells = [known.get(name, MISSING) for name in labels]
        rows.append([clipped(one.customer_id, 40), *cells])
    columns = [wording.texts("col.customer"), *(clean(name, 60) for name in labels)]
    return Table(columns, rows)


def tier(wording: Wording) -> Tier:
    """The customers too little known, and what they bring."""
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    tier = document.tier
    if tier is None or not tier.customers:
        return Tier([texts("tier.none")])
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
    return Tier([text, value])
