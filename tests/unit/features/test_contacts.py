"""Addresses and names as profile events told them, the latest first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from shoal.adapters.duckdb import DuckEngine
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.contacts import CONTACTS_SCHEMA, contacts_at, emails_of, phones_of

START = datetime(2024, 1, 1, tzinfo=UTC)


def contacts(rows: list[tuple[str, int, object]], asked: list[str], before: int = 99) -> dict:
    events = pa.Table.from_pylist(
        [
            {
                "event_id": str(place), "sequence": place, "customer_id": who, "kind": "profile",
                "event_time": START + timedelta(days=day),
                "properties": told if isinstance(told, str) else json.dumps(told),
            }
            for place, (who, day, told) in enumerate(rows)
        ],
        schema=TABLE_SCHEMA,
    )  # fmt: skip
    customers = pa.array(asked, pa.string())
    found = contacts_at(DuckEngine(), events, customers, START + timedelta(days=before))
    assert found.schema == CONTACTS_SCHEMA
    assert found["customer_id"].to_pylist() == asked
    return {row["customer_id"]: row for row in found.to_pylist()}


def test_the_latest_word_counts_before_the_moment() -> None:
    rows = [
        ("ann", 3, {"email": "new@x.example", "lastName": "Lee"}),
        ("ann", 1, {"email": "old@x.example", "first_name": "Ann", "address_city": "Rome"}),
        ("ann", 5, {"email": "later@x.example"}),
        ("bob", 1, {"email": "bob@x.example", "phone": "+1 (415) 555-0100"}),
        ("bob", 2, {"email": None}),
        ("eve", 1, "no json"),
        ("eve", 2, ["no", "object"]),
        ("dee", 1, {"email": "elsewhere@x.example"}),
    ]
    found = contacts(rows, ["ann", "bob", "eve", "zoe@x.example"], before=4)
    assert found["ann"]["email"] == "new@x.example"
    assert (found["ann"]["first_name"], found["ann"]["last_name"]) == ("Ann", "Lee")
    assert found["ann"]["city"] == "Rome"
    assert found["bob"]["email"] is None
    assert found["bob"]["phone"] == "+14155550100"
    assert found["eve"]["email"] is None
    assert found["zoe@x.example"]["email"] == "zoe@x.example"


def test_of_nobody_there_is_an_empty_table() -> None:
    assert contacts([], []) == {}


@pytest.mark.parametrize(
    "text",
    ["=cmd@x.example", "+a@x.example", "-a@x.example", "a b@x.example", "a@b", "a@x.example\n",
     '"a"@x.example', "a@x.example,b@x.example", "", "@x.example"],
)  # fmt: skip
def test_no_address_is_a_formula_or_two(text: str) -> None:
    assert emails_of(pa.array([text])).to_pylist() == [None]


@pytest.mark.parametrize("text", ["123", "0170 1234567", "+0123456789", "+12 34", "+1" + "2" * 15])
def test_a_number_without_its_country_is_none(text: str) -> None:
    assert phones_of(pa.array([text])).to_pylist() == [None]
