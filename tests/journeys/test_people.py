"""How a person came together, how that is undone, and what they consent to."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal


def event(n: int, minute: int, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{n}", "event_time": f"2024-05-01T10:{minute:02d}:00Z", "kind": kind,
        "source": "web", **more,
    }  # fmt: skip


ROWS = [
    event(1, 0, "view", anonymous_id="phone", item_id="i1"),
    event(2, 5, "login", anonymous_id="phone", customer_id="ann"),
    event(3, 6, "view", anonymous_id="phone", item_id="i2"),
    event(4, 20, "login", anonymous_id="phone", customer_id="bob"),
    event(5, 21, "view", anonymous_id="phone", item_id="i3"),
    event(6, 30, "purchase", customer_id="old-ann", item_id="i1", price=3.0, currency="EUR"),
    event(7, 31, "login", anonymous_id="old-ann", customer_id="ann", properties={"alias": True}),
    event(8, 32, "profile", customer_id="ann", properties={"plan": "free"}),
    event(9, 40, "profile", customer_id="ann", properties={"plan": "gold"}),
    event(10, 41, "consent", customer_id="ann", channel="email", properties={"granted": True}),
    event(11, 42, "consent", customer_id="bob", channel="email", properties={"granted": True}),
    {**event(12, 43, "consent", customer_id="bob", channel="email", properties={"granted": False})},
    {**event(13, 43, "consent", customer_id="bob", channel="email", properties={"granted": True})},
    event(14, 44, "consent", customer_id="ann", channel="sms", properties={"granted": "denied"}),
]


@pytest.fixture
def shop(shoal: Shoal, tmp_path: Path) -> Path:
    home = tmp_path / "shop"
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert shoal("init", home).code == 0
    assert shoal("ingest", home, path, "--preset", "shoal").code == 0
    return home


def events_of(shoal: Shoal, shop: Path, customer: str, *more: str) -> int:
    found = shoal("customer", shop, customer, "--json", *more)
    return int(found.document["features"]["events"]["value"]) if found.code == 0 else 0


def test_a_person_is_told_with_dates_and_causes(shoal: Shoal, shop: Path) -> None:
    found = shoal("identity", shop, "ann", "--json").document
    assert found["customer_id"] == "ann"
    ids = {one["id"]: one for one in found["ids"]}
    assert ids["phone"]["spans"] == [{"from": None, "to": "2024-05-01T10:20:00Z"}]
    assert ids["phone"]["shared_with"] == ["bob"]
    assert ids["old-ann"]["role"] == "merged"
    assert [row["says"] for row in found["told"]] == ["link", "link", "alias"]
    assert shoal("identity", shop, "old-ann", "--json").document["customer_id"] == "ann"
    early = shoal("identity", shop, "ann", "--as-of", "2024-05-01T10:15", "--json").document
    assert [one["id"] for one in early["ids"]] == ["ann", "phone"]
    text = shoal("identity", shop, "ann").out
    assert "old-ann always was ann" in text
    assert "gold" in text
    assert [one["trait"] for one in found["traits"]] == ["plan"]
    # her own six, the phone's 2 without a sign-in, the purchase of old-ann
    assert events_of(shoal, shop, "ann") == 9
    assert events_of(shoal, shop, "old-ann") == 9


def test_unmerging_puts_history_back(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    before = events_of(shoal, shop, "ann")
    asked = shoal("identity", shop, "ann", "--unmerge", "old-ann", "--json")
    assert asked.code == 2
    assert "not confirmed" in asked.error["message"]
    assert shoal("identity", shop, "ann", "--unmerge", "old-ann", "--yes", "--json").code == 0
    assert events_of(shoal, shop, "ann") == before - 1
    assert events_of(shoal, shop, "old-ann") == 1
    assert events_of(shoal, shop, "ann", "--as-of", "2024-05-01T10:44:00.000001Z") == before
    told = shoal("identity", shop, "old-ann", "--json").document["told"]
    assert [row["says"] for row in told] == ["alias", "cut"]
    again = shoal("identity", shop, "ann", "--unmerge", "old-ann", "--yes", "--json")
    assert again.code == 2
    assert "not joined" in again.error["message"]
    # who signs in again is joined again
    row = event(20, 50, "login", anonymous_id="old-ann", customer_id="ann",
                properties={"alias": True})  # fmt: skip
    (tmp_path / "more.jsonl").write_text(json.dumps(row) + "\n")
    assert shoal("ingest", shop, tmp_path / "more.jsonl", "--preset", "shoal").code == 0
    assert events_of(shoal, shop, "old-ann") == before + 1


def test_an_alias_without_events_of_its_own_is_unmerged(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    row = event(20, 45, "profile", anonymous_id="ann@x.example", customer_id="ann",
                properties={"alias": True})  # fmt: skip
    (tmp_path / "more.jsonl").write_text(json.dumps(row) + "\n")
    assert shoal("ingest", shop, tmp_path / "more.jsonl", "--preset", "shoal").code == 0
    answer = shoal("identity", shop, "ann", "--unmerge", "ann@x.example", "--yes", "--json")
    assert answer.code == 0
    assert answer.document["customer_id"] == "ann"
    assert "ann@x.example" not in [one["id"] for one in answer.document["ids"]]
    again = shoal("identity", shop, "ann", "--unmerge", "ann@x.example", "--yes", "--json")
    assert "not joined" in again.error["message"]


@pytest.mark.parametrize(("first", "second"), [("old-ann", "ann"), ("phone", "ann")])
def test_which_id_is_the_customers_makes_no_difference(
    shoal: Shoal, shop: Path, first: str, second: str
) -> None:
    answer = shoal("identity", shop, first, "--unmerge", second, "--yes", "--json")
    assert answer.code == 0, answer.out
    told = shoal("identity", shop, "ann", "--json").document["told"]
    cuts = [(row["id"], row["customer_id"]) for row in told if row["says"] == "cut"]
    assert cuts == [(first, second)]
    assert "ann" not in [
        one["id"] for one in shoal("identity", shop, first, "--json").document["ids"]
    ]


def test_a_clock_that_is_wrong_does_not_date_the_cut(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    def told(*rows: dict[str, Any]) -> None:
        path = tmp_path / f"{rows[0]['event_id']}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert shoal("ingest", shop, path, "--preset", "shoal").code == 0

    ahead = {"event_id": "y1", "event_time": "2091-01-01", "kind": "view", "source": "web"}
    told({**ahead, "customer_id": "zoe"})
    assert shoal("identity", shop, "ann", "--unmerge", "old-ann", "--yes").code == 0
    rows = shoal("identity", shop, "old-ann", "--json").document["told"]
    assert [(row["says"], row["time"][:19]) for row in rows][-1] == ("cut", "2024-05-01T10:44:00")
    after = shoal("identity", shop, "ann", "--as-of", "2024-06-01", "--json").document
    assert "old-ann" not in [one["id"] for one in after["ids"]]
    login = {"kind": "login", "source": "web", "anonymous_id": "old-ann", "customer_id": "ann",
             "properties": {"alias": True}}  # fmt: skip
    told({**login, "event_id": "y2", "event_time": "2024-06-02"})
    assert shoal("identity", shop, "old-ann", "--json").document["customer_id"] == "ann"
    # a statement of the two that is dated ahead is cut as well, and so is one that repeats it
    told({**login, "event_id": "y3", "event_time": "2090-01-01"})
    assert shoal("identity", shop, "ann", "--unmerge", "old-ann", "--yes").code == 0
    assert shoal("identity", shop, "old-ann", "--json").document["customer_id"] == "old-ann"


def test_unknown_ids_are_told(shoal: Shoal, shop: Path) -> None:
    answer = shoal("identity", shop, "nobody", "--json")
    assert answer.code == 2
    assert answer.error["code"] == "unknown_customer"


def test_consents_are_dated_and_a_withdrawal_in_the_same_second_wins(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    answer = shoal("consent", shop, "--out", tmp_path / "c.parquet", "--json")
    assert answer.document["channels"] == {
        "email": {"granted": 1, "denied": 1}, "sms": {"granted": 0, "denied": 1},
    }  # fmt: skip
    rows = pq.read_table(tmp_path / "c.parquet").to_pylist()
    assert [(r["customer_id"], r["channel"], r["granted"]) for r in rows] == [
        ("ann", "email", True), ("ann", "sms", False), ("bob", "email", False),
    ]  # fmt: skip
    early = shoal("consent", shop, "--as-of", "2024-05-01T10:43", "--json").document
    assert early["channels"] == {"email": {"granted": 2, "denied": 0}}
    unknown = shoal("consent", shop, "--channel", "fax", "--json")
    assert unknown.error["code"] == "unknown_channel"
    assert "email, sms" in unknown.error["hint"]


def test_a_person_is_exported_whole(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    found = shoal("person", shop, "ann", "--json").document
    assert {one["event_id"] for one in found["events"]} == {
        "e1", "e2", "e3", "e6", "e7", "e8", "e9", "e10", "e14",
    }  # fmt: skip
    assert found["traits"] == [
        {"trait": "plan", "value": "gold", "since": "2024-05-01T10:40:00Z", "source": "web"}
    ]
    assert [one["channel"] for one in found["consents"]] == ["email", "sms"]
    assert shoal("person", shop, "ann", "--out", tmp_path / "ann.json").code == 0
    assert json.loads((tmp_path / "ann.json").read_text())["identity"]["customer_id"] == "ann"


def test_an_earlier_owner_is_taken_off_a_device(shoal: Shoal, shop: Path) -> None:
    before = {who: events_of(shoal, shop, who) for who in ("ann", "bob")}
    assert "is no longer" in shoal("identity", shop, "ann", "--unmerge", "phone", "--yes").out
    after = {who: events_of(shoal, shop, who) for who in ("ann", "bob")}
    # the first view on the phone, before anybody signed in, and the one after ann did
    assert after == {"ann": before["ann"] - 2, "bob": before["bob"] + 2}
    found = shoal("identity", shop, "ann", "--json").document
    assert [row["says"] for row in found["told"] if row["id"] == "phone"] == ["link", "cut"]


def test_an_export_holds_those_who_allow_it(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    rows = [
        event(n, n % 60, "purchase", customer_id=f"c{n:03d}", order_id=f"o{n}", item_id="i1",
              price=1.0 + n, currency="EUR")
        for n in range(100, 160)
    ]  # fmt: skip
    rows += [
        event(n, n % 60, "consent", customer_id=f"c{n - 100:03d}", channel="email",
              properties={"granted": n % 2 == 0})
        for n in range(200, 260)
    ]  # fmt: skip
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert shoal("ingest", shop, tmp_path / "more.jsonl", "--preset", "shoal").code == 0
    assert shoal("segment", shop, "--method", "rfm").code == 0
    table = shoal("memberships", shop, "--segmentation", "rfm-0001", "--out", tmp_path / "m.csv")
    assert table.code == 0, table.err
    members: dict[str, list[str]] = {}
    for row in csv.DictReader((tmp_path / "m.csv").read_text().splitlines()):
        members.setdefault(row["segment_id"], []).append(row["customer_id"])
    segment, whole = max(members.items(), key=lambda one: len(one[1]))
    out = tmp_path / "list.csv"
    answer = shoal("export", shop, segment, "--consent", "email", "--out", out, "--json").document
    granted = {
        name for name in whole if name == "ann" or (name[0] == "c" and int(name[1:]) % 2 == 0)
    }
    assert 0 < len(granted) < len(whole)
    assert {row["customer_id"] for row in csv.DictReader(out.read_text().splitlines())} == granted
    assert answer["customers"] == len(granted)
    assert answer["without_consent"] == len(whole) - len(granted)
    said = shoal("export", shop, segment, "--consent", "email", "--out", out).out
    assert f"{len(whole) - len(granted):,} more have not granted email: left out." in said
    unknown = shoal("export", shop, segment, "--consent", "fax", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown_channel")
    assert "email, sms" in unknown.error["hint"]
    query = shoal("export", shop, segment, "--format", "sql", "--consent", "email", "--json")
    assert query.code == 2


@pytest.mark.parametrize("verb", [["person", "ann"], ["consent"], ["export", "r01"]])
def test_a_file_that_cannot_be_written_is_told(
    shoal: Shoal, shop: Path, tmp_path: Path, verb: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file" / "list.csv", tmp_path / "shop.csv"):
        (tmp_path / "shop.csv").mkdir(exist_ok=True)
        answer = shoal(verb[0], shop, *verb[1:], "--out", out, "--json")
        assert (answer.code, answer.error["code"]) == (2, "usage")
        assert "folder" in answer.error["message"]
    made = tmp_path / "new" / "list.csv"
    if verb[0] != "export":
        assert shoal(verb[0], shop, *verb[1:], "--out", made).code == 0
        assert made.stat().st_size > 0
