"""Small logs written by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shoal.domain.time import DAY_US
from shoal.evaluation.log_tally import LOG_SCHEMA, Contents, Tally, contents_of, tally

HOUR = DAY_US // 24
MINUTE = HOUR // 60
#: 2024-01-01, a Monday, in microseconds.
MONDAY = 19_723 * DAY_US


def log(*rows: dict[str, Any]) -> pa.Table:
    base = dict.fromkeys(LOG_SCHEMA.names) | {"sequence": 0, "kind": "view"}
    return pa.Table.from_pylist([base | row for row in rows], schema=LOG_SCHEMA)


def tallied(*rows: dict[str, Any], **told: Any) -> Tally:
    table = log(*rows)
    contents = contents_of(table)
    return tally(table, Contents(**{**contents.__dict__, **told}))


def shoppers(count: int, *, orders: int = 1, gap_days: float = 2.0) -> list[dict[str, Any]]:
    """Customers who each look twice and then buy two lines, `orders` times."""
    rows = []
    for who in range(count):
        for number in range(orders):
            start = MONDAY + int(number * gap_days * DAY_US) + 10 * HOUR + who * MINUTE
            common = {"customer": f"c{who}", "session": f"s{who}-{number}"}
            looked = {**common, "item": "i1"}
            rows += [{**looked, "local_us": start}, {**looked, "local_us": start + 5 * MINUTE}]
            for line, paid in enumerate((30.0, 10.0)):
                rows.append(
                    {**common, "kind": "purchase", "local_us": start + 9 * MINUTE, "paid": paid,
                     "quantity": 1 + line, "order": f"o{who}-{number}", "item": f"i{line}"}
                )  # fmt: skip
    return rows
