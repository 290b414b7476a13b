"""From a document to the page that the template shows."""

from __future__ import annotations

from shoal.report import (
    section_made,
    section_money,
    section_quality,
    section_segments,
    section_shop,
)
from shoal.report.names import clean
from shoal.report.views import Page
from shoal.report.wording import Wording


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
            "page.made",
            version=made.shoal_version,
            day=numbers.day(section_made.local(wording, made.made_at)),
        ),
        key_figures=_key_figures(wording),
        findings=wording.findings(),
        segments_lead=texts("segments.lead_money")
        if document.has_money
        else texts("segments.lead_orders", what=wording.what()),
        segments_plot=section_segments.shares(wording)
        if document.segments or document.tier
        else None,
        segments_table=section_segments.table(wording)
        if document.segments or document.tier
        else None,
        profiles=[section_segments.profile(wording, one) for one in document.segments],
        tier=section_segments.tier(wording),
        grid_lead=texts("grid.lead_money" if document.has_money else "grid.lead_orders"),
        grid_plots=section_shop.grid_plots(wording, document.grid) if document.grid else (),
        grid_table=section_shop.grid_table(wording, document.grid) if document.grid else None,
        grid_bounds=section_shop.grid_bounds(wording, document.grid) if document.grid else (),
        activity_lead=texts("activity.lead", days=days, last=numbers.day(document.last)),
        activity=section_shop.activity(wording) if len(document.activity) > 1 else None,
        rows=section_made.rows(wording),
        files=section_made.files(wording),
        reasons=section_made.reasons(wording) if document.rows.reasons else None,
        guests=section_made.guests(wording),
        made_facts=section_made.facts(wording),
        parameters=section_made.parameters(wording),
        choice=section_made.choice(wording, document.choice) if document.choice else None,
        choice_reason=section_made.choice_reason(wording),
        caveats=wording.caveats(),
        money=section_money.money(wording, document.money) if document.money else None,
        quality=section_quality.quality(wording, document.quality) if document.quality else None,
    )


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
