"""Whom rules hold for: what each clause means, by both evaluators, on events written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.laws.logs import to_table
from tests.shops import engine

from shoal.domain.errors import InputError, UsageError
from shoal.domain.event import Event
from shoal.domain.time import Zone
from shoal.features.queries import Rules
from shoal.segments.ruled import batch, rule, single
from shoal.segments.ruled.document import checked, of_document
from shoal.segments.ruled.language import Rule, RuleSet
from shoal.segments.ruled.measured import MEMBERS_SCHEMA

NOW = datetime(2024, 6, 10, 12, tzinfo=UTC)
SHOP = Rules(currency="EUR")


def event(days_ago: float, kind: str = "view", customer: str = "a", **more: Any) -> Event:
    event.count += 1
    moment = NOW - timedelta(days=days_ago)
    return Event(f"e{event.count:04d}", kind, moment, customer_id=customer, **more)


event.count = 0


def held(
    document: Any,
    events: list[Event],
    *,
    features: dict[str, list[Any]] | None = None,
    members: list[dict[str, Any]] | None = None,
    zone: str = "UTC",
    shop: Rules = SHOP,
    now: datetime = NOW,
) -> set[str]:
    """For whom a rule holds: both evaluators agree on it."""
    rules = checked(document) if isinstance(document, Rule | RuleSet) else of_document(document)
    named = rules.rules
    table, zoned = to_table(events, zone), Zone(zone)
    known = None if features is None else pa.table(features)
    belonging = pa.Table.from_pylist(members or [], schema=MEMBERS_SCHEMA)
    found = batch.answers(
        engine(), named, shop, as_of=now, zone=zoned, events=table, features=known,
        members=belonging,
    )  # fmt: skip
    rows = {row["customer_id"]: row for row in found.to_pylist()}
    about = {row["customer_id"]: row for row in known.to_pylist()} if known else {}
    for customer, row in rows.items():
        one = single.Customer(
            [each for each in table.to_pylist() if each["customer_id"] == customer],
            about.get(customer, {}),
            [each for each in members or [] if each["customer_id"] == customer],
        )
        told = single.answers(named, one, shop, as_of=now, zone=zoned)
        assert told == {name: row[name] for name in named}
    return {customer for customer, row in rows.items() if row[next(iter(named))]}


# -- what is unknown -------------------------------------------------------------------------------

FEATURES: dict[str, list[Any]] = {
    "customer_id": ["low", "high", "nobody-knows", "no-number"],
    "spend": [5.0, 50.0, None, float("nan")],
}


@pytest.mark.parametrize(
    ("clause", "who"),
    [
        (rule.feature("spend") >= 10, {"high"}),
        (rule.feature("spend") < 10, {"low"}),
        (~(rule.feature("spend") < 10), {"high", "nobody-knows", "no-number"}),
        (rule.feature("spend") != 5, {"high"}),
        (~(rule.feature("spend") == 5), {"high", "nobody-knows", "no-number"}),
        (rule.feature("spend").notin([5]), {"high"}),
        (rule.feature("spend").unknown(), {"nobody-knows", "no-number"}),
        (rule.feature("spend").known() & ~(rule.feature("spend") == 5), {"high"}),
        (rule.feature("spend").between(5, 50), {"low", "high"}),
    ],
)
def test_a_comparison_with_something_unknown_is_false(clause: Rule, who: set[str]) -> None:
    events = [event(1, customer=name) for name in FEATURES["customer_id"]]
    assert held(clause, events, features=FEATURES) == who


def test_counts_and_sums_of_nothing_are_zero_and_everything_else_is_unknown() -> None:
    events = [event(1)]
    bought = rule.events("purchase")
    for measure in (bought.count(), bought.orders(), bought.items(), bought.days(),
                    bought.sum("net")):  # fmt: skip
        assert held(measure == 0, events) == {"a"}
        assert held(measure.known(), events) == {"a"}
    for measure in (bought.min("price"), bought.max("price"), bought.latest("channel"),
                    bought.days_since_first(), bought.days_since_last()):  # fmt: skip
        assert held(measure.unknown(), events) == {"a"}


def test_traits_are_texts_that_compare_as_numbers_where_they_are_plain_ones() -> None:
    features = {
        "customer_id": ["a", "b", "c", "d", "e"],
        "trait_age": ["41", "041", "forty-one", "1e2", None],
    }
    events = [event(1, customer=name) for name in features["customer_id"]]
    age = rule.trait("age")
    assert held(age == 41, events, features=features) == {"a", "b"}
    assert held(age == "41", events, features=features) == {"a"}
    assert held(age < 100, events, features=features) == {"a", "b"}
    assert held(age.known(), events, features=features) == {"a", "b", "c", "d"}
    assert held(age.startswith("for"), events, features=features) == {"c"}


# -- events ----------------------------------------------------------------------------------------


def test_last_days_are_local_calendar_days_and_today_is_one_of_them() -> None:
    early = datetime(2024, 6, 10, 3, tzinfo=UTC)  # still the ninth in New York
    events = [
        replace(event(0), event_time=datetime(2024, 6, 9, 3, tzinfo=UTC), customer_id="eighth"),
        replace(event(0), event_time=datetime(2024, 6, 9, 5, tzinfo=UTC), customer_id="ninth"),
    ]
    rules = rule.events("view").last_days(1) >= 1
    assert held(rules, events, zone="America/New_York", now=early) == {"ninth"}
    assert held(rules, events, zone="UTC", now=early) == set()
    assert held(rule.events().last_days(2, skip=1) >= 1, events, zone="UTC", now=early) == {
        "eighth", "ninth"
    }  # fmt: skip


def test_dates_are_both_included() -> None:
    events = [event(day, customer=f"{day}") for day in (0, 1, 2, 3)]
    assert held(rule.events().between_dates("2024-06-08", "2024-06-09") >= 1, events) == {"1", "2"}
    assert held({"events": "view", "in": {"to": "2024-06-08"}}, events) == {"2", "3"}


def test_money_is_of_the_shops_currency_and_compared_exactly() -> None:
    events = [
        event(1, "purchase", "ten-cents", price=100_000, quantity=3, currency="EUR"),
        event(1, "purchase", "dollars", price=100_000, quantity=3, currency="USD"),
        event(1, "purchase", "no-currency", price=300_000),
        event(1, "purchase", "less", price=300_000, discount=1),
        event(1, "purchase", "no-price"),
    ]
    net = rule.events("purchase").sum("net")
    assert held(net == 0.3, events) == {"ten-cents", "no-currency"}
    assert held(net < 0.3, events) == {"dollars", "less", "no-price"}
    assert held(rule.events().max("price").unknown(), events) == {"dollars", "no-price"}


def test_a_refund_takes_from_what_was_bought() -> None:
    events = [
        event(9, "purchase", price=10_000_000, quantity=2),
        event(8, "refund", price=-10_000_000),
        event(8, "purchase", "b", price=10_000_000),
    ]
    assert held(rule.events("purchase", "refund").sum("net") == 10, events) == {"a", "b"}
    assert held(rule.events("refund").min("net") == -10, events) == {"a"}


def test_lines_of_one_order_are_one_order() -> None:
    events = [
        event(5, "purchase", order_id="o1"), event(4, "purchase", order_id="o1"),
        event(3, "purchase", "b", order_id="o1"), event(2, "purchase", "b", order_id="o2"),
        event(3, "purchase", "c"), event(2, "purchase", "c"),
    ]  # fmt: skip
    orders = rule.events("value").orders()
    assert held(orders == 1, events) == {"a"}
    assert held(orders == 2, events) == {"b", "c"}


def test_what_counts_as_buying_is_the_shops() -> None:
    events = [event(1, "review"), event(1, "purchase", "b")]
    bought = rule.events("value") >= 1
    assert held(bought, events) == {"b"}
    assert held(bought, events, shop=Rules(value_event="review")) == {"a"}


def test_the_latest_value_is_that_of_the_last_event_that_has_one() -> None:
    events = [
        event(3, channel="web"), event(2, channel="app"), event(1),
        event(2, customer="b", channel="app", sequence=1),
        event(2, customer="b", channel="web", sequence=2),
    ]  # fmt: skip
    assert held(rule.events().latest("channel") == "app", events) == {"a"}
    assert held(rule.events().latest("channel") == "web", events) == {"b"}


def test_a_category_is_under_itself_and_under_every_part_of_its_path() -> None:
    paths = ("home", "home/lamps", "homes", "my/home", None)
    events = [event(1, customer=f"{path}", category=path) for path in paths]
    home = rule.events().where(rule.field("category").under("home")) >= 1
    assert held(home, events) == {"home", "home/lamps"}


def test_properties_of_events_can_be_asked_for() -> None:
    events = [
        event(1, "custom", properties='{"event": "wheel_spun", "won": true}'),
        event(1, "custom", "b", properties='{"event": "other"}'),
        event(1, "custom", "c", properties="not json"),
    ]
    spun = rule.events("custom").where(rule.field("properties.event") == "wheel_spun")
    assert held(spun >= 1, events) == {"a"}
    won = rule.events("custom").where(rule.field("properties.won") == "true")
    assert held(won >= 1, events) == {"a"}


# -- sequences -------------------------------------------------------------------------------------

VIEW, BUY = rule.events("view"), rule.events("purchase")


def test_then_means_later_and_within_the_days() -> None:
    events = [
        event(9, "view", "soon"), event(7, "purchase", "soon"),
        event(9, "view", "late"), event(5, "purchase", "late"),
        event(9, "purchase", "before"), event(8, "view", "before"),
        event(9, "view", "to-the-second"), event(6, "purchase", "to-the-second"),
    ]  # fmt: skip
    assert held(VIEW.then(BUY, within_days=3), events) == {"soon", "to-the-second"}
    assert held(VIEW.then(BUY), events) == {"soon", "late", "to-the-second"}


def test_viewed_then_did_not_buy_within_three_days() -> None:
    events = [
        event(9, "view", "never"),
        event(9, "view", "soon"), event(7, "purchase", "soon"),
        event(9, "view", "late"), event(5, "purchase", "late"),
        event(2, "view", "may-still-buy"),
        event(3, "view", "to-the-second"),
        event(9, "purchase", "bought-only"),
        event(9, "view", "one-of-two"), event(8, "purchase", "one-of-two"),
        event(7, "view", "one-of-two"),
    ]  # fmt: skip
    rules = VIEW.not_then(BUY, within_days=3)
    assert held(rules, events) == {"never", "late", "one-of-two"}
    recent = VIEW.last_days(6).not_then(BUY, within_days=3)
    assert held(recent, events) == set()
    assert held(VIEW.not_then(BUY), events) == {
        "never", "may-still-buy", "to-the-second", "one-of-two"
    }  # fmt: skip


def test_a_sequence_of_the_same_item() -> None:
    events = [
        event(9, "view", "this", item_id="i1"), event(8, "purchase", "this", item_id="i1"),
        event(9, "view", "other", item_id="i1"), event(8, "purchase", "other", item_id="i2"),
        event(9, "view", "none"), event(8, "purchase", "none"),
    ]  # fmt: skip
    assert held(VIEW.then(BUY, same="item_id"), events) == {"this"}
    assert held(VIEW.not_then(BUY, same="item_id"), events) == {"other"}


def test_three_steps_each_within_its_days_of_the_one_before() -> None:
    cart = rule.events("cart_add")
    steps = VIEW.then(cart, within_days=1).then(BUY, within_days=2)
    events = [
        event(9, "view", "yes"), event(8.5, "cart_add", "yes"), event(7, "purchase", "yes"),
        event(9, "view", "slow"), event(7, "cart_add", "slow"), event(6, "purchase", "slow"),
        event(9, "view", "again"), event(7, "view", "again"), event(6.5, "cart_add", "again"),
        event(5, "purchase", "again"),
    ]  # fmt: skip
    assert held(steps, events) == {"yes", "again"}


def test_events_at_one_moment_follow_in_the_order_of_their_source() -> None:
    events = [
        event(3, "view", sequence=2), event(3, "purchase", sequence=1),
        event(3, "view", "b", sequence=1), event(3, "purchase", "b", sequence=2),
    ]  # fmt: skip
    assert held(VIEW.then(BUY), events) == {"b"}


# -- sets, counts, segments ------------------------------------------------------------------------


def test_rules_of_a_file_are_sets() -> None:
    events = [
        event(1, "view", "a"), event(1, "purchase", "ab"), event(1, "view", "ab"),
        event(1, "purchase", "b"), event(1, "share", "c"),
    ]  # fmt: skip

    def of(clause: dict[str, Any]) -> set[str]:
        segments = [
            {"id": "asked", "rule": clause},
            {"id": "v", "rule": {"events": "view"}},
            {"id": "p", "rule": {"events": "purchase"}},
        ]
        return held({"segments": segments}, events)

    assert of({"union": ["v", "p"]}) == {"a", "ab", "b"}
    assert of({"intersect": ["v", "p"]}) == {"ab"}
    assert of({"except": ["v", "p"]}) == {"a"}
    assert of({"not": {"rule": "v"}}) == {"b", "c"}
    assert of({"at_least": 1, "of": [{"rule": "v"}, {"events": "share"}]}) == {"a", "ab", "c"}


def test_a_rule_that_names_one_outside_a_file_is_refused() -> None:
    for ask in (
        lambda: batch.definition({"x": rule.named("vip")}, SHOP),
        lambda: single.answers(
            {"x": rule.named("vip")}, single.Customer(), SHOP, as_of=NOW, zone=Zone("UTC")
        ),
    ):
        with pytest.raises(UsageError, match="no rule is called 'vip' here"):
            ask()


def test_segments_of_another_segmentation() -> None:
    day_us = 86_400_000_000
    now_us = int(NOW.timestamp() * 1_000_000)

    def member(customer: str, segment: str, weight: float, days: float | None) -> dict[str, Any]:
        since = None if days is None else now_us - int(days * day_us)
        return {
            "customer_id": customer, "segmentation": "main", "segment_id": segment,
            "weight": weight, "since_us": since,
        }  # fmt: skip

    members = [
        member("a", "s01", 0.75, 10), member("a", "s02", 0.25, None),
        member("b", "s01", 0.25, None), member("b", "s02", 0.75, 1),
    ]  # fmt: skip
    events = [event(1), event(1, customer="b"), event(1, customer="c")]
    features = {"customer_id": ["a", "b", "c"]}
    ask = {"features": features, "members": members}
    assert held(rule.segment("s01"), events, **ask) == {"a"}
    assert held(~rule.segment("s01"), events, **ask) == {"b", "c"}
    assert held(rule.days_in("s01") >= 10, events, **ask) == {"a"}
    assert held(rule.days_in("s02") > 1, events, **ask) == set()
    assert held(rule.weight_of("s01") <= 0.25, events, **ask) == {"b", "c"}


def test_columns_beside_the_catalog_are_features_too() -> None:
    features = {"customer_id": ["a", "b"], "next_active": [0.9, 0.1]}
    events = [event(1), event(1, customer="b")]
    assert held(rule.feature("next_active") > 0.5, events, features=features) == {"a"}
    with pytest.raises(UsageError, match="next_active, which the features table does not have"):
        held(rule.feature("next_active") > 0.5, events, features={"customer_id": ["a"]})


# -- point in time, size, mischief -----------------------------------------------------------------


def test_an_event_at_the_moment_does_not_count() -> None:
    events = [event(5), replace(event(0), kind="purchase")]
    assert held(BUY >= 1, events) == set()
    assert held(BUY >= 1, events, now=NOW + timedelta(microseconds=1)) == {"a"}


def test_guests_facts_of_items_and_noise_do_not_count() -> None:
    events = [event(1), replace(event(1), kind="item"), replace(event(1), customer_id=None)]
    assert held(rule.events() == 1, events) == {"a"}


def test_a_rule_of_a_thousand_clauses_side_by_side_is_answered() -> None:
    clauses = [{"feature": "spend", "op": "=", "value": n} for n in range(1_000)]
    events = [event(1), event(1, customer="b")]
    features = {"customer_id": ["a", "b"], "spend": [999.0, 1000.0]}
    assert held({"any": clauses}, events, features=features) == {"a"}


@pytest.mark.parametrize(
    "text",
    ["x'; DROP TABLE events; --", '" OR 1=1 --', "a\\' OR 1=1", "%", "_", "{0}", "客户", "\t"],
)
def test_texts_of_rules_are_texts(text: str) -> None:
    events = [event(1, brand=text), event(1, customer="b", brand="other")]
    brand = rule.field("brand")
    assert held(rule.events().where(brand == text) >= 1, events) == {"a"}
    assert held(rule.events().where(brand.contains(text)) >= 1, events) == {"a"}
    assert held(rule.events().where(brand.startswith(text)) >= 1, events) == {"a"}
    assert held(rule.events().where(brand != text) >= 1, events) == {"b"}


def test_features_alone_do_not_answer_rules_over_events() -> None:
    from shoal.segments.ruled.segmenter import RuleSegmenter

    segmenter = RuleSegmenter(of_document({"events": "view"}))
    with pytest.raises(InputError, match="a rule asks for events or memberships"):
        segmenter.predict(pa.table({"customer_id": ["a"]}))
