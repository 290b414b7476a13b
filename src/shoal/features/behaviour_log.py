"""A shop's events as the log that moments are computed from, of all customers or of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis import _

from shoal.domain.money import MICROS
from shoal.evaluation.log_tally import LOG_SCHEMA
from shoal.features import queries
from shoal.features.queries import Rules
from shoal.ports import Engine, Relation

#: A log of more customers or events is read in part: a random sample of customers, all their
#: events. So memory is bounded, and quantiles of so many do not move.
MOST_CUSTOMERS: Final = 10_000
MOST_EVENTS: Final = 2_000_000

_CHOSEN_SCHEMA: Final = pa.schema([pa.field("chosen", pa.string())])
_WANTED: Final = {
    "customer_id", "kind", "local_us", "sequence", "item_id", "category", "amount", "reduction",
    "priced", "quantity", "order_id", "session_id",
}  # fmt: skip


@dataclass(frozen=True)
class BehaviourLog:
    """Events of customers (`LOG_SCHEMA`), and of how many customers and events they are a sample.

    `customers` and `events` count the whole log; `read` the customers whose events are in `log`.
    """

    log: pa.Table
    customers: int
    events: int
    read: int


def behaviour_log(
    engine: Engine,
    events: Relation,
    rules: Rules,
    *,
    seed: int = 0,
    most_customers: int = MOST_CUSTOMERS,
    most_events: int = MOST_EVENTS,
) -> BehaviourLog:
    """The events of customers as they count (no guests, no noise, no order told twice).

    Args:
        rules: of the shop; amounts of other currencies than `rules.currency` are left out.
        seed: chooses the customers where there are too many: the same ones at every call.
    """
    known = engine.run(engine.compile(_customers(rules)), {"events": events})
    counts = known["events"].to_numpy()
    read = _chosen(counts, seed, most_customers, most_events)
    names = known["customer_id"].take(pa.array(np.sort(read)))
    found = engine.run(
        engine.compile(_log(rules)),
        {"events": events, "chosen": pa.table([names], schema=_CHOSEN_SCHEMA)},
    )
    return BehaviourLog(found.cast(LOG_SCHEMA), len(counts), int(counts.sum()), len(read))


def _chosen(
    counts: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int, customers: int, events: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Places of the customers that are read: the first of a random order that keep the bounds."""
    order = np.random.default_rng(seed).permutation(len(counts)).astype(np.int64)
    within = int(np.searchsorted(np.cumsum(counts[order]), events, side="right"))
    return order[: min(customers, max(within, 1))]


def _customers(rules: Rules) -> ir.Table:
    rows = queries.prepared(queries.events_table(), rules, {"customer_id", "kind"})
    return rows.group_by("customer_id").agg(events=_.count()).order_by("customer_id")


def _log(rules: Rules) -> ir.Table:
    rows = queries.prepared(queries.events_table(), rules, set(_WANTED))
    chosen = queries.unbound(_CHOSEN_SCHEMA, "chosen")
    paid = (_.amount - _.reduction).cast("float64") / MICROS
    return rows.semi_join(chosen, rows.customer_id == chosen.chosen).select(
        customer=_.customer_id, kind=_.kind, local_us=_.local_us, sequence=_.sequence,
        item=_.item_id, category=_.category, paid=_.priced.ifelse(paid, None),
        quantity=_.quantity, order=_.order_id, session=_.session_id,
    )  # fmt: skip


def currencies_of(engine: Engine, events: Relation, rules: Rules) -> list[str]:
    """Currencies in which customers bought, the most frequent first; unstated ones as ''."""
    free = Rules(rules.value_event, None, noise=rules.noise, order_sources=rules.order_sources)
    rows = queries.prepared(
        queries.events_table(), free, {"customer_id", "kind", "price", "currency", "is_value"}
    )
    counted = (
        rows.filter(_.is_value, _.price.notnull())
        .group_by(currency=_.currency.fill_null(""))
        .agg(n=_.count())
        .order_by([_.n.desc(), _.currency])
    )
    return list(engine.run(engine.compile(counted), {"events": events})["currency"].to_pylist())
