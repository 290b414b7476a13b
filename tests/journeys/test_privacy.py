"""A shop that hides: nothing plain on the disk, asked by real ids, read by who may."""

from __future__ import annotations

import base64
import csv
import json
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import Service, serving
from tests.private import KEYS, found_in, hiding, key
from tests.shops import purchase, write_csv

import shoal as package
from shoal.domain.secret_keys import FIELD_KEYS, PSEUDONYM_KEY
from shoal.events.presets import load
from shoal.events.privacy_reading import HIDDEN
from shoal.events.pseudonyms import Pseudonyms

#: Enough customers for segments that are learned, few enough to be quick.
CUSTOMERS = 30


def person(n: int) -> str:
    return f"person-{n:03d}"


def address(n: int) -> str:
    return f"Ann.{n:03d}@Mail.example"


def named(n: int) -> str:
    return Pseudonyms(b"p" * 32).of(person(n))


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def purchases() -> list[dict[str, object]]:
    return [
        purchase(k, person(k % CUSTOMERS), order_id=f"o{k}", price=f"{5 + 40 * (k % 3)}.00",
                 currency="EUR", session_id=f"{person(k % CUSTOMERS)}/1")
        for k in range(CUSTOMERS * 4)
    ]  # fmt: skip


def identified(n: int, *, number: int | None = None) -> dict[str, Any]:
    return {
        "type": "identify", "userId": person(n), "anonymousId": f"device-{n:03d}",
        "messageId": f"i{n if number is None else number}-{person(n)}",
        "timestamp": "2024-03-01T09:00:00Z",
        "traits": {"email": address(n), "plan": "gold", "address": {"city": "Lyonville"}},
        "context": {"page": {"url": f"https://shop.example/{person(n)}?m={address(n)}"}},
    }  # fmt: skip


def lines(path: Path, calls: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in calls))
    return path


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that hides, with purchases, traits and refused rows, in segments."""
    home = tmp_path_factory.mktemp("privacy")
    rows = [
        *purchases(),
        purchase(900, person(1), event_time="never"),
        purchase(901, person(2), kind="peeped"),
    ]
    calls = [identified(n) for n in range(CUSTOMERS)]
    broken = lines(home / "calls.jsonl", [*calls, {**calls[3], "timestamp": "never"}])
    broken.write_text(broken.read_text() + '{"userId": "person-004", "traits": {broken\n')
    with pytest.MonkeyPatch.context() as environment:
        for name, value in KEYS.items():
            environment.setenv(name, value)
        with package.init(home / "shop", hiding()) as shop:
            shop.ingest(write_csv(home / "orders.csv", rows), preset="shoal")
            shop.ingest(broken, preset="segment-spec")
            shop.segment(method="rfm")
    return home / "shop"


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    """A copy of the shop that a test may change."""
    return shutil.copytree(made_once, tmp_path / "shop")


SECRETS = ("person-0", "Ann.0", "Mail.example", "device-0", "Lyonville")


def config_of(shop: Path, change: Callable[[str], str]) -> None:
    path = shop / "shop.toml"
    path.write_text(change(path.read_text()))


# --- Nothing plain on the disk --------------------------------------------------------------------


def test_nothing_plain_is_on_the_disk_after_files_a_service_and_segments(
    made: Path, shoal: Shoal
) -> None:
    write = shoal("keys", made, "--make", "web", "--json").document["key"]
    calls = [
        identified(5, number=500),
        {"type": "track", "event": "Order Completed", "userId": person(6), "messageId": "t1",
         "timestamp": "2024-03-10T10:00:00Z", "context": {"sessionId": "s-device-006"},
         "properties": {"order_id": "x1", "email": address(6), "currency": "EUR",
                        "products": [{"product_id": "i1", "price": 5, "name": "Mug"}]}},
        {"type": "alias", "userId": person(7), "previousId": "device-099", "messageId": "a1"},
        {"type": "bogus", "userId": person(8), "messageId": "b1", "traits": {"email": address(8)}},
        {"type": "track", "event": "x", "userId": person(9) + "\0", "messageId": "n1"},
        {"userId": "null", "type": "track", "event": "y", "messageId": "n2"},
    ]  # fmt: skip
    text = f'{{"type": "identify", "userId": "{person(10)}", "traits": {{"email": "{address(10)}"\n'
    lines_sent = (json.dumps(identified(11, number=511)) + "\n" + text).encode()
    with serving(made, write) as service:
        status, told = service.send({"batch": calls})
        assert (status, told["accepted"], len(told["rejected"])) == (200, 5, 1)
        assert service.send({"batch": calls})[1]["duplicates"] == 5
        basic = base64.b64encode(f"{write}:".encode()).decode()
        headers = {"authorization": f"Basic {basic}", "content-type": "application/x-ndjson"}
        for _ in range(2):
            told = service.send(lines_sent, "/v1/import", headers=headers)[1]
        assert (told["stored"], told["duplicates"], told["quarantined"]) == (0, 1, 1)
        # Killed: what is in the inbox, its write-ahead log and the work folder stays as it is.
        service.stop(signal.SIGKILL)
    assert found_in(made, SECRETS) == []
    with package.open(made) as shop:
        shop.empty_inbox()
        shop.segment(method="rfm")
        ids = shop.memberships()["customer_id"].to_pylist()
        # Who is told of in a file and by a client is one customer.
        assert len(ids) == CUSTOMERS
        assert {named(5), named(6)} <= set(ids)
        reasons = {one.code: one.count for one in shop.quarantine().reasons}
        assert reasons == {
            "bad_time": 3, "bad_json": 2, "unknown_kind": 2, "nul_byte": 1,
            "bad_customer_id": 1,
        }  # fmt: skip
        joined = {one["id"] for one in shop.identity(person(7))["ids"]}
        assert Pseudonyms(b"p" * 32).of("device-099") in joined
    assert found_in(made, SECRETS) == []


def test_the_scan_finds_what_is_plain(made: Path) -> None:
    (made / "exports").mkdir(exist_ok=True)
    with package.open(made) as shop:
        shop.write_person(person(3), made / "exports" / "person.json")
    assert {text for text, _ in found_in(made, SECRETS)} == set(SECRETS)


def test_a_file_that_comes_again_is_known_also_after_keys_were_rotated(
    made: Path, tmp_path: Path, keys: pytest.MonkeyPatch
) -> None:
    keys.setenv(FIELD_KEYS, f"k2:{key('g')},k1:{key('f')}")
    calls = [identified(n) for n in reversed(range(CUSTOMERS))]
    with package.open(made) as shop:
        events = shop.status()["events"]
        again = shop.ingest(lines(tmp_path / "again.jsonl", calls), preset="segment-spec")
        assert (again.rows.stored, again.rows.duplicate, again.rows.conflicting) == (0, 60, 0)
        shop.ingest(
            lines(tmp_path / "more.jsonl", [identified(40, number=940)]), preset="segment-spec"
        )
        assert shop.status()["events"] == events + 2
        for n in (3, 40):  # sealed under either key
            assert traits(shop, n)["email"] == address(n)
    keys.setenv(FIELD_KEYS, f"k2:{key('g')}")
    with package.open(made) as shop:
        assert traits(shop, 40)["email"] == address(40)
        assert traits(shop, 3)["email"] == "[personal: key k1 is not at hand]"


def traits(shop: package.Shop, n: int) -> dict[str, Any]:
    return {one["trait"]: one["value"] for one in shop.identity(person(n))["traits"]}


# --- Asked by real ids ----------------------------------------------------------------------------


def test_people_are_asked_for_by_their_real_id_or_their_pseudonym(made: Path, shoal: Shoal) -> None:
    for name in (person(3), named(3)):
        assert shoal("customer", made, name, "--json").document["customer_id"] == named(3)
        assert shoal("identity", made, name, "--json").document["customer_id"] == named(3)
    told = shoal("person", made, address(3).lower(), "--json").document
    assert told["identity"]["customer_id"] == named(3)
    events = [json.loads(one["properties"]) for one in told["events"] if "properties" in one]
    assert {one.get("email") for one in events} == {address(3), None}
    assert len(told["quarantined"]) == 2  # the call, and that its address is the customer's
    assert all(address(3).lower() in one["raw"].lower() for one in told["quarantined"])
    unknown = shoal("customer", made, "nobody", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown_customer")


def test_who_is_forgotten_goes_from_the_quarantine_too_and_does_not_come_back(
    made: Path, shoal: Shoal, tmp_path: Path
) -> None:
    receipt = shoal("forget", made, person(1), "nobody-ever", "--yes", "--json").document
    assert receipt["removed"]["quarantined"] == 1
    assert receipt["removed"]["events"] > 4
    assert receipt["unknown_ids"] == ["nobody-ever"]
    again = write_csv(tmp_path / "again.csv", [*purchases(), purchase(950, person(1))])
    with package.open(made) as shop:
        assert shop.ingest(again, preset="shoal").rows.stored == 0
        late = purchase(951, person(1), event_time="never")
        shop.ingest(
            write_csv(tmp_path / "late.csv", [late, purchase(952, person(2))]), preset="shoal"
        )
        assert shop.quarantine().reasons[0].count == 2  # not the third one, of who was forgotten
        assert shop.lift([person(1)]) > 0
        assert shop.ingest(
            write_csv(tmp_path / "back.csv", [purchase(953, person(1))]), preset="shoal"
        ).rows.stored == 1  # fmt: skip
    assert found_in(made, SECRETS) == []


# --- Keys and settings ----------------------------------------------------------------------------


def test_a_shop_without_its_keys_takes_nothing_in_and_shows_nobody(
    made: Path, shoal: Shoal, keys: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    more = write_csv(tmp_path / "more.csv", [purchase(960, person(1))])
    for variable, value, code in (
        (PSEUDONYM_KEY, None, "no_secret"), (PSEUDONYM_KEY, "c2hvcnQ=", "bad_secret"),
        (PSEUDONYM_KEY, key("q"), "wrong_secret"), (FIELD_KEYS, None, "no_secret"),
        (FIELD_KEYS, "k1", "bad_secret"),
    ):  # fmt: skip
        with keys.context() as other:
            other.delenv(variable) if value is None else other.setenv(variable, value)
            for verb in (("ingest", made, more, "--preset", "shoal"), ("serve", made, "--port", 0)):
                refused = shoal(*verb, "--json")
                assert (refused.code, refused.error["code"]) == (2, code), (verb, refused)
                assert value is None or value not in refused.out + refused.err
    with keys.context() as other:
        other.delenv(PSEUDONYM_KEY)
        other.setenv(FIELD_KEYS, f"k1:{key('z')}")
        assert shoal("customer", made, person(3), "--json").error["code"] == "no_secret"
        told = shoal("identity", made, named(3), "--json").document
        values = {one["trait"]: one["value"] for one in told["traits"]}
        assert values["email"] == "[personal: key k1 does not open it]"
        assert values["plan"] == "gold"
        assert shoal("segments", made).code == 0


def test_hiding_ids_does_not_begin_or_end_in_a_shop_that_holds_events(
    made: Path, shoal: Shoal, tmp_path: Path
) -> None:
    more = write_csv(tmp_path / "more.csv", [purchase(970, person(1))])
    config_of(made, lambda text: text.replace("pseudonymise = true", "pseudonymise = false"))
    refused = shoal("ingest", made, more, "--preset", "shoal", "--json")
    assert (refused.code, refused.error["code"]) == (2, "privacy_changed")
    assert "make a new shop" in refused.error["hint"]
    config_of(made, lambda text: text.replace("pseudonymise = false", "pseudonymise = true"))
    assert shoal("ingest", made, more, "--preset", "shoal").code == 0
    with package.init(tmp_path / "plain") as shop:
        shop.ingest(more, preset="shoal")
    config_of(
        tmp_path / "plain", lambda text: text.replace("pseudonymise = false", "pseudonymise = true")
    )
    for verb in (("ingest", tmp_path / "plain", more, "--preset", "shoal"),
                 ("serve", tmp_path / "plain", "--port", 0)):  # fmt: skip
        refused = shoal(*verb, "--json")
        assert (refused.code, refused.error["code"]) == (2, "privacy_changed")
    # Values may be hidden from a day on.
    config_of(
        tmp_path / "plain",
        lambda text: text.replace("pseudonymise = true", "pseudonymise = false").replace(
            "personal = []", 'personal = ["phone"]'
        ),
    )
    assert shoal("ingest", tmp_path / "plain", more, "--preset", "shoal").code == 0


def test_a_personal_trait_is_no_feature_and_no_rule_compares_it(
    made: Path, shoal: Shoal, tmp_path: Path
) -> None:
    config_of(made, lambda text: text.replace("traits = []", 'traits = ["email"]', 1))
    refused = shoal("status", made, "--json")
    assert (refused.code, refused.error["code"]) == (2, "bad_setting")
    config_of(made, lambda text: text.replace('traits = ["email"]', "traits = []", 1))
    rule = tmp_path / "rule.json"

    def asked(op: str, value: str | None = None) -> Any:
        test = {"field": "properties.email", "op": op}
        if value is not None:
            test["value"] = value
        rule.write_text(json.dumps({"events": "profile", "where": [test]}))
        return shoal("rules", "preview", made, rule, "--json")

    refused = asked("contains", "Mail.example")
    assert (refused.code, refused.error["code"]) == (2, "bad_rule")
    assert "encrypted" in refused.error["message"]
    found = asked("known")
    assert found.code == 0, found
    assert found.document["segments"][0]["customers"] == CUSTOMERS


# --- Who may see ----------------------------------------------------------------------------------


@pytest.fixture
def served(made: Path) -> Iterator[tuple[Service, dict[str, str]]]:
    with package.open(made) as shop:
        roles = {r: shop.make_key(r, role=r)["key"]
                 for r in ("viewer", "marketer", "analyst", "admin")}  # fmt: skip
    with serving(made, "none") as service:
        yield service, roles


def ask(service: Service, role: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{service.address}{path}", None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {role}"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text, status = answer.read().decode(), answer.status
    except urllib.error.HTTPError as error:
        text, status = error.read().decode(), error.code
    return status, json.loads(text) if text.startswith("{") else text


def test_roles_see_what_is_personal_or_that_there_is_something(
    served: tuple[Service, dict[str, str]],
) -> None:
    service, roles = served
    path = f"/v1/customers/{person(3)}/timeline?kind=profile"
    for role, expected in (("admin", address(3)), ("analyst", HIDDEN), ("marketer", HIDDEN)):
        status, told = ask(service, roles[role], path)
        assert (status, told["customer_id"]) == (200, named(3))
        assert {one["properties"].get("email") for one in told["events"]} == {expected, None}, role
        assert "~s1:" not in json.dumps(told)
    assert ask(service, roles["viewer"], path)[0] == 403
    for name in (person(3), named(3)):
        status, told = ask(service, roles["analyst"], f"/v1/customers/{name}")
        assert (status, told["customer_id"]) == (200, named(3))
    placed = told
    status, told = ask(service, roles["admin"], "/v1/quarantine")
    assert status == 200
    assert {row["raw"] for row in told["items"]} == {"[sealed]"}
    call = {"type": "track", "event": "Product Viewed", "userId": person(3), "messageId": "z",
            "timestamp": "2024-03-09T10:00:00Z", "properties": {"product_id": "i1"}}  # fmt: skip
    status, told = ask(service, roles["analyst"], "/v1/assign", {"batch": [call]})
    assert (status, [one["customer_id"] for one in told["customers"]]) == (200, [named(3)])
    segment = {"segment": placed["segments"][0]["segment_id"], "format": "klaviyo"}
    status, told = ask(service, roles["marketer"], "/v1/exports", segment)
    assert (status, told["code"]) == (403, "forbidden")
    status, told = ask(service, roles["admin"], "/v1/exports", segment)
    assert status == 201, told
    name = told["name"]
    assert ask(service, roles["marketer"], f"/v1/exports/{name}")[0] == 403
    status, text = ask(service, roles["admin"], f"/v1/exports/{name}")
    assert status == 200
    assert "@Mail.example" in text


def test_a_list_of_addresses_needs_the_keys(
    made: Path, shoal: Shoal, tmp_path: Path, keys: pytest.MonkeyPatch
) -> None:
    with package.open(made) as shop:
        members = shop.memberships().to_pylist()
    segment = members[0]["segment_id"]
    out = tmp_path / "list.csv"
    order = ("export", made, segment, "--format", "klaviyo", "--out", out)
    assert shoal(*order).code == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = {row["customer_id"] for row in members if row["segment_id"] == segment}
    assert {row["customer_id"] for row in rows} == wanted
    by_name = {named(n): address(n) for n in range(CUSTOMERS)}
    assert all(row["Email"] == by_name[row["customer_id"]] for row in rows)
    keys.delenv(FIELD_KEYS)
    refused = shoal(*order, "--json")
    assert (refused.code, refused.error["code"]) == (2, "no_secret")


# --- Hiding changes nothing else ------------------------------------------------------------------


def test_segments_are_those_of_a_shop_that_hides_nothing_under_other_names(tmp_path: Path) -> None:
    orders = write_csv(tmp_path / "orders.csv", purchases())
    calls = lines(tmp_path / "calls.jsonl", [identified(n) for n in range(CUSTOMERS)])
    found = []
    for name, config in (("hidden", hiding()),
                         ("plain", hiding(pseudonymise=False, personal=()))):  # fmt: skip
        with package.init(tmp_path / name, config) as shop:
            rows = [shop.ingest(orders, preset="shoal").rows,
                    shop.ingest(calls, preset="segment-spec").rows]  # fmt: skip
            shop.segment(method="rfm")
            told = shop.memberships().to_pylist()
            features = {
                row.pop("customer_id"): row for row in shop.features().to_pylist()
            }  # fmt: skip
        found.append((rows, told, features))
    (rows, hidden, hidden_features), (plain_rows, plain, plain_features) = found
    assert rows == plain_rows
    renamed = {Pseudonyms(b"p" * 32).of(one["customer_id"]): one for one in plain}
    assert len(hidden) == len(plain) == CUSTOMERS
    for one in hidden:
        other = renamed[one["customer_id"]]
        assert {**one, "customer_id": ""} == {**other, "customer_id": ""}
    assert hidden_features == {
        Pseudonyms(b"p" * 32).of(name): row for name, row in plain_features.items()
    }


def test_what_was_refused_is_stored_when_the_mapping_is_mended(made: Path, tmp_path: Path) -> None:
    with package.open(made) as shop:
        before = shop.status()["events"]
        mended = replace(
            load("shoal"),
            layouts=tuple(
                replace(one, kinds={**one.kinds, "peeped": "view"}) for one in load("shoal").layouts
            ),
        )
        done = shop.replay_quarantine(mapping=mended)
        assert (done.rows.read, done.rows.stored, done.rows.quarantined) == (2, 1, 1)
        assert shop.status()["events"] == before + 1
        assert {one.code for one in shop.quarantine().reasons} == {"bad_time", "bad_json"}
    assert found_in(made, SECRETS) == []


def test_a_fresh_key_is_printed_alone(shoal: Shoal) -> None:
    assert len(shoal("secret").out.strip()) == 43
    assert shoal("secret", "--name", "k2").out.startswith("k2:")
    refused = shoal("secret", "--name", "K 2", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
