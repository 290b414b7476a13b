"""A segmentation on its way to a moment: moved on some customers at a time, recorded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.segment import CAUSES
from shoal.domain.time import iso
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.segments.base import CUSTOMER
from shoal.workflows.advance import InForce, Recorded, advance
from shoal.workflows.canary import Canary
from shoal.workflows.carries import Carries
from shoal.workflows.known import Known

#: What a segmentation's step was told from.
STATES: Final = "states"
EVENTS: Final = "events"


@dataclass
class Going:
    """A segmentation on its way to the moment.

    Args:
        before: how far its log is.
        recorded: the latest membership of each of its customers, sorted.
        arrived: of whom events came in since; None: not known any more.
        because: why events are read; None: states are.
        carries: of the behaviour model that it was made on; None: on none, or events are read.
        only: customers who are moved on, the others being left for later; None: everybody.
        trial: the canary that runs beside the main segmentation; None: none does. Of the canary
            only its own customers are moved on, and what the live version says of them is recorded
            beside.
        customers, changed: how many were moved on so far, and what of them is to be recorded.
    """

    found: SegmentationArtefact
    before: Recorded
    recorded: pa.Table
    arrived: pa.Array | None
    because: str | None
    carries: Carries | None = None
    only: Sequence[str] | None = None
    trial: Canary | None = None
    customers: int = 0
    changed: list[pa.Table] = field(default_factory=list)

    @property
    def reference_id(self) -> str:
        return str(self.found.document["reference_id"])

    def step(self, known: Known) -> None:
        """Move some customers, or all, on to the moment at which they are known."""
        if self.only is not None:
            known = known.of(self.only)
        if self._tried:
            assert self.trial is not None
            names = known.features[CUSTOMER]
            known = known.of(names.filter(pa.array(self.trial.chosen(names))).to_pylist())
        if not known.features.num_rows:
            return
        step = advance(
            known, InForce.of(self.found), self._recorded_of(known.features[CUSTOMER]),
            since=self.before.known_at, arrived=self.arrived,
        )  # fmt: skip
        self.customers += known.features.num_rows
        self.changed.append(step.changed)

    def _recorded_of(self, customers: pa.ChunkedArray) -> pa.Table:
        """What is recorded of a run of sorted customers, and of those between them."""
        names = self.recorded[CUSTOMER]
        inside = pc.and_(pc.greater_equal(names, customers[0]), pc.less_equal(names, customers[-1]))
        return self.recorded.filter(inside)

    @cached_property
    def whole_change(self) -> pa.Table:
        """All that is to be recorded, when every customer has been moved on."""
        whole = pa.concat_tables([MEMBERSHIPS_SCHEMA.empty_table(), *self.changed])
        live = self.trial is not None and self.found.segmentation_id == self.trial.base_id
        return self.trial.diverted(whole) if live and self.trial is not None else whole

    @property
    def _tried(self) -> bool:
        return self.trial is not None and self.found.segmentation_id == self.trial.segmentation_id

    def as_document(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "segmentation_id": self.found.segmentation_id,
            "method": self.found.document["method"],
            "recorded_before": iso(self.before.until),
            "read": STATES if self.because is None else EVENTS,
            "because": self.because,
            "customers": self.customers,
            "changed": self.whole_change.num_rows,
            "causes": causes(self.whole_change),
            "moves": moves(self.whole_change, self.recorded),
        }


def causes(changed: pa.Table) -> dict[str, int]:
    """Changes by cause, those that occur."""
    counted = changed["cause"].value_counts().to_pylist()
    found = {one["values"]: one["counts"] for one in counted}
    return {cause: found[cause] for cause in CAUSES if cause in found}


def moves(changed: pa.Table, recorded: pa.Table) -> list[dict[str, Any]]:
    """Customers from segment to segment (from null: had none), most first."""
    rows = pc.index_in(changed["customer_id"], recorded["customer_id"].combine_chunks())
    before = recorded["segment_id"].take(rows)
    table = pa.table({"from": before, "to": changed["segment_id"], "cause": changed["cause"]})
    counted = table.group_by(["from", "to", "cause"]).aggregate([([], "count_all")]).to_pylist()
    rows_of = [
        {"from": row["from"], "to": row["to"], "cause": row["cause"], "customers": row["count_all"]}
        for row in counted
    ]
    key = ("from", "to", "cause")
    return sorted(rows_of, key=lambda one: (-one["customers"], *(one[name] or "" for name in key)))
