"""Reading the membership log: segmentations that follow each other, and spells in them.

The log is only added to, so what was said at any moment can be read again. Of the rows that began
at or before a moment, the one of each customer that was written last counts.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from shoal.ports import StateStore
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows import canary

#: `MEMBERSHIPS_SCHEMA`, and `until` when the spell ended (null: it goes on).
SPELLS_SCHEMA: Final = MEMBERSHIPS_SCHEMA.append(pa.field("until", pa.timestamp("us", tz="UTC")))


def line(store: StateStore, pointer: str = artefact.MAIN) -> tuple[str, ...]:
    """The segmentations that a pointer has named, oldest first: one line with permanent ids.

    Rules that stood in for a main segmentation before there was one are a line of their own. What
    was tried on a share of customers was in force for them: it is of the main line, and comes
    before those that were in force for all.
    """
    named = dict.fromkeys(target for target, _ in store.pointer_history(pointer))
    if pointer != artefact.MAIN:
        return tuple(named)
    current = store.get_pointer(pointer)
    beside = (artefact.RFM, artefact.RULES)
    rules = {target for pointer in beside for target, _ in store.pointer_history(pointer)}
    tried = [one for one in canary.tried(store) if one not in named]
    return (*tried, *(one for one in named if one == current or one not in rules))


def line_of(store: StateStore, segmentation_id: str) -> tuple[str, ...]:
    """The line that a segmentation belongs to; it alone where no pointer has named it."""
    for pointer in (artefact.MAIN, artefact.RFM, artefact.RULES):
        found = line(store, pointer)
        if segmentation_id in found:
            return found
    return (segmentation_id,)


def spells(history: pa.Table) -> pa.Table:
    """How long customers were in a segment: a row a spell (`SPELLS_SCHEMA`), by customer and time.

    Args:
        history: memberships in the order in which they were written (`membership_history`), of
            one line of segmentations; as of a moment, those that began at or before it.

    A membership that a later version confirmed is one spell. One that was written over from its
    beginning on was never in force for anybody who reads now, and is left out.
    """
    customers = history["customer_id"].combine_chunks().dictionary_encode()
    owner = customers.indices.to_numpy().astype(np.int64)
    order = np.argsort(owner, kind="stable")
    owner = owner[order]
    since = history["since"].cast(pa.int64()).to_numpy()[order]
    ends = _next_beginning(owner, since)
    kept = since < ends
    rows = history.take(pa.array(order[kept]))
    open_ended = ends[kept] == np.iinfo(np.int64).max
    until = pa.array(ends[kept], mask=open_ended).cast(SPELLS_SCHEMA.field("until").type)
    table = pa.table([*rows.columns, until], schema=SPELLS_SCHEMA)
    return table.sort_by([("customer_id", "ascending"), ("since", "ascending")])


def _next_beginning(
    owner: np.ndarray[tuple[int], np.dtype[np.int64]],
    since: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(n,) the earliest beginning among an owner's later rows; the greatest integer for none.

    >>> _next_beginning(np.array([0, 0, 0, 1]), np.array([1, 5, 3, 2]))[:2].tolist()
    [3, 3]
    """
    n = len(owner)
    none = np.iinfo(np.int64).max
    ends = np.full(n, none)
    if n < 2:
        return ends
    moments, rank = np.unique(since, return_inverse=True)
    # one running minimum from the back for all owners: those before have smaller numbers, so it
    # begins anew at each
    key = owner * len(moments) + rank
    least = np.minimum.accumulate(key[::-1])[::-1] - owner * len(moments)
    follows = owner[1:] == owner[:-1]
    ends[:-1][follows] = moments[least[1:][follows]]
    return ends
