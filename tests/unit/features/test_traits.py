"""Traits: the latest value of each, with the date since when it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from tests.shops import engine

from shoal.events.schema import TABLE_SCHEMA
from shoal.features.traits import traits_of

START = datetime(2024, 5, 1, 10, tzinfo=UTC)
NAMES = ("customer_id", "anonymous_id", "kind", "event_time", "sequence", "event_id", "source",
         "properties")  # fmt: skip
SCHEMA = pa.schema([TABLE_SCHEMA.field(name) for name in NAMES])


def told(minute: int, properties: str | None, who: str = "ann", **more: Any) -> dict[str, Any]:
    return {"customer_id": who, "anonymous_id": None, "kind": "profile", "sequence": minute,
            "event_time": START + timedelta(minutes=minute), "event_id": f"e{minute}",
            "source": "crm", "properties": properties, **more}  # fmt: skip


def traits(*rows: dict[str, Any], minute: int = 60) -> dict[str, tuple[Any, str]]:
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    before = START + timedelta(minutes=minute)
    ids = pa.array(["ann", "phone"], pa.string())
    found = traits_of(engine(), table, ids, before)
    return {one["trait"]: (one["value"], one["since"][11:16]) for one in found}


def test_the_latest_value_since_it_was_first_told_without_another_between() -> None:
    rows = [
        told(1, '{"plan":"free","age":30}'), told(2, '{"plan":"gold"}'),
        told(3, '{"plan":"gold"}'), told(4, '{"plan":"free"}'), told(5, '{"plan":"free"}'),
    ]  # fmt: skip
    assert traits(*rows) == {"age": (30, "10:01"), "plan": ("free", "10:04")}
    assert traits(*reversed(rows)) == traits(*rows)
    assert traits(*rows, minute=4) == {"age": (30, "10:01"), "plan": ("gold", "10:02")}
    assert traits(*rows, minute=1) == {}


def test_values_keep_their_type() -> None:
    rows = [told(1, '{"tags":["a",1],"vip":false,"mail":""}')]
    assert traits(*rows) == {
        "mail": ("", "10:01"), "tags": (["a", 1], "10:01"), "vip": (False, "10:01"),
    }  # fmt: skip


def test_null_takes_a_trait_back() -> None:
    rows = [told(1, '{"mail":"x","vip":true}'), told(2, '{"mail":null}'), told(4, '{"mail":"x"}')]
    assert traits(*rows[:2]) == {"vip": (True, "10:01")}
    assert traits(*rows, minute=2) == {"mail": ("x", "10:01"), "vip": (True, "10:01")}
    # told again, it holds from then on
    assert traits(*rows) == {"mail": ("x", "10:04"), "vip": (True, "10:01")}


def test_what_is_no_trait_of_this_person() -> None:
    assert traits(
        told(1, '{"plan":"gold"}', "bob"), told(2, '{"plan":"gold"}', kind="login"),
        told(3, "not json"), told(4, "[1]"), told(5, None), told(6, '{"alias":true}'),
    ) == {}  # fmt: skip


def test_a_visitors_traits() -> None:
    rows = [told(1, '{"plan":"free"}', customer_id=None, anonymous_id="phone")]
    assert traits(*rows) == {"plan": ("free", "10:01")}
