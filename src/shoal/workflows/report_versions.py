"""What a report tells of versions of segments, of the membership log and of protected traits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import SegmentConfig
from shoal.domain.errors import ShoalError
from shoal.domain.time import Zone, parse_moment
from shoal.features.fold import Fold
from shoal.features.snapshot import snapshot_table
from shoal.ports import EventTable, Registry, StateStore, Warehouse
from shoal.report import compose_lineage, compose_reasons, compose_story
from shoal.report.document_lineage import Lineage, Logged, Parted
from shoal.report.document_reasons import Protected
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.protected import by_trait, left_out, protected_of
from shoal.segments.wording import Described, describe
from shoal.workflows import reference
from shoal.workflows.admission import Admission
from shoal.workflows.lineage import lineages
from shoal.workflows.membership_log import line_of, spells
from shoal.workflows.movement import moved
from shoal.workflows.movement_report import movement_report
from shoal.workflows.report_story import SPAN_BEFORE_EVENTS, Storyteller

#: Days of which what a customer brought is told.
_YEAR: Final = 365


def lineage_seen(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    main: SegmentationArtefact,
    lang: str,
) -> Lineage | None:
    """The versions that led to a segmentation; None for rules, whose segments are told, not found.

    Versions that cannot be read spoil no report. Movement takes features at three moments, so it is
    parted by cause in shops of up to `SPAN_BEFORE_EVENTS` events.
    """
    if not isinstance(main.segmenter, ClusterSegmenter):
        return None
    try:
        told = lineages(store=store, registry=registry, segmentation=main.segmentation_id)
    except ShoalError:
        return Lineage((), why_not_parted="unreadable")
    found = compose_lineage.lineage(told, lang)
    if len(found.versions) < 2:
        return found
    before, now = found.versions[-2].as_of, parse_moment(main.document["as_of"])
    if main.document["fold_fingerprint"] != fold.fingerprint:
        return Lineage(found.versions, why_not_parted="older")
    if before >= now:
        return Lineage(found.versions, why_not_parted="same_moment")
    if sum(admission.at(now).bucket_counts().values()) > SPAN_BEFORE_EVENTS:
        return Lineage(found.versions, why_not_parted="large")
    parted: Parted | None = None
    try:
        movement = moved(
            warehouse=warehouse, store=store, registry=registry, fold=fold, zone=zone,
            admission=admission, version=main.segmentation_id,
        )  # fmt: skip
        parted = compose_lineage.parted(movement)
    except ShoalError:
        return Lineage(found.versions, why_not_parted="unreadable")
    return Lineage(found.versions, parted)


def movement_seen(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    main: SegmentationArtefact,
    shop_name: str,
) -> dict[str, Any] | None:
    """What changed of late in the segmentation in force, `shoal.movement_report/1`.

    None of another segmentation, and where memberships are recorded of one moment alone. Records
    that cannot be read spoil no report.
    """
    if main.segmentation_id != store.get_pointer(artefact.MAIN):
        return None
    try:
        found = movement_report(
            warehouse=warehouse, store=store, registry=registry, fold=fold, zone=zone,
            shop_name=shop_name,
        ).as_document()  # fmt: skip
    except ShoalError:
        return None
    return found if found["days"] > 0 else None


def logged_changes(store: StateStore, teller: Storyteller) -> Logged | None:
    """Changes of segment that the log holds since the comparison date; None where it holds none."""
    since = teller.compared
    if since is None:
        return None
    line = line_of(store, teller.main.segmentation_id)
    history = store.membership_history(segmentations=line)
    worth = compose_story.worth_of(teller.habits, "year_worth", has_money=teller.has_money)
    return compose_lineage.logged(
        spells(history), since, teller.now, (teller.main.members[CUSTOMER], worth),
        min(_YEAR, teller.log_days),
    )  # fmt: skip


def protected_seen(
    main: SegmentationArtefact,
    fold: Fold,
    registry: Registry,
    zone: Zone,
    counted: EventTable,
    settings: SegmentConfig | None,
    lang: str,
) -> Protected:
    """How the segments of a segmentation fall by protected traits, as of its moment.

    Args:
        counted: the events as they count at that moment.
        settings: what the shop marks; None: the usual traits.
    """
    marked = protected_of(settings or SegmentConfig())
    features = snapshot_table(
        counted, fold, zone=zone, as_of=parse_moment(main.document["as_of"]),
        reference_table=reference.read(registry, main.document["reference_id"]),
    )  # fmt: skip
    rows = pc.index_in(features[CUSTOMER], value_set=_one(main.members[CUSTOMER]))
    known = pc.is_valid(rows)
    segments = main.members["segment_id"].take(rows.filter(known)).to_pylist()
    told = by_trait(features.filter(known), segments, protected=marked)
    described = describe(fold.catalog, main.vocabulary)
    telling = left_out(fold.catalog, marked)
    used = set((main.document.get("features") or {}).get("used") or ())
    return compose_reasons.protected(
        told,
        [_words(described, name, lang) for name in telling if name not in used],
        [_words(described, name, lang) for name in telling if name in used],
        ruled=not isinstance(main.segmenter, ClusterSegmenter),
    )


def _words(described: Mapping[str, Described], name: str, lang: str) -> str:
    return described[name].text.as_document()[lang] if name in described else name


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
