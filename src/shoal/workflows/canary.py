"""The canary of a shop: a version that is in force for a share of customers, beside the live one.

What it says of them is recorded under its own id, and the live version's log of them goes on beside
under an id of its own (`kmeans-0004~kmeans-0005`), so that going back needs nothing to be made
anew. Of `kmeans-0004` and `kmeans-0005` the row of a customer that was written last is what holds:
reads ask for both ids (`answering`), steps of the live version for those of the live log (`kept`).

The setting `adjust.canaries` tells every canary that there was, and how it ended; the pointer
`segmentation.canary` names the one that runs. Both change in the transaction that begins or ends
one, with the memberships.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.canary import DROPPED, PROMOTED, Mask, drawn, key_of
from shoal.domain.segment import ROLLBACK
from shoal.domain.time import iso, parse_moment
from shoal.segments.artefact import MAIN
from shoal.segments.base import CUSTOMER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shoal.ports import StateStore

#: Pointer to the version that is tried; an empty text: none is.
POINTER: Final = "segmentation.canary"
#: Setting with every canary, oldest first, as JSON.
SETTING: Final = "adjust.canaries"
#: Setting that names the look whose change waits for a person; empty: none does.
PENDING: Final = "adjust.pending"
#: Between the ids of the live version and the canary, where the live log of its customers goes on.
_BESIDE: Final = "~"


@dataclass(frozen=True)
class Canary:
    """A version that is tried.

    Args:
        segmentation_id: of the version; `base_id` of the live one.
        adjust_id: the look whose change it is.
        share: of customers that are in it.
        since, until: when it began, and when its days are over, in the time of the log.
        approved_by: who said yes to the change before; empty: nobody was asked.
        ended: how it ended: `outcome`, `reason`, `moment`, `by` and the `position` of the
            membership log at which it did; None: it runs.
    """

    segmentation_id: str
    base_id: str
    adjust_id: str
    share: float
    since: datetime
    until: datetime
    approved_by: str = ""
    ended: Mapping[str, Any] | None = None

    @cached_property
    def _key(self) -> bytes:
        return key_of(self.segmentation_id, self.since)

    @property
    def live_log(self) -> str:
        """Under which id the live version's log of its customers goes on."""
        return f"{self.base_id}{_BESIDE}{self.segmentation_id}"

    def chosen(self, customers: pa.Array | pa.ChunkedArray | Sequence[str]) -> Mask:
        """(n,) which customers are in it."""
        return drawn(customers, self.share, self._key)

    def of(self, table: pa.Table) -> pa.Table:
        """The rows of its customers."""
        return table.filter(pa.array(self.chosen(table[CUSTOMER])))

    def diverted(self, changed: pa.Table) -> pa.Table:
        """What the live version's step changed: of its customers under the id of their live log."""
        chosen = pa.array(self.chosen(changed[CUSTOMER]))
        names = pc.if_else(chosen, self.live_log, changed["segmentation_id"])
        place = changed.schema.get_field_index("segmentation_id")
        return changed.set_column(place, changed.schema.field(place), names)

    def as_document(self) -> dict[str, Any]:
        """As JSON; `read_from` reads it."""
        return {
            "segmentation_id": self.segmentation_id, "base_id": self.base_id,
            "adjust_id": self.adjust_id, "share": self.share, "since": iso(self.since),
            "until": iso(self.until), "approved_by": self.approved_by,
            "ended": None if self.ended is None else dict(self.ended),
        }  # fmt: skip


def read_from(document: Mapping[str, Any]) -> Canary:
    """What `Canary.as_document` wrote."""
    return Canary(
        document["segmentation_id"], document["base_id"], document["adjust_id"],
        float(document["share"]), parse_moment(document["since"]), parse_moment(document["until"]),
        document["approved_by"], document["ended"],
    )  # fmt: skip


# -- read ------------------------------------------------------------------------------------------


def canaries(settings: Mapping[str, str]) -> list[Canary]:
    """Every canary of a shop by its settings, oldest first."""
    told = settings.get(SETTING)
    return [read_from(one) for one in json.loads(told)] if told else []


def running(store: StateStore) -> Canary | None:
    """The canary that runs; None: none does."""
    return running_in(store.get_settings())


def running_in(settings: Mapping[str, str]) -> Canary | None:
    """The same by settings that were read already."""
    found = canaries(settings)
    return found[-1] if found and found[-1].ended is None else None


def beside(store: StateStore, segmentation_id: str) -> Canary | None:
    """The canary that runs beside a version; None: none does."""
    found = running(store)
    return found if found is not None and found.base_id == segmentation_id else None


def kept(store: StateStore, segmentation_id: str) -> tuple[str, ...]:
    """The ids of whose rows the last one tells what a version says of each of its customers.

    Also of canaries that were promoted: what it said of their customers last stands beside.
    """
    told = canaries(store.get_settings())
    logs = [
        one.live_log for one in told
        if one.base_id == segmentation_id
        and (one.ended is None or one.ended["outcome"] == PROMOTED)
    ]  # fmt: skip
    return (segmentation_id, *logs)


def answering(store: StateStore, segmentation_id: str, upto: int | None = None) -> tuple[str, ...]:
    """The ids of whose rows the last one tells where a customer of a version is.

    Also of canaries that were dropped, for the version's own rows came later: what is asked up to a
    position of the log has the same answer as before. Of one that was promoted only before that.

    Args:
        upto: position of the log up to which rows count; None: all.
    """

    def counts(one: Canary) -> bool:
        if one.ended is None or one.ended["outcome"] != PROMOTED:
            return True
        return upto is not None and upto <= one.ended["position"]

    told = canaries(store.get_settings())
    tried = [one.segmentation_id for one in told if one.base_id == segmentation_id and counts(one)]
    return (segmentation_id, *tried)


def placing(store: StateStore, customer_id: str, moment: datetime) -> str | None:
    """The version that is tried on a customer at a moment; None: none is."""
    found = running(store)
    if found is None or found.base_id != store.get_pointer(MAIN) or moment < found.since:
        return None
    return found.segmentation_id if found.chosen([customer_id])[0] else None


def tried(store: StateStore) -> tuple[str, ...]:
    """Every version that was a canary, oldest first."""
    return tuple(one.segmentation_id for one in canaries(store.get_settings()))


def is_beside(segmentation_id: str) -> bool:
    """Whether rows under this id are what a live version would say of a canary's customers."""
    return _BESIDE in segmentation_id


# -- written ---------------------------------------------------------------------------------------


def begin(
    store: StateStore, canary: Canary, members: pa.Table, now: datetime, table_version: int
) -> int:
    """Let a version be in force for its share of customers; in the caller's transaction.

    Args:
        members: `customer_id`, `segment_id`, `weight`, `margin` of everybody.

    Returns how many customers changed segment for it.
    """
    from shoal.workflows.advance import record_version

    _put(store, [*canaries(store.get_settings()), canary])
    store.set_pointer(POINTER, canary.segmentation_id, now)
    return record_version(
        store, canary.segmentation_id, canary.base_id, canary.of(members), canary.since,
        table_version=table_version,
    )  # fmt: skip


def end(
    store: StateStore, outcome: str, reason: str, moment: datetime, now: datetime, *, by: str = ""
) -> Canary | None:
    """End the canary that runs, if one does; in the caller's transaction.

    Where it is not promoted its customers get back what the live version says of them, in one move:
    a row that tells of it where they change segment, and the one that they would have had.

    Args:
        moment: as of which, in the time of the log; where memberships are recorded further, as of
            then, for a log is not written backward.
    """
    from shoal.workflows.advance import recorded_of

    told = canaries(store.get_settings())
    if not told or told[-1].ended is not None:
        return None
    canary, position = told[-1], store.last_membership()
    live = recorded_of(store, canary.base_id)
    moment = max(moment, canary.since, *(() if live is None else (live.until,)))
    if outcome == DROPPED:
        _give_back(store, canary, moment)
    ended = {
        "outcome": outcome, "reason": reason, "moment": iso(moment), "by": by,
        "position": position,
    }  # fmt: skip
    done = read_from({**canary.as_document(), "ended": ended})
    _put(store, [*told[:-1], done])
    store.set_pointer(POINTER, "", now)
    asking, _, _ = store.get_settings().get(PENDING, "").partition(" ")
    if asking == canary.adjust_id:
        store.put_setting(PENDING, "")
    return done


def _give_back(store: StateStore, canary: Canary, moment: datetime) -> None:
    tried = store.get_memberships(canary.segmentation_id)
    ids = (canary.segmentation_id, canary.live_log)
    names = store.get_memberships(ids)[CUSTOMER].to_pylist()
    live = store.get_memberships((canary.base_id, canary.live_log), customers=names)
    place = live.schema.get_field_index("segmentation_id")
    base = pa.repeat(pa.scalar(canary.base_id, pa.string()), live.num_rows)
    live = live.set_column(place, live.schema.field(place), base)
    rows = pc.index_in(live[CUSTOMER], value_set=tried[CUSTOMER].combine_chunks())
    elsewhere = pc.not_equal(tried["segment_id"].take(rows), live["segment_id"])
    elsewhere = pc.fill_null(elsewhere, False)
    moves = live.filter(elsewhere)
    for name, value in (("since", moment), ("cause", ROLLBACK)):
        field = moves.schema.field(name)
        column = pa.repeat(pa.scalar(value, field.type), moves.num_rows)
        moves = moves.set_column(moves.schema.get_field_index(name), field, column)
    store.put_memberships(moves)
    store.put_memberships(live)


def _put(store: StateStore, told: Sequence[Canary]) -> None:
    store.put_setting(SETTING, json.dumps([one.as_document() for one in told]))


def overlaid(live: pa.Table, tried: pa.Table) -> pa.Table:
    """A table of customers in which those of another one stand in for their own rows.

    >>> overlaid(pa.table({"customer_id": ["a", "b"], "n": [1, 2]}),
    ...          pa.table({"customer_id": ["b"], "n": [9]}))["n"].to_pylist()
    [1, 9]
    """
    own = pc.is_in(live[CUSTOMER], value_set=tried[CUSTOMER].combine_chunks().unique())
    stay = live.filter(pa.array(~np.asarray(own.to_numpy(), dtype=bool)))
    return pa.concat_tables([stay, tried.select(live.column_names)]).sort_by(CUSTOMER)
