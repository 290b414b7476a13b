"""The fold: events to partials, partials to partials, partials to features.

    batch    finish(partials(all events))
    stream   finish(merge(stored partials, partials(new events)))

Both give the same bits in the partials and the same features. `features` is the batch path as one
query, without the partials in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar, Final

import ibis.expr.types as ir
import pyarrow as pa

from shoal.domain.kinds import KINDS, PURCHASE
from shoal.domain.time import Zone, to_us
from shoal.events.noise import ROW_RULES
from shoal.features import queries, reference, state
from shoal.features.algebra import CUSTOMER, Grain
from shoal.features.catalog import Catalog
from shoal.features.covariates import Covariates, now_tables
from shoal.features.grains import COVARIATE, GRAINS, TRAIT
from shoal.features.queries import (
    CLOCK_SCHEMA,
    EVENTS_SCHEMA,
    PARTIAL_SCHEMAS,
    TAIL,
    Rules,
)
from shoal.ports import Engine, ParquetFiles, Relation

#: Partial tables by name: one for each grain, and `tail`; each sorted by customer and key.
Partials = Mapping[str, pa.Table]

_MICROSECOND: Final = timedelta(microseconds=1)


class Fold:
    """Folds events into customers' partials and features, on an engine.

    Args:
        catalog: the features; traits are added to it.
        engine: compiles and runs the queries.
        value_event: kind that counts as buying.
        traits: declared traits of profile events, each a text feature `trait_<name>`.
        tail: how many last events of a customer are kept.
        currency: the shop's main currency; amounts in another one are left out and counted as
            `foreign_lines`. None takes all amounts as one currency.
        noise: codes of the column `noise` whose events are left out.
        order_sources: sources that tell of orders; see `Rules`.
        covariates: tables from outside that events meet; their features are added to the catalog.

    Raises:
        ValueError: an unknown kind as `value_event`, or `tail` below 1.
    """

    #: Compiled queries of this process by dialect, fingerprint, step and partial: a second fold of
    #: the same definitions compiles nothing (about a second for the whole catalog).
    _compiled: ClassVar[dict[tuple[str, str, str, str], str]] = {}

    def __init__(
        self,
        catalog: Catalog,
        engine: Engine,
        *,
        value_event: str = PURCHASE,
        traits: tuple[str, ...] = (),
        tail: int = 32,
        currency: str | None = None,
        noise: tuple[str, ...] = ROW_RULES,
        order_sources: tuple[str, ...] = (),
        covariates: Covariates | None = None,
    ) -> None:
        if value_event not in KINDS:
            raise ValueError(f"value_event {value_event!r} is not a kind of event: {KINDS}")
        if tail < 1:
            raise ValueError(f"tail must be at least 1, received {tail}")
        self.covariates = covariates or Covariates()
        tables = self.covariates.tables
        self.catalog = catalog.with_traits(tuple(traits)).with_covariates(tables)
        self.engine = engine
        self.rules = Rules(
            value_event,
            currency,
            self.catalog.traits,
            tail,
            tuple(noise),
            tuple(order_sources),
            tables,
        )

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all that decides what states hold and features say.

        States and features of different fingerprints must not be mixed.
        """
        ids = self.covariates.ids
        text = f"{self.catalog.fingerprint}|{self.rules!r}|{ids}|{state.CONTENT_VERSION}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def partials(self, events: Relation) -> dict[str, pa.Table]:
        """Partials of events; guests' events and facts of items are left out.

        Args:
            events: canonical columns and `utc_offset_s` (missing columns count as null), any
                order, no event twice.
        """
        bound = {"events": _complete(events)}
        return {
            name: self._run("partial", name, bound | self._outside(name))
            if self._kept(name)
            else PARTIAL_SCHEMAS[name].empty_table()
            for name in PARTIAL_SCHEMAS
        }

    def merge(self, a: Partials, b: Partials) -> dict[str, pa.Table]:
        """Partials of the events of both, which must have none in common.

        Associative and commutative, bit for bit.
        """
        return {
            name: self._run("merge", name, {"a": a[name], "b": b[name]})
            if self._kept(name)
            else PARTIAL_SCHEMAS[name].empty_table()
            for name in PARTIAL_SCHEMAS
        }

    def finish(
        self,
        partials: Partials,
        as_of: datetime,
        zone: Zone,
        reference_table: pa.Table | None = None,
    ) -> pa.Table:
        """Features at a moment, one row a customer, sorted by `customer_id`.

        Args:
            partials: of events that are all before `as_of`.
            as_of: aware datetime T; recency is measured from it, windows end with its local day.
            zone: the shop's, for the local day of T.
            reference_table: `REFERENCE_SCHEMA`; None knows no item.
        """
        inputs: dict[str, Relation] = {grain.name: partials[grain.name] for grain in GRAINS}
        inputs |= self._moment(as_of, zone) | {"reference": _items(reference_table)}
        return self._run("finish", "", inputs)

    def features(
        self,
        events: Relation,
        as_of: datetime,
        zone: Zone,
        reference_table: pa.Table | None = None,
    ) -> pa.Table:
        """Features at a moment straight from events; those at `as_of` or later do not count.

        The same numbers as `finish(partials(events before T))`, as one query.
        """
        inputs: dict[str, Relation] = {"events": _complete(events)}
        inputs |= self._moment(as_of, zone) | {"reference": _items(reference_table)}
        return self._run("features", "", inputs | self._outside(COVARIATE.name))

    def grain_at(self, name: str, events: Relation, as_of: datetime, zone: Zone) -> pa.Table:
        """One grain's partials of the events before a moment, sorted by customer and key.

        What `features` sums up, for those who need the rows: a customer's categories with counts,
        for example. Grains that keep days hold those of the windows at `as_of`.

        Raises:
            KeyError: no grain has that name.
        """
        if not self._kept(name):
            return PARTIAL_SCHEMAS[name].empty_table()
        inputs: dict[str, Relation] = {"events": _complete(events)}
        inputs |= {"clock": _clock(as_of, zone)} | self._outside(name)
        return self._run("at", name, inputs)

    def _kept(self, name: str) -> bool:
        """Whether a shop has that partial at all: traits and covariates only where declared."""
        if name == TRAIT.name:
            return bool(self.rules.traits)
        return name != COVARIATE.name or bool(self.rules.covariates)

    def _outside(self, name: str) -> dict[str, Relation]:
        """What a partial reads beside the events."""
        wanted = name == COVARIATE.name and self.rules.covariates
        return {"covariates": self.covariates.rows} if wanted else {}

    def _moment(self, as_of: datetime, zone: Zone) -> dict[str, pa.Table]:
        """The clock, and the values of covariates at it."""
        clock = _clock(as_of, zone)
        if not self.rules.covariates:
            return {"clock": clock}
        now_us, today = (clock[name][0].as_py() for name in ("now_us", "today"))
        return {"clock": clock} | now_tables(self.covariates, now_us, today)

    def _run(self, step: str, name: str, inputs: Mapping[str, Relation]) -> pa.Table:
        key = (self.engine.dialect, self.fingerprint, step, name)
        query = self._compiled.get(key)
        if query is None:
            told = " ".join((_code(), *key[1:]))
            query = self.engine.compiled(told, lambda: self._expression(step, name))
            self._compiled[key] = query
        result, wanted = self.engine.run(query, inputs), PARTIAL_SCHEMAS.get(name)
        if wanted is None or result.schema.equals(wanted):
            return result
        return result.cast(wanted)

    def _expression(self, step: str, name: str) -> ir.Table:
        """The definition of a step (for one partial table) over unbound inputs."""
        clock = queries.clock_table()
        items = queries.unbound(reference.REFERENCE_SCHEMA, "reference")
        events = queries.events_table()
        if step == "finish":
            return queries.finished(
                self.catalog,
                lambda one: queries.unbound(PARTIAL_SCHEMAS[one.name], one.name),
                clock,
                items,
            )
        if step == "features":
            return queries.finished(
                self.catalog, lambda one: self._at(one, events, clock), clock, items
            )
        if name == TAIL:
            if step == "partial":
                return queries.tail(queries.of_customers(events, self.rules), self.rules.tail)
            return queries.last_of(_union(name), self.rules.tail)
        grain = {one.name: one for one in GRAINS}[name]
        if step == "at":
            return queries.in_order(grain, self._at(grain, events, clock))
        if step == "partial":
            table = queries.partial(grain, events, self.rules)
        else:
            table = queries.merged(grain, _union(name))
        kept = queries.settled(grain, queries.pruned(grain, table))
        return queries.in_order(grain, kept)

    def _at(self, grain: Grain, events: ir.Table, clock: ir.Table) -> ir.Table:
        if not self._kept(grain.name):  # no feature will ask for it
            return queries.unbound(PARTIAL_SCHEMAS[grain.name], grain.name)
        # a view of its own for each grain: the engine then reads only the grain's columns, where
        # one shared relation would be held in memory with all of them (measured: half the time)
        own = queries.recent(grain, events.view(), clock)
        return queries.partial(grain, own, self.rules)


@cache
def _code() -> str:
    """16 hex digits of the code that definitions are made by."""
    found, package = hashlib.sha256(), Path(__file__).parent.parent
    for part in ("domain", "events", "features"):
        for path in sorted((package / part).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _union(name: str) -> ir.Table:
    schema = PARTIAL_SCHEMAS[name]
    return queries.unbound(schema, "a").union(queries.unbound(schema, "b"))


def _clock(as_of: datetime, zone: Zone) -> pa.Table:
    today = zone.local_day(as_of - _MICROSECOND)
    return pa.table({"now_us": [to_us(as_of)], "today": [today]}, schema=CLOCK_SCHEMA)


def _items(reference_table: pa.Table | None) -> pa.Table:
    return reference.empty() if reference_table is None else reference_table


def _complete(events: Relation) -> Relation:
    """Events with all columns that the fold reads."""
    if isinstance(events, ParquetFiles):
        return events
    return pa.table(
        [
            events.column(field.name).cast(field.type)
            if field.name in events.column_names
            else pa.nulls(events.num_rows, field.type)
            for field in EVENTS_SCHEMA
        ],
        schema=EVENTS_SCHEMA,
    )


def customers_of(partials: Partials) -> pa.ChunkedArray:
    """The customers of partials, sorted."""
    return partials["customer"].column(CUSTOMER)
