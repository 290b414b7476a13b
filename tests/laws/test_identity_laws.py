"""Identity: any split gives the same links, and a slow reading of the definitions agrees."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.time import to_us
from shoal.features import people

ENGINE = DuckEngine(threads=1)
START = datetime(2024, 5, 1, tzinfo=UTC)
NAMES = ("a", "b", "c", "d", "e", "f")


@dataclass(frozen=True)
class Told:
    """One event: who, on which id, when, and what it says of them."""

    event_id: str
    moment: datetime
    sequence: int
    customer: str | None
    other: str | None
    says: str

    @property
    def order(self) -> tuple[datetime, int, str]:
        return self.moment, self.sequence, self.event_id


def told(seed: int, size: int) -> list[Told]:
    """A random log of few ids, with many equal times, shared ids, aliases, circles and cuts."""
    chance = random.Random(seed)
    return [
        Told(
            f"e{n}",
            START + timedelta(minutes=chance.randrange(8)),
            chance.randrange(2),
            chance.choice([None, *NAMES[:4]]),
            chance.choice([None, *NAMES]),
            chance.choice(["link", "link", "link", "alias", "cut"]),
        )
        for n in range(size)
    ]


def table(events: list[Told]) -> pa.Table:
    properties = {"alias": '{"alias":true}', "cut": '{"identity":"unmerge"}', "link": None}
    rows = [
        {
            "customer_id": event.customer,
            "anonymous_id": event.other,
            "event_time": event.moment,
            "sequence": event.sequence,
            "event_id": event.event_id,
            "kind": "custom",
            "source": "shoal",
            "properties": properties[event.says],
        }
        for event in events
    ]
    return pa.Table.from_pylist(rows, schema=people.READ_SCHEMA)


def links(events: list[Told]) -> pa.Table:
    return ENGINE.run(ENGINE.compile(people.links_query(of_ids=False)), {"events": table(events)})


def standing(events: list[Told], before: datetime) -> dict[str, list[Told]]:
    """What is told of each id before a moment, without what a cut made void."""
    own: dict[str, list[Told]] = defaultdict(list)
    for event in sorted(events, key=lambda one: one.order):
        if event.moment >= before or not event.customer or not event.other:
            continue
        if event.customer == event.other:
            continue
        if event.says == "cut":
            own[event.other] = [s for s in own[event.other] if s.customer != event.customer]
        else:
            own[event.other].append(event)
    return own


def end_of(name: str, aliases: dict[str, Told]) -> str:
    """The id that remains at the end of a chain of aliases."""
    walked: list[str] = []
    while name in aliases and name not in walked:
        walked.append(name)
        name = str(aliases[name].customer)
    if name not in walked:
        return name
    circle = walked[walked.index(name) :]
    return str(max((aliases[one] for one in circle), key=lambda one: one.order).customer)


def naive_owner(events: list[Told], raw: Told, before: datetime, shared_by: int) -> str | None:
    """Whose an event is, straight from the definitions."""
    own = standing(events, before)
    shared = {name for name, held in own.items() if len({s.customer for s in held}) > shared_by}
    aliases = {
        name: [s for s in held if s.says == "alias"][-1]
        for name, held in own.items()
        if name not in shared and any(s.says == "alias" for s in held)
    }
    if raw.customer is not None:
        return end_of(raw.customer, aliases)
    name = raw.other
    if name is None or name in shared or not own.get(name):
        return None
    if name in aliases:
        return end_of(name, aliases)
    earlier = [s for s in own[name] if s.moment <= raw.moment]
    return end_of(str((earlier or own[name][:1])[-1].customer), aliases)


def owner(resolved: list[dict], raw: Told) -> str | None:
    """Whose an event is by the table, as the admission step reads it."""
    name, us = raw.customer or raw.other, to_us(raw.moment)
    rows = [
        row
        for row in resolved
        if row["id"] == name
        and row["from_us"] <= us < row["to_us"]
        and (row["merged"] or raw.customer is None)
    ]
    assert len(rows) <= 1
    return rows[0]["customer_id"] if rows else raw.customer


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(0, 25), st.integers(0, 9), st.sampled_from([1, 2, 20]))
def test_owners_are_those_of_the_definitions(seed: int, size: int, minute: int, most: int) -> None:
    events = told(seed, size)
    before = START + timedelta(minutes=minute)
    resolved = people.resolve(links(events), to_us(before), most).to_pylist()
    for event in events:
        if event.moment < before:
            assert owner(resolved, event) == naive_owner(events, event, before, most), event


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(0, 30), st.integers(0, 9))
def test_what_is_told_later_changes_nothing_earlier(seed: int, size: int, minute: int) -> None:
    events = told(seed, size)
    before = START + timedelta(minutes=minute)
    early = [event for event in events if event.moment < before]
    now = to_us(before)
    assert people.resolve(links(events), now, 3).equals(people.resolve(links(early), now, 3))


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_the_order_of_events_does_not_matter(seed: int) -> None:
    events = told(seed, 25)
    shuffled = random.Random(seed).sample(events, len(events))
    assert links(events).equals(links(shuffled))


def test_long_chains_and_great_circles_end() -> None:
    def alias(n: int, other: str, customer: str) -> Told:
        return Told(f"e{n}", START + timedelta(seconds=n), 0, customer, other, "alias")

    chain = [alias(n, f"x{n}", f"x{n + 1}") for n in range(5_000)]
    resolved = people.resolve(links(chain), to_us(START + timedelta(days=9)), 20)
    assert set(resolved["customer_id"].to_pylist()) == {"x5000"}
    circle = [*chain, alias(5_000, "x5000", "x0")]
    resolved = people.resolve(links(circle), to_us(START + timedelta(days=9)), 20)
    assert set(resolved["customer_id"].to_pylist()) == {"x0"}
    assert resolved.num_rows == 5_001
