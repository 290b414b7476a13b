"""A simulated shop as its systems would export it: GA4 shards, orders of Shopify, Segment's calls.

The same customers and orders stand in all, as they do in a real shop: GA4 sees browsing and
purchases by `user_pseudo_id` (and `user_id` once somebody signed in), Shopify has the orders (by
its bulk operation, and as the CSV of its admin; `woocommerce.csv` holds them as WooCommerce would),
and Segment's archive the identify calls. `books.csv` holds the months as the shop's books have
them, added up from the simulated events by a query of its own.

Layouts: GA4 "BigQuery Export schema" (support.google.com/analytics/answer/7029846), Shopify "Bulk
operations" (shopify.dev/docs/api/usage/bulk-operations/queries) and "Exporting orders to a CSV
file" (help.shopify.com), WooCommerce's export as the fixture `row_per_item.csv` has it, Segment
"Spec" (segment.com/docs).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

#: A customer's number in the shop system, and the browser's id on each device.
_PEOPLE = """
CREATE TABLE people AS
SELECT customer_id, row_number() OVER (ORDER BY customer_id) + 7000000000 AS number
FROM (SELECT DISTINCT customer_id FROM events WHERE customer_id IS NOT NULL)
"""
_SIGNED_IN = """
CREATE TABLE signed_in AS
SELECT customer_id, min(event_time) AS since FROM events
WHERE kind IN ('login', 'sign_up', 'purchase') GROUP BY 1
"""
_GA4 = """
CREATE TABLE hits AS
WITH seen AS (
  SELECT events.*, people.number,
         CASE kind WHEN 'view' THEN 'view_item' WHEN 'click' THEN 'select_item'
           WHEN 'search' THEN 'view_search_results' WHEN 'cart_add' THEN 'add_to_cart'
           WHEN 'cart_remove' THEN 'remove_from_cart' WHEN 'favourite' THEN 'add_to_wishlist'
           WHEN 'checkout' THEN 'begin_checkout' WHEN 'purchase' THEN 'purchase'
           WHEN 'login' THEN 'login' WHEN 'sign_up' THEN 'sign_up' WHEN 'share' THEN 'share' END
           AS event_name,
         CASE WHEN event_time >= since THEN people.number::VARCHAR END AS user_id,
         hash(events.customer_id || coalesce(device, '')) % 2000000000 AS browser,
         CASE kind WHEN 'purchase' THEN order_id ELSE event_id END AS hit
  FROM events JOIN people USING (customer_id) LEFT JOIN signed_in USING (customer_id)
)
SELECT strftime(min(event_time), '%Y%m%d') AS event_date,
       -- GA4 tells microseconds; the simulation knows seconds
       (epoch_us(min(event_time)) + hash(hit) % 1000000)::VARCHAR AS event_timestamp, event_name,
       browser || '.' || (browser % 97 + 1600000000) AS user_pseudo_id, user_id,
       [{'key': 'ga_session_id', 'value': {'string_value': NULL::VARCHAR,
         'int_value': (hash(coalesce(any_value(session_id), hit)) % 4000000000)::VARCHAR}},
        {'key': 'search_term', 'value': {'string_value': any_value(query),
         'int_value': NULL::VARCHAR}},
        {'key': 'currency', 'value': {'string_value': any_value(currency),
         'int_value': NULL::VARCHAR}},
        {'key': 'page_location', 'value': {'string_value':
         'https://shop.example/' || coalesce(any_value(category), ''),
         'int_value': NULL::VARCHAR}}] AS event_params,
       {'category': CASE any_value(device) WHEN 'phone' THEN 'mobile' ELSE 'desktop' END,
        'operating_system': 'unknown', 'language': 'en'} AS device,
       {'country': any_value(country), 'region': any_value(region)} AS geo,
       {'source': any_value(channel), 'medium': any_value(channel)} AS traffic_source,
       {'transaction_id': any_value(order_id) FILTER (kind = 'purchase'),
        'purchase_revenue': sum(price * coalesce(quantity, 1)),
        'tax_value': sum(tax), 'shipping_value': sum(shipping)} AS ecommerce,
       list({'item_id': item_id, 'item_name': title, 'item_brand': brand,
             'item_category': string_split(category, '/')[1],
             'item_category2': string_split(category, '/')[2],
             'price': price, 'quantity': coalesce(quantity, 1)::VARCHAR}
            ORDER BY event_id) FILTER (item_id IS NOT NULL) AS items,
       'WEB' AS platform, '1234567890' AS stream_id
FROM seen WHERE event_name IS NOT NULL
GROUP BY event_name, browser, user_id, hit
"""
_ORDERS = """
CREATE TABLE orders AS
SELECT order_id, number, customer_id, min(event_time) AS created,
       row_number() OVER (ORDER BY order_id) + 450000000000 AS order_number,
       sum(tax) AS tax, max(shipping) AS shipping, any_value(currency) AS currency,
       any_value(country) AS country
FROM events JOIN people USING (customer_id) WHERE kind = 'purchase'
GROUP BY order_id, number, customer_id
"""


#: Lines of orders with the order's own figures; `first` is the line that carries them in a CSV.
_LINES = """
CREATE TABLE lines AS
SELECT order_number, orders.number, orders.currency, orders.country, created,
       coalesce(orders.shipping, 0) AS shipping, orders.tax, title, brand, events.item_id, price,
       coalesce(quantity, 1) AS quantity, coalesce(discount, 0) AS discount,
       row_number() OVER (PARTITION BY order_number ORDER BY event_id) AS place,
       sum(price * coalesce(quantity, 1)) OVER (PARTITION BY order_number) AS gross,
       sum(coalesce(discount, 0)) OVER (PARTITION BY order_number) AS reductions
FROM events JOIN orders USING (order_id) WHERE kind = 'purchase'
"""
#: The first row of an order has all of it, the others their line only.
_SHOPIFY_CSV = """
SELECT '#' || order_number AS "Name", 'c' || number || '@mail.example' AS "Email",
       CASE place WHEN 1 THEN 'paid' END AS "Financial Status",
       CASE place WHEN 1 THEN strftime(created, '%Y-%m-%d %H:%M:%S +0000') END AS "Paid at",
       CASE place WHEN 1 THEN currency END AS "Currency",
       CASE place WHEN 1 THEN printf('%.2f', gross - reductions) END AS "Subtotal",
       CASE place WHEN 1 THEN printf('%.2f', shipping) END AS "Shipping",
       CASE place WHEN 1 THEN printf('%.2f', tax) END AS "Taxes",
       CASE place WHEN 1 THEN printf('%.2f', gross - reductions + shipping + tax) END AS "Total",
       CASE place WHEN 1 THEN printf('%.2f', reductions) END AS "Discount Amount",
       CASE place WHEN 1 THEN strftime(created, '%Y-%m-%d %H:%M:%S +0000') END AS "Created at",
       quantity AS "Lineitem quantity", title AS "Lineitem name",
       printf('%.2f', price) AS "Lineitem price", item_id AS "Lineitem sku", brand AS "Vendor",
       CASE place WHEN 1 THEN country END AS "Shipping Country",
       CASE place WHEN 1 THEN '0.00' END AS "Refunded Amount",
       CASE place WHEN 1 THEN order_number END AS "Id", '0.00' AS "Lineitem discount"
FROM lines ORDER BY order_number, place
"""
_WOOCOMMERCE_CSV = """
SELECT order_number AS order_id, strftime(created, '%Y-%m-%d %H:%M:%S') AS order_date,
       strftime(created, '%Y-%m-%d %H:%M:%S') AS date_modified, 'completed' AS status,
       printf('%.2f', shipping) AS shipping_total, '0.00' AS fee_total,
       printf('%.2f', tax) AS tax_total, printf('%.2f', reductions) AS discount_total,
       printf('%.2f', gross - reductions + shipping + tax) AS order_total,
       '0.00' AS refunded_total, currency AS order_currency, 'card' AS payment_method,
       number AS customer_id, 'c' || number || '@mail.example' AS billing_email,
       country AS shipping_country, place AS item_id, title AS item_name, item_id AS item_sku,
       quantity AS item_quantity, printf('%.2f', price * quantity) AS item_subtotal,
       printf('%.2f', price * quantity - discount) AS item_total, '0.00' AS item_refunded,
       0 AS item_refunded_qty
FROM lines ORDER BY order_number, place
"""


@dataclass(frozen=True)
class Exports:
    """Where the exports lie, and how many hits, orders and calls they hold."""

    ga4: Path
    shopify: Path
    shopify_csv: Path
    woocommerce: Path
    segment: Path
    books: Path
    hits: int
    orders: int
    calls: int


def write_exports(events: Path, out: Path) -> Exports:
    """Write the exports of a simulated log.

    Args:
        events: `events.parquet` of `shoal simulate`.
        out: directory to fill; `ga4/events_YYYYMMDD.json`, `shopify.jsonl`,
            `shopify.csv`, `woocommerce.csv`, `segment/calls.jsonl`, `books.csv`.
    """
    out.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(
            f"CREATE TABLE events AS SELECT events.*, title FROM read_parquet('{events}') events "
            f"LEFT JOIN read_parquet('{events.with_name('items.parquet')}') USING (item_id)"
        )
        for statement in (_PEOPLE, _SIGNED_IN, _GA4, _ORDERS, _LINES):
            db.execute(statement)
        for name, query in (("shopify", _SHOPIFY_CSV), ("woocommerce", _WOOCOMMERCE_CSV)):
            db.execute(f"COPY ({query}) TO '{out / name}.csv' (FORMAT csv)")
        hits = _ga4_shards(db, out / "ga4")
        orders = _shopify(db, out / "shopify.jsonl")
        calls = _segment(db, out / "segment")
        _books(db, out / "books.csv")
    return Exports(
        out / "ga4", out / "shopify.jsonl", out / "shopify.csv", out / "woocommerce.csv",
        out / "segment", out / "books.csv", hits, orders, calls,
    )  # fmt: skip


def _ga4_shards(db: duckdb.DuckDBPyConnection, directory: Path) -> int:
    directory.mkdir()
    days = db.execute("SELECT DISTINCT event_date FROM hits ORDER BY 1").fetchall()
    for (day,) in days:
        target = directory / f"events_{day}.json"
        db.execute(
            f"COPY (SELECT * FROM hits WHERE event_date = '{day}' ORDER BY event_timestamp) "
            f"TO '{target}' (FORMAT json)"
        )
    return int(db.execute("SELECT count(*) FROM hits").fetchall()[0][0])


def _shopify(db: duckdb.DuckDBPyConnection, target: Path) -> int:
    """Orders, each followed by its lines and refunds, as the bulk operation writes them."""
    money = "{'shopMoney': {'amount': printf('%.2f', VALUE), 'currencyCode': orders.currency}}"
    order = f"""
      SELECT order_number, 0 AS place, '' AS child, to_json({{
        'id': 'gid://shopify/Order/' || order_number, 'name': '#' || order_id,
        'createdAt': strftime(created, '%Y-%m-%dT%H:%M:%SZ'),
        'updatedAt': strftime(created, '%Y-%m-%dT%H:%M:%SZ'), 'test': false,
        'currencyCode': orders.currency, 'displayFinancialStatus': 'PAID',
        'customer': {{'id': 'gid://shopify/Customer/' || number}},
        'totalTaxSet': {money.replace("VALUE", "tax")},
        'totalShippingPriceSet': {money.replace("VALUE", "coalesce(shipping, 0)")},
        'shippingAddress': {{'countryCodeV2': country}}}}) AS line FROM orders"""
    line = f"""
      SELECT order_number, 1, events.event_id, to_json({{
        'id': 'gid://shopify/LineItem/' || (hash(events.event_id) % 900000000000),
        'title': title, 'quantity': coalesce(quantity, 1), 'currentQuantity': coalesce(quantity, 1),
        'sku': item_id, 'product': {{'id': 'gid://shopify/Product/' || item_id}},
        'vendor': brand,
        'originalUnitPriceSet': {money.replace("VALUE", "price")},
        'discountAllocations': [{{'allocatedAmountSet':
          {money.replace("VALUE", "coalesce(discount, 0)")}}}],
        '__parentId': 'gid://shopify/Order/' || order_number}})
      FROM events JOIN orders USING (order_id) WHERE kind = 'purchase'"""
    db.execute(
        f"COPY (SELECT line FROM ({order} UNION ALL {line}) ORDER BY order_number, place, child) "
        f"TO '{target}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\\x01')"
    )
    return int(db.execute("SELECT count(*) FROM orders").fetchall()[0][0])


def _segment(db: duckdb.DuckDBPyConnection, directory: Path) -> int:
    """Identify calls at logins, sign-ups and changes of profile; shares and reviews as tracks."""
    directory.mkdir()
    query = """
      SELECT CASE WHEN kind IN ('login', 'sign_up', 'profile') THEN 'identify' ELSE 'track' END
               AS type,
             event_id AS "messageId", people.number::VARCHAR AS "userId",
             browser || '.' || (browser % 97 + 1600000000) AS "anonymousId",
             strftime(event_time, '%Y-%m-%dT%H:%M:%S.%fZ') AS timestamp,
             CASE kind WHEN 'share' THEN 'Product Shared' WHEN 'review' THEN 'Product Reviewed' END
               AS event,
             CASE WHEN kind IN ('share', 'review') THEN {'product_id': item_id,
               'rating': rating::VARCHAR, 'review_body': text} END AS properties,
             CASE WHEN kind NOT IN ('share', 'review') THEN
               {'email': 'c' || number || '@mail.example', 'country': country} END AS traits,
             {'library': {'name': 'analytics.js', 'version': '2.1.0'}} AS context
      FROM (SELECT *, hash(customer_id || coalesce(device, '')) % 2000000000 AS browser FROM events)
        JOIN people USING (customer_id)
      WHERE kind IN ('login', 'sign_up', 'profile', 'share', 'review') ORDER BY event_time, event_id
    """
    db.execute(f"COPY ({query}) TO '{directory / 'calls.jsonl'}' (FORMAT json)")
    return int(db.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0])


def _books(db: duckdb.DuckDBPyConnection, target: Path) -> None:
    """The months as the books have them: orders, units, gross sales, discounts, net sales."""
    db.execute(
        f"""COPY (
          SELECT strftime(event_time, '%Y-%m') AS "Month", count(DISTINCT order_id) AS "Orders",
                 sum(coalesce(quantity, 1)) AS "Units",
                 round(sum(price * coalesce(quantity, 1)), 2) AS "Gross sales",
                 round(-sum(coalesce(discount, 0)), 2) AS "Discounts",
                 round(sum(price * coalesce(quantity, 1) - coalesce(discount, 0)), 2) AS "Net sales"
          FROM events WHERE kind = 'purchase' GROUP BY 1 ORDER BY 1
        ) TO '{target}' (FORMAT csv)"""
    )
