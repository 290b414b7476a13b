"""The fold's definitions as Ibis expressions over unbound tables: prepare, partial, merge, finish.

Nothing here runs. `shoal.features.fold` compiles each expression once for its engine. What engines
do differently is avoided (see docs/concepts/features.md): no order-dependent
aggregates, no engine-made hashes, no timestamp differences, no division by zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
from ibis import Deferred, _
from ibis.common.deferred import deferrable

from shoal.domain import kinds
from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US, SECOND_US
from shoal.events.noise import DELIVERY, ROW_RULES
from shoal.events.schema import ORDER, TABLE_SCHEMA
from shoal.features.algebra import CUSTOMER, Grain, Stat, ValueType, as_int64, epoch_us, total
from shoal.features.catalog import Catalog
from shoal.features.covariates import (
    ALWAYS_US,
    COVARIATES_SCHEMA,
    CovariateTable,
    columns_needed,
    met,
    with_now,
)
from shoal.features.grains import COARSER, COVARIATE, CUSTOMER_GRAIN, GRAINS, TRAIT

HOUR_US: Final = 3600 * SECOND_US
#: 1970-01-01 was a Thursday; Monday is 0.
_EPOCH_WEEKDAY: Final = 3

#: Columns of the event table that the fold reads.
EVENT_COLUMNS: Final = (
    "event_id", "customer_id", "kind", "event_time", "sequence", "item_id", "category", "brand",
    "price", "discount", "currency", "quantity", "order_id", "payment", "coupon", "session_id",
    "query", "rating", "channel", "device", "country", "region", "action_id", "properties",
    "utc_offset_s", "noise", "source",
)  # fmt: skip
EVENTS_SCHEMA: Final = pa.schema([TABLE_SCHEMA.field(name) for name in EVENT_COLUMNS])

#: The as-of moment: `now_us` and `today`, the local day of the microsecond before it.
CLOCK_SCHEMA: Final = pa.schema([pa.field("now_us", pa.int64()), pa.field("today", pa.int64())])

#: The last events of a customer are kept with these columns; long texts stay in the event table.
TAIL: Final = "tail"
TAIL_COLUMNS: Final = (
    "event_time", "sequence", "event_id", "kind", "item_id", "category", "brand", "price",
    "discount", "quantity", "currency", "order_id", "session_id", "query", "rating", "channel",
    "device", "action_id", "utc_offset_s",
)  # fmt: skip
TAIL_SCHEMA: Final = pa.schema(
    [TABLE_SCHEMA.field(CUSTOMER), *(TABLE_SCHEMA.field(name) for name in TAIL_COLUMNS)]
)

_TEXT_KEYS: Final = frozenset(
    key for grain in GRAINS for key in grain.keys if key not in ("day", "known_us")
)  # all keys but the local day and moments are texts
_RESULT: Final[Mapping[ValueType, dt.DataType]] = {
    "count": dt.int64, "number": dt.float64, "text": dt.string,
}  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """What a shop settles about its events.

    Args:
        value_event: kind that counts as buying.
        currency: amounts in any other currency are left out; None takes all as one currency.
        traits: names in `properties` of profile events that are features.
        tail: how many last events of a customer are kept.
        noise: codes of the column `noise` whose events are left out.
        order_sources: sources that tell of orders; purchases and refunds of any other source are
            left out, as the same orders told once more. Empty: every source counts.
        covariates: the tables from outside that events meet.
    """

    value_event: str = kinds.PURCHASE
    currency: str | None = None
    traits: tuple[str, ...] = ()
    tail: int = 32
    noise: tuple[str, ...] = ROW_RULES
    order_sources: tuple[str, ...] = ()
    covariates: tuple[CovariateTable, ...] = ()


def grain_schema(grain: Grain) -> pa.Schema:
    """Columns of a grain's partial table: customer, keys, stats."""
    keys = [pa.field(key, pa.string() if key in _TEXT_KEYS else pa.int64()) for key in grain.keys]
    stats = [pa.field(stat.name, pa.int64()) for stat in grain.stats]
    return pa.schema([pa.field(CUSTOMER, pa.string()), *keys, *stats])


#: Partial tables by name: every grain and the tail.
PARTIAL_SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    **{grain.name: grain_schema(grain) for grain in GRAINS},
    TAIL: TAIL_SCHEMA,
}


def unbound(schema: pa.Schema, name: str) -> ir.Table:
    """An unbound table of an Arrow schema."""
    return ibis.table(ibis.Schema.from_pyarrow(schema), name=name)


def events_table() -> ir.Table:
    """The unbound event table of the fold."""
    return unbound(EVENTS_SCHEMA, "events")


def clock_table() -> ir.Table:
    """The unbound one-row clock."""
    return unbound(CLOCK_SCHEMA, "clock")


def of_customers(events: ir.Table, rules: Rules) -> ir.Table:
    """Customers' own events: no guests, no facts of items, no noise, no order told twice."""
    own = events.filter(_.customer_id.notnull(), _.kind != kinds.ITEM, no_noise(rules.noise))
    if rules.order_sources:
        own = own.filter(told_once(rules.order_sources))
    return own


def told_once(order_sources: Sequence[str]) -> Deferred:
    """The condition that an event is no purchase or refund of a source that tells of no orders."""
    money: Deferred = _.kind.isin((kinds.PURCHASE, kinds.REFUND))
    return ~money | _.source.isin(order_sources)


def no_noise(codes: Sequence[str]) -> Deferred:
    """The condition that an event bears none of some noise codes, and tells of no export."""
    free: Deferred = _.noise.isnull() | _.noise.notin((*codes, DELIVERY))
    return free


def prepared_columns(rules: Rules) -> dict[str, Deferred]:
    """The columns that grains speak of, each over the event's columns and those before it.

    Amounts are 0 where they do not count.
    """
    other = (_.currency != rules.currency).fill_null(False) if rules.currency else _.kind.isnull()
    slash = _.category.find("/")
    return {
        "us": epoch_us(_.event_time),
        "local_us": _.us + _.utc_offset_s.fill_null(0).cast("int64") * SECOND_US,
        "day": floor_div(_.local_us, DAY_US),
        "hour": floor_div(_.local_us % DAY_US, HOUR_US),
        "weekday": (_.day + _EPOCH_WEEKDAY) % 7,
        "session": _.session_id,
        "is_value": _.kind == rules.value_event,
        "is_refund": _.kind == kinds.REFUND,
        "foreign": other,
        "priced": _.price.notnull() & ~_.foreign,
        "units": ibis.coalesce(_.quantity, ibis.ifelse(_.price.notnull(), 1, 0)).cast("int64"),
        "amount": ibis.ifelse(_.priced, _.price * _.units, 0),
        "reduction": ibis.ifelse(_.foreign, 0, _.discount.fill_null(0)),
        "returned": _.amount.abs() - _.reduction,
        "gross": ibis.ifelse(_.is_refund, _.returned, _.amount),
        "net": ibis.ifelse(
            _.is_value, _.amount - _.reduction, ibis.ifelse(_.is_refund, -_.returned, 0)
        ),
        "order_key": ibis.coalesce(_.order_id, "@" + _.us.cast("string")),
        "top_category": ibis.ifelse(slash >= 0, _.category.substr(0, slash), _.category),
        "rating_micros": (_.rating * MICROS).round().cast("int64"),
    }


_READ: Final = re.compile(r"_(?:\.|\[')(\w+)")


def columns_read(*parts: object) -> set[str]:
    """Names of the columns that deferred expressions begin with.

    >>> sorted(columns_read(_.us.max(), _["kind"] == "view"))
    ['kind', 'us']
    """
    return {name for part in parts for name in _READ.findall(repr(part))}


def prepared(events: ir.Table, rules: Rules, wanted: set[str]) -> ir.Table:
    """Customers' own events with the wanted columns, and nothing that these do not need.

    Narrow tables keep queries short: Ibis compiles them, and engines plan them, in a fifth of the
    time that the full width takes.
    """
    needed = columns_behind(rules, wanted)
    own = {name for name in EVENT_COLUMNS if name in needed | _own(rules)}
    table = of_customers(events.select(*(name for name in EVENT_COLUMNS if name in own)), rules)
    return with_columns(table, rules, wanted)


def with_columns(table: ir.Table, rules: Rules, wanted: set[str]) -> ir.Table:
    """Events with the wanted columns of `prepared_columns`, and those that they stand on."""
    known, needed = prepared_columns(rules), columns_behind(rules, wanted)
    level = dict.fromkeys(EVENT_COLUMNS, 0)
    for name, value in known.items():
        if name in needed:
            level[name] = 1 + max(level[read] for read in columns_read(value))
    for depth in range(1, max(level.values()) + 1):
        table = table.mutate(**{name: known[name] for name in known if level.get(name) == depth})
    return table


def columns_behind(rules: Rules, wanted: set[str]) -> set[str]:
    """The wanted columns and all that they are made of."""
    known = prepared_columns(rules)
    needed, new = set[str](), wanted
    while new:
        needed |= new
        new = columns_read(*(known[name] for name in new if name in known)) - needed
    return needed


def _own(rules: Rules) -> set[str]:
    """What every grain reads: whose event it is and whether it counts."""
    return {CUSTOMER, "kind", "noise"} | ({"source"} if rules.order_sources else set())


@deferrable
def floor_div(value: Any, unit: int) -> Any:
    """Whole units in a value from 0 to 2**53, exactly, although engines divide as float64."""
    return as_int64((value - value % unit) / unit)


def stat_value(stat: Stat) -> Any:
    """The aggregate that a stat is of a group of events."""
    if stat.merge == "add":
        if isinstance(stat.value, int) and stat.where is None:
            return _.count() * stat.value if stat.value != 1 else _.count()
        return total(stat.value, where=stat.where)
    aggregate = getattr(stat.value, stat.merge)
    return aggregate() if stat.where is None else aggregate(where=stat.where)


def _by(grain: Grain) -> list[str]:
    return [CUSTOMER, *grain.keys]


def partial(grain: Grain, events: ir.Table, rules: Rules) -> ir.Table:
    """One grain's partials of events: a row a customer and key, in order of both."""
    if grain is TRAIT:
        source = _traits(events, rules)
    elif grain is COVARIATE:
        own = prepared(events, rules, columns_needed(rules.covariates))
        source = met(own, unbound(COVARIATES_SCHEMA, "covariates"), rules.covariates)
    else:
        parts = [part for stat in grain.stats for part in (stat.value, stat.where)]
        source = prepared(events, rules, columns_read(grain.where, *parts) | set(grain.keys))
    if grain.where is not None:
        source = source.filter(grain.where)
    stats = {stat.name: stat_value(stat) for stat in grain.stats}
    return source.group_by(_by(grain)).agg(**stats)


def _traits(events: ir.Table, rules: Rules) -> ir.Table:
    """Declared traits told by profile events: customer, trait, value as text, moment."""
    told = of_customers(events, rules).filter(_.kind == kinds.PROFILE)
    each = [
        told.select(
            CUSTOMER,
            trait=ibis.literal(trait),
            value=json_text(told.properties, trait),
            us=epoch_us(told.event_time),
        )
        for trait in rules.traits
    ]
    return ibis.union(*each) if len(each) > 1 else each[0]


def json_text(document: Any, name: str) -> Any:
    """A member of a JSON text as text; null where there is none or the text is no JSON."""
    quoted = name.replace('"', '\\"')
    text = json_extract_string(document, ibis.literal(f'$."{quoted}"'))
    return ibis.ifelse(json_valid(document), text, ibis.null("string"))


@ibis.udf.scalar.builtin(name="json_valid", signature=((dt.string,), dt.boolean))
def json_valid(document: Any) -> Any:
    """Whether a text is JSON (Spark's `get_json_object` needs no such guard)."""


@ibis.udf.scalar.builtin(name="json_extract_string", signature=((dt.string, dt.string), dt.string))
def json_extract_string(document: Any, path: Any) -> Any:
    """A member of a JSON text as text (a Spark engine calls it `get_json_object`)."""


def merged(grain: Grain, rows: ir.Table) -> ir.Table:
    """Partials with one row a key, of partials with several."""
    stats = {}
    for stat in grain.stats:
        column = rows[stat.name]
        stats[stat.name] = total(column) if stat.merge == "add" else getattr(column, stat.merge)()
    return rows.group_by(_by(grain)).agg(**stats)


def pruned(grain: Grain, rows: ir.Table) -> ir.Table:
    """Rows of the customer's last `keep_days` local days; all if the grain keeps all.

    What is kept depends on the merged set alone, so merging stays associative and commutative.
    """
    if grain.keep_days is None:
        return rows
    latest = rows.group_by(CUSTOMER).agg(latest=_.day.max())
    kept = rows.join(latest, CUSTOMER).filter(_.day > _.latest - grain.keep_days)
    return kept.select(*_by(grain), *(stat.name for stat in grain.stats))


def settled(grain: Grain, rows: ir.Table) -> ir.Table:
    """Rows in which what was known up to the customer's latest row is known from the beginning.

    Features of a state are asked for at moments after its events only. As in `pruned`, what
    becomes of a row depends on the merged set alone.
    """
    if not grain.settle:
        return rows
    latest = rows.group_by(CUSTOMER).agg(latest_us=_.last_us.max())
    known = (_.known_us <= _.latest_us).ifelse(ALWAYS_US, _.known_us)
    return merged(grain, rows.join(latest, CUSTOMER).mutate(known_us=known).drop("latest_us"))


def in_order(grain: Grain, rows: ir.Table) -> ir.Table:
    """Rows by customer and keys, columns as `grain_schema` has them."""
    columns = [*_by(grain), *(stat.name for stat in grain.stats)]
    return rows.select(*columns).order_by([ibis.asc(name) for name in _by(grain)])


def tail(events: ir.Table, length: int) -> ir.Table:
    """The last events of each customer, oldest first.

    Only events of the last days that hold enough of them are ranked, because ranking carries every
    column: counting by day first takes half the time where histories are long.
    """
    return last_of(_late(events, length), length)


def last_of(events: ir.Table, length: int) -> ir.Table:
    """The same of few events a customer, such as those of two tails: all of them are ranked."""
    newest = [ibis.desc(name) for name in ORDER]
    place = ibis.row_number().over(group_by=CUSTOMER, order_by=newest)
    last = events.select(CUSTOMER, *TAIL_COLUMNS).mutate(place=place).filter(_.place < length)
    return last.select(CUSTOMER, *TAIL_COLUMNS).order_by([CUSTOMER, *ORDER])


def _late(events: ir.Table, length: int) -> ir.Table:
    """Events of each customer's last days, which hold `length` of them or all."""
    dated = events.select(CUSTOMER, *TAIL_COLUMNS).mutate(
        utc_day=(epoch_us(_.event_time) / DAY_US).floor().cast("int64")
    )
    days = dated.group_by([CUSTOMER, "utc_day"]).agg(n=_.count())
    later = ibis.window(group_by=CUSTOMER, order_by=ibis.desc("utc_day"), rows=(None, -1))
    needed = days.mutate(later=_.n.sum().over(later).fill_null(0)).filter(_.later < length)
    oldest = needed.group_by(CUSTOMER).agg(oldest=_.utc_day.min())
    return dated.join(oldest, CUSTOMER).filter(_.utc_day >= _.oldest)


def recent(grain: Grain, events: ir.Table, clock: ir.Table) -> ir.Table:
    """Of events before the clock, those that a grain needs for features at that clock."""
    before = events.cross_join(clock).filter(epoch_us(_.event_time) < _.now_us)
    if grain.keep_days is not None:
        # a day more than needed: the local day is only known after preparing
        oldest = (_.today - grain.keep_days - 1) * DAY_US
        before = before.filter(epoch_us(_.event_time) >= oldest)
    return before


def finished(
    catalog: Catalog,
    grains: Callable[[Grain], ir.Table],
    clock: ir.Table,
    reference: ir.Table,
) -> ir.Table:
    """Features of all customers by `customer_id`, from their partials."""
    rows: dict[str, ir.Table] = {}
    for grain in GRAINS:
        table = grains(grain)
        if grain.refer:
            table = table.left_join(reference, "item_id").drop("item_id_right")
        rows[grain.name] = table.mutate(**grain.derive) if grain.derive else table
    for coarser in COARSER:
        source = next(grain for grain in GRAINS if grain.name == coarser.source)
        dropped = Grain(coarser.name, coarser.keys, source.stats)
        rows[coarser.name] = merged(dropped, rows[coarser.source])
    joined = rows[CUSTOMER_GRAIN.name].cross_join(clock)
    for name, table in rows.items():
        values = [one for one in catalog.summaries if one.grain == name]
        if not values:
            continue
        source = table.cross_join(clock) if name in _TIMED else table
        summed = source.group_by(CUSTOMER).agg(**{one.name: one.value for one in values})
        joined = joined.left_join(summed, CUSTOMER).drop(f"{CUSTOMER}_right")
    joined = with_now(joined, catalog.covariates)
    defaults = {
        one.name: joined[one.name].fill_null(one.default)
        for one in catalog.summaries
        if one.default is not None
    }
    full = joined.mutate(**defaults)
    columns = {one.name: one.finish for one in catalog}
    wide = full.select(CUSTOMER, **columns)
    typed = {one.name: typed_value(wide[one.name], one.type) for one in catalog}
    return wide.select(CUSTOMER, **typed).order_by(CUSTOMER)


#: Grains whose summaries look at the clock.
_TIMED: Final = frozenset({"session", "day", "order", "covariate"})


def typed_value(value: Any, kind: ValueType) -> Any:
    """A feature's value as its column holds it."""
    return as_int64(value) if kind == "count" else value.cast(_RESULT[kind])
