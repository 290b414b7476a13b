"""Whom rules hold for at a moment: members, and a preview with what each clause keeps and drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.domain.time import Zone, from_us, iso
from shoal.features.algebra import epoch_us
from shoal.features.fold import Fold
from shoal.features.queries import events_table
from shoal.features.snapshot import latest_moment, snapshot_table
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments.base import CUSTOMER
from shoal.segments.inputs import with_more
from shoal.segments.ruled.batch import columns
from shoal.segments.ruled.document import ONLY, REST
from shoal.segments.ruled.empty import doubts
from shoal.segments.ruled.known import suggestion
from shoal.segments.ruled.language import All, AnyOf, Not, Rule, RuleSet, Sets
from shoal.segments.ruled.segmenter import PROVIDED, RuleSegmenter
from shoal.segments.ruled.words import words
from shoal.workflows.admission import Admission
from shoal.workflows.rule_columns import Asking
from shoal.workflows.rule_known import Rules, known_of, rules_of

SCHEMA: Final = "shoal.rules.preview/1"
SAMPLE: Final = 10


@dataclass(frozen=True)
class RuleShop:
    """The parts of a shop that rules are asked of.

    Args:
        table_version: of the event table; None for the latest.
    """

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    table_version: int | None = None

    def read(self, rules: Rules, more: pa.Table | None = None) -> RuleSet:
        """Rules held to what the shop knows.

        Raises:
            InputError: `input_missing`, `input_unreadable`.
            UsageError: `bad_rule`.
        """
        return rules_of(rules, known_of(self.store, self.registry, self.fold.catalog, more))

    def doubts(self, rules: RuleSet) -> list[dict[str, str]]:
        """What a person should look at again."""
        known = known_of(self.store, self.registry, self.fold.catalog)
        return [one.as_document() for one in doubts(rules, known)]

    def first_moment(self) -> datetime | None:
        """The moment of the first event; None without any."""
        files = self.warehouse.events(version=self.table_version)
        engine = self.warehouse.engine
        found = engine.run(engine.compile(_first_definition()), {"events": files})
        first_us = found["first_us"][0].as_py()
        return None if first_us is None else from_us(first_us)

    def holds(
        self,
        named: Mapping[str, Rule],
        as_of: datetime | None = None,
        more: pa.Table | None = None,
    ) -> tuple[pa.Table, datetime]:
        """`customer_id` of everybody and a boolean column a rule, and the moment.

        Args:
            as_of: T; None: just after the latest event.
            more: further columns that rules ask for, by `customer_id`.

        Raises:
            InputError: `too_little_data`, no customer has an event before the moment.
        """
        moment = as_of or latest_moment(self.warehouse, version=self.table_version)
        counted = self.admission.at(moment, version=self.table_version)
        asking = Asking(
            counted, self.fold, self.zone, self.registry, self.store, self.table_version
        )
        features = None
        if columns(*named.values()):
            features = snapshot_table(
                counted, self.fold, zone=self.zone, as_of=moment, version=self.table_version
            )
            features = with_more(features, more)
        found = asking.answers(named, moment, features)
        if not found.num_rows:
            raise InputError(
                "too_little_data",
                f"no customer has an event before {iso(moment)}",
                hint="Give a later --as-of, or ingest earlier events.",
            )
        return found, moment

    def members(
        self,
        rules: Rules,
        *,
        segment: str | None = None,
        as_of: datetime | None = None,
        more: pa.Table | None = None,
    ) -> pa.Table:
        """Customers of a rule segment: the one column `customer_id`, sorted.

        In a file with precedence those who are in no segment before it; in one that overlaps all
        for whom the rule holds.

        Args:
            segment: its id; not needed where there is one rule alone.

        Raises:
            UsageError: `unknown_segment`, `bad_rule`.
        """
        found = self.read(rules, more)
        ids = (*found.rules, REST)
        wanted = segment or (ids[0] if len(found.segments) == 1 else "")
        if wanted not in ids:
            raise UsageError(
                "unknown_segment",
                f"the rules have no segment {wanted!r}" if wanted else "no segment was named",
                where=wanted,
                hint=suggestion(wanted, ids),
            )
        named = {f"{PROVIDED}{name}": rule for name, rule in found.rules.items()}
        table, _ = self.holds(named, as_of, more)
        inside = RuleSegmenter(found).transform(table)[:, ids.index(wanted)] > 0
        return table.select([CUSTOMER]).filter(pa.array(inside))


@lru_cache(maxsize=1)
def _first_definition() -> ir.Table:
    events = events_table()
    return events.agg(first_us=epoch_us(events.event_time.min()))


def preview(
    shop: RuleShop,
    rules: Rules,
    *,
    as_of: datetime | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    more: pa.Table | None = None,
) -> dict[str, Any]:
    """The JSON document `shoal.rules.preview/1`: a segment each, with count, sample and funnel.

    `matches` is for whom the rule holds, `customers` who is in the segment (after those before it,
    where segments do not overlap). The funnel takes the clauses of `all` one after the other: who
    is left and who is dropped by each; of other rules each clause stands alone.

    Args:
        sample: customers shown of each segment, drawn by the seed.
        more: further columns that rules ask for, by `customer_id`.

    Raises:
        InputError: `input_missing`, `input_unreadable`, `too_little_data`.
        UsageError: `bad_rule`.
    """
    found = shop.read(rules, more)
    named = {f"{PROVIDED}{name}": rule for name, rule in found.rules.items()}
    steps = {
        f"{place}.{number}": clause
        for place, one in enumerate(found.segments)
        for number, (_, clause) in enumerate(parts(one.rule))
    }
    table, moment = shop.holds({**named, **steps}, as_of, more)
    segmenter = RuleSegmenter(found)
    weights = segmenter.transform(table)
    customers = np.asarray(table[CUSTOMER].to_pylist(), dtype=object)
    random = np.random.default_rng(seed)
    only = len(found.segments) == 1 and found.segments[0].segment_id == ONLY
    told = []
    for place, name in enumerate(segmenter.segment_ids):
        inside = weights[:, place] > 0
        rows = np.flatnonzero(inside)
        drawn = np.sort(random.permutation(rows)[:sample])
        document: dict[str, Any] = {
            "segment_id": name,
            "name": segmenter.names[name].as_document(),
            "rule": segmenter.in_words(name).as_document(),
            "customers": len(rows),
            "share": len(rows) / len(customers) if len(customers) else 0.0,
            "sample": customers[drawn].tolist(),
        }
        if name != REST:
            rule = found.segments[place].rule
            path = "$" if only else f"$.segments[{place}].rule"
            document["matches"] = int(np.sum(segmenter.holds(table)[:, place]))
            document["funnel"] = _funnel(table, rule, place, path)
        told.append(document)
    return {
        "schema": SCHEMA,
        "as_of": iso(moment),
        "customers": len(customers),
        "overlap": found.overlap,
        "segments": told,
        "warnings": shop.doubts(found),
    }


def parts(rule: Rule) -> Sequence[tuple[str, Rule]]:
    """The clauses that a funnel shows, with the ends of their paths: those directly in a rule."""
    key = ""
    if isinstance(rule, All | AnyOf):
        key = "all" if isinstance(rule, All) else "any"
    elif isinstance(rule, Sets):
        key = rule.word
    if not key:
        return [("", rule)]
    members = [(f".{key}[{place}]", one) for place, one in enumerate(rule.clauses)]
    if isinstance(rule, Sets) and rule.word == "except":
        return [members[0], *((path, Not(one)) for path, one in members[1:])]
    return members


def _funnel(table: pa.Table, rule: Rule, place: int, path: str) -> list[dict[str, Any]]:
    """What each clause keeps: of those left by the ones before it, and by itself."""
    union = isinstance(rule, AnyOf) or (isinstance(rule, Sets) and rule.word == "union")
    count = table.num_rows
    held = np.zeros(count, dtype=bool) if union else np.ones(count, dtype=bool)
    told = []
    for number, (end, clause) in enumerate(parts(rule)):
        alone = table[f"{place}.{number}"].to_numpy(zero_copy_only=False).astype(bool)
        before = int(held.sum())
        held = held | alone if union else held & alone
        left = int(held.sum())
        text: Text = words(clause)
        told.append(
            {
                "path": f"{path}{end}",
                "clause": text.as_document(),
                "alone": int(alone.sum()),
                "kept": left,
                "dropped": 0 if union else before - left,
                "added": left - before if union else 0,
            }
        )
    return told
