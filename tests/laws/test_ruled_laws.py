"""Laws of rules: everybody at once = one customer at a time, and nothing after T counts."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.logs import AS_OFS, ZONES, logs, to_table
from tests.laws.random_rules import SEGMENTS, Chance
from tests.shops import engine

from shoal.domain.errors import UsageError
from shoal.domain.event import Event
from shoal.domain.time import Zone, to_us
from shoal.features.queries import Rules
from shoal.segments.ruled import batch, single
from shoal.segments.ruled.document import checked, of_document
from shoal.segments.ruled.empty import doubts
from shoal.segments.ruled.language import RuleSet
from shoal.segments.ruled.measured import MEMBERS_SCHEMA
from shoal.segments.ruled.sql import rules_sql
from shoal.segments.ruled.written import as_document

RULES = Rules(currency="GBP", traits=("age",), noise=("bot",), order_sources=("test",))
AT_ONCE = 10


def rules(seed: int) -> RuleSet:
    """Some random rules, as a file that names each."""
    chance = Chance(seed)
    segments = [{"id": f"r{n}", "rule": chance.clause()} for n in range(AT_ONCE)]
    if chance.random.random() < 0.5:
        segments.append({"id": "both", "rule": {"union": ["r0", "r1", {"not": {"rule": "r2"}}]}})
    return of_document({"segments": segments})


def known_of(events: pa.Table, seed: int) -> tuple[pa.Table, pa.Table]:
    """Random features and memberships of the events' customers before a moment."""
    chance = random.Random(seed)
    customers = sorted({one for one in events["customer_id"].to_pylist() if one})
    draw = {
        "orders": (pa.int64(), (0, 1, 2, None)),
        "spend": (pa.float64(), (0.1, 0.30000000000000004, float("nan"), None, -1.5, 1e300)),
        "country": (pa.string(), ("GB", "DE", "", None)),
        "trait_age": (pa.string(), ("41", "041", "41.50", "forty", " 41", "1e9", "nan", None)),
    }
    columns = {
        name: pa.array([chance.choice(values) for _ in customers], kind)
        for name, (kind, values) in draw.items()
    }
    features = pa.table({"customer_id": pa.array(customers, pa.string()), **columns})
    rows = []
    for customer in customers:
        weight, own = chance.choice((0.0, 0.25, 0.75, 1.0)), chance.choice(SEGMENTS)
        rows += [
            {
                "customer_id": customer, "segmentation": "main", "segment_id": segment,
                "weight": weight if segment == own else 1 - weight,
                "since_us": chance.randrange(10**9) if segment == own else None,
            }
            for segment in SEGMENTS
        ]  # fmt: skip
    return features, pa.Table.from_pylist(rows, schema=MEMBERS_SCHEMA)


def at_once(named: Any, events: pa.Table, moment: datetime, zone: str, **more: pa.Table) -> Any:
    found = batch.answers(
        engine(), named, RULES, as_of=moment, zone=Zone(zone), events=events, **more
    )
    return {row.pop("customer_id"): row for row in found.to_pylist()}


@settings(max_examples=8)
@given(
    events=logs(120),
    seed=st.integers(0, 2**32),
    moment=st.sampled_from(AS_OFS),
    zone=st.sampled_from(ZONES),
)
def test_all_at_once_and_one_at_a_time_hold_for_the_same_customers(
    events: list[Event], seed: int, moment: datetime, zone: str
) -> None:
    chance = random.Random(seed)
    events = [replace(one, source=chance.choice(("test", "test", "other"))) for one in events]
    noise = [chance.choice((None, None, None, "bot", "test_order")) for _ in events]
    table = to_table(events, zone, noise)
    before = [one for one in table.to_pylist() if to_us(one["event_time"]) < to_us(moment)]
    schema = table.schema
    features, members = known_of(pa.Table.from_pylist(before, schema=schema), seed)
    named = rules(seed).rules
    got = at_once(named, table, moment, zone, features=features, members=members)
    belonging = members.to_pylist()
    wanted = {
        row["customer_id"]: single.answers(
            named,
            single.Customer(
                [one for one in table.to_pylist() if one["customer_id"] == row["customer_id"]],
                row,
                [one for one in belonging if one["customer_id"] == row["customer_id"]],
            ),
            RULES,
            as_of=moment,
            zone=Zone(zone),
        )
        for row in features.to_pylist()
    }
    assert got == wanted
    for one in doubts(rules(seed)):
        if one.message.startswith("nobody") and one.path.endswith(".rule"):
            place = int(one.path.split("[")[1].split("]")[0])
            assert not any(row[list(named)[place]] for row in got.values())


@settings(max_examples=3)
@given(events=logs(80), later=logs(40), seed=st.integers(0, 2**32), moment=st.sampled_from(AS_OFS))
def test_nothing_at_or_after_t_changes_whom_a_rule_holds_for(
    events: list[Event], later: list[Event], seed: int, moment: datetime
) -> None:
    future = [
        replace(one, event_id=f"later-{n}", event_time=max(one.event_time, moment))
        for n, one in enumerate(later)
    ]
    past = [one for one in events if one.event_time < moment]
    features, members = known_of(to_table(past, "UTC"), seed)
    named = rules(seed).rules
    then = at_once(named, to_table(past, "UTC"), moment, "UTC", features=features, members=members)
    now = at_once(
        named, to_table(past + future, "UTC"), moment, "UTC", features=features, members=members
    )
    assert now == then


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_rules_written_and_read_again_are_the_same(seed: int) -> None:
    one = rules(seed)
    assert of_document(as_document(one)) == one
    assert checked(one) == one


def test_random_rules_hold_for_some_and_not_for_others() -> None:
    """The law above would say nothing of rules that nobody or everybody fulfils."""
    from tests.laws.logs import random_log

    table = to_table(random_log(3, 120), "UTC")
    features, members = known_of(table, 3)
    shares = []
    for seed in range(4):
        found = at_once(
            rules(seed).rules, table, AS_OFS[0], "UTC", features=features, members=members
        )
        for name in (f"r{n}" for n in range(AT_ONCE)):
            held = [row[name] for row in found.values()]
            shares.append(0 < sum(held) < len(held))
    assert sum(shares) >= len(shares) / 3


@pytest.mark.parametrize("moment", AS_OFS[:2])
def test_without_features_everybody_with_an_event_is_asked_about(moment: datetime) -> None:
    from tests.laws.logs import random_log

    events = random_log(7, 100)
    named = of_document({"events": "any", "op": ">=", "value": 0}).rules
    got = at_once(named, to_table(events, "UTC"), moment, "UTC")
    own = [one for one in events if one.kind != "item" and one.event_time < moment]
    assert sorted(got) == sorted({one.customer_id for one in own if one.customer_id})
    assert all(row["rule"] for row in got.values())


def sqlable(seed: int, count: int = AT_ONCE) -> RuleSet:
    """Random rules over events that have SQL."""
    chance = Chance(seed)
    segments: list[dict[str, Any]] = []
    while len(segments) < count:
        clause = chance.clause()
        try:
            found = of_document(clause)
            if batch.columns(*found.rules.values()):
                continue
            rules_sql(found, RULES, as_of=AS_OFS[0], zone=Zone("UTC"))
        except UsageError as error:
            assert error.code == "no_sql_form"
            continue
        segments.append({"id": f"r{len(segments)}", "rule": clause})
    return of_document({"segments": segments, "overlap": True})


@settings(max_examples=4)
@given(
    events=logs(120),
    seed=st.integers(0, 2**32),
    moment=st.sampled_from(AS_OFS),
    zone=st.sampled_from(ZONES),
)
def test_sql_gives_the_customers_that_rules_hold_for(
    events: list[Event], seed: int, moment: datetime, zone: str
) -> None:
    rules = sqlable(seed)
    table = to_table(events, zone)
    held = at_once(rules.rules, table, moment, zone)
    text = rules_sql(rules, RULES, as_of=moment, zone=Zone(zone))
    rows = engine().run(text, {"events": table}).to_pylist()
    got = {name: set() for name in (*rules.rules, "rest")}
    for row in rows:
        got[row["segment_id"]].add(row["customer_id"])
    wanted = {name: {who for who, row in held.items() if row[name]} for name in rules.rules}
    rest = {who for who, row in held.items() if not any(row.values())}
    assert got == wanted | {"rest": rest}
