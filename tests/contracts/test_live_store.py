"""Events between the inbox and the event table: the same of every state store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.contracts.stores import KINDS, state_store

from shoal.events.clean import CLEANED_SCHEMA
from shoal.events.schema import QUARANTINE_SCHEMA
from shoal.ports import LiveBatch, StateStore


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    with state_store(request.param, tmp_path) as made:
        yield made


def batch(source: str, *ids: str) -> LiveBatch:
    rows = [{"event_id": name, "price": 2**53 + 1} for name in ids]
    events = pa.Table.from_pylist(rows, schema=CLEANED_SCHEMA)
    refused = QUARANTINE_SCHEMA.empty_table().replace_schema_metadata({b"k": b"a\x1fb"})
    return LiveBatch(source, events, refused, {"rows": {"read": len(ids)}, "reasons": {}})


def test_batches_come_back_as_they_were(store: StateStore) -> None:
    live = store.live
    assert (live.numbers(), live.position(), live.read([])) == ([], 0, [])
    with store.transaction():
        first, second = live.add(batch("web", "a", "b")), live.add(batch("app", "c"))
        live.set_position(7)
    assert second > first
    assert live.numbers() == [(first, "web"), (second, "app")]
    assert live.position() == 7
    told = {"rows": {"read": 2}, "reasons": {}}, {"rows": {"read": 1}, "reasons": {}}
    assert live.accounts() == [(first, "web", told[0]), (second, "app", told[1])]
    app, web = live.read([second, first])
    assert (app.source, web.source) == ("app", "web")
    assert web.events.equals(batch("web", "a", "b").events)
    assert web.events.schema.equals(CLEANED_SCHEMA, check_metadata=True)
    assert web.quarantined.schema.metadata == {b"k": b"a\x1fb"}
    assert web.account == {"rows": {"read": 2}, "reasons": {}}
    with pytest.raises(KeyError):
        live.read([first, second + 1])


def test_a_number_is_given_once_and_a_source_is_dropped_alone(store: StateStore) -> None:
    live = store.live
    numbers = [live.add(batch(source, "x")) for source in ("web", "app", "web")]
    live.drop("web", numbers[1])
    assert live.numbers() == [(numbers[1], "app"), (numbers[2], "web")]
    live.drop("web", numbers[2])
    live.drop("app", numbers[2])
    assert live.numbers() == []
    assert live.add(batch("web", "y")) > numbers[2]


def test_what_a_transaction_took_back_is_not_there(store: StateStore) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.live.add(batch("web", "a"))
        store.live.set_position(3)
        raise RuntimeError
    assert (store.live.numbers(), store.live.position()) == ([], 0)
