"""Books as shop systems and spreadsheets write them; another layout is told what is wanted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.domain.errors import InputError
from shoal.features.revenue import month_number
from shoal.workflows.books import Books, read_books

MARCH, APRIL = month_number("2024-03"), month_number("2024-04")


@pytest.fixture
def read(tmp_path: Path):
    def call(text: str, name: str = "books.csv") -> Books:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_books(path)

    return call


def test_the_shop_system_s_own_report(read) -> None:
    books = read(
        "Month,Orders,Gross sales,Discounts,Returns,Net sales,Shipping charges,Taxes,Total sales\n"
        "2024-03-01,12,1234.50,-34.50,-200.00,1000.00,25.00,190.00,1215.00\n"
        "2024-04-01,9,900.00,0.00,0.00,900.00,20.00,171.00,1091.00\n"
    )
    assert books.values["orders"] == {MARCH: 12, APRIL: 9}
    assert books.values["gross"][MARCH] == 1_234_500_000
    assert books.values["discounts"] == {MARCH: 34_500_000, APRIL: 0}
    assert books.values["refunds"][MARCH] == 200_000_000
    assert books.values["total"][APRIL] == 1_091_000_000
    assert books.columns["refunds"] == "Returns"


@pytest.mark.parametrize(
    "written", ["2024-03", "2024-03-01", "2024/3", "Mar 2024", "March 2024", "03/2024", "3.2024",
                "Mar-24", "202403", "2024年3月", "2024-03-01T00:00:00"],
)  # fmt: skip
def test_a_month_in_any_writing(read, written: str) -> None:
    assert read(f"month;orders\n{written};5\n").values["orders"] == {MARCH: 5}


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1234.5", 1_234_500_000), ("1,234.50", 1_234_500_000), ("1.234,50", 1_234_500_000),
        ("1 234,50", 1_234_500_000), ("1'234.50", 1_234_500_000), ("1,234", 1_234_000_000),
        ("12,5", 12_500_000), ("£1,234.50", 1_234_500_000), ("1.234,50 €", 1_234_500_000),
        ("EUR 12.50", 12_500_000), ("(12.50)", -12_500_000), ("($12.50)", -12_500_000),
        ("12.50-", -12_500_000), ("−12.50", -12_500_000), ("-£12.50", -12_500_000),
        ("1,234,567", 1_234_567_000_000), ("1.234.567", 1_234_567_000_000), (".5", 500_000),
        ("1.5E3", 1_500_000_000), ("480993.261", 480_993_261_000), ("0", 0),
    ],
)  # fmt: skip
def test_an_amount_in_any_writing(read, written: str, amount: int) -> None:
    assert read(f"month|net\n2024-03|{written}\n").values["net"] == {MARCH: amount}


def test_one_mark_is_judged_by_the_whole_table(read) -> None:
    books = read("month;gross;net\n2024-03;1.234;12,5\n2024-04;2.345;0\n")
    assert books.values["gross"] == {MARCH: 1_234_000_000, APRIL: 2_345_000_000}


def test_typed_columns_are_taken_as_they_are(tmp_path: Path) -> None:
    table = pa.table({"Month": [date(2024, 3, 1)], "net": [1.234], "orders": [5]})
    pq.write_table(table, tmp_path / "b.parquet")
    books = read_books(tmp_path / "b.parquet")
    assert (books.values["net"], books.values["orders"]) == ({MARCH: 1_234_000}, {MARCH: 5})


def test_rows_of_sums_and_empty_cells_are_left_out(read) -> None:
    books = read("Month,net,orders,comment\n2024-03,5,,x\n2024-04,,3,y\nTotal,5,3,z\n,,,\n")
    assert books.values == {"orders": {APRIL: 3}, "net": {MARCH: 5_000_000}}
    assert books.ignored == ("comment",)


def test_rows_of_days_are_added_up_but_not_customers(read) -> None:
    books = read("Day,net,customers\n2024-03-01,5,2\n2024-03-02,6,2\n2024-04-01,1,1\n")
    assert books.by_day
    assert books.values == {"net": {MARCH: 11_000_000, APRIL: 1_000_000}}
    assert books.ignored == ("customers",)


def test_columns_without_a_figure_and_net_counts_of_items_are_named_as_not_read(read) -> None:
    books = read("Month,Net sales,Orders,Net items sold\n2024-03,5,,3\n2024-04,6,n/a,0\n")
    assert set(books.values) == set(books.columns) == {"net"}
    assert books.ignored == ("Orders", "Net items sold")


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("customer,spend\n1,2\n", "books.csv", "no column of months among 'customer', 'spend'"),
        ("month,comment\n2024-03,x\n", "books.csv", "no column of orders or amounts"),
        ("month,net\nlast spring,5\n", "books.csv, row 1", "the month 'last spring'"),
        ("month,net\n2024-13,5\n", "books.csv, row 1", "the month '2024-13'"),
        ("month,net\n2024-03,5\n2024-03,6\n", "books.csv", "2024-03 stands in more than one row"),
        ("month,net\n2024-03,5\n2024-04,abc\n", "books.csv, row 2", "net 'abc'"),
        ("month,net\n2024-03,15%\n", "books.csv, row 1", "net '15%', which is not an amount"),
        ("month,orders\n2024-03,1.5\n", "books.csv, row 1", "which is not a whole number"),
        ("month,net\n2024-03,5,6\n", "books.csv, row 1", "another number of fields"),
        ("month,net\n2024-03,\n2024-04,n/a\n", "books.csv", "'net' has empty cells only"),
        ("month,net quantity\n2024-03,5\n", "books.csv", "no column of orders or amounts"),
        ("date,customers\n2024-03-01,7\n2024-03-02,8\n", "books.csv", "customers of days"),
        ("month,net\nTotal,5\n", "books.csv", "not one row with a month"),
    ],
)
def test_another_layout_is_told_what_is_wanted(read, text: str, where: str, found: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert caught.value.code == "bad_books"
    assert caught.value.where.endswith(where)
    assert found in caught.value.message
    assert "2024-03, 2024-03-01, Mar 2024 or 03/2024" in caught.value.hint
