"""A shop is copied while somebody writes to it, restored, and is the same shop."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from tests import forked
from tests.journeys.conftest import Shoal
from tests.journeys.killed_backup import POINTS
from tests.kept_shops import call, made, states
from tests.shops import purchase, write_csv

import shoal as package
from shoal.adapters.shop_files import ShopFiles
from shoal.domain.errors import OperationError
from shoal.shop.keeping import erased as read_erased


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def kept(original: Path, tmp_path: Path) -> Path:
    """A shop of one's own."""
    return Path(shutil.copytree(original, tmp_path / "shop"))


def one_of(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def told(shop: package.Shop) -> tuple[Any, ...]:
    memberships = shop.memberships(recorded=True).to_pylist()
    return states(shop), memberships, shop.status(), shop.receipts()


def test_a_restored_shop_is_the_shop(shoal: Shoal, kept: Path, tmp_path: Path) -> None:
    made_of = shoal("backup", kept, tmp_path / "backups", "--json")
    assert made_of.code == 0
    backup = one_of(tmp_path / "backups")
    assert made_of.document["backup"] == str(backup)
    marks = made_of.document["marks"]
    assert (marks["events"], marks["inbox"], marks["inbox_waiting"]) == (48, 3, 3)
    assert shoal("verify", backup, "--deep", "--customers", "all").code == 0
    answer = shoal("restore", backup, tmp_path / "again", "--json")
    assert (answer.code, answer.document["erased"]) == (0, None)
    assert shoal("verify", tmp_path / "again", "--deep", "--customers", "all").code == 0
    with package.open(kept) as before, package.open(tmp_path / "again") as after:
        first, second = told(before), told(after)
        assert {**first[2], "shop": ""} == {**second[2], "shop": ""}
        assert (first[0], first[1], first[3]) == (second[0], second[1], second[3])
        assert after.empty_inbox() == 3
        assert after.status()["events"] == 51
        # What the backup has linked is as it was.
        assert shoal("verify", backup, "--deep").code == 0
    assert shoal("restore", backup, kept, "--json").error["code"] == "shop_exists"
    assert shoal("restore", tmp_path / "backups", tmp_path / "x", "--json").error["code"] == (
        "not_a_backup"
    )
    assert shoal("backup", kept, kept / "inside", "--json").code == 2


def test_backups_made_while_somebody_writes_are_whole(kept: Path, tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with package.open(kept) as shop, shop.lease():
                inbox = shop.inbox()
                for number in range(4):
                    rows = [purchase(100 + 9 * number + k, f"d{k}") for k in range(9)]
                    file = write_csv(tmp_path / f"{number}.csv", rows)
                    shop.ingest(file, preset="shoal")
                    inbox.append([call(100 + number, f"live{number}")])
                    shop.drain(inbox)
                    if number == 2:
                        shop.compact()
                inbox.close()
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    backups = []
    with package.open(kept) as shop:
        while writer.is_alive() and len(backups) < 2:
            backups.append(Path(shop.backup(tmp_path / "backups", link=len(backups) % 2 == 0)
                                ["backup"]))  # fmt: skip
        writer.join()
        assert not failed
        backups.append(Path(shop.backup(tmp_path / "backups")["backup"]))
        expected = told(shop)
    for backup in backups:
        home = tmp_path / "restored" / backup.name
        package.restore(backup, home)
        with package.open(home) as shop:
            shop.empty_inbox()
            shop.catch_up()
            seen = told(shop)
        found = package.verify(home, deep=True, customers=None)
        assert (found["ok"], found["findings"]) == (True, [])
    assert len(backups) > 1
    assert (seen[0], seen[1]) == (expected[0], expected[1])


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_backup_leaves_nothing_that_looks_whole(
    shoal: Shoal, kept: Path, tmp_path: Path, point: str
) -> None:
    folder = tmp_path / "backups"
    process = forked.run("tests.journeys.killed_backup", kept, folder, point)
    assert process.returncode == -signal.SIGKILL, process.stderr
    (left,) = folder.iterdir()
    assert left.name.startswith(".")
    assert left.name.endswith(".unfinished")
    if point != "manifest written, not in its place":
        refused = shoal("restore", left, tmp_path / "x", "--json")
        assert refused.error["code"] == "not_a_backup"
    assert shoal("verify", kept).code == 0
    assert shoal("backup", kept, folder).code == 0
    assert not one_of(folder).name.startswith(".")  # what was left is gone


def test_a_full_disk_leaves_no_backup(
    shoal: Shoal, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ShopFiles, "place", full)
        answer = shoal("backup", kept, tmp_path / "backups", "--json")
    assert (answer.code, answer.error["code"]) == (1, "disk_full")
    assert "nothing was kept" in answer.error["message"]
    assert not any((tmp_path / "backups").iterdir())


# --- Who was forgotten ----------------------------------------------------------------------------


@pytest.fixture
def after_an_erasure(shoal: Shoal, kept: Path, tmp_path: Path) -> Path:
    """A backup of a shop that forgot `c1` and `c2` later; what it knew last lies beside."""
    assert shoal("backup", kept, tmp_path / "backups").code == 0
    backup = one_of(tmp_path / "backups")
    assert shoal("forget", kept, "c1", "c2", "--yes").code == 0
    (tmp_path / "erased.json").write_text(shoal("forget", kept, "--tombstones").out)
    return backup


def names(home: Path, person: str) -> list[str]:
    """Files that name a person."""
    quoted = [f'"{person}"'.encode(), f"{person}\x00".encode()]
    return [
        str(file) for file in home.rglob("*")
        if file.is_file() and any(one in file.read_bytes() for one in quoted)
    ]  # fmt: skip


def test_who_was_forgotten_since_does_not_come_back(
    shoal: Shoal, kept: Path, after_an_erasure: Path, tmp_path: Path
) -> None:
    erased = tmp_path / "erased.json"
    home = tmp_path / "again"
    answer = shoal("restore", after_an_erasure, home, "--erased", erased, "--json")
    assert answer.code == 0
    assert answer.document["erased"]["new"] == 2
    assert answer.document["erased"]["receipt"]["removed"]["events"] == 8
    with package.open(kept) as live, package.open(home) as shop:
        assert states(shop) == states(live)
        # The receipts of before, and that of taking them out again.
        assert shop.receipts()[:-1] == live.receipts()
        members = shop.memberships(recorded=True)["customer_id"].to_pylist()
        assert not {"c1", "c2"} & set(members)
        file = write_csv(tmp_path / "old.csv", [purchase(1, "c1"), purchase(500, "new")])
        assert shop.ingest(file, preset="shoal").rows.skipped == 1
        assert shop.lift(["c1"]) == 1
    assert names(home, "c2") == []
    found = shoal("verify", home, "--deep", "--customers", "all", "--json")
    assert found.document["findings"] == []


def test_a_shop_and_a_later_backup_tell_who_was_forgotten_as_well(
    kept: Path, after_an_erasure: Path, tmp_path: Path
) -> None:
    with package.open(kept) as shop:
        later = shop.backup(tmp_path / "later")
    found = [read_erased(one) for one in (tmp_path / "erased.json", kept, later["backup"])]
    for name in ("key", "tombstones", "receipts"):
        assert found[0][name] == found[1][name] == found[2][name]
    assert found[2]["made_at"] == later["made_at"]
    assert read_erased(after_an_erasure)["tombstones"] == []


def test_without_tombstones_it_says_so_loudly(
    shoal: Shoal, after_an_erasure: Path, tmp_path: Path
) -> None:
    answer = shoal("restore", after_an_erasure, tmp_path / "again")
    assert answer.code == 0
    assert "nobody said who was forgotten" in answer.err
    with package.open(tmp_path / "again") as shop:
        assert "c1" in states(shop)


def test_tombstones_of_another_shop_are_refused(
    shoal: Shoal, kept: Path, after_an_erasure: Path, tmp_path: Path
) -> None:
    assert shoal("backup", kept, tmp_path / "later").code == 0
    document = json.loads((tmp_path / "erased.json").read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**document, "key": "ab" * 32}))
    backup = one_of(tmp_path / "later")  # it has tombstones of its own
    answer = shoal("restore", backup, tmp_path / "again", "--erased", other, "--json")
    assert (answer.code, answer.error["code"]) == (3, "input_unreadable")
    assert not (tmp_path / "again").exists()
    for text in ("", "[]", '{"schema": "shoal.tombstones/1"}'):
        other.write_text(text)
        answer = shoal("restore", backup, tmp_path / "again", "--erased", other, "--json")
        assert (answer.code, answer.error["code"]) == (3, "input_unreadable")


# --- Damage ---------------------------------------------------------------------------------------


def test_a_changed_backup_is_refused_before_anything_is_written(
    shoal: Shoal, kept: Path, tmp_path: Path
) -> None:
    assert shoal("backup", kept, tmp_path / "backups", "--copy").code == 0
    backup = one_of(tmp_path / "backups")
    file = next(backup.glob("events/bucket=*/*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    answer = shoal("restore", backup, tmp_path / "again", "--json")
    assert (answer.code, answer.error["code"]) == (1, "backup_damaged")
    assert answer.error["where"] == str(file)
    assert not (tmp_path / "again").exists()
    assert shoal("verify", backup).code == 0  # sizes alone
    assert shoal("verify", backup, "--deep", "--json").document["findings"][0]["check"] == "backup"
    file.write_bytes(whole)
    manifest = backup / "backup.json"
    manifest.write_text(manifest.read_text().replace('"events": 48', '"events": 49'))
    assert shoal("verify", backup, "--json").error["code"] == "backup_damaged"


def test_a_damaged_shop_gets_no_backup(kept: Path, tmp_path: Path) -> None:
    (kept / "artefacts/model/nano-0001/weights.safetensors").write_bytes(b"x")
    with package.open(kept) as shop, pytest.raises(OperationError) as raised:
        shop.backup(tmp_path / "backups")
    assert raised.value.code == "artefact_damaged"
    assert not any((tmp_path / "backups").iterdir())
