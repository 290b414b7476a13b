"""The calibration bench: its page of any results, and rows for what is missing or fails."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from bench import calibration

DOCUMENT = Path(__file__).parents[3] / "docs" / "results" / "calibration.json"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return found


def test_the_page_is_what_the_document_says(published: dict[str, Any]) -> None:
    page = (DOCUMENT.with_suffix(".md")).read_text(encoding="utf-8")
    assert page == calibration.page(published).rstrip() + "\n"


def test_every_set_and_seed_is_published(published: dict[str, Any]) -> None:
    assert list(published["sets"]) == list(calibration.SETS)
    for name, one in published["sets"].items():
        assert [run["seed"] for run in one["runs"]] == list(calibration.SEEDS), name
        for run in one["runs"]:
            total = run["total_distance"]
            assert total["floor"] < total["after"] < total["before"], name
            assert run["fit"]["seed"] != run["seed"]


def test_a_missing_set_and_a_failure_get_a_row(published: dict[str, Any]) -> None:
    sets = {
        "cdnow": {"missing": "cdnow/transactions.parquet is not under SHOAL_DATA"},
        "retailrocket": {"failed": "input_unreadable: the file cannot be read"},
    }
    page = calibration.page({**published, "sets": sets})
    assert "| cdnow | cdnow/transactions.parquet is not under SHOAL_DATA |" in page
    assert "| retailrocket | failed: input_unreadable: the file cannot be read |" in page
    assert "## cdnow" not in page


def test_a_set_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calibration, "DATA", tmp_path)
    found = calibration._set("cdnow", Namespace(seeds=[1], world="steady"))
    assert found == {"missing": "cdnow/transactions.parquet is not under SHOAL_DATA"}


def test_a_damaged_set_is_said_and_the_rest_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(calibration, "DATA", tmp_path)
    (tmp_path / "cdnow").mkdir()
    (tmp_path / "cdnow" / "transactions.parquet").write_bytes(b"PAR1 and nothing more")
    found = calibration._set("cdnow", Namespace(seeds=[1], world="steady"))
    assert found["failed"].startswith("input_unreadable")


def test_one_set_anew_keeps_the_others(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text('{"sets": {"cdnow": {"runs": [1]}, "x": {}}}')
    kept = calibration._kept(Namespace(out=tmp_path, sets=["retailrocket", "x"]))
    assert kept == {"cdnow": {"runs": [1]}}
    assert calibration._kept(Namespace(out=tmp_path, sets=list(calibration.SETS))) == {}
