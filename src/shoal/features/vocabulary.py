"""Names with codes: how often each occurs before a moment, and which get a code of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Final, Self

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import NEVER_US
from shoal.features.algebra import CUSTOMER, epoch_us
from shoal.features.items import facts_history
from shoal.features.queries import Rules, of_customers, unbound
from shoal.features.token_columns import Coded
from shoal.ports import Engine, Relation

_CLOCK: Final = pa.schema([pa.field("now_us", pa.int64())])
_READ: Final = (
    CUSTOMER, "kind", "event_time", "item_id", "category", "brand", "title", "price", "currency",
    "channel", "device", "noise", "source",
)  # fmt: skip
#: Columns whose names are counted.
COUNTED: Final = ("item_id", "category", "brand", "channel", "device")
_ABOUT: Final = ("title", "category", "brand", "price")
#: Distinct names that are looked up one by one.
_FEW: Final = 64


@dataclass(frozen=True)
class Names:
    """Names with a code of their own (1, 2, ... in their order), then buckets for all others."""

    known: tuple[str, ...]
    buckets: int

    @classmethod
    def of(cls, counts: pa.Table, most: int, least: int, buckets: int) -> Self:
        """The commonest names of a table `name`, `n`; ties by name."""
        ranked = counts.filter(pc.greater_equal(counts["n"], least)).sort_by(
            [("n", "descending"), ("name", "ascending")]
        )
        return cls(tuple(ranked["name"].slice(0, most).to_pylist()), buckets)

    def extended(self, new: Names) -> Self:
        """These names with those of others after them, in buckets as the others have.

        >>> Names(("a", "b"), 4).extended(Names(("c", "a"), 4)).known
        ('a', 'b', 'c')
        """
        return type(self)(tuple(dict.fromkeys((*self.known, *new.known))), new.buckets)

    @property
    def size(self) -> int:
        """Codes in all, 0 for none counted."""
        return 1 + len(self.known) + self.buckets

    def codes(self, column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int32]:
        """(n,) codes: 0 for null, a bucket by hash for a name without a code of its own."""
        coded = Coded.of(column)
        places = self._places(coded.distinct)
        other = np.flatnonzero(places < 0)
        if len(other):
            rest = coded.distinct.take(pa.array(other)).to_pylist()
            hashes = (xxhash.xxh3_64_intdigest(name.encode()) for name in rest)
            buckets = np.fromiter((one % self.buckets for one in hashes), np.int64, len(rest))
            places[other] = buckets + len(self.known)
        return np.asarray(coded.spread(places + 1), np.int32)

    def _places(self, distinct: pa.Array) -> npt.NDArray[np.int64]:
        """The place of each name among the known ones, -1 for others.

        One event after the other is looked up in a dictionary; Arrow would index all known names
        for it anew.
        """
        if len(distinct) <= _FEW:
            found = [self._index.get(name, -1) for name in distinct.to_pylist()]
            return np.array(found, np.int64)
        places = pc.index_in(distinct, value_set=self._value_set)
        return np.array(pc.fill_null(places, -1).to_numpy(), np.int64)

    @cached_property
    def _value_set(self) -> pa.Array:
        return pa.array(self.known, pa.string())

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.known)}

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {"known": list(self.known), "buckets": self.buckets}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` wrote."""
        return cls(tuple(document["known"]), document["buckets"])


def learn_counts(
    engine: Engine, events: Relation, until: datetime, rules: Rules
) -> dict[str, pa.Table]:
    """What the vocabularies are made of, from customers' events before a moment.

    Returns:
        A table `name`, `n` for each of `COUNTED`; `price`: `price` (micro-units) and `n`; `items`:
        `item_id`, `title`, `category`, `brand`, `price`, by the item facts dated before the moment
        where there are any, else as events tell them. Prices are in the currency of the rules.
    """
    clock = pa.table({"now_us": [to_us(until)]}, schema=_CLOCK)
    inputs: dict[str, Relation] = {"events": events, "clock": clock}
    found = {name: engine.run(engine.compile(_counts(name, rules)), inputs) for name in COUNTED}
    found["price"] = engine.run(engine.compile(_prices(rules)), inputs)
    told = engine.run(engine.compile(_items(rules)), inputs)
    facts = facts_history(engine, events, until, attributes=(*_ABOUT, "currency"))
    now = facts.filter(pc.equal(facts["valid_to_us"], NEVER_US))
    found["items"] = _with_facts(told, now, rules.currency)
    return found


def _with_facts(told: pa.Table, facts: pa.Table, currency: str | None) -> pa.Table:
    """Items as events tell them, mended by what facts tell."""
    if not facts.num_rows:
        return told
    place = pc.index_in(told["item_id"], value_set=facts["item_id"].combine_chunks())
    if currency is not None:
        other = pc.fill_null(pc.not_equal(facts["currency"], currency), False)
        price = pc.if_else(other, None, facts["price"])
        facts = facts.set_column(facts.schema.get_field_index("price"), "price", price)
    for name in _ABOUT:
        theirs = facts[name].take(place).cast(told[name].type)
        told = told.set_column(
            told.schema.get_field_index(name), name, pc.coalesce(theirs, told[name])
        )
    return told


def _before(rules: Rules) -> ir.Table:
    events = unbound(pa.schema([TABLE_SCHEMA.field(name) for name in _READ]), "events")
    clock = unbound(_CLOCK, "clock")
    own = of_customers(events, rules).cross_join(clock)
    return own.filter(epoch_us(_.event_time) < _.now_us)


@lru_cache(maxsize=32)
def _counts(name: str, rules: Rules) -> ir.Table:
    rows = _before(rules).filter(_[name].notnull())
    return rows.group_by(name=_[name]).agg(n=_.count()).order_by("name")


@lru_cache(maxsize=8)
def _prices(rules: Rules) -> ir.Table:
    rows = _before(rules).filter(_.price > 0, _.kind != kinds.REFUND)
    if rules.currency is not None:
        rows = rows.filter(_.currency.isnull() | (_.currency == rules.currency))
    return rows.group_by("price").agg(n=_.count()).order_by("price")


@lru_cache(maxsize=8)
def _items(rules: Rules) -> ir.Table:
    rows = _before(rules).filter(_.item_id.notnull())
    priced = rows.price.notnull()
    if rules.currency is not None:
        priced = priced & (rows.currency.isnull() | (rows.currency == rules.currency))
    # the greatest text, not the latest: of two texts at one moment neither would be the latest
    return (
        rows.group_by("item_id")
        .agg(
            title=rows.title.max(),
            category=rows.category.max(),
            brand=rows.brand.max(),
            price=rows.price.mean(where=priced).round().cast("int64"),
        )
        .order_by("item_id")
    )
