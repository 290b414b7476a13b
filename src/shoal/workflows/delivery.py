"""What an export lists: who is asked for, who may be written to, who is held out, what changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.time import iso, parse_moment
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.workflows import deliveries, holdout
from shoal.workflows.audience import (
    Audience,
    Sources,
    allowing,
    audience_of,
    check_channel,
    consents_of,
    granted_since,
    resolve,
    told_by,
)
from shoal.workflows.deliveries import Listed
from shoal.workflows.exposures import Action
from shoal.workflows.holdout import Holdout
from shoal.workflows.list_formats import Changes, klaviyo_address
from shoal.workflows.membership_log import line_of
from shoal.workflows.memberships import current

#: `--since` of the last export of the segment to the destination.
LAST: Final = "last"

#: Begins what is said of a list that a destination has not had yet.
FIRST: Final = "This is the first export of"

#: Forms that are made for a destination: such an export is recorded in any case.
FOR_DESTINATIONS: Final = ("klaviyo", "segment")


@dataclass(frozen=True)
class Order:
    """What is asked of an export.

    Args:
        segment: `s03`, `r01`, `new`, or `kmeans-0001/s03`.
        format: one of `shoal.workflows.export.FORMATS`.
        segmentation: where the segment is looked for; None: the main one, then RFM.
        channel: members who have not granted it are left out; empty: those who refused all.
        to: the destination's name; empty: the form's and the channel's.
        since: `last`, an export (`export-0001`), a segmentation (`kmeans-0001`) or a moment; only
            what changed since is listed. Empty: everybody.
        share: of the customers who could be listed, held out; None: nobody.
        holdout_name: which of the shop's holdouts.
    """

    segment: str
    format: str = "csv"
    segmentation: str | None = None
    channel: str = ""
    to: str = ""
    since: str = ""
    share: float | None = None
    holdout_name: str = holdout.MAIN

    @property
    def destination(self) -> str:
        return self.to or "-".join(part for part in (self.format, self.channel) if part)

    @property
    def delivery(self) -> bool:
        """Whether it is recorded, so that a later one can say what changed."""
        asked = self.to or self.since or self.share is not None
        return bool(asked) or self.format in FOR_DESTINATIONS


@dataclass(frozen=True)
class Standing:
    """Who would be on the list at a moment.

    Args:
        members: those on it.
        held_out: those of the control group who else would be.
        everybody: members of the segment; `refusing` and `unreachable` of them were left out.
        granted: when each of `members` granted the channel; null where none was asked for.
        contacts: of those on it, where the form needs them.
    """

    members: Audience
    held_out: pa.Array
    everybody: int
    refusing: int
    unreachable: int
    granted: pa.Array
    contacts: pa.Table | None

    @property
    def listed(self) -> Listed:
        return Listed(self.members.customers, self.held_out)


@dataclass(frozen=True)
class Plan:
    """What an export writes, records and tells.

    Args:
        changes: None where everybody is listed and nobody asked for changes.
        baseline: what the changes are counted from, for people; empty: the list is new there.
        action: None without a holdout.
        exposed, unexposed: customers of whom an exposure is told: sent to, and held out, now.
        exited_contacts: where the form needs an address to take somebody off a list.
    """

    order: Order
    standing: Standing
    changes: Changes | None
    baseline: str
    holdout: Holdout | None
    action: Action | None
    exposed: pa.Array
    unexposed: pa.Array
    exited_contacts: pa.Table | None
    warnings: tuple[str, ...]

    @property
    def members(self) -> Audience:
        return self.standing.members

    @property
    def nothing(self) -> bool:
        """Whether changes were asked for and there are none."""
        told = self.changes
        return told is not None and not (told.full or len(told.entered) or len(told.exited))


def planned(sources: Sources, order: Order) -> Plan:
    """What an order comes to as of the shop's now.

    Raises:
        UsageError: `unknown_segment`, `unknown_segmentation`, `unknown_channel`, `unknown_export`,
            `bad_holdout`, `bad_period`.
        InputError: `too_little_data`.
    """
    found, segment_id = _meant(sources, order)
    group = None
    if order.share is not None:
        group = holdout.settled(sources.store, order.holdout_name, order.share)
    told = _base_of(sources, order, found.segmentation_id, segment_id)
    members = audience_of(sources, found, segment_id)
    standing = _standing(sources, order, members, group, now=True)
    before, baseline = Listed.nobody(), ""
    if told is not None:
        before = told.before(sources, order, segment_id, standing.members.as_of, group)
        baseline = told.name
    changes = None
    if order.since:
        now = standing.members.customers
        entered, exited = _without(now, before.customers), _without(before.customers, now)
        changes = Changes(entered, exited, full=told is None)
    exited_contacts = None
    if changes is not None and standing.contacts is not None:
        exited_contacts = _contacts(sources, changes.exited, standing.members.as_of)
    exposed = changes.entered if changes is not None else standing.members.customers
    # Like those who entered, they were on neither side of the list before.
    unexposed = _without(_without(standing.held_out, before.held_out), before.customers)
    return Plan(
        order,
        standing,
        changes,
        baseline,
        group,
        None if group is None else _action(order, standing.members, group, baseline),
        exposed,
        unexposed,
        exited_contacts,
        (*standing.members.warnings, *_warnings(sources, order, standing, changes)),
    )


def _meant(sources: Sources, order: Order) -> tuple[SegmentationArtefact, str]:
    """The segmentation and the segment of an order.

    A segment that is gone has nobody in it, and a destination that has a list of it is told so: it
    is meant where the last export of it is what changes are counted from.

    Raises:
        UsageError: `unknown_segment`, `unknown_segmentation`.
    """
    try:
        return resolve(sources.store, sources.registry, order.segment, order.segmentation)
    except UsageError as error:
        last = None
        if error.code == "unknown_segment" and order.since == LAST:
            last = deliveries.latest(sources.registry, order.destination, order.segment)
        if last is None:
            raise
        return current(sources.store, sources.registry), order.segment


def _standing(
    sources: Sources, order: Order, members: Audience, group: Holdout | None, *, now: bool
) -> Standing:
    """Consents first, then addresses, then the control group, so that it is like those sent to.

    Args:
        now: else at a moment at which nobody may have said anything of the channel yet.

    Raises:
        UsageError: `unknown_channel`.
    """
    everybody = members.table.num_rows
    known = sources.now.consents if now and sources.now is not None else None
    consents = consents_of(sources, members.as_of) if known is None else known
    if now:
        check_channel(consents, order.channel)
    members = members.kept(allowing(consents, members.customers, order.channel))
    willing = members.table.num_rows
    contacts = None
    if order.format == "klaviyo":
        contacts = _contacts(sources, members.customers, members.as_of)
        reached = contacts[klaviyo_address(order.channel)].is_valid()
        contacts = contacts.filter(reached)
        members = members.kept(np.asarray(reached.to_numpy(), dtype=bool))
    reachable = members.table.num_rows
    held_out = pa.array([], pa.string())
    if group is not None:
        held = group.held(members.customers)
        held_out = members.customers.filter(pa.array(held))
        contacts = None if contacts is None else contacts.filter(pa.array(~held))
        members = members.kept(~held)
    granted = granted_since(consents, members.customers, order.channel)
    return Standing(
        members, held_out, everybody, everybody - willing, willing - reachable, granted, contacts
    )


def _contacts(sources: Sources, customers: pa.Array, moment: datetime) -> pa.Table:
    from shoal.features.contacts import contacts_at

    with told_by(sources, moment) as events:
        return contacts_at(sources.warehouse.engine, events, customers, moment, sources.opened)


def _without(some: pa.Array, others: pa.Array) -> pa.Array:
    return some.filter(pc.invert(pc.is_in(some, value_set=others)))


# --- what is compared with ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Base:
    """An earlier list: a recorded export, or the list by another segmentation or moment."""

    name: str
    delivery_id: str = ""
    segmentation: SegmentationArtefact | None = None
    moment: datetime | None = None

    def before(
        self,
        sources: Sources,
        order: Order,
        segment_id: str,
        now: datetime,
        group: Holdout | None,
    ) -> Listed:
        """The customers of that list.

        Raises:
            UsageError: `bad_period`, the moment is later than now.
        """
        if self.delivery_id:
            return deliveries.listed(sources.registry, self.delivery_id)
        found = self.segmentation
        if found is None:
            found, _ = resolve(sources.store, sources.registry, order.segment, order.segmentation)
        elif segment_id not in found.segmenter.segment_ids:
            return Listed.nobody()
        if self.moment is not None and self.moment > now:
            raise UsageError(
                "bad_period",
                f"--since {iso(self.moment)} is later than the shop's now, {iso(now)}",
                where="--since",
                hint="Give a moment before it.",
            )
        then = audience_of(sources, found, segment_id, self.moment)
        return _standing(sources, order, then, group, now=False).listed


def _base_of(sources: Sources, order: Order, segmentation_id: str, segment_id: str) -> _Base | None:
    """What `--since` means; None for nothing, and for `last` before the first export.

    Raises:
        UsageError: `unknown_export`.
    """
    registry, since = sources.registry, order.since
    if since in ("", LAST):
        if since == "":
            return None
        last = deliveries.latest(registry, order.destination, segment_id)
        return None if last is None else _Base(last.delivery_id, last.delivery_id)
    known = {one.delivery_id: one for one in deliveries.deliveries(registry)}
    if since in known:
        if known[since].document["segment_id"] != segment_id:
            raise _unknown(order, known, f"{since} was an export of another segment")
        return _Base(since, since)
    if since in registry.list(artefact.KIND):
        if since not in line_of(sources.store, segmentation_id):
            raise _unknown(order, known, f"{since} is no version of {segmentation_id}")
        found = artefact.read(registry, since)
        return _Base(since, segmentation=found, moment=parse_moment(found.document["as_of"]))
    try:
        moment = parse_moment(since)
    except UsageError as error:
        raise _unknown(
            order, known, f"{since!r} is no export, no segmentation and no time"
        ) from error
    return _Base(iso(moment), moment=moment)


def _unknown(order: Order, known: dict[str, Any], message: str) -> UsageError:
    listed = ", ".join(list(known)[-10:]) or "none yet"
    return UsageError(
        "unknown_export",
        message,
        where="--since",
        hint=f"Give last, an export ({listed}), a segmentation such as kmeans-0001, or a time "
        "such as 2024-03-01.",
    )


# --- what is told -------------------------------------------------------------------------------


def _action(order: Order, members: Audience, group: Holdout, baseline: str) -> Action:
    """The export as an action; the same for the same list at the same moment."""
    action = Action(
        "", members.as_of, members.segmentation_id, members.segment_id, order.destination,
        order.channel, group.name, group.share,
    )  # fmt: skip
    digest = hashlib.blake2b(f"{action!r}{baseline}".encode(), digest_size=4).hexdigest()
    place = "".join(one if one.isalnum() else "-" for one in order.destination.lower())
    name = f"{members.segment_id}-{place}-{iso(members.as_of)[:10].replace('-', '')}-{digest}"
    return replace(action, action_id=name)


def _warnings(
    sources: Sources, order: Order, standing: Standing, changes: Changes | None
) -> list[str]:
    said = []
    if order.share is None:
        for one in holdout.holdouts(sources.store):
            inside = int(one.held(standing.members.customers).sum())
            if inside:
                said.append(
                    f"{inside:,} customers of this list are in the control group {one.name!r} "
                    f"({one.percent}), which other exports leave out: add --holdout {one.percent}"
                    + ("" if one.name == holdout.MAIN else f" --holdout-name {one.name}")
                    + " to leave them out here too."
                )
    if changes is not None and changes.full:
        said.append(
            f"{FIRST} {standing.members.segment_id} to {order.destination!r}: "
            "everybody is on the list."
        )
    return said
