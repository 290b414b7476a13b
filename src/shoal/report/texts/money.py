"""The texts of the money section, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MONEY_EN: Final[Mapping[str, str]] = {
    "money.title": "Money by month",
    "money.lead": (
        "All orders by month of the shop’s time zone, those of guests included. Net is gross less "
        "discounts and refunds, without tax and shipping; a refund counts in the month in which "
        "it was given. "
    ),
    "money.lead_unit": "Amounts are in {currency}, rounded to whole units. ",
    "money.lead_no_unit": "Amounts are in the unit of the source, rounded to whole ones. ",
    "money.lead_books": "`shoal reconcile` compares them with the books.",
    "money.month": "Month",
    "money.all": "All",
    "money.orders": "Orders",
    "money.units": "Units",
    "money.gross": "Gross",
    "money.discounts": "Discounts",
    "money.refunds": "Refunds",
    "money.net": "Net",
    "money.tax": "Tax",
    "money.shipping": "Shipping",
    "money.total": "Total",
    "money.customers": "Customers",
    "money.new_customers": "New customers",
    "money.alt": "Bar chart of net and refunds by month. The best month is {month} with {net} net.",
    "money.begins": "The first month is not whole: its orders begin on {day}.",
    "money.ends": "The last month is not whole: its orders end on {day}.",
    "money.left_out": "Not in these figures: {parts}.",
    "noun.order.one": "{n} order",
    "noun.order.many": "{n} orders",
    "money.beside": "{why} ({amount})",
    "money.beside_orders": "{why} ({orders}, {amount})",
    "money.beside.fee": "fees and postage",
    "money.beside.gift_card": "gift cards sold",
    "money.beside.told_twice": "orders told by sources that do not count",
    "money.beside.other_currency": "amounts of other currencies",
    "money.beside.test_order": "test orders",
    "money.beside.staff_order": "orders of staff",
    "money.beside.agent": "robots",
    "money.beside.address": "own addresses",
    "money.beside.rate": "visitors faster than people",
    "money.beside.no_think_time": "visitors without time to think",
}
MONEY_ZH: Final[Mapping[str, str]] = {
    "money.title": "每月账目",
    "money.lead": (
        "按店铺时区的月份统计全部订单，包括游客订单。"
        "净额为总额减去折扣和退款，不含税和运费；退款计入发生的月份。"
    ),
    "money.lead_unit": "金额单位为 {currency}，四舍五入取整。",
    "money.lead_no_unit": "金额沿用来源数据的单位，四舍五入取整。",
    "money.lead_books": "`shoal reconcile` 可与账本核对。",
    "money.month": "月份",
    "money.all": "合计",
    "money.orders": "订单",
    "money.units": "件数",
    "money.gross": "总额",
    "money.discounts": "折扣",
    "money.refunds": "退款",
    "money.net": "净额",
    "money.tax": "税",
    "money.shipping": "运费",
    "money.total": "金额合计",
    "money.customers": "客户",
    "money.new_customers": "新客户",
    "money.alt": "柱状图：每月净额与退款。最好的月份是 {month}，净额 {net}。",
    "money.begins": "首月不完整：订单始于 {day}。",
    "money.ends": "末月不完整：订单止于 {day}。",
    "money.left_out": "未计入以上数字：{parts}。",
    "noun.order.one": "{n} 个订单",
    "noun.order.many": "{n} 个订单",
    "money.beside": "{why}（{amount}）",
    "money.beside_orders": "{why}（{orders}，{amount}）",
    "money.beside.fee": "费用与邮费",
    "money.beside.gift_card": "售出的礼品卡",
    "money.beside.told_twice": "未采用的来源所记录的订单",
    "money.beside.other_currency": "其他货币的金额",
    "money.beside.test_order": "测试订单",
    "money.beside.staff_order": "员工订单",
    "money.beside.agent": "机器人",
    "money.beside.address": "自有地址",
    "money.beside.rate": "快于真人的访客",
    "money.beside.no_think_time": "没有思考时间的访客",
}
