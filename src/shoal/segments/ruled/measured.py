"""What rules measure of customers, as Ibis expressions: a table with a column a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import reduce
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from shoal.domain.time import DAY_US
from shoal.features.algebra import CUSTOMER, as_int64, total
from shoal.features.queries import (
    Rules,
    clock_table,
    events_table,
    json_text,
    prepared,
    unbound,
)
from shoal.segments.ruled.comparison import Among, Condition, IsKnown, Like, condition, field_scale
from shoal.segments.ruled.language import (
    AGES,
    EVERY,
    LATEST,
    PROPERTIES,
    TEXT_FIELDS,
    VALUE,
    Events,
    Feature,
    Member,
    Step,
    Trait,
    Where,
    Window,
)
from shoal.segments.ruled.language import Sequence as Chain

#: Who belongs where, a row a customer and segment: `segmentation` as rules name it, soft `weight`,
#: and `since_us` where it is the customer's segment, else null.
MEMBERS_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("segmentation", pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("weight", pa.float64()),
        pa.field("since_us", pa.int64()),
    ]
)

#: Prepared columns that a field of an event is read from.
_READS: Final[Mapping[str, tuple[str, ...]]] = {
    "price": ("price", "priced"),
    "discount": ("reduction",),
    "amount": ("amount", "priced"),
    "net": ("net", "is_value", "is_refund"),
    "quantity": ("units",),
    "rating": ("rating_micros",),
}
_ORDER: Final = ("us", "sequence", "event_id", "source")


class Query:
    """Puts together the table of customers with a column a value."""

    def __init__(self, shop: Rules, features: pa.Schema | None) -> None:
        self.shop = shop
        self.features = None if features is None else unbound(features, "features")
        self.clock = clock_table()

    def values(self, names: Mapping[Any, str]) -> ir.Table:
        """Customers with a column for each thing asked."""
        measured = {one: name for one, name in names.items() if isinstance(one, Events)}
        summed = {one: name for one, name in measured.items() if one.measure != LATEST}
        parts = [self._members(names)] if any(isinstance(one, Member) for one in names) else []
        if summed:
            parts.append(self._summed(summed))
        for one, name in names.items():
            if isinstance(one, Chain):
                parts.append(self._chain(one, name))
            elif isinstance(one, Events) and one.measure == LATEST:
                parts.append(self._latest(one, name))
        table = self._customers()
        for part in parts:
            table = table.left_join(part, CUSTOMER).drop(f"{CUSTOMER}_right")
        own = {
            name: table[column_of(one)]
            for one, name in names.items()
            if isinstance(one, Feature | Trait)
        }
        filled = {
            name: table[name].fill_null(0)
            for one, name in names.items()
            if (isinstance(one, Events) and one.measure not in ("min", "max", LATEST, *AGES))
            or (isinstance(one, Member) and one.measure == "weight")
        }
        return table.mutate(**own, **filled).select(CUSTOMER, *names.values())

    def _customers(self) -> ir.Table:
        if self.features is not None:
            return self.features
        return self._events({"us"}).select(CUSTOMER).distinct()

    def _events(self, wanted: set[str]) -> ir.Table:
        """Customers' own events before T with the wanted columns and the clock."""
        table = prepared(events_table().view(), self.shop, wanted | {"us"})
        return table.cross_join(self.clock).filter(lambda t: t.us < t.now_us)

    def _members(self, names: Mapping[Any, str]) -> ir.Table:
        table = unbound(MEMBERS_SCHEMA, "members").cross_join(self.clock)
        values = {}
        for one, name in names.items():
            if not isinstance(one, Member):
                continue
            here = (table.segmentation == one.segmentation) & (table.segment_id == one.segment_id)
            if one.measure == "weight":
                values[name] = table.weight.max(where=here)
            else:
                values[name] = table.now_us.max(where=here) - table.since_us.max(where=here)
        return table.group_by(CUSTOMER).agg(**values)

    def _summed(self, names: Mapping[Events, str]) -> ir.Table:
        table = self._events(set().union(*map(self._read, names)))
        values = {name: self._measure(table, one) for one, name in names.items()}
        return table.group_by(CUSTOMER).agg(**values)

    def _measure(self, table: ir.Table, one: Events) -> Any:
        here = self._matches(table, one.kinds, one.where) & within(table, one.window)
        match one.measure:
            case "count":
                return total(ibis.ifelse(here, 1, 0))
            case "days":
                return table.day.nunique(where=here)
            case "orders":
                return table.order_key.nunique(where=here)
            case "items":
                return table.item_id.nunique(where=here)
            case "days_since_first":
                return as_int64(table.now_us.max() - table.us.min(where=here))
            case "days_since_last":
                return as_int64(table.now_us.max() - table.us.max(where=here))
            case "sum":
                return total(event_field(table, one.of).fill_null(0), where=here)
        value = event_field(table, one.of)
        return value.min(where=here) if one.measure == "min" else value.max(where=here)

    def _latest(self, one: Events, name: str) -> ir.Table:
        table = self._events(self._read(one) | set(_ORDER))
        table = table.mutate(value=event_field(table, one.of))
        here = self._matches(table, one.kinds, one.where) & within(table, one.window)
        rows = table.filter(here & table.value.notnull())
        order = [key.desc() for key in _keys(rows)]
        rows = rows.mutate(place=ibis.row_number().over(group_by=CUSTOMER, order_by=order))
        return rows.filter(rows.place == 0).select(CUSTOMER, **{name: rows.value})

    def _chain(self, chain: Chain, name: str) -> ir.Table:
        """Customers with the sequence: each step looks back at the latest one reached before."""
        reads = {chain.same} if chain.same else set()
        for step in chain.steps:
            reads |= self._read(Events(step.kinds, step.where, chain.window))
        table = self._events(reads | set(_ORDER))
        if chain.same:
            table = table.filter(table[chain.same].notnull())
        steps = {f"s{n}": self._step(table, step) for n, step in enumerate(chain.steps)}
        table = table.mutate(**steps, reached=self._step(table, chain.steps[0])
                             & within(table, chain.window))  # fmt: skip
        table = table.filter(balanced([table[one] for one in steps], lambda a, b: a | b))
        by = [CUSTOMER, chain.same] if chain.same else [CUSTOMER]
        for n, step in enumerate(chain.steps[1:], start=1):
            table = table.mutate(reached=self._reached(table, step, table[f"s{n}"], by))
        return table.group_by(CUSTOMER).agg(**{name: table.reached.any()})

    def _step(self, table: ir.Table, step: Step) -> Any:
        return self._matches(table, step.kinds, step.where)

    @staticmethod
    def _reached(table: ir.Table, step: Step, here: Any, by: list[str]) -> Any:
        order = _keys(table)
        span = None if step.within_days is None else round(step.within_days * DAY_US)
        none = ibis.null("int64")
        if not step.absent:
            before = ibis.window(group_by=by, order_by=order, preceding=(None, 1))
            last = ibis.ifelse(table.reached, table.us, none).max().over(before)
            found = here & last.notnull()
            return found if span is None else found & (table.us - last <= span).fill_null(False)
        after = ibis.window(group_by=by, order_by=order, following=(1, None))
        following = ibis.ifelse(here, table.us, none).min().over(after)
        if span is None:
            return table.reached & following.isnull()
        late = following.isnull() | (following - table.us > span).fill_null(False)
        return table.reached & late & (table.us + span < table.now_us)

    def _matches(self, table: ir.Table, kinds: tuple[str, ...], where: tuple[Where, ...]) -> Any:
        """Whether an event is of some kinds and fulfils all conditions."""
        parts = [compared(event_field(table, one.field), condition_of(one)) for one in where]
        if EVERY not in kinds:
            parts.append(table.kind.isin(kinds_of(kinds, self.shop)).fill_null(False))
        return balanced(parts, lambda a, b: a & b) if parts else table.us.notnull()

    @staticmethod
    def _read(one: Events) -> set[str]:
        """Prepared columns that a measure reads."""
        found = {"kind"}
        for name in (*(each.field for each in one.where), one.of):
            if name.startswith(PROPERTIES):
                found.add("properties")
            elif name:
                found |= set(_READS.get(name, (name,)))
        if one.window != Window() or one.measure == "days":
            found.add("day")
        more = {"orders": "order_key", "items": "item_id"}.get(one.measure)
        return found | ({more} if more else set())


def _keys(table: ir.Table) -> list[Any]:
    """The order of a customer's events."""
    return [
        table.us,
        table.sequence.fill_null(0),
        table.event_id.fill_null(""),
        table.source.fill_null(""),
    ]


def kinds_of(kinds: tuple[str, ...], shop: Rules) -> tuple[str, ...]:
    """Kinds with the shop's own in the place of `VALUE`."""
    return tuple(dict.fromkeys(shop.value_event if one == VALUE else one for one in kinds))


def condition_of(where: Where) -> Condition:
    """A condition on a field of events."""
    texts = where.field in TEXT_FIELDS or where.field.startswith(PROPERTIES)
    return condition(where.test, None if texts else field_scale(where.field))


def event_field(table: ir.Table, name: str) -> Any:
    """A field of prepared events; null where unknown, money of other currencies among it."""
    null = ibis.null("int64")
    match name:
        case "price" | "amount":
            return ibis.ifelse(table.priced, table[name], null)
        case "discount":
            return table.reduction
        case "net":
            return ibis.ifelse(table.is_value | table.is_refund, table.net, null)
        case "quantity":
            return table.units
        case "rating":
            return table.rating_micros
    if name.startswith(PROPERTIES):
        return json_text(table.properties, name.removeprefix(PROPERTIES))
    return table[name]


def within(table: ir.Table, window: Window) -> Any:
    """Whether an event lies on the days of a window; True without bounds."""
    bounds = []
    if window.last_days is not None:
        bounds.append(table.day > table.today - window.last_days)
    if window.skip_days:
        bounds.append(table.day <= table.today - window.skip_days)
    if window.first is not None:
        bounds.append(table.day >= day_number(window.first))
    if window.last is not None:
        bounds.append(table.day <= day_number(window.last))
    return balanced(bounds, lambda a, b: a & b) if bounds else ibis.literal(True)


def day_number(text: str) -> int:
    """Days since 1970-01-01 of an ISO date."""
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def column_of(subject: Feature | Trait) -> str:
    """The column of the features table that a feature or trait is."""
    return subject.name if isinstance(subject, Feature) else f"trait_{subject.name}"


def balanced(values: Sequence[Any], join: Callable[[Any, Any], Any]) -> Any:
    """Values joined pair by pair, so that a thousand of them are ten levels deep."""
    while len(values) > 1:
        pairs = [values[n : n + 2] for n in range(0, len(values), 2)]
        values = [join(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return values[0]


def compared(value: Any, found: Condition) -> Any:
    """A comparison as an expression that is never null."""
    if isinstance(found, IsKnown):
        return value.notnull() if found.wanted else value.isnull()
    if isinstance(found, Among):
        inside = value.isin(found.values) if found.values else ibis.literal(False)
        return ((~inside) if found.negate else inside).fill_null(False) & value.notnull()
    if isinstance(found, Like):
        return _like(value, found).fill_null(False)
    bounds = []
    if found.low is not None:
        bounds.append(value > found.low if found.above else value >= found.low)
    if found.high is not None:
        bounds.append(value < found.high if found.below else value <= found.high)
    return reduce(lambda a, b: a & b, bounds).fill_null(False)


def _like(value: Any, found: Like) -> Any:
    if found.op == "contains":
        return value.contains(found.text)
    if found.op == "starts_with":
        return value.startswith(found.text)
    return (value == found.text) | value.startswith(f"{found.text}/")
