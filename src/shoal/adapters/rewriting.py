"""Rewriting a file of the event table without some rows, or with new values in some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import FILE_SCHEMA, ROWS_PER_GROUP, open_writer


def rewrite(root: Path, path: str, new_path: str, edit: Edit) -> None:
    """Copy a file with some rows left out or changed, one row group at a time.

    Raises:
        OSError: the copy cannot be written; what was written of it remains.
    """
    with pq.ParquetFile(root / path) as source, open_writer(root / new_path) as target:
        first = 0
        for group in range(source.num_row_groups):
            rows = source.read_row_group(group, use_threads=False).select(FILE_SCHEMA.names)
            end = first + rows.num_rows
            kept = edit.applied(rows, first)
            if kept.num_rows:
                target.write_table(kept, row_group_size=ROWS_PER_GROUP)
            first = end


@dataclass(frozen=True)
class Edit:
    """What changes in one file.

    Args:
        drop: positions of rows that go.
        changes: tables with a column `position` and new values of other columns there.
    """

    drop: np.ndarray[Any, np.dtype[np.int64]]
    changes: tuple[pa.Table, ...] = ()

    def applied(self, rows: pa.Table, first: int) -> pa.Table:
        """The rows (whose first stands at position `first` of the file) after the change."""
        for change in self.changes:
            if change.num_rows:
                rows = _changed(rows, first, change)
        inside = self.drop[(self.drop >= first) & (self.drop < first + rows.num_rows)] - first
        if not len(inside):
            return rows
        keep = np.ones(rows.num_rows, dtype=bool)
        keep[inside] = False
        return rows.filter(pa.array(keep))


def _changed(rows: pa.Table, first: int, change: pa.Table) -> pa.Table:
    """The rows with the new values of those that a change speaks of."""
    position = change["position"].to_numpy()
    chosen = (position >= first) & (position < first + rows.num_rows)
    if not chosen.any():
        return rows
    mask = np.zeros(rows.num_rows, dtype=bool)
    mask[position[chosen] - first] = True
    order = np.argsort(position[chosen], kind="stable")
    new = change.filter(pa.array(chosen)).take(pa.array(order))
    for name in (column for column in change.column_names if column != "position"):
        place = rows.schema.get_field_index(name)
        column = pc.replace_with_mask(
            rows[name].combine_chunks(), pa.array(mask), new[name].combine_chunks()
        )
        rows = rows.set_column(place, rows.schema.field(name), column)
    return rows
