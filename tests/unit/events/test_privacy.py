"""What is hidden at the front door: ids, personal values, and rows and calls that are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from tests.private import PERSONAL, key

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.collected import judge
from shoal.events.personal import ALL, Personal
from shoal.events.presets import load
from shoal.events.privacy import Privacy
from shoal.events.privacy_reading import HIDDEN, Reading
from shoal.events.private_calls import PrivateCalls
from shoal.events.pseudonyms import Pseudonyms, fingerprint_of
from shoal.events.sealed_form import MARK, bare, same
from shoal.events.sealing import SealedError, Seals

ROOT, FIELDS = b"p" * 32, {"k1": b"f" * 32}
NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)
IDENTIFY: dict[str, Any] = {
    "type": "identify", "userId": "ann-17850", "anonymousId": "device-44", "messageId": "m1",
    "timestamp": "2026-05-01T09:00:00Z",
    "traits": {"email": "Ann@Mail.example", "plan": "gold", "age": 40,
               "address": {"city": "Lyon", "zipCode": 69001}, "firstName": "Ann"},
    "context": {"page": {"url": "https://shop.example/u/ann-17850"}, "sessionId": "s-device-44",
                "traits": {"email": "Ann@Mail.example"}},
    "integrations": {"Mailer": {"address": "Ann@Mail.example"}},
}  # fmt: skip


def privacy(**changes: Any) -> Privacy:
    told = {"hides": ALL, "ids": (), "personal": PERSONAL, "root": ROOT, "fields": FIELDS}
    return Privacy.of(**{**told, **changes})


def reading(fields: dict[str, bytes] | None = None, told: str | None = None) -> Reading:
    check = fingerprint_of(ROOT)
    return Reading(ALL, check, told, FIELDS if fields is None else fields)


# --- Pseudonyms -----------------------------------------------------------------------------------


def test_a_pseudonym_is_the_same_each_time_and_knows_itself() -> None:
    made = Pseudonyms(ROOT)
    name = made.of("ann-17850")
    assert made.of("ann-17850") == name == Pseudonyms(ROOT).of("ann-17850")
    assert made.of(name) == name
    assert Pseudonyms(b"q" * 32).of("ann-17850") != name


def test_what_only_looks_like_a_pseudonym_is_an_id_like_any_other() -> None:
    made = Pseudonyms(ROOT)
    foreign = Pseudonyms(b"q" * 32).of("ann-17850")
    for text in (foreign, "p_" + "A" * 28, foreign[:-1] + "~"):
        assert not made.made(text)
        assert made.of(text) != text


def test_nothing_that_the_shop_keeps_of_its_key_is_the_key() -> None:
    assert fingerprint_of(ROOT) != fingerprint_of(b"q" * 32)
    assert ROOT.hex() not in fingerprint_of(ROOT)


# --- Values ---------------------------------------------------------------------------------------


def test_a_value_is_sealed_otherwise_each_time_and_still_known_to_be_the_same() -> None:
    seals = Seals(FIELDS, ROOT)
    one, again = (seals.seal("Lyon", "city", "ann") for _ in range(2))
    assert one != again
    assert same(one, again)
    # Of two customers, and of two fields, nobody sees that they have the same.
    assert not same(one, seals.seal("Lyon", "city", "bob"))
    assert not same(one, seals.seal("Lyon", "town", "ann"))
    assert not same(one, seals.seal("Rome", "city", "ann"))


def test_a_value_opens_by_the_name_of_its_field_alone() -> None:
    seals = Seals(FIELDS, ROOT)
    sealed = seals.seal("Lyon", "city", "ann")
    with pytest.raises(SealedError, match="does not open"):
        seals.opened(sealed, "plan")
    with pytest.raises(SealedError, match="does not open"):
        Seals({"k1": b"g" * 32}, ROOT).opened(sealed, "city")
    for broken in (sealed[:-1], sealed[:-6] + "AAAAAA", MARK, MARK + "k1:x:y", "Lyon"):
        with pytest.raises(SealedError):
            seals.opened(broken, "city")


def test_keys_are_rotated_and_old_values_open_while_theirs_is_there() -> None:
    old, both = Seals(FIELDS, ROOT), Seals({"k2": b"g" * 32, **FIELDS}, ROOT)
    before, after = old.seal("Lyon", "city", "ann"), both.seal("Lyon", "city", "ann")
    assert before.startswith("~s1:k1:")
    assert after.startswith("~s1:k2:")
    assert both.opened(before, "city") == both.opened(after, "city") == "Lyon"
    # A row that comes again after the rotation is the row that is there.
    assert bare(pa.array([f'{{"city":"{before}"}}'])).equals(
        bare(pa.array([f'{{"city":"{after}"}}']))
    )
    with pytest.raises(SealedError, match="key k1 is not at hand"):
        Seals({"k2": b"g" * 32}, ROOT).opened(before, "city")


def test_names_are_told_apart_as_they_lie_when_objects_are_opened() -> None:
    personal = Personal.of(["address.city", "firstName", "name", "properties.note"])
    for name in ("address_city", "address_city_code", "first_name", "name"):
        assert personal.covers(name, trait=True), name
    assert not personal.covers("address_zip", trait=True)
    # Items and pages have a name too.
    assert not personal.covers("name", trait=False)
    assert personal.covers("note", trait=False)
    assert not personal.covers("note", trait=True)


def test_who_may_not_or_cannot_see_a_value_is_told_why() -> None:
    sealed = Seals(FIELDS, ROOT).seal("Lyon", "city", "ann")
    found = {"city": sealed, "plan": "gold", "list": f'[{{"city": "{sealed}"}}]'}
    assert reading().members({"city": sealed, "plan": "gold"}) == {"city": "Lyon", "plan": "gold"}
    assert reading().members(found, may=False)["city"] == HIDDEN
    assert MARK not in json.dumps(reading().members(found, may=False))
    assert reading({}).members(found)["city"] == "[personal: key k1 is not at hand]"
    assert "does not open" in reading({"k1": b"g" * 32}).members(found)["city"]
    assert reading().members({"city": "~s1:k1:broken"})["city"] == "[personal: damaged]"
    assert reading().text(json.dumps({"city": sealed})) == '{"city":"Lyon"}'


def test_an_id_that_is_asked_for_becomes_the_pseudonym_of_the_key_that_the_shop_has() -> None:
    name = Pseudonyms(ROOT).of("ann-17850")
    assert reading(told=key("p")).named(" ann-17850 ") == name
    assert reading(told=key("p")).named(name) == name
    assert reading(told=key("p")).named("\udcff") == "\udcff"
    assert reading().named(name) == name  # no key is needed for what is no secret
    for told, code in ((None, "no_secret"), ("short", "bad_secret"), (key("q"), "wrong_secret")):
        with pytest.raises(UsageError) as error:
            reading(told=told).named("ann-17850")
        assert error.value.code == code


# --- Calls ----------------------------------------------------------------------------------------


def test_a_call_is_kept_without_ids_and_personal_values_wherever_they_stand() -> None:
    line = PrivateCalls(privacy()).judge(IDENTIFY, None, NOW).line.decode()
    for text in ("ann-17850", "device-44", "Ann@Mail.example", "ann@mail.example", "Lyon", "69001",
                 '"Ann"'):  # fmt: skip
        assert text not in line, text
    kept = json.loads(line)
    assert kept["userId"] == Pseudonyms(ROOT).of("ann-17850")
    assert kept["$email_id"] == Pseudonyms(ROOT).of("ann@mail.example")
    assert (kept["traits"]["plan"], kept["traits"]["age"]) == ("gold", 40)
    assert reading().members(kept["traits"]) == {
        "email": "Ann@Mail.example", "plan": "gold", "age": 40, "firstName": "Ann",
        "address": {"city": "Lyon", "zipCode": "69001"},
    }  # fmt: skip


def test_a_call_that_is_hidden_is_not_hidden_again() -> None:
    calls = PrivateCalls(privacy())
    kept = json.loads(calls.judge(IDENTIFY, None, NOW).line)
    again = {**calls.hidden(kept), "$email_id": kept["$email_id"]}
    assert again == kept


def test_a_shop_that_hides_values_alone_keeps_ids_but_addresses() -> None:
    found = PrivateCalls(privacy(hides="addresses"))
    kept = found.hidden(IDENTIFY)
    assert (kept["userId"], kept["anonymousId"]) == ("ann-17850", "device-44")
    assert kept["$email_id"] == Pseudonyms(ROOT).of("ann@mail.example")
    assert found.hidden({"userId": "ann@mail.example"})["userId"].startswith("p_")


def test_a_text_from_outside_that_looks_sealed_is_a_text() -> None:
    own = Seals({"k1": b"x" * 32}, ROOT).seal("Rome", "email", "bob")
    kept = PrivateCalls(privacy()).hidden({"type": "identify", "userId": "a", "traits":
                                           {"email": own}})  # fmt: skip
    assert kept["traits"]["email"] != own
    assert reading().members(kept["traits"]) == {"email": own}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({"type": "track", "userId": "ann\ud800"}, "broken_text"),
        ({"type": "identify", "userId": "ann", "traits": {"email": "a\udfffb"}}, "broken_text"),
        ({"type": "identify", "userId": "ann", "traits": {"email": float("inf")}}, "not_finite"),
        ({"userId": "a" * 600}, "text_too_long"),
        ({"userId": "ann\0secret"}, "nul_byte"),
        ({"userId": "ann", "messageId": "x" * 200}, "bad_message_id"),
        ("secret", "bad_call"),
    ],
    ids=lambda one: one if isinstance(one, str) else "call",
)
def test_a_refused_call_is_sealed_as_a_whole_and_the_same_each_time(call: Any, code: str) -> None:
    found = [PrivateCalls(privacy()).judge(call, None, NOW) for _ in range(2)]
    assert found[0].fault is not None
    assert found[0].fault[0] == code
    assert found[0] == found[1]
    assert found[0].line.startswith(b"~r1:k1:")
    assert privacy().opened(found[0].line.decode())


def test_a_call_that_is_too_deep_is_refused_as_it_is_without_privacy() -> None:
    deep: Any = "ann-17850"
    for _ in range(500):
        deep = {"a": deep}
    call = {"type": "track", "event": "x", "userId": "ann-17850", "properties": deep}
    found = PrivateCalls(privacy()).judge(call, None, NOW)
    plain = judge(call, None, NOW)
    assert plain.fault is not None
    assert found.fault is not None
    assert found.fault[0] in (plain.fault[0], "bad_call")
    assert b"ann-17850" not in found.line


def test_ids_that_say_that_there_is_none_are_refused_later_as_ever() -> None:
    for name in ("null", "undefined", "", None):
        assert PrivateCalls(privacy()).hidden({"userId": name}) == {"userId": name}


# --- Rows that are refused ------------------------------------------------------------------------


def test_a_refused_row_is_found_by_who_asks_for_its_person() -> None:
    found = privacy()
    raw = json.dumps({"user": "ann-17850", "mail": "ann@mail.example"})
    sealed = found.seals.seal_row(raw)
    assert sealed == found.seals.seal_row(raw)
    assert found.seals.seal_row(sealed) == sealed
    assert found.named("ann-17850") in found.ids_in(sealed, ["user"])
    assert found.named("ann@mail.example") not in found.ids_in(sealed, ["user"])
    assert privacy(fields={"k2": b"g" * 32}).ids_in(sealed) == set()
    assert reading().row(sealed) == raw
    assert reading({}).row(sealed) == "[sealed: key k1 is not at hand]"


# --- Rows of files --------------------------------------------------------------------------------


def stored(privacy_of_shop: Privacy, **row: Any) -> dict[str, Any]:
    """What becomes of one row of a file with the shop's own columns."""
    told = {"customer_id": "ann-17850", "kind": "profile", "event_time": "2026-05-01", **row}
    chunk = RawChunk(pa.table({name: [value] for name, value in told.items()}))
    mapping = load("shoal").for_columns(list(told))
    found = clean(
        chunk, mapping, zone=Zone("UTC"), buckets=4, file="f", privacy=privacy_of_shop
    ).events  # fmt: skip
    [one] = found.to_pylist()
    return dict(one)


def test_properties_that_nobody_can_look_through_are_sealed_whole() -> None:
    deep: Any = "secret"
    for _ in range(200):
        deep = {"email": deep}
    kept = json.loads(stored(privacy(), properties=json.dumps(deep))["properties"])
    assert list(kept) == ["too_deep"]
    assert "secret" in reading().members(kept)["too_deep"]


def test_values_that_are_ids_become_pseudonyms_addresses_in_any_case() -> None:
    shop = privacy(ids=["loyalty", "email"], personal=["phone"])
    kept = json.loads(stored(shop, properties=json.dumps(
        {"loyalty": 4711, "email": "Ann@Mail.example", "phone": "", "plan": None, "note": "x"}
    ))["properties"])  # fmt: skip
    made = Pseudonyms(ROOT).of
    assert kept == {"loyalty": made("4711"), "email": made("ann@mail.example"), "phone": "",
                    "plan": None, "note": "x"}  # fmt: skip


def test_an_event_id_made_of_the_visitors_id_is_a_pseudonym_and_others_stay() -> None:
    assert stored(privacy(), event_id="profile/ann-17850#1")["event_id"].startswith("p_")
    assert stored(privacy(), event_id="e1")["event_id"] == "e1"
    assert stored(privacy(), session_id="ann-17850.7")["session_id"].startswith("p_")
    assert stored(privacy(hides="addresses"), session_id="s7")["session_id"] == "s7"


def test_properties_that_repeat_the_rows_id_hold_its_pseudonym() -> None:
    kept = json.loads(stored(privacy(), properties='{"link": "/u/ann-17850?a=1"}')["properties"])
    assert kept == {"link": f"/u/{Pseudonyms(ROOT).of('ann-17850')}?a=1"}


def test_facts_of_items_are_nobodys() -> None:
    kept = stored(privacy(), kind="item", item_id="i1", properties='{"email": "x@shop.example"}')
    assert kept["properties"] == '{"email":"x@shop.example"}'


@pytest.mark.parametrize(
    "properties",
    [
        {"firstName": "secret"}, {"FIRST_NAME": "secret"}, {"first.name": "secret"},
        {"address": {"city": "secret", "lines": ["secret", {"x": "secret"}]}},
        {"address_city": "secret", "note": "x"},
        {"group": '{"first_name": "secret"}'}, {"address": '{"city": "secret"}'},
        {"addresses": "open", "Address": ["secret"]},
        {"group": '{"\\u0066irst_name": "secret"}'},
    ],
    ids=lambda one: "-".join(one),
)  # fmt: skip
def test_a_personal_value_is_found_however_its_name_is_written(properties: dict[str, Any]) -> None:
    kept = stored(privacy(), properties=json.dumps(properties))["properties"]
    assert "secret" not in kept
    told = reading().members(json.loads(kept))
    assert json.dumps(told).count("secret") == json.dumps(properties).count("secret")
    assert "open" in kept or "addresses" not in properties
