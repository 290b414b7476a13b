"""The phrases that names of segments are put together from, and the effects that they state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shoal.domain.text import Text

#: (feature, direction): (theme, phrase). One phrase a theme is used in a name.
PHRASES: Final[Mapping[tuple[str, str], tuple[str, Text]]] = {
    ("night_share", "higher"): ("hours", Text("night-time", "深夜")),
    ("morning_share", "higher"): ("hours", Text("morning", "早晨")),
    ("afternoon_share", "higher"): ("hours", Text("afternoon", "午后")),
    ("evening_share", "higher"): ("hours", Text("evening", "晚间")),
    ("weekend_share", "higher"): ("week", Text("weekend", "周末")),
    ("weekend_share", "lower"): ("week", Text("weekday", "工作日")),
    ("discounted_order_share", "higher"): ("discount", Text("discount-seeking", "爱折扣")),
    ("discount_share", "higher"): ("discount", Text("discount-seeking", "爱折扣")),
    ("coupon_share", "higher"): ("discount", Text("coupon-using", "用优惠券")),
    ("discounted_order_share", "lower"): ("discount", Text("full-price", "原价购买")),
    ("discount_share", "lower"): ("discount", Text("full-price", "原价购买")),
    ("refund_rate", "higher"): ("refund", Text("often-returning", "常退货")),
    ("refund_share", "higher"): ("refund", Text("often-returning", "常退货")),
    ("refunds", "higher"): ("refund", Text("often-returning", "常退货")),
    ("price_level", "higher"): ("price", Text("premium", "偏好高价")),
    ("price_level_bought", "higher"): ("price", Text("premium", "偏好高价")),
    ("unit_price_mean", "higher"): ("price", Text("premium", "偏好高价")),
    ("price_level", "lower"): ("price", Text("low-price", "偏好低价")),
    ("price_level_bought", "lower"): ("price", Text("low-price", "偏好低价")),
    ("unit_price_mean", "lower"): ("price", Text("low-price", "偏好低价")),
    ("basket_value_mean", "higher"): ("basket", Text("big-basket", "大额订单")),
    ("basket_units_mean", "higher"): ("basket", Text("big-basket", "大篮子")),
    ("basket_lines_mean", "higher"): ("basket", Text("big-basket", "大篮子")),
    ("basket_value_mean", "lower"): ("basket", Text("small-basket", "小额订单")),
    ("basket_units_mean", "lower"): ("basket", Text("small-basket", "小篮子")),
    ("basket_lines_mean", "lower"): ("basket", Text("small-basket", "小篮子")),
    ("search_share", "higher"): ("search", Text("searching", "善搜索")),
    ("searches", "higher"): ("search", Text("searching", "善搜索")),
    ("search_share", "lower"): ("search", Text("strolling", "随便逛")),
    ("favourite_share", "higher"): ("browse", Text("wish-listing", "爱收藏")),
    ("review_rate", "higher"): ("review", Text("reviewing", "爱评价")),
    ("reviews", "higher"): ("review", Text("reviewing", "爱评价")),
    ("repeat_line_share", "higher"): ("repeat", Text("restocking", "重复购买")),
    ("repeat_item_share", "higher"): ("repeat", Text("restocking", "重复购买")),
    ("purchase_per_view", "higher"): ("funnel", Text("straight-to-purchase", "直奔购买")),
    ("buying_session_share_90d", "higher"): ("funnel", Text("straight-to-purchase", "直奔购买")),
    ("purchase_per_view", "lower"): ("funnel", Text("browsing", "多看少买")),
    ("buying_session_share_90d", "lower"): ("funnel", Text("browsing", "多看少买")),
    ("orders", "higher"): ("volume", Text("frequent", "高频")),
    ("orders_per_month", "higher"): ("volume", Text("frequent", "高频")),
    ("events", "higher"): ("volume", Text("busy", "活跃")),
    **{(f"orders_{days}d", "higher"): ("volume", Text("frequent", "高频")) for days in (28, 90)},
    **{(f"events_{days}d", "higher"): ("volume", Text("busy", "活跃")) for days in (28, 90)},
    ("orders", "lower"): ("volume", Text("occasional", "低频")),
    ("orders_per_month", "lower"): ("volume", Text("occasional", "低频")),
    ("events", "lower"): ("volume", Text("quiet", "安静")),
    ("spend", "higher"): ("value", Text("high-spending", "高消费")),
    **{
        (f"spend_{days}d", "higher"): ("value", Text("high-spending", "高消费"))
        for days in (28, 90)
    },
    ("spend", "lower"): ("value", Text("low-spending", "低消费")),
    ("recency_days", "higher"): ("recency", Text("lapsed", "久未到访")),
    ("order_recency_days", "higher"): ("recency", Text("lapsed", "久未下单")),
    ("recency_days", "lower"): ("recency", Text("recently active", "近期活跃")),
    ("order_recency_days", "lower"): ("recency", Text("recently active", "近期下单")),
    ("tenure_days", "lower"): ("tenure", Text("newcomer", "新近加入")),
    ("tenure_days", "higher"): ("tenure", Text("long-standing", "资深")),
    ("top_category_share", "lower"): ("breadth", Text("all-round", "兴趣广泛")),
    ("category_entropy", "higher"): ("breadth", Text("all-round", "兴趣广泛")),
    ("top_category_share", "higher"): ("breadth", Text("focused", "兴趣专一")),
    ("category_entropy", "lower"): ("breadth", Text("focused", "兴趣专一")),
}

#: Of a segment that nothing sets apart.
FALLBACK: Final = Text("average", "普通")
