"""Last step of the data-frame peers: from sums of a customer to features, in numpy.

It costs milliseconds; polars and pandas share it because their authors would both end so.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Column = npt.NDArray[np.float64]

DAY_US = 86_400_000_000
WINDOWS = (7, 28, 90)
#: Kinds counted, and the feature's name where it is not `<kind>s`.
KINDS = {
    "view": "views", "click": "clicks", "cart_add": "cart_adds", "cart_remove": "cart_removes",
    "checkout": "checkouts", "login": "logins", "refund": "refunds", "search": "searches",
    "review": "reviews", "share": "shares", "favourite": "favourites", "refer": "referrals",
    "survey": "surveys", "exposure": "exposures", "open": "opens", "response": "responses",
    "profile": "profile_updates",
}  # fmt: skip
#: Sums over the visits of a window, by name of the feature.
VISIT_SUMS = {"events": "n", "views": "views", "searches": "searches", "cart_adds": "carts",
              "spend": "net"}  # fmt: skip
TEXTS = ("main_payment", "main_channel", "main_device", "top_category", "top_brand", "country",
         "region")  # fmt: skip


def over(part: Column, whole: Column) -> Column:
    """part / whole, NaN where whole is 0."""
    with np.errstate(all="ignore"):
        return np.where(whole == 0, np.nan, part / whole)


def finish(c: Mapping[str, Column], now_us: int) -> dict[str, Column]:
    """Numeric features of the sums `c` of each customer (NaN: the customer has none)."""

    def zero(name: str) -> Column:
        return np.nan_to_num(c[name])

    days = {name: (now_us - c[name]) / DAY_US for name in ("first_us", "last_us", "last_order_us")}
    orders, lines, units = zero("orders"), zero("lines"), zero("units")
    gross, discount, refund = zero("gross"), zero("discount"), c["refund_micros"]
    micro = np.where((lines == 0) | (c["priced"] > 0), 1e6, np.nan)
    months = np.maximum(days["first_us"], 30.0)
    net = (gross - discount - refund) / micro
    events, sessions = c["events"], c["sessions"]
    f: dict[str, Column] = {name: c[f"n_{kind}"] for kind, name in KINDS.items()}
    f |= {
        "events": events, "orders": orders, "order_lines": lines, "units": units,
        "foreign_lines": np.zeros(len(events)), "tenure_days": days["first_us"],
        "recency_days": days["last_us"], "order_recency_days": days["last_order_us"],
        "active_span_days": (c["last_us"] - c["first_us"]) / DAY_US,
        "orders_per_month": orders * 30.0 / months, "order_gap_mean_days": c["gap_mean"] / DAY_US,
        "order_gap_std_days": c["gap_std"] / DAY_US,
        "order_gap_cv": over(c["gap_std"], c["gap_mean"]),
        "order_overdue": over(now_us - c["last_order_us"], c["gap_mean"]), "spend": net,
        "gross_spend": gross / micro, "refund_amount": refund / micro,
        "spend_per_month": net * 30.0 / months,
        "basket_value_mean": over((gross - discount) / micro, orders),
        "basket_value_max": c["basket_max"] / micro, "basket_units_mean": over(units, orders),
        "basket_units_max": c["units_max"], "basket_lines_mean": over(lines, orders),
        "unit_price_mean": over(gross / micro, units), "discount_share": over(discount, gross),
        "discounted_order_share": over(zero("discounted"), orders),
        "coupon_share": over(zero("couponed"), orders),
        "refund_share": over(refund, gross - discount), "refund_rate": over(c["n_refund"], lines),
        "cart_per_view": over(c["n_cart_add"], c["n_view"]),
        "purchase_per_cart": over(lines, c["n_cart_add"]),
        "purchase_per_view": over(lines, c["n_view"]),
        "cart_remove_rate": over(c["n_cart_remove"], c["n_cart_add"]),
        "night_share": c["night"] / events, "morning_share": c["morning"] / events,
        "afternoon_share": c["afternoon"] / events,
        "evening_share": (events - c["night"] - c["morning"] - c["afternoon"]) / events,
        "weekend_share": c["weekend"] / events, "payment_kinds": zero("payment_kinds"),
        "channels": zero("channels"), "sessions_90d": zero("sessions"),
        "active_days_90d": zero("active_days"),
        "session_minutes_90d": c["session_us"] / sessions / 6e7,
        "session_depth_90d": c["events_90"] / sessions, "session_depth_max_90d": c["deepest"],
        "buying_session_share_90d": c["buying"] / sessions,
        "items_kept": zero("items"), "items_bought": zero("items_bought"),
        "repeat_item_share": over(c["items_again"], c["items_bought"]),
        "repeat_line_share": over(c["item_lines"] - c["items_bought"], c["item_lines"]),
        "item_age_days": c["age_us"] / DAY_US, "item_popularity": c["popularity"],
        "price_level": c["price_rank"], "price_level_bought": c["bought_price_rank"],
        "search_share": c["n_search"] / events,
        "sign_up_days": (now_us - c["signed_up_us"]) / DAY_US,
        "rating_mean": over(c["rating_micros"], c["rated"]) / 1e6,
        "review_rate": over(c["n_review"], lines), "favourite_share": c["n_favourite"] / events,
        "open_rate": over(c["n_open"], c["n_exposure"]),
        "response_rate": over(c["n_response"], c["n_exposure"]),
    }  # fmt: skip
    for name in (*VISIT_SUMS, "orders"):
        week, month, quarter = (zero(f"{name}_{window}") for window in WINDOWS)
        unit = micro if name == "spend" else np.ones(len(events))
        f |= {f"{name}_{w}d": zero(f"{name}_{w}") / unit for w in WINDOWS}
        f[f"{name}_trend_7d"] = _trend(week * 21, (month - week) * 7)
        f[f"{name}_trend_28d"] = _trend(month * 62, (quarter - month) * 28)
    for one, many in (("category", "categories"), ("brand", "brands")):
        n = c[f"{one}_n"]
        f |= {
            f"top_{one}_share": c[f"{one}_max"] / n,
            f"{one}_entropy": np.maximum(np.log(n) - c[f"{one}_nlogn"] / n, 0.0),
            many: zero(f"{one}_kinds"), f"{many}_bought": zero(f"{one}_kinds_bought"),
            f"bought_{one}_share": over(c[f"{one}_bought_max"], c[f"{one}_bought"]),
        }  # fmt: skip
    return f


def _trend(a: Column, b: Column) -> Column:
    a, b = np.maximum(a, 0), np.maximum(b, 0)
    return over(a - b, a + b)


def table(
    customers: pa.Array, texts: Mapping[str, pa.Array], numbers: Mapping[str, Column]
) -> pa.Table:
    """Features as an Arrow table; NaN becomes null."""
    columns = {name: pa.array(column, from_pandas=True) for name, column in numbers.items()}
    return pa.table({"customer_id": customers, **texts, **columns})
