"""The one step: what is known of some customers in, embeddings and changed memberships out.

Batch (`shoal segment`, `shoal refresh`), replay and a live stream drive this step and add nothing:

    advance    customers as known at a moment, a segmentation, what is recorded -> who belongs where
    record     what changed -> the membership log

Each customer is decided alone: neither the order of customers, nor who else is in the step, nor how
a log is cut into steps of the same moments changes what is said of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import SegmentConfig
from shoal.domain.segment import EVENT, ROLLBACK, SILENCE, VERSION
from shoal.domain.time import DAY_US, iso, parse_moment, to_us
from shoal.features.tastes import Vocabulary
from shoal.ports import StateStore
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA, Mask, assign, margins_of, places_of
from shoal.segments.base import CUSTOMER, Segmenter, Weights, column

if TYPE_CHECKING:
    from shoal.workflows.known import Known

_MOMENT: Final = MEMBERSHIPS_SCHEMA.field("since").type
#: Setting of a segmentation that tells up to when its memberships are recorded.
_RECORDED: Final = "memberships."


@dataclass(frozen=True)
class InForce:
    """A segmentation as the step applies it.

    Args:
        vocabulary: the names of tastes that its segmenter reads.
        margin: a customer changes only if the other segment weighs more by more than this.
    """

    segmentation_id: str
    segmenter: Segmenter
    vocabulary: Vocabulary
    margin: float

    @classmethod
    def of(cls, found: SegmentationArtefact) -> Self:
        """A published segmentation, with the margin it was made with."""
        return cls(found.segmentation_id, found.segmenter, found.vocabulary, margin_of(found))


def margin_of(found: SegmentationArtefact) -> float:
    """The margin that a segmentation was made with; the default for those made before margins."""
    return float(found.document.get("switch_margin", SegmentConfig.switch_margin))


@dataclass(frozen=True)
class Advanced:
    """What a step says of its customers, n rows in their order.

    Args:
        inputs: what the segmenter read.
        weights: (n, k) of the segmenter's segments.
        memberships: `MEMBERSHIPS_SCHEMA`: where each belongs now, with weight and margin as they
            are now; `since` and `cause` are those of the change, recorded or new.
        moved: (n,) whose membership is new or another than the one recorded.
        embeddings: `customer_id`, `e0`, ...; None where the segmentation needs none.
    """

    inputs: pa.Table
    weights: Weights
    memberships: pa.Table
    moved: Mask
    embeddings: pa.Table | None = None

    @property
    def changed(self) -> pa.Table:
        """The memberships to be recorded."""
        return self.memberships.filter(pa.array(self.moved))


def advance(
    known: Known,
    segmentation: InForce,
    recorded: pa.Table,
    *,
    since: datetime | None = None,
    arrived: pa.Array | None = None,
    entering: str = EVENT,
) -> Advanced:
    """Move some customers on to the moment at which they are known.

    Args:
        known: some or all customers, each row as a snapshot or a finished state gives it.
        recorded: `MEMBERSHIPS_SCHEMA`, the latest of each in this segmentation; any order, others
            may be among them.
        since: the moment of the step before. A change of who had an event since is caused by it,
            that of others by silence; None: every customer had one (a stream).
        arrived: customers of whom events came in that may be older than `since`.
        entering: the cause for those who have no membership yet.
    """
    inputs = known.table(segmentation.vocabulary)
    weights = segmentation.segmenter.transform(inputs)
    active = None
    if since is not None:
        active = active_since(known.features, known.as_of, since)
        if arrived is not None:
            there = pc.is_in(known.features[CUSTOMER], value_set=arrived)
            active |= there.to_numpy()
    memberships, moved = placed(
        known.features[CUSTOMER], weights, segmentation, recorded, known.as_of,
        active=active, entering=entering,
    )  # fmt: skip
    return Advanced(inputs, weights, memberships, moved, known.embeddings)


def placed(
    customers: pa.ChunkedArray,
    weights: Weights,
    segmentation: InForce,
    recorded: pa.Table,
    moment: datetime,
    *,
    active: Mask | None = None,
    entering: str = EVENT,
) -> tuple[pa.Table, Mask]:
    """Memberships after the switching rule, and whose are new; the part of the step after weights.

    Args:
        active: (n,) who had an event since the step before; None: everybody.

    Arguments and tables else as of `advance`.
    """
    ids = segmentation.segmenter.segment_ids
    rows = pc.index_in(customers, value_set=_one_chunk(recorded[CUSTOMER]))
    before = places_of(recorded["segment_id"].take(rows), ids)
    found = assign(weights, before, margin=segmentation.margin, segment_ids=ids)
    causes = np.where(active, EVENT, SILENCE) if active is not None else np.full(len(before), EVENT)
    causes = np.where(pc.is_null(rows).to_numpy(zero_copy_only=False), entering, causes)
    moved = pa.array(found.moved)
    now = pa.scalar(moment, _MOMENT)
    columns = [
        customers,
        pa.repeat(pa.scalar(segmentation.segmentation_id, pa.string()), len(before)),
        pa.array(ids, pa.string()).take(pa.array(found.places)),
        pa.array(found.weights),
        pc.if_else(moved, now, recorded["since"].take(rows)),
        pc.if_else(moved, pa.array(causes.astype(str), pa.string()), recorded["cause"].take(rows)),
        pa.array(found.margins),
    ]
    return pa.table(columns, schema=MEMBERSHIPS_SCHEMA), found.moved


def active_since(features: pa.Table, moment: datetime, since: datetime) -> Mask:
    """(n,) whose last event before `moment` was at or after `since`."""
    silent_us = np.rint(np.nan_to_num(column(features, "recency_days"), nan=np.inf) * DAY_US)
    found: Mask = silent_us <= to_us(moment) - to_us(since)
    return found


# -- the writer ------------------------------------------------------------------------------------


def record(
    store: StateStore,
    segmentation_id: str,
    changed: pa.Table,
    moment: datetime,
    table_version: int,
) -> int:
    """Add what steps changed to the log, in one transaction; how many rows.

    Args:
        changed: `MEMBERSHIPS_SCHEMA`, of each customer who was moved one row (`Advanced.changed`).
        table_version: of the event table that the steps were told from.
    """
    with store.transaction():
        store.put_memberships(changed)
        note_recorded(store, segmentation_id, moment, table_version)
    return changed.num_rows


def record_version(
    store: StateStore,
    segmentation_id: str,
    previous_id: str | Sequence[str] | None,
    members: pa.Table,
    moment: datetime,
    *,
    cause: str = VERSION,
    table_version: int = -1,
) -> int:
    """Record that a segmentation came into force; how many customers changed segment.

    Every member gets a row. Who is still in the segment of the same id keeps `since` and `cause` of
    the membership that goes on; a customer in another one is there since now.

    Args:
        previous_id: the segmentation that was in force and has the same permanent ids, or several,
            of whose rows of a customer the last counts; None where there was none, or its ids mean
            something else.
        members: `customer_id`, `segment_id`, `weight` and, if told, `margin`.
        moment: as of which the members are placed.
        cause: `version`, or `rollback`.
        table_version: of the event table they were told from; -1: not told.
    """
    before = store.get_memberships(previous_id or (), as_of=moment)
    rows = pc.index_in(members[CUSTOMER], value_set=_one_chunk(before[CUSTOMER]))
    same = pc.equal(before["segment_id"].take(rows), members["segment_id"])
    stays = pc.fill_null(same, False)
    margin = (
        members["margin"]
        if "margin" in members.column_names
        else pa.nulls(members.num_rows, pa.float64())
    )
    columns = [
        members[CUSTOMER],
        pa.repeat(pa.scalar(segmentation_id, pa.string()), members.num_rows),
        members["segment_id"],
        members["weight"],
        pc.if_else(stays, before["since"].take(rows), pa.scalar(moment, _MOMENT)),
        pc.if_else(stays, before["cause"].take(rows), pa.scalar(cause, pa.string())),
        margin,
    ]
    with store.transaction():
        store.put_memberships(pa.table(columns, schema=MEMBERSHIPS_SCHEMA))
        noted = recorded_of(store, segmentation_id) if cause == ROLLBACK else None
        if noted is None:
            note_recorded(store, segmentation_id, moment, table_version)
        else:  # who was put back is as of when that version was left
            note_recorded(
                store, segmentation_id, moment, noted.table_version, known_at=noted.known_at
            )
    return members.num_rows - int(pc.sum(stays).as_py() or 0)


def with_margins(members: pa.Table, weights: npt.NDArray[Any]) -> pa.Table:
    """Members with the margin by which their weights place them, for `record_version`."""
    return members.append_column("margin", pa.array(margins_of(weights)))


@dataclass(frozen=True)
class Recorded:
    """How far a segmentation's log is.

    Args:
        until: the moment of its last entry; the next one is not earlier.
        known_at: the moment as of which its customers are placed: `until`, but after a rollback.
        table_version: of the event table at `known_at`; -1: not known.
    """

    until: datetime
    known_at: datetime
    table_version: int = -1


def note_recorded(
    store: StateStore,
    segmentation_id: str,
    moment: datetime,
    table_version: int,
    *,
    known_at: datetime | None = None,
) -> None:
    """Note how far a segmentation's log is; `known_at` None: as far as `moment`."""
    told = {
        "until": iso(moment),
        "known_at": iso(known_at or moment),
        "table_version": table_version,
    }
    store.put_setting(_RECORDED + segmentation_id, json.dumps(told))


def follow_flush(store: StateStore, before: int, after: int) -> None:
    """Let logs that are told from a version of the table be told from the one a flush made of it.

    What a flush brings into the table was counted before. Inside the caller's transaction.
    """
    for key, told in store.get_settings().items():
        if key.startswith(_RECORDED):
            document = json.loads(told)
            if document["table_version"] == before:
                store.put_setting(key, json.dumps({**document, "table_version": after}))


def recorded_of(store: StateStore, segmentation_id: str) -> Recorded | None:
    """How far the log of a segmentation is; None where that was not noted yet."""
    return recorded_in(store.get_settings(), segmentation_id)


def recorded_in(settings: Mapping[str, str], segmentation_id: str) -> Recorded | None:
    """The same by settings that were read already."""
    told = settings.get(_RECORDED + segmentation_id)
    if told is None:
        return None
    document = json.loads(told)
    until, known_at = (parse_moment(document[name]) for name in ("until", "known_at"))
    return Recorded(until, known_at, int(document["table_version"]))


def recorded_until(store: StateStore, found: SegmentationArtefact) -> Recorded:
    """How far the log is; where that was not noted, up to what the segmentation was made for."""
    made_for = parse_moment(found.document["as_of"])
    return recorded_of(store, found.segmentation_id) or Recorded(made_for, made_for)


def _one_chunk(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
