"""Money of several currencies: refused with what is at stake, or converted by dated rates."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.journeys.conftest import Shoal

HEAD = "event_id,event_time,kind,customer_id,order_id,price,currency\n"


@pytest.fixture
def shop(shoal: Shoal, tmp_path: Path) -> Path:
    home = tmp_path / "shop"
    rows = [
        f"e{n},2024-03-0{1 + n}T10:00:00Z,purchase,c{n % 3},o{n},10.00,{('USD', 'EUR')[n % 2]}"
        for n in range(9)
    ]
    (tmp_path / "orders.csv").write_text(HEAD + "\n".join(rows) + "\n")
    assert shoal("init", home, "--currency", "EUR").code == 0
    assert shoal("ingest", home, tmp_path / "orders.csv", "--preset", "shoal").code == 0
    return home


def test_mixed_currencies_are_refused_with_what_is_at_stake(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    for command in (
        ("features", shop, "--out", tmp_path / "f.parquet"),
        ("segment", shop, "--method", "rfm"),
        ("reconcile", shop),
    ):
        answer = shoal(*command, "--json")
        assert answer.code == 3, command
        assert answer.error["code"] == "mixed_currencies"
        assert "USD 50.00 in 5 events" in answer.error["message"]
        assert "shoal rates" in answer.error["hint"]


def test_dated_rates_convert_and_a_gap_is_told(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2024-03-01,USD,0.5\n")
    assert shoal("rates", shop, tmp_path / "rates.csv").code == 0
    answer = shoal("reconcile", shop, "--json")
    assert answer.code == 3
    assert answer.error["code"] == "rates_missing"
    assert "2024-03-09" in answer.error["message"]
    (tmp_path / "more.csv").write_text("date,currency,rate\n2024-03-09,USD,0.25\n")
    assert shoal("rates", shop, tmp_path / "more.csv").code == 0
    month = shoal("reconcile", shop, "--json").document["months"][0]
    assert month["gross"] == 4 * 10 + 4 * 5 + 2.5
    customer = shoal("customer", shop, "c2", "--json").document
    assert customer["features"]["spend"]["value"] == 5 + 10 + 2.5


def test_segments_are_refused_where_earlier_rates_are_missing(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2024-03-04,USD,0.5\n")
    assert shoal("rates", shop, tmp_path / "rates.csv").code == 0
    answer = shoal("segment", shop, "--method", "rfm", "--json")
    assert answer.code == 3
    assert "USD 20.00 in 2 events on 2024-03-01, 2024-03-03" in answer.error["message"]


def test_a_report_is_refused_when_another_currency_comes_in_behind_its_segments(
    shoal: Shoal, tmp_path: Path
) -> None:
    home, files = tmp_path / "shop", [tmp_path / "euro.csv", tmp_path / "dollar.csv"]
    for file, currency in zip(files, ("EUR", "USD"), strict=True):
        rows = [
            f"{currency}{n},2024-03-{1 + n % 28:02d}T10:00:00Z,purchase,c{n % 40},{currency}{n},"
            f"{5 + n % 9}.00,{currency}" for n in range(200)
        ]  # fmt: skip
        file.write_text(HEAD + "\n".join(rows) + "\n")
    assert shoal("init", home).code == 0
    assert shoal("ingest", home, files[0], "--preset", "shoal").code == 0
    assert shoal("segment", home, "--method", "rfm").code == 0
    assert shoal("report", home).code == 0
    shown = (home / "report.html").read_text(encoding="utf-8")
    assert 'id="money"' in shown
    assert "2024-03" in shown
    assert shoal("ingest", home, files[1], "--preset", "shoal").code == 0
    answer = shoal("report", home, "--json")
    assert (answer.code, answer.error["code"]) == (3, "mixed_currencies")
    assert (home / "report.html").read_text(encoding="utf-8") == shown


def test_rates_are_listed_and_wrong_use_is_told(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    assert "no rates into EUR" in shoal("rates", shop, "--list").out
    (tmp_path / "ecb.csv").write_text("Date,USD,JPY\n2024-03-01,1.25,160\n2024-03-04,1.2,N/A\n")
    answer = shoal("rates", shop, tmp_path / "ecb.csv", "--base", "EUR", "--json")
    assert answer.document["rows"] == {"read": 3, "new": 3, "changed": 0}
    listed = shoal("rates", shop, "--list", "--json").document
    assert listed["schema"] == "shoal.rates/1"
    assert listed["currencies"]["USD"]["latest"] == round(1 / 1.2, 12)
    assert "2024-03-04" in shoal("rates", shop, "--list").out
    for wrong in ((), (tmp_path / "ecb.csv", "--list")):
        assert shoal("rates", shop, *wrong, "--json").code == 2
    (tmp_path / "bad.csv").write_text("date,currency,rate\n2024-03-01,USD,-1\n")
    bad = shoal("rates", shop, tmp_path / "bad.csv", "--json")
    assert (bad.code, bad.error["code"]) == (3, "bad_rates")
    assert bad.error["where"].endswith("bad.csv, row 1")
    assert shoal("rates", shop, "--list", "--json").document == listed


ODD = [
    # an order, then more back than it cost
    "a1,2024-03-01T10:00:00Z,purchase,c1,o1,10.00,1,EUR",
    "a2,2024-03-05T10:00:00Z,refund,c1,o1,25.00,1,EUR",
    # a free order, a guest's, one of several lines, a refund of an order nobody knows
    "b1,2024-03-02T10:00:00Z,purchase,c2,o2,0,3,EUR",
    "c1,2024-03-03T10:00:00Z,purchase,,o3,7.50,2,EUR",
    "d1,2024-04-01T10:00:00Z,purchase,c2,o4,5.00,1,EUR",
    "d2,2024-04-01T10:00:00Z,purchase,c2,o4,6.00,1,EUR",
    "e1,2024-04-02T10:00:00Z,refund,c9,o99,1.00,1,EUR",
    # quarantined: below zero
    "f1,2024-04-03T10:00:00Z,purchase,c3,o5,-4.00,1,EUR",
]


@pytest.fixture
def odd(shoal: Shoal, tmp_path: Path) -> Path:
    home = tmp_path / "odd"
    head = "event_id,event_time,kind,customer_id,order_id,price,quantity,currency"
    (tmp_path / "odd.csv").write_text("\n".join([head, *ODD]) + "\n")
    assert shoal("init", home).code == 0
    assert shoal("ingest", home, tmp_path / "odd.csv", "--preset", "shoal").code == 0
    return home


def test_refunds_beyond_the_order_and_totals_of_zero_count_as_they_are(
    shoal: Shoal, odd: Path
) -> None:
    document = shoal("reconcile", odd, "--json").document
    assert document["schema"] == "shoal.reconcile/1"
    march, april = document["months"]
    shown = ("orders", "units", "gross", "refunds", "net", "customers", "new_customers")
    assert [march[name] for name in shown] == [3, 6, 25.0, 25.0, 0.0, 2, 2]
    assert [april[name] for name in shown] == [1, 2, 11.0, 1.0, 10.0, 1, 0]
    assert (march["guest_orders"], document["total"]["customers"]) == (1, 2)
    only = shoal("reconcile", odd, "--json", "--from", "2024-04", "--to", "2024-04").document
    assert [one["month"] for one in only["months"]] == ["2024-04"]
    assert (only["total"]["customers"], only["total"]["new_customers"]) == (1, 0)
    said = shoal("reconcile", odd).out
    assert "net = gross - discounts - refunds" in said
    assert "The events tell nothing of: discounts, tax, shipping." in said


def test_books_that_differ_are_told_why(shoal: Shoal, odd: Path, tmp_path: Path) -> None:
    books = tmp_path / "books.csv"
    books.write_text("Month;Orders;Net sales;Remark\nMar 2024;3;(0,00);\n04/2024;1;10,00;ok\n")
    answer = shoal("reconcile", odd, "--against", books, "--strict", "--json")
    assert (answer.code, answer.document["against"]["agrees"]) == (0, True)
    assert answer.document["against"]["ignored"] == ["Remark"]
    assert "Everything agrees" in shoal("reconcile", odd, "--against", books).out

    books.write_text("month,orders,gross,net\n2024-03,2,10.00,-15.00\n2024-04,1,7.00,6.00\n")
    answer = shoal("reconcile", odd, "--against", books, "--json")
    assert answer.code == 0
    assert shoal("reconcile", odd, "--against", books, "--strict").code == 1
    found = {
        (one["month"], one["measure"]): one for one in answer.document["against"]["differences"]
    }
    causes = {key: [one["code"] for one in row["causes"]] for key, row in found.items()}
    assert found["2024-03", "gross"]["difference"] == -15.0
    assert causes["2024-03", "gross"] == causes["2024-03", "net"] == ["guests_left_out"]
    assert causes["2024-04", "net"] == ["quarantined_included"]
    assert causes["2024-04", "orders"] == []
    said = shoal("reconcile", odd, "--against", books).out
    assert "quarantine" in said


def test_books_that_lack_what_the_shop_has_do_not_agree(
    shoal: Shoal, odd: Path, tmp_path: Path
) -> None:
    books = tmp_path / "books.csv"
    books.write_text("month,net,orders\n2024-03,0,\n")
    answer = shoal("reconcile", odd, "--against", books, "--strict", "--json")
    assert (answer.code, answer.document["against"]["agrees"]) == (1, False)
    assert answer.document["against"]["only_ours"] == ["2024-04"]
    assert answer.document["against"]["ignored"] == ["orders"]
    assert "Everything agrees" not in shoal("reconcile", odd, "--against", books).out
    within = ("--against", books, "--to", "2024-03", "--strict")
    assert shoal("reconcile", odd, *within, "--json").code == 0
    assert (
        "Everything agrees within 0.01 (figures compared: 1, months: 1)."
        in shoal("reconcile", odd, *within).out
    )

    books.write_text("month,net,orders\n2024-03,0,\n2024-04,10,1\n2023-12,0,0\n")
    answer = shoal("reconcile", odd, "--against", books, "--strict", "--json")
    assert (answer.code, answer.document["against"]["unfilled"]) == (1, {"orders": ["2024-03"]})
    assert answer.document["against"]["only_theirs"] == []
    said = shoal("reconcile", odd, "--against", books).out
    assert "The books have no figure of orders for 2024-03." in said


def test_what_a_visitor_too_fast_for_people_bought_is_told_beside(
    shoal: Shoal, tmp_path: Path
) -> None:
    home, path = tmp_path / "fast", tmp_path / "fast.csv"
    rows = ["event_id,event_time,kind,customer_id,order_id,item_id,price,quantity,currency"]
    rows += [f"v{n},2024-03-01T10:{n // 60:02d}:{n % 60:02d}Z,view,bot,,x,,," for n in range(620)]
    rows.append("p,2024-03-01T11:00:00Z,purchase,bot,o1,x,500.00,1,EUR")
    rows.append("q,2024-03-01T11:00:00Z,purchase,c1,o2,x,10.00,1,EUR")
    path.write_text("\n".join(rows) + "\n")
    assert shoal("init", home).code == 0
    assert shoal("ingest", home, path, "--preset", "shoal").code == 0
    found = shoal("reconcile", home, "--json").document
    assert (found["total"]["net"], found["total"]["orders"]) == (10.0, 1)
    assert found["left_out"] == [{"why": "rate", "orders": 1, "lines": 1, "amount": 500.0}]
    said = shoal("reconcile", home).out
    assert "In no measure, visitors too fast for people (rate): 1 orders, 1 lines, 500.00." in said


def test_books_of_other_months_are_refused(shoal: Shoal, odd: Path, tmp_path: Path) -> None:
    books = tmp_path / "books.csv"
    books.write_text("month,net\n2023-01,999\n2023-02,5\n")
    answer = shoal("reconcile", odd, "--against", books, "--from", "2024-03", "--json")
    assert (answer.code, answer.error["code"]) == (3, "bad_books")
    assert "2023-01 to 2023-02" in answer.error["message"]
    assert "2024-03 to 2024-04" in answer.error["message"]


def test_what_cannot_be_reconciled_is_told(shoal: Shoal, odd: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("sku,stock\na,1\n")
    answer = shoal("reconcile", odd, "--against", tmp_path / "other.csv", "--json")
    assert (answer.code, answer.error["code"]) == (3, "bad_books")
    assert "'sku', 'stock'" in answer.error["message"]
    gone = shoal("reconcile", odd, "--against", tmp_path / "none.csv", "--json")
    assert (gone.code, gone.error["code"]) == (3, "input_missing")
    for wrong in (
        ("--from", "March"),
        ("--to", "2024-13"),
        ("--by", "week"),
        ("--tolerance", "-1"),
    ):
        assert shoal("reconcile", odd, *wrong, "--json").code == 2, wrong
    later = shoal("reconcile", odd, "--from", "2030-01", "--json")
    assert (later.code, later.error["code"]) == (3, "too_little_data")
    assert "from 2024-03 to 2024-04" in later.error["message"]
    empty = tmp_path / "empty"
    assert shoal("init", empty).code == 0
    assert shoal("reconcile", empty, "--json").error["code"] == "too_little_data"
