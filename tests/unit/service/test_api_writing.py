"""The API's assignment, rules and exports: what they give, and what they refuse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.service.served import Shelf, served

from shoal.service.api import writing


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with served(tmp_path_factory.mktemp("writing")) as found:
        yield found


def post(shelf: Shelf, path: str, body: Any, **query: Any) -> Any:
    return shelf.ask(path, method="POST", body=body, **query)


def files_of(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()
            and not path.name.endswith(("-shm", "-wal"))}  # fmt: skip


# --- Assign ---------------------------------------------------------------------------------------


def bought(number: int, customer: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "track", "event": "Order Completed", "messageId": f"a{number}", "userId": customer,
        "timestamp": f"2024-03-02T12:{number:02d}:00Z",
        "properties": {"order_id": f"a{number}", "currency": "GBP", "products": [
            {"product_id": "i1", "price": 30, "quantity": 2}]}, **more,
    }  # fmt: skip


def test_calls_are_assigned_and_nothing_of_them_is_kept(shelf: Shelf) -> None:
    home = shelf.shop.directory
    before = files_of(home)
    batch = [bought(1, "guest-1"), bought(2, "guest-1"), 5, {"type": "bogus", "userId": "x"}]
    told = post(shelf, "/v1/assign", {"batch": batch})
    assert told.status == 200, told.document
    (customer,) = told.document["customers"]
    assert customer["customer_id"] == "guest-1"
    assert {one["line"] for one in customer["segments"]} == {"main", "rfm"}
    assert customer["segments"][0]["segment_id"].startswith("r")
    assert [(one["index"], one["code"]) for one in told.document["rejected"]] == [
        (2, "bad_call"), (3, "unknown_kind"),
    ]  # fmt: skip
    assert files_of(home) == before
    assert shelf.ask("/v1/customers/guest-1").status == 404


def test_the_same_calls_lead_where_they_would_if_they_came_in(shelf: Shelf) -> None:
    own = shelf.get("/v1/customers/c3/timeline", limit=1000)["events"]
    moment = shelf.shop.customer("c3")["as_of"]
    calls = [
        {"type": "track", "event": "Order Completed", "messageId": one["event_id"],
         "userId": "somebody", "timestamp": one["event_time"],
         "properties": {"order_id": one["order_id"], "products": [
             {"product_id": one["item_id"], "price": one["price"],
              "quantity": one["quantity"]}]}}
        for one in own
    ]  # fmt: skip
    alone = post(shelf, "/v1/assign", {"batch": calls}, as_of=moment).document
    placed = shelf.get("/v1/customers/c3")["segment"]
    assert alone["customers"][0]["segments"][0]["segment_id"] == placed["segment_id"]


def test_what_is_known_counts_where_it_is_asked_for(shelf: Shelf) -> None:
    call = {"type": "track", "event": "Product Viewed", "userId": "c3", "messageId": "k1",
            "timestamp": "2024-03-02T13:00:00Z", "properties": {"product_id": "i1"}}  # fmt: skip
    alone = post(shelf, "/v1/assign", {"batch": [call]}).document
    known = post(shelf, "/v1/assign", {"batch": [call]}, history=True).document
    assert (alone["events"], known["events"]) == (1, 4)
    segments = [one["customers"][0]["segments"][0]["segment_id"] for one in (alone, known)]
    assert segments == ["r00", shelf.get("/v1/customers/c3")["segment"]["segment_id"]]
    # A device that is somebody's leads to whose it is.
    device = {**call, "anonymousId": "device-1", "userId": None}
    told = post(shelf, "/v1/assign", {"batch": [device]}).document
    assert [one["customer_id"] for one in told["customers"]] == ["c1"]


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [(b"", 400, "bad_json"), (b"[1]", 400, "bad_json"), (b'{"batch":[]}', 400, "empty_batch"),
     (b'{"batch":[1]}', 422, "too_little_data"),
     (b'{"batch":[{"type":"track","event":"x"}]}', 422, "too_little_data"),
     (b'{"batch":[' + b"1," * 2_000 + b"1]}", 400, "too_many"),
     (b"\xff\xfe{}", 400, "bad_json"), (b'{"batch":' + b"[" * 100_000, 400, "bad_json")],
    ids=["empty", "list", "none", "number", "nobody", "many", "utf16", "deep"],
)  # fmt: skip
def test_bodies_that_cannot_be_assigned_say_why(
    shelf: Shelf, raw: bytes, status: int, code: str
) -> None:
    told = shelf.ask("/v1/assign", method="POST", raw=raw)
    assert (told.status, told.document["code"]) == (status, code)
    assert told.document["message"]


# --- Rules ----------------------------------------------------------------------------------------

RULES = {
    "schema": "shoal.rules/1",
    "segments": [{"id": "twice", "name": {"en": "Twice", "zh": "两次"},
                  "rule": {"feature": "orders", "op": ">=", "value": 2}}],
}  # fmt: skip


def test_rules_are_tried_put_in_force_and_read_again(shelf: Shelf) -> None:
    assert shelf.get("/v1/rules", role="viewer")["segmentation_id"] is None
    tried = post(shelf, "/v1/rules/preview", {"rules": RULES, "sample": 2, "seed": 1})
    assert tried.status == 200
    assert tried.document["segments"][0]["customers"] == 20
    assert len(tried.document["segments"][0]["sample"]) == 2
    assert shelf.get("/v1/rules")["versions"] == []
    made = post(shelf, "/v1/rules", {"rules": RULES})
    assert (made.status, made.document["segmentation_id"]) == (201, "rules-0001")
    assert shelf.get("/v1/rules/rules-0001")["rules"] == made.document["rules"]
    same = shelf.ask("/v1/rules", method="PUT", body={"rules": RULES})
    assert (same.status, same.document["versions"]) == (200, ["rules-0001"])
    other = {**RULES, "segments": [{**RULES["segments"][0], "id": "again"}]}  # type: ignore[index, dict-item]
    put = shelf.ask("/v1/rules", method="PUT", body={"rules": other})
    assert (put.status, put.document["versions"]) == (201, ["rules-0001", "rules-0002"])
    shelf.asking_again()
    members = shelf.get("/v1/segments/again/members", limit=1000)["members"]
    assert len(members) == 20
    assert shelf.ask("/v1/rules/rfm-0001").status == 404
    assert post(shelf, "/v1/rules", {"rules": RULES}, role="viewer").status == 403


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [({}, 400, "rules"), ({"rules": "/etc/passwd"}, 400, "rules"), ({"rules": [1]}, 400, "rules"),
     ({"rules": {}, "more": 1}, 400, "more"), ({"rules": {"feature": "nothing"}}, 422, None),
     ({"rules": RULES, "sample": -1}, 400, "sample"), ({"rules": RULES, "seed": 1.5}, 400, "seed"),
     ({"rules": RULES, "as_of": "soon"}, 400, "as_of"),
     ({"rules": {"feature": "orders'; DROP TABLE x", "op": ">", "value": "1); --"}}, 422, None)],
    ids=["none", "path", "list", "more", "unknown", "sample", "seed", "moment", "sql"],
)  # fmt: skip
def test_rules_that_are_none_are_refused_with_their_place(
    shelf: Shelf, body: Any, status: int, where: str | None
) -> None:
    told = post(shelf, "/v1/rules/preview", body)
    assert told.status == status, told.document
    assert told.document["code"] in ("usage", "bad_rule", "bad_time")
    assert where is None or told.document["where"] == where


def test_who_would_write_waits_for_the_turn_and_is_told_to_come_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_PATIENCE_S", 0.05)
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        with shelf.driver.turn:
            taken.set()
            over.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    taken.wait(30)
    told = post(shelf, "/v1/exports", {"segment": "r00"})
    over.set()
    other.join()
    assert (told.status, told.document["code"]) == (503, "shop_locked")
    assert int(told.headers["retry-after"]) > 0


# --- Exports --------------------------------------------------------------------------------------


def test_a_list_is_made_told_and_handed_out(shelf: Shelf) -> None:
    name = shelf.get("/v1/customers/c3")["segment"]["segment_id"]
    made = post(shelf, "/v1/exports", {"segment": name, "to": "mailer", "holdout": "50%"},
                role="marketer")  # fmt: skip
    assert made.status == 201, made.document
    assert made.document["held_out"] is not None
    assert str(shelf.shop.directory) not in str(made.document)
    listed = shelf.get("/v1/exports")
    assert [one["name"] for one in listed["files"]] == [made.document["name"]]
    assert listed["recorded"][0]["asked_by"] == "marketer"
    assert str(shelf.shop.directory) not in str(listed)
    told = shelf.ask(f"/v1/exports/{made.document['name']}")
    assert told.status == 200
    assert told.headers["content-disposition"].startswith("attachment")
    path = shelf.shop.directory / "exports" / made.document["name"]
    assert int(told.headers["content-length"]) == path.stat().st_size
    assert shelf.ask("/v1/exports", role="viewer").status == 403


@pytest.mark.parametrize("name", ["../shop.toml", "..", "shop.toml", "a\0b", ".hidden.csv", "link"])
def test_files_that_are_no_lists_are_not_handed_out(shelf: Shelf, name: str) -> None:
    home = shelf.shop.directory / "exports"
    home.mkdir(exist_ok=True)
    (home / ".hidden.csv").write_text("half")
    if not (home / "link").is_symlink():
        (home / "link").symlink_to(shelf.shop.directory / "shop.toml")
    told = shelf.ask(f"/v1/exports/{name}")
    assert told.status == 404
    assert told.document["code"] in ("unknown_export", "not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({}, 400, "usage"), ({"segment": "r99"}, 404, "unknown_segment"),
     ({"segment": "../r00"}, 404, "unknown_segmentation"),
     ({"segment": "r00", "out": "/tmp/x"}, 400, "usage"),
     ({"segment": "r00", "format": "exe"}, 400, "usage"),
     ({"segment": "r00", "to": "a\nb"}, 400, "usage"), ({"segment": 5}, 400, "usage"),
     ({"segment": "r00", "channel": "pigeon"}, 422, "unknown_channel"),
     ({"segment": "r00", "holdout": "200%"}, 422, "bad_holdout"),
     ({"segment": "r00", "since": "export-0099"}, 404, "unknown_export")],
    ids=["none", "unknown", "path", "out", "format", "to", "number", "channel", "holdout", "since"],
)  # fmt: skip
def test_lists_that_cannot_be_made_say_why(shelf: Shelf, body: Any, status: int, code: str) -> None:
    told = post(shelf, "/v1/exports", body)
    assert (told.status, told.document["code"]) == (status, code), told.document


# --- Persons who are forgotten --------------------------------------------------------------------


def test_who_is_forgotten_is_in_no_answer(shelf: Shelf) -> None:
    segment = shelf.get("/v1/customers/c9")["segment"]["segment_id"]
    with shelf.driver.turn:
        shelf.shop.forget(["c9"])
    for path in ("", "/history", "/timeline", "/segments"):
        assert shelf.ask(f"/v1/customers/c9{path}").document["code"] == "unknown_customer"
    shelf.asking_again()
    assert shelf.ask("/v1/customers/c8").status == 200
    rest = shelf.get(f"/v1/segments/{segment}/members", limit=1000)
    assert "c9" not in [one["customer_id"] for one in rest["members"]]
    assert "c9" not in str(shelf.get(f"/v1/segments/{segment}"))
