"""Segment's calls, as archives and as warehouse tables: what becomes of what."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from tests.flat_events import FIXTURES, Read, net_of_orders, read, total_of_orders

from shoal.domain.errors import InputError
from shoal.domain.money import MICROS
from shoal.events import presets
from shoal.events.reading import open_source
from shoal.events.shapes import json_blocks

FOLDER = FIXTURES / "segment-spec"
CALLS = FOLDER / "calls.jsonl"


@pytest.fixture(scope="module")
def archive() -> Read:
    return read("segment-spec", CALLS)


def _properties(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event["properties"] or "{}")
    return found


def _lines(tmp_path: Path, *calls: object) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(call) + "\n" for call in calls), encoding="utf-8")
    return path


def test_the_account_of_the_archive(archive: Read) -> None:
    kinds: dict[str, int] = {}
    for event in archive.events:
        kinds[event["kind"]] = kinds.get(event["kind"], 0) + 1
    # 22 good lines; o-1 is three products, 1004 two and their amount; the batch holds two calls;
    # three consents stand beside their calls, and two e-mail addresses beside their identify.
    assert kinds == {
        "view": 4, "search": 1, "cart_add": 1, "login": 1, "profile": 5, "consent": 3,
        "checkout": 1, "purchase": 8, "refund": 2, "custom": 2, "review": 1, "open": 1,
        "sign_up": 1, "favourite": 1,
    }  # fmt: skip
    assert archive.reasons == {
        "bad_json": 1, "bad_call": 1, "bad_customer_id": 1, "bad_anonymous_id": 1,
        "missing_kind": 1, "bad_properties": 1, "missing_time": 1, "unknown_currency": 1,
    }  # fmt: skip
    rows = {row["code"]: row["row"] for row in archive.quarantined}
    assert rows["bad_json"] == 30 and rows["bad_customer_id"] == 23  # the lines of the file


def test_orders_are_net_of_their_discount_without_tax_and_shipping(archive: Read) -> None:
    net = net_of_orders(archive.events)
    assert net["o-1"] == int(37.3 * MICROS) - int(12.5 * MICROS)  # subtotal, one tea returned
    assert net["o-2"] == 0  # 30 less 4 tax and 6 shipping, given back whole
    assert net["o-3"] == 0
    assert net["1004"] == 19_990_000  # products without prices: the amount is a line of its own
    assert total_of_orders(archive.events, "tax")["o-1"] == 3_860_000
    assert total_of_orders(archive.events, "shipping")["o-1"] == 4_900_000


def test_an_alias_joins_and_an_identify_tells_traits_and_consent(archive: Read) -> None:
    (login,) = archive.of(kind="login")
    assert (login["customer_id"], login["anonymous_id"]) == ("u-1", "anon-1")
    assert _properties(login) == {"alias": True}
    profiles = {e["event_id"]: _properties(e) for e in archive.of(kind="profile")}
    assert profiles["ajs-next-7-a7"]["email"] == "Ada@Example.com"
    assert profiles["ajs-next-7-a7"]["address_city"] == "Lyon"
    assert "phone" not in profiles["ajs-next-7-a7"]  # explicitly null
    assert profiles["rudder-1"] == {"email": "bo@example.com", "plan": "free"}
    assert json.loads(profiles["srv-18"]["group"])["name"] == "Leaf Ltd"  # not the person's name
    consents = [
        (e["event_id"].split("#")[0], e["channel"], _properties(e)["granted"])
        for e in archive.of(kind="consent")
    ]
    assert consents == [
        ("ajs-next-7-a7", "marketing", True),
        ("ajs-next-7-a7", "analytics", False),
        ("srv-22", "marketing", False),
    ]


def test_an_e_mail_address_joins_orders_that_know_no_other_id(archive: Read) -> None:
    links = [e for e in archive.events if _properties(e) == {"alias": True, "link": "email"}]
    assert [(e["event_id"], e["customer_id"], e["anonymous_id"]) for e in links] == [
        ("ajs-next-7-a7#email", "u-1", "ada@example.com"),
        ("rudder-1#email", "u-2", "bo@example.com"),
    ]


def test_a_clock_that_is_off_is_set_right(archive: Read) -> None:
    (late,) = archive.of(event_id="rudder-1")  # sent 2 s after it happened, received at 10:10:02
    assert late["event_time"].isoformat() == "2024-03-01T10:10:00+00:00"


def test_a_list_is_one_event_and_an_unknown_event_keeps_everything(archive: Read) -> None:
    (seen,) = archive.of(event_id="ajs-next-3-a3")
    assert seen["item_id"] is None
    assert [p["product_id"] for p in json.loads(_properties(seen)["products"])] == ["p-1", "p-2"]
    (custom,) = archive.of(event_id="srv-15")
    assert _properties(custom) == {
        "event": "Newsletter Joined", "list": "weekly", "price": "free", "steps": '["a", "b"]',
        "from_page": "/news",
    }  # fmt: skip


def test_agent_and_address_serve_the_noise_rules_and_are_not_kept(archive: Read) -> None:
    table = open_source(CALLS, presets.load("segment-spec")).sample(5)
    assert table["ip"].to_pylist()[0] == "203.0.113.5"
    assert table["user_agent"].to_pylist()[0] == "Mozilla/5.0"
    for event in archive.events:
        kept = json.dumps(event, default=str)
        assert "203.0.113" not in kept and "Mozilla" not in kept


def test_a_call_is_its_message_id_whatever_the_chunks_are(archive: Read) -> None:
    for rows in (1, 3, 7):
        again = read("segment-spec", CALLS, rows_per_chunk=rows)
        assert [e["event_key"] for e in again.events] == [e["event_key"] for e in archive.events]
        assert [e["sequence"] for e in again.events] == [e["sequence"] for e in archive.events]
    assert len({e["event_id"] for e in archive.events}) == len(archive.events)


def test_a_gzip_archive_without_a_suffix_is_the_same(tmp_path: Path, archive: Read) -> None:
    path = tmp_path / "1709283600000.abc.gz"
    path.write_bytes(gzip.compress(CALLS.read_bytes()))
    assert [e["content_key"] for e in read("segment-spec", path).events] == [
        e["content_key"] for e in archive.events
    ]


@pytest.mark.parametrize(
    "table", ["order_completed", "product_viewed", "identifies", "pages", "aliases"]
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_warehouse_table_holds_the_same_events(
    tmp_path: Path, archive: Read, table: str, form: str
) -> None:
    path = FOLDER / "warehouse" / f"{table}.csv"
    if form == "parquet":  # typed: times are timestamps, amounts numbers, flags booleans
        path = tmp_path / f"{table}.parquet"
        pq.write_table(pacsv.read_csv(FOLDER / "warehouse" / f"{table}.csv"), path)
    known = {e["event_id"]: e["content_key"] for e in archive.events}
    found = read("segment-spec", path)
    assert found.events and not found.quarantined
    assert {e["event_id"]: e["content_key"] for e in found.events} == {
        e["event_id"]: known[e["event_id"]] for e in found.events
    }


@pytest.mark.parametrize(
    ("name", "columns", "says"),
    [
        ("tracks", {"id": ["1"], "anonymous_id": ["a"], "event": ["order_completed"],
                    "timestamp": ["2024-03-01"]}, "table `tracks`"),
        ("users", {"id": ["u"], "received_at": ["2024-03-01"], "email": ["a@b.c"]}, "identifies"),
        ("stock", {"sku": ["1"], "count": ["2"]}, "no table of Segment calls"),
    ],
)  # fmt: skip
def test_a_table_that_holds_no_calls_is_named(
    tmp_path: Path, name: str, columns: dict[str, list[str]], says: str
) -> None:
    path = tmp_path / f"{name}.csv"
    pacsv.write_csv(pa.table(columns), path)
    with pytest.raises(InputError) as caught:
        open_source(path, presets.load("segment-spec"))
    assert caught.value.code == "unknown_columns"
    assert says in caught.value.message + caught.value.hint


def test_a_shops_own_names_come_from_its_mapping(tmp_path: Path) -> None:
    from dataclasses import replace

    from shoal.domain.time import Zone
    from shoal.events.clean import clean

    call = {"type": "track", "event": "Spin the wheel", "messageId": "m", "userId": "u",
            "timestamp": "2024-03-01T00:00:00Z"}  # fmt: skip
    beat = call | {"event": "heartbeat", "messageId": "n"}
    own = replace(presets.load("segment-spec"), kinds={"Spin the wheel": "click"},
                  skip=("heartbeat",))  # fmt: skip
    (chunk,) = open_source(_lines(tmp_path, call, beat), own).chunks()
    found = clean(chunk, own, zone=Zone(), buckets=2, file="f")
    assert found.events["kind"].to_pylist() == ["click"] and found.skipped == 1


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"type": "track"},
        {"type": "track", "event": {"a": 1}, "properties": 3},
        {"type": ["track"], "context": "none", "traits": [1]},
        {"type": "identify", "traits": "x", "context": [], "userId": {"a": 1}},
        {"type": "track", "event": "Order Completed", "properties": {"products": [1, 2]}},
        {"type": "track", "event": "Order Completed",
         "properties": {"discount": -3, "products": [{}]}},
        {"batch": [{"type": "page"}, {"type": "nonsense"}]},
        {"batch": [1]},
    ],
)  # fmt: skip
def test_whatever_a_line_holds_is_told_apart_not_dropped(tmp_path: Path, call: object) -> None:
    good = {"type": "page", "messageId": "m", "userId": "u", "timestamp": "2024-03-01T00:00:00Z"}
    found = read("segment-spec", _lines(tmp_path, good, call))
    assert len(found.events) == 1 and found.quarantined
    assert all(row["row"] == 2 for row in found.quarantined)


def test_a_file_that_is_a_list_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_text('[{"type": "page"}]')
    with pytest.raises(InputError, match="not JSON Lines") as caught:
        open_source(path, presets.load("segment-spec"))
    assert "jq" in caught.value.hint


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.gz"
    path.write_bytes(gzip.compress(CALLS.read_bytes())[:-200])
    with pytest.raises(InputError) as caught:
        read("segment-spec", path)
    assert caught.value.code == "input_unreadable"


def test_lines_are_told_apart_at_any_block_size(tmp_path: Path) -> None:
    text = '\ufeff{"a": 1}\r\n\n{"b": "é"}\n{"c": 1} {"d": 2}\n[1]\n{"e": \udcff}\n{"f": 1}'
    path = tmp_path / "lines.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for size in (3, 10, 64, 1 << 20):
        blocks = list(json_blocks.json_blocks(path, size))
        objects = [found for block in blocks for found in block.objects]
        faults = [(fault[0], fault[1]) for block in blocks for fault in block.rejected]
        assert objects == [{"a": 1}, {"b": "é"}, {"f": 1}]
        assert faults == [(2, "bad_json"), (3, "bad_json"), (4, "bad_encoding")]
        assert [place for block in blocks for place in block.places] == [0, 1, 5]
