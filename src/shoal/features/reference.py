"""What features need of other customers, frozen as one table of items.

One row an item: when it was first seen, how sought after it is, and how dear within its category.
The table is built from the events before a moment and kept as an artefact: states fold one customer
at a time, and their features read this table, so that the same state gives the same features until
somebody freezes a newer one.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import to_us
from shoal.events.noise import ROW_RULES
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.algebra import epoch_us, total
from shoal.features.queries import no_noise
from shoal.ports import Engine, Relation

#: `item_first_us` first event with the item (the first fact where there are facts alone);
#: `popularity` share of items with fewer or as many events, 0 to 1; `price_rank` share of the other
#: priced items of its category (the whole path) that are cheaper, 0 to 1 (null without a price or
#: when the category has one priced item).
REFERENCE_SCHEMA: Final = pa.schema(
    [
        pa.field("item_id", pa.string()),
        pa.field("item_first_us", pa.int64()),
        pa.field("popularity", pa.float64()),
        pa.field("price_rank", pa.float64()),
    ]
)

_CLOCK: Final = pa.schema([pa.field("now_us", pa.int64())])


def build(
    engine: Engine, events: Relation, as_of: datetime, noise: tuple[str, ...] = ROW_RULES
) -> pa.Table:
    """The reference of all items with an event before `as_of` (`REFERENCE_SCHEMA`, by item).

    Guests' events count too, those with a noise code of `noise` do not. The price of an item is
    the mean of its prices; its category the greatest text among the categories it was seen in.
    """
    clock = pa.table({"now_us": [to_us(as_of)]}, schema=_CLOCK)
    query = engine.compile(_definition(noise))
    table = engine.run(query, {"events": events, "clock": clock})
    return table.cast(REFERENCE_SCHEMA)


def empty() -> pa.Table:
    """A reference that knows no item."""
    return REFERENCE_SCHEMA.empty_table()


@lru_cache(maxsize=4)
def _definition(noise: tuple[str, ...]) -> ir.Table:
    names = ("event_time", "kind", "item_id", "category", "price", "noise")
    schema = ibis.Schema.from_pyarrow(pa.schema([TABLE_SCHEMA.field(name) for name in names]))
    events = ibis.table(schema, name="events").filter(_.item_id.notnull())
    clock = ibis.table(ibis.Schema.from_pyarrow(_CLOCK), name="clock")
    before = (
        events.filter(no_noise(noise))
        .select("kind", "item_id", "category", "price", us=epoch_us(_.event_time))
        .cross_join(clock)
    )
    priced = _.price.notnull() & (_.price > 0)
    items = (
        before.filter(_.us < _.now_us)
        .group_by("item_id")
        .agg(
            # a list of facts is dated when it was made, not when its items were new
            item_first_us=ibis.coalesce(_.us.min(where=_.kind != kinds.ITEM), _.us.min()),
            n=total(1, where=_.kind != kinds.ITEM),
            category=_.category.max(),
            price=_.price.mean(where=priced),
        )
    )
    ranks = items.mutate(
        popularity=ibis.cume_dist().over(order_by=_.n),
        price_rank=ibis.ifelse(
            _.price.notnull(),
            ibis.percent_rank().over(group_by=[_.category, _.price.isnull()], order_by=_.price),
            ibis.null("float64"),
        ),
        peers=_.price.count().over(group_by=[_.category, _.price.isnull()]),
    )
    alone = (_.peers > 1).ifelse(_.price_rank, ibis.null("float64"))
    return ranks.select("item_id", "item_first_us", "popularity", price_rank=alone).order_by(
        "item_id"
    )
