"""Who moved between two versions, and whether the customers changed or the model did."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.movement import movement
from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, iso, parse_moment
from shoal.features.fold import Fold
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact, lineage_of
from shoal.segments.base import CUSTOMER
from shoal.workflows.admission import Admission
from shoal.workflows.memberships import applied, current

SCHEMA: Final = "shoal.movement/1"

Labels = npt.NDArray[Any]


def moved(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    version: str | None = None,
    since: str | None = None,
) -> dict[str, Any]:
    """The JSON document `shoal.movement/1`.

    Each version is applied as it is, to what was known at its own moment; the earlier one to what
    was known at the moment of the later one as well.

    Args:
        version: the later version; None: the main one.
        since: the earlier version; None: the one that the later one continues.

    Raises:
        UsageError: `unknown_segmentation`; `usage`, there is no earlier version, or the two are in
            the wrong order, or their ids are of different lines.
        OperationError: `artefact_damaged`.
    """
    after = current(store, registry, version)
    before = current(store, registry, since or _previous(registry, after))
    then, now = (parse_moment(one.document["as_of"]) for one in (before, after))
    _check(before, after, then, now)

    def said(found: SegmentationArtefact, moment: datetime) -> tuple[pa.Array, Labels]:
        features, weights = applied(found, admission.at(moment), fold, registry, zone, moment)
        ids = np.array(found.segmenter.segment_ids, dtype=str)
        return features[CUSTOMER].combine_chunks(), ids[weights.argmax(axis=1)]

    asked = [said(before, then), said(before, now), said(after, now)]
    everybody = pc.unique(pa.concat_arrays([one for one, _ in asked]))
    told = movement(*(_spread(everybody, customers, ids) for customers, ids in asked))
    names = {
        one["segment_id"]: one["name"]
        for found in (before, after)
        for one in found.document["segments"]
    }
    return {
        "schema": SCHEMA,
        "before": {"segmentation_id": before.segmentation_id, "as_of": iso(then)},
        "after": {"segmentation_id": after.segmentation_id, "as_of": iso(now)},
        "names": names,
        **told.as_document(),
    }


def _previous(registry: Registry, after: SegmentationArtefact) -> str:
    told = lineage_of(registry, after.segmentation_id)
    if told is None or told["previous_id"] is None:
        raise UsageError(
            "usage",
            f"{after.segmentation_id} continues no earlier version",
            where=after.segmentation_id,
            hint="Movement is told between a version and the one before it; shoal versions SHOP "
            "lists them.",
        )
    return str(told["previous_id"])


def _check(
    before: SegmentationArtefact, after: SegmentationArtefact, then: datetime, now: datetime
) -> None:
    if then > now or before.segmentation_id == after.segmentation_id:
        raise UsageError(
            "usage",
            f"{before.segmentation_id} (as of {iso(then)}) is not earlier than "
            f"{after.segmentation_id} (as of {iso(now)})",
            hint="Name the earlier version first.",
        )
    lines = {artefact.BESIDE.get(one.document["method"]) for one in (before, after)}
    if len(lines) > 1:
        raise UsageError(
            "usage",
            f"{before.segmentation_id} and {after.segmentation_id} have no ids in common",
            where=after.segmentation_id,
            hint="Rules have other ids than learned segments; compare versions of one line.",
        )


def _spread(everybody: pa.Array, customers: pa.Array, ids: Labels) -> Labels:
    """(n,) id of everybody; "" for who is not among the customers."""
    rows = pc.index_in(everybody, value_set=customers)
    return np.asarray(
        pc.fill_null(pa.array(ids, pa.string()).take(rows), "").to_pylist(), dtype=str
    )
