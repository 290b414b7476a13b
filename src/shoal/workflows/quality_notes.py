"""What the shapes of order sources noted about an order that does not add up, for quality."""

from __future__ import annotations

from typing import Final

from shoal.config import QualityConfig
from shoal.domain.quality import Finding
from shoal.domain.time import DAY_US
from shoal.workflows.quality_judging import by_source, filled, judged
from shoal.workflows.quality_tables import LOCAL, Scope, of_source

#: The property, as it is stored, that tells by how much an order's total and its lines differ.
_NOTED: Final = '"unexplained":"'
_AMOUNT: Final = '"unexplained":"-?([0-9.]+)"'


def unexplained(scope: Scope, settings: QualityConfig) -> list[Finding]:
    """Orders whose lines are not what the order says that they come to."""
    rows = scope.rows(
        f"""
        WITH orders AS (
            SELECT coalesce(source, '') AS source, order_id, min({LOCAL}) // {DAY_US} AS day,
                max(try_cast(regexp_extract(properties, '{_AMOUNT}', 1) AS DOUBLE)) AS differs
            FROM events
            WHERE kind IN ('purchase', 'refund', 'custom') AND order_id IS NOT NULL
                AND {scope.later}
            GROUP BY 1, 2
        )
        SELECT source, day, count(*) AS orders, count(differs) AS bad,
            coalesce(sum(differs), 0) AS money
        FROM orders GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    found = []
    for source, own in by_source(rows).items():
        first, counts = filled(own, ("orders", "bad"))
        found.append(
            judged(
                "orders", counts["bad"], counts["orders"], first,
                warning=settings.orders_warning, error=settings.orders_error,
                source=source, variant="unexplained",
                figures={"money": sum(row["money"] for row in own)},
                where=f"{of_source(source)} AND contains(properties, '{_NOTED}')",
            )
        )  # fmt: skip
    return [one for one in found if one is not None]
