"""Laws of hiding: what is sealed comes back, and hiding twice is hiding once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.events.collected import judge
from shoal.events.personal import ALL, Personal, Walk
from shoal.events.privacy import Privacy
from shoal.events.privacy_reading import Reading
from shoal.events.private_calls import PrivateCalls
from shoal.events.pseudonyms import Pseudonyms
from shoal.events.sealed_form import MARK, same
from shoal.events.sealing import SealedError, Seals

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
