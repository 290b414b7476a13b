"""What a service asks of segments: `shop.asking()`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import UsageError
from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from datetime import datetime

    from shoal.segments.artefact import SegmentationArtefact
    from shoal.workflows.finished import Finished
    from shoal.workflows.known import Known
    from shoal.workflows.members import Place
    from shoal.workflows.profile import Profiles
    from shoal.workflows.segment_counts import SegmentCounts

#: How artefacts are called.
_ID: Final = re.compile(r"[a-z0-9_-]{1,80}")
#: Published segmentations that are kept read.
_KEPT: Final = 4


class SegmentAsking:
    """Questions about segments, and what is kept at hand for all questions."""

    def __init__(self, shop: Verbs) -> None:
        self._shop = shop
        self._parts = shop._parts
        self._read: dict[str, tuple[int, SegmentationArtefact]] = {}
        self._sizes: dict[str, tuple[tuple[int, int], Mapping[str, int]]] = {}

    def lines(self) -> Mapping[str, str]:
        """Line -> the segmentation in force.

        Raises:
            UsageError: `unknown_segmentation`, there is none yet.
        """
        found = self.profiles.current().lines
        if not found:
            raise UsageError(
                "unknown_segmentation", "the shop has no segmentation yet",
                hint="Make one with: shoal segment SHOP",
            )  # fmt: skip
        return found

    def segmentation(self, segmentation_id: str) -> SegmentationArtefact:
        """A published segmentation, read again where persons were taken out of it.

        Raises:
            UsageError: `unknown_segmentation`.
            OperationError: `artefact_damaged`.
        """
        from shoal.segments import artefact

        stamp = self._stamp(segmentation_id)
        kept = self._read.get(segmentation_id)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found = artefact.read(self._parts.registry, segmentation_id)
        self._read[segmentation_id] = (stamp, found)
        for name in list(self._read)[:-_KEPT]:
            self._read.pop(name, None)
        return found

    def in_force(self, segment_id: str, segmentation: str | None = None) -> SegmentationArtefact:
        """The segmentation in force that has a segment, the main one first, or the one named.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`.
        """
        if segmentation is not None:
            found = self.segmentation(segmentation)
            if not _has(found, segment_id):
                raise _no_segment(segment_id, [found])
            return found
        several = [self.segmentation(one) for one in dict.fromkeys(self.lines().values())]
        trial = self.profiles.current().trial
        if trial is not None and _has(self.segmentation(trial), segment_id):
            # a segment that is tried has members of the main one alone who are in the canary
            several.append(self.segmentation(trial))
        for found in several:
            if _has(found, segment_id):
                return found
        raise _no_segment(segment_id, several)

    def position(self) -> int:
        """The position of the last row of the membership log."""
        return self._parts.store.last_membership()

    def sizes(self, segmentation_id: str) -> Mapping[str, int]:
        """How many customers each segment has now; counted once as long as nobody moves.

        Of the version in force customers of a canary count where they are by the one that is tried.
        """
        from shoal.workflows.members import sizes

        position, cleanings = self.position(), self.profiles.current().cleanings
        kept = self._sizes.get(segmentation_id)
        if kept is None or kept[0] != (position, cleanings):
            counted = sizes(self._parts.store, segmentation_id, position)
            kept = self._sizes[segmentation_id] = ((position, cleanings), counted)
        return kept[1]

    def members(
        self, place: Place, segment_id: str, limit: int
    ) -> tuple[list[dict[str, Any]], Place | None]:
        """Members of a segment; see `shoal.workflows.members`."""
        from shoal.workflows.members import page

        told, behind = page(self._parts.store, place, segment_id, limit)
        hidden = self.profiles.current().hidden
        return [one for one in told if one["customer_id"] not in hidden], behind

    def trend(
        self,
        segment_id: str,
        *,
        segmentation: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        every_days: int = 1,
    ) -> dict[str, Any]:
        """How many customers a segment had over time: `shoal.trend/1`.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`, `bad_period`.
        """
        from shoal.workflows.members import trend

        found = self.in_force(segment_id, segmentation)
        counts = self._counts.of(found.segmentation_id, self._erasures())
        return trend(
            self._parts.store, counts, found, segment_id, since=since, until=until,
            every_days=every_days,
        )  # fmt: skip

    def explained(self, segment_id: str, found: SegmentationArtefact) -> dict[str, Any]:
        """The document `shoal.explain_segment/1` of one of its segments.

        Raises:
            UsageError: `unknown_segment`.
        """
        from shoal.workflows.explain import Explaining

        return Explaining(**self._shop._applied()).segment(segment_id, found.segmentation_id)

    def sql(
        self, segment_id: str, segmentation_id: str, *, dialect: str, as_of: datetime | None
    ) -> dict[str, Any]:
        """A segment's rule as SQL: `shoal.explain_sql/1`.

        Raises:
            UsageError: `unknown_segment`, `unknown_dialect`, `no_sql_form`.
        """
        from shoal.workflows.explain import Explaining

        explaining = Explaining(**self._shop._applied())
        return explaining.sql(segment_id, dialect, segmentation=segmentation_id, as_of=as_of)

    def catalog(self) -> list[dict[str, Any]]:
        """Every feature: name, unit, group and what it says."""
        return [
            {
                "name": one.name, "unit": one.unit, "group": one.group,
                "sentence": {"en": one.sentence.en, "zh": one.sentence.zh},
            }
            for one in self._parts.fold.catalog
        ]  # fmt: skip

    # -- what is kept ------------------------------------------------------------------------------

    @cached_property
    def profiles(self) -> Profiles:
        from shoal.workflows.profile import Profiles

        parts = self._parts
        return Profiles(parts.store, parts.registry, parts.admission, self._finished)

    @cached_property
    def _counts(self) -> SegmentCounts:
        from shoal.workflows.segment_counts import SegmentCounts

        return SegmentCounts(self._parts.store)

    @cached_property
    def _finished(self) -> Finished:
        from shoal.workflows.finished import Finished

        return Finished(self._finish)

    def _finish(self, customers: Sequence[str]) -> Known:
        """What is known of some customers, by their stored states."""
        from shoal.features.snapshot import latest_moment
        from shoal.workflows import reference
        from shoal.workflows.known import from_states

        parts = self._parts
        pointer = parts.store.get_pointer(reference.POINTER)
        items = None if pointer is None else reference.read(parts.registry, pointer)
        moment = max([latest_moment(parts.warehouse), *self.profiles.current().until.values()])
        return from_states(parts.store, parts.fold, self._shop.zone, customers, moment, items)

    def _erasures(self) -> tuple[int, frozenset[str]]:
        """Changes when an erasure begins and when it ends."""
        current = self.profiles.current()
        return current.cleanings, current.hidden

    def _stamp(self, segmentation_id: str) -> int:
        """Changes when persons are taken out of an artefact."""
        from shoal.segments import artefact

        registry = self._parts.registry
        if not _ID.fullmatch(segmentation_id):
            return -1  # reading it says what there is
        manifest = registry.directory(artefact.KIND, segmentation_id) / "manifest.json"
        return manifest.stat().st_mtime_ns if manifest.exists() else -1


def _has(found: SegmentationArtefact, segment_id: str) -> bool:
    told = {one["segment_id"] for one in found.document["segments"]}
    return segment_id in told or segment_id in found.segmenter.segment_ids


def _no_segment(segment_id: str, found: Sequence[SegmentationArtefact]) -> UsageError:
    known = [one["segment_id"] for own in found for one in own.document["segments"]]
    told = segment_id[:80]
    return UsageError(
        "unknown_segment", f"there is no segment {told!r}", where=told,
        hint=f"Segments: {', '.join(dict.fromkeys(known))}.",
    )  # fmt: skip
