"""Cleaning: every kind of bad row, with the words it is quarantined with."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.domain.errors import InputError
from shoal.domain.time import Zone
from shoal.events import presets
from shoal.events.chunks import RawChunk, chunk_of_quarantine
from shoal.events.clean import CLEANED_SCHEMA, Cleaned, clean
from shoal.events.mapping import SourceMapping
from shoal.events.mapping_file import parse
from shoal.events.reasons import REASONS
from shoal.events.schema import NO_CUSTOMER

GOOD = {
    "event_time": "2024-03-01T10:00:00Z",
    "kind": "purchase",
    "customer_id": "c1",
    "price": "19.99",
    "quantity": "2",
    "currency": "EUR",
}


def _clean(
    rows: list[dict[str, object]], mapping: SourceMapping | None = None, zone: str = "UTC"
) -> Cleaned:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    shop = mapping or presets.load("shoal")
    return clean(RawChunk(table), shop, zone=Zone(zone), buckets=16, file="f.csv")


def _one(**change: object) -> dict[str, object]:
    """The event that the good row becomes with a change."""
    cleaned = _clean([GOOD | change])
    assert cleaned.events.num_rows == 1, cleaned.quarantined.to_pylist()
    return cleaned.events.to_pylist()[0]


def test_a_good_row_becomes_an_event() -> None:
    event = _one()
    assert event["price"] == 19_990_000 and event["quantity"] == 2
    assert event["event_time"] == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert event["source"] == "shoal" and event["sequence"] == 0
    assert event["generated_id"] and len(event["event_id"]) == 32
    assert 0 <= event["bucket"] < 16
    assert _clean([GOOD]).events.schema == CLEANED_SCHEMA


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"event_time": None}, "missing_time", "event_time = nothing: the row has no event time"),
        ({"event_time": "soon"}, "bad_time", "event_time = 'soon': the time cannot be read"),
        ({"event_time": "2024-02-30"}, "bad_time", "'2024-02-30': the time cannot be read"),
        ({"event_time": "1970-01-01"}, "absurd_time", "lies before 1990 or after 2099"),
        ({"event_time": "9999-12-31"}, "absurd_time", "lies before 1990 or after 2099"),
        ({"event_time": "99999999999999999999999"}, "absurd_time", "lies before 1990"),
        ({"received_at": "later"}, "bad_time", "received_at = 'later'"),
        ({"kind": ""}, "missing_kind", "does not say what happened"),
        ({"kind": "dance"}, "unknown_kind", "kind = 'dance'"),
        ({"customer_id": "null"}, "bad_customer_id", "customer_id = 'null': the customer id is"),
        ({"customer_id": "Undefined"}, "bad_customer_id", "customer_id = 'Undefined'"),
        ({"customer_id": " GUEST "}, "bad_customer_id", "such as null, undefined or guest"),
        ({"customer_id": "NaN"}, "bad_customer_id", "customer_id = 'NaN'"),
        ({"anonymous_id": "undefined"}, "bad_anonymous_id", "anonymous_id = 'undefined'"),
        ({"customer_id": "c" * 513}, "text_too_long", "(515 characters): a text is longer than"),
        ({"text": "x" * 10_000_000}, "text_too_long", "text = "),
        ({"item_id": "a\0b"}, "nul_byte", "item_id = 'a\\x00b': a text holds a NUL byte"),
        ({"price": "12 Euro"}, "bad_price", "price = '12 Euro': the amount is not a number"),
        ({"price": "-1"}, "negative_price", "price = '-1': the amount is below zero"),
        ({"price": "nan"}, "not_finite", "price = 'nan': the number is NaN or infinite"),
        ({"price": "-inf"}, "not_finite", "NaN or infinite"),
        ({"discount": "1e12"}, "absurd_amount", "discount = '1e12'"),
        ({"price": "9e8", "quantity": "900000"}, "absurd_amount", "price x quantity"),
        ({"quantity": "two"}, "bad_quantity", "quantity = 'two'"),
        ({"quantity": "2.5"}, "fractional_quantity", "quantity = '2.5': the quantity is not whole"),
        ({"quantity": "1e7"}, "absurd_quantity", "beyond one million units"),
        ({"quantity": "inf"}, "not_finite", "quantity = 'inf'"),
        ({"quantity": "-1", "kind": "view"}, "bad_quantity", "negative for this kind"),
        ({"rating": "good"}, "bad_rating", "rating = 'good'"),
        ({"rating": "inf"}, "not_finite", "rating = 'inf'"),
        ({"sequence": "1.5"}, "bad_sequence", "sequence = '1.5'"),
        ({"currency": "XXX"}, "unknown_currency", "currency = 'XXX': the currency is not an ISO"),
        ({"properties": "[1]"}, "bad_properties", "properties = '[1]'"),
        ({"properties": "{"}, "bad_properties", "not one JSON object"),
    ],
)  # fmt: skip
def test_a_bad_row_is_quarantined_alone(change: dict[str, object], code: str, says: str) -> None:
    cleaned = _clean([GOOD, GOOD | change, GOOD])
    assert cleaned.read == 3 and cleaned.events.num_rows == 2 and cleaned.skipped == 0
    (row,) = cleaned.quarantined.to_pylist()
    assert (row["code"], row["row"], row["file"]) == (code, 2, "f.csv")
    assert says in row["detail"] and REASONS[code] in row["detail"]
    wanted = {name: value for name, value in (GOOD | change).items() if value is not None}
    assert json.loads(row["raw"]) == wanted


def test_text_that_is_not_utf8_is_quarantined() -> None:
    broken = pa.array([b"ok", b"caf\xe9"], pa.binary()).view(pa.string())
    table = pa.table({name: [value] * 2 for name, value in GOOD.items()}).append_column(
        "title", broken
    )
    cleaned = clean(RawChunk(table), presets.load("shoal"), zone=Zone(), buckets=4, file="f")
    (row,) = cleaned.quarantined.to_pylist()
    assert row["code"] == "bad_encoding" and row["row"] == 2
    assert json.loads(row["raw"])["title"] == "caf\\xe9"


def test_mixed_types_cost_only_the_rows_that_are_wrong() -> None:
    prices = ["19.99", "free", "7", "true", "1e2", "0x10", "1_000"]
    cleaned = _clean([GOOD | {"price": price} for price in prices])
    assert cleaned.events["price"].to_pylist() == [19_990_000, 7_000_000, 100_000_000]
    assert cleaned.quarantined["code"].to_pylist() == ["bad_price"] * 4


def test_a_row_without_a_customer_is_a_guest_event() -> None:
    cleaned = _clean([GOOD | {"customer_id": who} for who in (None, "", "  ", "c1")])
    assert cleaned.events["customer_id"].to_pylist() == [None, None, None, "c1"]
    assert cleaned.events["bucket"].to_pylist()[:3] == [NO_CUSTOMER] * 3


@pytest.mark.parametrize(
    ("word", "kind"),
    [("Order Completed", "purchase"), ("add_to_cart", "cart_add"), ("VIEW", "view")],
)
def test_names_of_segment_and_ga4_are_kinds(word: str, kind: str) -> None:
    assert _one(kind=word)["kind"] == kind


def test_a_negative_quantity_turns_a_purchase_into_a_refund() -> None:
    event = _one(quantity="-3")
    assert (event["kind"], event["quantity"]) == ("refund", 3)
    assert _one(quantity="-3", kind="refund")["quantity"] == 3


def test_every_way_to_write_a_time_is_one_time() -> None:
    ways: list[object] = [
        "2024-03-01T10:00:00Z", "2024-03-01 10:00:00", "2024-03-01T11:00:00+01:00",
        "2024-03-01 10:00:00 UTC", "1709287200", "1709287200000", "1709287200000000",
        "1709287200000000000", "2024-03-01T10:00:00.000000999Z", "2024-03-01T10:00Z",
    ]  # fmt: skip
    moment = datetime(2024, 3, 1, 10, tzinfo=UTC)
    cleaned = _clean([GOOD | {"event_time": way} for way in ways])
    assert cleaned.events["event_time"].to_pylist() == [moment] * len(ways)
    for way in ways:
        assert _one(event_time=way)["event_time"] == moment, way
    for typed in (moment, 1709287200, 1709287200000, 1709287200.0):
        assert _one(event_time=typed)["event_time"] == moment
    assert _one(event_time="20240301")["event_time"] == datetime(2024, 3, 1, tzinfo=UTC)


def test_local_times_at_the_changes_of_the_clock() -> None:
    mapping = parse(
        '[columns]\nevent_time = "t"\ncustomer_id = "c"\n[constants]\nkind = "view"\n'
        '[time]\nzone = "Europe/London"\nformats = ["%d/%m/%Y %H:%M"]\n',
        file="m.toml", default_name="m",
    )  # fmt: skip
    times = ["2024-03-31 00:59", "2024-03-31 01:30", "2024-03-31 02:00", "2024-10-27 01:30",
             "2024-10-27 02:00", "27/10/2024 00:59"]  # fmt: skip
    cleaned = _clean([{"t": t, "c": "1"} for t in times], mapping, zone="Europe/London")
    found = [moment.strftime("%m-%d %H:%M") for moment in cleaned.events["event_time"].to_pylist()]
    assert found == ["03-31 00:59", "03-31 01:30", "03-31 01:00", "10-27 00:30", "10-27 02:00",
                     "10-26 23:59"]  # fmt: skip
    assert cleaned.events["utc_offset_s"].to_pylist() == [0, 3600, 3600, 3600, 0, 3600]


def test_columns_constants_notes_and_ids_of_a_mapping() -> None:
    mapping = parse(
        """
        currency = "EUR"
        skip = ["heartbeat"]
        properties = ["campaign"]
        event_id = ["order", "line"]
        [columns]
        event_time = "ts"
        customer_id = ["uid", "user"]
        kind = "action"
        [optional]
        order_id = "order"
        price = "cents"
        brand = "brand"
        category = "path"
        [constants]
        channel = "web"
        [kinds]
        bought = "purchase"
        [money]
        units = "cents"
        [category]
        separator = ">"
        [[rule]]
        when = { column = "action", equals = "test" }
        skip = true
        [[rule]]
        when = [{ column = "price", above = 500 }, { column = "order_id", starts_with = "R" }]
        set = { kind = "refund" }
        note = { was = "order {order}" }
        """,
        file="m.toml",
        default_name="my",
    )
    base = {"ts": "2024-03-01", "user": "u1", "action": "bought", "order": "A1", "line": "1",
            "cents": "1999", "campaign": "spring", "path": "a>b"}  # fmt: skip
    rows = [base, base | {"order": "R9", "cents": "600"}, base | {"action": "heartbeat"},
            base | {"action": "test"}, base | {"line": None, "campaign": None}]  # fmt: skip
    cleaned = _clean(rows, mapping)
    assert (cleaned.read, cleaned.skipped, cleaned.quarantined.num_rows) == (5, 2, 0)
    first, second, third = cleaned.events.to_pylist()
    assert (first["event_id"], first["price"], first["currency"]) == ("A1#1", 19_990_000, "EUR")
    assert (first["channel"], first["category"], first["source"]) == ("web", "a/b", "my")
    assert first["properties"] == '{"campaign":"spring"}' and not first["generated_id"]
    assert second["kind"] == "refund"
    assert second["properties"] == '{"campaign":"spring","was":"order R9"}'
    assert third["generated_id"] and third["properties"] is None


def test_missing_columns_are_named_with_what_was_found() -> None:
    with pytest.raises(InputError, match=r"needs: customer_id \(from customer_id\)") as e:
        _clean([{"event_time": "2024-03-01", "kind": "view", "who": "c"}])
    assert e.value.code == "unknown_columns" and e.value.where == "f.csv"
    assert "found 3 columns: 'event_time', 'kind', 'who'" in e.value.message
    with pytest.raises(InputError) as e:
        _clean([{"event_time;kind;customer_id": "2024-03-01;view;c"}])
    assert '[csv] delimiter = ";"' in e.value.hint


def test_quarantined_rows_are_cleaned_again_with_a_mended_mapping() -> None:
    cleaned = _clean([GOOD, GOOD | {"kind": "dance"}, GOOD | {"price": "x"}])
    mended = parse(
        '[columns]\nevent_time="event_time"\ncustomer_id="customer_id"\nkind="kind"\n'
        '[optional]\nprice="price"\n[kinds]\ndance="view"\n',
        file="m.toml", default_name="shoal",
    )  # fmt: skip
    chunk = chunk_of_quarantine(cleaned.quarantined)
    again = clean(chunk, mended, zone=Zone(), buckets=16, file="f.csv")
    assert again.read == 2 and again.events["kind"].to_pylist() == ["view"]
    assert again.quarantined["row"].to_pylist() == [3]


_VALUES = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.sampled_from(["1", "-1", "nan", "1e400", "view", "purchase", "2024-01-01", "null", "\0"]),
)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(GOOD, _VALUES)), min_size=1, max_size=20))
def test_every_row_is_accounted_for_whatever_it_holds(rows: list[dict[str, object]]) -> None:
    names = list(GOOD)
    table = pa.table({name: pa.array([r[name] for r in rows], pa.string()) for name in names})
    cleaned = clean(
        RawChunk(table), presets.load("shoal"), zone=Zone("Asia/Shanghai"), buckets=4, file="f"
    )
    assert cleaned.read == len(rows)
    places = [*cleaned.events["sequence"].to_pylist(),
              *(row - 1 for row in cleaned.quarantined["row"].to_pylist())]  # fmt: skip
    assert sorted(places) == list(range(len(rows)))
    assert set(cleaned.quarantined["code"].to_pylist()) <= set(REASONS)
