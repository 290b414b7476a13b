"""Keys by their definition, row by row."""

from __future__ import annotations

import pyarrow as pa
import xxhash

from shoal.domain.time import Zone
from shoal.events import presets
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.identity import CONTENT, bucket_column, bucket_of, content_texts, event_keys

_ROW = {"event_time": "2024-03-01", "kind": "view", "customer_id": "c1", "item_id": "i1"}


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def test_event_keys_hash_source_and_id() -> None:
    keys = event_keys(pa.array(["s", "s"]), pa.array(["a", "b"]))
    assert keys.tolist() == [_signed(xxhash.xxh3_64_intdigest(b"s\x1f" + i)) for i in (b"a", b"b")]


def test_the_canonical_row_has_every_column_in_its_place() -> None:
    table = pa.table({name: [value] for name, value in _ROW.items()})
    events = clean(RawChunk(table), presets.load("shoal"), zone=Zone(), buckets=4, file="f").events
    (text,) = content_texts(events)
    fields = text.decode().split("\x1f")
    values = dict(zip(CONTENT, fields, strict=False))
    assert len(fields) == len(CONTENT) + 1 and fields[-1] == ""
    assert {name: value for name, value in values.items() if value} == {
        **_ROW, "event_time": "1709251200000000"}  # fmt: skip
    made = xxhash.xxh3_128_hexdigest(b"shoal\x1f" + text + b"\x1f0")
    assert events["event_id"].to_pylist() == [made]
    assert events["content_key"].to_pylist() == [_signed(xxhash.xxh3_64_intdigest(text))]


def test_content_does_not_hold_the_place_in_the_source() -> None:
    rows = [_ROW | {"sequence": 1, "event_id": "a", "received_at": "2024-03-02"},
            _ROW | {"sequence": 2, "event_id": "b", "received_at": None}]  # fmt: skip
    events = clean(RawChunk(pa.Table.from_pylist(rows)), presets.load("shoal"), zone=Zone(),
                   buckets=4, file="f").events  # fmt: skip
    assert len(set(events["content_key"].to_pylist())) == 1
    assert len(set(events["event_key"].to_pylist())) == 2
    assert events["generated_id"].to_pylist() == [False, False]


def test_buckets_are_those_of_single_customers() -> None:
    names = ["a", None, "b", "a", "\u4e66"]
    expected = [-1 if name is None else bucket_of(name, 7) for name in names]
    assert bucket_column(pa.array(names), 7).to_pylist() == expected
    assert bucket_of("a", 7) == xxhash.xxh64_intdigest(b"a") % 7
