"""The query that exports GA4's table flat and small: one row a fact, the columns that are read."""

from __future__ import annotations

import re
from typing import Final

from shoal.domain.errors import UsageError
from shoal.events.shapes.ga4 import ITEM_EVENTS
from shoal.events.shapes.ga4_rows import UNKNOWN

#: Dialects that the query is written in.
DIALECTS: Final = ("bigquery",)
#: What stands for the shop's own table until it is told.
TABLE: Final = "PROJECT.analytics_PROPERTY.events_*"

_NAME: Final = re.compile(r"[A-Za-z0-9_.*-]+")
_TEXT: Final = "(SELECT COALESCE(value.string_value, CAST(value.int_value AS STRING)) "
_NUMBER: Final = (
    "(SELECT COALESCE(value.double_value, value.float_value, CAST(value.int_value AS FLOAT64), "
    "SAFE_CAST(value.string_value AS FLOAT64)) "
)
_FROM: Final = "FROM UNNEST(event_params) WHERE key = '{key}' LIMIT 1)"
_TEXTS: Final = (
    "ga_session_id", "page_location", "page_title", "search_term", "currency", "coupon",
    "payment_type",
)  # fmt: skip

_QUERY: Final = """\
-- GA4's events for `shoal ingest SHOP FILE --preset ga4`: one row a fact, no user properties.
-- Save the result as Parquet or newline-delimited JSON, one file a day or several.
SELECT
  event_date,
  CAST(event_timestamp AS STRING) AS event_timestamp,
  event_name,
  user_id,
  user_pseudo_id,
  stream_id,
{parameters}
  COALESCE(NULLIF(NULLIF({transaction}, ''), '(not set)'), ecommerce.transaction_id)
    AS transaction_id,
  COALESCE({value}, ecommerce.purchase_revenue, ecommerce.refund_value) AS value,
  COALESCE({tax}, ecommerce.tax_value) AS tax,
  COALESCE({shipping}, ecommerce.shipping_value) AS shipping,
  device.category AS device_category,
  geo.country AS country,
  geo.region AS region,
  traffic_source.medium AS medium,
  traffic_source.source AS source,
  item.item_id,
  item.item_name,
  item.item_brand,
  ARRAY_TO_STRING(ARRAY(
    SELECT level FROM UNNEST([
      item.item_category, item.item_category2, item.item_category3,
      item.item_category4, item.item_category5
    ]) AS level WITH OFFSET AS place WHERE level NOT IN ({unknown}) ORDER BY place
  ), '/') AS item_category,
  item.coupon AS item_coupon,
  CAST(item.quantity AS STRING) AS item_quantity,
  item.price AS item_price,
  COALESCE(line, 0) AS line,
  (SELECT COUNT(price) FROM UNNEST(items)) AS items_priced
FROM `{table}`
LEFT JOIN UNNEST(IF(event_name IN ({item_events}), items, NULL)) AS item WITH OFFSET AS line
WHERE event_name NOT IN ('session_start', 'first_visit', 'first_open', 'user_engagement', 'scroll')
{days}ORDER BY event_date, event_timestamp
"""

#: `events_*` matches `events_intraday_*` and `events_fresh_*` too: the same events once more.
_WHOLE_DAYS: Final = "  AND REGEXP_CONTAINS(_TABLE_SUFFIX, r'^[0-9]+$')\n"


def query(dialect: str = "bigquery", *, table: str = TABLE, first: str = "", last: str = "") -> str:
    """The query as text.

    Args:
        dialect: one of `DIALECTS`.
        table: the export's table, `project.dataset.events_*`.
        first, last: days `YYYYMMDD` that a wildcard table is read from and to; both or none.
            Without them all whole days are read, not the intraday tables beside them.

    Raises:
        UsageError: `unknown_dialect`; `usage` for a table or a day that is none.
    """
    if dialect not in DIALECTS:
        raise UsageError(
            "unknown_dialect",
            f"the query for ga4 is not written in the dialect {dialect!r}",
            hint=f"Dialects: {', '.join(DIALECTS)}.",
        )
    if not _NAME.fullmatch(table):
        raise UsageError(
            "usage", f"{table!r} is no name of a table",
            hint="Give it as project.dataset.events_* (letters, digits, _ - . and *).",
        )  # fmt: skip
    for day in (first, last):
        if bool(first) != bool(last) or (day and not re.fullmatch(r"\d{8}", day)):
            raise UsageError(
                "usage", f"the days are {first!r} to {last!r}",
                hint="Give both --from and --to, as YYYYMMDD.",
            )  # fmt: skip
    days = ""
    if first:
        days = f"  AND _TABLE_SUFFIX BETWEEN '{first}' AND '{last}'\n"
    elif table.endswith("events_*"):
        days = _WHOLE_DAYS
    return _QUERY.format(
        parameters="\n".join(f"  {_TEXT}{_FROM.format(key=key)} AS {key}," for key in _TEXTS),
        transaction=_TEXT + _FROM.format(key="transaction_id"),
        value=_NUMBER + _FROM.format(key="value"),
        tax=_NUMBER + _FROM.format(key="tax"),
        shipping=_NUMBER + _FROM.format(key="shipping"),
        unknown=", ".join(f"'{word}'" for word in UNKNOWN),
        table=table,
        item_events=", ".join(f"'{name}'" for name in ITEM_EVENTS),
        days=days,
    )
