"""Who was forgotten stays out: by raw id, by stretch of a device, and out of the quarantine."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from shoal.events.clean import CLEANED_SCHEMA, Cleaned
from shoal.events.identity import AS_CAME
from shoal.events.schema import QUARANTINE_SCHEMA
from shoal.events.tombstones import EVER, Tombstones, fingerprint

KEY = b"key of a shop"
START = datetime(2024, 5, 1, tzinfo=UTC)
START_US = 1_714_521_600_000_000
MINUTE = 60_000_000


def stones(*whole: str, device: str = "", span: tuple[int, int] = (0, 0)) -> Tombstones:
    spans = {fingerprint(KEY, name): [EVER] for name in whole}
    if device:
        spans[fingerprint(KEY, device, shared=True)] = [span]
    return Tombstones(KEY, spans)


def events(*pairs: tuple[str | None, str | None]) -> pa.Table:
    rows = [
        {"event_id": f"e{n}", "event_time": START + timedelta(minutes=n), "customer_id": customer,
         "anonymous_id": device, "content_key": n}
        for n, (customer, device) in enumerate(pairs)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=CLEANED_SCHEMA)


def quarantine(*raws: dict[str, Any]) -> pa.Table:
    rows = [{"code": "bad_time", "file": "a", "row": n, "raw": json.dumps(raw)}
            for n, raw in enumerate(raws)]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


def cleaned(rows: pa.Table, bad: pa.Table | None = None) -> Cleaned:
    bad = QUARANTINE_SCHEMA.empty_table() if bad is None else bad
    return Cleaned(rows, bad, rows.num_rows + bad.num_rows + 2, 2)


def test_rows_of_the_forgotten_are_skipped_and_counted() -> None:
    given = cleaned(events(("ann", None), ("bob", "d"), (None, "ann"), (None, "d"), (None, None)))
    found = stones("ann").left_out(given)
    assert found.events["event_id"].to_pylist() == ["e1", "e3", "e4"]
    assert (found.read, found.skipped, found.forgotten) == (7, 4, 2)
    assert Tombstones().left_out(given) is given


def test_of_a_shared_device_only_the_stretch_stays_out() -> None:
    span = (START_US + MINUTE, START_US + 3 * MINUTE)
    given = cleaned(events((None, "d"), (None, "d"), ("d", None), (None, "d"), ("bob", "d")))
    found = stones(device="d", span=span).left_out(given)
    assert found.events["event_id"].to_pylist() == ["e0", "e2", "e3", "e4"]
    assert found.events["anonymous_id"].to_pylist() == ["d", None, "d", "d"]


def test_events_of_others_lose_a_forgotten_id_and_keep_their_keys() -> None:
    given = cleaned(events(("bob", "was-ann"), ("bob", "own"), (None, "own")))
    found = stones("was-ann").left_out(given)
    assert found.events["anonymous_id"].to_pylist() == [None, "own", "own"]
    assert found.events["content_key"].to_pylist() == [0, 1, 2]
    assert found.events.select(given.events.column_names).schema == given.events.schema
    assert found.events[AS_CAME].to_pylist() == ["was-ann", None, None]
    assert (found.skipped, found.forgotten) == (2, 0)


def test_the_quarantine_is_searched_where_ids_are() -> None:
    bad = quarantine(
        {"customer": "17", "quantity": "3"}, {"customer": "3", "quantity": "17"},
        {"_line": 'view;17;"2024'}, {"_line": "view;170;"}, {"customer": " 17 "},
    )  # fmt: skip
    rows = events(("bob", None))
    found = stones("17").left_out(cleaned(rows, bad), ["customer"])
    assert found.quarantined["row"].to_pylist() == [1, 3]
    assert found.forgotten == 3
    # where nobody knows which column holds ids, any may
    assert stones("17").left_out(cleaned(rows, bad)).quarantined["row"].to_pylist() == [3]
    # a stretch of a device says nothing of rows without a time
    kept = stones(device="17", span=EVER).left_out(cleaned(rows, bad), ["customer"])
    assert kept.quarantined.num_rows == 5
