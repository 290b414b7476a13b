"""Rule segments of a shop: previewed, published, applied at any moment, one customer at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shoal import shop as shops
from shoal.config import Config, FeatureConfig, ShopConfig
from shoal.domain.errors import InputError, UsageError
from shoal.segments.ruled import rule
from shoal.segments.ruled.language import RuleSegment, RuleSet
from shoal.shop import Shop

START = datetime(2024, 3, 1, tzinfo=UTC)
LAST_DAY = 60
RULES: dict[str, Any] = {
    "rest": {"en": "The others", "zh": "其他人"},
    "segments": [
        {"id": "buyers", "name": {"en": "Buyers", "zh": "买家"},
         "rule": {"all": [{"feature": "orders", "op": ">=", "value": 2},
                          {"events": "value", "in": {"last_days": 30}}]}},
        {"id": "lookers", "name": "Lookers",
         "rule": {"sequence": [{"events": "view"},
                               {"events": "value", "within_days": 3, "absent": True}]}},
    ],
}  # fmt: skip


def rows() -> Iterator[dict[str, Any]]:
    """30 customers: of each three one buys often, one looks and never buys, one only signs up."""
    number = 0
    for customer in range(30):
        kinds = (("view", "purchase"), ("view", "cart_add"), ("sign_up",))[customer % 3]
        for day in range(customer % 5, LAST_DAY, 12):
            for hour, kind in enumerate(kinds):
                number += 1
                moment = START + timedelta(days=day, hours=9 + hour)
                yield {
                    "event_id": f"e{number}", "customer_id": f"c{customer:02d}", "kind": kind,
                    "event_time": moment.isoformat(), "price": "20" if kind == "purchase" else "",
                    "quantity": 1, "currency": "EUR", "item_id": f"i{customer % 4}",
                    "country": ("DE", "AT")[customer % 2],
                }  # fmt: skip
        yield {
            "event_id": f"p{customer}", "customer_id": f"c{customer:02d}", "kind": "profile",
            "event_time": START.isoformat(), "properties": json.dumps({"age": str(20 + customer)}),
        }  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("rules")
    path = home / "events.csv"
    events = list(rows())
    names = list(dict.fromkeys(name for row in events for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(events)
    config = Config(
        shop=ShopConfig(buckets=4, currency="EUR"), features=FeatureConfig(traits=("age",))
    )
    with shops.init(home / "shop", config) as opened:
        opened.ingest([path], preset="shoal")
        yield opened


def members(shop: Shop, rules: Any, segment: str | None = None, **more: Any) -> list[str]:
    return shop.rules.members(rules, segment, **more)["customer_id"].to_pylist()


def of_kind(place: int) -> list[str]:
    return [f"c{customer:02d}" for customer in range(30) if customer % 3 == place]


def test_members_are_those_the_events_say(shop: Shop) -> None:
    assert members(shop, RULES, "buyers") == of_kind(0)
    assert members(shop, RULES, "lookers") == of_kind(1)
    assert members(shop, RULES, "rest") == of_kind(2)
    assert members(shop, rule.trait("age") >= 45) == [f"c{n:02d}" for n in range(25, 30)]


def test_precedence_takes_from_later_segments_and_overlap_does_not(shop: Shop) -> None:
    views = {"id": "views", "rule": {"events": "view"}}
    ordered = {"segments": [*RULES["segments"], views]}
    assert members(shop, ordered, "views") == []
    assert members(shop, {**ordered, "overlap": True}, "views") == sorted(of_kind(0) + of_kind(1))


def test_a_segment_that_is_not_there_is_told(shop: Shop) -> None:
    with pytest.raises(UsageError) as caught:
        members(shop, RULES, "buyer")
    assert caught.value.code == "unknown_segment"
    assert "Did you mean 'buyers'" in caught.value.hint
    with pytest.raises(UsageError, match="no segment was named"):
        members(shop, RULES)


def test_a_preview_counts_and_shows_what_each_clause_drops(shop: Shop) -> None:
    found = shop.rules.preview(RULES, sample=3)
    assert (found["customers"], found["schema"]) == (30, "shoal.rules.preview/1")
    buyers, lookers, rest = found["segments"]
    assert (buyers["customers"], lookers["customers"], rest["customers"]) == (10, 10, 10)
    assert sum(one["share"] for one in found["segments"]) == pytest.approx(1)
    assert [(step["path"], step["alone"], step["dropped"], step["kept"])
            for step in buyers["funnel"]] == [
        ("$.segments[0].rule.all[0]", 10, 20, 10),
        ("$.segments[0].rule.all[1]", 10, 0, 10),
    ]  # fmt: skip
    assert len(buyers["sample"]) == 3
    assert set(buyers["sample"]) <= set(of_kind(0))
    assert buyers["rule"]["en"].startswith("orders is at least 2 and number of buying events")
    assert shop.rules.preview(RULES, sample=3) == found
    json.dumps(found)


def test_a_funnel_of_alternatives_adds(shop: Shop) -> None:
    clause = {"any": [{"events": "purchase"}, {"events": "view"}, {"events": "share"}]}
    (only, _) = shop.rules.preview(clause)["segments"]
    assert [(step["alone"], step["added"], step["kept"]) for step in only["funnel"]] == [
        (10, 10, 10), (20, 10, 20), (0, 0, 20)
    ]  # fmt: skip
    assert [step["path"] for step in only["funnel"]] == ["$.any[0]", "$.any[1]", "$.any[2]"]


def test_a_preview_warns_of_what_nobody_can_fulfil(shop: Shop) -> None:
    found = shop.rules.preview((rule.feature("orders") > 3) & (rule.feature("orders") < 2))
    assert found["segments"][0]["customers"] == 0
    assert found["warnings"][0]["path"] == "$"


def test_as_of_a_moment_later_events_are_not_known(shop: Shop) -> None:
    bought = rule.events("purchase").days_since_first() >= 0
    day = START + timedelta(days=2, hours=10)
    assert members(shop, bought, as_of=day) == ["c00", "c06", "c15", "c21"]
    with pytest.raises(InputError, match="no customer has an event before"):
        members(shop, bought, as_of=START)


def test_sql_gives_the_members(shop: Shop) -> None:
    text = shop.rules.sql(RULES, segment="lookers")
    parts = shop._parts
    found = parts.engine.run(text, {"events": parts.warehouse.events()})
    assert found["customer_id"].to_pylist() == members(shop, RULES, "lookers")
    with pytest.raises(UsageError) as caught:
        shop.rules.sql(rule.trait("age") >= 45)
    assert caught.value.code == "no_sql_form"


def test_a_table_beside_the_features_can_be_asked_for(shop: Shop) -> None:
    next_period = pa.table({"customer_id": ["c00", "c01"], "next_active": [0.9, 0.2]})
    likely = rule.feature("next_active") > 0.5
    assert members(shop, likely, more=next_period) == ["c00"]
    with pytest.raises(UsageError, match="no feature is called 'next_active'"):
        members(shop, likely)


def test_rules_are_checked_against_the_shop(shop: Shop) -> None:
    assert len(shop.rules.check(RULES).segments) == 2
    with pytest.raises(UsageError) as caught:
        shop.rules.check({"all": [{"trait": "agee", "op": ">", "value": 3}]})
    assert caught.value.where == "$.all[0].trait"
    assert "Did you mean 'age'" in caught.value.hint


def test_segments_by_rules_are_published_and_applied(shop: Shop) -> None:
    result = shop.rules.segment(RULES)
    name = result.ids[0]
    assert result.documents[0]["method"] == "rules"
    assert shop.current("rules") == name
    overview = shop.segments(name)
    assert [(one["segment_id"], one["size"]) for one in overview["segments"]] == [
        ("buyers", 10), ("lookers", 10), ("rest", 10)
    ]  # fmt: skip
    assert [one["name"]["zh"] for one in overview["segments"]] == ["买家", "Lookers", "其他人"]
    assert overview["segments"][0]["rule"]["en"].startswith("orders is at least 2")
    table = shop.memberships(segmentation=name)
    placed = dict(
        zip(*(table[one].to_pylist() for one in ("customer_id", "segment_id")), strict=True)
    )
    assert [who for who, segment in placed.items() if segment == "lookers"] == of_kind(1)
    early = shop.memberships(segmentation=name, as_of=START + timedelta(days=1))
    assert set(early["segment_id"].to_pylist()) == {"rest"}


def test_one_customer_is_placed_from_own_events_as_everybody_is(shop: Shop) -> None:
    name = shop.rules.segment(RULES).ids[0]
    placed = shop.memberships(segmentation=name).to_pylist()
    for row in placed[:4]:
        told = shop.customer(row["customer_id"])["memberships"]
        own = next(one for one in told if one["segmentation_id"] == name)
        assert own["segment_id"] == row["segment_id"]
    moment = START + timedelta(days=20)
    then = {
        row["customer_id"]: row["segment_id"]
        for row in shop.memberships(segmentation=name, as_of=moment).to_pylist()
    }
    told = shop.customer("c01", as_of=moment)["memberships"]
    own = next(one for one in told if one["segmentation_id"] == name)
    assert own["segment_id"] == then["c01"]


def test_rules_over_other_segments_keep_to_the_version_they_were_made_with(shop: Shop) -> None:
    first = shop.segment(method="rfm").ids[0]
    best = shop.memberships(segmentation=first).to_pylist()
    wanted = best[0]["segment_id"]
    rules = RuleSet((RuleSegment("best", shop.rules.check(RULES).segments[0].name,
                                 rule.segment(wanted, "rfm")),))  # fmt: skip
    inside = [row["customer_id"] for row in best if row["segment_id"] == wanted]
    empty = sorted({f"r{n:02d}" for n in range(12)} - {row["segment_id"] for row in best})[0]
    assert members(shop, rule.segment(empty, "rfm")) == []
    assert members(shop, rules, "best") == inside
    name = shop.rules.segment(rules).ids[0]
    learned = json.loads(
        (shop.directory / "artefacts" / "segmentation" / name / "segmentation.json").read_text()
    )["learned"]
    assert learned["rules"]["segments"][0]["rule"]["of"] == first
    assert shop.segment(method="rfm").ids[0] != first
    told = shop.memberships(segmentation=name).to_pylist()
    assert [row["customer_id"] for row in told if row["segment_id"] == "best"] == inside


def test_audiences_share_a_customers_weight(shop: Shop) -> None:
    views = {"id": "views", "rule": {"events": "view"}}
    name = shop.rules.segment({"overlap": True, "segments": [*RULES["segments"], views]}).ids[0]
    soft = shop.memberships(segmentation=name, soft=True).to_pylist()
    mine = {row["segment_id"]: row["weight"] for row in soft if row["customer_id"] == "c00"}
    assert mine == {"buyers": 0.5, "views": 0.5}


def test_how_segments_fall_by_protected_traits(shop: Shop) -> None:
    name = shop.rules.segment(
        {"segments": [{"id": "at", "rule": {"feature": "country", "op": "=", "value": "AT"}}]}
    ).ids[0]
    found = shop.protected(name)
    country, age = found["traits"]
    assert (country["trait"], age["trait"]) == ("country", "trait_age")
    assert [one["value"] for one in age["values"]] == ["20 to 29", "30 to 39", "40 to 49"]
    at = next(one for one in country["segments"] if one["segment_id"] == "at")
    assert at["shares"] == [1.0, 0.0]
    assert country["cramers_v"] == pytest.approx(1.0)
    assert found["left_out"] == {
        "country": "country", "foreign_lines": "country", "region": "region", "trait_age": "age"
    }  # fmt: skip


def test_rules_of_a_file_that_is_not_there(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        shop.rules.preview(tmp_path / "no.json")
    assert caught.value.code == "input_missing"


def test_silence_moves_a_customer_whose_rule_waits_for_it(shop: Shop) -> None:
    """Last, because the membership log is then written up to a later moment."""
    asleep = rule.events().days_since_last() > 60
    rules = RuleSet((RuleSegment("asleep", shop.rules.check(asleep).segments[0].name, asleep),))
    name = shop.rules.segment(rules).ids[0]
    assert set(shop.memberships(segmentation=name)["segment_id"].to_pylist()) == {"rest"}
    shop.refresh(as_of=START + timedelta(days=LAST_DAY + 70))
    found = shop.customer("c00")["memberships"]
    own = next(one for one in found if one["segmentation_id"] == name)
    told = shop._parts.store.get_memberships(name).to_pylist()
    assert {row["segment_id"] for row in told} == {"asleep"}
    assert {row["cause"] for row in told} == {"silence"}
    assert own["segment_id"] == "rest"  # at the latest event nobody slept yet
