"""What rules ask of a shop at a moment: its events, other segments, and whom each rule holds for.

A segmentation by rules that ask for more than features reads boolean columns `rule:ID` beside them;
they are told here, of everybody by one query, or of a few customers from their own events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import Zone, to_us
from shoal.features.algebra import epoch_us
from shoal.features.fold import Fold
from shoal.features.queries import CLOCK_SCHEMA, events_table, unbound
from shoal.features.tastes import Vocabulary, counts_at
from shoal.features.traits import IDS_SCHEMA
from shoal.heads.next_period import COLUMNS, NextPeriod
from shoal.ports import EventTable, Registry, StateStore
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.segments.base import CUSTOMER, Segmenter
from shoal.segments.inputs import with_more, with_tastes
from shoal.segments.ruled import batch, single
from shoal.segments.ruled.language import MAIN, Rule
from shoal.segments.ruled.measured import MEMBERS_SCHEMA
from shoal.segments.ruled.segmenter import PROVIDED, RuleSegmenter
from shoal.workflows.canary import kept
from shoal.workflows.known import Known

#: Names of the current segmentations in rules, and their pointers.
CURRENT: Mapping[str, str] = {MAIN: artefact.MAIN, "rfm": artefact.RFM}


@dataclass(frozen=True)
class Asking:
    """What rules are answered from.

    Args:
        counted: the events as they count at the moment (`Admission.at`).
        store: since when somebody belongs to another segment; None: not told.
        version: of the event table; None for the latest.
    """

    counted: EventTable
    fold: Fold
    zone: Zone
    registry: Registry
    store: StateStore | None = None
    version: int | None = None

    def holds(
        self, named: Mapping[str, Rule], known: Known, more: pa.Table | None = None
    ) -> pa.Table:
        """`customer_id` of `known`, in its order, and a boolean column a rule.

        Args:
            more: further columns that rules ask for, by `customer_id` (of the next period).

        Raises:
            UsageError: `bad_rule`, `unknown_segmentation`.
        """
        found = self.answers(named, known.as_of, with_more(known.features, more))
        return found.take(pc.index_in(known.features[CUSTOMER], found[CUSTOMER].combine_chunks()))

    def answers(
        self, named: Mapping[str, Rule], as_of: datetime, features: pa.Table | None
    ) -> pa.Table:
        """`customer_id`, sorted, and a boolean column a rule.

        Args:
            features: of those who are asked about; None: everybody with an event before the
                moment, by rules that ask for no feature.
        """
        rules = tuple(named.values())
        if features is not None:
            features = self._with_outlook(features, rules, as_of)
        needed = features is None or batch.needs_events(*rules)
        return batch.answers(
            self.fold.engine,
            named,
            self.fold.rules,
            as_of=as_of,
            zone=self.zone,
            events=self.counted.events(version=self.version) if needed else None,
            features=features,
            members=self.members(rules, as_of),
        )

    def holds_for(self, named: Mapping[str, Rule], known: Known) -> pa.Table:
        """As `holds`, told from the events of these customers alone, one after the other."""
        rules = tuple(named.values())
        customers = known.features[CUSTOMER].to_pylist()
        events = self._events_of(customers, known.as_of) if batch.needs_events(*rules) else {}
        members: dict[str, list[Any]] = {}
        for row in self.members(rules, known.as_of, customers).to_pylist():
            members.setdefault(row[CUSTOMER], []).append(row)
        rows = [
            single.answers(
                named,
                single.Customer(events.get(row[CUSTOMER], []), row, members.get(row[CUSTOMER], [])),
                self.fold.rules,
                as_of=known.as_of,
                zone=self.zone,
            )
            for row in self._with_outlook(known.features, rules, known.as_of).to_pylist()
        ]
        columns = {name: pa.array([row[name] for row in rows], pa.bool_()) for name in named}
        return pa.table({CUSTOMER: known.features[CUSTOMER], **columns})

    def _with_outlook(self, features: pa.Table, rules: Sequence[Rule], as_of: datetime) -> pa.Table:
        """The features with what the main segmentation's head expects, where rules ask for it."""
        wanted = [name for name in batch.columns(*rules) if name in COLUMNS]
        if all(name in features.column_names for name in wanted):
            return features
        found = main_head(self.store, self.registry)
        if found is None:
            return features
        head, vocabulary = found
        counts = counts_at(self.fold, self.counted.events(version=self.version), as_of)
        return with_more(features, head.table(with_tastes(features, counts, vocabulary)))

    def _events_of(self, customers: Sequence[str], moment: datetime) -> dict[str, list[Any]]:
        ids = pa.table([pa.array(customers, pa.string())], schema=IDS_SCHEMA)
        clock = pa.table({"now_us": [to_us(moment)], "today": [0]}, schema=CLOCK_SCHEMA)
        engine = self.fold.engine
        found = engine.run(
            engine.compile(_own_events()),
            {"events": self.counted.events(version=self.version), "ids": ids, "clock": clock},
        )
        rows: dict[str, list[Any]] = {}
        for row in found.to_pylist():
            rows.setdefault(row[CUSTOMER], []).append(row)
        return rows

    def members(
        self, rules: Sequence[Rule], moment: datetime, customers: Sequence[str] | None = None
    ) -> pa.Table:
        """Who belongs to the segmentations that rules ask about (`MEMBERS_SCHEMA`).

        They are applied to what is known at the moment, by the one step.

        Raises:
            UsageError: `unknown_segmentation`.
        """
        told = [self._members(name, moment) for name in batch.segmentations(*rules)]
        table = pa.concat_tables([MEMBERS_SCHEMA.empty_table(), *told])
        if customers is None:
            return table
        wanted = pa.array(customers, pa.string())
        return table.filter(pc.is_in(table[CUSTOMER], value_set=wanted))

    def _members(self, name: str, moment: datetime) -> pa.Table:
        from shoal.workflows.advance import InForce, placed
        from shoal.workflows.memberships import applied

        found = artefact.read(self.registry, self.segmentation_id(name))
        features, weights = applied(
            found, self.counted, self.fold, self.registry, self.zone, moment,
            version=self.version, store=self.store,
        )  # fmt: skip
        recorded = _log(self.store, found.segmentation_id, moment)
        own, _ = placed(features[CUSTOMER], weights, InForce.of(found), recorded, moment)
        count, places = weights.shape
        ids = pa.array(found.segmenter.segment_ids, pa.string())
        rows = np.repeat(np.arange(count), places)
        segments = ids.take(pa.array(np.tile(np.arange(places), count)))
        mine = pc.equal(own["segment_id"].take(pa.array(rows)), segments)
        since = own["since"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        columns = [
            features[CUSTOMER].take(pa.array(rows)),
            pa.repeat(pa.scalar(name, pa.string()), len(rows)),
            segments,
            pa.array(weights.ravel()),
            pc.if_else(mine, since.take(pa.array(rows)), pa.scalar(None, pa.int64())),
        ]
        return pa.table(columns, schema=MEMBERS_SCHEMA)

    def segmentation_id(self, name: str) -> str:
        """The id of a segmentation as rules name it; as it is where nothing is current."""
        pointer = CURRENT.get(name)
        if pointer is None or self.store is None:
            return name
        return self.store.get_pointer(pointer) or name


def _log(store: StateStore | None, segmentation_id: str, moment: datetime) -> pa.Table:
    """What was recorded of a segmentation at a moment; nothing without a store."""
    if store is None:
        return MEMBERSHIPS_SCHEMA.empty_table()
    return store.get_memberships(kept(store, segmentation_id), as_of=moment)


def main_head(store: StateStore | None, registry: Registry) -> tuple[NextPeriod, Vocabulary] | None:
    """The next-period head of the main segmentation, and the vocabulary of tastes that it reads."""
    name = None if store is None else store.get_pointer(artefact.MAIN)
    if name is None:
        return None
    found = artefact.read(registry, name)
    outlook = getattr(found.segmenter, "outlook", None)
    return None if outlook is None else (outlook.head, found.vocabulary)


def asks_more(segmenter: Segmenter) -> bool:
    """Whether a segmenter reads columns that only events or other segmentations tell."""
    return isinstance(segmenter, RuleSegmenter) and segmenter.asks_more


def with_rules(segmenter: Segmenter, known: Known, asking: Asking, *, few: bool = False) -> Known:
    """What is known with the columns that a segmenter by rules reads; as it is for any other.

    Args:
        few: tell them from the events of these customers alone.
    """
    if not isinstance(segmenter, RuleSegmenter) or not segmenter.asks_more:
        return known
    named = {f"{PROVIDED}{name}": rule for name, rule in segmenter.rules.rules.items()}
    told = asking.holds_for(named, known) if few else asking.holds(named, known)
    return replace(known, more=told)


@lru_cache(maxsize=1)
def _own_events() -> ir.Table:
    """Events of the customers in `ids` before the clock."""
    events, ids = events_table(), unbound(IDS_SCHEMA, "ids")
    own = events.semi_join(ids, events.customer_id == ids.id)
    moment = own.cross_join(unbound(CLOCK_SCHEMA, "clock"))
    return moment.filter(epoch_us(moment.event_time) < moment.now_us).drop("now_us", "today")
