"""Which segment a list of calls would lead to: as if they came in, and nothing of them is kept.

The calls pass the front door (cleaned, refused with a reason, forgotten persons left out),
identity, rates and noise as any event does, are folded, finished and placed by the one step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import InputError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, iso
from shoal.events.clean import Cleaned, clean
from shoal.events.mapping import SourceMapping
from shoal.events.reading import open_source
from shoal.events.row_noise import RowNoise
from shoal.events.schema import EVENT_KEY, TABLE_SCHEMA
from shoal.features.admission import NEVER_US, Decisions
from shoal.features.fold import Fold
from shoal.features.tastes import counts
from shoal.ports import Engine, ParquetFiles, Registry, Relation, StateStore, Warehouse
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.segments.base import CUSTOMER
from shoal.workflows import identity, reference
from shoal.workflows.admission import Admission
from shoal.workflows.advance import InForce, advance, recorded_until
from shoal.workflows.canary import kept
from shoal.workflows.catch_up import events_of
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.forgotten import id_columns, tombstones_of
from shoal.workflows.known import Known
from shoal.workflows.rule_columns import Asking, asks_more, with_rules

if TYPE_CHECKING:
    from shoal.events.privacy import Privacy

SCHEMA: Final = "shoal.assign/1"
#: Weights below this share are not told.
_LEAST_WEIGHT: Final = 0.01
_MICROSECOND: Final = timedelta(microseconds=1)

#: Line -> a segmentation in force.
InLines = Mapping[str, SegmentationArtefact]


@dataclass(frozen=True)
class Assigning:
    """A shop into whose segments calls are assigned.

    Args:
        work_dir: where a file of the calls lies for as long as it is read.
        privacy: what the shop hides; calls are given with it hidden.
    """

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    buckets: int
    noise: RowNoise
    work_dir: Path
    privacy: Privacy | None = None

    def assign(
        self,
        lines: Sequence[bytes],
        mapping: SourceMapping,
        found: InLines,
        *,
        as_of: datetime | None = None,
        history: bool = False,
    ) -> dict[str, Any]:
        """The JSON document `shoal.assign/1`: of each customer of whom the calls tell, where.

        Args:
            lines: calls as JSON, one each.
            mapping: of the Segment spec.
            as_of: T; what happened at or after it does not count. None: just after the latest call,
                and with `history` also after the latest event known.
            history: what the shop knows of these customers counts too, as does the segment that
                they are in.

        Raises:
            InputError: `too_little_data`, no call is an event of a customer before T.
        """
        cleaned = self._cleaned(lines, mapping)
        rows = _once(cleaned.events.select(TABLE_SCHEMA.names))
        decisions = self._decisions(rows)
        if history:
            rows = self._with_history(rows, decisions)
        events = self._counted(rows, decisions)
        moment = as_of or self._moment(events, found, history=history)
        events = events.filter(pc.less(events["event_time"], pa.scalar(moment, _TIME)))
        if not events.num_rows or not pc.any(pc.is_valid(events[CUSTOMER])).as_py():
            raise InputError(
                "too_little_data",
                f"no call is an event of a customer before {iso(moment)}",
                hint="A call needs a userId, and a type and properties of the Segment spec.",
            )
        customers: dict[str, list[dict[str, Any]]] = {}
        for line, one in found.items():
            for name, told in self._placed(one, events, moment, history=history):
                customers.setdefault(name, []).append({"line": line, **told})
        return {
            "schema": SCHEMA,
            "as_of": iso(moment),
            "events": events.num_rows,
            "customers": [
                {"customer_id": name, "segments": customers[name]} for name in sorted(customers)
            ],
            "rejected": [
                {"index": row["row"] - 1, "code": row["code"], "message": row["detail"] or ""}
                for row in cleaned.quarantined.to_pylist()
            ],
        }

    def _cleaned(self, lines: Sequence[bytes], mapping: SourceMapping) -> Cleaned:
        """What the front door makes of calls."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        forgotten, columns = tombstones_of(self.store), id_columns(mapping)
        parts = []
        with tempfile.NamedTemporaryFile(suffix=".jsonl", dir=self.work_dir) as file:
            file.write(b"\n".join(lines) + b"\n")
            file.flush()
            for chunk in open_source(Path(file.name), mapping).chunks():
                one = clean(
                    chunk, mapping, zone=self.zone, buckets=self.buckets, file="calls",
                    noise=self.noise, privacy=self.privacy,
                )  # fmt: skip
                parts.append(forgotten.left_out(one, columns))
        return Cleaned(
            pa.concat_tables([one.events for one in parts], promote_options="default"),
            pa.concat_tables([one.quarantined for one in parts]),
            sum(one.read for one in parts),
            sum(one.skipped for one in parts),
        )

    def _decisions(self, rows: pa.Table) -> Decisions:
        """What counts, as whose: by what the shop knows and what the calls themselves tell."""
        from shoal.features import people

        engine = self.warehouse.engine
        told = engine.run(engine.compile(people.links_query(of_ids=False)), {"events": rows})
        ids = {one for name in (CUSTOMER, "anonymous_id") for one in rows[name].to_pylist() if one}
        leading = identity.leading_to(self.store, ids)
        known = identity.followed(self.store, sorted(leading))
        links = pa.concat_tables([known, told.cast(known.schema)]).group_by(known.column_names)
        found = people.resolve(
            links.aggregate([]).select(known.column_names), NEVER_US, self.admission.shared_by
        )
        return replace(self.admission.decisions(), people=found)

    def _with_history(self, rows: pa.Table, decisions: Decisions) -> pa.Table:
        """Calls together with what is stored of the same customers; nothing twice."""
        if self.warehouse.version() < 0:
            return rows
        raw = pc.coalesce(rows[CUSTOMER], rows["anonymous_id"]).drop_null().unique()
        ids = decisions.ids_of(decisions.owners_of(raw))
        stored = events_of(self.warehouse, self.warehouse.version(), ids)
        known = pc.is_in(rows[EVENT_KEY], value_set=stored[EVENT_KEY].combine_chunks())
        fresh = rows.filter(pc.invert(known))
        return pa.concat_tables([stored.select(fresh.column_names).cast(fresh.schema), fresh])

    def _counted(self, rows: pa.Table, decisions: Decisions) -> pa.Table:
        """Events as they count."""
        engine = self.warehouse.engine
        with self.admission.admitted(rows, decisions) as admitted:
            if isinstance(admitted, ParquetFiles):
                return engine.run("SELECT * FROM events", {"events": admitted})
            assert isinstance(admitted, pa.Table)
            return admitted

    def _moment(self, events: pa.Table, found: InLines, *, history: bool) -> datetime:
        latest: datetime | None = pc.max(events["event_time"]).as_py()
        if latest is None:
            raise InputError(
                "too_little_data", "no call is an event",
                hint="See rejected calls one by one: send each alone.",
            )  # fmt: skip
        moments = [latest + _MICROSECOND]
        if history:
            moments += [recorded_until(self.store, one).until for one in found.values()]
        return max(moments)

    def _placed(
        self, found: SegmentationArtefact, events: pa.Table, moment: datetime, *, history: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each customer with the segment, by one segmentation."""
        known = self._known(found, events, moment)
        names = known.features[CUSTOMER].to_pylist()
        recorded = MEMBERSHIPS_SCHEMA.empty_table()
        if history:
            ids = kept(self.store, found.segmentation_id)
            recorded = self.store.get_memberships(ids, customers=names)
        step = advance(known, InForce.of(found), recorded)
        titles = {one["segment_id"]: one["name"] for one in found.document["segments"]}
        ids = found.segmenter.segment_ids
        rows = step.memberships.to_pylist()
        for row, weights in zip(rows, np.asarray(step.weights).tolist(), strict=True):
            segment = row["segment_id"]
            yield (
                row[CUSTOMER],
                {
                    "segmentation_id": found.segmentation_id,
                    "segment_id": segment,
                    "name": titles.get(segment, {"en": segment, "zh": segment}),
                    "tier": "too_little_known" if segment == TIER_NEW else "placed",
                    "weight": row["weight"],
                    "margin": row["margin"],
                    "weights": {
                        name: weight
                        for name, weight in zip(ids, weights, strict=True)
                        if weight > _LEAST_WEIGHT
                    },
                },
            )

    def _known(self, found: SegmentationArtefact, events: pa.Table, moment: datetime) -> Known:
        """What the segmentation reads of the customers of some events."""
        items = reference.read(self.registry, found.document["reference_id"])
        partials = self.fold.partials(events)
        features = self.fold.finish(partials, moment, self.zone, items)
        known = Known(moment, features, counts(partials))
        model = of_segmentation(found.document, self.registry, self.fold)
        if model is not None:
            names = features[CUSTOMER].to_pylist()
            rows = _Rows(self.warehouse.engine, events, self.warehouse)
            own = model.embeddings(rows, moment, customers=names)
            known = replace(known, embeddings=own)
        if asks_more(found.segmenter):
            rows = _Rows(self.warehouse.engine, events)
            asking = Asking(rows, self.fold, self.zone, self.registry, self.store)
            known = with_rules(found.segmenter, known, asking, few=True)
        return known


_TIME: Final = TABLE_SCHEMA.field("event_time").type


class _Rows:
    """An `EventTable` of some rows in memory, all in one bucket.

    Args:
        facts: where facts of items are read; None: among the rows.
    """

    def __init__(self, engine: Engine, rows: pa.Table, facts: Warehouse | None = None) -> None:
        self.engine = engine
        self._rows, self._facts = rows, facts

    def version(self) -> int:
        return 0

    def events(self, *, version: int | None = None, buckets: Sequence[int] | None = None) -> Any:
        if buckets is None and self._facts is not None and self._facts.version() >= 0:
            found: Relation = self._facts.events()
            return found
        return self._rows

    def bucket_counts(self) -> Mapping[int, int]:
        return {0: self._rows.num_rows}


def _once(rows: pa.Table) -> pa.Table:
    """Every event once: of several of one identity the first."""
    keys = rows[EVENT_KEY].to_numpy()
    _, first = np.unique(keys, return_index=True)
    return rows.take(pa.array(np.sort(first)))
