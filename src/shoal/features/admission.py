"""Which stored events count, as whose, and for how much: what stands before every fold.

The event table keeps what came in. Before it is folded, an anonymous visitor's events are given to
the customer who signed in, events of merged ids to the id that remained, noise is left out, and
amounts become the shop's currency. The decisions are three small tables, each as of a moment; how
they come about is the business of `shoal.features.people`, `shoal.features.pace` and
`shoal.features.rates`.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

#: Whose an event is. An event's raw id is its `customer_id`, or its `anonymous_id` where it has no
#: customer; with `from_us <= event_time < to_us` it belongs to `customer_id` (null: to nobody).
#: Intervals of one id do not overlap. Ids that are not in the table stay as they are: customers
#: are themselves, anonymous visitors nobody's. (UTC microseconds.)
PEOPLE_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("from_us", pa.int64()),
        pa.field("to_us", pa.int64()),
        pa.field("customer_id", pa.string()),
    ]
)

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

#: The beginning and the end of time, for intervals without one.
EVER_US: Final = -(2**62)
NEVER_US: Final = 2**62
