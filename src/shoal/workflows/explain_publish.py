"""The explanation of a segmentation that is being published, or of one that has none yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.features.fold import Fold
from shoal.ports import Registry
from shoal.segments import artefact
from shoal.segments.base import Segmenter
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.explain.document import Subject, explanation, sample
from shoal.segments.profile import Placed
from shoal.segments.wording import describe

#: Placed customers whose next period is foretold for the value of segments, at most.
NEXT_CUSTOMERS: Final = 100_000


def explained(
    segmenter: Segmenter,
    placed: Placed,
    table: pa.Table,
    counts: pa.Table,
    profiles: Sequence[Mapping[str, Any]],
    fold: Fold,
    *,
    previous: Mapping[str, Any] | None = None,
    nexts: pa.Table | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The document `shoal.explanation/1` but for its head.

    Args:
        table: of the customers of `placed` as the segmenter reads them.
        counts: by name, of the same customers.
        profiles: a document a segment, with its name.
        previous: the explanation of the version before.
        nexts: the next-period head's table; None: of the segmenter's own outlook, if it has one.
    """
    if nexts is None and isinstance(segmenter, ClusterSegmenter) and segmenter.outlook is not None:
        asked = sample(placed, seed, NEXT_CUSTOMERS)
        nexts = segmenter.outlook.head.table(table.take(pa.array(asked)))
    subject = Subject(
        placed,
        counts,
        fold.catalog,
        describe(fold.catalog, placed.vocabulary),
        profiles,
        _place_of(segmenter, table),
        fold.rules.currency,
        nexts,
        previous,
        seed,
    )
    return explanation(subject)


def _place_of(
    segmenter: Segmenter, table: pa.Table
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]] | None:
    """Where customers lie as the method sees them; None for rules, which see no distances."""
    if not isinstance(segmenter, ClusterSegmenter):
        return None
    return lambda rows: segmenter.embed(table.take(pa.array(rows)))


def explanation_before(registry: Registry, segmentation_id: str | None) -> dict[str, Any] | None:
    """`explanation.json` of an earlier version; None where there is none that can be read."""
    if segmentation_id is None:
        return None
    path = registry.directory(artefact.KIND, segmentation_id) / "explanation.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("schema") == artefact.EXTRAS["explanation"]
    return found if known else None
