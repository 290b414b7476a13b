"""From documents of versions, movement and the membership log to what a report says of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import parse_moment, to_us
from shoal.report.document_lineage import (
    Lineage,
    Logged,
    LoggedCause,
    Parted,
    Version,
    VersionChange,
    VersionFlow,
    VersionSegment,
)

Document = Mapping[str, Any]

_CUSTOMER: Final = "customer_id"


def lineage(document: Document, lang: str) -> Lineage:
    """The versions of a document `shoal.lineages/1`."""
    return Lineage(tuple(_version(one, document, lang) for one in document["versions"]))


def _version(one: Document, document: Document, lang: str) -> Version:
    name = one["segmentation_id"]
    return Version(
        segmentation_id=name,
        as_of=parse_moment(one["as_of"]),
        customers=one["customers"],
        segments=tuple(
            VersionSegment(each["segment_id"], str(each["name"][lang]), each["customers"])
            for each in one["segments"]
        ),
        causes=tuple(_cause(each, lang) for each in one["causes"]),
        changes=tuple(
            VersionChange(
                each["change"],
                tuple(each["parents"]),
                tuple(each["children"]),
                each["customers"],
                each.get("confidence"),
            )
            for each in document["changes"]
            if each["segmentation_id"] == name
        ),
        flows=tuple(
            VersionFlow(each["from"], each["to"], each["customers"])
            for each in document["flows"]
            if each["segmentation_id"] == name
        ),
    )


def _cause(one: Document, lang: str) -> str:
    """A cause in words, with what it was and is where that is a number or a short word."""
    text = str(one[lang])
    if one["code"] not in ("k", "method", "on", "minimum_events", "seed"):
        return text
    return f"{text} ({one['was']} → {one['is']})"


def parted(document: Document) -> Parted:
    """The movement of a document `shoal.movement/1`."""
    counts, kinds = document["customers"], document["kinds"]
    return Parted(
        common=counts["common"],
        arrived=counts["arrived"],
        gone=counts["gone"],
        **{kind: kinds[kind] for kind in ("stayed", "behaviour", "model", "both", "returned")},
        segments=tuple(
            tuple(
                one[name]
                for name in ("segment_id", "then", "arrived", "gone", "behaviour", "model", "now")
            )
            for one in document["segments"]
        ),
    )


def logged(
    spells: pa.Table,
    since: datetime,
    until: datetime,
    worth: tuple[pa.ChunkedArray, npt.NDArray[np.float64]],
    window_days: int,
) -> Logged | None:
    """Changes of segment after a date, by cause; None where the log holds none.

    A customer's first spell is no change, nor is one in the segment that the spell before was in.

    Args:
        spells: `membership_log.spells`: a row a spell, by customer and time.
        until: the moment of the report.
        worth: customers, and what each brought in the last `window_days`.
    """
    if spells.num_rows < 2:
        return None
    owner, place = (
        spells[name].combine_chunks().dictionary_encode().indices.to_numpy()
        for name in (_CUSTOMER, "segment_id")
    )
    changed = np.zeros(len(owner), dtype=bool)
    changed[1:] = (owner[1:] == owner[:-1]) & (place[1:] != place[:-1])
    began = spells["since"].cast(pa.int64()).to_numpy()
    changed &= began > to_us(since)
    if not changed.any():
        return None
    rows = spells.take(pa.array(np.flatnonzero(changed)))
    known = worth[0].combine_chunks() if isinstance(worth[0], pa.ChunkedArray) else worth[0]
    at = pc.fill_null(pc.index_in(rows[_CUSTOMER], value_set=known), -1).to_numpy()
    brought = np.where(at >= 0, worth[1][at], 0.0) if len(worth[1]) else np.zeros(len(at))
    found = []
    for cause in pc.unique(rows["cause"]).to_pylist():
        own = pc.equal(rows["cause"], cause).to_numpy()
        # A customer who changed twice is one customer, with what they brought once.
        _, first = np.unique(owner[changed][own], return_index=True)
        found.append(
            LoggedCause(cause, int(own.sum()), len(first), float(brought[own][first].sum()))
        )
    ranked = sorted(found, key=lambda one: (-one.changes, one.cause))
    return Logged(since, window_days, tuple(ranked), int((changed & (began > to_us(until))).sum()))
