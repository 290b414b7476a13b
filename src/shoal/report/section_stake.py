"""The section on customers gone quiet, and what they used to bring."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shoal.report.document_story import Stake
from shoal.report.draw import Series, bars
from shoal.report.names import clipped
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table


@dataclass(frozen=True)
class StakeView:
    """What the template shows."""

    lead: str
    summary: str = ""
    plot: Plot | None = None
    foremost: Table | None = None


def stake(teller: Teller, found: Stake | None) -> StakeView | None:
    """The section; None where there is nothing to say."""
    if found is None:
        why = teller.absent("stake")
        return StakeView(why) if why else None
    texts, numbers = teller.wording.texts, teller.wording.numbers
    lead = texts(
        "stake.lead",
        order_days=numbers.count(found.order_days),
        factor=numbers.plain(found.factor),
        silent=teller.days(found.silent_days),
        # Gaps of a Poisson process are exponential.
        chance=numbers.count(round(math.exp(found.factor))),
    )
    habitual = teller.customers(found.habitual)
    if not found.customers:
        return StakeView(lead, texts("stake.none", habitual=habitual))
    summary = texts(
        "stake.sum",
        customers=numbers.count(found.customers),
        habitual=habitual,
        worth=teller.worth(found.worth),
        share=numbers.share(found.worth / found.worth_all if found.worth_all > 0 else None),
        days=teller.days(found.window_days),
        what=teller.wording.what(),
    )
    return StakeView(lead, summary, _plot(teller, found), _foremost(teller, found))


def _plot(teller: Teller, found: Stake) -> Plot:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    title = texts(
        "stake.figure", what=teller.worth_title(), days=teller.days(found.window_days)
    )  # fmt: skip
    first, _, most = found.by_segment[0]
    shown = [
        numbers.short_count(worth) if teller.wording.document.has_money else numbers.count(worth)
        for _, _, worth in found.by_segment
    ]
    rows = [
        [clipped(teller.name(name)), numbers.count(customers), teller.worth_cell(worth),
         numbers.share(worth / found.worth if found.worth > 0 else None)]
        for name, customers, worth in found.by_segment
    ]  # fmt: skip
    columns = [
        texts("col.segment"), texts("col.customers"),
        texts("stake.worth", what=teller.worth_noun(), days=teller.days(found.window_days)),
        texts("data.col.share"),
    ]  # fmt: skip
    return Plot(
        key="stake",
        title=title,
        drawing=bars(
            [teller.name(name) for name, _, _ in found.by_segment],
            [Series(title, [worth for _, _, worth in found.by_segment], shown)],
            texts("stake.alt", worth=teller.worth(most), name=teller.quoted(first)),
        ),
        table=Table(columns, rows, links=[_link(teller, one[0]) for one in found.by_segment]),
    )


def _foremost(teller: Teller, found: Stake) -> Table | None:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    if not found.foremost:
        return None
    rows = [
        [
            clipped(one.customer_id, 40), clipped(teller.name(one.segment_id)),
            numbers.count(one.silent_days), numbers.plain(round(one.usual_days, 1)),
            teller.worth_cell(one.worth),
        ]
        for one in found.foremost
    ]  # fmt: skip
    columns = [
        texts("col.customer"), texts("col.segment"), texts("stake.silent"), texts("stake.usual"),
        texts("stake.worth", what=teller.worth_noun(), days=teller.days(found.window_days)),
    ]  # fmt: skip
    return Table(columns, rows, text_columns=frozenset({0, 1}))


def _link(teller: Teller, segment_id: str) -> str | None:
    known = teller.segments.get(segment_id)
    return known[1] if known else None
