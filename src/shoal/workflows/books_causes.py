"""Why books differ: other ways to count the same events, each as what it would add to each month.

A hypothesis is a set of differences: were it true, the books would be the shop's figures plus
these. How much of the true difference it leaves says how likely it is (`books_compare`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from shoal.features import revenue_doubts
from shoal.features.months import ADDED, ByMonth, Ledger, Mask
from shoal.features.revenue import FEE, FOREIGN, GIFT_CARD, PURCHASE, REFUND, TOLD_TWICE
from shoal.workflows.books_quarantine import Quarantined

#: Hours by which time zones differ from each other's midnight.
_HOURS: Final = tuple(hour for hour in range(-14, 15) if hour)
#: What a time zone must explain, of all months together: it moves money between two months, so a
#: single month proves nothing.
_NEARLY_ALL: Final = 0.95
#: What any other cause must explain.
LIKELY: Final = 0.8

#: What each cause says of the books. `{what}` is a code of noise or a number of hours.
CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tax_included": "the books' amounts include tax",
        "tax_left_out": "the shop's prices include tax, the books' amounts do not",
        "shipping_included": "the books' amounts include shipping",
        "tax_and_shipping_included": "the books' amounts include tax and shipping",
        "refunds_with_order": "the books put refunds into the month of the order",
        "refunds_not_taken_off": "the books do not take refunds off",
        "discounts_not_taken_off": "the books do not take discounts off",
        "gross_after_discounts": "the books' gross is after discounts",
        "discount_lines": "lines of discount are refunds here, discounts in the books",
        "noise_included": "the books count what is left out here as {what}",
        "fees_included": "the books count fees and postage",
        "gift_cards_included": "the books count gift cards sold",
        "guests_left_out": "the books leave out orders of guests",
        "guests_as_customers": "the books count each order of a guest as a customer",
        "cancelled_left_out": "the books leave out cancelled orders",
        "free_orders_left_out": "the books leave out orders that cost nothing",
        "other_zone": "the books' months begin {what} the shop's midnight",
        "utc": "the books' months are those of UTC",
        "quarantined_included": "the books count rows that are in the quarantine",
        "not_converted": "the books add amounts of other currencies as they are",
        "other_currencies_left_out": "the books leave out amounts of other currencies",
        "told_by_several": "orders that several sources tell count several times here",
        "told_again": "orders that one source tells again at another time count once in the books",
        "told_twice_included": "the books count orders of sources that do not count here",
        "repeated_lines": "lines stored twice under different ids count once in the books",
    }
)

#: Deltas of each measure by month.
Deltas = Mapping[str, ByMonth]


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One way to count differently.

    Args:
        code: of `CAUSES`; `what` fills its text.
        deltas: what the books would have more than the shop, by measure and month.
        least: the share of a difference that it must explain to be named.
        of_all: it is judged over all months together only, and never with another.
    """

    code: str
    deltas: Deltas
    what: str = ""
    least: float = LIKELY
    of_all: bool = False

    @property
    def text(self) -> str:
        return CAUSES[self.code].format(what=self.what)


def hypotheses(ledger: Ledger, held: Quarantined) -> list[Hypothesis]:
    """Every way to count differently that would change anything."""
    every = [
        *_amounts(ledger),
        *_refunds(ledger),
        *_included(ledger, held),
        *_excluded(ledger),
        *_zones(ledger),
    ]
    return [one for one in every if any(any(of.values()) for of in one.deltas.values())]


def _amounts(ledger: Ledger) -> Iterable[Hypothesis]:
    """Tax, shipping and discounts in or out of gross and net."""
    added = {name: ledger.by_month(ledger.measures[name], ledger.counts) for name in ADDED}
    tax, shipping, off = added["tax"], added["shipping"], added["discounts"]
    both = plus(tax, shipping)
    yield Hypothesis("tax_included", {"gross": tax, "net": tax})
    less = minus({}, tax)
    yield Hypothesis("tax_left_out", {"gross": less, "net": less, "total": less})
    yield Hypothesis("shipping_included", {"gross": shipping, "net": shipping})
    yield Hypothesis("tax_and_shipping_included", {"gross": both, "net": both})
    yield Hypothesis("gross_after_discounts", {"gross": minus({}, off)})
    yield Hypothesis("discounts_not_taken_off", {"net": off, "total": off})
    back = added["refunds"]
    yield Hypothesis("refunds_not_taken_off", {"net": back, "total": back})


def _refunds(ledger: Ledger) -> Iterable[Hypothesis]:
    moved: ByMonth = {}
    for row in ledger.run(revenue_doubts.returned()).to_pylist():
        moved[row["month"]] = moved.get(row["month"], 0) - row["refunds"]
        moved[row["bought"]] = moved.get(row["bought"], 0) + row["refunds"]
    other = minus({}, moved)
    yield Hypothesis("refunds_with_order", {"refunds": moved, "net": other, "total": other})
    lines = ledger.counts & (ledger.what == REFUND) & ledger.flag("discount_line")
    taken = ledger.by_month(ledger.measures["refunds"], lines)
    yield Hypothesis("discount_lines", {"refunds": minus({}, taken), "discounts": taken})


def _included(ledger: Ledger, held: Quarantined) -> Iterable[Hypothesis]:
    """What is left out here and may stand in the books."""
    reasons = sorted(set(ledger.left_out) - {"", FOREIGN, TOLD_TWICE})
    for why in reasons:
        yield Hypothesis("noise_included", _all(ledger, ledger.left_out == why, why), why)
    if len(reasons) > 1:
        noise = np.isin(ledger.left_out, reasons)
        yield Hypothesis("noise_included", _all(ledger, noise, *reasons), ", ".join(reasons))
    twice = _all(ledger, ledger.left_out == TOLD_TWICE, TOLD_TWICE)
    yield Hypothesis("told_twice_included", twice)
    for what, code in ((FEE, "fees_included"), (GIFT_CARD, "gift_cards_included")):
        sums = ledger.by_month(ledger.sums("amount"), ledger.counts & (ledger.what == what))
        yield Hypothesis(code, {"gross": sums, "net": sums, "total": sums})
    net = minus(held.gross, held.refunds)
    yield Hypothesis(
        "quarantined_included",
        {"gross": held.gross, "refunds": held.refunds, "net": net, "total": net},
    )
    guests = ledger.orders_by_month(ledger.order_flag("guest"))
    yield Hypothesis("guests_as_customers", {"customers": guests})


def _excluded(ledger: Ledger) -> Iterable[Hypothesis]:
    """What counts here and may be missing from the books."""
    for flag in ("guest", "cancelled"):
        deltas = _negative(_money(ledger, ledger.counts & ledger.flag(flag)))
        deltas["orders"] = minus({}, ledger.orders_by_month(ledger.order_flag(flag)))
        yield Hypothesis({"guest": "guests_left_out"}.get(flag, "cancelled_left_out"), deltas)
    free = ledger.orders_by_month(ledger.order_flag("free"))
    yield Hypothesis("free_orders_left_out", {"orders": minus({}, free)})
    exchanged = ledger.counts & ledger.flag("exchanged")
    yield Hypothesis("other_currencies_left_out", _negative(_money(ledger, exchanged)))
    more = ledger.sums("written") - ledger.sums("amount")
    more_off = ledger.sums("written_off") - ledger.sums("reduction")
    back = exchanged & (ledger.what == REFUND)
    bought = exchanged & (ledger.what == PURCHASE)
    gross, off = ledger.by_month(more, bought), ledger.by_month(more_off, bought)
    refunds = ledger.by_month(more - more_off, back)
    net = minus(minus(gross, off), refunds)
    yield Hypothesis(
        "not_converted",
        {"gross": gross, "discounts": off, "refunds": refunds, "net": net, "total": net},
    )
    yield Hypothesis("told_by_several", _doubles(ledger.doubled))
    again = [row | {"orders": 0} for row in ledger.told_again]  # they have one id
    yield Hypothesis("told_again", _doubles(again))
    stored = ledger.run(revenue_doubts.repeated()).to_pylist()
    yield Hypothesis("repeated_lines", _doubles(stored))


def _doubles(rows: Iterable[Mapping[str, int]]) -> Deltas:
    """What goes when something counts once less."""
    found: dict[str, ByMonth] = {}
    for row in rows:
        for name in ("orders", "units", "gross", "discounts", "tax", "shipping"):
            if name in row:
                sums = found.setdefault(name, {})
                sums[row["month"]] = sums.get(row["month"], 0) - row[name]
    net = minus(found.get("gross", {}), found.get("discounts", {}))
    total = plus(net, plus(found.get("tax", {}), found.get("shipping", {})))
    return {**found, "net": net, "total": total}


def _zones(ledger: Ledger) -> Iterable[Hypothesis]:
    here = _cut(ledger)
    utc = _cut(ledger, utc=True)
    yield Hypothesis("utc", _less(utc, here), least=_NEARLY_ALL, of_all=True)
    for hours in _HOURS:
        shifted = _less(_cut(ledger, shift_quarters=4 * hours), here)
        # Time moved on by h hours: months begin h hours before midnight.
        when = f"{abs(hours)} h {'before' if hours > 0 else 'after'}"
        yield Hypothesis("other_zone", shifted, when, least=_NEARLY_ALL, of_all=True)


def _cut(ledger: Ledger, *, shift_quarters: int = 0, utc: bool = False) -> dict[str, ByMonth]:
    found = _money(ledger, ledger.counts, shift_quarters=shift_quarters, utc=utc)
    counts = np.asarray(ledger.orders_left_out == "", dtype=bool)
    found["orders"] = ledger.orders_by_month(counts, shift_quarters=shift_quarters, utc=utc)
    return found


def _money(
    ledger: Ledger, where: Mask, *, shift_quarters: int = 0, utc: bool = False
) -> dict[str, ByMonth]:
    """Every added measure of some rows of the sums, with net and total."""
    found = {
        name: ledger.by_month(
            ledger.measures[name], where, shift_quarters=shift_quarters, utc=utc
        )
        for name in ADDED
    }  # fmt: skip
    found["net"] = minus(minus(found["gross"], found["discounts"]), found["refunds"])
    found["total"] = plus(plus(found["net"], found["tax"]), found["shipping"])
    return found


def _all(ledger: Ledger, where: Mask, *reasons: str) -> Deltas:
    """Every measure of what is left out for some reasons, orders too."""
    own = np.asarray(np.isin(ledger.orders_left_out, reasons), dtype=bool)
    return {**_money(ledger, where), "orders": ledger.orders_by_month(own)}


def plus(one: ByMonth, other: ByMonth) -> ByMonth:
    """The sum of two."""
    return {month: one.get(month, 0) + other.get(month, 0) for month in one.keys() | other.keys()}


def minus(one: ByMonth, other: ByMonth) -> ByMonth:
    """The difference of two."""
    return {month: one.get(month, 0) - other.get(month, 0) for month in one.keys() | other.keys()}


def _negative(deltas: Deltas) -> dict[str, ByMonth]:
    return {name: minus({}, of) for name, of in deltas.items()}


def _less(one: Mapping[str, ByMonth], other: Mapping[str, ByMonth]) -> dict[str, ByMonth]:
    return {name: minus(one[name], other[name]) for name in one}
