"""From what a shop keeps (documents of segmentations, counts of events) to a report's document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.money import MICROS
from shoal.domain.segment import TIER_NEW
from shoal.features.months import Beside, MonthMoney
from shoal.report.compose_reasons import in_language
from shoal.report.document import (
    Effect,
    Exemplar,
    Fact,
    Grid,
    GridCell,
    MoneyMonth,
    Period,
    Preference,
    Segment,
    ShopMoney,
)
from shoal.segments.wording import Described

_EPOCH: Final = date(1970, 1, 1)

#: Hours say nothing when more than this share of the events lies at midnight sharp: the source
#: gave dates without a time.
_DATES_ONLY: Final = 0.9

_COUNTS: Final = ("customers", "orders", "net")

#: Longest log, in days, that is drawn by days and by weeks; anything longer by four weeks.
_BY_DAY: Final = 45
_BY_WEEK: Final = 1100


def local_date(day: int) -> date:
    """The date of a local day counted from 1970.

    >>> local_date(0).isoformat()
    '1970-01-01'
    """
    return _EPOCH + timedelta(days=day)


def days_per_period(days: int) -> int:
    """How many days one point of the activity figure stands for.

    >>> days_per_period(30), days_per_period(200), days_per_period(2000)
    (1, 7, 28)
    """
    return 1 if days <= _BY_DAY else 7 if days <= _BY_WEEK else 28


@dataclass(frozen=True)
class Week:
    """Shares of events over the hours of the day and the days of the week (Monday first)."""

    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = ()


def weeks(table: pa.Table) -> dict[str, Week]:
    """The weeks of each segment, and of all of them under "".

    Hours are left empty where the source gave dates without a time of day.

    Args:
        table: what `features.activity.hours_of_week` returns.
    """
    counts: dict[str, np.ndarray[Any, Any]] = {}
    midnight = 0
    for row in table.to_pylist():
        midnight += row["midnight"]
        for name in (row["segment_id"], ""):
            grid = counts.setdefault(name, np.zeros((7, 24)))
            grid[row["weekday"], row["hour"]] += row["n"]
    whole = counts[""].sum() if counts else 0
    timed = whole > 0 and midnight / whole <= _DATES_ONLY
    return {
        name: Week(
            tuple((grid.sum(axis=0) / grid.sum()).tolist()) if timed else (),
            tuple((grid.sum(axis=1) / grid.sum()).tolist()),
        )
        for name, grid in counts.items()
    }


def periods(
    table: pa.Table, first_day: int, last_day: int, *, has_money: bool
) -> tuple[Period, ...]:
    """Periods from the first whole one to the one that ends on the last day, quiet ones included.

    Args:
        table: what `features.activity.periods` returns for periods of `days_per_period` days that
            end with `last_day`; its segments are added up.
    """
    known: dict[int, dict[str, int]] = {}
    for row in table.to_pylist():
        whole = known.setdefault(row["period"], dict.fromkeys(_COUNTS, 0))
        for name in _COUNTS:
            whole[name] += row[name]
    width = days_per_period(last_day - first_day + 1)
    origin = last_day + 1 - width
    oldest = -((origin - first_day) // width)
    found = []
    for place in range(oldest, 1):
        row = known.get(place, dict.fromkeys(_COUNTS, 0))
        found.append(
            Period(
                local_date(origin + place * width),
                row["customers"],
                row["orders"],
                row["net"] / MICROS if has_money else None,
            )
        )
    return tuple(found)


def trends(
    table: pa.Table, first_day: int, last_day: int, *, has_money: bool
) -> dict[str, tuple[Period, ...]]:
    """The same periods of each segment's members by segment id; arguments as of `periods`."""
    names = dict.fromkeys(table["segment_id"].to_pylist())
    return {
        name: periods(
            table.filter(pc.equal(table["segment_id"], name)),
            first_day,
            last_day,
            has_money=has_money,
        )
        for name in names
        if name
    }


def segments(
    profiles: Mapping[str, Any],
    lang: str,
    described: Mapping[str, Described],
    by_segment: Mapping[str, Week],
    *,
    has_money: bool,
) -> tuple[Segment, ...]:
    """Segments of a segmentation's profiles (`shoal.profiles/1`), the tier among them."""
    found = []
    for one in profiles["segments"]:
        week = by_segment.get(one["segment_id"], Week())
        texts = one.get("texts") or {}
        found.append(
            Segment(
                segment_id=one["segment_id"],
                name=in_language(one["name"], lang),
                customers=one["size"],
                orders=one["orders"],
                revenue=(one["revenue"] or 0.0) if has_money else None,
                rule=in_language(one.get("rule"), lang),
                effects=tuple(_effect(each, lang, described) for each in _differences(one)),
                categories=_preferences(texts.get("top_category")),
                brands=_preferences(texts.get("top_brand")),
                hours=week.hours,
                weekdays=week.weekdays,
                exemplars=tuple(_exemplar(each, lang, described) for each in one["exemplars"]),
            )
        )
    return tuple(found)


def is_tier(segment: Segment) -> bool:
    """Whether it is the tier of customers too little known."""
    return segment.segment_id == TIER_NEW


def grid(
    segmentation_id: str, profiles: Mapping[str, Any], named: Sequence[Segment], *, has_money: bool
) -> Grid | None:
    """The RFM grid of a rule segmentation's profiles, None if they hold none."""
    document = profiles.get("grid")
    if not document:
        return None
    names = {one.segment_id: one.name for one in named}
    cells = tuple(
        GridCell(
            cell["recency"],
            cell["frequency"],
            cell["customers"],
            (cell["revenue"] or 0.0) if has_money else None,
            names.get(cell["segment_id"], cell["segment_id"]),
        )
        for cell in document["cells"]
        # "No purchase yet" has no scores and no place in the grid.
        if 1 <= cell["recency"] <= 5 and 1 <= cell["frequency"] <= 5
    )
    return Grid(
        segmentation_id,
        cells,
        tuple(
            replace(one, rule=_cells_of(one, document["cells"], has_money) or one.rule)
            for one in named
            if one.customers
        ),
        tuple(document.get("recency_thresholds") or ()),
        tuple(document.get("frequency_thresholds") or ()),
        tuple(document.get("monetary_thresholds") or ()) if has_money else (),
    )


def _cells_of(segment: Segment, cells: Sequence[Mapping[str, Any]], has_money: bool) -> str:
    """The cells of the grid that make a segment: recency, then frequency (and money)."""
    second = "FM" if has_money else "F"
    own = [cell for cell in cells if cell["segment_id"] == segment.segment_id]
    return ", ".join(f"R{cell['recency']} {second}{cell['frequency']}" for cell in own)


def shop_money(
    currency: str,
    months: Sequence[MonthMoney],
    total: MonthMoney,
    beside: Sequence[Beside],
    ends: Sequence[tuple[str, str, date]],
) -> ShopMoney:
    """The shop's money by month.

    Args:
        ends: months that are not whole: month, `begins` or `ends`, the day on which the money does.
    """
    names = [entry.name for entry in fields(MoneyMonth)]
    every = [MoneyMonth(**{name: getattr(one, name) for name in names}) for one in (*months, total)]
    days = {what: day for _month, what, day in ends}
    return ShopMoney(
        currency,
        tuple(every[:-1]),
        every[-1],
        tuple((one.why, one.orders, one.amount) for one in beside),
        days.get("begins"),
        days.get("ends"),
    )


def warnings(documents: Sequence[Mapping[str, Any]], lang: str) -> tuple[str, ...]:
    """What the segmentations warn of, each thing once."""
    said = [
        in_language(one, lang) for document in documents for one in document.get("warnings") or ()
    ]
    return tuple(dict.fromkeys(said))


def _label(feature: str, lang: str, described: Mapping[str, Described]) -> str:
    known = described.get(feature)
    if known is None:
        return feature
    return known.text.zh if lang == "zh" else known.text.en


def _differences(profile: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The strongest differences, then those of times and categories that are not among them."""
    told = {one["feature"] for one in profile["effects"]}
    more = [*(profile.get("time_effects") or ()), *(profile.get("category_effects") or ())]
    return [*profile["effects"], *(one for one in more if one["feature"] not in told)]


def _effect(one: Mapping[str, Any], lang: str, described: Mapping[str, Described]) -> Effect:
    inside, outside, size = one["median"], one["rest_median"], one["effect"]
    # Medians of rare things are often both 0, and may even lie the other way round.
    hidden = inside is None or outside is None or (inside - outside) * size <= 0
    if hidden:
        inside, outside = one["mean"], one["rest_mean"]
    return Effect(
        one["feature"],
        _label(one["feature"], lang, described),
        one["unit"],
        size,
        inside,
        outside,
        one.get("low"),
        one.get("high"),
        average=hidden,
    )


def _exemplar(one: Mapping[str, Any], lang: str, described: Mapping[str, Described]) -> Exemplar:
    facts = []
    for name, value in one["features"].items():
        known = described.get(name)
        facts.append(Fact(_label(name, lang, described), known.unit if known else "", value))
    return Exemplar(one["customer_id"], tuple(facts))


def _preferences(values: Sequence[Mapping[str, Any]] | None) -> tuple[Preference, ...]:
    return tuple(
        Preference(one["value"], one["share"], one.get("rest_share")) for one in values or ()
    )
