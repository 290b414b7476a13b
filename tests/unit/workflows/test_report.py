"""The report workflow: what it gathers agrees with the shop, and its errors help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from tests.unit.workflows.report_shops import MADE, ZONE, Shop

from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.files import FileRegistry
from shoal.adapters.memory import MemoryWarehouse
from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.account import RowAccount
from shoal.domain.errors import OperationError, UsageError
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.workflows import report as module
from shoal.workflows.admission import Admission
from shoal.workflows.report import report
from shoal.workflows.report_rows import row_account
from shoal.workflows.simulate import simulate
from shoal.workflows.units import Unit


class Reported(Shop):
    """A shop that writes its report and reads it."""

    def report(self, lang: str = "en", **changes: object) -> str:
        out = self.folder / f"report-{lang}.html"
        arguments = {"out": out, "shop_name": "corner", "lang": lang, "clock": lambda: MADE}
        return report(**self.parts(), **(arguments | changes)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder / "world", customers=400, days=60, seed=3)
    made = Reported(folder)
    made.take(folder / "world" / "events.parquet")
    made.segment(k=4)
    return made


def test_a_shop_without_segments_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        report(
            warehouse=MemoryWarehouse(), store=MemoryStateStore(), fold=Fold(CATALOG, DuckEngine()),
            registry=FileRegistry(tmp_path), out=tmp_path / "r.html", shop_name="x", zone=ZONE,
            admission=Admission(MemoryWarehouse(), MemoryStateStore()),
        )  # fmt: skip
    assert caught.value.code == "unknown_segmentation"
    assert "no segmentation yet" in caught.value.message
    assert "shoal segment SHOP" in caught.value.hint
    assert not (tmp_path / "r.html").exists()


def test_the_report_agrees_with_the_shop(shop: Reported) -> None:
    text = shop.report().replace("\u00a0", " ")
    main = module.artefact.read(shop.registry, "kmeans-0001")
    total = main.document["customers"]["total"]
    assert f"{total:,} customers" in text
    for one in main.profiles["segments"]:
        assert f"{one['size']:,}" in text
    for fact in ("kmeans-0001", "rfm-0001", "Europe/Berlin", "2 Jan 2026, 03:04 UTC", "EUR"):
        assert fact in text
    assert text.count("<article") == 4


def test_the_same_report_in_chinese_has_the_same_figures(shop: Reported) -> None:
    english, chinese = shop.report("en"), shop.report("zh")
    assert english.count("<figure") == chinese.count("<figure") > 20
    assert 'lang="zh-Hans"' in chinese


def test_the_same_shop_gives_the_same_bytes(shop: Reported) -> None:
    assert shop.report() == shop.report()


def test_another_segmentation_can_be_reported(shop: Reported) -> None:
    text = shop.report(segmentation="rfm-0001")
    assert "Champions" in text
    assert "kmeans-0001" not in text


def test_an_unknown_segmentation_or_language_is_told(shop: Reported) -> None:
    with pytest.raises(UsageError, match=r"no segmentation 'kmeans-0009'"):
        shop.report(segmentation="kmeans-0009")
    with pytest.raises(UsageError, match="language 'de'"):
        shop.report("de")


def test_a_folder_in_place_of_the_file_is_told(shop: Reported) -> None:
    with pytest.raises(UsageError, match="is a folder, not a file"):
        shop.report(out=shop.folder)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    shop: Reported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OperationError) as caught:
        shop.report(out=tmp_path / "r.html")
    assert caught.value.code == "disk_full"
    assert "Free some space" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_replay_moves_rows_out_of_the_quarantine() -> None:
    reasons = MappingProxyType({"bad_time": 3, "bad_price": 1})
    file = Unit("f", "committed", "a.csv", "till", RowAccount(10, 6, 0, 0, 4, 0, reasons))
    left = MappingProxyType({"bad_price": 1})
    again = Unit(
        "r", "committed", "quarantine of till", "till",
        RowAccount(4, 2, 1, 0, 1, 0, left), replaces=MappingProxyType({"f": None}),
    )  # fmt: skip
    dropped = replace(file, name="d", status="discarded")
    rows = row_account([file, again, dropped])
    assert (rows.read, rows.stored, rows.duplicate, rows.quarantined) == (10, 8, 1, 1)
    assert rows.reasons == {"bad_price": 1}
    assert rows.files == 1
