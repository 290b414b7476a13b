"""RFM rules as SQL over the canonical columns of a deduplicated `events` table.

The statement speaks of `customer_id`, `kind`, `event_time`, `order_id`, `price`, `quantity`,
`discount`, `currency` and (where the shop names the sources of its orders) `source` only, money in
micro-units, as the contract says; thresholds and the moment are literal. Its `events` are those
that count: persons joined, noise left out, amounts in the shop's currency. It gives exactly the
customers that `shoal.segments.rules` places, because it follows the definitions of the features
`orders`, `order_recency_days` and `spend` in integers. It is written once and generated for a
dialect by sqlglot.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

import sqlglot
from sqlglot import exp

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.domain.time import from_us, iso, to_us
from shoal.features.queries import Rules
from shoal.segments.rules import GRID, NO_PURCHASE, Thresholds

#: Dialects whose answers are tested against the rules.
DIALECTS: Final = ("duckdb",)

_SQL: Final = """
WITH lines AS (
  SELECT
    customer_id, kind, event_time, order_id,
    CASE WHEN order_id IS NULL THEN event_time END AS moment_without_id,
    CASE WHEN {counts} THEN 1 ELSE 0 END AS priced,
    CASE WHEN {counts} THEN price * COALESCE(quantity, 1) ELSE 0 END AS amount,
    CASE WHEN {native} THEN COALESCE(discount, 0) ELSE 0 END AS reduction
  FROM events
  WHERE customer_id IS NOT NULL AND kind <> {item} AND event_time < {as_of}{told_once}
), orders AS (
  SELECT
    customer_id, order_id, moment_without_id,
    MIN(event_time) AS placed, SUM(priced) AS priced, SUM(amount - reduction) AS net
  FROM lines
  WHERE kind = {value_event}
  GROUP BY customer_id, order_id, moment_without_id
), bought AS (
  SELECT
    customer_id, COUNT(*) AS orders, MAX(placed) AS last_order,
    SUM(priced) AS priced, SUM(net) AS net
  FROM orders
  GROUP BY customer_id
), refunded AS (
  SELECT customer_id, SUM(ABS(amount) - reduction) AS net
  FROM lines
  WHERE kind = {refund}
  GROUP BY customer_id
), customers AS (
  SELECT DISTINCT customer_id FROM lines
), known AS (
  SELECT
    customers.customer_id, COALESCE(bought.orders, 0) AS orders, bought.last_order,
    CASE WHEN bought.priced > 0 THEN bought.net - COALESCE(refunded.net, 0) ELSE 0 END AS revenue
  FROM customers
  LEFT JOIN bought ON customers.customer_id = bought.customer_id
  LEFT JOIN refunded ON customers.customer_id = refunded.customer_id
), scores AS (
  SELECT
    customer_id, orders,
    {recency} AS recency,
    {value} AS value
  FROM known
)
SELECT customer_id
FROM scores
ORDER BY customer_id
"""


def segment_sql(
    segment_id: str,
    thresholds: Thresholds,
    as_of: datetime,
    rules: Rules,
    dialect: str = "duckdb",
) -> str:
    """SQL whose rows are the `customer_id` of a segment's members, in order.

    Args:
        segment_id: of the grid, r00 to r11.
        thresholds: learned by `Rfm.fit`.
        as_of: the moment T; only events before it count.
        rules: which kind of event counts as buying, and in which currency.
        dialect: one of `DIALECTS`.

    Raises:
        UsageError: `no_sql_form`, another dialect.
    """
    if dialect not in DIALECTS:
        raise UsageError(
            "no_sql_form",
            f"no SQL in the dialect {dialect!r}",
            where=segment_id,
            hint=f"Dialects: {', '.join(DIALECTS)}.",
        )
    head = [
        f"RFM segment {segment_id}, customers as of {iso(as_of)}.",
        "events: one row an event (deduplicated, persons joined, no noise), canonical columns,",
        "money in micro-units.",
    ]
    wanted = _wanted(segment_id, thresholds)
    tree = _everybody(thresholds, as_of, rules).where(wanted, dialect="duckdb")
    told = tree.sql(dialect, pretty=True, copy=False)
    return "\n".join([*(f"-- {line}" for line in head), told, ""])


@lru_cache(maxsize=2)
def _everybody(thresholds: Thresholds, as_of: datetime, rules: Rules) -> exp.Select:
    """All customers with their scores; parsed once for the segments of a grid."""
    told_once = ""
    if rules.order_sources:
        sources = ", ".join(map(_text, rules.order_sources))
        money = f"{_text(kinds.PURCHASE)}, {_text(kinds.REFUND)}"
        told_once = f" AND (kind NOT IN ({money}) OR source IN ({sources}))"
    native = "TRUE"
    if rules.currency:
        native = f"COALESCE(currency = {_text(rules.currency)}, TRUE)"
    sql = _SQL.format(
        counts="price IS NOT NULL" + (f" AND {native}" if rules.currency else ""),
        native=native,
        item=_text(kinds.ITEM),
        refund=_text(kinds.REFUND),
        value_event=_text(rules.value_event),
        as_of=_moment(as_of),
        told_once=told_once,
        recency=_recency(thresholds, as_of),
        value=_value(thresholds),
    )
    tree = sqlglot.parse_one(sql, read="duckdb")
    assert isinstance(tree, exp.Select)
    return tree


def _recency(thresholds: Thresholds, as_of: datetime) -> str:
    """5 for the most recent fifth, one less for each bound exceeded."""
    moments = (from_us(to_us(as_of) - bound) for bound in thresholds.recency_us)
    steps = (f"CASE WHEN last_order < {_moment(one)} THEN 1 ELSE 0 END" for one in moments)
    return " - ".join(["5", *steps])


def _value(thresholds: Thresholds) -> str:
    """Frequency score, plus money score where amounts are known."""
    score = _score("orders", thresholds.orders)
    if thresholds.revenue is not None:
        score += " + " + _score("revenue", thresholds.revenue)
    return score


def _score(name: str, bounds: tuple[int, ...]) -> str:
    return " + ".join(["1", *(f"CASE WHEN {name} > {bound} THEN 1 ELSE 0 END" for bound in bounds)])


def _wanted(segment_id: str, thresholds: Thresholds) -> str:
    if segment_id == NO_PURCHASE:
        return "orders = 0"
    cells = []
    for recency, row in enumerate(GRID, start=1):
        both = [place for place, segment in enumerate(row, start=1) if segment == segment_id]
        if not both:
            continue
        # The rounded mean of two scores is b where their sum is 2 b - 1 or 2 b.
        if thresholds.revenue is not None:
            both = [value for place in both for value in (2 * place - 1, 2 * place)]
        cells.append(f"(recency = {recency} AND value IN ({', '.join(map(str, both))}))")
    return f"orders > 0 AND ({' OR '.join(cells)})"


def _moment(moment: datetime) -> str:
    text = moment.isoformat(sep=" ", timespec="microseconds")
    return f"CAST({_text(text)} AS TIMESTAMPTZ)"


def _text(text: str) -> str:
    return exp.Literal.string(text).sql("duckdb")
