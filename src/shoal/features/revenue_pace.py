"""Lines of money of visitors that a pace rule caught: which they are, by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.features.algebra import epoch_us
from shoal.features.queries import unbound

#: Stretches of a visitor's time (raw id) that a pace rule caught.
STRETCHES_SCHEMA: Final = pa.schema(
    [
        pa.field("rule", pa.string()),
        pa.field("id", pa.string()),
        pa.field("from_us", pa.int64()),
        pa.field("to_us", pa.int64()),
    ]
)


def stretches(flags: pa.Table) -> pa.Table:
    """`STRETCHES_SCHEMA` of flags (`FLAGS_SCHEMA`).

    Those of one visitor and rule do not overlap, so that no line meets two.
    """
    columns = (flags[name].to_pylist() for name in ("rule", "visitor_id", "from_us", "to_us"))
    joined: list[list[Any]] = []
    for rule, visitor, begin, end in sorted(zip(*columns, strict=True)):
        last = joined[-1] if joined else None
        if last is not None and last[:2] == [rule, visitor] and begin <= last[3]:
            last[3] = max(last[3], end)
        else:
            joined.append([rule, visitor, begin, end])
    return pa.Table.from_pylist(
        [dict(zip(STRETCHES_SCHEMA.names, row, strict=True)) for row in joined],
        schema=STRETCHES_SCHEMA,
    )


def judged(events: ir.Table, rules: Sequence[str]) -> ir.Table:
    """Events with `pace`: the first of some rules that caught them, null where none did.

    Binds the input `stretches` where there are rules.
    """
    for rule in rules:
        theirs = unbound(STRETCHES_SCHEMA, "stretches").filter(_.rule == rule)
        own = theirs.select(**{f"{rule}_{name}": _[name] for name in ("id", "from_us", "to_us")})
        us = epoch_us(events.event_time)
        caught = (
            (ibis.coalesce(events.customer_id, events.anonymous_id) == own[f"{rule}_id"])
            & (us >= own[f"{rule}_from_us"])
            & (us < own[f"{rule}_to_us"])
        )
        events = events.left_join(own, caught)
    found = [ibis.ifelse(events[f"{rule}_id"].notnull(), rule, None) for rule in rules]
    return events.mutate(pace=ibis.coalesce(*found) if found else ibis.null("string"))
