"""Who is who after a refit: the segments of a fitted segmenter get the ids of those they continue.

The version before and the new one are asked about the same customers in the same state: everything
known at the new moment. So what differs is the model alone; what customers did in between is told
by `shoal.adjust.movement`.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.adjust.align import Alignment, Noise, align, noise_of, number_of, numbered
from shoal.adjust.lineage import beginning, causes, lineage
from shoal.domain.errors import ShoalError
from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.domain.time import iso
from shoal.features.fold import Fold
from shoal.features.tastes import Vocabulary
from shoal.ports import EventTable, Registry
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact, document_of, lineage_of
from shoal.segments.base import CUSTOMER, Segmenter
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.inputs import with_embedding, with_tastes
from shoal.workflows.embedded import ModelInUse, of_segmentation
from shoal.workflows.known import Known
from shoal.workflows.segment_settled import Settled

Labels = npt.NDArray[np.int64]

#: Customers drawn again by each refit, and how often.
SAMPLE_CUSTOMERS: Final = 4_000
REFITS: Final = 8
#: Refits of methods that take long.
SLOW_REFITS: Final[Mapping[str, int]] = {"density": 4, "consensus": 3, "deep": 2}


@dataclass(frozen=True)
class Identified:
    """A segmenter with permanent ids, and how it came to them.

    Args:
        kept: id of a segment that goes on -> its name in the version before.
        previous_id: the version before; None at the beginning of a line.
    """

    segmenter: Segmenter
    lineage: Mapping[str, Any] | None = None
    kept: Mapping[str, Text] | None = None
    previous_id: str | None = None
    warnings: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Before:
    """The version before, and what is known now as it reads it; None at the beginning of a line.

    `why` says why it cannot be asked, where it should be.
    """

    found: SegmentationArtefact | None = None
    table: pa.Table | None = None
    why: tuple[Text, ...] = ()


@dataclass
class Line:
    """The line of main segmentations, and what it takes to ask its latest version again.

    Args:
        events: the events as they count at the moment of the refit; asked for only where the
            version before was made on another behaviour model.
        version: of the event table.
        model: the behaviour model in use now, whose embeddings are known already.
        previous_id: the main segmentation that is continued; None where there is none. Several
            methods of one run all continue the same.
    """

    registry: Registry
    fold: Fold
    events: EventTable
    version: int | None
    model: ModelInUse | None
    previous_id: str | None
    _read: Before | None = field(default=None, init=False, repr=False)

    def before(self, known: Known) -> Before:
        """The version before, read once; one that cannot be read or asked is none.

        Only numbered segments are continued: rules have ids of their own, which no fit changes.
        """
        if self._read is None:
            try:
                self._read = self._asked(known)
            except ShoalError as error:
                self._read = Before(why=(_unreadable(error),))
        return self._read

    def _asked(self, known: Known) -> Before:
        if self.previous_id is None:
            return Before()
        found = artefact.read(self.registry, self.previous_id)
        if not isinstance(found.segmenter, ClusterSegmenter):
            return Before()
        embedded, model_id = known.embeddings, found.document.get("model_id")
        if model_id and (self.model is None or self.model.model_id != model_id):
            model = of_segmentation(found.document, self.registry, self.fold)
            if model is not None:
                embedded = model.embeddings(self.events, known.as_of, version=self.version)
        return Before(found, as_read(known.features, known.counts, found.vocabulary, embedded))

    def labels(self, known: Known) -> pa.Table | None:
        """`customer_id`, `segment_id` of everybody by the version before; None without one."""
        before = self.before(known)
        if before.found is None or before.table is None:
            return None
        segmenter = before.found.segmenter
        places = segmenter.predict(before.table)
        ids = pa.array(segmenter.segment_ids, pa.string()).take(pa.array(places))
        return pa.table({CUSTOMER: known.features[CUSTOMER], "segment_id": ids})

    def settled(self, known: Known) -> Settled | None:
        """Number of segments and of styles of the version before; None without one."""
        found = self.before(known).found
        return None if found is None else Settled.of(found.document, found.segmenter)

    def identified(
        self,
        segmenter: Segmenter,
        known: Known,
        table: pa.Table,
        document: Mapping[str, Any],
        seed: int,
    ) -> Identified:
        """The segmenter with permanent ids, and its lineage.

        Args:
            table: of `known` as the segmenter reads it.
            document: method, k and inputs as in `segmentation.json`, to tell causes.
        """
        if not isinstance(segmenter, ClusterSegmenter):
            return Identified(segmenter)
        highest = highest_number(self.registry)
        before = self.before(known)
        if before.found is None or before.table is None:
            count = len(segmenter.ids)
            ids = [numbered(highest + place + 1) for place in range(count)]
            told = beginning(highest + count)
            return Identified(segmenter.rename(ids), told, {}, None, before.why)
        found = before.found
        aligned, noise, tiers = compared(
            found.segmenter, before.table, segmenter, table, highest=highest, seed=seed
        )
        names = {one["segment_id"]: Text(**one["name"]) for one in found.document["segments"]}
        return Identified(
            segmenter.rename(aligned.ids),
            lineage(
                aligned, noise, previous_id=found.segmentation_id, date=iso(known.as_of),
                why=causes(found.document, document), tiers=tiers,
            ),
            {name: names[name] for name in aligned.same if name in names},
            found.segmentation_id,
        )  # fmt: skip


def as_read(
    features: pa.Table, counts: pa.Table, vocabulary: Vocabulary, embeddings: pa.Table | None
) -> pa.Table:
    """The table that a segmenter of this vocabulary reads."""
    return with_embedding(with_tastes(features, counts, vocabulary), embeddings)


def compared(
    before: Segmenter,
    before_table: pa.Table,
    after: Segmenter,
    after_table: pa.Table,
    *,
    highest: int = 0,
    seed: int = 0,
    refits: int | None = None,
) -> tuple[Alignment, Noise | None, dict[tuple[str, str], int]]:
    """Two segmenters on the same customers: the alignment, its noise level, and the tiers.

    Args:
        before_table, after_table: the same customers, in the same order, as each reads them.
        refits: how many tell the noise level; None: as many as the method has time for.

    Returns:
        Alignment of those whom both place; the noise level (None where the method has none, such
        as rules); (old id, new id) -> customers whom one of both does not place.
    """
    old = np.array(before.segment_ids, dtype=str)[before.predict(before_table)]
    new = after.predict(after_table)
    new_ids = np.array(after.segment_ids, dtype=str)
    places = len([one for one in after.segment_ids if one != TIER_NEW])
    placed = (old != TIER_NEW) & (new_ids[new] != TIER_NEW)
    customers = np.asarray(after_table[CUSTOMER].to_pylist(), dtype=str)
    rows = np.flatnonzero(placed)
    count = SLOW_REFITS.get(after.method, REFITS) if refits is None else refits
    noise = _noise(after, after_table, rows, customers, new, places, count, seed)
    aligned = align(customers[rows], old[rows], new[rows], places, highest=highest, noise=noise)
    named = np.append(np.array(aligned.ids, dtype=str), TIER_NEW)
    rest = np.flatnonzero(~placed)
    at = np.where(new_ids[new[rest]] == TIER_NEW, len(aligned.ids), new[rest])
    tiers = Counter(zip(old[rest].tolist(), named[at].tolist(), strict=True))
    return aligned, noise, dict(tiers)


def _noise(
    segmenter: Segmenter,
    table: pa.Table,
    rows: Labels,
    customers: npt.NDArray[Any],
    labels: Labels,
    places: int,
    refits: int,
    seed: int,
) -> Noise | None:
    """Refits of a sample drawn again, each with another seed; what they say of the sample."""
    if not refits or not isinstance(segmenter, ClusterSegmenter) or len(rows) <= places:
        return None
    random = np.random.default_rng([seed, 5])
    ordered = rows[np.argsort(customers[rows], kind="stable")]
    sample = np.sort(random.permutation(len(ordered))[:SAMPLE_CUSTOMERS])
    asked = ordered[sample]
    part = table.take(pa.array(asked))
    Z = segmenter.embed(part)
    said = []
    for number in range(refits):
        drawn = random.integers(len(asked), size=len(asked))
        other = copy.deepcopy(segmenter)
        other.seed = seed + 1 + number
        try:
            other.cluster(Z[np.sort(drawn)])
        except ShoalError:  # too few different customers were drawn
            continue
        said.append(other.predict(part))
    if not said:
        return None
    rank = np.empty(int(rows.max()) + 1, dtype=np.int64)
    rank[rows] = np.arange(len(rows))
    return noise_of(labels[asked], said, places, rank[asked])


def _unreadable(error: ShoalError) -> Text:
    return Text(
        f"The version before cannot be read ({error.message}): segments were numbered anew.",
        f"无法读取上一版本（{error.message}）：分群已重新编号。",
    )


# --- The line on disk -----------------------------------------------------------------------------


def highest_number(registry: Registry) -> int:
    """The highest number that a segment of any version ever had: ids are not given twice."""
    highest = 0
    for name in registry.list(artefact.KIND):
        document, lineage = document_of(registry, name) or {}, lineage_of(registry, name) or {}
        numbers = [number_of(str(one["segment_id"])) for one in document.get("segments", ())]
        highest = max([highest, int(lineage.get("highest_number", 0)), *numbers])
    return highest
