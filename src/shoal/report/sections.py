"""From a document to the page that the template shows: its sections in the order of reading."""

from __future__ import annotations

from collections.abc import Iterator

from shoal.report import (
    section_adjust,
    section_choice,
    section_cohorts,
    section_funnel,
    section_heat,
    section_lineage,
    section_look,
    section_made,
    section_map,
    section_model,
    section_money,
    section_moves,
    section_pair,
    section_quality,
    section_rules,
    section_segments,
    section_shop,
    section_stake,
    section_traits,
)
from shoal.report.names import clean
from shoal.report.story_wording import Teller
from shoal.report.views import Found, Page, Section
from shoal.report.wording import Wording


def page(wording: Wording) -> Page:
    """The whole page of a document."""
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    made = document.provenance
    return Page(
        title=texts("page.title", shop=clean(document.shop, 80)),
        period=texts(
            "page.period", first=numbers.day(document.first), last=numbers.day(document.last)
        ),
        made=texts(
            "page.made",
            version=made.shoal_version,
            day=numbers.day(section_made.local(wording, made.made_at)),
        ),
        sections=list(_sections(wording)),
    )


def _sections(wording: Wording) -> Iterator[Section]:
    """Sections that the document has something for; one that it should have says what lacks."""
    document, texts = wording.document, wording.texts
    yield Section("found", texts("found.title"), "found", _found(wording))
    teller = Teller(wording)
    story = document.story
    yield from _if(wording, "look", section_look.look(teller))
    yield from _if(wording, "week", section_adjust.week(wording, document.movement))
    yield Section("segments", texts("segments.title"), "segments", section_segments.glance(wording))
    yield from _if(wording, "choice", section_choice.choice(wording, document.choice))
    yield from _if(wording, "map", section_map.customer_map(teller, document.map))
    yield from _if(wording, "features", section_heat.features(teller, story.features), "heat.title")
    if len(document.segments) > 1:
        yield Section("pair", texts("pair.title"), "pair", section_pair.pair(wording))
    yield Section("tier", texts("tier.title"), "tier", section_segments.tier(wording))
    yield from _if(wording, "moves", section_moves.moves(teller, story.moves, document.logged))
    yield from _if(wording, "stake", section_stake.stake(teller, story.stake))
    yield from _if(wording, "lineage", section_lineage.lineage(teller, document.lineage))
    yield from _if(wording, "cohorts", section_cohorts.cohorts(teller, story.cohorts))
    yield from _if(wording, "funnel", section_funnel.funnel(teller, story.funnels))
    yield Section("grid", texts("grid.title"), "grid", section_shop.grid(wording))
    if len(document.activity) > 1:
        yield Section(
            "activity", texts("activity.title"), "activity", section_shop.activity(wording)
        )
    if document.money:
        money = section_money.money(wording, document.money)
        yield Section("money", texts("money.title"), "money", money)
    # The pages of segments, of which there may be sixty, come after what is of the whole shop.
    if document.segments:
        profiles = [section_segments.profile(wording, one) for one in document.segments]
        entries = [(one.anchor, one.name) for one in profiles]
        yield Section("profiles", texts("profile.title"), "profiles", profiles, entries)
    yield from _if(wording, "rules", section_rules.rules(teller, document.explanation))
    yield from _if(wording, "traits", section_traits.traits(teller, document.protected))
    yield from _if(wording, "model", section_model.model(teller, document.model))
    yield Section("data", texts("data.title"), "data", section_made.data(wording))
    if document.quality:
        quality = section_quality.quality(wording, document.quality)
        yield Section("quality", texts("quality.title"), "quality", quality)
    yield Section("made", texts("made.title"), "made", section_made.made(wording))
    yield Section("caveats", texts("caveat.title"), "caveats", wording.caveats())


def _if(wording: Wording, name: str, view: object | None, title: str = "") -> Iterator[Section]:
    """The section of that name where it has a view."""
    if view is not None:
        yield Section(name, wording.texts(title or f"{name}.title"), name, view)


def _found(wording: Wording) -> Found:
    document, texts, numbers = wording.document, wording.texts, wording.numbers
    days = (document.last - document.first).days + 1
    said = [
        (texts("key.customers"), numbers.count(document.customers)),
        (texts("key.events"), numbers.count(document.events)),
        (wording.value_events_title(), numbers.count(document.orders)),
    ]
    if document.has_money:
        said.append((texts("key.revenue"), numbers.short_money(document.revenue)))
    said.append((texts("key.period"), texts.counted("day", days, numbers.count(days))))
    return Found(said, wording.findings())
