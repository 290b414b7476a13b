"""Laws of hiding: what is sealed comes back, and hiding twice is hiding once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.domain.event import NO_IDS
from shoal.domain.time import Zone
from shoal.events.clean import clean
from shoal.events.collected import judge
from shoal.events.personal import ALL, Personal, Walk
from shoal.events.presets import load
from shoal.events.privacy import Privacy
from shoal.events.privacy_reading import Reading
from shoal.events.private_calls import PrivateCalls
from shoal.events.pseudonyms import Pseudonyms
from shoal.events.reading import open_source
from shoal.events.sealed_form import MARK, same
from shoal.events.sealing import SealedError, Seals
from shoal.events.texts import one_array

FIELDS = {"k1": b"f" * 32}
PRIVACY = Privacy.of(ALL, ["loyalty"], ["email", "phone", "address"], b"p" * 32, FIELDS)
READING = Reading(ALL, "", None, FIELDS)
NOW = datetime(2026, 5, 1, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
names = st.sampled_from(["email", "phone", "address", "plan", "city", "zipCode", "name", "loyalty"])
members = st.recursive(
    plain | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
ids = st.text(st.characters(categories=("L", "N")), min_size=4, max_size=12)


@given(value=members, field=texts, whose=texts)
def test_what_is_sealed_comes_back_and_only_under_its_name(
    value: Any, field: str, whose: str
) -> None:
    seals = Seals(FIELDS, b"p" * 32)
    sealed = seals.seal(value, field, whose)
    assert seals.opened(sealed, field) == value
    assert same(sealed, seals.seal(value, field, whose))
    assert json.loads(json.dumps(sealed)) == sealed
    with pytest.raises(SealedError):
        seals.opened(sealed, field + "x")


@given(st.text(max_size=200))
def test_a_refused_row_comes_back(raw: str) -> None:
    seals = Seals(FIELDS, b"p" * 32)
    sealed = seals.seal_row(raw)
    expected = raw.encode("utf-8", "backslashreplace").decode()
    assert seals.opened_row(sealed) == expected
    assert seals.seal_row(sealed) == sealed


@given(st.dictionaries(names, members, max_size=5))
def test_properties_come_back_and_nothing_personal_is_left(found: dict[str, Any]) -> None:
    walk = PRIVACY.walk("ann", [], trait=True)
    hidden = walk.through(found)
    loyal = Walk(
        lambda value, name: PRIVACY.pseudonyms.of(_id(value))
        if name == "loyalty" and value not in (None, "") else value,
        lambda name: name == "loyalty" or Personal.of(["email", "phone", "address"]).covers(
            name, trait=True),
        lambda *_: False,
    )  # fmt: skip
    assert READING.members(hidden) == loyal.through(found)
    assert walk.through(hidden) == hidden
    for name, value in hidden.items():
        if name in ("email", "phone") and not isinstance(value, dict) and value not in (None, ""):
            assert value.startswith(MARK)


def _id(value: Any) -> str:
    from shoal.events.texts import id_text, raw_text

    text = id_text(raw_text(value) or "")
    return text.lower() if "@" in text else text


@settings(max_examples=60)
@given(user=ids, device=ids, traits=st.dictionaries(names, members, max_size=4))
def test_a_call_is_kept_where_it_would_be_without_hiding(
    user: str, device: str, traits: dict[str, Any]
) -> None:
    call = {"type": "identify", "userId": user, "anonymousId": device, "messageId": "m",
            "traits": traits}  # fmt: skip
    calls = PrivateCalls(PRIVACY)
    found, without = calls.judge(call, None, NOW), judge(call, None, NOW)
    assert (found.fault is None) == (without.fault is None)
    kept = json.loads(found.line)
    assert kept["userId"] == Pseudonyms(b"p" * 32).of(user)
    assert {**calls.hidden(kept), "$email_id": kept.get("$email_id")} == {
        "$email_id": None, **kept
    }  # fmt: skip


# --- Every kind of file ---------------------------------------------------------------------------

FIXTURES = Path(__file__).parents[1] / "fixtures"
FILES = [
    ("segment-spec", "segment-spec/calls.jsonl"),
    ("segment-spec", "segment-spec/warehouse/identifies.csv"),
    ("segment-spec", "segment-spec/warehouse/aliases.csv"),
    ("shopify-orders", "shopify-orders/orders.csv"),
    ("shopify-bulk", "shopify-bulk/orders.jsonl"),
    ("shopify-bulk", "shopify-bulk/customers.jsonl"),
    ("woocommerce-orders", "woocommerce-orders/default.csv"),
    ("woocommerce-orders", "woocommerce-orders/json.csv"),
]
ALL_PERSONAL = Privacy.of(
    ALL, [], ["email", "phone", "first_name", "last_name", "address", "name"], b"p" * 32, FIELDS
)
#: Columns of which nothing is hidden.
OPEN = ("order_id", "title", "text", "query", "source", "kind")


def cleaned(preset: str, path: str, privacy: Privacy | None) -> tuple[pa.Table, int, int]:
    found = []
    for chunk in open_source(FIXTURES / path, load(preset)).chunks():
        one = clean(chunk, load(preset), zone=Zone("UTC"), buckets=4, file=path, privacy=privacy)
        found.append(one if privacy is None else privacy.sealed(one))
    events = pa.concat_tables([one.events for one in found])
    return events, sum(one.quarantined.num_rows for one in found), sum(one.skipped for one in found)


@pytest.mark.parametrize(("preset", "path"), FILES, ids=[path for _, path in FILES])
def test_files_of_every_shape_give_the_same_rows_hidden_and_known_again(
    preset: str, path: str
) -> None:
    plain, refused, skipped = cleaned(preset, path, None)
    once, *counts = cleaned(preset, path, ALL_PERSONAL)
    again, *_ = cleaned(preset, path, ALL_PERSONAL)
    assert [once.num_rows, *counts] == [plain.num_rows, refused, skipped]
    for name in ("event_key", "content_key", "scope_key", "event_id", "bucket"):
        assert once[name].equals(again[name]), name
    for name in ("customer_id", "anonymous_id"):
        assert once[name].equals(
            pa.chunked_array([ALL_PERSONAL.pseudonyms.column(one_array(plain[name]))])
        ), name
    ids = {
        one for name in ("customer_id", "anonymous_id") for one in plain[name].to_pylist() if one
    }
    hidden = once.drop_columns(list(OPEN)).to_pylist()
    text = repr(hidden)
    assert not [one for one in ids if len(one) > 4 and one in text]
    # What is sealed is what was there.
    told = [None if one is None else json.loads(READING.text(one))
            for one in once["properties"].to_pylist()]  # fmt: skip
    before = [None if one is None else json.loads(one) for one in plain["properties"].to_pylist()]
    personal = [_personal(one) for one in before]
    assert [_personal(one) for one in told] == personal
    for value in {one for row in personal for one in row.values() if len(one) > 4}:
        assert value not in text, value


def _personal(found: Any) -> dict[str, str]:
    return {
        name: value
        for name, value in (found or {}).items()
        if isinstance(value, str) and name in ("email", "phone", "first_name", "last_name")
    }


# --- Any body -------------------------------------------------------------------------------------

odd = st.recursive(
    plain | st.floats() | st.sampled_from(["ann-17850", "\ud800", "x\0y", "null", "a" * 600]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            names | st.sampled_from(["products", "group", "traits"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
parts = st.sampled_from(
    ["userId", "anonymousId", "previousId", "messageId", "type", "traits", "properties", "context",
     "event", "integrations", "timestamp", "$email_id", "name"]
)  # fmt: skip


@settings(max_examples=200)
@given(st.dictionaries(parts, odd, max_size=6) | odd)
def test_whatever_a_client_sends_is_judged_as_without_hiding_or_refused(call: Any) -> None:
    found = PrivateCalls(PRIVACY).judge(call, None, NOW)
    if isinstance(call, dict):  # what the shop itself writes there is taken from nobody
        call = {name: value for name, value in call.items() if name != "$email_id"}
    without = judge(call, None, NOW)
    if without.fault is not None:
        assert found.fault is not None
    if found.fault is None:
        kept = json.loads(found.line)
        told = call.get("userId")
        if isinstance(told, str) and len(told) > 4:
            assert told not in json.dumps(kept, ensure_ascii=False) or told.lower() in NO_IDS
    else:
        assert found.line.startswith(b"~r1:")
        # An id that no event may have is refused at once, and not when it comes into the log.
        if without.fault is None:
            assert found.fault[0] in ("nul_byte", "text_too_long")
