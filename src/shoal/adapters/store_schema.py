"""Arrow schemas of what enters and leaves every state store."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

#: States as they leave and enter a state store.
STATES_SCHEMA: Final = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        pa.field("version", pa.int32()),
        pa.field("body", pa.binary()),
    ]
)

#: Memberships as they leave and enter a state store; `since` UTC, `weight` in 0..1.
MEMBERSHIPS_SCHEMA: Final = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        pa.field("segmentation_id", pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("weight", pa.float64()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
        pa.field("cause", pa.string()),
    ]
)
