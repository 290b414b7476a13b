"""Numbering identical rows of a small unit while it is still in memory.

Rows without an id of their own get one from their content and from their number among identical
rows. Where all rows of a unit are at hand before the first is encoded, that number is given here;
otherwise `settling` finds it from the keys and files are written a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.events.identity import CONTENT, renumbered
from shoal.events.schema import CONTENT_KEY, EVENT_KEY, SCOPE_VERSION


def numbered(
    chunks: Sequence[pa.Table], generated: str, as_came: Mapping[int, str] | None = None
) -> list[pa.Table]:
    """The chunks of a whole unit, where every row after the first of identical ones has a new id.

    The order among identical rows is that of the chunks, in a chunk that of `sequence`: the same
    as in the files that they are written to. Rows whose scope has a version are left to `settling`,
    for those of older statements do not count.

    Args:
        chunks: `TABLE_SCHEMA` and the column `generated`.
        generated: name of the bool column: the row came without an id.
        as_came: of `shoal.events.identity.ids_as_came`.
    """
    if any(chunk[SCOPE_VERSION].null_count < chunk.num_rows for chunk in chunks):
        return list(chunks)
    occurrence = _occurrences(chunks, generated)
    sizes = [chunk.num_rows for chunk in chunks]
    parts = np.split(occurrence, np.cumsum(sizes)[:-1])
    return [_renewed(chunk, part, as_came) for chunk, part in zip(chunks, parts, strict=True)]


def _occurrences(chunks: Sequence[pa.Table], generated: str) -> NDArray[np.int64]:
    """The number of each row among identical ones that came without an id; 0 for all others."""
    event = _column(chunks, EVENT_KEY)
    content = _column(chunks, CONTENT_KEY)
    found = np.zeros(len(event), np.int64)
    rows = np.flatnonzero(_column(chunks, generated).astype(bool))
    values, counts = np.unique(event[rows], return_counts=True)
    rows = rows[np.isin(event[rows], values[counts > 1])]
    chunk = np.repeat(np.arange(len(chunks)), [part.num_rows for part in chunks])
    sequence = _column(chunks, "sequence")
    rows = rows[np.lexsort((rows, sequence[rows], chunk[rows], content[rows], event[rows]))]
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(event[rows]) != 0) | (np.diff(content[rows]) != 0)
    start = np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))
    found[rows] = np.arange(len(rows)) - start
    return found


def _renewed(
    chunk: pa.Table, occurrence: NDArray[np.int64], as_came: Mapping[int, str] | None
) -> pa.Table:
    """The chunk with new ids and keys where the occurrence is not the first."""
    later = occurrence > 0
    if not later.any():
        return chunk
    mask = pa.array(later)
    rows = chunk.select(["source", CONTENT_KEY, *CONTENT]).filter(mask)
    ids, keys = renumbered(rows, occurrence[later], as_came)
    for name, new in (("event_id", ids), (EVENT_KEY, keys)):
        place = chunk.schema.get_field_index(name)
        column = pc.replace_with_mask(chunk[name].combine_chunks(), mask, new)
        chunk = chunk.set_column(place, chunk.schema.field(name), column)
    return chunk


def _column(chunks: Sequence[pa.Table], name: str) -> NDArray[np.int64]:
    return np.concatenate([chunk[name].to_numpy() for chunk in chunks])
