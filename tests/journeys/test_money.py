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
