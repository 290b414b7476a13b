"""What is known of items at a moment: facts of items with the time from which each holds.

Item facts are events of kind `item`: each tells some attributes of an item, from its `event_time`
on. An attribute holds until a later fact tells another one; an attribute that a fact does not tell
stays as it was. So a daily list of prices need not repeat titles, and a title mended later does not
undo a price. A price goes with the currency of the fact that told it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import to_us
from shoal.events.schema import ORDER, TABLE_SCHEMA
from shoal.features.admission import FILLED, ITEMS_SCHEMA, NEVER_US
from shoal.features.algebra import epoch_us
from shoal.features.queries import json_text, unbound
from shoal.ports import Engine, Relation

#: Members of `properties` that refer to an item's image; the first that is told counts.
IMAGES: Final = ("image", "image_url", "image_link")
#: Attributes of items, as facts have them; `image` is one of `IMAGES`.
ATTRIBUTES: Final = (
    "title", "text", "category", "brand", "price", "currency", "image", "properties",
)  # fmt: skip

_TYPES: Final = {"price": pa.int64()}

#: Facts of items: `item_id` has these attributes with `valid_from_us <= time < valid_to_us`
#: (UTC microseconds; `valid_to_us` is `NEVER_US` for what holds still).
FACTS_SCHEMA: Final = pa.schema(
    [
        pa.field("item_id", pa.string()),
        pa.field("valid_from_us", pa.int64()),
        pa.field("valid_to_us", pa.int64()),
        *(pa.field(name, _TYPES.get(name, pa.string())) for name in ATTRIBUTES),
    ]
)

_READ: Final = ("kind", "item_id", *ORDER, "source")
_CLOCK: Final = pa.schema([pa.field("now_us", pa.int64())])
_BY_ITEM: Final = ("item_id", "us", "sequence", "event_id", "source")


def facts_schema(attributes: Sequence[str] = ATTRIBUTES) -> pa.Schema:
    """`FACTS_SCHEMA` with some attributes only."""
    return pa.schema([*list(FACTS_SCHEMA)[:3], *(FACTS_SCHEMA.field(name) for name in attributes)])


def facts_history(
    engine: Engine,
    events: Relation,
    as_of: datetime | None = None,
    *,
    attributes: Sequence[str] = ATTRIBUTES,
) -> pa.Table:
    """Every item's facts over time, from the item facts dated before a moment.

    Args:
        events: files or rows of the event table; only events of kind `item` are looked at.
        as_of: T, aware; None takes all facts.
        attributes: those wanted; a row is there only where one of them changes, so a history of
            categories stays short however often prices change.

    Returns:
        `facts_schema(attributes)` by item and `valid_from_us`; intervals of an item do not overlap.
        Items of which none of the attributes is told have no row.
    """
    clock = pa.table({"now_us": [NEVER_US if as_of is None else to_us(as_of)]}, schema=_CLOCK)
    query = engine.compile(_history(tuple(attributes)))
    return engine.run(query, {"events": events, "clock": clock}).cast(facts_schema(attributes))


def facts_at(engine: Engine, events: Relation, as_of: datetime | None = None) -> pa.Table:
    """What is known of each item at a moment: the latest value of each attribute dated before it.

    Returns:
        `FACTS_SCHEMA` by item, one row an item; `valid_from_us` is the time of the latest change.
    """
    history = facts_history(engine, events, as_of)
    last = pc.equal(history["valid_to_us"], NEVER_US)
    return history.filter(last)


def with_item_facts(
    events: ir.Table, facts: ir.Table, attributes: Sequence[str] = FILLED
) -> ir.Table:
    """Events that lack a category or a brand have that of their item, as valid at their time.

    Nothing that an event tells itself is changed, prices never. Since a fact counts for events at
    or after its own time only, facts dated after T change no event before T.

    Args:
        events: with `kind`, `item_id`, `event_time` and any of the attributes; columns and rows
            stay.
        facts: as `facts_history(..., attributes=attributes)` gives them (`ITEMS_SCHEMA`).
        attributes: what is filled.
    """
    names = [name for name in attributes if name in events.columns]
    us = epoch_us(events.event_time)
    theirs = facts.select(
        fact_item=facts.item_id,
        fact_from=facts.valid_from_us,
        fact_to=facts.valid_to_us,
        **{f"fact_{name}": facts[name] for name in names},
    )
    lacking = ibis.or_(*(events[name].isnull() for name in names))
    valid = (
        (events.item_id == theirs.fact_item)
        & (us >= theirs.fact_from)
        & (us < theirs.fact_to)
        & (events.kind != kinds.ITEM)
        & lacking
    )
    joined = events.left_join(theirs, valid)
    filled = {name: ibis.coalesce(joined[name], joined[f"fact_{name}"]) for name in names}
    return joined.mutate(**filled).select(*events.columns)


def takes_any(engine: Engine, events: Relation, facts: pa.Table) -> bool:
    """Whether any of some events takes anything from item facts (`ITEMS_SCHEMA`)."""
    if not facts.num_rows:
        return False
    found = engine.run(engine.compile(_takers()), {"events": events, "facts": facts})
    return bool(found.num_rows)


def tells_items(engine: Engine, events: Relation) -> bool:
    """Whether there are item facts among some events."""
    return bool(engine.run(engine.compile(_item_facts()), {"events": events}).num_rows)


def visitors_touched(
    engine: Engine, events: Relation, before: pa.Table, after: pa.Table
) -> pa.Array:
    """Whose events take something else from newer item facts than they took from older ones.

    Args:
        events: files or rows of the event table.
        before, after: `ITEMS_SCHEMA`.

    Returns:
        Distinct raw ids (`customer_id`, else `anonymous_id`), sorted; none where nothing changed.
    """
    if before.equals(after):
        return pa.array([], pa.string())
    inputs: dict[str, Relation] = {"events": events, "before": before, "after": after}
    found = engine.run(engine.compile(_touched()), inputs)
    return found["visitor_id"].combine_chunks().cast(pa.string())


@lru_cache(maxsize=1)
def _takers() -> ir.Table:
    events = _events("kind", "item_id", "event_time", *FILLED)
    facts = unbound(ITEMS_SCHEMA, "facts")
    lacking = ibis.or_(*(events[name].isnull() for name in FILLED))
    asked = events.filter(lacking, _.kind != kinds.ITEM, _.item_id.notnull())
    us = epoch_us(asked.event_time)
    told = ibis.or_(*(asked[name].isnull() & facts[name].notnull() for name in FILLED))
    same = (
        (asked.item_id == facts.item_id)
        & (us >= facts.valid_from_us)
        & (us < facts.valid_to_us)
        & told
    )
    return asked.semi_join(facts, same).select("item_id").limit(1)


@lru_cache(maxsize=1)
def _item_facts() -> ir.Table:
    return _events("kind").filter(_.kind == kinds.ITEM).limit(1)


def _events(*names: str) -> ir.Table:
    return unbound(pa.schema([TABLE_SCHEMA.field(name) for name in names]), "events")


@lru_cache(maxsize=1)
def _touched() -> ir.Table:
    events = _events("kind", "item_id", "event_time", "customer_id", "anonymous_id", *FILLED)
    before, after = (unbound(ITEMS_SCHEMA, name) for name in ("before", "after"))
    changed = before.difference(after).union(after.difference(before)).select("item_id").distinct()
    lacking = ibis.or_(*(events[name].isnull() for name in FILLED))
    theirs = events.filter(lacking, _.kind != kinds.ITEM).semi_join(changed, "item_id")
    theirs = theirs.mutate(visitor_id=ibis.coalesce(_.customer_id, _.anonymous_id))
    asked = theirs.filter(_.visitor_id.notnull()).mutate(
        **{f"{name}_told": theirs[name] for name in FILLED}
    )
    then = with_item_facts(asked, before).mutate(**{f"{name}_then": _[name] for name in FILLED})
    told = then.mutate(**{name: then[f"{name}_told"] for name in FILLED})
    now = with_item_facts(told, after)
    same = ibis.and_(*(now[name].identical_to(now[f"{name}_then"]) for name in FILLED))
    return now.filter(~same).select("visitor_id").distinct().order_by("visitor_id")


@lru_cache(maxsize=8)
def _history(attributes: tuple[str, ...]) -> ir.Table:
    # columns of what is not wanted are not read, so files that lack them will do
    told_by = {"image": ("properties",), "currency": ("currency", "price")}
    wanted = dict.fromkeys(one for name in attributes for one in told_by.get(name, (name,)))
    events = _events(*_READ, *wanted)
    clock = unbound(_CLOCK, "clock")
    told = (
        events.filter(_.kind == kinds.ITEM, _.item_id.notnull())
        .select(*_READ, *wanted, us=epoch_us(_.event_time), **_images(attributes))
        .cross_join(clock)
        .filter(_.us < _.now_us)
    )
    # facts that tell nothing of what is wanted change nothing, and may be nearly all there are
    told = told.filter(ibis.or_(*(told[name].notnull() for name in attributes)))
    held = _changes(_carried(told, attributes), attributes)
    upto = ibis.coalesce(held.us.lead().over(_in_time()), ibis.literal(NEVER_US, "int64"))
    return held.select(
        "item_id", valid_from_us=held.us, valid_to_us=upto, **{n: held[n] for n in attributes}
    ).order_by(["item_id", "valid_from_us"])


def _carried(told: ir.Table, attributes: tuple[str, ...]) -> ir.Table:
    """Facts with every attribute as it was told last, one row an item and moment.

    The rows from one telling of an attribute to the next have the same count of tellings; the one
    value among them is their greatest.
    """
    upto = ibis.window(group_by="item_id", order_by=list(_BY_ITEM[1:]), rows=(None, 0))
    tellers = {name: "price" if name == "currency" else name for name in attributes}
    counted = told.mutate(
        next_us=told.us.lead().over(group_by="item_id", order_by=list(_BY_ITEM[1:])),
        **{f"{name}_n": told[name].count().over(upto) for name in set(tellers.values())},
    )
    carried: dict[str, Any] = {}
    for name, teller in tellers.items():
        value = ibis.ifelse(counted[teller].notnull(), counted[name], ibis.null())
        same = ibis.window(group_by=["item_id", f"{teller}_n"])
        carried[name] = value.max().over(same)
    full = counted.mutate(**carried)
    return full.filter(full.next_us.isnull() | (full.next_us > full.us))


def _changes(held: ir.Table, attributes: tuple[str, ...]) -> ir.Table:
    """The rows that differ from the one before in an attribute."""
    before = held.mutate(
        earlier_us=held.us.lag().over(_in_time()),
        **{f"{name}_was": held[name].lag().over(_in_time()) for name in attributes},
    )
    same = ibis.and_(*(before[name].identical_to(before[f"{name}_was"]) for name in attributes))
    return before.filter(before.earlier_us.isnull() | ~same)


def _images(attributes: tuple[str, ...]) -> dict[str, Any]:
    if "image" not in attributes:
        return {}
    return {"image": ibis.coalesce(*(json_text(_.properties, name) for name in IMAGES))}


def _in_time() -> Any:
    return ibis.window(group_by="item_id", order_by="us")
