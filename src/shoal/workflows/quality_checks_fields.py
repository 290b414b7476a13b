"""Checks of what events hold: missing and constant fields, unknown customers, shared ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from shoal.config import QualityConfig
from shoal.domain.kinds import (
    CART_ADD,
    CART_REMOVE,
    CLICK,
    CUSTOM,
    FAVOURITE,
    ITEM,
    PURCHASE,
    REFUND,
    REVIEW,
    SEARCH,
    VIEW,
)
from shoal.domain.quality import ERROR, NOTE, WARNING, Finding
from shoal.workflows.quality_judging import judged
from shoal.workflows.quality_tables import TELLING, Days, Series, of_source, text_sql

#: Fields without which an event of a kind says little; of the kinds below all figures suffer.
NEEDED: Final = {
    PURCHASE: ("item_id", "price", "order_id", "currency", "quantity"),
    REFUND: ("price", "order_id", "item_id"),
    SEARCH: ("query",),
    REVIEW: ("rating",),
    **dict.fromkeys((VIEW, CLICK, CART_ADD, CART_REMOVE, FAVOURITE), ("item_id",)),
}
_GRAVE: Final = (PURCHASE, REFUND)
#: What a purchase may lack without a loss: one unit, the shop's own currency, an order of its own.
_HELPFUL: Final = ("order_id", "currency", "quantity")
#: A field that always holds one value is told from so many events on.
_CONSTANT_FROM: Final = 1_000
#: Guests are told of from this share on.
_GUESTS_TOLD: Final = 0.05


def missing(days: Days, settings: QualityConfig) -> list[Finding]:
    """Fields that events of a kind need and lack; those a source never has are one note a kind."""
    found = []
    for series in days.series:
        absent = []
        for name in NEEDED.get(series.kind, ()):
            if not series.counts[name].any():
                absent.append(name)
                continue
            finding = judged(
                "missing",
                series.lacking(name),
                series.n,
                series.first_day,
                warning=settings.missing_warning,
                error=settings.missing_error,
                at_most=_gravest(series.kind, name),
                source=series.source,
                subject=f"{series.kind}.{name}",
                where=f"{_of(series)} AND {name} IS NULL",
            )
            found.append(finding)
        if absent:
            found.append(_absent(series, absent))
        if series.kind == PURCHASE:
            found.append(_free(series, settings))
    return [one for one in found if one is not None]


def _gravest(kind: str, name: str) -> str:
    return ERROR if kind in _GRAVE and name not in _HELPFUL else WARNING


def _absent(series: Series, names: Sequence[str]) -> Finding:
    n = int(series.n.sum())
    return Finding(
        "missing",
        NOTE,
        source=series.source,
        subject=series.kind,
        variant="absent",
        count=n,
        of=n,
        figures={"fields": list(names)},
        where=_of(series),
    )


def _free(series: Series, settings: QualityConfig) -> Finding | None:
    return judged(
        "missing",
        series.counts["free"],
        series.n,
        series.first_day,
        warning=max(0.05, settings.missing_warning),
        error=max(0.5, settings.missing_error),
        source=series.source,
        subject=f"{series.kind}.price",
        variant="free",
        where=f"{_of(series)} AND price = 0",
    )


def constant(rows: Sequence[dict[str, Any]], days: Days) -> list[Finding]:
    """Fields of a source that hold one value in all events that have them."""
    found = []
    for source in days.sources:
        own = [row for row in rows if row["source"] == source and row["n"] >= _CONSTANT_FROM]
        telling = [row for row in own if row["name"] in TELLING]
        found += [_constant(source, WARNING, [row]) for row in telling]
        plain = [row for row in own if row["name"] not in TELLING]
        if plain:
            found.append(_constant(source, NOTE, plain))
    return found


def _constant(source: str, severity: str, rows: Sequence[dict[str, Any]]) -> Finding:
    values = {row["name"]: row["value"] for row in rows}
    n = max(row["n"] for row in rows)
    return Finding(
        "constant",
        severity,
        source=source,
        subject=", ".join(values),
        count=n,
        of=n,
        figures={"values": values},
        where=f"{of_source(source)} AND {rows[0]['name']} IS NOT NULL",
    )


def unknown(days: Days, settings: QualityConfig) -> list[Finding]:
    """Events of nobody, and purchases without a customer; a source that never knows one is a note.

    A steady share is a habit of the shop; a share that rose is a fault.
    """
    found = []
    for source in days.sources:
        own = [one for one in days.of_source(source) if one.kind not in (ITEM, CUSTOM)]
        bought = [one for one in own if one.kind == PURCHASE]
        browsed = [one for one in own if one.kind not in _GRAVE]
        for variant, series in (("purchases", bought), ("nobody", browsed)):
            finding = _unknown(source, variant, series, settings) if series else None
            if finding is not None:
                found.append(finding)
    return found


def _unknown(
    source: str, variant: str, series: Sequence[Series], settings: QualityConfig
) -> Finding | None:
    if variant == "purchases":
        where = f"{of_source(source)} AND kind = 'purchase' AND customer_id IS NULL"
        bad = np.sum([one.lacking("customer_id") for one in series], axis=0)
    else:
        where = (
            f"{of_source(source)} AND kind NOT IN ('purchase', 'refund', 'item', 'custom') "
            "AND customer_id IS NULL AND anonymous_id IS NULL"
        )
        bad = np.sum([one.counts["nobody"] for one in series], axis=0)
    of = np.sum([one.n for one in series], axis=0)
    never = int(bad.sum()) == int(of.sum())
    return judged(
        "unknown", bad, of, series[0].first_day,
        warning=settings.unknown_warning, error=settings.unknown_error,
        at_most=NOTE if never else ERROR, unless_below=_GUESTS_TOLD,
        source=source, subject=variant, variant=variant, where=where,
    )  # fmt: skip


def shared(
    rows: dict[str, list[dict[str, Any]]], events: int, people: int, settings: QualityConfig
) -> list[Finding]:
    """Ids that many devices, people or events share.

    Args:
        rows: what `quality_tables.shared` returns.
        events: of the shop, in all.
        people: customers on one device beyond which it is shared.
    """
    found = []
    limits = {"devices": settings.devices, "people": people}
    columns = {"devices": "customer_id", "people": "anonymous_id"}
    for variant, limit in limits.items():
        over = [row for row in rows[variant] if row["n"] > limit]
        if over:
            worst = over[0]
            found.append(
                Finding("shared", WARNING if variant == "devices" else NOTE, "", worst["id"],
                        variant, worst["n"], 0, worst["since"], figures={"limit": limit},
                        where=f"{columns[variant]} = {text_sql(worst['id'])}")
            )  # fmt: skip
    least = max(_CONSTANT_FROM, settings.one_id_share * events)
    found += [
        Finding("shared", WARNING, "", row["id"], "events", row["n"], events, row["since"],
                where=f"coalesce(customer_id, anonymous_id) = {text_sql(row['id'])}")
        for row in rows["events"][:1] if row["n"] >= least
    ]  # fmt: skip
    return found


def _of(series: Series) -> str:
    return f"{of_source(series.source)} AND kind = {text_sql(series.kind)}"
