"""How the current segments fall by protected traits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from shoal.config import SegmentConfig
from shoal.domain.time import Zone, iso
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments.protected import by_trait, left_out, protected_of
from shoal.workflows.admission import Admission
from shoal.workflows.memberships import applied, current


def protected_traits(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    settings: SegmentConfig | None = None,
    as_of: datetime | None = None,
    segmentation: str | None = None,
) -> dict[str, Any]:
    """The document `shoal.protected/1` of a segmentation applied to what is known at a moment.

    Beside what `by_trait` tells: segmentation, moment, and the features that learning leaves out.

    Args:
        as_of: T; None: just after the latest event.
        segmentation: its id; None: the main one.

    Raises:
        UsageError: `unknown_segmentation`.
        InputError: `too_little_data`, no customer has an event before the moment.
    """
    found = current(store, registry, segmentation)
    moment = as_of or latest_moment(warehouse)
    features, weights = applied(
        found, admission.at(moment), fold, registry, zone, moment, store=store
    )
    ids = np.array(found.segmenter.segment_ids, dtype=object)
    marked = protected_of(settings or SegmentConfig())
    told = by_trait(features, ids[weights.argmax(axis=1)].tolist(), protected=marked)
    names = {one["segment_id"]: one["name"] for one in found.document["segments"]}
    return {
        **told,
        "segmentation_id": found.segmentation_id,
        "as_of": iso(moment),
        "names": names,
        "left_out": left_out(fold.catalog, marked),
    }
