"""Memberships over time as a table for a warehouse: who was in which segment from when to when."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.ports import StateStore
from shoal.segments.base import CUSTOMER
from shoal.workflows.membership_log import line_of, spells

#: A spell a row, by customer and time. `segmentation_id` is the version that said so; `until` is
#: null for the spell that goes on; `cause` says why it began.
HISTORY_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("segmentation_id", pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
        pa.field("until", pa.timestamp("us", tz="UTC")),
        pa.field("cause", pa.string()),
    ]
)


def history(store: StateStore, segmentation_id: str, segment_id: str = "") -> pa.Table:
    """Every spell in the line of a segmentation (`HISTORY_SCHEMA`), of one segment or of all."""
    written = store.membership_history(segmentations=line_of(store, segmentation_id))
    if not written.num_rows:
        return HISTORY_SCHEMA.empty_table()
    table = spells(written).select(HISTORY_SCHEMA.names).cast(HISTORY_SCHEMA)
    return table.filter(pc.field("segment_id") == segment_id) if segment_id else table
