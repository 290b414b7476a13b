"""What makes a shop's money and its books disagree although both are right: other ways to count.

Orders told by two sources, orders told again by one, lines stored twice, refunds booked with their
order: each by month, for `shoal reconcile --against`.
"""

from __future__ import annotations

import ibis.expr.types as ir
from ibis import _

from shoal.features.algebra import total
from shoal.features.revenue import PURCHASE, REFUND, told


def doubled() -> ir.Table:
    """Orders that more than one source tells: `month`, `least`, `most` (two of the sources),
    `orders`, `units` and `gross`, `discounts` beyond the source that tells most.

    Orders are the same by their ids, with or without a leading `#`.
    """
    rows = told().filter(_.what == PURCHASE, _.left_out.isnull(), _.order_id.notnull())
    plain = rows.mutate(order=_.order_id.strip().replace("#", ""), source=_.source.fill_null(""))
    each = plain.group_by("order", "source").agg(
        month=_.month.min(), units=total(_.units), gross=total(_.amount), off=total(_.reduction)
    )
    again = each.group_by("order").agg(
        n=_.count(), least=_.source.min(), most=_.source.max(), month=_.month.min(),
        units=_.units.sum() - _.units.max(), gross=_.gross.sum() - _.gross.max(),
        off=_.off.sum() - _.off.max(),
    )  # fmt: skip
    return (
        again.filter(_.n > 1)
        .group_by("month", "least", "most")
        .agg(orders=_.count(), units=total(_.units), gross=total(_.gross), discounts=total(_.off))
        .order_by("month", "least", "most")
    )


def by_source() -> ir.Table:
    """What each source tells of orders: `source`, `orders`, `net` of its purchases."""
    rows = told().filter(_.what == PURCHASE, _.left_out.isnull())
    named = rows.mutate(source=_.source.fill_null(""))
    return (
        named.group_by("source")
        .agg(orders=_.order_key.nunique(), net=total(_.amount - _.reduction))
        .order_by("source")
    )


def repeated() -> ir.Table:
    """Lines of an order whose content is stored again: `month`, and `n`, `units`, `gross`,
    `discounts` of all but the first of each."""
    rows = told().filter(_.what == PURCHASE, _.left_out.isnull())
    same = rows.group_by("order_key", "content_key").agg(
        month=_.month.min(), lines=_.count(), units=_.units.max(), gross=_.amount.max(),
        off=_.reduction.max(),
    )  # fmt: skip
    more = same.filter(_.lines > 1).mutate(again=_.lines - 1)
    return more.group_by("month").agg(
        n=total(_.again), units=total(_.units * _.again), gross=total(_.gross * _.again),
        discounts=total(_.off * _.again),
    )  # fmt: skip


def told_again() -> ir.Table:
    """Orders that one source tells again at another moment: `month` (of the later telling),
    `source`, `orders`, and `units`, `gross`, `discounts`, `tax`, `shipping` of all but the first
    telling.

    A telling is what an order has at one moment. Each must hold the same lines (item, price,
    quantity, how many of them); what else they tell may differ. Where the lines of a source's
    orders mostly have times of their own, an order of one line may hold it twice and is left out.
    """
    rows = told().filter(_.what == PURCHASE, _.left_out.isnull(), _.order_id.notnull())
    rows = rows.mutate(source=_.source.fill_null(""))
    order = ("source", "order_id")
    moments = (
        rows.group_by(*order)
        .agg(first_us=_.us.min(), last_us=_.us.max(), moments=_.us.nunique())
        .filter(_.last_us > _.first_us)
        .select(*order, "first_us", "moments")
    )
    line = ("item_id", "units", "written")
    lines = rows.join(moments, order).group_by(*order, "first_us", "moments", "us", *line).agg(
        n=_.count(), month=_.month.min(), bought=total(_.units), gross=total(_.amount),
        off=total(_.reduction), tax=total(_.tax), shipping=total(_.shipping),
    )  # fmt: skip
    kinds = lines.group_by(*order, *line).agg(
        apart=_.moments.min() - _.count(), least=_.n.min(), most=_.n.max()
    )
    each = kinds.group_by(*order).agg(
        kinds=_.count(), odd=total(1, where=(_.apart > 0) | (_.least < _.most))
    )
    habits = each.filter(_.kinds > 1).group_by("source").agg(
        alike=total(1, where=_.odd == 0), unlike=total(1, where=_.odd > 0)
    )  # fmt: skip
    twice = each.left_join(habits, "source").filter(
        _.odd == 0, (_.kinds > 1) | (_.unlike.fill_null(0) <= _.alike.fill_null(0))
    )
    return (
        lines.filter(_.us > _.first_us)
        .semi_join(twice.select(*order), order)
        .group_by("month", "source")
        .agg(
            orders=_.order_id.nunique(), units=total(_.bought), gross=total(_.gross),
            discounts=total(_.off), tax=total(_.tax), shipping=total(_.shipping),
        )
        .order_by("month", "source")
    )  # fmt: skip


def returned() -> ir.Table:
    """Refunds of known orders: `month` of the refund, `bought` (month of the order), `refunds`."""
    rows = told().filter(_.left_out.isnull(), _.order_id.notnull())
    bought = (
        rows.filter(_.what == PURCHASE)
        .group_by(bought_id=_.order_id, bought_from=_.source)
        .agg(bought=_.month.min())
    )
    back = rows.filter(_.what == REFUND)
    same = (back.order_id == bought.bought_id) & (back.source == bought.bought_from)
    moved = back.join(bought, same).filter(_.month != _.bought)
    return moved.group_by("month", "bought").agg(refunds=total(_.amount.abs() - _.reduction))
