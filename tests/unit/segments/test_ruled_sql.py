"""Rules as SQL: dialects, literals, days of a zone, and what has no SQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlglot
from sqlglot import exp
from tests.laws.logs import AS_OFS, ZONES, random_log, to_table
from tests.laws.test_fold_laws import fold_of
from tests.shops import engine

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone
from shoal.features.queries import Rules
from shoal.segments.ruled import batch, rule
from shoal.segments.ruled.document import checked, of_document
from shoal.segments.ruled.language import Rule
from shoal.segments.ruled.sql import DIALECTS, rules_sql
from shoal.segments.ruled.sql_values import EQUIVALENTS, start_of

NOW = datetime(2024, 6, 10, 12, tzinfo=UTC)
SHOP = Rules(currency="EUR", order_sources=("shop",))
UTC_ZONE = Zone("UTC")
NASTY = ("x'; DROP TABLE events; --", 'say "hi"', "back\\slash", "a\\'b", "{x} %s", "客户", "\n")


def sql_of(rules: Any, dialect: str = "duckdb", **more: Any) -> str:
    found = checked(rules) if isinstance(rules, Rule) else of_document(rules)
    return rules_sql(
        found, SHOP, as_of=NOW, zone=more.pop("zone", UTC_ZONE), dialect=dialect, **more
    )


EVERYTHING = (
    (rule.feature("orders") >= 3)
    & (rule.feature("spend") > 99.5)
    & (rule.feature("night_share") < 0.1)
    & (rule.events("view").where(rule.field("category").under("home")).last_days(30) >= 2)
    & (rule.events("value").sum("net") > 100)
    & (rule.events().latest("channel").contains("app"))
    & ~rule.events("view").not_then(rule.events("value"), within_days=3, same="item_id")
    & (rule.events().days_since_last() < 60)
)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_parses_its_own_statement(dialect: str) -> None:
    text = sql_of(EVERYTHING, dialect)
    tree = sqlglot.parse_one(text, read=dialect)
    named = {one.alias_or_name for one in tree.find_all(exp.Table)}
    assert "events" in named
    assert tree.named_selects == ["customer_id", "segment_id"]
    assert "SHOAL" not in text
    columns = {one.name for one in tree.find_all(exp.Column) if one.table == ""}
    assert {"customer_id", "kind", "event_time"} <= columns


def test_microseconds_of_a_moment_are_named_as_each_dialect_does() -> None:
    clause = rule.events("view").then(rule.events("value"), within_days=3)
    assert "EPOCH_US(event_time)" in sql_of(clause, "duckdb")
    assert "UNIX_MICROS(event_time)" in sql_of(clause, "bigquery")
    assert "UNIX_MICROS(event_time)" in sql_of(clause, "spark")
    assert "DATE_PART(EPOCH_MICROSECOND, event_time)" in sql_of(clause, "snowflake")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", NASTY)
def test_texts_of_rules_stay_literals_in_every_dialect(dialect: str, text: str) -> None:
    clause = rule.events().where(rule.field("brand") == text) >= 1
    tree = sqlglot.parse(sql_of(clause, dialect), read=dialect)
    assert len(tree) == 1
    literals = {one.this for one in tree[0].find_all(exp.Literal) if one.is_string}
    assert text in literals


@pytest.mark.parametrize("text", NASTY)
def test_texts_select_the_events_that_have_them(text: str) -> None:
    events = random_log(1, 2)
    table = to_table(events, "UTC")
    brands = table.schema.get_field_index("brand")
    columns = table.set_column(brands, "brand", [[text, "other"]])
    columns = columns.set_column(
        columns.schema.get_field_index("customer_id"), "customer_id", [["a", "b"]]
    ).set_column(columns.schema.get_field_index("kind"), "kind", [["view", "view"]])
    clause = rule.events().where(rule.field("brand").startswith(text)) >= 1
    found = checked(clause)
    text_sql = rules_sql(
        found, Rules(), as_of=datetime(2030, 1, 1, tzinfo=UTC), zone=UTC_ZONE, segment="rule"
    )
    assert engine().run(text_sql, {"events": columns}).to_pylist() == [{"customer_id": "a"}]


@pytest.mark.parametrize(
    ("clause", "what"),
    [
        (rule.feature("price_level") > 0.5, "feature price_level"),
        (rule.feature("country") == "DE", "feature country"),
        (rule.feature("next_active") > 0.5, "feature next_active"),
        (rule.trait("plan") == "gold", "trait plan"),
        (rule.segment("s01"), "segment s01"),
        (rule.events().where(rule.field("hour") >= 22) >= 1, "field hour"),
        (rule.events().latest("properties.plan") == "gold", "field properties.plan"),
        (rule.events().days() > 3, "measure days"),
        (
            (rule.feature("orders") > 1) & ~(rule.feature("item_age_days") > 1),
            "feature item_age_days",
        ),
    ],
)
def test_what_an_events_table_does_not_tell_is_refused(clause: Rule, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        sql_of(clause)
    assert caught.value.code == "no_sql_form"
    assert caught.value.message.startswith(f"{what} cannot be written as SQL")
    assert caught.value.hint


def test_wrong_names_are_told() -> None:
    clause = rule.feature("orders") > 1
    with pytest.raises(UsageError) as dialect:
        sql_of(clause, "mysql")
    assert dialect.value.code == "unknown_dialect"
    with pytest.raises(UsageError) as segment:
        sql_of(clause, segment="rul")
    assert (segment.value.code, "Did you mean 'rule'" in segment.value.hint) == (
        "unknown_segment", True
    )  # fmt: skip


def test_one_segment_is_who_is_left_by_those_before_it() -> None:
    table = to_table(random_log(5, 150), "UTC")
    segments = [
        {"id": "buyers", "rule": {"events": "value"}},
        {"id": "lookers", "rule": {"events": "view"}},
    ]
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    def run(segment: str | None, overlap: bool = False) -> list[dict[str, Any]]:
        rules = of_document({"segments": segments, "overlap": overlap})
        text = rules_sql(rules, Rules(), as_of=moment, zone=UTC_ZONE, segment=segment)
        return engine().run(text, {"events": table}).to_pylist()

    everybody = {row["customer_id"]: row["segment_id"] for row in run(None)}
    for segment in ("buyers", "lookers", "rest"):
        got = [row["customer_id"] for row in run(segment)]
        assert got == sorted(one for one, name in everybody.items() if name == segment)
    both = run("lookers", overlap=True)
    assert len(both) > sum(name == "lookers" for name in everybody.values())
    audiences = {(row["customer_id"], row["segment_id"]) for row in run(None, overlap=True)}
    assert {(row["customer_id"], "lookers") for row in both} <= audiences


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_features_with_sql_are_the_measures_they_stand_for(seed: int) -> None:
    """What the catalog says of a customer is what the events say, to the last digit."""
    fold, moment, zone = fold_of(), AS_OFS[seed], Zone(ZONES[seed])
    table = to_table(random_log(seed, 300), zone.name)
    features = fold.features(table, moment, zone)
    bounds = {
        f"{name} {value}": (name, value)
        for name, measure in EQUIVALENTS.items()
        for value in ((0.5, 30, 150.25) if "days_since" in measure.measure else (1, 2, 5))
    }
    named = {
        key: rule.EventsOf(EQUIVALENTS[name]) >= value for key, (name, value) in bounds.items()
    }
    got = batch.answers(fold.engine, named, fold.rules, as_of=moment, zone=zone, events=table)
    for key, (name, value) in bounds.items():
        own = features[name].to_pylist()
        assert got[key].to_pylist() == [one is not None and one >= value for one in own], key


@pytest.mark.parametrize("seed", [0, 1])
def test_features_that_events_tell_have_sql(seed: int) -> None:
    """Beside the measures of events: whatever of the catalog stands on events alone."""
    fold, moment, zone = fold_of(), AS_OFS[seed], Zone(ZONES[seed])
    table = to_table(random_log(seed, 300), zone.name)
    features = fold.features(table, moment, zone)
    bounds = {
        "spend": 19.49, "order_recency_days": 100.5, "night_share": 0.2, "weekend_share": 0.25,
        "basket_value_mean": 10, "spend_28d": 0, "category_entropy": 0.5, "cart_per_view": 0.5,
        "order_gap_mean_days": 30, "refund_share": 0.1, "active_days_90d": 2,
    }  # fmt: skip
    segments = [
        {"id": name, "rule": {"feature": name, "op": op, "value": value}}
        for (name, value), op in zip(bounds.items(), [">", "<=", ">=", "<"] * 3, strict=False)
    ]
    rules = of_document({"segments": segments, "overlap": True})
    held = batch.answers(
        fold.engine, rules.rules, fold.rules, as_of=moment, zone=zone, features=features
    ).to_pylist()
    first = min(table["event_time"].to_pylist())
    text = rules_sql(rules, fold.rules, as_of=moment, zone=zone, since=first)
    rows = engine().run(text, {"events": table}).to_pylist()
    got = {(row["customer_id"], row["segment_id"]) for row in rows if row["segment_id"] != "rest"}
    assert got == {(row["customer_id"], name) for row in held for name in bounds if row[name]}
    assert got


@pytest.mark.parametrize("zone", [*ZONES, "America/Havana", "Asia/Beirut", "Pacific/Apia"])
def test_a_day_starts_where_the_day_before_ends(zone: str) -> None:
    """Also on days whose midnight the clocks skip, as in Havana and Beirut in March."""
    place = Zone(zone)
    for day in range(19_700, 20_100):
        start = start_of(day, place)
        assert place.local_day(start) == day
        assert place.local_day(start - timedelta(microseconds=1)) < day
