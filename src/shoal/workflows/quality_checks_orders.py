"""Checks of orders and amounts: incomplete, refunded, repeated, out of proportion, mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from shoal.config import QualityConfig
from shoal.domain.money import MICROS
from shoal.domain.quality import NOTE, WARNING, Finding
from shoal.workflows.quality_judging import by_source, filled, judged
from shoal.workflows.quality_tables import of_source, text_sql

#: Share of orders that are there twice, line by line, below which it is chance.
_TWICE: Final = 0.002
#: Share of single purchases that repeat another, from which they are told of.
_REPEATED: Final = 0.2


def orders(rows: Sequence[dict[str, Any]], settings: QualityConfig) -> list[Finding]:
    """Orders of which no line names an item, or none a price."""
    found = []
    for source, own in by_source(list(rows)).items():
        first, counts = filled(own, ("orders", "no_item", "no_price"))
        for name, field in (("no_item", "item_id"), ("no_price", "price")):
            never = int(counts[name].sum()) == int(counts["orders"].sum())
            if never:  # told once, as a field that the source never has
                continue
            found.append(
                judged(
                    "orders", counts[name], counts["orders"], first,
                    warning=settings.orders_warning, error=settings.orders_error,
                    source=source, subject=field, variant=name,
                    where=f"{of_source(source)} AND kind = 'purchase' AND order_id IS NOT NULL "
                    f"AND {field} IS NULL",
                )
            )  # fmt: skip
    return [one for one in found if one is not None]


def refunds(rows: Sequence[dict[str, Any]], settings: QualityConfig) -> list[Finding]:
    """Orders of which more went back than they cost, and refunds of orders nobody knows."""
    found: list[Finding | None] = []
    for source, own in by_source(list(rows)).items():
        first, counts = filled(own, ("refunded", "beyond", "unknown"))
        over = [row["over_order"] for row in own if row["over_order"] is not None]
        money = sum(row["beyond_micro"] for row in own) / MICROS
        found.append(
            judged(
                "refunds", counts["beyond"], counts["refunded"], first,
                warning=settings.orders_warning, error=settings.orders_error, at_most=WARNING,
                source=source, variant="beyond", figures={"money": money},
                example=f"order {over[0]}" if over else "",
            )
        )  # fmt: skip
        unknown = int(counts["unknown"].sum())
        if unknown:
            of = unknown + int(counts["refunded"].sum())
            found.append(
                Finding("refunds", NOTE, source=source, variant="unknown", count=unknown, of=of)
            )
    return [one for one in found if one is not None]


def outliers(rows: Sequence[dict[str, Any]], name: str, settings: QualityConfig) -> list[Finding]:
    """Purchases whose price or quantity is out of all proportion; by the money they hold."""
    found = []
    for source, own in by_source(list(rows)).items():
        first, counts = filled(own, ("bad", "n"))
        if not counts["bad"].any():
            continue
        worst = max(own, key=lambda row: (row["worst_z"], row["event_id"]))
        whole = sum(row["money"] for row in own)
        money = sum(row["bad_money"] for row in own) / whole if whole else 0.0
        unit = MICROS if name == "price" else 1
        finding = judged(
            "outliers", counts["bad"], counts["n"], first, warning=0.02, error=1.1,
            source=source, subject=name,
            figures={"z": settings.outlier_z, "money_share": money,
                     "worst": worst["worst"] / unit, "usual": worst["usual"] / unit},
            where=f"{of_source(source)} AND event_id = {text_sql(worst['event_id'])}",
        )  # fmt: skip
        assert finding is not None
        heavy = money >= settings.outlier_money
        found.append(replace(finding, severity=WARNING if heavy else finding.severity))
    return found


def repeated(rows: Sequence[dict[str, Any]], settings: QualityConfig) -> list[Finding]:
    """Orders stored twice under different ids, and single purchases that may be.

    One line of an order may well be there twice; an order of several lines, all of which are, came
    twice. Of single lines only a share that no shop reaches is told of.
    """
    found: list[Finding | None] = []
    for source, own in by_source(list(rows)).items():
        first, counts = filled(own, ("whole", "orders", "bad", "n"))
        found.append(
            judged(
                "repeated", counts["whole"], counts["orders"], first,
                warning=settings.orders_warning, error=settings.orders_error,
                unless_below=_TWICE, source=source, variant="orders",
                where=f"{of_source(source)} AND kind = 'purchase' AND order_id IS NOT NULL",
            )
        )  # fmt: skip
        found.append(
            judged(
                "repeated", counts["bad"], counts["n"], first, warning=_REPEATED, error=1.1,
                unless_below=_REPEATED, source=source, variant="lines",
                where=f"{of_source(source)} AND kind = 'purchase'",
            )
        )  # fmt: skip
    return [one for one in found if one is not None]


def told_again(rows: Sequence[dict[str, Any]], settings: QualityConfig) -> list[Finding]:
    """Orders that a source tells again at another time, with the same lines."""
    found: list[Finding | None] = []
    for source, own in by_source(list(rows)).items():
        first, counts = filled(own, ("again", "orders"))
        examples = [row["example"] for row in own if row["example"] is not None]
        money = sum(row["money"] for row in own) / MICROS
        found.append(
            judged(
                "repeated", counts["again"], counts["orders"], first,
                warning=settings.orders_warning, error=settings.orders_error,
                source=source, variant="again", figures={"money": money},
                example=f"order {examples[-1]}" if examples else "",
            )
        )  # fmt: skip
    return [one for one in found if one is not None]


def currencies(
    rows: Sequence[dict[str, Any]], settings: QualityConfig, *, rates: bool
) -> list[Finding]:
    """Sources whose amounts are in several currencies, or partly in none.

    Args:
        rates: whether the shop has a table of rates, by which they are converted.
    """
    found = []
    stated = {row["currency"] for row in rows if row["currency"]}
    for source, own in by_source(list(rows)).items():
        n = sum(row["n"] for row in own)
        first = own[0]
        others = [row for row in own if row["currency"] != first["currency"]]
        unstated = [row for row in own if row["currency"] is None]
        if unstated and (len(own) > 1 or stated):
            found.append(
                Finding("currencies", WARNING if len(own) > 1 else NOTE, source, "",
                        "unstated", unstated[0]["n"], n, unstated[0]["first_time"],
                        where=f"{of_source(source)} AND kind IN ('purchase', 'refund') "
                        "AND price > 0 AND currency IS NULL")
            )  # fmt: skip
        foreign = [row for row in others if row["currency"] is not None and first["currency"]]
        if foreign:
            amounts = {row["currency"]: row["money"] / MICROS for row in own if row["currency"]}
            found.append(
                Finding("currencies", NOTE if rates else WARNING, source, ", ".join(amounts),
                        "several", sum(row["n"] for row in foreign), n,
                        min(row["first_time"] for row in foreign), figures={"amounts": amounts},
                        where=f"{of_source(source)} "
                        f"AND currency = {text_sql(foreign[0]['currency'])}")
            )  # fmt: skip
    return found
