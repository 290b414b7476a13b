"""Who is meant by the name of a segment: its members at a moment, and what they allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.domain.time import Zone
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.contacts import Opened
from shoal.features.fold import Fold
from shoal.ports import Registry, Relation, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.workflows.admission import Admission
from shoal.workflows.canary import POINTER as CANARY
from shoal.workflows.canary import running
from shoal.workflows.memberships import Memberships, current, memberships

#: Channels whose refusal is one of every message, whatever it comes by.
ALL_MARKETING: Final = ("marketing", "advertising")

#: What customers told of themselves: consents and traits. Few events, so that they are read alone.
_TELLING: Final = (
    f"SELECT * FROM events WHERE kind IN ('{kinds.CONSENT}', '{kinds.PROFILE}')"
)  # fmt: skip

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Now:
    """What several lists of the same moment share, so that it is read once.

    `consents` are those at that moment (`shoal.features.consent.CONSENTS_SCHEMA`).
    """

    memberships: Memberships
    consents: pa.Table


@dataclass(frozen=True)
class Sources:
    """The parts of a shop that its lists are made from; `now` where it was read already.

    `opened` tells what is sealed, as `shoal.features.contacts.contacts_at` has it.
    """

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    now: Now | None = None
    opened: Opened | None = None

    def applied(self) -> Mapping[str, Any]:
        """As keyword arguments, for what applies a segmentation."""
        parts = [one.name for one in fields(self) if one.name not in ("now", "opened")]
        return {name: getattr(self, name) for name in parts}


@dataclass(frozen=True)
class Audience:
    """The members of a segment at a moment.

    `table` has the schema of `shoal.workflows.memberships`, a row a customer, by customer.
    """

    table: pa.Table
    segmentation_id: str
    segment_id: str
    name: str
    as_of: datetime
    warnings: tuple[str, ...] = ()

    @property
    def customers(self) -> pa.Array:
        """The members' ids, sorted."""
        return self.table[CUSTOMER].combine_chunks()

    def kept(self, mask: Mask) -> Audience:
        """The same with some of the members."""
        table = self.table.filter(pa.array(mask))
        return Audience(
            table, self.segmentation_id, self.segment_id, self.name, self.as_of, self.warnings
        )


def audience(
    sources: Sources,
    segment: str,
    segmentation: str | None = None,
    as_of: datetime | None = None,
) -> Audience:
    """The members of a segment now, or by what was known at a moment.

    Args:
        segment: an id of the main or the RFM segmentation (`s03`, `r01`, `new`), or both ids
            (`kmeans-0001/s03`).

    Raises:
        UsageError: `unknown_segment`, `unknown_segmentation`.
        InputError: `too_little_data`.
    """
    found, segment_id = resolve(sources.store, sources.registry, segment, segmentation)
    return audience_of(sources, found, segment_id, as_of)


def audience_of(
    sources: Sources,
    found: SegmentationArtefact,
    segment_id: str,
    as_of: datetime | None = None,
) -> Audience:
    """The members of a segment of a segmentation that was read already.

    Of rules that overlap everybody for whom the segment's rule holds, whatever else does.
    """
    rules = found.segmenter
    overlap = isinstance(rules, RuleSegmenter) and rules.rules.overlap
    everybody = None if sources.now is None else sources.now.memberships
    told = everybody is not None and everybody.segmentation_id == found.segmentation_id
    if everybody is None or not told or overlap or as_of is not None:
        everybody = memberships(
            **sources.applied(), as_of=as_of, segmentation=found.segmentation_id, soft=overlap
        )
    members = everybody.table.filter(pc.field("segment_id") == segment_id)
    trial = running(sources.store)
    if trial is not None and trial.segmentation_id == found.segmentation_id:
        members = trial.of(members)  # it is in force for its customers alone
    return Audience(
        members,
        found.segmentation_id,
        segment_id,
        _name(found, segment_id),
        everybody.as_of,
        everybody.warnings,
    )


def _name(found: SegmentationArtefact, segment_id: str) -> str:
    """The segment's name; of rules the one that they were given, whoever is in it."""
    if isinstance(found.segmenter, RuleSegmenter) and segment_id in found.segmenter.names:
        return found.segmenter.names[segment_id].en
    return found.profile_name(segment_id)


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
        pointers = (artefact.MAIN, artefact.RFM, artefact.RULES)
        wanted = [store.get_pointer(one) for one in pointers]
        wanted += [store.get_pointer(CANARY) or None]
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


def consents_of(sources: Sources, moment: datetime) -> pa.Table:
    """What everybody consented to at a moment (`shoal.features.consent.CONSENTS_SCHEMA`)."""
    from shoal.features.consent import consents_at

    with told_by(sources, moment) as events:
        return consents_at(sources.warehouse.engine, events, moment)


@contextmanager
def told_by(sources: Sources, moment: datetime) -> Iterator[Relation]:
    """Consents and traits, of whose they count as at a moment, for as long as the block lasts.

    Every event counts by itself, so it makes no difference that the rest of the log is left out.
    """
    engine, table = sources.warehouse.engine, sources.warehouse.events()
    rows = engine.run(_TELLING, {"events": table}).select(TABLE_SCHEMA.names).cast(TABLE_SCHEMA)
    with sources.admission.admitted(rows, sources.admission.decisions(moment)) as events:
        yield events


def check_channel(consents: pa.Table, channel: str) -> None:
    """Refuse a channel of which nobody said anything; none is no channel.

    Raises:
        UsageError: `unknown_channel`, with those there are.
    """
    known = sorted(set(consents["channel"].to_pylist()))
    if channel and channel not in known:
        raise UsageError(
            "unknown_channel",
            f"nobody said anything of the channel {channel!r}",
            hint=f"Channels: {', '.join(known) or 'none'}.",
        )


def allowing(consents: pa.Table, customers: pa.Array, channel: str) -> Mask:
    """Which customers may be written to. Shape (customers,).

    With a channel: who granted it. Without: everybody but who refused all marketing
    (`ALL_MARKETING`), or refused whatever was asked; who was never asked anything stays.

    Args:
        consents: as of the moment (`shoal.features.consent.CONSENTS_SCHEMA`).
    """
    if channel:
        granted = pc.and_(consents["granted"], pc.equal(consents["channel"], channel))
        return _among(customers, consents[CUSTOMER].filter(granted))
    said = _among(customers, consents[CUSTOMER])
    some = _among(customers, consents[CUSTOMER].filter(consents["granted"]))
    about_all = pc.is_in(consents["channel"], value_set=pa.array(ALL_MARKETING))
    none_at_all = consents[CUSTOMER].filter(pc.and_(about_all, pc.invert(consents["granted"])))
    return ~((said & ~some) | _among(customers, none_at_all))


def granted_since(consents: pa.Table, customers: pa.Array, channel: str) -> pa.Array:
    """When each customer granted a channel, in UTC; null where it is not granted."""
    granted = pc.and_(consents["granted"], pc.equal(consents["channel"], channel))
    own = consents.filter(granted)
    place = pc.index_in(customers, value_set=own[CUSTOMER].combine_chunks())
    return own["since"].combine_chunks().take(place)


def _among(customers: pa.Array, some: pa.ChunkedArray) -> Mask:
    found = pc.is_in(customers, value_set=some.combine_chunks())
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
