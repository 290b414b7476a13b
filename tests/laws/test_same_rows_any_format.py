"""Law: the same rows as CSV, JSON lines and Parquet are the same events with the same ids."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.domain.money import micros
from shoal.domain.time import Zone
from shoal.events import presets
from shoal.events.clean import clean
from shoal.events.identity import content_texts, generated_ids, renumbered
from shoal.events.reading import open_source
from shoal.events.texts import raw_text

_CENTS = st.integers(0, 10**8).map(lambda cents: cents / 100)
_AMOUNTS = st.one_of(_CENTS, st.floats(0, 1e6, allow_nan=False), st.just(0.0000005))
_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
_ROWS = st.fixed_dictionaries(
    {
        "event_time": st.datetimes(datetime(1991, 1, 1), datetime(2099, 1, 1)).map(
            lambda moment: moment.replace(tzinfo=UTC)
        ),
        "kind": st.sampled_from(["view", "purchase", "add_to_cart"]),
        "customer_id": st.one_of(st.none(), st.integers(0, 2**63 - 1)),
        "item_id": st.one_of(st.none(), st.integers(0, 10**6)),
        "title": st.one_of(st.none(), _WORDS),
        "price": st.one_of(st.none(), _AMOUNTS),
        "rating": st.one_of(st.none(), st.floats(0, 5, allow_nan=False)),
        "quantity": st.one_of(st.none(), st.integers(0, 100)),
    }
)
_SCHEMA = pa.schema(
    {"event_time": pa.timestamp("us", "UTC"), "kind": pa.string(), "customer_id": pa.int64(),
     "item_id": pa.int64(), "title": pa.string(), "price": pa.float64(), "rating": pa.float64(),
     "quantity": pa.int32()}
)  # fmt: skip


def _write_all(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    texts = pa.table({name: pa.array([raw_text(row[name]) for row in rows], pa.string())
                      for name in _SCHEMA.names})  # fmt: skip
    files = [folder / "f.parquet", folder / "f.csv", folder / "f.jsonl"]
    pq.write_table(table, files[0])
    pacsv.write_csv(texts, files[1])
    lines = [row | {"event_time": row["event_time"].isoformat()} for row in rows]
    files[2].write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return files


@settings(max_examples=40, deadline=None)
@given(st.lists(_ROWS, min_size=1, max_size=8))
def test_the_format_of_the_file_changes_nothing(rows: list[dict[str, Any]]) -> None:
    mapping = presets.load("shoal")
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for path in _write_all(rows, Path(folder)):
            (chunk,) = open_source(path).chunks()
            cleaned = clean(chunk, mapping, zone=Zone("Europe/Paris"), buckets=8, file="f")
            assert cleaned.quarantined.num_rows == 0, cleaned.quarantined.to_pylist()
            found.append(cleaned.events)
    assert found[0].equals(found[1]) and found[0].equals(found[2])


@settings(max_examples=200, deadline=None)
@given(st.one_of(_AMOUNTS, st.integers(0, 10**9)))
def test_amounts_are_those_of_exact_decimal_arithmetic(amount: float) -> None:
    from shoal.events.money import read_amounts

    expected = micros(repr(amount))
    for column in (pa.array([amount]), pa.array([repr(amount)])):
        assert read_amounts(column).micros.tolist() == [expected]


@settings(max_examples=40, deadline=None)
@given(st.lists(_ROWS, min_size=1, max_size=8), st.integers(0, 5))
def test_generated_ids_depend_on_content_source_and_occurrence_alone(
    rows: list[dict[str, Any]], occurrence: int
) -> None:
    import numpy as np

    from shoal.events.chunks import RawChunk

    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    events = clean(
        RawChunk(table, first_row=17), presets.load("shoal"), zone=Zone(), buckets=8, file="f"
    ).events
    texts = content_texts(events)
    counts = np.full(len(texts), occurrence, np.int64)
    ids, keys = renumbered(events, counts)
    assert ids.to_pylist() == generated_ids(texts, "shoal", occurrence)
    same = occurrence == 0
    assert (ids.to_pylist() == events["event_id"].to_pylist()) is same
    assert (keys.to_pylist() == events["event_key"].to_pylist()) is same
