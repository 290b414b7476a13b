"""A shop that is served lets old entries of its audit log go."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import shoal as library
from shoal.config import Config, ServiceConfig
from shoal.domain.audit import Act, Who
from shoal.domain.errors import UsageError
from shoal.service.audit_retention import AuditRetention

ANN = Who("local", owner="ann")


def shop_of(home: Path, days: int) -> library.Shop:
    config = replace(Config(), service=ServiceConfig(audit_days=days))
    shop = library.init(home / f"shop-{days}", config)
    with closing(shop.audit_log()) as log:
        for age in (500, 401, 399, 0):
            log.append([Act(datetime.now(UTC) - timedelta(days=age), ANN, f"A{age}", "done")])
    return shop


def numbers(shop: library.Shop) -> list[int]:
    return [one["number"] for one in shop.audit(newest=0)["entries"]]


def test_old_entries_leave_in_the_background_and_by_hand(tmp_path: Path) -> None:
    with shop_of(tmp_path, 400) as shop:
        retention = AuditRetention(shop, first_s=0.0)
        retention.start()
        until = time.monotonic() + 20
        while 1 in numbers(shop) and time.monotonic() < until:
            time.sleep(0.02)
        retention.stop()
        assert numbers(shop) == [3, 4, 5]
        assert shop.verify_audit()["removed"]["upto"] == 2
        assert shop.cut_audit()["removed"] == 0
        assert shop.cut_audit(30)["removed"] == 1
        assert shop.cut_audit(0) == {
            "schema": "shoal.audit_cut/1", "days": 0, "before": None, "removed": 0, "upto": None,
        }  # fmt: skip
        with pytest.raises(UsageError, match="cannot be kept for -1 days"):
            shop.cut_audit(-1)


def test_for_ever_is_for_ever(tmp_path: Path) -> None:
    with shop_of(tmp_path, 0) as shop:
        retention = AuditRetention(shop, first_s=0.0)
        retention.start()
        retention.stop()
        assert shop.cut_audit()["removed"] == 0
        assert numbers(shop) == [1, 2, 3, 4]


def test_the_command_line_takes_out_and_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from shoal.cli.main import run

    shop_of(tmp_path, 400).close()
    home = str(tmp_path / "shop-400")
    assert run(["audit", home, "--cut"]) == 0
    assert "2 entries before" in capsys.readouterr().out
    assert run(["audit", home, "--cut"]) == 0
    assert "No entry was old enough" in capsys.readouterr().out
    assert run(["audit", home, "--verify"]) == 0
    told = capsys.readouterr().out
    assert "All 3 entries are as they were written." in told
    assert "Those up to 2 were taken out for their age" in told
    assert run(["audit", home, "--days", "3"]) == 2
    assert run(["audit", home, "--cut", "--verify"]) == 2
    assert run(["audit", home, "--cut", "--days", "-1"]) == 2
