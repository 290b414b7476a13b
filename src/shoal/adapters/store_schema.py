"""Arrow schemas of what enters and leaves every state store."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from shoal.segments.assign import MEMBERSHIPS_SCHEMA

#: States as they leave and enter a state store.
STATES_SCHEMA: Final = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        pa.field("version", pa.int32()),
        pa.field("body", pa.binary()),
    ]
)

#: Carries as they leave and enter a state store.
CARRIES_SCHEMA: Final = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        pa.field("version", pa.int64()),
        pa.field("last_us", pa.int64()),
        pa.field("body", pa.binary()),
    ]
)

#: Rows of the membership log, each with the segment before it.
LOG_SCHEMA: Final = pa.schema(
    [
        pa.field("position", pa.int64()),
        *MEMBERSHIPS_SCHEMA,
        pa.field("before", pa.string()),
        pa.field("before_since", pa.timestamp("us", tz="UTC")),
    ]
)


def as_memberships(table: pa.Table) -> pa.Table:
    """Rows in `MEMBERSHIPS_SCHEMA`; a table without margins gets nulls."""
    if "margin" not in table.column_names:
        table = table.append_column("margin", pa.nulls(table.num_rows, pa.float64()))
    return table.select(MEMBERSHIPS_SCHEMA.names).cast(MEMBERSHIPS_SCHEMA)
