"""Rows of the quarantine name whom they name, however their source writes ids."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.events.raw_ids import names_any, texts_of
from shoal.events.texts import as_text, id_text
from shoal.events.tombstones import EVER, Tombstones, fingerprint

KEY = b"key"


def both(raw: str, name: str, columns: list[str] | None = None) -> bool:
    """Whether a row names an id; what is erased by the id is kept out by its tombstone."""
    stones = Tombstones(KEY, {fingerprint(KEY, name): [EVER]})
    kept_out = any(map(stones.wholly, texts_of(raw, columns)))
    assert names_any(raw, frozenset([name]), columns) == kept_out
    return kept_out


def line(text: str) -> str:
    return json.dumps({"_line": text})


@pytest.mark.parametrize("raw", ["[1, 2]", "null", "7", '"ann"', "not json"])
def test_odd_texts_are_no_rows(raw: str) -> None:
    assert set(texts_of(raw)) == ({"not", "json", "not json"} if raw == "not json" else set())


@pytest.mark.parametrize("cell", ["17850", "17850.0", " 17850.00 ", "\u00a017850", 17850])
def test_a_cell_is_read_as_events_are(cell: Any) -> None:
    raw = json.dumps({"customer": cell, "quantity": "3"})
    assert both(raw, "17850", ["customer"])
    assert not both(raw, "17850", ["quantity"])
    assert not both(raw, "1785")


@given(st.one_of(st.text(max_size=8), st.from_regex(r"[ \t]?-?[0-9]{1,3}\.0{0,2}\n?")))
def test_an_id_is_the_text_of_its_column(text: str) -> None:
    alone = as_text(pa.array([text], pa.string()), integral=True)[0].as_py()
    among = as_text(pa.array(["1.0", text], pa.string()), integral=True)[1].as_py()
    assert id_text(text) == (alone or "") == (among or "")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"customer_id":17850,"kind":"view"', "17850"),
        ('{"customer_id": 17850.0}x', "17850"),
        ("{customer_id:17850", "17850"),
        ('"view,17850', "17850"),
        ("view;17850.0;x;", "17850"),
        ('{"user":"auth0|5f7c8","kind"', "auth0|5f7c8"),
        ("view;auth0|5f7c8;2024", "auth0|5f7c8"),
        ('{"user":"YWJj=","kind"', "YWJj="),
        ("view,YWI==,,", "YWI=="),
        ("view,Ann Lee,3", "Ann Lee"),
        ("view,gid://shopify/Customer/17,3", "gid://shopify/Customer/17"),
        ('{"user":"zo\\u00e9","kind"', "zo\u00e9"),
        ('{"user":"a\\/b","kind"', "a/b"),
        ("urn:user:ann", "urn:user:ann"),
        ("2024-03-01T10:17:00;17", "17"),
    ],
)
def test_a_line_names_an_id(text: str, name: str) -> None:
    assert both(line(text), name)
    assert both(line(text), name, ["elsewhere"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2024-03-01T10:17:00;view", "17"),
        ("view;170;", "17"),
        ("view;117;", "17"),
        ("view;17.5;", "17"),
        ("ann-marie@mail.example,view", "ann"),
        ("view,auth0|5f7c81", "auth0|5f7c8"),
    ],
)
def test_a_line_that_names_another(text: str, name: str) -> None:
    assert not both(line(text), name)


def test_a_known_id_is_found_however_many_words_it_has() -> None:
    name = "the; long | name = of, one person"
    assert names_any(line(f'view,"{name}",3'), frozenset(["x", name]))
    assert not names_any(line(f'view,"{name}s",3'), frozenset([name]))
    assert names_any(line('view,"a ""b"" c"",'), frozenset(['a "b" c']))
