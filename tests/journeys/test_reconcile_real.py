"""The months of online_retail are those that one gets by hand from the raw file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.journeys.conftest import Shoal

FEES = "('POST', 'DOT', 'C2', 'M', 'm', 'BANK CHARGES', 'AMAZONFEE', 'CRUK', 'B', 'S')"
# By the preset's stated rules, straight from the raw rows: fees are no products, a C invoice or a
# negative quantity gives money back, a discount line (D) takes money off and is no sale. Exact
# duplicate lines all count but for lines below zero in price, which are bad-debt corrections.
BY_HAND = f"""
SELECT strftime(InvoiceDate, '%Y-%m') AS month,
  sum(CASE WHEN sale THEN cents * Quantity END) AS gross,
  sum(CASE WHEN NOT sale THEN cents * abs(Quantity) END) AS refunds,
  sum(CASE WHEN sale THEN Quantity END) AS units,
  count(DISTINCT CASE WHEN sale THEN InvoiceNo END) AS orders,
  count(DISTINCT CASE WHEN sale THEN CustomerID END) AS customers
FROM (
  SELECT *, CAST(round(UnitPrice * 1000) AS BIGINT) AS cents,
    Quantity >= 0 AND NOT starts_with(InvoiceNo, 'C') AND StockCode <> 'D' AS sale
  FROM read_parquet('{{path}}')
  WHERE UnitPrice >= 0 AND StockCode NOT IN {FEES}
)
GROUP BY 1 ORDER BY 1
"""
NEW_BY_HAND = f"""
SELECT month, count(*) AS new FROM (
  SELECT strftime(min(InvoiceDate), '%Y-%m') AS month FROM read_parquet('{{path}}')
  WHERE UnitPrice >= 0 AND StockCode NOT IN {FEES} AND StockCode <> 'D' AND CustomerID IS NOT NULL
    AND Quantity >= 0 AND NOT starts_with(InvoiceNo, 'C')
  GROUP BY CustomerID
)
GROUP BY 1
"""
# The books of somebody who adds up every row of the file.
EVERYTHING = """
SELECT strftime(InvoiceDate, '%Y-%m') AS month,
  sum(CAST(round(UnitPrice * 1000) AS BIGINT) * Quantity) AS net
FROM read_parquet('{path}') GROUP BY 1 ORDER BY 1
"""


@pytest.mark.real_data
def test_the_months_of_online_retail_are_those_by_hand(
    shoal: Shoal, tmp_path: Path, real_data: Path
) -> None:
    path = real_data / "online_retail/transactions.parquet"
    shop = tmp_path / "shop"
    assert shoal("init", shop, "--time-zone", "Europe/London").code == 0
    assert shoal("ingest", shop, path, "--preset", "online-retail").code == 0
    found = shoal("reconcile", shop, "--json").document
    by_hand = duckdb.sql(BY_HAND.format(path=path)).to_arrow_table().to_pylist()
    assert len(by_hand) == 13
    ours: dict[str, dict[str, Any]] = {one["month"]: one for one in found["months"]}
    for row in by_hand:
        one = ours[row["month"]]
        assert round(one["gross"] * 1000) == row["gross"], row["month"]
        assert round(one["refunds"] * 1000) == row["refunds"], row["month"]
        assert round(one["net"] * 1000) == row["gross"] - row["refunds"], row["month"]
        assert (one["units"], one["customers"]) == (row["units"], row["customers"])
        assert one["orders"] == row["orders"], row["month"]
    new = dict(duckdb.sql(NEW_BY_HAND.format(path=path)).fetchall())
    assert {month: one["new_customers"] for month, one in ours.items()} == new
    assert found["total"]["customers"] == sum(new.values()) == 4_335


@pytest.mark.real_data
def test_books_that_add_up_every_row_count_fees_and_the_quarantine(
    shoal: Shoal, tmp_path: Path, real_data: Path
) -> None:
    path = real_data / "online_retail/transactions.parquet"
    shop, books = tmp_path / "shop", tmp_path / "books.csv"
    assert shoal("init", shop, "--time-zone", "Europe/London").code == 0
    assert shoal("ingest", shop, path, "--preset", "online-retail").code == 0
    months = duckdb.sql(EVERYTHING.format(path=path)).fetchall()
    books.write_text("month,net\n" + "".join(f"{m},{net / 1000}\n" for m, net in months))
    against = shoal("reconcile", shop, "--against", books, "--json").document["against"]
    assert sum(net for _, net in months) == 9_747_747_934
    (total,) = against["totals"]
    (both,) = total["causes"]
    assert (both["code"], both["explained"]) == ("fees_included+quarantined_included", 1)
    for row in against["differences"]:
        # two lines of bad debt, below zero in price, are in the quarantine
        wanted = both["code"] if row["month"] == "2011-08" else "fees_included"
        assert [cause["code"] for cause in row["causes"]] == [wanted]
