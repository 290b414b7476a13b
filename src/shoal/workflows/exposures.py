"""Exposures: who an export was sent to and who was held out, told as events by the front door.

The events are of kind `exposure` and source `shoal`, with the export as their action. They are what
the shop did, not what customers did: marked `DELIVERY`, they count in no feature, sequence or
recency and do not move the shop's now. Told twice they are stored once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from shoal.domain.account import RowAccount
from shoal.domain.kinds import EXPOSURE
from shoal.domain.time import Zone, iso
from shoal.events.chunks import ROWS_PER_CHUNK, RawChunk
from shoal.events.clean import clean
from shoal.events.noise import DELIVERY
from shoal.events.presets import load
from shoal.events.schema import NOISE
from shoal.features.fold import Fold
from shoal.features.people import OWN_SOURCE
from shoal.ports import StateStore, Warehouse
from shoal.workflows import units
from shoal.workflows.admission import Admission
from shoal.workflows.catch_up import catch_up
from shoal.workflows.forgotten import id_columns, tombstones_of
from shoal.workflows.ingest import commit

_PRESET: Final = "shoal"


@dataclass(frozen=True)
class Action:
    """An export as an action on customers.

    `share` of the customers who could have been sent to are held out, by chance.
    """

    action_id: str
    moment: datetime
    segmentation_id: str
    segment_id: str
    destination: str
    channel: str
    holdout: str
    share: float

    def properties(self, exposed: bool) -> str:
        """What an event of the action says beside who and when, as JSON.

        `probability` is that with which the customer came to be exposed or held out, as it is.
        """
        told = {
            "exposed": exposed,
            "probability": round(1 - self.share if exposed else self.share, 9),
            "holdout": self.holdout,
            "segmentation_id": self.segmentation_id,
            "segment_id": self.segment_id,
            "destination": self.destination,
        }
        return json.dumps(told, sort_keys=True)


@dataclass(frozen=True)
class FrontDoor:
    """What brings the events in. `buckets` is the event table's number of customer buckets."""

    warehouse: Warehouse
    store: StateStore
    fold: Fold
    admission: Admission
    zone: Zone
    buckets: int

    def tell(self, action: Action, exposed: pa.Array, held_out: pa.Array) -> int:
        """Store who was exposed and who was held out; how many events are new.

        The caller holds the shop's lease. One commit; on any failure nothing of it is stored.

        Raises:
            OperationError: `disk_full`, `no_permission`, ...
        """
        rows = len(exposed) + len(held_out)
        if not rows:
            return 0
        name = _unit_name(action, exposed, held_out)
        known = units.find(self.store, name)
        if known is not None and (
            known.status == units.COMMITTED or self.warehouse.committed(name)
        ):
            if known.status != units.COMMITTED:  # a kill left it so
                units.finish(self.store, known)
            self._follow()
            return 0
        mapping, forgotten = load(_PRESET), tombstones_of(self.store)
        writer = self.warehouse.unit(name)
        skipped = 0
        try:
            for chunk in _chunks(action, exposed, held_out):
                found = clean(chunk, mapping, zone=self.zone, buckets=self.buckets, file="export")
                found = forgotten.left_out(found, id_columns(mapping))
                skipped += found.skipped
                writer.append(_marked(found.events))
            settled = writer.resolve()
            account = RowAccount(
                read=rows, stored=settled["stored"], duplicate=settled["duplicate"],
                conflicting=settled["conflicting"], skipped=skipped,
            )  # fmt: skip
            unit = units.Unit(name, units.STAGED, "shoal export", OWN_SOURCE, account)
            commit(self.warehouse, self.store, writer, unit)
        except BaseException:
            if not self.warehouse.committed(name):
                writer.discard()
            raise
        self._follow()
        return settled["stored"]

    def _follow(self) -> None:
        catch_up(
            warehouse=self.warehouse, store=self.store, fold=self.fold, admission=self.admission
        )


def _chunks(action: Action, exposed: pa.Array, held_out: pa.Array) -> Iterator[RawChunk]:
    """The events as rows under the canonical names."""
    for customers, was in ((exposed, True), (held_out, False)):
        for start in range(0, len(customers), ROWS_PER_CHUNK):
            some = customers.slice(start, ROWS_PER_CHUNK)
            same = {
                "source": OWN_SOURCE,
                "kind": EXPOSURE,
                "event_time": iso(action.moment),
                "action_id": action.action_id,
                "channel": action.channel or None,
                "properties": action.properties(was),
            }
            columns = {
                "event_id": pa.array(
                    [_event_id(action.action_id, name) for name in some.to_pylist()], pa.string()
                ),
                "customer_id": some,
                **{
                    name: pa.repeat(pa.scalar(value, pa.string()), len(some))
                    for name, value in same.items()
                },
            }
            yield RawChunk(pa.table(columns))


def _marked(events: pa.Table) -> pa.Table:
    place = events.schema.get_field_index(NOISE)
    mark = pa.repeat(pa.scalar(DELIVERY, pa.string()), events.num_rows)
    return events.set_column(place, events.schema.field(place), mark)


def _event_id(action_id: str, customer: str) -> str:
    text = f"{action_id}\x1f{customer}".encode("utf-8", "surrogatepass")
    return "exposure-" + hashlib.blake2b(text, digest_size=12).hexdigest()


def _unit_name(action: Action, exposed: pa.Array, held_out: pa.Array) -> str:
    """The same for the same action and customers."""
    digest = hashlib.blake2b(repr(action).encode(), digest_size=12)
    for customers in (exposed, held_out):
        digest.update(b"\x1e")
        for name in customers.to_pylist():
            digest.update(name.encode("utf-8", "surrogatepass") + b"\x1f")
    return f"exposure-{digest.hexdigest()}"
