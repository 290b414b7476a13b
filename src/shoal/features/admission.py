"""Which stored events count, as whose, and for how much: what stands before every fold.

The event table keeps what came in. Before it is folded, an anonymous visitor's events are given to
the customer who signed in, events of merged ids to the id that remained, noise is left out,
amounts become the shop's currency, and what an event does not tell of its item is taken from the
facts of the item. The decisions are four tables; how they come about is the business of
`shoal.features.people`, `shoal.features.pace`, `shoal.features.rates` and `shoal.features.items`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

#: Whose an event is. An event's raw id is its `customer_id`, or its `anonymous_id` where it has no
#: customer; with `from_us <= event_time < to_us` it belongs to `customer_id` (null: to nobody).
#: Rows that are `merged` speak of all events of the id, the others of those without a customer.
#: Intervals of one id do not overlap. Ids that are not in the table stay as they are: customers
#: are themselves, anonymous visitors nobody's. (UTC microseconds.)
PEOPLE_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("from_us", pa.int64()),
        pa.field("to_us", pa.int64()),
        pa.field("customer_id", pa.string()),
        pa.field("merged", pa.bool_()),
    ]
)

#: What is told of ids, of each only where it changes, by (`id`, `from_us`, `sequence`, `event_id`):
#: from the time of that event on, `id` is `customer_id` (`says` = link), was always that customer
#: (alias: the whole history goes along), or every earlier statement that it is that customer is
#: void (cut). `source`, `kind` and `event_id` name the event.
LINKS_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("from_us", pa.int64()),
        pa.field("sequence", pa.int64()),
        pa.field("event_id", pa.string()),
        pa.field("customer_id", pa.string()),
        pa.field("says", pa.string()),
        pa.field("source", pa.string()),
        pa.field("kind", pa.string()),
    ]
)
LINK: Final = "link"
ALIAS: Final = "alias"
CUT: Final = "cut"

#: Stretches of a visitor's time (raw id as above) whose events a pace rule caught; `told_us` is the
#: time of the event that completed the evidence, so a snapshot at T knows those with `told_us < T`.
FLAGS_SCHEMA: Final = pa.schema(
    [
        pa.field("visitor_id", pa.string()),
        pa.field("from_us", pa.int64()),
        pa.field("to_us", pa.int64()),
        pa.field("rule", pa.string()),
        pa.field("told_us", pa.int64()),
    ]
)

#: What one unit of a currency was worth on a local day (days since 1970), in the shop's currency
#: times 1e12; one row for every day that has a rate, gaps filled.
RATES_SCHEMA: Final = pa.schema(
    [
        pa.field("currency", pa.string()),
        pa.field("day", pa.int64()),
        pa.field("rate_pico", pa.int64()),
    ]
)

#: What events that do not tell it take from the facts of their item: what features read of items.
FILLED: Final = ("category", "brand")

#: What holds of items with `valid_from_us <= event_time < valid_to_us` (UTC microseconds;
#: `valid_to_us` is `NEVER_US` for what holds still). Intervals of an item do not overlap.
ITEMS_SCHEMA: Final = pa.schema(
    [
        pa.field("item_id", pa.string()),
        pa.field("valid_from_us", pa.int64()),
        pa.field("valid_to_us", pa.int64()),
        *(pa.field(name, pa.string()) for name in FILLED),
    ]
)

#: The beginning and the end of time, for intervals without one.
EVER_US: Final = -(2**62)
NEVER_US: Final = 2**62


@dataclass(frozen=True)
class Decisions:
    """Whose, noise or not, for how much, and of what, as of one moment.

    Args:
        people: `PEOPLE_SCHEMA`.
        flags: `FLAGS_SCHEMA`, of the rules that are switched on and known at the moment.
        rates: `RATES_SCHEMA` into `currency`; without rows amounts stay as they are.
        currency: the shop's.
        items: `ITEMS_SCHEMA`. Facts dated after the moment change no event before it, so they
            may be there.
    """

    people: pa.Table = field(default_factory=PEOPLE_SCHEMA.empty_table)
    flags: pa.Table = field(default_factory=FLAGS_SCHEMA.empty_table)
    rates: pa.Table = field(default_factory=RATES_SCHEMA.empty_table)
    currency: str = ""
    items: pa.Table = field(default_factory=ITEMS_SCHEMA.empty_table)

    @property
    def none(self) -> bool:
        """Whether every event counts as it is stored."""
        return not any(
            table.num_rows for table in (self.people, self.flags, self.rates, self.items)
        )

    def ids_of(self, customers: pa.Array) -> pa.Array:
        """The raw ids whose events may belong to some customers, the customers' own among them."""
        owned = pc.is_in(self.people["customer_id"], value_set=customers)
        theirs = self.people["id"].filter(owned).combine_chunks()
        return pa.concat_arrays([customers.cast(pa.string()), theirs.cast(pa.string())]).unique()

    def owners_of(self, ids: pa.Array) -> pa.Array:
        """The customers to whom events of raw ids may belong, the ids themselves among them."""
        mine = pc.is_in(self.people["id"], value_set=ids)
        owners = self.people["customer_id"].filter(mine).combine_chunks().drop_null()
        return pa.concat_arrays([ids.cast(pa.string()), owners.cast(pa.string())]).unique()
