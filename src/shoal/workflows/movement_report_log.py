"""Who moved within a period, and by which causes, as the membership log tells it.

The log says of every change what caused it: an event or silence (the customer changed), a version
or a rollback (the model changed). So the two parts are told without asking any model again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.movement import BEHAVIOUR, BOTH, KINDS, MODEL, RETURNED, STAYED, SegmentMovement
from shoal.domain.segment import CAUSES, EVENT, SILENCE, TIER_NEW
from shoal.domain.time import to_us
from shoal.ports import StateStore
from shoal.segments.base import CUSTOMER
from shoal.workflows.membership_log import spells

#: Causes that lie with the customer; the others lie with the model.
OWN: Final = (EVENT, SILENCE)

#: Who is in another segment than at the beginning, with the beginning and cause of the last change.
MOVED_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("from", pa.string()),
        pa.field("to", pa.string()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
        pa.field("cause", pa.string()),
        pa.field("kind", pa.string()),
    ]
)

Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class Moved:
    """Movement within a period.

    Args:
        table: `MOVED_SCHEMA`, customers known at both ends who are in another segment, by customer.
        known: customers known at the beginning.
        arrived: customers who came after it.
        kinds: those in a segment proper at both ends, by what they did
            (`shoal.adjust.movement.KINDS`).
        changes: changes of segment within the period by cause, those undone again too.
        segments: how each segment's size came about, in order of id.
    """

    table: pa.Table
    known: int
    arrived: int
    kinds: dict[str, int]
    changes: dict[str, int]
    segments: tuple[SegmentMovement, ...]

    @property
    def switched(self) -> pa.Table:
        """Those of `table` who were in a segment proper before and are in another one now."""
        tier = pc.or_(pc.equal(self.table["from"], TIER_NEW), pc.equal(self.table["to"], TIER_NEW))
        return self.table.filter(pc.invert(tier))

    @property
    def placed(self) -> int:
        """Customers too little known at the beginning who have a segment proper now."""
        found = pc.and_(
            pc.equal(self.table["from"], TIER_NEW), pc.not_equal(self.table["to"], TIER_NEW)
        )
        return int(pc.sum(found).as_py() or 0)


def moved(store: StateStore, line: Sequence[str], since: datetime) -> Moved:
    """What the log of a line of segmentations holds of movement after a moment."""
    now = store.get_memberships(line)
    here = _texts(now["segment_id"])
    # A membership that began before the moment was in force at it: only of others is more read.
    fresh = pc.greater(now["since"], pa.scalar(since, now["since"].type))
    asked = _asked(now, fresh)
    was = here.copy()
    if asked is None or asked:
        then = store.get_memberships(line, customers=asked, as_of=since)
        rows = pc.index_in(now[CUSTOMER].filter(fresh), value_set=_one(then[CUSTOMER]))
        was[fresh.to_numpy()] = _texts(then["segment_id"].take(rows))
    changes = _changes(store, line, asked, since)
    places = pc.index_in(changes[CUSTOMER], value_set=_one(now[CUSTOMER])).to_numpy()
    causes = _texts(changes["cause"])
    own, model = (np.zeros(now.num_rows, dtype=bool) for _ in range(2))
    mine = np.isin(causes, OWN)
    own[places[mine]] = True
    model[places[~mine]] = True
    kinds = _kinds(was, here, own, model, _texts(now["cause"]))
    known, differs = was != "", (was != "") & (was != here)
    proper = known & (was != TIER_NEW) & (here != TIER_NEW)
    table = pa.table(
        [
            now[CUSTOMER], pa.array(was, pa.string()), now["segment_id"], now["since"],
            now["cause"], pa.array(kinds, pa.string()),
        ],
        schema=MOVED_SCHEMA,
    )  # fmt: skip
    return Moved(
        table=table.filter(pa.array(differs)).sort_by(CUSTOMER),
        known=int(known.sum()),
        arrived=int((~known).sum()),
        kinds={kind: int((kinds[proper] == kind).sum()) for kind in KINDS},
        changes={
            cause: int((causes == cause).sum()) for cause in CAUSES if (causes == cause).any()
        },
        segments=_segments(was, here, changes, places, mine),
    )


def _asked(now: pa.Table, fresh: pa.ChunkedArray) -> list[str] | None:
    """Customers of whom more is to be read; None for all, where that is less than asking each."""
    found: list[str] = now[CUSTOMER].filter(fresh).to_pylist()
    return None if 2 * len(found) > now.num_rows else found


def _changes(
    store: StateStore, line: Sequence[str], asked: list[str] | None, since: datetime
) -> pa.Table:
    """`customer_id`, `from`, `to`, `cause` of each change after a moment of who was known then."""
    told = spells(store.membership_history(asked, segmentations=line))
    owner = _texts(told[CUSTOMER])
    place = _texts(told["segment_id"])
    began = told["since"].cast(pa.int64()).to_numpy()
    changed = np.zeros(len(owner), dtype=bool)
    changed[1:] = (owner[1:] == owner[:-1]) & (place[1:] != place[:-1])
    # Where one was who came after the moment is no segment of the beginning.
    early = np.isin(owner, owner[began <= to_us(since)])
    at = np.flatnonzero(changed & early & (began > to_us(since)))
    return pa.table(
        {
            CUSTOMER: pa.array(owner[at], pa.string()),
            "from": pa.array(place[at - 1], pa.string()),
            "to": pa.array(place[at], pa.string()),
            "cause": told["cause"].take(pa.array(at)),
        }
    )


def _kinds(
    was: Labels,
    here: Labels,
    own: npt.NDArray[np.bool_],
    model: npt.NDArray[np.bool_],
    cause: Labels,
) -> Labels:
    """(n,) what each did; of who moved without a change in the log the last cause tells."""
    differs = was != here
    unlogged = differs & ~own & ~model
    own = own | (unlogged & np.isin(cause, OWN))
    model = model | (unlogged & ~np.isin(cause, OWN))
    found = np.full(len(was), STAYED, dtype=object)
    found[differs & own] = BEHAVIOUR
    found[differs & model] = MODEL
    found[differs & own & model] = BOTH
    found[~differs & own & model] = RETURNED
    return found


def _segments(
    was: Labels,
    here: Labels,
    changes: pa.Table,
    places: npt.NDArray[np.int64],
    mine: npt.NDArray[np.bool_],
) -> tuple[SegmentMovement, ...]:
    """Sizes at both ends and the net of each cause between; `gone` is 0: the log keeps everybody.

    Of customers who came later only where they are now is counted.
    """
    source, target = _texts(changes["from"]), _texts(changes["to"])
    counted = was[places] != ""
    found = []
    for name in sorted({*was.tolist(), *here.tolist()} - {""}):
        net = (target == name).astype(int) - (source == name).astype(int)
        found.append(
            SegmentMovement(
                segment_id=name,
                then=int((was == name).sum()),
                arrived=int(((here == name) & (was == "")).sum()),
                gone=0,
                behaviour=int(net[counted & mine].sum()),
                model=int(net[counted & ~mine].sum()),
                now=int((here == name).sum()),
            )
        )
    return tuple(found)


def _texts(values: pa.ChunkedArray) -> Labels:
    """(n,) texts; "" for null."""
    return np.asarray(pc.fill_null(values, "").to_pylist(), dtype=object)


def _one(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
