"""Months of money equal a slow count; each way to count otherwise is found out by its name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pyarrow as pa
import pytest
from tests.shops import ZONE, engine
from tests.unit.workflows import money_shop as slow

from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.time import to_us
from shoal.features.admission import EVER_US, FLAGS_SCHEMA, NEVER_US, PEOPLE_SCHEMA
from shoal.features.months import AMOUNTS, MEASURES, Ledger
from shoal.features.revenue import Counted, month_number
from shoal.workflows.books import Books
from shoal.workflows.books_compare import Comparison, Difference, compare
from shoal.workflows.reconcile import Reconciliation, summary

Months = dict[str, dict[str, int]]
EVENTS = slow.orders()
_ROOT = TemporaryDirectory()


def ledger_of(events: list[slow.Event] = EVENTS, **settings: object) -> Ledger:
    counted = Counted("EUR", slow.rates(), slow.no_people(), **settings)  # type: ignore[arg-type]
    return Ledger(engine(), slow.table(events), counted, workspace())


def workspace() -> Path:
    """A directory that lasts as long as the tests do."""
    return Path(mkdtemp(dir=_ROOT.name))


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return ledger_of()


def told(found: Reconciliation, names: tuple[str, ...]) -> Months:
    return {one.month: {name: getattr(one, name) for name in names} for one in found.months}


def test_months_equal_a_slow_count(ledger: Ledger) -> None:
    wanted = slow.months(EVENTS)
    names = tuple(name for name in MEASURES if name != "guest_orders")
    found = told(summary(ledger, ZONE), names)
    assert list(found) == list(wanted)
    for month, sums in wanted.items():
        assert found[month] == {name: sums.get(name, 0) for name in names}, month


def test_all_months_together_and_what_stands_beside(ledger: Ledger) -> None:
    found = summary(ledger, ZONE)
    total = found.total
    kept = [e for e in EVENTS if e["noise"] is None and e["kind"] == "purchase"]
    assert total.customers == len({e["customer_id"] for e in kept} - {None}) == total.new_customers
    assert total.orders == len({e["order_id"] for e in kept})
    assert total.guest_orders == len({e["order_id"] for e in kept if e["customer_id"] is None})
    assert total.net == sum(one.net for one in found.months)
    beside = {one.why: one for one in found.beside}
    tests = [e for e in EVENTS if e["noise"] == "test_order" and e["kind"] == "purchase"]
    assert beside["test_order"].orders == len({e["order_id"] for e in tests})
    fees = [e for e in EVENTS if e["noise"] is None and '"fee"' in str(e.get("properties"))]
    assert beside["fee"].lines == len(fees)
    assert beside["fee"].amount == sum(slow.euros(e, "price") for e in fees)


def test_a_range_counts_its_own_customers_and_the_first_orders_of_all_time(ledger: Ledger) -> None:
    first, last = month_number("2024-03"), month_number("2024-04")
    found = summary(ledger, ZONE, first, last)
    assert [one.month for one in found.months] == ["2024-03", "2024-04"]
    kept = [
        e for e in EVENTS
        if e["noise"] is None and e["kind"] == "purchase" and e["customer_id"]
        and slow.month_of(e) in ("2024-03", "2024-04")
    ]  # fmt: skip
    assert found.total.customers == len({e["customer_id"] for e in kept})
    assert found.total.new_customers < found.total.customers


def against(ledger: Ledger, theirs: Months, *measures: str, tolerance: float = 0.01) -> Comparison:
    values = {
        name: {month_number(month): sums.get(name, 0) for month, sums in theirs.items()}
        for name in measures
    }
    books = Books(Path("books.csv"), values, {name: name for name in measures})
    return compare(
        ledger, summary(ledger, ZONE), books, zone=ZONE, quarantine_dir=Path("none"),
        store=MemoryStateStore(), tolerance=tolerance,
    )  # fmt: skip


def total(found: Comparison, measure: str) -> Difference:
    return next(one for one in found.totals if one.measure == measure)


def codes(one: Difference) -> list[str]:
    return [cause.code for cause in one.causes]


def test_equal_books_agree(ledger: Ledger) -> None:
    names = ("orders", "gross", "net", "total", "customers")
    found = against(ledger, slow.months(EVENTS), *names)
    assert found.agrees
    assert all(one.agrees and not one.causes for one in (*found.totals, *found.differences))


def added(what: str, to: tuple[str, ...], sign: int = 1) -> Callable[[], Months]:
    """Books that have a measure more in others."""

    def books() -> Months:
        return {
            month: sums | {name: sums[name] + sign * sums.get(what, 0) for name in to}
            for month, sums in slow.months(EVENTS).items()
        }

    return books


def kept(keep: slow.Policy, **how: object) -> Callable[[], Months]:
    return lambda: slow.months(EVENTS, keep=keep, **how)  # type: ignore[arg-type]


def customs(note: str) -> Callable[[], Months]:
    def books() -> Months:
        found = slow.months(EVENTS)
        for event in EVENTS:
            if event["noise"] is None and note in str(event.get("properties")):
                found[slow.month_of(event)]["net"] += slow.euros(event, "price")
        return found

    return books


def refunds_with_order() -> Months:
    bought = {e["order_id"]: e for e in EVENTS if e["kind"] == "purchase"}
    moved = [
        e | {"event_time": bought[e["order_id"]]["event_time"]} if e["kind"] == "refund" else e
        for e in EVENTS
    ]
    # Converted on the day of the refund all the same.
    found = slow.months(EVENTS)
    for sums in found.values():
        sums["refunds"] = 0
    for before, after in zip(EVENTS, moved, strict=True):
        if before["kind"] == "refund" and before["noise"] is None:
            amount = slow.euros(before, "price") * before["quantity"]
            amount -= slow.euros(before, "discount")
            found[slow.month_of(after)]["refunds"] += amount
    return found


def discount_lines() -> Months:
    found = slow.months(EVENTS)
    for event in EVENTS:
        if event["noise"] is None and '"discount"' in str(event.get("properties")):
            found[slow.month_of(event)]["discounts"] += slow.euros(event, "price")
    return found


def ordinary(event: slow.Event) -> bool:
    return event["noise"] is None


@pytest.mark.parametrize(
    ("cause", "measure", "books"),
    [
        ("tax_included", "net", added("tax", ("net",))),
        ("tax_left_out", "gross", added("tax", ("gross",), -1)),
        ("shipping_included", "net", added("shipping", ("net",))),
        ("refunds_not_taken_off", "net", added("refunds", ("net",))),
        ("discounts_not_taken_off", "net", added("discounts", ("net",))),
        ("gross_after_discounts", "gross", added("discounts", ("gross",), -1)),
        ("refunds_with_order", "refunds", refunds_with_order),
        ("discount_lines", "discounts", discount_lines),
        ("noise_included", "net", kept(lambda e: e["noise"] in (None, "test_order"))),
        ("noise_included", "orders", kept(lambda e: True)),
        ("fees_included", "net", customs('"fee"')),
        ("gift_cards_included", "net", customs("gift_card")),
        ("guests_left_out", "net", kept(lambda e: ordinary(e) and e["customer_id"] is not None)),
        ("cancelled_left_out", "gross",
         kept(lambda e: ordinary(e) and e["order_status"] != "cancelled")),
        ("free_orders_left_out", "orders",
         kept(lambda e: ordinary(e) and not (e["kind"] == "purchase" and e["price"] == 0))),
        ("utc", "net", kept(ordinary, hours=0.0)),
        ("other_zone", "gross", kept(ordinary, hours=10.0)),
        ("not_converted", "net", kept(ordinary, convert=False)),
        ("other_currencies_left_out", "gross",
         kept(lambda e: ordinary(e) and e["currency"] == "EUR")),
    ],
)  # fmt: skip
def test_each_way_to_count_differently_is_named(
    ledger: Ledger, cause: str, measure: str, books: Callable[[], Months]
) -> None:
    found = against(ledger, books(), measure)
    assert not found.agrees
    one = total(found, measure)
    assert codes(one)[0] == cause
    # amounts of currencies without a rate are in such books too, and in none of the shop's months
    assert one.causes[0].explained > 0.999
    for row in found.differences:
        assert row.agrees or codes(row)[0] == cause, row.month


def test_a_zone_is_told_by_its_hours(ledger: Ledger) -> None:
    found = against(ledger, slow.months(EVENTS, hours=10.0), "gross")
    assert total(found, "gross").causes[0].text == (
        "the books' months begin 8 h before the shop's midnight"
    )


def test_two_causes_together(ledger: Ledger) -> None:
    theirs = slow.months(EVENTS)
    for sums in theirs.values():
        sums["net"] += sums["refunds"] + sums.get("shipping", 0)
    one = total(against(ledger, theirs, "net"), "net")
    assert codes(one)[0] == "shipping_included+refunds_not_taken_off"
    assert one.causes[0].text == (
        "the books' amounts include shipping and the books do not take refunds off"
    )


def test_what_nothing_explains_is_not_explained(ledger: Ledger) -> None:
    theirs = slow.months(EVENTS)
    theirs["2024-03"]["net"] += 777_777_770_000
    found = against(ledger, theirs, "net")
    assert total(found, "net").causes == ()
    (off,) = (one for one in found.differences if not one.agrees)
    assert (off.month, off.causes, off.difference) == ("2024-03", (), 777_777_770_000)


def test_one_odd_month_is_told_alone(ledger: Ledger) -> None:
    theirs = slow.months(EVENTS)
    theirs["2024-03"]["gross"] += theirs["2024-03"]["tax"]
    found = against(ledger, theirs, "gross")
    (off,) = (one for one in found.differences if not one.agrees)
    assert (off.month, codes(off)[0]) == ("2024-03", "tax_included")


def test_orders_of_two_sources_count_twice_until_one_is_named() -> None:
    web = [
        e | {"source": "web", "order_id": e["order_id"].removeprefix("#"), "event_id": f"w{n}"}
        for n, e in enumerate(EVENTS) if e["kind"] == "purchase"
    ]  # fmt: skip
    both = ledger_of([*EVENTS, *web])
    found = summary(both, ZONE)
    (twice,) = found.doubled
    alone = summary(ledger_of(), ZONE)
    assert twice.sources == ("shop", "web")
    assert twice.orders == alone.total.orders
    assert twice.amount == alone.total.gross - alone.total.discounts
    theirs = slow.months(EVENTS)
    assert codes(total(against(both, theirs, "gross"), "gross"))[0] == "told_by_several"
    named = ledger_of([*EVENTS, *web], order_sources=("shop",))
    chosen = summary(named, ZONE)
    assert (chosen.doubled, chosen.total) == ((), alone.total)
    assert {one.why for one in chosen.beside} > {"told_twice"}
    doubled = slow.months([*EVENTS, *web])
    assert codes(total(against(named, doubled, "gross"), "gross"))[0] == "told_twice_included"


def test_lines_stored_twice_are_found_out() -> None:
    again = [e | {"event_id": f"again{n}"} for n, e in enumerate(EVENTS) if e["kind"] == "purchase"]
    doubled = ledger_of([*EVENTS, *again])
    found = total(against(doubled, slow.months(EVENTS), "gross"), "gross")
    assert codes(found)[0] == "repeated_lines"


def later(event: slow.Event, place: int, seconds: int = 1) -> slow.Event:
    moment = event["event_time"] + timedelta(seconds=seconds)
    return event | {"event_id": f"later{place}", "event_time": moment, "content_key": 10**6 + place}


def test_orders_told_again_a_second_later_are_told_and_found_out() -> None:
    bought = [e for e in EVENTS if e["kind"] == "purchase"]
    twice = [e for e in bought if int(e["order_id"][1:]) % 3]
    ledger = ledger_of([*EVENTS, *(later(e, n) for n, e in enumerate(twice))])
    found, alone = summary(ledger, ZONE), summary(ledger_of(), ZONE)
    assert found.total.orders == alone.total.orders
    (again,) = found.again
    counted = [e for e in twice if e["noise"] is None]
    assert (again.source, again.orders) == ("shop", len({e["order_id"] for e in counted}))
    assert again.amount == found.total.net - alone.total.net
    for measure in ("units", "gross", "net", "total"):
        assert codes(total(against(ledger, slow.months(EVENTS), measure), measure)) == [
            "told_again"
        ]
    assert found.as_document()["told_again"] == [
        {"source": "shop", "orders": again.orders, "amount": again.amount / 1_000_000}
    ]


def test_an_order_of_which_some_lines_come_later_is_told_once() -> None:
    bought = [e for e in EVENTS if e["kind"] == "purchase"]
    own_times = [later(e, n, int(e["item_id"][1:])) for n, e in enumerate(bought)]
    scanned_twice = [later(e, n, 5) for n, e in enumerate(bought) if e["order_id"] == "#3"]
    assert summary(ledger_of([*own_times, *scanned_twice]), ZONE).again == ()
    more = [later(e, n, 60) for n, e in enumerate(bought) if e["item_id"] == "i1"]
    assert summary(ledger_of([*EVENTS, *more]), ZONE).again == ()
    other_quantity = [later(e, n) | {"quantity": e["quantity"] + 1} for n, e in enumerate(bought)]
    assert summary(ledger_of([*EVENTS, *other_quantity]), ZONE).again == ()


def test_tolerance_and_months_of_one_side(ledger: Ledger) -> None:
    theirs = slow.months(EVENTS)
    for sums in theirs.values():
        sums["net"] += 400_000
    assert not against(ledger, theirs, "net").agrees
    assert against(ledger, theirs, "net", tolerance=0.5).agrees
    del theirs["2024-02"]
    theirs["2030-01"] = {"net": 5}
    found = against(ledger, theirs, "net", tolerance=0.5)
    assert (found.only_ours, found.only_theirs) == (("2024-02",), ("2030-01",))
    assert not found.agrees


def test_the_document_speaks_in_units_of_the_currency(ledger: Ledger) -> None:
    found = summary(ledger, ZONE)
    document = found.as_document()
    assert document["schema"] == "shoal.reconcile/1"
    assert set(document["definitions"]) == {"month", *MEASURES}
    for one, shown in zip(found.months, document["months"], strict=True):
        for name in AMOUNTS:
            assert round(shown[name] * 1_000_000) == getattr(one, name)


def test_customers_are_those_that_identity_joins() -> None:
    own = [e | {"customer_id": "c1" if e["customer_id"] == "c2" else e["customer_id"]}
           for e in EVENTS]  # fmt: skip
    people = pa.Table.from_pylist(
        [{"id": "c2", "from_us": EVER_US, "to_us": NEVER_US, "customer_id": "c1", "merged": True}],
        schema=PEOPLE_SCHEMA,
    )
    joined = Ledger(engine(), slow.table(EVENTS), Counted("EUR", slow.rates(), people), workspace())
    found = summary(joined, ZONE)
    assert found.months == summary(ledger_of(own), ZONE).months
    assert found.total == summary(ledger_of(own), ZONE).total
    apart = summary(ledger_of(), ZONE).total
    assert found.total.customers == apart.customers - 1
    assert found.total.net == apart.net


def test_visitors_that_a_pace_rule_caught_are_in_no_measure_and_told_beside() -> None:
    def day(first: datetime, days: float) -> dict[str, int]:
        return {"from_us": to_us(first), "to_us": to_us(first + timedelta(days=days))}

    begin = datetime(2024, 1, 10, tzinfo=UTC)
    rows = [
        {"visitor_id": "c1", "rule": "rate", **day(begin, 90)},
        {"visitor_id": "c1", "rule": "rate", **day(begin, 90), "told_us": 1},
        {"visitor_id": "c1", "rule": "rate", **day(begin + timedelta(days=70), 80)},
        {"visitor_id": "c1", "rule": "no_think_time", **day(begin, 10)},
        {"visitor_id": "c2", "rule": "no_think_time", **day(begin, 160)},
    ]
    flags = pa.Table.from_pylist(rows, schema=FLAGS_SCHEMA)
    caught = {"c1": 150, "c2": 160}

    def fast(event: slow.Event) -> bool:
        days = caught.get(event["customer_id"], 0)
        return begin <= event["event_time"] < begin + timedelta(days=days)

    ledger = ledger_of(flags=flags)
    found = summary(ledger, ZONE)
    wanted = slow.months(EVENTS, keep=lambda e: e["noise"] is None and not fast(e))
    names = ("orders", "units", "gross", "refunds", "net", "customers")
    assert told(found, names) == {
        month: {name: sums.get(name, 0) for name in names} for month, sums in wanted.items()
    }
    beside = {one.why: one for one in found.beside}
    assert {"rate", "no_think_time"} < set(beside)
    lost = summary(ledger_of(), ZONE).total.net - found.total.net
    assert lost == beside["rate"].amount + beside["no_think_time"].amount
    assert beside["rate"].lines == sum(
        fast(e) and e["customer_id"] == "c1" and e["noise"] is None for e in EVENTS
        if e["kind"] in ("purchase", "refund")
    )  # fmt: skip
    books = slow.months(EVENTS, keep=lambda e: e["noise"] is None)
    (code, *_) = codes(total(against(ledger, books, "net"), "net"))
    assert set(code.split("+")) == {"noise_included"}


def test_only_what_happened_before_a_moment() -> None:
    moment = datetime(2024, 3, 15, 12, tzinfo=UTC)
    found = summary(ledger_of(before_us=to_us(moment)), ZONE)
    early = slow.months([e for e in EVENTS if e["event_time"] < moment])
    assert told(found, ("orders", "net", "customers")) == {
        month: {name: sums[name] for name in ("orders", "net", "customers")}
        for month, sums in early.items()
    }
    counted = [e for e in EVENTS if e["event_time"] < moment and e["noise"] is None]
    last = max(e["event_time"] for e in counted) + timedelta(seconds=slow.OFFSET_S)
    assert found.ends == (("2024-03", "ends", last.date()),)
