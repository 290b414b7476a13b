"""`shoal backtest --recorded`: what live segments foretold, beside a version left as it was."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.conftest import Shoal
from tests.journeys.test_backtest import home  # noqa: F401 - the same small shop

import shoal as package

ENDS = datetime(2024, 4, 15, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def made(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Segments of two weeks before the end of the log, and nothing on record since."""
    directory = tmp_path_factory.mktemp("recorded") / "shop"
    shutil.copytree(home, directory)
    with package.open(directory) as shop:
        assert shop.segment(until=ENDS - 2 * WEEK, aim="style").ids == ("kmeans-0001", "rfm-0001")
    return directory


@pytest.fixture(scope="module")
def followed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, moved on a week before the end."""
    directory = tmp_path_factory.mktemp("followed") / "shop"
    shutil.copytree(made, directory)
    with package.open(directory) as shop:
        shop.refresh(as_of=ENDS - WEEK)
    return directory


@pytest.fixture(scope="module")
def document(followed: Path) -> dict[str, Any]:
    with package.open(followed) as shop:
        return shop.backtest(recorded=True, periods=2, period_days=7)


def test_a_record_kept_up_to_date_says_what_the_version_left_as_it_was_says(
    document: dict[str, Any],
) -> None:
    assert document["schema"] == "shoal.backtest/1"
    assert document["against"] == "kmeans-0001" and document["search"] is None
    assert [one["from"] for one in document["periods"]] == [
        "2024-04-01T00:00:00Z", "2024-04-08T00:00:00Z",
    ]  # fmt: skip
    frozen, live = document["strategies"]["frozen"], document["strategies"]["shoal"]
    assert frozen == live and 0 < frozen["turnover_a_month"] < 5
    assert document["outcomes"]["orders"]["strategies"]["shoal"]["share"]["figure"] > 0.02
    for one in document["outcomes"].values():
        assert one["strategies"]["shoal"]["difference"]["figure"] == 0.0


def test_a_record_that_lags_counts_as_it_is(made: Path, document: dict[str, Any]) -> None:
    with package.open(made) as shop:
        found = shop.backtest(recorded=True, periods=2, period_days=7)
    assert found["strategies"]["shoal"]["turnover_a_month"] == 0.0
    assert found["strategies"]["frozen"] == document["strategies"]["frozen"]


def test_periods_before_the_version_are_left_out(followed: Path) -> None:
    with package.open(followed) as shop:
        found = shop.backtest(against="kmeans-0001", periods=3, period_days=7)
    assert [one["from"][:10] for one in found["periods"]] == ["2024-04-01", "2024-04-08"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--against", "kmeans-0009"), "unknown_segmentation", "kmeans-0009"),
        (("--against", "rfm-0001"), "unknown_segmentation", "never the main segmentation"),
        (("--recorded", "--period-days", 28, "--periods", 1), "too_little_data", "no period of"),
        (("--recorded", "--tune", 3), "usage", "made with the settings of its time"),
    ],
)
def test_what_cannot_be_told_is_refused(
    followed: Path, shoal: Shoal, flags: tuple[str | int, ...], code: str, words: str
) -> None:
    answer = shoal("backtest", followed, *flags, "--json")
    assert answer.code in (2, 3)
    assert answer.error["code"] == code and words in answer.error["message"]


def test_people_read_which_version_was_left(
    followed: Path, shoal: Shoal, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.shop.Shop.backtest", lambda *_, **__: document)
    answer = shoal("backtest", followed, "--recorded")
    assert answer.code == 0 and "Frozen is kmeans-0001, left as it was" in answer.out


def test_movement_is_told_from_where_the_record_lagged(made: Path, tmp_path: Path) -> None:
    """Two weeks were recorded at once: a report of the last one would call them all its own."""
    directory = tmp_path / "shop"
    shutil.copytree(made, directory)
    with package.open(directory) as shop:
        shop.refresh(as_of=ENDS)
        found = shop.movement_report().as_document()
    assert found["since"] == "2024-04-01T00:00:00Z" and found["days"] == 14.0
