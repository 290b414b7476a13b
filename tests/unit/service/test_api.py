"""The API's questions about customers and segments: answers, pages, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.service.served import CALLS, Shelf, served

from shoal.domain.time import parse_moment
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.service.api.operation import plain
from shoal.service.api.paging import cursor_of, values_of


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with served(tmp_path_factory.mktemp("api")) as found:
        yield found


def pages(shelf: Shelf, path: str, of: str, **query: Any) -> list[Any]:
    """Every page of a list, one after the other."""
    found, cursor = [], None
    for _ in range(100):
        more = {} if cursor is None else {"cursor": cursor}
        told = shelf.get(path, **query, **more)
        found += told[of]
        cursor = told["next"]
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


# --- Customers ------------------------------------------------------------------------------------


def test_a_profile_says_where_since_when_and_what_is_known(shelf: Shelf) -> None:
    told = shelf.get("/v1/customers/c1")
    own = shelf.shop.customer("c1")
    segment = own["memberships"][0]
    assert told["customer_id"] == "c1"
    assert told["tier"] == "placed"
    assert told["segment"]["segment_id"] == segment["segment_id"]
    assert told["segment"]["since"] == segment["since"]
    assert told["segment"]["name"] == segment["name"]
    assert [one["line"] for one in told["segments"]] == ["main", "rfm"]
    assert told["traits"] == {"plan": "gold"}
    assert told["features"] == {
        name: plain(one["value"])
        for name, one in own["features"].items()
        if not name.startswith("trait_")
    }
    assert "features" not in shelf.get("/v1/customers/c1", features=False)


def test_an_id_of_a_device_names_its_customer_and_ids_may_hold_slashes(shelf: Shelf) -> None:
    assert shelf.get("/v1/customers/device-1")["customer_id"] == "c1"
    assert shelf.get("/v1/customers/with/slash")["customer_id"] == "with/slash"
    assert shelf.get("/v1/customers/with/slash/timeline")["customer_id"] == "with/slash"


def test_why_is_told_of_a_customer_in_full(shelf: Shelf) -> None:
    told = shelf.get("/v1/customers/c1/segments")
    assert told["memberships"][0]["runner_up"] is None or told["why"]
    assert told["why"]["schema"] == "shoal.explain_customer/1"
    before = shelf.ask("/v1/customers/c1/segments", as_of="2020-01-01")
    assert (before.status, before.document["code"]) == (404, "unknown_customer")


def test_a_timeline_is_read_newest_first_and_page_by_page(shelf: Shelf) -> None:
    whole = shelf.get("/v1/customers/c1/timeline")["events"]
    assert whole[0]["kind"] == "profile"
    assert {"v1", "n1"} <= {one["event_id"] for one in whole}
    times = [one["event_time"] for one in whole]
    assert times == sorted(times, reverse=True)
    assert pages(shelf, "/v1/customers/c1/timeline", "events", limit=2) == whole
    bought = shelf.get("/v1/customers/c1/timeline", kind="purchase")["events"]
    assert {one["kind"] for one in bought} == {"purchase"}
    assert bought[0]["price"] == pytest.approx(42.99)
    early = shelf.get("/v1/customers/c1/timeline", as_of="2024-03-02")["events"]
    assert {one["event_time"][:10] for one in early} == {"2024-03-01"}


def test_a_history_holds_every_line_and_is_read_page_by_page(shelf: Shelf) -> None:
    whole = shelf.get("/v1/customers/c1/history")["spells"]
    assert {one["line"] for one in whole} == {"main", "rfm"}
    assert all(one["until"] is None for one in whole)
    assert pages(shelf, "/v1/customers/c1/history", "spells", limit=1) == whole
    assert shelf.get("/v1/customers/c1/history", as_of="2020-01-01")["spells"] == []


def test_without_a_model_there_is_no_embedding(shelf: Shelf) -> None:
    told = shelf.ask("/v1/customers/c1/embedding")
    assert (told.status, told.document["code"]) == (404, "unknown_model")


@pytest.mark.parametrize("number", range(9))
def test_ids_that_nobody_has_are_unknown_whatever_they_hold(shelf: Shelf, number: int) -> None:
    strange = (
        "nobody", "../../etc/passwd", "..", "c1\0", "x" * 1_000_000, "名字", "' OR 1=1 --",
        "\u202egnp.exe", "%00%2e",
    )[number]  # fmt: skip
    for path in (f"/v1/customers/{strange}", f"/v1/customers/{strange}/history"):
        told = shelf.ask(path)
        assert (told.status, told.document["code"]) == (404, "unknown_customer")
        assert len(told.document["message"]) < 1_100
    told = shelf.ask(f"/v1/segments/{strange}")
    assert told.status == 404
    assert told.document["code"] in ("unknown_segment", "not_found")


# --- Segments -------------------------------------------------------------------------------------


def test_segments_are_listed_with_sizes_as_they_are_now(shelf: Shelf) -> None:
    told = shelf.get("/v1/segments", role="viewer")
    assert told["customers"] == 21
    assert sum(one["customers"] for one in told["segments"]) == 21
    assert all(set(one["name"]) == {"en", "zh"} for one in told["segments"])
    assert shelf.get("/v1/segments", line="rfm")["segmentation_id"] == told["segmentation_id"]
    assert shelf.get("/v1/segments", segmentation=told["segmentation_id"])["segments"]
    lacking = shelf.ask("/v1/segments", line="rules")
    assert (lacking.status, lacking.document["code"]) == (404, "unknown_segmentation")
    unknown = shelf.ask("/v1/segments", segmentation="../shop")
    assert (unknown.status, unknown.document["code"]) == (404, "unknown_segmentation")


def largest(shelf: Shelf) -> str:
    told = shelf.get("/v1/segments")["segments"]
    return str(max(told, key=lambda one: int(one["customers"]))["segment_id"])


def test_a_segment_names_nobody_to_who_may_not_read_customers(shelf: Shelf) -> None:
    name = largest(shelf)
    told = shelf.get(f"/v1/segments/{name}")
    assert told["customers"] > 0
    assert told["persona"]["en"]
    assert told["typical"]
    seen = shelf.ask(f"/v1/segments/{name}", role="viewer")
    assert seen.status == 200
    assert not {"typical", "borderline"} & seen.document.keys()
    assert '"c1' not in str(seen.document)
    assert shelf.ask(f"/v1/segments/{name}/members", role="viewer").status == 403
    assert shelf.ask("/v1/customers/c1", role="viewer").status == 403


def test_pages_of_members_fit_together_while_customers_move(shelf: Shelf) -> None:
    name, path = largest(shelf), f"/v1/segments/{largest(shelf)}/members"
    whole = pages(shelf, path, "members", limit=1_000)
    assert len(whole) == shelf.get(f"/v1/segments/{name}")["customers"] > 3
    first = shelf.get(path, limit=2)
    moved = [one["customer_id"] for one in whole[2:4]]
    version = first["segmentation_id"]
    row = {"segmentation_id": version, "segment_id": "elsewhere", "weight": 1.0,
           "since": parse_moment("2024-03-04"), "cause": "event", "margin": 1.0}  # fmt: skip
    store = shelf.shop._parts.store
    store.put_memberships(
        pa.Table.from_pylist([{"customer_id": one, **row} for one in moved], MEMBERSHIPS_SCHEMA)
    )
    try:
        rest, cursor = [], first["next"]
        while cursor is not None:
            page = shelf.get(path, limit=1, cursor=cursor)
            rest += page["members"]
            cursor = page["next"]
        assert [*first["members"], *rest] == whole
        # Who asks from the beginning sees them gone.
        now = [one["customer_id"] for one in pages(shelf, path, "members", limit=2)]
        assert now == [one["customer_id"] for one in whole if one["customer_id"] not in moved]
    finally:
        back = {one["customer_id"]: one for one in whole}
        rows = [{**row, "customer_id": one, "segment_id": name, "weight": back[one]["weight"],
                 "since": parse_moment(back[one]["since"])} for one in moved]  # fmt: skip
        store.put_memberships(pa.Table.from_pylist(rows, MEMBERSHIPS_SCHEMA))


def test_a_segment_has_rules_a_trend_and_a_life(shelf: Shelf) -> None:
    name = largest(shelf)
    rules = shelf.get(f"/v1/segments/{name}/rules")
    assert "SELECT" in rules["sql"].upper()
    other = shelf.get(f"/v1/segments/{name}/rules", dialect="bigquery")
    assert other["sql"] or other["no_sql"]
    trend = shelf.get(f"/v1/segments/{name}/trend")
    assert trend["points"][-1]["customers"] > 0
    early = shelf.get(f"/v1/segments/{name}/trend", since="2024-02-01", every_days=7)
    assert early["points"][0]["customers"] == 0
    life = shelf.get(f"/v1/segments/{name}/lineage")
    assert life["life"]["segment_id"] == name
    for query in ({"since": "2024-03-05", "until": "2024-03-01"}, {"since": "1999-01-01"}):
        told = shelf.ask(f"/v1/segments/{name}/trend", **query)
        assert (told.status, told.document["code"]) == (400, "bad_period")


def test_versions_lineage_and_features_are_told(shelf: Shelf) -> None:
    versions = shelf.get("/v1/versions")["versions"]
    assert [one["segmentation_id"] for one in versions] == ["rfm-0001"]
    assert shelf.get("/v1/lineage")["current"] == "rfm-0001"
    named = {one["name"] for one in shelf.get("/v1/features")["features"]}
    assert named >= set(shelf.get("/v1/customers/c1")["features"])


# --- The shop -------------------------------------------------------------------------------------


def test_the_quarantine_is_read_page_by_page_with_reasons(shelf: Shelf) -> None:
    told = shelf.get("/v1/quarantine")
    assert told["rows"] == 2
    assert told["reasons"] == [
        {"code": "unknown_kind", "meaning": told["items"][0]["meaning"], "count": 2}
    ]
    assert [one["code"] for one in told["items"]] == ["unknown_kind"] * 2
    assert pages(shelf, "/v1/quarantine", "items", limit=1) == told["items"]
    assert shelf.get("/v1/quarantine", code="bad_json")["items"] == []
    assert len(CALLS) - told["rows"] == 3


def test_a_status_says_what_is_there_and_how_far_it_is(shelf: Shelf) -> None:
    told = shelf.get("/v1/status")
    assert told["shop"]["customers"] == 21
    assert told["service"]["failure"] is None
    assert str(shelf.shop.directory) not in str(told)


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "where"),
    [
        ("/v1/customers/c1", {"foo": "1"}, "foo"),
        ("/v1/customers/c1", {"features": "yes"}, "features"),
        ("/v1/customers/c1/history", {"limit": "0"}, "limit"),
        ("/v1/customers/c1/history", {"limit": "1001"}, "limit"),
        ("/v1/customers/c1/history", {"limit": "1e3"}, "limit"),
        ("/v1/customers/c1/history", {"limit": "9" * 30}, "limit"),
        ("/v1/customers/c1/timeline", {"kind": "nothing"}, "kind"),
        ("/v1/customers/c1/timeline", {"cursor": "nonsense!"}, "cursor"),
        ("/v1/customers/c1/timeline", {"cursor": cursor_of("history", "a", "b")}, "cursor"),
        ("/v1/customers/c1/timeline", {"cursor": cursor_of("timeline", 2**70, 1, "", "")},
         "cursor"),
        ("/v1/customers/c1", {"max_wait": "31"}, "max_wait"),
        ("/v1/customers/c1", {"min_seq": "-1"}, "min_seq"),
        ("/v1/quarantine", {"code": "nothing"}, "code"),
    ],
)  # fmt: skip
def test_what_a_route_does_not_take_is_refused_with_what_it_takes(
    shelf: Shelf, path: str, query: dict[str, str], where: str
) -> None:
    told = shelf.ask(path, **query)
    assert (told.status, told.document["code"]) == (400, "usage")
    assert told.document["where"] == where
    assert told.document["message"]
    assert told.document["hint"]


@pytest.mark.parametrize("text", ["yesterday", "1970-01-01", "9999-12-31", "2024-03-01T25:00", ""])
def test_moments_that_are_none_are_refused(shelf: Shelf, text: str) -> None:
    told = shelf.ask("/v1/customers/c1/history", as_of=text)
    assert (told.status, told.document["code"]) == (400, "bad_time")


def test_a_parameter_counts_once_and_a_cursor_of_another_list_is_refused(shelf: Shelf) -> None:
    name = largest(shelf)
    cursor = shelf.get(f"/v1/segments/{name}/members", limit=1)["next"]
    other = shelf.ask("/v1/segments/r00/members", cursor=cursor)
    assert (other.status, other.document["where"]) == (400, "cursor")
    from tests.unit.service.calls import call

    twice = call(shelf.app, "GET", "/v1/segments", key=shelf.keys["admin"],
                 query="line=main&line=rfm")  # fmt: skip
    assert (twice.status, twice.document["where"]) == (400, "line")


def test_cursors_hold_what_was_put_in() -> None:
    assert values_of("x", cursor_of("x", "ä/b", 2**62), (str, int)) == ["ä/b", 2**62]


# --- Read your own writes -------------------------------------------------------------------------


def test_a_read_waits_until_customers_are_moved_past_what_was_collected(shelf: Shelf) -> None:
    body = {"type": "track", "event": "Product Viewed", "messageId": "late-1", "userId": "c-new",
            "timestamp": "2024-03-03T11:00:00Z", "properties": {"product_id": "i9"}}  # fmt: skip
    taken = shelf.ask("/v1/track", role="write", method="POST", body=body)
    seq = int(taken.headers["x-shoal-seq"])
    assert (taken.status, seq) == (200, shelf.collector.inbox.last())
    early = shelf.ask("/v1/customers/c-new", min_seq=seq, max_wait=0.05)
    assert (early.status, early.document["code"]) == (409, "not_yet")
    assert early.headers["retry-after"] == "1"
    assert shelf.driver._step()
    assert shelf.driver.past == seq
    told = shelf.get("/v1/customers/c-new", min_seq=seq)
    assert told["segment"]["cause"] == "event"
    assert told["features"]["views"] == 1
