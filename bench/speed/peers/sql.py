"""Hand-written DuckDB SQL: one statement, as a good SQL author would write it for these numbers."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

_DAY = 86_400_000_000


def features(files: Sequence[str], reference: pa.Table, now_us: int, today: int) -> pa.Table:
    """The catalog's features of every customer, sorted by customer."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.register("reference", reference)
    # The trend of two daily rates; a refund can make one of money negative.
    connection.execute(
        "CREATE MACRO trend(a, b) AS "
        "(greatest(a, 0) - greatest(b, 0)) / nullif(greatest(a, 0) + greatest(b, 0), 0)"
    )
    query = QUERY.replace("$now", str(now_us)).replace("$today", str(today))
    return connection.sql(query, params={"files": list(files)}).to_arrow_table()


QUERY = f"""
WITH event AS MATERIALIZED (
  SELECT customer_id, kind, item_id, split_part(category, '/', 1) AS top_category, brand, order_id,
         session_id, payment, coupon, channel, device, country, region, rating,
         epoch_us(event_time) AS us,
         epoch_us(event_time) + coalesce(utc_offset_s, 0) * 1000000 AS local_us,
         price IS NOT NULL AS priced,
         coalesce(quantity, (price IS NOT NULL)::BIGINT) AS units,
         coalesce(price * coalesce(quantity, 1), 0) AS gross,
         coalesce(discount, 0) AS discount
  FROM read_parquet($files, hive_partitioning = false)
  WHERE customer_id IS NOT NULL AND kind <> 'item' AND epoch_us(event_time) < $now
),
customer AS (
  SELECT customer_id, count(*) AS events, min(us) AS first_us, max(us) AS last_us,
         count(*) FILTER (hour < 6 OR hour >= 22) AS night,
         count(*) FILTER (hour >= 6 AND hour < 12) AS morning,
         count(*) FILTER (hour >= 12 AND hour < 18) AS afternoon,
         count(*) FILTER ((local_us // {_DAY} + 3) % 7 >= 5) AS weekend,
         {
    ", ".join(
        f"count(*) FILTER (kind = '{kind}') AS n_{kind}"
        for kind in (
            "view",
            "click",
            "cart_add",
            "cart_remove",
            "checkout",
            "login",
            "refund",
            "search",
            "review",
            "share",
            "favourite",
            "refer",
            "survey",
            "exposure",
            "open",
            "response",
            "profile",
        )
    )
},
         coalesce(sum(abs(gross) - discount) FILTER (kind = 'refund'), 0) AS refund_micros,
         count(rating) AS rated, sum(round(rating * 1000000)::BIGINT) AS rating_micros,
         min(us) FILTER (kind = 'sign_up') AS signed_up_us,
         arg_max(country, us) AS country, arg_max(region, us) AS region
  FROM (SELECT *, local_us % {_DAY} // 3600000000 AS hour FROM event)
  GROUP BY customer_id
),
visit AS (
  SELECT customer_id, local_us // {_DAY} AS day, count(*) AS n, max(us) - min(us) AS us,
         count(*) FILTER (kind = 'view') AS views, count(*) FILTER (kind = 'cart_add') AS carts,
         count(*) FILTER (kind = 'search') AS searches,
         count(*) FILTER (kind = 'purchase') AS bought,
         sum(CASE kind WHEN 'purchase' THEN gross - discount
                       WHEN 'refund' THEN discount - abs(gross) ELSE 0 END) AS net
  FROM event WHERE local_us // {_DAY} > $today - 90
  GROUP BY customer_id, day, session_id
),
visits AS (
  SELECT customer_id, count(*) AS sessions, sum(us) AS session_us, max(n) AS deepest,
         count(*) FILTER (bought > 0) AS buying, count(DISTINCT day) AS active_days,
         {
    ", ".join(
        f"sum({column}) FILTER (day > $today - {days}) AS {name}_{days}"
        for name, column in (
            ("events", "n"),
            ("views", "views"),
            ("searches", "searches"),
            ("cart_adds", "carts"),
            ("spend", "net"),
        )
        for days in (7, 28, 90)
    )
}
  FROM visit GROUP BY customer_id
),
basket AS (
  SELECT customer_id, min(us) AS us, min(local_us // {_DAY}) AS day, count(*) AS lines,
         sum(units) AS units, sum(gross) AS gross, sum(discount) AS discount,
         count(*) FILTER (priced) AS priced, count(coupon) AS coupons
  FROM event WHERE kind = 'purchase'
  GROUP BY customer_id, coalesce(order_id, '@' || us)
),
orders AS (
  SELECT customer_id, count(*) AS orders, max(us) AS last_order_us, avg(gap) AS gap_mean,
         stddev_samp(gap) AS gap_std, sum(lines) AS lines, sum(units) AS units,
         max(units) AS units_max, sum(gross) AS gross, sum(discount) AS discount,
         max(gross - discount) AS basket_max, sum(priced) AS priced,
         count(*) FILTER (discount > 0) AS discounted, count(*) FILTER (coupons > 0) AS couponed,
         {
    ", ".join(f"count(*) FILTER (day > $today - {days}) AS orders_{days}" for days in (7, 28, 90))
}
  FROM (SELECT *, nullif(us - lag(us) OVER (PARTITION BY customer_id ORDER BY us), 0) AS gap
        FROM basket)
  GROUP BY customer_id
),
{
    ", ".join(
        f'''
{name} AS (
  SELECT customer_id, count(*) AS kinds, sum(n) AS n, max(n) AS n_max, sum(n * ln(n)) AS nlogn,
         max(struct_pack(n := n, k := {key})).k AS top,
         count(*) FILTER (bought > 0) AS kinds_bought,
         sum(bought) AS bought, nullif(max(bought), 0) AS bought_max
  FROM (SELECT customer_id, {key}, count(*) AS n, count(*) FILTER (kind = 'purchase') AS bought
        FROM event WHERE {key} IS NOT NULL GROUP BY customer_id, {key})
  GROUP BY customer_id
)'''
        for name, key in (("categories", "top_category"), ("brands", "brand"))
    )
},
items AS (
  SELECT customer_id, count(*) AS items, count(*) FILTER (bought > 0) AS items_bought,
         count(*) FILTER (bought > 1) AS items_again, sum(bought) AS item_lines,
         avg(us - item_first_us) AS age_us, avg(popularity) AS popularity,
         avg(price_rank) AS price_rank, avg(price_rank) FILTER (bought > 0) AS bought_price_rank
  FROM (SELECT customer_id, item_id, min(us) AS us,
               count(*) FILTER (kind = 'purchase') AS bought
        FROM event
        WHERE item_id IS NOT NULL AND kind IN ('purchase', 'cart_add', 'favourite')
        GROUP BY customer_id, item_id)
  LEFT JOIN reference USING (item_id)
  GROUP BY customer_id
),
touch AS MATERIALIZED (
  SELECT customer_id, channel, device, count(*) AS n FROM event
  GROUP BY customer_id, channel, device
),
channels AS (
  SELECT customer_id, count(*) AS channels, max(struct_pack(n := n, k := channel)).k AS top
  FROM (SELECT customer_id, channel, sum(n) AS n FROM touch WHERE channel IS NOT NULL
        GROUP BY customer_id, channel)
  GROUP BY customer_id
),
devices AS (
  SELECT customer_id, max(struct_pack(n := n, k := device)).k AS top
  FROM (SELECT customer_id, device, sum(n) AS n FROM touch WHERE device IS NOT NULL
        GROUP BY customer_id, device)
  GROUP BY customer_id
),
payments AS (
  SELECT customer_id, count(*) AS kinds, max(struct_pack(n := n, k := payment)).k AS top
  FROM (SELECT customer_id, payment, count(*) AS n FROM event
        WHERE kind = 'purchase' AND payment IS NOT NULL GROUP BY customer_id, payment)
  GROUP BY customer_id
),
wide AS (
  SELECT c.*, ($now - c.first_us) / {_DAY} AS tenure,
         coalesce(o.orders, 0) AS orders, o.last_order_us, o.gap_mean, o.gap_std,
         coalesce(o.lines, 0) AS lines, coalesce(o.units, 0) AS units, o.units_max,
         coalesce(o.gross, 0) AS gross, coalesce(o.discount, 0) AS discount, o.basket_max,
         coalesce(o.discounted, 0) AS discounted, coalesce(o.couponed, 0) AS couponed,
         CASE WHEN o.lines IS NULL OR o.priced > 0 THEN 1e6 END AS unit,
         v.* EXCLUDE (customer_id),
         {", ".join(f"coalesce(o.orders_{days}, 0) AS orders_{days}" for days in (7, 28, 90))},
         k.kinds AS categories, k.n AS category_n, k.n_max AS category_max,
         k.nlogn AS category_nlogn,
         k.top AS top_category, k.kinds_bought AS categories_bought, k.bought AS category_bought,
         k.bought_max AS category_bought_max,
         b.kinds AS brands, b.n AS brand_n, b.n_max AS brand_max, b.nlogn AS brand_nlogn,
         b.top AS top_brand, b.kinds_bought AS brands_bought, b.bought AS brand_bought,
         b.bought_max AS brand_bought_max,
         i.* EXCLUDE (customer_id), h.channels, h.top AS main_channel, d.top AS main_device,
         p.kinds AS payment_kinds, p.top AS main_payment
  FROM customer c LEFT JOIN visits v USING (customer_id) LEFT JOIN orders o USING (customer_id)
  LEFT JOIN categories k USING (customer_id) LEFT JOIN brands b USING (customer_id)
  LEFT JOIN items i USING (customer_id) LEFT JOIN channels h USING (customer_id)
  LEFT JOIN devices d USING (customer_id) LEFT JOIN payments p USING (customer_id)
)
SELECT customer_id, events, n_view AS views, n_click AS clicks, n_cart_add AS cart_adds,
  n_cart_remove AS cart_removes, n_checkout AS checkouts, n_login AS logins, orders,
  lines AS order_lines, units, n_refund AS refunds, 0 AS foreign_lines, tenure AS tenure_days,
  ($now - last_us) / {_DAY} AS recency_days, ($now - last_order_us) / {_DAY} AS order_recency_days,
  (last_us - first_us) / {_DAY} AS active_span_days,
  orders * 30.0 / greatest(tenure, 30) AS orders_per_month,
  gap_mean / {_DAY} AS order_gap_mean_days, gap_std / {_DAY} AS order_gap_std_days,
  gap_std / gap_mean AS order_gap_cv, ($now - last_order_us) / gap_mean AS order_overdue,
  (gross - discount - refund_micros) / unit AS spend, gross / unit AS gross_spend,
  refund_micros / unit AS refund_amount,
  (gross - discount - refund_micros) / unit * 30 / greatest(tenure, 30) AS spend_per_month,
  (gross - discount) / unit / nullif(orders, 0) AS basket_value_mean,
  basket_max / unit AS basket_value_max, units / nullif(orders, 0) AS basket_units_mean,
  units_max AS basket_units_max, lines / nullif(orders, 0) AS basket_lines_mean,
  gross / unit / nullif(units, 0) AS unit_price_mean, discount / nullif(gross, 0) AS discount_share,
  discounted / nullif(orders, 0) AS discounted_order_share,
  couponed / nullif(orders, 0) AS coupon_share,
  refund_micros / nullif(gross - discount, 0) AS refund_share,
  n_refund / nullif(lines, 0) AS refund_rate, n_cart_add / nullif(n_view, 0) AS cart_per_view,
  lines / nullif(n_cart_add, 0) AS purchase_per_cart,
  lines / nullif(n_view, 0) AS purchase_per_view,
  n_cart_remove / nullif(n_cart_add, 0) AS cart_remove_rate, night / events AS night_share,
  morning / events AS morning_share, afternoon / events AS afternoon_share,
  (events - night - morning - afternoon) / events AS evening_share,
  weekend / events AS weekend_share,
  coalesce(payment_kinds, 0) AS payment_kinds, coalesce(channels, 0) AS channels, main_payment,
  main_channel, main_device, coalesce(sessions, 0) AS sessions_90d,
  coalesce(active_days, 0) AS active_days_90d, session_us / sessions / 6e7 AS session_minutes_90d,
  events_90 / sessions AS session_depth_90d, deepest AS session_depth_max_90d,
  buying / sessions AS buying_session_share_90d,
  {
    ", ".join(
        f"coalesce({name}_{days}, 0){' / unit' if name == 'spend' else ''} AS {name}_{days}d"
        for name in ("events", "views", "searches", "cart_adds", "orders", "spend")
        for days in (7, 28, 90)
    )
},
  {
    ", ".join(
        f'''trend(
    coalesce({name}_{last}, 0) * {before}, (coalesce({name}_{last + before}, 0)
    - coalesce({name}_{last}, 0)) * {last}) AS {name}_trend_{last}d'''
        for name in ("events", "views", "searches", "cart_adds", "orders", "spend")
        for last, before in ((7, 21), (28, 62))
    )
},
  {
    ", ".join(
        f'''top_{one}, {one}_max / {one}_n AS top_{one}_share,
  CASE WHEN {one}_n > 0 THEN greatest(ln({one}_n) - {one}_nlogn / {one}_n, 0) END AS {one}_entropy,
  coalesce({many}, 0) AS {many}, coalesce({many}_bought, 0) AS {many}_bought,
  {one}_bought_max / nullif({one}_bought, 0) AS bought_{one}_share'''
        for one, many in (("category", "categories"), ("brand", "brands"))
    )
},
  coalesce(items, 0) AS items_kept, coalesce(items_bought, 0) AS items_bought,
  items_again / nullif(items_bought, 0) AS repeat_item_share,
  (item_lines - items_bought) / nullif(item_lines, 0) AS repeat_line_share,
  age_us / {_DAY} AS item_age_days, popularity AS item_popularity, price_rank AS price_level,
  bought_price_rank AS price_level_bought, n_search AS searches, n_search / events AS search_share,
  country, region, ($now - signed_up_us) / {_DAY} AS sign_up_days, n_profile AS profile_updates,
  n_review AS reviews, n_share AS shares, n_favourite AS favourites, n_refer AS referrals,
  n_survey AS surveys, n_exposure AS exposures, n_open AS opens, n_response AS responses,
  rating_micros / nullif(rated, 0) / 1e6 AS rating_mean, n_review / nullif(lines, 0) AS review_rate,
  n_favourite / events AS favourite_share, n_open / nullif(n_exposure, 0) AS open_rate,
  n_response / nullif(n_exposure, 0) AS response_rate
FROM wide ORDER BY customer_id
"""
