"""The funnel, of all customers and of each segment: from looking to buying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoal.report.document_story import Funnel
from shoal.report.draw import Series, bars
from shoal.report.names import clean, clipped
from shoal.report.numbers import MISSING
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table


@dataclass(frozen=True)
class FunnelView:
    """What the template shows."""

    lead: str
    plot: Plot
    by_segment: Table


def funnel(teller: Teller, found: Mapping[str, Funnel]) -> FunnelView | None:
    """The section; None where customers take fewer than two steps."""
    if not found:
        return None
    texts = teller.wording.texts
    return FunnelView(
        texts("funnel.lead"),
        plot(teller, found[""], None, texts("funnel.whole"), "funnel"),
        _by_segment(teller, found),
    )


def step_name(teller: Teller, kind: str) -> str:
    """What a step is called; the last one by the shop's value event."""
    texts, value = teller.wording.texts, teller.wording.document.value_event
    key = f"funnel.step.{value if kind == 'value' else kind}"
    return texts(key) if texts.known(key) else texts("funnel.step.other", kind=clean(value, 40))


def conversion(one: Funnel) -> float | None:
    """Share of the days with a view that also have a value event; None without views."""
    viewed = one.step("view")
    return one.looked_and_bought / viewed.days if viewed and viewed.days else None


def plot(
    teller: Teller, one: Funnel, others: Funnel | None, whose: str, key: str, note: str = ""
) -> Plot:
    """Bars of the steps, those of a segment over those of all customers."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    names = [step_name(teller, step.kind) for step in one.steps]
    own = _shares(one)
    series = [_series(teller, texts("series.segment" if others else "series.shop"), own)]
    if others:
        series.append(_series(teller, texts("series.shop"), _shares(others)))
    rows = [
        [
            name, numbers.count(step.days), numbers.share(share), numbers.count(step.customers),
            numbers.share(step.customers / one.customers if one.customers else None),
        ]
        for name, step, share in zip(names, one.steps, own, strict=True)
    ]  # fmt: skip
    columns = [
        texts(f"funnel.col.{what}")
        for what in ("step", "days", "share", "customers", "customer_share")
    ]
    alt = texts(
        "funnel.alt", whose=whose, first=names[0], share_first=numbers.share(own[0]),
        last=names[-1], share_last=numbers.share(own[-1]),
    )  # fmt: skip
    return Plot(
        key=key,
        title=texts("profile.funnel") if others else "",
        drawing=bars(names, series, alt),
        table=Table(columns, rows),
        note=note,
    )


def _shares(one: Funnel) -> list[float]:
    return [step.days / one.days if one.days else 0.0 for step in one.steps]


def _series(teller: Teller, name: str, values: Sequence[float]) -> Series:
    return Series(name, values, [teller.wording.numbers.share(value) for value in values])


def _by_segment(teller: Teller, found: Mapping[str, Funnel]) -> Table:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    whole = found[""]
    steps = [step_name(teller, step.kind) for step in whole.steps]
    converts = conversion(whole) is not None
    columns = [texts("col.segment"), texts("funnel.col.days"), *steps]
    if converts:
        columns.append(texts("funnel.col.conversion", step=steps[-1]))
    rows, links = [], []
    for name in (*teller.order, ""):
        one = found.get(name)
        if one is None:
            continue
        row = [
            clipped(teller.name(name)) if name else texts("series.shop"),
            numbers.count(one.days),
            *(numbers.share(share) for share in _shares(one)),
        ]
        if converts:
            share = conversion(one)
            row.append(MISSING if share is None else numbers.share(share))
        rows.append(row)
        links.append(teller.segments[name][1] if name else None)
    return Table(columns, rows, links=links)
