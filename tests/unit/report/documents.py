"""Documents to render in tests, from plain and awkward shops."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from tests.unit.report import reasons
from tests.unit.report.movements import movement
from tests.unit.report.stories import SINCE, story

from shoal.domain.quality import Finding, Quality, SourceFacts
from shoal.report.document import (
    Effect,
    Exemplar,
    Fact,
    Grid,
    GridCell,
    MoneyMonth,
    Period,
    Preference,
    Provenance,
    ReportDocument,
    Rows,
    Segment,
    ShopMoney,
)
from shoal.report.document_model import ModelSeen, RestsOn, RestsOnEvent
from shoal.report.document_story import MainFeature

NAMES = (
    "Frequent buyers of Kitchen", "Weekend browsers", "Big baskets, few orders",
    "Recent newcomers", "Lapsing regulars", "Night-time bargain hunters",
    "Loyal all-rounders who come back every few days",
)  # fmt: skip


def segment(place: int, count: int, *, money: bool = True, categories: bool = True) -> Segment:
    """The segment at a place of `count`; figures vary with the place, nothing is random."""
    customers = 2400 // (place + 1) + 60
    name = NAMES[place % len(NAMES)] + ("" if place < len(NAMES) else f" {place + 1}")
    wave = [1 + 0.8 * math.sin((hour - 8 - place) / 24 * 2 * math.pi) for hour in range(24)]
    week = [1.0 + (0.6 if day >= 5 and place % 2 else 0.0) for day in range(7)]
    return Segment(
        segment_id=f"s{place + 1:02d}",
        name=name,
        customers=customers,
        orders=customers * (place + 2),
        revenue=customers * 31.5 * (1 + (place * 7 % 5)) if money else None,
        effects=tuple(one for one in effects(place) if money or one.unit != "currency"),
        categories=(
            Preference("Home/Kitchen", 0.42, 0.18),
            Preference("Garden", 0.21, 0.24),
            Preference("Toys & Games", 0.11, 0.12),
        )
        if categories
        else (),
        brands=(Preference("Harrow", 0.31, 0.12), Preference("Nordlys", 0.08, 0.11))
        if categories
        else (),
        hours=tuple(value / sum(wave) for value in wave),
        weekdays=tuple(value / sum(week) for value in week),
        exemplars=tuple(
            Exemplar(
                f"c{10_000 + place * 10 + number}",
                (
                    Fact("Orders placed", "orders", 6.0),
                    Fact("Days since the last order", "days", 9.3),
                ),
            )
            for number in range(3)
        ),
    )


def effects(place: int) -> tuple[Effect, ...]:
    """Eight differences of falling size, of both signs and all kinds of unit."""
    kinds = (
        ("orders", "Orders placed", "orders", 12.0, 2.0),
        ("recency_days", "Days since the last order", "days", 8.4, 61.25),
        ("net_revenue", "Net revenue", "currency", 812.4, 96.0),
        ("night_share", "Share of events at night", "share", 0.31, 0.08),
        ("session_minutes", "Median length of a session, from its first event to its last",
         "minutes", 14.2, 6.1),
        ("unit_price_mean", "Mean price of a unit bought", "currency", 23.9, 24.0),
        ("entropy", "Spread over categories", "nats", 1.42, 1.2),
        ("refund_share", "Share of revenue refunded", "share", 0.004, 0.05),
    )  # fmt: skip
    sizes = (1.9, -1.3, 0.95, 0.72, -0.61, 0.4, 0.24, -0.1)
    turned = -1 if place % 3 == 2 else 1
    return tuple(
        Effect(name, label, unit, turned * size, inside, outside)
        for (name, label, unit, inside, outside), size in zip(kinds, sizes, strict=True)
    )


def document(
    segments: int = 7,
    *,
    money: bool = True,
    categories: bool = True,
    hours: bool = True,
    tier: int = 4200,
    currency: str = "GBP",
    value_event: str = "purchase",
) -> ReportDocument:
    """A whole document of a made-up shop that adds up."""
    parts = tuple(
        segment(place, segments, money=money, categories=categories) for place in range(segments)
    )
    if not hours:
        parts = tuple(replace(one, hours=()) for one in parts)
    unknown = Segment("new", "Too little known", tier, tier, tier * 11.0 if money else None)
    everyone = (*parts, unknown)
    customers = sum(one.customers for one in everyone)
    revenue = sum(one.revenue or 0.0 for one in everyone) if money else None
    return ReportDocument(
        shop="Example shop",
        first=date(2024, 1, 1),
        last=date(2024, 7, 18),
        events=812_345,
        customers=customers,
        guest_events=311,
        orders=sum(one.orders for one in everyone),
        revenue=revenue,
        currency=currency if money else "",
        value_event=value_event,
        segments=parts,
        tier=unknown if tier else None,
        tier_minimum=3,
        rows=Rows(
            812_900, 812_345, 201, 4, 350, 0, {"bad_time": 300, "not_a_known_code": 50}, files=3
        ),
        provenance=_provenance(),
        grid=_grid(money),
        choice=reasons.choice(segments),
        activity=_activity(money),
        hours=tuple([1 / 24] * 24) if hours else (),
        weekdays=tuple([1 / 7] * 7),
        quality=quality(),
        money=shop_money(currency) if money else None,
        model=model_seen(parts),
        lineage=reasons.lineage(parts),
        logged=reasons.logged(SINCE),
        explanation=reasons.explanation(parts),
        protected=reasons.protected(parts),
        map=reasons.customer_map(parts),
        story=replace(
            story(parts, unknown if tier else None, money=money), features=_features(parts)
        ),
    )


def _features(parts: tuple[Segment, ...]) -> tuple[MainFeature, ...]:
    """The features of the segments' effects, each segment with its own value."""
    first = parts[0].effects if parts else ()
    return tuple(
        MainFeature(
            one.feature, one.label, one.unit,
            {part.segment_id: (one.inside or 0.0) * (1 + place)
             for place, part in enumerate(parts)},
            {part.segment_id: part.effects[order].size / (1 + place % 4)
             for place, part in enumerate(parts)},
        )
        for order, one in enumerate(first)
    )  # fmt: skip


def model_seen(parts: tuple[Segment, ...], text: str = "") -> ModelSeen:
    """A customer of each of the first eight segments, with 4 to 11 events; `text` names things."""
    kinds = ("view", "search", "view", "cart_add", "purchase")
    start = datetime(2024, 6, 1, 9, 30, tzinfo=UTC)
    examples = {}
    for place, part in enumerate(parts[:8]):
        events = tuple(
            RestsOnEvent(
                start + timedelta(days=number // 3, minutes=7 * number),
                kinds[number % len(kinds)],
                text or f"i{number}",
                text or ("茶杯" if number % 2 else "Walnut lamp"),
                text or "Home/Kitchen",
                occlusion=0.3 * (number * 7 % 5) / (1 + place),
                gradient=0.2 * (number % 3),
            )
            for number in range(4 + place)
        )
        fields = {"kind": 0.4, "item": 0.1 * place, "time": 0.25, "text": 0.0}
        place_of = tuple(float(place == one) for one in range(8))
        examples[part.segment_id] = RestsOn(
            text or f"c{10_000 + place * 10}", 40, events, fields, place_of
        )
    return ModelSeen(text or "behaviour-0001", start, foreknown=True, examples=examples)


def shop_money(currency: str = "GBP", why: str = "test_order") -> ShopMoney:
    """Seven months, the last of them not whole and below zero; `why` names what is left out."""
    months = tuple(
        MoneyMonth(
            f"2024-{1 + place:02d}", 900 + 10 * place, 2_000, 40_000_000_000, 0,
            (42_000_000_000 if place == 6 else 3_000_000_000),
            (-2_000_000_000 if place == 6 else 37_000_000_000), 0, 0,
            (-2_000_000_000 if place == 6 else 37_000_000_000), 700, 90,
        )
        for place in range(7)
    )  # fmt: skip
    total = MoneyMonth(
        "", 6_510, 14_000, 280_000_000_000, 0, 60_000_000_000, 220_000_000_000, 0, 0,
        220_000_000_000, 2_000, 630,
    )  # fmt: skip
    beside = ((why, 12, 345_600_000), ("fee", 0, -7_000_000))
    return ShopMoney(currency, months, total, beside, ends=date(2024, 7, 18))


def _provenance() -> Provenance:
    return Provenance(
        shoal_version="0.1.0",
        made_at=datetime(2024, 7, 19, 8, 30, tzinfo=UTC),
        table_version=3,
        time_zone="Europe/London",
        catalog_fingerprint="9f2c4e5ab01d",
        segmentations=(("kmeans-0001", "k-means on features"), ("rfm-0001", "RFM rules")),
        seed=7,
        as_of=datetime(2024, 7, 18, 22, 59, 1, tzinfo=UTC),
        parameters={"k": [4, 12], "variance_share": 0.9, "minimum_events": 3},
    )


def _grid(money: bool) -> Grid:
    cells = tuple(
        GridCell(
            recency, frequency, 40 * recency * frequency + 100 * (6 - recency),
            3100.5 * recency * frequency**2 if money else None,
            "Champions" if recency + frequency > 8 else "Others",
        )
        for recency in range(1, 6)
        for frequency in range(1, 6)
    )  # fmt: skip
    named = Segment(
        "r01",
        "Champions",
        900,
        5000,
        91_000.0 if money else None,
        rule="Recency 4 or 5 and the rest 4 or 5",
    )
    return Grid("rfm-0001", cells, (named,))


def _activity(money: bool) -> tuple[Period, ...]:
    return tuple(
        Period(
            date(2024, 1, 5) + timedelta(days=7 * week),
            2000 + 45 * week + 300 * (week % 4), 900 + 21 * week + 120 * (week % 3),
            31_000.0 + 800 * week + 4000 * (week % 4) if money else None,
        )
        for week in range(28)
    )  # fmt: skip


def quality(text: str = "web") -> Quality:
    """Two sources, of which one has gaps, and findings of every severity; `text` names things."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    daily = tuple(4_000 + 700 * (day % 7 > 4) for day in range(200))
    names = (text, "app", "")
    sources = tuple(
        SourceFacts(
            name, sum(daily) - place, start, start + timedelta(days=200), "second", 19_723, daily
        )
        for place, name in enumerate(names)
    )
    findings = (
        Finding("gap", "error", text, variant="silent", count=96, since=datetime(2024, 7, 15, 3,
                tzinfo=UTC), figures={"hours": 96, "expected": 16_000}),
        Finding("missing", "error", text, "purchase.price", count=120, of=130,
                since=date(2024, 7, 10), example=f"purchase {text}", figures={"usual": 0.01}),
        Finding("gap", "warning", "app", variant="over", count=30,
                since=datetime(2024, 3, 1, tzinfo=UTC), until=datetime(2024, 3, 2, 6, tzinfo=UTC),
                figures={"hours": 30, "expected": 5_000}),
        Finding("change", "warning", "app", variant="more", count=900, since=date(2024, 5, 1),
                until=date(2024, 5, 3), figures={"factor": 2.1, "days": 3, "expected": 430}),
        Finding("constant", "note", "", text, count=9_000, of=9_000,
                figures={"values": {"country": text}}),
    )  # fmt: skip
    return Quality(start, 3, 812_345, None, sources, findings, ("delay",))


def hostile() -> ReportDocument:
    """Every text that comes from data tries to break the page."""
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}\u202e\x00%{x}"
    plain = document(3)
    long = "W" * 10_000
    first = replace(
        plain.segments[0],
        segment_id=bad,
        name=bad,
        effects=(Effect(bad, bad, bad, 2.0, 1.0, 0.5), *plain.segments[0].effects),
        categories=(
            Preference(bad, 0.4, 0.1),
            Preference('<a href="http://x.example">x</a>', 0.3, 0.1),
        ),
        exemplars=(Exemplar(bad, (Fact(bad, bad, 1.0),)), Exemplar(long)),
    )
    second = replace(plain.segments[1], name=long, categories=(Preference(long, 0.2, 0.1),))
    assert plain.choice is not None
    return replace(
        plain,
        shop=bad,
        value_event="purchase",
        segments=(first, second, plain.segments[2]),
        rows=Rows(10, 9, 0, 0, 1, 0, {bad: 1}, files=1),
        provenance=replace(plain.provenance, parameters={bad: bad}, catalog_fingerprint="abc"),
        choice=replace(plain.choice, reason=bad),
        quality=quality(bad),
        money=shop_money(bad, why=bad),
        model=model_seen((first, second), bad),
        lineage=reasons.lineage((first, second), bad),
        explanation=reasons.explanation((first, second), bad),
        protected=reasons.protected((first, second), bad),
        map=reasons.customer_map((first, second)),
        warnings=(bad,),
        movement=movement(bad),
        story=replace(
            story((first, second, plain.segments[2]), plain.tier, who=bad),
            features=(MainFeature(bad, bad, bad, {bad: 1.0}, {bad: -3.0}), *plain.story.features),
        ),
    )
