"""Who belongs where: now, or by the current segmentation applied to what was known at a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, iso
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import EventTable, Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER, Weights
from shoal.workflows import canary, reference
from shoal.workflows.admission import Admission
from shoal.workflows.advance import InForce, placed, recorded_until
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.known import Known, from_events
from shoal.workflows.membership_log import line
from shoal.workflows.rule_columns import Asking, with_rules

SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("segmentation_id", pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("weight", pa.float64()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Memberships:
    """`table` has `SCHEMA`, sorted by customer; with `soft`, one row a customer and segment."""

    table: pa.Table
    segmentation_id: str
    as_of: datetime
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """A written file of memberships."""

    path: Path
    rows: int
    segmentation_id: str
    as_of: datetime
    warnings: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.memberships/1`."""
        return {
            "schema": "shoal.memberships/1",
            "path": str(self.path),
            "rows": self.rows,
            "segmentation_id": self.segmentation_id,
            "as_of": iso(self.as_of),
            "warnings": list(self.warnings),
        }


def current(
    store: StateStore, registry: Registry, segmentation: str | None = None
) -> SegmentationArtefact:
    """The segmentation of that id, or the main one.

    Raises:
        UsageError: `unknown_segmentation`, there is none (of that id).
    """
    chosen = segmentation or store.get_pointer(artefact.MAIN)
    if chosen is None:
        raise UsageError(
            "unknown_segmentation",
            "the shop has no segmentation yet",
            hint="Make one with: shoal segment SHOP",
        )
    return artefact.read(registry, chosen)


def overview(
    *, store: StateStore, registry: Registry, segmentation: str | None = None
) -> dict[str, Any]:
    """The JSON document `shoal.segments/1`: a segmentation and the profile of each segment."""
    found = current(store, registry, segmentation)
    document = found.document
    customers = document["customers"]
    headline = (
        f"{found.segmentation_id}: {document['k']} segments of {customers['placed']:,} customers, "
        f"as of {document['as_of'][:16].replace('T', ' ')} UTC"
    )
    if customers["too_little_known"]:
        headline += (
            f"; {customers['too_little_known']:,} more with fewer than "
            f"{document['minimum_events']} events are too little known to place"
        )
    return {
        "schema": "shoal.segments/1",
        "headline": headline,
        "segmentation_id": found.segmentation_id,
        "method": document["method"],
        "as_of": document["as_of"],
        "k": document["k"],
        "choice": document["choice"],
        "customers": customers,
        "currency": document["currency"],
        "segments": list(found.profiles["segments"]),
    }


def memberships(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    as_of: datetime | None = None,
    segmentation: str | None = None,
    soft: bool = False,
    table_version: int | None = None,
) -> Memberships:
    """One row a customer of the segmentation, applied to what is known at the moment.

    By the one step: who has a recorded membership at T stays in that segment unless another weighs
    more by more than the margin. Nothing is recorded.

    Args:
        as_of: T; None: just after the latest event. `since` is when the recorded membership began
            where it is the same segment, else T.
        segmentation: its id; None: the main one.
        soft: one row a customer and segment with a weight above 0, instead of the largest only.
        table_version: of the event table; None for the latest.

    Customers of a canary that runs beside it then are told by the version that is tried on them:
    `segmentation_id` says which one placed a customer.

    Raises:
        UsageError: `unknown_segmentation`.
        InputError: `too_little_data`, no customer has an event before the moment.
    """
    found = current(store, registry, segmentation)
    moment = as_of or latest_moment(warehouse, version=table_version)

    def told(one: SegmentationArtefact) -> pa.Table:
        features, weights = applied(
            one, admission.at(moment, version=table_version), fold, registry, zone, moment,
            version=table_version, store=store,
        )  # fmt: skip
        recorded = store.get_memberships(canary.kept(store, one.segmentation_id), as_of=moment)
        members, _ = placed(features[CUSTOMER], weights, InForce.of(one), recorded, moment)
        table = members.select(SCHEMA.names)
        return _soft(table, weights, one.segmenter.segment_ids, moment) if soft else table

    table, trial = told(found), canary.beside(store, found.segmentation_id)
    if trial is not None and moment >= trial.since:
        tried = trial.of(told(current(store, registry, trial.segmentation_id)))
        table = canary.overlaid(table, tried)
    warnings = late_warning(found, moment) + fold_warning(found.document, fold)
    return Memberships(table, found.segmentation_id, moment, warnings)


def recorded(
    *,
    store: StateStore,
    registry: Registry,
    as_of: datetime | None = None,
    segmentation: str | None = None,
) -> Memberships:
    """What the membership log says: the latest membership of each customer.

    Customers of a canary are told by the version that is tried on them, unless one is named.

    Args:
        as_of: T: as it stood then; only what began at or before T. None: now.
        segmentation: its id, and only what was recorded of it; None: the main one, and as of T
            those before it, whose ids are the same.

    Returns:
        `table` has `MEMBERSHIPS_SCHEMA`; the moment is T, or up to when the log is written.

    Raises:
        UsageError: `unknown_segmentation`.
    """
    found = current(store, registry, segmentation)
    alone = segmentation is not None or as_of is None
    ids = line(store)
    if alone:
        name = found.segmentation_id
        ids = canary.answering(store, name) if segmentation is None else canary.kept(store, name)
    table = store.get_memberships(ids, as_of=as_of)
    moment = as_of or recorded_until(store, found).until
    return Memberships(table, found.segmentation_id, moment)


def _soft(
    members: pa.Table, weights: Weights, segment_ids: Sequence[str], moment: datetime
) -> pa.Table:
    """One row a customer and segment with a weight; `since` is the moment but for the own one."""
    rows, places = np.nonzero(weights)
    segments = pa.array(segment_ids, pa.string()).take(pa.array(places))
    table = members.take(pa.array(rows))
    own = pc.equal(table["segment_id"], segments)
    since = pc.if_else(own, table["since"], pa.scalar(moment, SCHEMA.field("since").type))
    columns = [
        table[CUSTOMER], table["segmentation_id"], segments, pa.array(weights[rows, places]), since,
    ]  # fmt: skip
    return pa.table(columns, schema=SCHEMA)


def applied(
    found: SegmentationArtefact,
    counted: EventTable,
    fold: Fold,
    registry: Registry,
    zone: Zone,
    moment: datetime,
    *,
    version: int | None = None,
    store: StateStore | None = None,
) -> tuple[pa.Table, Weights]:
    """A segmentation applied to what is known at a moment.

    Args:
        counted: the events as they count at that moment (`Admission.at`).

    Returns:
        The features of every customer with an event before the moment, sorted by customer, and
        (n, k) weights of the segmenter's segments.

    Raises:
        InputError: `too_little_data`, no customer has an event before the moment.
    """
    known = known_at(found, counted, fold, registry, zone, moment, version=version, store=store)
    return known.features, found.segmenter.transform(known.table(found.vocabulary))


def known_at(
    found: SegmentationArtefact,
    counted: EventTable,
    fold: Fold,
    registry: Registry,
    zone: Zone,
    moment: datetime,
    *,
    version: int | None = None,
    store: StateStore | None = None,
) -> Known:
    """What a segmentation reads of every customer with an event before a moment.

    `store` tells rules since when somebody belongs to another segment.

    Arguments and errors as of `applied`.
    """
    items = reference.read(registry, found.document["reference_id"])
    model = of_segmentation(found.document, registry, fold)
    known = from_events(counted, fold, zone, moment, items, model=model, version=version)
    asking = Asking(counted, fold, zone, registry, store, version)
    return with_rules(found.segmenter, known, asking)


def late_warning(found: SegmentationArtefact, moment: datetime) -> tuple[str, ...]:
    """A warning where the segmentation saw events that were in the future at the moment."""
    if found.trained_until <= moment:
        return ()
    warning = (
        f"{found.segmentation_id} was trained until {iso(found.trained_until)}, which is later "
        f"than {iso(moment)}: it knows what was still to come."
    )
    return (warning,)


def fold_warning(document: Mapping[str, Any], fold: Fold) -> tuple[str, ...]:
    """A warning where features mean something else than when the segmentation was made."""
    if document["fold_fingerprint"] == fold.fingerprint:
        return ()
    warning = (
        f"{document['segmentation_id']} was made with other definitions of features "
        f"({document['fold_fingerprint']}, now {fold.fingerprint}): run shoal segment again."
    )
    return (warning,)


def write_memberships(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    out: Path,
    as_of: datetime | None = None,
    segmentation: str | None = None,
    soft: bool = False,
    table_version: int | None = None,
    from_log: bool = False,
) -> Written:
    """Write memberships as Parquet or CSV, by the ending of `out`.

    Args:
        from_log: those that are recorded, with cause and margin (`recorded`).

    Raises:
        UsageError: `unknown_format`, another ending; `usage`, what only an applied segmentation
            can tell was asked of the log.
    """
    check_ending(out, (".parquet", ".csv"), "memberships")
    if from_log:
        if soft or table_version is not None:
            raise UsageError(
                "usage",
                "the log holds the one segment of each customer, as it was recorded",
                hint="Leave out --soft and --table-version, or --recorded.",
            )
        told = recorded(store=store, registry=registry, as_of=as_of, segmentation=segmentation)
        write_table(told.table, out)
        return Written(out, told.table.num_rows, told.segmentation_id, told.as_of)
    found = memberships(
        warehouse=warehouse,
        store=store,
        registry=registry,
        fold=fold,
        zone=zone,
        admission=admission,
        as_of=as_of,
        segmentation=segmentation,
        soft=soft,
        table_version=table_version,
    )
    write_table(found.table, out)
    return Written(out, found.table.num_rows, found.segmentation_id, found.as_of, found.warnings)


def check_ending(out: Path, endings: Sequence[str], what: str) -> None:
    """Refuse a file whose ending does not say what is in it: nobody could clean it later.

    Raises:
        UsageError: `unknown_format`.
    """
    if out.suffix.lower() not in endings:
        allowed = " or ".join(endings)
        raise UsageError(
            "unknown_format",
            f"{what} are written as {allowed}, received {out.name!r}",
            where=str(out),
            hint=f"Give --out a name that ends in {allowed}.",
        )


def write_table(table: pa.Table, out: Path) -> None:
    """A table as Parquet, or as CSV with times in ISO 8601 and formulas defused."""
    if out.suffix.lower() == ".parquet":
        pq.write_table(table, out, compression="zstd")
        return
    columns = {field.name: _as_text(table[field.name]) for field in table.schema}
    pa_csv.write_csv(pa.table(columns), out)


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(values.type):
        return pc.strftime(values, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_string(values.type):
        return defused(values)
    return values


def defused(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts that no spreadsheet takes for a formula.

    A text that begins with = + - @, a tab or a carriage return gets an apostrophe before it (OWASP,
    "CSV injection").

    >>> defused(pa.chunked_array([["=1+1", "a-b", None]])).to_pylist()
    ["'=1+1", 'a-b', None]
    """
    dangerous = pc.match_substring_regex(texts, r"^[=+\-@\t\r]")
    if not pc.any(dangerous).as_py():
        return texts
    return pc.if_else(dangerous, pc.binary_join_element_wise("'", texts, ""), texts)
