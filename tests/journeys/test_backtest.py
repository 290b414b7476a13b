"""`shoal backtest`: what the last months would have looked like."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.config import AdjustConfig, Config, SegmentConfig, ShopConfig

START = datetime(2024, 3, 1, tzinfo=UTC)
CONFIG = Config(
    shop=ShopConfig(buckets=2),
    segment=SegmentConfig(k=3, k_min=3, k_max=4),
    adjust=replace(AdjustConfig(), challenger_days=1e3),
)


def _log(path: Path, days: int) -> Path:
    """Customers of two kinds: half buy often, half look around; every day alike."""
    random = np.random.default_rng(1)
    with path.open("w") as log:
        for number in range(days * 60):
            customer = int(random.integers(100))
            buys = random.random() < (0.6 if customer % 2 else 0.05)
            when = START + timedelta(days=number // 60, minutes=int(random.integers(1_000)))
            log.write(
                json.dumps(
                    {"event_id": f"e{number}", "customer_id": f"c{customer:03d}",
                     "kind": "purchase" if buys else "view", "event_time": when.isoformat(),
                     "item_id": f"i{int(random.integers(9))}", "quantity": 1, "currency": "EUR",
                     "category": ("books", "toys")[customer % 2], "price": 10.0}
                )
                + "\n"
            )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    with package.init(folder / "shop", CONFIG) as shop:
        shop.ingest([_log(folder / "log.jsonl", 45)], preset="shoal")
    return folder / "shop"


@pytest.fixture(scope="module")
def document(home: Path) -> dict[str, Any]:
    """The backtest of one period; nothing of the shop changes."""
    with package.open(home) as shop:
        before, settings = shop.status(), (home / "shop.toml").read_text()
        found = shop.backtest(periods=1)
        assert shop.status() == before
    assert (home / "shop.toml").read_text() == settings
    return found


def test_the_document_holds_three_strategies(document: dict[str, Any]) -> None:
    assert document["schema"] == "shoal.backtest/1"
    assert document["period_days"] == 7 and len(document["periods"]) == 1
    assert list(document["strategies"]) == ["frozen", "monthly", "shoal"]
    assert document["outcomes"]
    for one in document["outcomes"].values():
        # At the only period's beginning all three are the same segments.
        shares = {told["share"]["figure"] for told in one["strategies"].values()}
        assert len(shares) == 1
    frozen = document["strategies"]["frozen"]
    assert frozen["relabelled_by_model_a_month"] == 0.0 and frozen["versions"] == 0
    assert document["strategies"]["monthly"]["versions"] == 1
    assert document["search"] is None


def test_people_get_a_table_and_sentences(
    home: Path, shoal: Shoal, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.shop.Shop.backtest", lambda *_, **__: document)
    answer = shoal("backtest", home, "--periods", 1)
    assert answer.code == 0
    assert "by Shoal" in answer.out
    assert "Frozen segments foretold" in answer.out
    assert json.loads(shoal("backtest", home, "--json").out) == document


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--periods", 0), "--periods is 0"),
        (("--period-days", 3), "--period-days is 3"),
        (("--tune", 500), "--tune is 500"),
        (("--apply",), "--apply without --tune"),
    ],
)
def test_wrong_calls_are_told(home: Path, shoal: Shoal, flags: tuple[str], words: str) -> None:
    answer = shoal("backtest", home, *flags, "--json")
    assert answer.code == 2
    assert words in answer.document["error"]["message"]


def test_a_short_log_is_too_little_data(home: Path, shoal: Shoal) -> None:
    answer = shoal("backtest", home, "--periods", 20, "--json")
    assert answer.code == 3
    assert answer.document["error"]["code"] == "too_little_data"
    assert "needs 168" in answer.document["error"]["message"]


def test_a_search_writes_its_settings_only_when_asked(
    home: Path, shoal: Shoal, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials are replays of minutes: here each comes to more the larger its margin is."""
    pytest.importorskip("optuna")

    def run(self: Any, periods: int, strategies: Any = (), **_: Any) -> dict[str, Any]:
        if not strategies:
            return document
        share = 0.5 + self.settings.switch_margin
        told = {"share": {"low": share - 0.01, "high": share + 0.01}, "of_attainable": share}
        return {
            "outcomes": {"orders": {"attainable": 1.0, "strategies": {"shoal": told}}},
            "strategies": {"shoal": {"of_attainable": share, "relabelled_by_model_a_month": 0.1}},
        }

    monkeypatch.setattr("shoal.workflows.backtest.Backtest.run", run)
    path = home / "shop.toml"
    before = path.read_text()
    said = shoal("backtest", home, "--tune", 12)
    assert said.code == 0 and "To put into shop.toml" in said.out
    assert path.read_text() == before
    found = shoal("backtest", home, "--tune", 12, "--apply", "--json").document["search"]
    assert found["applied"] is True and found["chosen"] > 0
    with package.open(home) as shop:
        margin = shop.config.segment.switch_margin
    assert margin == found["setting"]["switch_margin"] > CONFIG.segment.switch_margin
    path.write_text(before)
