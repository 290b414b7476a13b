"""Rules read from JSON: what is refused, where, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.features.catalog import CATALOG
from shoal.segments.ruled import rule
from shoal.segments.ruled.document import checked, of_document, parse, read
from shoal.segments.ruled.known import Known
from shoal.segments.ruled.language import MAX_CLAUSES, MAX_DEPTH, Named, Rule, RuleSegment, RuleSet
from shoal.segments.ruled.written import as_document

KNOWN = Known.of(CATALOG.with_traits(("plan",)), {"main": ("s01", "s02", "new"), "rfm": ("r01",)})
ORDERS = {"feature": "orders", "op": ">=", "value": 3}
VIEWS = {"events": "view"}


def refused(document: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        of_document(document, KNOWN)
    assert caught.value.code == "bad_rule"
    return caught.value


@pytest.mark.parametrize(
    ("document", "where", "message", "hint"),
    [
        ({"all": [ORDERS, VIEWS, {"feature": "ordres", "op": ">=", "value": 3}]},
         "$.all[2].feature", "no feature is called 'ordres'", "Did you mean 'orders'"),
        ({"feature": "orders", "op": "=>", "value": 3},
         "$.op", "no comparison is called '=>'", "Allowed: ="),
        ({"feature": "orders", "op": "contains", "value": "3"},
         "$.op", "no comparison of a number is called 'contains'", "between"),
        ({"feature": "country", "op": ">=", "value": 3},
         "$.op", "no comparison of a text is called '>='", "starts_with"),
        ({"feature": "orders", "op": ">=", "value": "3"},
         "$.value", "received '3'", "Give a number"),
        ({"feature": "orders", "op": ">=", "value": True},
         "$.value", "received True", "Give a number"),
        ({"feature": "orders", "op": "=", "value": float("nan")},
         "$.value", "received nan", "Give a number"),
        ({"feature": "spend", "op": "=", "value": 0.1234567890123456789},
         "$.value", "received 0.12345678901234568", "at most 15 digits"),
        ({"feature": "orders", "op": "between", "value": [3, 1]},
         "$.value", "received [3, 1]", "The lower bound stands first"),
        ({"feature": "orders", "op": "in", "value": [1, "2"]},
         "$.value[1]", "received '2'", "Give a number"),
        ({"feature": "orders", "op": "in", "value": []},
         "$.value", "received []", "1 to 1,000 values"),
        ({"feature": "country", "op": "=", "value": "a\0b"},
         "$.value", "received 'a\\x00b'", "none of them NUL"),
        ({"feature": "orders", "op": ">="},
         "$", ">= has nothing to compare with", "Give it a value"),
        ({"feature": "orders", "op": "known", "value": 1},
         "$.value", "known takes no value", "Leave it out"),
        ({"feature": "orders"}, "$", "the clause compares nothing", "Give it an op"),
        ({"feature": ["orders"], "op": ">=", "value": 3},
         "$.feature", "no feature is called ['orders']", "catalog"),
        ({"trait": "tier", "op": "=", "value": "gold"},
         "$.trait", "the shop declares no trait 'tier'", "[features] traits"),
        ({"segment": "s1"}, "$.segment", "main has no segment 's1'", "Did you mean 's01'"),
        ({"segment": "s01", "of": "mian"},
         "$.of", "the shop has no segmentation 'mian'", "Did you mean 'main'"),
        ({"segment": "s01", "measure": "age", "op": ">", "value": 1},
         "$.measure", "received 'age'", "days, weight"),
        ({"events": "buy"}, "$.events", "no kind of event is called 'buy'", "Allowed: view"),
        ({"events": ["view", {}]}, "$.events", "no kind of event is called {}", "Allowed"),
        ({"events": "item"}, "$.events", "no kind of event is called 'item'", "Allowed"),
        ({"events": "view", "measure": "total"},
         "$.measure", "no measure is called 'total'", "count, days"),
        ({"events": "view", "measure": "sum", "op": ">", "value": 3},
         "$.of", "sum needs field", "These look at a field"),
        ({"events": "view", "of": "price"}, "$.of", "count takes no field", "sum, min, max"),
        ({"events": "view", "measure": "sum", "of": "brand", "op": ">", "value": 3},
         "$.of", "no field here is called 'brand'", "price"),
        ({"events": "view", "where": [{"field": "pirce", "op": ">", "value": 3}]},
         "$.where[0].field", "no field here is called 'pirce'", "Did you mean 'price'"),
        ({"events": "view", "where": {"field": "price"}},
         "$.where", "received {'field': 'price'}", "Give a list"),
        ({"events": "view", "in": {"last_days": 0}},
         "$.in.last_days", "received 0", "a whole number from 1"),
        ({"events": "view", "in": {"last_days": 7, "from": "2024-01-01"}},
         "$.in", "both last_days and dates", "Give one"),
        ({"events": "view", "in": {"from": "2024-13-01"}},
         "$.in.from", "received '2024-13-01'", "Give a date"),
        ({"events": "view", "in": {"from": "2024-02-01", "to": "2024-01-01"}},
         "$.in", "from 2024-02-01 is later", "Turn them round"),
        ({"events": "view", "within": 3},
         "$.within", "'within' has no meaning here", "Allowed: events, where, in"),
        ({"sequence": [VIEWS]}, "$.sequence", "received [", "2 to 10 steps"),
        ({"sequence": [VIEWS, {"events": "purchase", "within_days": 0}]},
         "$.sequence[1].within_days", "received 0", "above 0"),
        ({"sequence": [{**VIEWS, "absent": True}, VIEWS]},
         "$.sequence[0].absent", "'absent' has no meaning here", "Allowed"),
        ({"sequence": [VIEWS, VIEWS], "same": "price"},
         "$.same", "no text field is called 'price'", "item_id"),
        ({"at_least": 3, "of": [ORDERS, VIEWS]},
         "$.at_least", "received 3", "a whole number from 1 to 2"),
        ({"except": [ORDERS]}, "$.except", "nothing is left out", "at least two"),
        ({"all": []}, "$.all", "the list of clauses is empty", "at least one"),
        ({}, "$", "the rule is empty", "A clause has one of"),
        ([], "$", "received []", "A clause is an object"),
        (None, "$", "received None", "A clause is an object"),
        ({"alll": [ORDERS]}, "$.alll", "no clause is called 'alll'", "Did you mean 'all'"),
        ({"all": [ORDERS], "not": VIEWS}, "$", "both 'all' and 'not'", "Join two clauses"),
        ({"rule": "vip"}, "$.rule", "no rule of this file has the id 'vip'", "There is none"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_path(document: Any, where: str, message: str, hint: str) -> None:
    error = refused(document)
    assert error.where == where
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("segments", "where", "message"),
    [
        ([], "$.segments", "no segments"),
        ([{"id": "VIP", "rule": ORDERS}], "$.segments[0].id", "received 'VIP'"),
        ([{"id": "rest", "rule": ORDERS}], "$.segments[0].id", "is taken"),
        ([{"id": "a", "rule": ORDERS}] * 2, "$.segments[1].id", "the id 'a' is twice"),
        ([{"id": "a"}], "$.segments[0]", "the segment has no rule"),
        ([{"id": "a", "rule": {"rule": "a"}}], "$.segments[0].rule.rule", "back to itself"),
        ([{"id": "a", "rule": {"rule": "b"}}, {"id": "b", "rule": {"union": ["a"]}}],
         "$.segments[1].rule.union[0].rule", "the rule 'a' leads back to itself"),
        ([{"id": "a", "rule": ORDERS, "name": "two\nlines"}], "$.segments[0].name", "received"),
        ([{"id": "a", "rule": ORDERS, "colour": 1}], "$.segments[0].colour", "has no 'colour'"),
    ],
)  # fmt: skip
def test_a_mistake_of_a_file_is_told_by_its_path(
    segments: list[Any], where: str, message: str
) -> None:
    error = refused({"segments": segments})
    assert error.where == where
    assert message in error.message


def test_every_mistake_is_told_at_once() -> None:
    error = refused({"all": [{"feature": "ordres", "op": ">", "value": 1}, {"events": "buy"}]})
    assert error.where == "$.all[0].feature"
    assert "$.all[1].events: no kind of event is called 'buy'" in error.hint


def test_another_schema_is_refused() -> None:
    error = refused({"schema": "shoal.rules/2", "segments": [{"id": "a", "rule": ORDERS}]})
    assert error.where == "$.schema"
    assert "shoal.rules/1" in error.hint


# -- too large -------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    document: Any = ORDERS
    for _ in range(depth - 1):
        document = {"not": document}
    return document


def test_the_deepest_rule_is_taken_and_one_clause_more_is_not() -> None:
    assert of_document(nested(MAX_DEPTH), KNOWN).segments[0].rule.depth == MAX_DEPTH
    error = refused(nested(MAX_DEPTH + 1))
    assert f"more than {MAX_DEPTH} clauses deep" in error.message
    assert error.where == "$" + ".not" * MAX_DEPTH


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_thousand_clauses_deep_is_refused_and_breaks_nothing(depth: int) -> None:
    text = '{"not":' * depth + json.dumps(ORDERS) + "}" * depth
    with pytest.raises(UsageError) as caught:
        parse(text, KNOWN)
    assert caught.value.message == "the rules are nested too deep"
    assert str(MAX_DEPTH) in caught.value.hint


def test_a_value_of_great_depth_is_refused() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    error = refused({"feature": "orders", "op": "=", "value": value})
    assert error.message == "received a list of great depth"
    while value:  # freed from the outside in, or the interpreter runs out of stack
        value = value[0]


def test_brackets_in_texts_are_no_depth() -> None:
    value = '{"[' * 150 + '\\"'
    text = json.dumps({"feature": "country", "op": "=", "value": value})
    assert parse(text, KNOWN).segments[0].rule.depth == 1


def test_rules_that_name_rules_are_measured_whole() -> None:
    """Each names the one before twice: small to write, and 2^20 clauses to answer."""
    segments: list[Any] = [{"id": "r0", "rule": ORDERS}]
    for n in range(1, 20):
        both = {"rule": f"r{n - 1}"}
        segments.append({"id": f"r{n}", "rule": {"at_least": 2, "of": [both, both]}})
    error = refused({"segments": segments})
    assert "clauses" in error.message


def test_too_many_clauses_are_refused() -> None:
    error = refused({"any": [ORDERS] * MAX_CLAUSES})
    assert f"{MAX_CLAUSES + 1:,} clauses" in error.message


def test_python_cannot_make_what_a_file_may_not_say() -> None:
    clause: Rule = rule.feature("orders") >= 3
    with pytest.raises(UsageError, match="clauses deep"):
        for _ in range(MAX_DEPTH):
            clause = (clause & (rule.feature("spend") > 1)) | (rule.feature("events") > 1)


# -- files -----------------------------------------------------------------------------------------


def test_a_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as missing:
        read(tmp_path / "no.json")
    assert missing.value.code == "input_missing"
    path = tmp_path / "rules.json"
    for content, words in (
        (b"{not json", "the rules are no JSON"),
        (b"\xff\xfe{}", "no UTF-8 text"),
        (b'{"feature": "orders", "op": "=", "value": NaN}', None),
    ):
        path.write_bytes(content)
        with pytest.raises((InputError, UsageError)) as caught:
            read(path, KNOWN)
        assert str(path) in caught.value.where
        if words:
            assert caught.value.code == "input_unreadable"
            assert words in caught.value.message
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="the key 'op' twice"):
        parse('{"feature": "orders", "op": ">=", "op": "<", "value": 3}')


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(UsageError, match="received"):
        parse('{"feature": "country", "op": "=", "value": "\\ud800"}', KNOWN)


# -- Python ----------------------------------------------------------------------------------------


def test_python_says_what_json_says() -> None:
    views = rule.events("view").where(rule.field("price") >= 20).last_days(30, skip=2)
    made = (
        (rule.feature("orders") >= 3)
        & ~(rule.trait("plan") == "trial")
        & (views.items() > 2)
        & rule.events("view").not_then(rule.events("purchase"), within_days=3, same="item_id")
        & (rule.weight_of("s01") >= 0.5)
    )
    assert as_document(made) == {
        "all": [
            {"feature": "orders", "op": ">=", "value": 3},
            {"not": {"trait": "plan", "op": "=", "value": "trial"}},
            {
                "events": "view", "where": [{"field": "price", "op": ">=", "value": 20}],
                "in": {"last_days": 30, "skip_days": 2}, "measure": "items",
                "op": ">", "value": 2,
            },
            {
                "sequence": [
                    {"events": "view"},
                    {"events": "purchase", "within_days": 3, "absent": True},
                ],
                "same": "item_id",
            },
            {"segment": "s01", "measure": "weight", "op": ">=", "value": 0.5},
        ]
    }  # fmt: skip
    assert checked(made, KNOWN).segments[0].rule == made


def test_rules_made_in_python_are_held_to_the_same() -> None:
    with pytest.raises(UsageError) as caught:
        checked((rule.feature("orders") >= 3) & (rule.feature("ordres") >= 3), KNOWN)
    assert caught.value.where == "$.all[1].feature"
    with pytest.raises(TypeError, match="no truth value"):
        bool(rule.feature("orders") >= 3)


def test_named_rules_are_put_in_when_the_set_is_checked() -> None:
    vip = rule.feature("orders") >= 3
    rules = RuleSet(
        (
            RuleSegment("vip", Text("VIP", "贵宾"), vip),
            RuleSegment("rest-of-buyers", Text("Buyers", "买家"),
                        (rule.feature("orders") >= 1) - rule.named("vip")),
        )
    )  # fmt: skip
    found = checked(rules, KNOWN).segments[1].rule
    assert found.clauses[1] == Named("vip", vip)
