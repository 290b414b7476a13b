"""One step of a replay: who belonged where, since when and why, by what was known then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.segment import TIER_NEW
from shoal.domain.time import iso
from shoal.segments.base import CUSTOMER, Segmenter
from shoal.workflows.adjust_state import plain

if TYPE_CHECKING:
    from shoal.workflows.adjuster_live import Adjusted

MEMBERSHIPS_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("as_of", pa.timestamp("us", tz="UTC")),
        pa.field("segmentation", pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("weight", pa.float64()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
        pa.field("cause", pa.string()),
        pa.field("margin", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Cut:
    """One step: who belonged where, by what was known at `as_of`.

    `memberships` has `MEMBERSHIPS_SCHEMA`, a row a customer: where, with which weight and margin at
    the cut, and since when and why. `features` is the snapshot with the tastes that they were told
    from, by `segmenter`; `events` counts customers' events since the cut before (the first: all
    before it). `adjusted` is what came of looking for change there; None where nobody looked. Where
    other segments came into force `held` (`customer_id`, `segment_id`) says where those before them
    would have everybody, in the same states. Of a cut with too few customers `skipped` says why,
    and both tables are empty.
    """

    as_of: datetime
    memberships: pa.Table
    features: pa.Table
    segmentation: str = ""
    trained_until: datetime | None = None
    segmenter: Segmenter | None = None
    events: int = 0
    table_version: int = -1
    warnings: tuple[str, ...] = ()
    skipped: str = ""
    adjusted: Adjusted | None = None
    held: pa.Table | None = None

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """Ids of the segments."""
        return () if self.segmenter is None else self.segmenter.segment_ids

    @property
    def learned(self) -> bool:
        """Whether this cut learned the segments that it tells of."""
        return self.trained_until == self.as_of

    @property
    def changed(self) -> pa.Table:
        """The memberships that began at this cut: the first ones, and those of who moved."""
        now = pa.scalar(self.as_of, MEMBERSHIPS_SCHEMA.field("since").type)
        return self.memberships.filter(pc.equal(self.memberships["since"], now))

    def as_document(self) -> dict[str, Any]:
        """A row of `shoal.replay/1`."""
        sizes = _counted(self.memberships["segment_id"])
        return {
            "as_of": iso(self.as_of),
            "segmentation": self.segmentation or None,
            "trained_until": None if self.trained_until is None else iso(self.trained_until),
            "learned": self.learned,
            "k": len([name for name in self.segment_ids if name != TIER_NEW]) or None,
            "customers": self.memberships.num_rows,
            "segments": {name: sizes.get(name, 0) for name in self.segment_ids},
            "changed": _counted(self.changed["cause"]),
            "events": self.events,
            "table_version": self.table_version,
            "warnings": list(self.warnings),
            "skipped": self.skipped or None,
            "adjusted": None if self.adjusted is None else plain(self.adjusted.as_document()),
        }


def dated(members: pa.Table, moment: datetime) -> pa.Table:
    """Memberships of the step as those of a cut."""
    as_of = pa.repeat(pa.scalar(moment, MEMBERSHIPS_SCHEMA.field("as_of").type), members.num_rows)
    own = {"as_of": as_of, "segmentation": members["segmentation_id"]}
    columns = [own[one] if one in own else members[one] for one in MEMBERSHIPS_SCHEMA.names]
    return pa.table(columns, schema=MEMBERSHIPS_SCHEMA)


def _counted(values: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, by value."""
    found = {one["values"]: one["counts"] for one in values.value_counts().to_pylist()}
    return dict(sorted(found.items()))
