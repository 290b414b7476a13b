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
from shoal.features.snapshot import latest_moment, snapshot_table
from shoal.features.tastes import counts_at
from shoal.ports import EventTable, Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER, Weights
from shoal.segments.inputs import with_embedding, with_tastes
from shoal.workflows import reference
from shoal.workflows.admission import Admission
from shoal.workflows.embedded import of_segmentation

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

    Args:
        as_of: T; None: just after the latest event. `since` is when the recorded membership began
            where it is the same segment and not later than T, else T.
        segmentation: its id; None: the main one.
        soft: one row a customer and segment with a weight above 0, instead of the largest only.
        table_version: of the event table; None for the latest.

    Raises:
        UsageError: `unknown_segmentation`.
        InputError: `too_little_data`, no customer has an event before the moment.
    """
    found = current(store, registry, segmentation)
    moment = as_of or latest_moment(warehouse, version=table_version)
    features, weights = applied(
        found, admission.at(moment, version=table_version), fold, registry, zone, moment,
        version=table_version,
    )  # fmt: skip
    if soft:
        rows, places = np.nonzero(weights)
    else:
        rows, places = np.arange(len(weights)), weights.argmax(axis=1)
    customers = features[CUSTOMER].take(pa.array(rows))
    segments = pa.array(found.segmenter.segment_ids, pa.string()).take(pa.array(places))
    since = _since(store, found.segmentation_id, customers, segments, moment)
    columns = [
        customers,
        pa.repeat(found.segmentation_id, len(rows)),
        segments,
        pa.array(weights[rows, places]),
        since,
    ]
    warnings = late_warning(found, moment) + fold_warning(found.document, fold)
    table = pa.table(columns, schema=SCHEMA)
    return Memberships(table, found.segmentation_id, moment, warnings)


def applied(
    found: SegmentationArtefact,
    counted: EventTable,
    fold: Fold,
    registry: Registry,
    zone: Zone,
    moment: datetime,
    *,
    version: int | None = None,
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
    features = snapshot_table(
        counted,
        fold,
        zone=zone,
        as_of=moment,
        reference_table=reference.read(registry, found.document["reference_id"]),
        version=version,
    )
    counts = counts_at(fold, counted.events(version=version), moment)
    table = with_tastes(features, counts, found.vocabulary)
    model = of_segmentation(found.document, registry, fold)
    if model is not None:
        table = with_embedding(table, model.embeddings(counted, moment, version=version))
    return features, found.segmenter.transform(table)


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


def _since(
    store: StateStore,
    segmentation_id: str,
    customers: pa.ChunkedArray,
    segments: pa.Array,
    moment: datetime,
) -> pa.Array:
    """When the recorded membership in the same segment began; the moment where there is none."""
    recorded = store.get_memberships(segmentation_id)
    now = pa.scalar(moment, pa.timestamp("us", tz="UTC"))
    if not recorded.num_rows:
        return pa.repeat(now, len(segments))
    places = pc.index_in(customers, value_set=recorded[CUSTOMER].combine_chunks())
    same = pc.equal(recorded["segment_id"].take(places), segments)
    since = recorded["since"].take(places)
    holds = pc.fill_null(pc.and_(same, pc.less_equal(since, now)), False)
    return pc.if_else(holds, since, now).combine_chunks()


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
) -> Written:
    """Write memberships as Parquet or CSV, by the ending of `out`.

    Raises:
        UsageError: `unknown_format`, another ending.
    """
    check_ending(out, (".parquet", ".csv"), "memberships")
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
    return pc.if_else(dangerous, pc.binary_join_element_wise("'", texts, ""), texts)
