"""Behaviour: how much, how often, how recently, how dear, in which way and at what hour."""

from __future__ import annotations

from typing import Final

import ibis
from ibis import Deferred, _

from shoal.domain import kinds
from shoal.domain.text import Text
from shoal.features.algebra import (
    Feature,
    Summary,
    ValueType,
    commonest,
    currency,
    days,
    named,
    ratio,
    sample_std,
    sum_of_squares,
    total,
)

_COUNTED: Final = (
    (kinds.VIEW, "views", "views of items", "浏览商品的次数"),
    (kinds.CLICK, "clicks", "clicks", "点击次数"),
    (kinds.CART_ADD, "cart_adds", "items put into the cart", "加入购物车的次数"),
    (kinds.CART_REMOVE, "cart_removes", "items taken out of the cart", "移出购物车的次数"),
    (kinds.CHECKOUT, "checkouts", "checkouts begun", "开始结账的次数"),
    (kinds.LOGIN, "logins", "logins", "登录次数"),
)


def count_of(kind: str) -> Summary:
    """Summary `n_<kind>`: events of a kind."""
    return Summary(f"n_{kind}", "kind", total(_.n, where=_.kind == kind))


def _feature(
    name: str,
    unit: str,
    formula: str,
    en: str,
    zh: str,
    finish: Deferred,
    type: ValueType = "number",
    window: str = "all",
) -> Feature:
    return Feature(name, "behaviour", unit, window, formula, Text(en, zh), finish, type)


SUMMARIES: Final = (
    *(count_of(kind) for kind, *_rest in _COUNTED),
    count_of(kinds.REFUND),
    Summary("refund_micros", "kind", total(_.amount, where=_.kind == kinds.REFUND)),
    Summary("orders", "order", _.count()),
    Summary("first_order_us", "order", _.first_us.min(), default=None),
    Summary("last_order_us", "order", _.first_us.max(), default=None),
    Summary("gaps", "order", total(1, where=_.gap_us > 0)),
    Summary("gap_sum_us", "order", total(_.gap_us, where=_.gap_us > 0)),
    Summary("gap_squares", "order", sum_of_squares(_.gap_us, where=_.gap_us > 0), default=None),
    Summary("lines", "order", total(_.lines)),
    Summary("units", "order", total(_.units)),
    Summary("units_max", "order", _.units.max(), default=None),
    Summary("gross_micros", "order", total(_.gross)),
    Summary("discount_micros", "order", total(_.discount)),
    Summary("basket_max_micros", "order", (_.gross - _.discount).max(), default=None),
    Summary("priced", "order", total(_.priced)),
    Summary("foreign", "order", total(_.foreign)),
    Summary("discounted_orders", "order", total(1, where=_.discount > 0)),
    Summary("coupon_orders", "order", total(1, where=_.coupons > 0)),
    Summary("payment_kinds", "payment", _.count()),
    Summary("top_payment", "payment", commonest(_.payment, _.n), default=None),
    Summary("channels", "channel", total(1, where=_.channel.notnull())),
    Summary("top_channel", "channel", commonest(_.channel, _.n), default=None),
    Summary("top_device", "device", commonest(_.device, _.n), default=None),
)

#: Money is unknown, not 0, for a customer whose bought lines never had a price in the shop's
#: currency.
MONEY_KNOWN: Final = (_.lines == 0) | (_.priced > 0)


def known_money(micros: Deferred) -> Deferred:
    """Currency units where money is known, else null."""
    return ibis.ifelse(MONEY_KNOWN, currency(micros), ibis.null("float64"))


_NET: Final = _.gross_micros - _.discount_micros - _.refund_micros
_TENURE: Final = days(_.now_us - _.first_us)
_RECENCY: Final = days(_.now_us - _.last_order_us)
_GAP_MEAN_US: Final = ratio(_.gap_sum_us, _.gaps)
_GAP_STD_US: Final = sample_std(_.gaps, _.gap_sum_us, _.gap_squares)
_MONTH_DAYS: Final = 30

_COUNTS: Final = (
    _feature(
        "events", "events", "number of events", "Events in all.", "事件总数。", _.events, "count"
    ),
    *(
        _feature(
            name, "events", f"number of `{kind}` events", f"Number of {en}.", f"{zh}。",
            _[f"n_{kind}"], "count",
        )
        for kind, name, en, zh in _COUNTED
    ),
    _feature(
        "orders", "orders", "distinct order ids (or moments) of value events",
        "Orders placed.", "下单次数。", _.orders, "count",
    ),
    _feature(
        "order_lines", "lines", "number of value events",
        "Lines of all orders.", "全部订单的商品行数。", _.lines, "count",
    ),
    _feature(
        "units", "units", "sum of quantity over value events",
        "Units bought.", "购买件数。", _.units, "count",
    ),
    _feature(
        "refunds", "events", "number of `refund` events",
        "Refunds and cancelled lines.", "退款或取消的次数。", _.n_refund, "count",
    ),
    _feature(
        "foreign_lines", "lines", "value events in another currency than the shop's",
        "Lines paid in another currency; left out of every amount.",
        "以其他货币支付的行数；不计入任何金额。", _.foreign, "count",
    ),
)  # fmt: skip

_TIMES: Final = (
    _feature(
        "tenure_days", "days", "T - first event", "Days since the first event.",
        "距首次事件的天数。", _TENURE,
    ),
    _feature(
        "recency_days", "days", "T - last event", "Days since the last event.",
        "距最近一次事件的天数。", days(_.now_us - _.last_us),
    ),
    _feature(
        "order_recency_days", "days", "T - last order", "Days since the last order.",
        "距最近一次下单的天数。", _RECENCY,
    ),
    _feature(
        "active_span_days", "days", "last event - first event",
        "Days between the first and the last event.", "首次与最近事件之间的天数。",
        days(_.last_us - _.first_us),
    ),
    _feature(
        "orders_per_month", "orders / 30 days", "orders / max(T - first event, 30 days) x 30 days",
        "Orders per 30 days known to the shop.", "每 30 天的下单次数。",
        _.orders * float(_MONTH_DAYS) / ibis.greatest(_TENURE, float(_MONTH_DAYS)),
    ),
    _feature(
        "order_gap_mean_days", "days", "mean time between consecutive distinct order times",
        "Usual days between two orders.", "两次下单之间的平均天数。", days(_GAP_MEAN_US),
    ),
    _feature(
        "order_gap_std_days", "days", "sample standard deviation of the times between orders",
        "How much the time between orders varies.", "下单间隔的波动（标准差）。",
        days(_GAP_STD_US),
    ),
    _feature(
        "order_gap_cv", "ratio", "std / mean of the times between orders",
        "Irregularity of ordering: 0 is clockwork, 1 is random.",
        "下单的不规律程度：0 为完全规律，1 为随机。", ratio(_GAP_STD_US, _GAP_MEAN_US),
    ),
    _feature(
        "order_overdue", "ratio", "(T - last order) / mean time between orders",
        "Time since the last order, measured in the customer's own usual gap.",
        "距最近一次下单的时间与其平均间隔之比。",
        ratio(_.now_us - _.last_order_us, _GAP_MEAN_US),
    ),
)  # fmt: skip

_MONEY: Final = (
    _feature(
        "spend", "currency", "sum of price x quantity - discount - refunds",
        "Net revenue from the customer.", "净消费额。", known_money(_NET),
    ),
    _feature(
        "gross_spend", "currency", "sum of price x quantity of value events",
        "Value of all orders before discounts and refunds.", "折扣与退款前的消费额。",
        known_money(_.gross_micros),
    ),
    _feature(
        "refund_amount", "currency", "sum of refunded amounts", "Money given back.",
        "退款金额。", known_money(_.refund_micros),
    ),
    _feature(
        "spend_per_month", "currency / 30 days",
        "spend / max(T - first event, 30 days) x 30 days",
        "Net revenue per 30 days known to the shop.", "每 30 天的净消费额。",
        known_money(_NET) * float(_MONTH_DAYS) / ibis.greatest(_TENURE, float(_MONTH_DAYS)),
    ),
    _feature(
        "basket_value_mean", "currency", "(price x quantity - discount) / orders",
        "Mean value of an order.", "平均每单金额。",
        ratio(known_money(_.gross_micros - _.discount_micros), _.orders),
    ),
    _feature(
        "basket_value_max", "currency", "greatest price x quantity - discount of an order",
        "Value of the greatest order.", "最大一单的金额。", known_money(_.basket_max_micros),
    ),
    _feature(
        "basket_units_mean", "units", "units / orders", "Units in an order.",
        "平均每单件数。", ratio(_.units, _.orders),
    ),
    _feature(
        "basket_units_max", "units", "most units of an order", "Units in the largest order.",
        "最大一单的件数。", _.units_max, "count",
    ),
    _feature(
        "basket_lines_mean", "lines", "value events / orders", "Different lines in an order.",
        "平均每单商品行数。", ratio(_.lines, _.orders),
    ),
    _feature(
        "unit_price_mean", "currency", "sum of price x quantity / units",
        "Mean price of a unit bought.", "购买商品的平均单价。",
        ratio(known_money(_.gross_micros), _.units),
    ),
    _feature(
        "discount_share", "share", "discounts / (price x quantity)",
        "Share of the order value given as discount.", "折扣占消费额的比例。",
        ratio(_.discount_micros, _.gross_micros),
    ),
    _feature(
        "discounted_order_share", "share", "orders with a discount / orders",
        "Share of orders bought at a discount.", "有折扣的订单比例。",
        ratio(_.discounted_orders, _.orders),
    ),
    _feature(
        "coupon_share", "share", "orders with a coupon / orders",
        "Share of orders with a coupon.", "使用优惠券的订单比例。",
        ratio(_.coupon_orders, _.orders),
    ),
    _feature(
        "refund_share", "share", "refunded amount / (price x quantity - discount)",
        "Share of the money that went back.", "退款占消费额的比例。",
        ratio(_.refund_micros, _.gross_micros - _.discount_micros),
    ),
    _feature(
        "refund_rate", "ratio", "refund events / value events",
        "Refunds for each line bought.", "每行购买对应的退款次数。", ratio(_.n_refund, _.lines),
    ),
)  # fmt: skip

_FUNNEL: Final = (
    _feature(
        "cart_per_view", "ratio", "cart_add / view", "Cart additions for each view.",
        "每次浏览对应的加购次数。", ratio(_.n_cart_add, _.n_view),
    ),
    _feature(
        "purchase_per_cart", "ratio", "value events / cart_add",
        "Lines bought for each cart addition.", "每次加购对应的购买行数。",
        ratio(_.lines, _.n_cart_add),
    ),
    _feature(
        "purchase_per_view", "ratio", "value events / view", "Lines bought for each view.",
        "每次浏览对应的购买行数。", ratio(_.lines, _.n_view),
    ),
    _feature(
        "cart_remove_rate", "ratio", "cart_remove / cart_add",
        "Removals for each cart addition.", "每次加购对应的移除次数。",
        ratio(_.n_cart_remove, _.n_cart_add),
    ),
)  # fmt: skip

_HOURS: Final = (
    _feature(
        "night_share", "share", "events at local 22:00-06:00 / events",
        "Share of events at night (22-6).", "夜间（22-6 点）事件比例。", ratio(_.night, _.events),
    ),
    _feature(
        "morning_share", "share", "events at local 06:00-12:00 / events",
        "Share of events in the morning (6-12).", "上午（6-12 点）事件比例。",
        ratio(_.morning, _.events),
    ),
    _feature(
        "afternoon_share", "share", "events at local 12:00-18:00 / events",
        "Share of events in the afternoon (12-18).", "下午（12-18 点）事件比例。",
        ratio(_.afternoon, _.events),
    ),
    _feature(
        "evening_share", "share", "events at local 18:00-22:00 / events",
        "Share of events in the evening (18-22).", "晚间（18-22 点）事件比例。",
        ratio(_.events - _.night - _.morning - _.afternoon, _.events),
    ),
    _feature(
        "weekend_share", "share", "events on a local Saturday or Sunday / events",
        "Share of events at weekends.", "周末事件比例。", ratio(_.weekend, _.events),
    ),
)  # fmt: skip

_MEANS: Final = (
    _feature(
        "payment_kinds", "kinds", "distinct payment of value events",
        "Different means of payment used.", "使用过的支付方式数。", _.payment_kinds, "count",
    ),
    _feature(
        "channels", "channels", "distinct channel", "Different channels used.",
        "使用过的渠道数。", _.channels, "count",
    ),
    _feature(
        "main_payment", "", "commonest payment of value events; of equals the greater text",
        "The usual means of payment.", "最常用的支付方式。", named(_.top_payment), "text",
    ),
    _feature(
        "main_channel", "", "commonest channel; of equals the greater text",
        "The usual channel.", "最常用的渠道。", named(_.top_channel), "text",
    ),
    _feature(
        "main_device", "", "commonest device; of equals the greater text",
        "The usual device.", "最常用的设备。", named(_.top_device), "text",
    ),
)  # fmt: skip

FEATURES: Final = (*_COUNTS, *_TIMES, *_MONEY, *_FUNNEL, *_HOURS, *_MEANS)
