"""Export the members of a segment: a list of customers, or the SQL that selects them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone
from shoal.features.fold import Fold
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.rules import Rfm
from shoal.segments.rules_sql import segment_sql
from shoal.workflows.admission import Admission
from shoal.workflows.memberships import check_ending, current, memberships, write_table

FORMATS: Final = ("csv", "parquet", "sql")


@dataclass(frozen=True)
class Exported:
    """A written export: `rows` members as of the shop's now."""

    path: Path
    rows: int
    format: str
    segmentation_id: str
    segment_id: str
    warnings: tuple[str, ...] = ()
    without_consent: int | None = None

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.export/1`."""
        return {
            "schema": "shoal.export/1",
            "path": str(self.path),
            "format": self.format,
            "customers": self.rows,
            "segmentation_id": self.segmentation_id,
            "segment_id": self.segment_id,
            "without_consent": self.without_consent,
            "warnings": list(self.warnings),
        }


def export(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    segment: str,
    format: str = "csv",
    exports_dir: Path,
    out: Path | None = None,
    segmentation: str | None = None,
    consent: str = "",
) -> Exported:
    """Write the members of a segment as they are now.

    Args:
        segment: an id of the main or the RFM segmentation (`s03`, `r01`, `new`), or both ids
            (`kmeans-0001/s03`).
        format: one of `FORMATS`; `sql` for rule segments only.
        exports_dir: where the file goes unless `out` is given, whose ending says the format.
        consent: a channel; members who have not granted it now are left out and counted.

    Raises:
        UsageError: `unknown_format`, `unknown_segment`, `unknown_segmentation`, `no_sql_form`.
    """
    if format not in FORMATS:
        raise UsageError(
            "unknown_format",
            f"no export format {format!r}",
            hint=f"Formats: {', '.join(FORMATS)}.",
        )
    if out is not None and format != "sql":
        check_ending(out, (f".{format}",), f"lists in the format {format}")
    found, segment_id = resolve(store, registry, segment, segmentation)
    if format == "sql" and not isinstance(found.segmenter, Rfm):
        raise UsageError(
            "no_sql_form",
            f"{found.segmentation_id}/{segment_id} was learned by {found.document['method']} and "
            "cannot be written as SQL over canonical columns",
            where=f"{found.segmentation_id}/{segment_id}",
            hint="Export it as csv or parquet; RFM segments (r01, r02, ...) have SQL.",
        )
    if format == "sql" and consent:
        raise UsageError(
            "usage", "a query cannot be held to consents",
            hint="Export the list as csv or parquet with --consent.",
        )  # fmt: skip
    now = memberships(
        warehouse=warehouse,
        store=store,
        registry=registry,
        fold=fold,
        zone=zone,
        admission=admission,
        segmentation=found.segmentation_id,
    )
    members = now.table.filter(pc.field("segment_id") == segment_id)
    without: int | None = None
    if consent:
        allowed = _allowed(warehouse, admission, now.as_of, consent)
        kept = members.filter(pc.is_in(members["customer_id"], value_set=allowed))
        without, members = members.num_rows - kept.num_rows, kept
    path = out or exports_dir / f"{found.segmentation_id}-{segment_id}.{format}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "sql":
        assert isinstance(found.segmenter, Rfm)
        assert found.segmenter.thresholds is not None
        sql = segment_sql(segment_id, found.segmenter.thresholds, now.as_of, fold.rules)
        path.write_text(sql, encoding="utf-8")
    else:
        name = found.profile_name(segment_id)
        members = members.append_column("segment", pa.repeat(name, members.num_rows))
        write_table(members, path)
    return Exported(
        path, members.num_rows, format, found.segmentation_id, segment_id, now.warnings, without
    )


def _allowed(
    warehouse: Warehouse, admission: Admission, moment: datetime, channel: str
) -> pa.Array:
    """Customers who granted consent to a channel as of a moment."""
    from shoal.features.consent import consents_at

    table = admission.at(moment)
    said = consents_at(warehouse.engine, table.events(), moment)
    known = sorted(set(said["channel"].to_pylist()))
    if channel not in known:
        raise UsageError(
            "unknown_channel",
            f"nobody said anything of the channel {channel!r}",
            hint=f"Channels: {', '.join(known) or 'none'}.",
        )
    granted = pc.and_(said["granted"], pc.equal(said["channel"], channel))
    return said["customer_id"].filter(granted).combine_chunks()


def resolve(
    store: StateStore, registry: Registry, segment: str, segmentation: str | None = None
) -> tuple[SegmentationArtefact, str]:
    """The segmentation and the id that a segment's name means.

    Raises:
        UsageError: `unknown_segment`, with the ids there are; `unknown_segmentation`.
    """
    named, _, segment_id = segment.rpartition("/")
    wanted = [named or segmentation] if named or segmentation else [None]
    if wanted == [None]:
        wanted = [store.get_pointer(artefact.MAIN), store.get_pointer(artefact.RFM)]
    known: list[str] = []
    for one in dict.fromkeys(wanted):
        if one is None and known:
            continue
        found = current(store, registry, one)
        if segment_id in found.segmenter.segment_ids:
            return found, segment_id
        known += found.segmenter.segment_ids
    raise UsageError(
        "unknown_segment",
        f"the shop's current segmentations have no segment {segment!r}",
        where=segment,
        hint=f"Segments: {', '.join(known)}.",
    )
