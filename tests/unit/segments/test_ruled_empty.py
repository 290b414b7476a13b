"""Rules that nobody can fulfil are found, and rules that somebody can are left alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.random_rules import Chance

from shoal.features.catalog import CATALOG
from shoal.segments.ruled import rule
from shoal.segments.ruled.document import checked, of_document
from shoal.segments.ruled.empty import doubts
from shoal.segments.ruled.known import Known
from shoal.segments.ruled.language import Rule

KNOWN = Known.of(CATALOG.with_traits(("age",)))
ORDERS, SPEND, COUNTRY = rule.feature("orders"), rule.feature("spend"), rule.feature("country")
VIEWS = rule.events("view")


def told(clause: Rule | dict[str, Any]) -> list[tuple[str, str]]:
    rules = checked(clause) if isinstance(clause, Rule) else of_document(clause)
    return [(one.path, one.message) for one in doubts(rules, KNOWN)]


@pytest.mark.parametrize(
    "clause",
    [
        (ORDERS >= 5) & (ORDERS < 3),
        (ORDERS > 2) & (ORDERS < 3),
        (ORDERS == 2) & (ORDERS != 2),
        (ORDERS < 0) & (SPEND > 1),
        (ORDERS >= 3) & ~(ORDERS >= 2) & ORDERS.known(),
        (SPEND > 5) & SPEND.unknown(),
        (COUNTRY == "DE") & (COUNTRY == "AT"),
        COUNTRY.isin(["DE", "AT"]) & COUNTRY.notin(["DE", "AT"]),
        (VIEWS >= 3) & (VIEWS == 0),
        (VIEWS.last_days(7) >= 1) & (VIEWS.last_days(7) < 1),
        VIEWS < 0,
        VIEWS.unknown(),
        ~VIEWS.known(),
        VIEWS.between_dates("2024-01-01", "2024-02-01") == 1.5,
        rule.segment("s01") & ~rule.segment("s01"),
        rule.weight_of("s01") > 1,
        (ORDERS >= 5) & ((ORDERS < 3) | (ORDERS == 4)),
        VIEWS.then(rule.events("purchase")) & ~VIEWS.then(rule.events("purchase")),
        rule.without((ORDERS > 3), (ORDERS > 1)),
    ],
)
def test_a_contradiction_is_told(clause: Rule) -> None:
    found = told(clause)
    assert [path for path, _ in found] == ["$"]
    assert found[0][1].startswith("nobody can fulfil this: ")


@pytest.mark.parametrize(
    "clause",
    [
        (ORDERS >= 3) & (ORDERS < 5),
        (SPEND > 2) & (SPEND < 3),
        (SPEND < 0) & (ORDERS == 0),
        ~(SPEND >= 0) & ~(SPEND < 0),
        (VIEWS >= 3) & (VIEWS.last_days(7) == 0),
        (VIEWS >= 3) | (VIEWS < 0),
        (COUNTRY != "DE") & (COUNTRY != "AT"),
        (rule.trait("age") == "41") & (rule.trait("age") >= 40),
        (ORDERS >= 5) & ((ORDERS < 3) | (SPEND > 4)),
        rule.segment("s01") & rule.segment("s02", "rfm"),
        rule.at_least(1, ORDERS < 0, SPEND > 1),
        VIEWS.days_since_last().unknown(),
        rule.feature("units") < 0,
        rule.feature("refund_share") > 1.5,
    ],
)
def test_what_somebody_may_fulfil_is_no_contradiction(clause: Rule) -> None:
    found = told(clause)
    assert not [path for path, _ in found if path == "$"]


def test_the_clause_that_is_empty_is_named_by_its_path() -> None:
    clause = (SPEND > 3) | ((ORDERS >= 5) & (ORDERS < 3))
    assert told(clause) == [
        ("$.any[1]", "nobody can fulfil this: orders is at least 5 and orders is below 3")
    ]
    assert told(~((ORDERS >= 5) & (ORDERS < 3)))[0][0] == "$.not"


def test_conditions_that_no_event_fulfils_are_told() -> None:
    price = rule.field("price")
    found = told(VIEWS.where(price > 10, price < 5) >= 0)
    assert found == [("$.where", "no event can fulfil this: price")]


def test_a_rule_that_stands_twice_is_told() -> None:
    clause = {"feature": "orders", "op": ">=", "value": 3}
    rules = of_document({"segments": [{"id": "a", "rule": clause}, {"id": "b", "rule": clause}]})
    found = [one.as_document() for one in doubts(rules, KNOWN)]
    assert found == [{"path": "$.segments[1].rule", "message": "the rule is that of 'a' once more"}]


def test_a_name_that_stands_twice_is_told() -> None:
    segments = [
        {"id": f"r{n}", "name": "Best", "rule": {"feature": "orders", "op": ">", "value": n}}
        for n in range(2)
    ]
    found = [one.as_document() for one in doubts(of_document({"segments": segments}), KNOWN)]
    assert found == [
        {"path": "$.segments[1].name", "message": "the name 'Best' is that of 'r0' too"}
    ]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_looking_at_any_rule_ends(seed: int) -> None:
    """Random rules, deep in alternatives: a few hundred branches are looked at, no more."""
    clause = Chance(seed).clause(5)
    assert all(one.path.startswith("$") for one in doubts(of_document(clause), KNOWN))
