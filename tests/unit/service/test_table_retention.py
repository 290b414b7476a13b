"""Old versions of the event table leave: in a served shop, at night, and by hand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from tests.shops import purchase, write_csv
from tests.unit.service.served import NOON, served

import shoal
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.domain.errors import OperationError, UsageError
from shoal.events.collected import judge
from shoal.ports import Arrived
from shoal.service.driver import Driver
from shoal.service.table_retention import TableRetention
from shoal.workflows import carries_noted
from shoal.workflows.catch_up import rebuild

DAY_MS = 86_400_000


def aged(home: Path, days: float) -> None:
    """Let every version say that it was committed so many days earlier."""
    for entry in (home / "events" / "_delta_log").glob("*.json"):
        lines = [json.loads(line) for line in entry.read_text().splitlines()]
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["timestamp"] -= int(days * DAY_MS)
        entry.write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A shop whose files came in ten days ago, and were merged then."""
    home = tmp_path / "shop"
    with shoal.init(home) as shop:
        for number in range(3):
            bought = [purchase(number * 10 + one, f"c{one}") for one in range(4)]
            shop.ingest(write_csv(tmp_path / f"{number}.csv", bought), confirm=lambda _: True)
            shop.compact()
    aged(home, 10)
    return home


def in_versions(home: Path) -> int:
    return len(list((home / "events").glob("bucket=*/*.parquet")))


def in_use(home: Path) -> int:
    with shoal.open(home) as shop:
        return len(shop._parts.table.events().paths)


def until(done: Any) -> None:
    end = time.monotonic() + 30
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    assert done()


def run(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    from shoal.cli.main import run as command

    code = command(list(words))
    return code, capsys.readouterr().out


def test_old_versions_leave_in_the_background_some_at_a_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.service import table_retention

    monkeypatch.setattr(table_retention, "_PAUSE_S", 0.0)
    wanted = in_use(home)
    turn = threading.RLock()
    there = in_versions(home)
    with shoal.open(home) as shop:
        before = [shop.status()[name] for name in ("events", "customers")]
        retention = TableRetention(shop, turn, first_s=0.0, at_once=4)
        turn.acquire()  # somebody writes
        retention.start()
        time.sleep(0.2)
        assert in_versions(home) > wanted
        turn.release()
        until(lambda: in_versions(home) == wanted)
        retention.stop()
        after = shop.status()
        assert [after[name] for name in ("events", "customers")] == before
        assert shop.trim()["versions"] == 0
    told = retention.told()
    assert (told["versions"], told["files"], told["failure"]) == (6, there - wanted, None)
    assert told["at"]


def test_what_hinders_it_is_told_and_it_is_tried_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.service import table_retention

    monkeypatch.setattr(table_retention, "_RETRY_S", 0.0)
    full = OperationError("disk_full", "no space is left")
    with shoal.open(home) as shop:
        done = shop.trim(30)
        tries = Mock(side_effect=[full, ValueError("odd"), done])
        monkeypatch.setattr(shop, "trim", tries)
        failed: list[str] = []
        retention = TableRetention(shop, threading.RLock(), first_s=0.0)
        monkeypatch.setattr(retention, "_failed", lambda code, _: failed.append(code))
        retention.start()
        until(lambda: retention.told()["at"])
        retention.stop()
        assert failed == ["disk_full", "internal"]
        TableRetention._failed(retention, "disk_full", "no space is left")
        assert retention.told()["failure"]["code"] == "disk_full"


def test_where_every_version_is_kept_none_goes(home: Path) -> None:
    settings = home / "shop.toml"
    settings.write_text(settings.read_text().replace("keep_days = 7", "keep_days = 0"))
    there = in_versions(home)
    with shoal.open(home) as shop:
        retention = TableRetention(shop, threading.RLock(), first_s=0.0)
        retention.start()
        retention.stop()
        assert shop.trim() == {
            "schema": "shoal.trim/1", "days": 0, "before": None, "oldest_version": None,
            "versions": 0, "files": 0, "bytes": 0, "left": False,
        }  # fmt: skip
        assert in_versions(home) == there
        assert shop.trim(11)["versions"] == 0, "they are ten days old"
        with pytest.raises(UsageError, match="cannot be kept for -1 days"):
            shop.trim(-1)


def test_what_states_have_yet_to_follow_stays(home: Path) -> None:
    with shoal.open(home) as shop:
        store, table = shop._parts.store, shop._parts.table
        latest = table.version()
        with store.lease(), store.transaction():
            store.set_applied_version(3)
        assert shop.trim()["oldest_version"] == 3
        assert [unit.version for unit in table.since(3)] == [latest - 1]
        shop.catch_up()
        with store.lease():
            told = carries_noted.Noted("stamp", latest, (latest - 2,))
            carries_noted.note(store, "model-0001", told)
        assert shop.trim()["oldest_version"] == latest - 2
        carries_noted.drop_others(store, [])
        assert shop.trim()["oldest_version"] == latest


def test_compact_takes_them_out_and_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = in_use(home)
    code, said = run(["compact", str(home), "--keep-days", "30", "--json"], capsys)
    assert (code, json.loads(said)["trimmed"]["versions"]) == (0, 0)
    code, said = run(["compact", str(home)], capsys)
    assert code == 0
    assert "versions older than 7 days and" in said
    assert in_versions(home) == wanted
    code, said = run(["compact", str(home), "--json"], capsys)
    told = json.loads(said)
    assert (code, told["trimmed"]["files"], told["trimmed"]["days"]) == (0, 0, 7)
    assert told["trimmed"]["oldest_version"] == told["table_version"]
    assert run(["compact", str(home), "--keep-days", "-1"], capsys)[0] == 2
    assert run(["verify", str(home)], capsys)[0] == 0
    code, said = run(["features", str(home), "--out", str(home / "f.csv"), "--table-version", "2"],
                     capsys)  # fmt: skip
    assert code == 2


def test_a_night_takes_them_out_after_its_work(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = write_csv(tmp_path / "more.csv", [purchase(77, "c1")])
    with shoal.open(home) as shop:
        found = shop.sync(more, confirm=lambda _: True)
        assert found.trimmed is not None
        assert found.as_document()["trimmed"]["files"] > 0
        # what was the latest seven days ago, and what came tonight
        table = shop._parts.table
        assert found.trimmed["oldest_version"] < table.version()
        assert table.events(version=found.trimmed["oldest_version"]).paths
        full = OperationError("disk_full", "no space is left")
        monkeypatch.setattr(shop, "trim", Mock(side_effect=full))
        found = shop.sync(more, confirm=lambda _: True)
        assert found.warnings == ("old versions of the event table stay: no space is left",)
        assert found.as_document()["trimmed"] is None
        monkeypatch.undo()
        again = shop.sync(more, confirm=lambda _: True)
        assert again.quiet
        assert again.as_document()["trimmed"]["versions"] == 0


def test_where_files_were_merely_merged_nothing_holds_on_to_the_small_ones(home: Path) -> None:
    with shoal.open(home) as shop:
        store, latest = shop._parts.store, shop._parts.table.version()
        assert store.applied_version() == latest - 1, "the last commit is a compaction"
        states = [batch.to_pylist() for batch in store.iter_states()]
        assert shop.trim()["oldest_version"] == store.applied_version() == latest
        assert not list(shop._parts.table.since(store.applied_version()))
        shop.catch_up()
        assert [batch.to_pylist() for batch in store.iter_states()] == states


def bought(number: int) -> Arrived:
    told = {"type": "track", "event": "Product Viewed", "userId": f"c{number % 20}",
            "messageId": f"late-{number}", "timestamp": "2024-03-02T11:00:00Z",
            "properties": {"product_id": f"i{number % 3}"}}  # fmt: skip
    one = judge(told, None, NOON)
    return Arrived("web", one.message_id, 1, one.line)


def test_while_batches_come_in_and_are_flushed_they_leave_between_two(tmp_path: Path) -> None:
    with served(tmp_path) as shelf:
        shop, inbox = shelf.shop, MemoryInbox()
        home = shop.directory
        shop.compact()
        aged(home, 10)
        before, old = shop.status()["events"], shop._parts.table.version()
        driver = Driver(shop, inbox, every_s=0.02, flush_s=0.0)
        retention = TableRetention(shop, driver.turn, first_s=0.0, every_s=0.5, at_once=3)
        driver.start()
        retention.start()
        for round_ in range(3):
            inbox.append([bought(round_ * 10 + one) for one in range(10)])
            until(lambda calls=(round_ + 1) * 10: driver.told()["calls"] == calls)
        until(lambda: shop._parts.table._log.oldest() >= old)  # type: ignore[attr-defined]
        retention.stop()
        driver.stop()
        assert driver.told()["failure"] is None
        table = shop._parts.table
        assert shop.status()["events"] == sum(table.bucket_counts().values()) == before + 30
        assert table.version() > old
        assert all(table.events(version=one).paths for one in range(old, table.version() + 1))
        parts = shop._parts
        states = [batch.to_pylist() for batch in parts.store.iter_states()]
        rebuild(
            warehouse=parts.warehouse, store=parts.store, fold=parts.fold,
            admission=parts.admission,
        )  # fmt: skip
        assert [batch.to_pylist() for batch in parts.store.iter_states()] == states
