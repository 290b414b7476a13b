"""The shop's money as its events tell it: what is bought, given back, taxed, shipped, left out.

For people and books, not for segments: guests' orders count too. `lines` says once what a line of
money is; they are written down, and three questions are asked of them: sums by moment (`sums`),
orders by the moment of their first line (`orders`), customers by month (`customers`).
`shoal.features.months` makes months of them.

    gross      price x quantity of purchases
    discounts  what was taken off purchases
    refunds    price x quantity of refunds, less their discounts
    tax        of purchases, less that of refunds; likewise shipping
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import DAY_US, EARLIEST, LATEST, SECOND_US
from shoal.events.noise import PACE_RULES, ROW_RULES
from shoal.events.schema import BUCKET, TABLE_SCHEMA
from shoal.features.admission import PEOPLE_SCHEMA, RATES_SCHEMA
from shoal.features.algebra import epoch_us, total
from shoal.features.queries import floor_div, json_text, unbound
from shoal.features.rates import converted
from shoal.features.revenue_pace import judged, stretches
from shoal.ports import Engine, ParquetFiles, Relation

_NAMES: Final = (
    "customer_id", "anonymous_id", "kind", "event_time", "utc_offset_s", "item_id", "price",
    "quantity", "discount", "tax", "shipping", "currency", "order_id", "order_status", "source",
    "noise", "properties", "content_key",
)  # fmt: skip
#: What is read of the event table.
READ_SCHEMA: Final = pa.schema([TABLE_SCHEMA.field(name) for name in _NAMES])

#: A local day's month (number since year 0), and whether it is the first or last of the month.
CALENDAR_SCHEMA: Final = pa.schema(
    [pa.field("day", pa.int64()), pa.field("month", pa.int64()), pa.field("edge", pa.bool_())]
)
_EPOCH: Final = date(1970, 1, 1)

#: Moments are told in quarters of an hour, the finest that time zones differ by.
QUARTER_US: Final = 900 * SECOND_US
QUARTERS_A_DAY: Final = 96

#: What a line is. Fees (postage, tips, charges), gift cards and shipping given back are `custom`
#: events that say so in `properties`; they are in no measure but shipping.
PURCHASE: Final = "purchase"
REFUND: Final = "refund"
FEE: Final = "fee"
GIFT_CARD: Final = "gift_card"
SHIPPING_REFUND: Final = "shipping_refund"

#: Why a line is left out, beside the codes of noise and the pace rules.
TOLD_TWICE: Final = "told_twice"
FOREIGN: Final = "other_currency"

_CANCELLED: Final = ("cancelled", "canceled", "voided", "void", "failed", "expired")

#: Dimensions and sums of `sums`.
DIMENSIONS: Final = ("what", "left_out", "guest", "cancelled", "discount_line", "exchanged")
SUMS: Final = (
    "lines", "units", "amount", "reduction", "tax", "shipping", "written", "written_off",
)  # fmt: skip


#: A line of money. `left_out`: why it does not count, null where it does; `exchanged`: amounts were
#: converted, `written` and `written_off` are those before; `moment_key`: customer and moment, where
#: there is no order id; the other columns are told at `sums`.
LINES_SCHEMA: Final = pa.schema(
    [
        *(
            pa.field(name, pa.string())
            for name in ("what", "order_id", "item_id", "source", "owner", "moment_key", "left_out")
        ),
        *(
            pa.field(name, pa.bool_())
            for name in ("guest", "cancelled", "discount_line", "exchanged")
        ),
        *(pa.field(name, pa.int64()) for name in ("us", "month", "quarter", "offset_s")),
        pa.field("content_key", pa.int64()),
        *(pa.field(name, pa.int64()) for name in SUMS[1:]),
        pa.field(BUCKET, pa.int32()),
    ]
)


@dataclass(frozen=True)
class Counted:
    """What decides which lines count, as whose, and for how much.

    Args:
        currency: the shop's; lines in another one that has no rate are left out. Empty: all lines
            are taken as of one currency.
        rates: `RATES_SCHEMA` into it.
        people: `PEOPLE_SCHEMA`: to whom ids belong.
        noise: codes whose lines are left out.
        order_sources: sources whose orders count; none: every source's.
        before_us: only lines before this moment (UTC microseconds); None: all.
        flags: `FLAGS_SCHEMA`, of the pace rules that are on: lines of these visitors in these
            stretches are left out.
    """

    currency: str = ""
    rates: pa.Table | None = None
    people: pa.Table | None = None
    noise: tuple[str, ...] = ROW_RULES
    order_sources: tuple[str, ...] = ()
    before_us: int | None = None
    flags: pa.Table | None = None

    @property
    def pace_rules(self) -> list[str]:
        """The pace rules that caught somebody."""
        caught = set() if self.flags is None else set(self.flags["rule"].to_pylist())
        return [rule for rule in PACE_RULES if rule in caught]

    def inputs(self, events: Relation) -> dict[str, Relation]:
        """The relations that queries are bound to."""
        bound: dict[str, Relation] = {"events": events, "calendar": calendar()}
        if self.rates is not None and self.rates.num_rows:
            bound["rates"] = self.rates
        if self.people is not None and self.people.num_rows:
            bound["people"] = self.people
        if self.flags is not None and self.flags.num_rows:
            bound["stretches"] = stretches(self.flags)
        return bound


def spool(engine: Engine, events: Relation, counted: Counted, directory: Path) -> ParquetFiles:
    """The lines of money (`LINES_SCHEMA`), written once so that many questions read little.

    Args:
        directory: an empty one; the caller removes it.
    """
    query = engine.compile(lines(counted))
    return engine.spool(query, counted.inputs(events), directory, LINES_SCHEMA)


def told() -> ir.Table:
    """The unbound table of lines, as `spool` wrote them, each with the `order_key` of its order."""
    rows = unbound(LINES_SCHEMA, "lines")
    return rows.mutate(order_key=ibis.coalesce(rows.order_id, rows.moment_key))


def sums() -> ir.Table:
    """Sums of all lines of money by moment and `DIMENSIONS`.

    `quarter` is the quarter of an hour (local, since 1970) on the first and last day of a month;
    other days are told by their first quarter. `offset_s` is the shop's offset from UTC then.
    `written` and `written_off` are amount and reduction as the source wrote them, not converted.
    """
    return (
        told()
        .group_by("quarter", "offset_s", *DIMENSIONS)
        .agg(
            lines=_.count(),
            units=total(_.units),
            amount=total(_.amount),
            reduction=total(_.reduction),
            tax=total(_.tax),
            shipping=total(_.shipping),
            written=total(_.written),
            written_off=total(_.written_off),
        )
    )


def orders() -> ir.Table:
    """Orders by the moment of their first line: `quarter`, `offset_s`, `left_out`, `guest`,
    `cancelled`, `free` (nothing was charged for its products), `n`.

    An order is left out when all its lines are. It is a guest's when no line has a customer.
    """
    bought = told().filter(_.what == PURCHASE)
    # The lines that count decide; those that do not only where there is no other.
    each = bought.group_by("order_key").agg(
        quarter=ibis.coalesce(
            _.quarter.min(where=_.left_out.isnull()), _.quarter.min()
        ),
        offset_s=_.offset_s.min(),
        counts=total(1, where=_.left_out.isnull()),
        reason=_.left_out.min(),
        owners=_.owner.count(),
        called_off=total(1, where=_.cancelled),
        charged=total(_.amount),
    )  # fmt: skip
    named = each.mutate(
        left_out=ibis.ifelse(_.counts > 0, None, _.reason),
        guest=_.owners == 0,
        cancelled=_.called_off > 0,
        free=_.charged == 0,
    )
    alike = ("quarter", "offset_s", "left_out", "guest", "cancelled", "free")
    return named.group_by(*alike).agg(n=_.count())


def customers() -> ir.Table:
    """Customers who bought: `month`, `first` (month of the customer's first order), `n`."""
    rows = _bought()
    bought = rows.group_by("owner", "month").agg(lines=_.count())
    firsts = rows.group_by("owner").agg(first=_.month.min())
    return bought.join(firsts, "owner").group_by("month", "first").agg(n=_.count())


def buyers(first: int, last: int) -> ir.Table:
    """How many customers bought from one month to another: one row, `n`."""
    return _bought().filter(_.month.between(first, last)).agg(n=_.owner.nunique())


def _bought() -> ir.Table:
    return told().filter(_.what == PURCHASE, _.left_out.isnull(), _.owner.notnull())


def lines(counted: Counted) -> ir.Table:
    """Every line of money (purchases, refunds, fees): its moment, what it is, its amounts."""
    events = unbound(READ_SCHEMA, "events").filter(
        _.kind.isin((kinds.PURCHASE, kinds.REFUND)) | ((_.kind == kinds.CUSTOM) & _.price.notnull())
    )
    if counted.before_us is not None:
        events = events.filter(epoch_us(_.event_time) < counted.before_us)
    events = judged(events, counted.pace_rules)
    rows = events.mutate(told_currency=_.currency, told_price=_.price, told_discount=_.discount)
    if counted.rates is not None and counted.rates.num_rows:
        rows = converted(rows, unbound(RATES_SCHEMA, "rates"), counted.currency)
    us = epoch_us(rows.event_time)
    offset = rows.utc_offset_s.fill_null(0).cast("int64")
    rows = rows.mutate(
        us=us, offset_s=offset, local_us=us + offset * SECOND_US,
        units=ibis.coalesce(rows.quantity, rows.price.notnull().cast("int64")).cast("int64"),
        note=_noted(rows, "note"), fee=_noted(rows, "fee"),
        discount_line=_noted(rows, "discount").notnull(),
        sign=ibis.ifelse(_noted(rows, "taken_back").notnull(), -1, 1),
    )  # fmt: skip
    rows = rows.mutate(what=_what(rows), day=floor_div(rows.local_us, DAY_US))
    rows = rows.filter(_.what.notnull()).join(unbound(CALENDAR_SCHEMA, "calendar"), "day")
    return _owned(rows, counted).select(
        "what", "us", "month", "order_id", "item_id", "source", "owner", "content_key",
        offset_s=ibis.ifelse(_.edge, _.offset_s, 0),
        quarter=ibis.ifelse(_.edge, floor_div(_.local_us, QUARTER_US), _.day * QUARTERS_A_DAY),
        moment_key=ibis.ifelse(
            _.order_id.isnull(),
            ibis.coalesce(_.owner, _.anonymous_id, "") + "@" + _.us.cast("string"),
            None,
        ),
        left_out=_left_out(counted),
        guest=_.owner.isnull(),
        cancelled=_.order_status.lower().isin(_CANCELLED).fill_null(False),
        discount_line=_.discount_line & (_.what == REFUND),
        exchanged=(_.told_currency != _.currency).fill_null(False),
        units=_.units,
        amount=_.price.fill_null(0) * _.units * _.sign,
        reduction=_.discount.fill_null(0),
        tax=_.tax.fill_null(0),
        shipping=_.shipping.fill_null(0),
        written=_.told_price.fill_null(0) * _.units * _.sign,
        written_off=_.told_discount.fill_null(0),
        bucket=ibis.literal(0, "int32"),
    )  # fmt: skip


def _noted(rows: ir.Table, name: str) -> Any:
    """A note of the event's properties; purchases are not asked, they have none that counts."""
    asked = rows.kind != kinds.PURCHASE
    return json_text(ibis.ifelse(asked, rows.properties, None), name)


def _what(rows: ir.Table) -> Any:
    return ibis.cases(
        (rows.kind == kinds.PURCHASE, PURCHASE),
        (rows.kind == kinds.REFUND, REFUND),
        (rows.fee.notnull(), FEE),
        (rows.note == GIFT_CARD, GIFT_CARD),
        (rows.note == SHIPPING_REFUND, SHIPPING_REFUND),
    )


def _left_out(counted: Counted) -> Any:
    reasons = []
    if counted.noise:
        reasons.append(ibis.ifelse(_.noise.isin(counted.noise), _.noise, None))
    reasons.append(_.pace)
    if counted.order_sources:
        reasons.append(
            ibis.ifelse(_.source.isin(counted.order_sources).fill_null(False), None, TOLD_TWICE)
        )
    if counted.currency:
        foreign = (_.currency != counted.currency).fill_null(False)
        reasons.append(ibis.ifelse(foreign, FOREIGN, None))
    return ibis.coalesce(*reasons)


def _owned(rows: ir.Table, counted: Counted) -> ir.Table:
    """With `owner`: the customer to whom the event belongs, null for a guest's."""
    if counted.people is None or not counted.people.num_rows:
        return rows.mutate(owner=rows.customer_id)
    theirs = unbound(PEOPLE_SCHEMA, "people").select(
        raw_id=_.id, since_us=_.from_us, until_us=_.to_us, person=_.customer_id, merged=_.merged
    )
    same = (
        (ibis.coalesce(rows.customer_id, rows.anonymous_id) == theirs.raw_id)
        & (rows.us >= theirs.since_us)
        & (rows.us < theirs.until_us)
        & (theirs.merged | rows.customer_id.isnull())
    )
    joined = rows.left_join(theirs, same)
    return joined.mutate(
        owner=ibis.ifelse(joined.raw_id.notnull(), joined.person, joined.customer_id)
    )


@cache
def calendar() -> pa.Table:
    """`CALENDAR_SCHEMA` of every day that an event may lie on, a day more at both ends."""
    first = (EARLIEST.date() - _EPOCH).days - 1
    last = (LATEST.date() - _EPOCH).days + 1
    days = [date.fromordinal(_EPOCH.toordinal() + day) for day in range(first, last + 1)]
    months = [day.year * 12 + day.month - 1 for day in days]
    edges = [
        day.day == 1 or date.fromordinal(day.toordinal() + 1).day == 1 for day in days
    ]  # fmt: skip
    return pa.table([list(range(first, last + 1)), months, edges], schema=CALENDAR_SCHEMA)


def month_name(month: int) -> str:
    """A month counted since year 0 as it is written.

    >>> month_name(2024 * 12 + 2)
    '2024-03'
    """
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def month_number(name: str) -> int:
    """The month of `YYYY-MM`, counted since year 0.

    >>> month_number("2024-03") - 2024 * 12
    2
    """
    return int(name[:4]) * 12 + int(name[5:7]) - 1
