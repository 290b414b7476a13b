"""Orders, prices and amounts of the event table, counted for the quality checks."""

from __future__ import annotations

from typing import Any, Final

from shoal.domain.time import DAY_US
from shoal.workflows.quality_tables import LOCAL, US, Scope

#: Categories with fewer purchases are judged with all others of their source.
_OWN_SCALE: Final = 50
#: The least spread of a logarithm that counts as one: where all prices are alike, a third more is
#: no outlier.
_LEAST_SPREAD: Final = 0.35


def orders(scope: Scope) -> list[dict[str, Any]]:
    """Orders a source and local day of their first line.

    Rows `source`, `day`, `orders`, `no_item` and `no_price` (on none of their lines), `refunded`
    (orders of which something went back), `beyond` (more than their lines cost after discounts,
    tax and shipping included, by over 1 %; of what went back discounts are taken off too),
    `beyond_micro` (by how much, micro-units), and
    `unknown` (orders known by their refunds alone).
    """
    paid = "coalesce(price, 0)::HUGEINT * coalesce(quantity, 1) - coalesce(discount, 0)"
    return scope.rows(
        f"""
        WITH lines AS (
            SELECT coalesce(source, '') AS source, order_id, min({LOCAL}) // {DAY_US} AS day,
                count(*) FILTER (WHERE kind = 'purchase') AS bought,
                count(item_id) FILTER (WHERE kind = 'purchase') AS items,
                count(price) FILTER (WHERE kind = 'purchase') AS priced,
                sum({paid} + coalesce(tax, 0) + coalesce(shipping, 0))
                    FILTER (WHERE kind = 'purchase') AS amount,
                sum({paid}) FILTER (WHERE kind = 'refund') AS back
            FROM events
            WHERE kind IN ('purchase', 'refund') AND order_id IS NOT NULL AND {scope.later}
            GROUP BY 1, 2
        ), judged AS (
            SELECT *, bought > 0 AND priced = bought AND back * 100 > amount * 101 + 1000000 AS over
            FROM lines
        )
        SELECT source, day,
            count(*) FILTER (WHERE bought > 0) AS orders,
            count(*) FILTER (WHERE bought > 0 AND items = 0) AS no_item,
            count(*) FILTER (WHERE bought > 0 AND priced = 0) AS no_price,
            count(*) FILTER (WHERE bought > 0 AND back > 0) AS refunded,
            count(*) FILTER (WHERE over) AS beyond,
            coalesce(sum(back - amount) FILTER (WHERE over), 0)::DOUBLE AS beyond_micro,
            max(order_id) FILTER (WHERE over) AS over_order,
            count(*) FILTER (WHERE bought = 0) AS unknown
        FROM judged GROUP BY 1, 2 ORDER BY 1, 2
        """
    )


def outliers(scope: Scope, name: str, z: float) -> list[dict[str, Any]]:
    """Purchases whose `price` or `quantity` lies `z` robust standard deviations off, a day.

    On a log scale, against the median of the same category of the source (of the whole source for
    small categories). The standard deviation is 1.4826 x the median absolute deviation, or, where
    more than half are equal, 1.2533 x the mean one (Iglewicz and Hoaglin 1993, "How to Detect and
    Handle Outliers", modified z-score).

    Rows `source`, `day`, `n`, `bad`, `money` and `bad_money` (price x quantity, micro-units),
    `worst_z`, `worst` (the value), `usual` (the median it was compared with), `event_id`.
    """
    money = "coalesce(price, 0)::DOUBLE * coalesce(quantity, 1)"
    return scope.rows(
        f"""
        WITH bought AS (
            SELECT coalesce(source, '') AS source, coalesce(category, '') AS category,
                {LOCAL} // {DAY_US} AS day, ln({name}) AS x, {name} AS value, event_id,
                {money} AS money
            FROM events WHERE kind = 'purchase' AND {name} > 0 AND {scope.later}
        ), large AS (
            SELECT source, category FROM bought GROUP BY ALL HAVING count(*) >= {_OWN_SCALE}
        ), placed AS (
            SELECT bought.* EXCLUDE (category), coalesce(large.category, '*') AS scale
            FROM bought LEFT JOIN large USING (source, category)
        ), middles AS (
            SELECT source, scale, median(x) AS middle FROM placed GROUP BY ALL
        ), spreads AS (
            SELECT source, scale, middle, greatest({_LEAST_SPREAD}, CASE
                WHEN median(abs(x - middle)) > 0 THEN 1.4826 * median(abs(x - middle))
                ELSE 1.2533 * avg(abs(x - middle)) END) AS spread
            FROM placed JOIN middles USING (source, scale) GROUP BY ALL
        ), scored AS (
            SELECT placed.*, (x - middle) / spread AS z, exp(middle) AS usual
            FROM placed JOIN spreads USING (source, scale)
        )
        SELECT source, day, count(*) AS n, count(*) FILTER (WHERE abs(z) > {z}) AS bad,
            sum(money) AS money, coalesce(sum(money) FILTER (WHERE abs(z) > {z}), 0.0) AS bad_money,
            max(abs(z)) AS worst_z, arg_max(value, abs(z))::DOUBLE AS worst,
            arg_max(usual, abs(z)) AS usual, arg_max(event_id, abs(z)) AS event_id
        FROM scored GROUP BY 1, 2 ORDER BY 1, 2
        """
    )


def repeated(scope: Scope) -> list[dict[str, Any]]:
    """Purchases whose content is stored again under another id, a source and local day.

    Rows `source`, `day`, `orders` (of several different lines), `whole` (those of which every line
    is there at least twice), and of all other purchases `n` and `bad` (all but the first of each
    content).
    """
    return scope.rows(
        f"""
        WITH same AS (
            SELECT coalesce(source, '') AS source, order_id, content_key,
                min({LOCAL}) // {DAY_US} AS day, count(*) AS n
            FROM events WHERE kind = 'purchase' AND {scope.later} GROUP BY 1, 2, 3
        ), parts AS (
            SELECT source, min(day) AS day, count(*) AS lines, min(n) AS least, sum(n) AS n
            FROM same
            GROUP BY source, order_id, CASE WHEN order_id IS NULL THEN content_key END
        )
        SELECT source, day, count(*) FILTER (WHERE lines > 1) AS orders,
            count(*) FILTER (WHERE lines > 1 AND least > 1) AS whole,
            coalesce(sum(n) FILTER (WHERE lines = 1), 0)::BIGINT AS n,
            coalesce(sum(n - 1) FILTER (WHERE lines = 1), 0)::BIGINT AS bad
        FROM parts GROUP BY 1, 2 ORDER BY 1, 2
        """
    )


def told_again(scope: Scope) -> list[dict[str, Any]]:
    """Orders whose lines are there again at another moment, a source and local day.

    What makes a telling, and which orders of one line count: `shoal.features.revenue_doubts`.

    Rows `source`, `day` (of the order's first line), `orders` (all with an id), `again`, `money`
    (of all tellings but the first, less discounts, micro-units), `example` (an order).
    """
    paid = "coalesce(price, 0)::HUGEINT * coalesce(quantity, 1) - coalesce(discount, 0)"
    return scope.rows(
        f"""
        WITH bought AS (
            SELECT coalesce(source, '') AS source, order_id, {US} AS us, {LOCAL} // {DAY_US} AS day,
                item_id, price, coalesce(quantity, 1) AS units, {paid} AS money
            FROM events WHERE kind = 'purchase' AND order_id IS NOT NULL AND {scope.later}
        ), orders AS (
            SELECT source, order_id, min(day) AS day, min(us) AS first_us, max(us) AS last_us
            FROM bought GROUP BY 1, 2
        ), lines AS (
            SELECT source, order_id, us, first_us, item_id, price, units, count(*) AS n,
                sum(money) AS money
            FROM bought JOIN orders USING (source, order_id) WHERE last_us > first_us GROUP BY 1, 2,
                3, 4, 5, 6, 7
        ), moments AS (
            SELECT source, order_id, count(DISTINCT us) AS moments,
                sum(money) FILTER (WHERE us > first_us) AS money
            FROM lines GROUP BY 1, 2
        ), kinds AS (
            SELECT source, order_id, count(*) AS moments, min(n) < max(n) AS uneven
            FROM lines GROUP BY source, order_id, item_id, price, units
        ), each AS (
            SELECT source, order_id, any_value(moments.money) AS money, count(*) AS kinds,
                bool_or(uneven OR kinds.moments < moments.moments) AS odd
            FROM kinds JOIN moments USING (source, order_id) GROUP BY 1, 2
        ), habits AS (
            SELECT source, count(*) FILTER (WHERE odd) > count(*) FILTER (WHERE NOT odd) AS apart
            FROM each WHERE kinds > 1 GROUP BY 1
        ), twice AS (
            SELECT source, order_id, money FROM each LEFT JOIN habits USING (source)
            WHERE NOT odd AND (kinds > 1 OR NOT coalesce(apart, false))
        )
        SELECT source, day, count(*) AS orders, count(twice.order_id) AS again,
            coalesce(sum(money), 0)::DOUBLE AS money, min(twice.order_id) AS example
        FROM orders LEFT JOIN twice USING (source, order_id) GROUP BY 1, 2 ORDER BY 1, 2
        """
    )


def currencies(scope: Scope) -> list[dict[str, Any]]:
    """Priced purchases and refunds of each source and currency (null: none stated).

    Rows `source`, `currency`, `n`, `money` (price x quantity, micro-units), `first_time`.
    """
    return scope.rows(
        "SELECT coalesce(source, '') AS source, currency, count(*) AS n, "
        "sum(price::HUGEINT * coalesce(quantity, 1))::DOUBLE AS money, "
        "min(event_time) AS first_time FROM events "
        f"WHERE kind IN ('purchase', 'refund') AND price > 0 AND {scope.later} "
        "GROUP BY 1, 2 ORDER BY 1, n DESC, 2"
    )
