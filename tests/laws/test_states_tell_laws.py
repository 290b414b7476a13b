"""What stored states tell of a moment is what the events before it tell, number for number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.shops import BUCKETS, ZONE, Shop, fold, write_csv

from shoal.config import NoiseConfig
from shoal.events.mapping import SourceMapping, read_mapping
from shoal.features import reference
from shoal.features.snapshot import latest_moment
from shoal.workflows import known
from shoal.workflows.admission import Admission
from shoal.workflows.known import all_from_states, from_events, why_not_states

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
FOLD = ("purchase", "GBP")
#: Those who browse four events within a second each are robots here.
PACE = NoiseConfig(rate_events=600, run_events=4, think_seconds=1.0)
KEYS = [(name, "ascending") for name in ("customer_id", "facet", "value")]
COLUMNS = (
    "event_id", "source", "kind", "sequence", "event_time", "customer_id", "anonymous_id",
    "item_id", "category", "price", "quantity", "order_id", "currency", "properties", "part",
)  # fmt: skip


def row(number: int, days: float, **told: Any) -> dict[str, Any]:
    moment = (START + timedelta(days=days)).isoformat()
    blank = {"source": "web", "kind": "view", "sequence": 0, "customer_id": "ann"}
    return {"event_id": f"e{number}", "event_time": moment, **blank, **told}


def history(seed: int, size: int, first: float, last: float, at: int = 0) -> list[dict[str, Any]]:
    """Events of customers and of visitors who may sign in, and facts of items."""
    chance = random.Random(seed)
    rows = []
    for number in range(at, at + size):
        kind = chance.choice(["view", "view", "purchase", "purchase", "cart_add", "login", "item"])
        who = chance.choice(["ann", "bob", "cid", "dan", "old", "", ""])
        told = {
            "kind": kind,
            "customer_id": "" if kind == "item" else who,
            "anonymous_id": "" if kind == "item" else chance.choice(["phone", "desk", ""]),
            "item_id": "" if kind == "login" else f"i{chance.randrange(4)}",
            "category": chance.choice(["", "home", "toys/wood"]),
            "price": chance.choice(["2.50", "10"]) if kind == "purchase" else "",
            "quantity": chance.choice(["", "2"]) if kind == "purchase" else "",
            "order_id": f"o{number // 2}" if kind == "purchase" else "",
            "currency": "GBP",
        }
        rows.append(row(number, chance.uniform(first, last), **told))
    return rows


def restated(directory: Path) -> SourceMapping:
    """Orders in files that state a part of them as a whole."""
    path = directory / "orders.toml"
    names = ("event_id", "customer_id", "item_id", "price", "order_id", "currency")
    optional = "\n".join(f'{name} = "{name}"' for name in names)
    path.write_text(
        'source = "orders"\n[columns]\nevent_time = "event_time"\nkind = "kind"\n'
        f'[optional]\n{optional}\n[restates]\nscope = ["part"]\n'
    )
    return read_mapping(path)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "shop")
    made.admission = Admission(
        made.warehouse, made.store, made.registry, buckets=BUCKETS, pace=PACE
    )
    yield made
    made.close()


def ingest(shop: Shop, rows: list[dict[str, Any]], mapping: SourceMapping | None = None) -> None:
    name = f"{len(shop.store.units())}.csv"
    shop.ingest(write_csv(shop.directory / name, rows, columns=COLUMNS), mapping=mapping)


def by_states_as_by_events(shop: Shop, moment: datetime) -> int:
    """Compare both ways at a moment; how many customers there are."""
    folded, latest = fold(*FOLD), latest_moment(shop.warehouse)
    assert why_not_states(
        shop.warehouse, shop.store, shop.admission, folded, moment, latest
    ) is None  # fmt: skip
    items = reference.build(shop.engine, shop.warehouse.events(), START + timedelta(days=10))
    counted = shop.admission.at(moment)
    whole = from_events(counted, folded, ZONE, moment, items)
    parts = list(all_from_states(shop.store, folded, ZONE, moment, {"a": items, "b": items}))
    mine = [
        (place, one) for part in parts for place, one in enumerate(part["a"].features.to_pylist())
    ]
    assert [one for _, one in mine] == whole.features.to_pylist()
    schema = whole.features.schema
    for part in parts:
        assert part["a"].features.schema.equals(schema, check_metadata=True)
        assert part["b"].features.equals(part["a"].features)
    told = [one for part in parts for one in part["a"].counts.to_pylist()]
    order = lambda one: tuple(one[name] for name, _ in KEYS)  # noqa: E731
    assert sorted(told, key=order) == sorted(whole.counts.to_pylist(), key=order)
    return len(mine)


@pytest.mark.parametrize("seed", [1, 2])
def test_after_late_restated_and_merged_events_and_flags(
    shop: Shop, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "CUSTOMERS_AT_ONCE", 2)
    ingest(shop, history(seed, 60, 0, 30))
    soon, later = START + timedelta(days=31), START + timedelta(days=300)
    assert by_states_as_by_events(shop, soon) >= 4, "several batches"
    ingest(shop, history(seed + 10, 30, 2, 20, at=100))  # late
    by_states_as_by_events(shop, soon)
    orders = restated(shop.directory)
    lines = [
        row(200 + n, 5 + n, kind="purchase", customer_id=who, price="7", order_id=f"p{n}",
            item_id="i1", currency="GBP", part="may")
        for n, who in enumerate(("ann", "bob", "eve"))
    ]  # fmt: skip
    ingest(shop, lines, orders)
    before = by_states_as_by_events(shop, soon)
    ingest(shop, [{**lines[0], "price": "9"}], orders)  # bob's and eve's are withdrawn
    assert by_states_as_by_events(shop, soon) == before - 1
    robot = [row(300 + n, 12 + n / 86_400 / 4, customer_id="dan", item_id="i2") for n in range(12)]
    ingest(shop, robot)
    assert shop.store.flags.flags().num_rows
    alias = {"customer_id": "ann", "anonymous_id": "bob", "properties": '{"alias":true}'}
    ingest(shop, [row(400, 29, kind="login", **alias), row(401, 3, kind="item", customer_id="",
           item_id="i3", category="garden")])  # fmt: skip
    for moment in (soon, later):
        by_states_as_by_events(shop, moment)


def test_states_do_not_tell_of_what_was_before_them(shop: Shop) -> None:
    ingest(shop, history(5, 40, 0, 30))
    folded, latest = fold(*FOLD), latest_moment(shop.warehouse)

    def told(moment: datetime) -> str | None:
        return why_not_states(shop.warehouse, shop.store, shop.admission, folded, moment, latest)

    assert told(latest) is None
    assert told(latest - timedelta(microseconds=1)) == "there are events at or after the moment"
    shop.store.set_applied_version(shop.warehouse.version() - 1)
    assert told(latest) == "the stored states lag behind the event table"
    shop.store.set_applied_version(shop.warehouse.version())
    # a price list of days to come moves no moment; that somebody is told in it is very odd
    odd = {"kind": "item", "customer_id": "bob", "anonymous_id": "tablet", "item_id": "i1"}
    ingest(shop, [row(900, 90, **odd)])
    assert latest_moment(shop.warehouse) == latest
    assert "whose an event is" in str(told(latest))
