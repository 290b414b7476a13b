"""The one Arrow schema of events, with its version."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from shoal.domain.event import CANONICAL, MONEY_COLUMNS, TIME_COLUMNS

#: Raised whenever a canonical or internal column is added or changes meaning.
SCHEMA_VERSION: Final = 2

_TYPES: Final = {
    "sequence": pa.int64(),
    "quantity": pa.int64(),
    "rating": pa.float64(),
    **dict.fromkeys(MONEY_COLUMNS, pa.int64()),
    **dict.fromkeys(TIME_COLUMNS, pa.timestamp("us", tz="UTC")),
}

_METADATA: Final = {b"shoal.schema": str(SCHEMA_VERSION).encode()}

#: Canonical columns only.
CANONICAL_SCHEMA: Final = pa.schema(
    [pa.field(name, _TYPES.get(name, pa.string())) for name in CANONICAL], metadata=_METADATA
)

#: What the event table adds to the canonical columns:
#: `bucket` partition (hash of the customer, of the anonymous id where there is no customer; -1 for
#: events of nobody), `event_key` and `content_key` 64-bit hashes of the event's identity and of its
#: content, `utc_offset_s` seconds to add to `event_time` for the shop's local time, `scope_key`
#: 64-bit hash of source and scope (what a later export restates as a whole: a day, an order; null
#: where nothing is restated), `scope_version` which of two statements of a scope is the later one
#: (null: the one that was ingested later), `noise` why the event is no customer's behaviour (a code
#: of `shoal.events.noise`; null for ordinary events).
BUCKET: Final = "bucket"
EVENT_KEY: Final = "event_key"
CONTENT_KEY: Final = "content_key"
UTC_OFFSET: Final = "utc_offset_s"
SCOPE_KEY: Final = "scope_key"
SCOPE_VERSION: Final = "scope_version"
NOISE: Final = "noise"
INTERNAL: Final = (
    BUCKET, EVENT_KEY, CONTENT_KEY, UTC_OFFSET, SCOPE_KEY, SCOPE_VERSION, NOISE,
)  # fmt: skip

TABLE_SCHEMA: Final = pa.schema(
    [
        *CANONICAL_SCHEMA,
        pa.field(EVENT_KEY, pa.int64()),
        pa.field(CONTENT_KEY, pa.int64()),
        pa.field(UTC_OFFSET, pa.int32()),
        pa.field(SCOPE_KEY, pa.int64()),
        pa.field(SCOPE_VERSION, pa.int64()),
        pa.field(NOISE, pa.string()),
        pa.field(BUCKET, pa.int32()),
    ],
    metadata=_METADATA,
)

#: The total order of a customer's events.
ORDER: Final = ("event_time", "sequence", "event_id")

#: Bucket of events that belong to no customer and no anonymous visitor.
NO_CUSTOMER: Final = -1

#: Quarantined rows: why, where, and the row as it was received (a JSON object of raw texts).
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("code", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("raw", pa.string()),
    ]
)
