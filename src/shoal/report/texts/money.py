"""The texts of the money section, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MONEY_EN: Final[Mapping[str, str]] = {
    "money.title": "Money by month",
    "money.lead": (
        "All orders of the shop by local month, guests' orders included. Net is gross less "
        "discounts and refunds, without tax and shipping; a refund counts in the month in which "
        "it was given. `shoal reconcile --against books.csv` compares this with the books."
    ),
    "money.month": "Month",
    "money.all": "All",
    "money.orders": "Orders",
    "money.units": "Units",
    "money.gross": "Gross",
    "money.discounts": "Discounts",
    "money.refunds": "Refunds",
    "money.net": "Net",
    "money.customers": "Customers",
    "money.new_customers": "New",
    "money.alt": "Net and refunds by month. The best month is {month} with {net}.",
    "money.left_out": "Not counted, {why}: {orders} orders, {amount}.",
    "money.beside.fee": "fees and postage",
    "money.beside.gift_card": "gift cards sold",
    "money.beside.told_twice": "orders that another source tells too",
    "money.beside.other_currency": "amounts of other currencies",
    "money.beside.test_order": "test orders",
    "money.beside.staff_order": "orders of staff",
    "money.beside.agent": "robots",
    "money.beside.address": "own addresses",
}
MONEY_ZH: Final[Mapping[str, str]] = {
    "money.title": "每月账目",
    "money.lead": (
        "店铺全部订单按本地月份统计，包括游客订单。净额 = 总额 - 折扣 - 退款，不含税和运费；"
        "退款计入发生的月份。"
        "`shoal reconcile --against books.csv` 可与账本核对。"
    ),
    "money.month": "月份",
    "money.all": "合计",
    "money.orders": "订单",
    "money.units": "件数",
    "money.gross": "总额",
    "money.discounts": "折扣",
    "money.refunds": "退款",
    "money.net": "净额",
    "money.customers": "客户",
    "money.new_customers": "新客户",
    "money.alt": "每月净额与退款。最好的月份是 {month}，净额 {net}。",
    "money.left_out": "未计入（{why}）：{orders} 个订单，{amount}。",
    "money.beside.fee": "费用与邮费",
    "money.beside.gift_card": "售出的礼品卡",
    "money.beside.told_twice": "其他来源重复记录的订单",
    "money.beside.other_currency": "其他货币的金额",
    "money.beside.test_order": "测试订单",
    "money.beside.staff_order": "员工订单",
    "money.beside.agent": "机器人",
    "money.beside.address": "自有地址",
}
