"""Whatever happens during an ingest: done again, the shop is as if nothing had happened."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import forked
from tests.journeys.killed_ingest import POINTS
from tests.shops import Shop, purchase, write_csv

from shoal.adapters.delta_unit import DeltaUnit
from shoal.domain.errors import OperationError
from shoal.events.mapping import read_mapping
from shoal.events.presets import load
from shoal.workflows import ingest as ingest_module
from shoal.workflows import recovery, units
from shoal.workflows.quarantine_file import QuarantineFile

PROGRAM = "tests.journeys.killed_ingest"
EARLIER = [purchase(n, f"c{n % 4}") for n in range(30)]
#: New events, duplicates, conflicts with what is stored, and rows for the quarantine.
FILE = [
    *(purchase(n, f"c{n % 6}") for n in range(20, 70)),
    *(purchase(n, f"c{n % 4}", price="0.01") for n in range(5)),
    purchase(90, "null"),
    purchase(91, "c1", event_time="never"),
]


def contents(shop: Shop) -> tuple[Any, ...]:
    """All that a person could see of a shop."""
    quarantine = [(r.code, r.count, r.samples) for r in shop.listing(samples=9).reasons]
    units = sorted(u["unit"] for u in shop.store.units() if u["status"] == "committed")
    return shop.events().to_pylist(), shop.states(), quarantine, units


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_csv(tmp_path / "a.csv", EARLIER), write_csv(tmp_path / "b.csv", FILE)


@pytest.fixture
def undisturbed(tmp_path: Path, files: tuple[Path, Path]) -> tuple[Any, ...]:
    shop = Shop(tmp_path / "undisturbed")
    shop.ingest(*files)
    found = contents(shop)
    shop.close()
    return found


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_and_run_again(
    point: str, tmp_path: Path, files: tuple[Path, Path], undisturbed: tuple[Any, ...]
) -> None:
    shop = Shop(tmp_path / "shop")
    shop.ingest(files[0])
    killed = forked.run(PROGRAM, shop.directory, point, files[1])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    result = shop.ingest(files[1])
    assert contents(shop) == undisturbed
    assert result.rows.read == len(FILE)
    assert shop.store.applied_version() == result.table_version
    staging = shop.directory / "events" / "_staging"
    assert not staging.exists() or not list(staging.iterdir())
    incremental = shop.states()
    shop.rebuild()
    assert shop.states() == incremental
    shop.close()


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_a_file_is_stated_again(point: str, tmp_path: Path) -> None:
    mapping = tmp_path / "days.toml"
    optional = "\n".join(f'{name} = "{name}"' for name in ("event_id", "customer_id", "price"))
    mapping.write_text(
        f'source = "web"\n[columns]\nevent_time = "event_time"\nkind = "kind"\n[optional]\n'
        f'{optional}\n[restates]\nscope = ["day"]\n'
    )
    fields = ("event_id", "customer_id", "kind", "event_time", "price", "day")
    rows = [purchase(n, f"c{n % 4}", day="d1") for n in range(20)]
    rows.append(purchase(50, "c1", day="d1", event_time="never"))
    whole = write_csv(tmp_path / "whole.csv", rows, fields)
    cut = write_csv(tmp_path / "cut.csv", rows[:5], fields)
    chosen = read_mapping(mapping)
    shop = Shop(tmp_path / "shop")
    shop.ingest(whole, mapping=chosen)
    expected = (shop.events().drop_columns(["received_at"]).to_pylist(), shop.states())
    shop.ingest(cut, mapping=chosen)
    killed = forked.run(PROGRAM, shop.directory, point, whole, mapping)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    shop.ingest(whole, mapping=chosen, again=True)
    assert (shop.events().drop_columns(["received_at"]).to_pylist(), shop.states()) == expected
    version = shop.warehouse.version()
    assert shop.ingest(whole, mapping=chosen, again=True).files[0].unchanged
    assert shop.warehouse.version() == shop.store.applied_version() == version
    shop.close()


def test_an_unexpected_failure_names_its_file_and_the_states_follow(
    tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path / "shop")
    real = ingest_module.clean

    def broken(chunk: Any, *values: Any, **named: Any) -> Any:
        if named["file"] == str(files[1]):
            raise IndexError("list index out of range")
        return real(chunk, *values, **named)

    monkeypatch.setattr(ingest_module, "clean", broken)
    with pytest.raises(OperationError) as told:
        shop.ingest(*files)
    assert told.value.code == "internal"
    assert told.value.message == (
        f"unexpected IndexError: list index out of range (while {files[1]} was brought in)"
    )
    assert told.value.where == str(files[1])
    assert f"Files before it are in: {files[0]}" in told.value.hint
    assert isinstance(told.value.__cause__, IndexError)
    assert shop.store.applied_version() == shop.warehouse.version()
    assert len(shop.states()) == 4
    assert shop.stray_files() == []
    shop.close()


def test_killed_before_any_commit_the_shop_shows_nothing_of_the_file(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    shop = Shop(tmp_path / "shop")
    shop.ingest(files[0])
    before = contents(shop)
    killed = forked.run(PROGRAM, shop.directory, "before the commit", files[1])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert contents(shop) == before
    shop.close()


def test_an_interrupt_says_what_is_in_and_running_it_again_continues(
    tmp_path: Path,
    files: tuple[Path, Path],
    undisturbed: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop(tmp_path / "shop")
    real = ingest_module.clean

    def interrupted(chunk: Any, *values: Any, **named: Any) -> Any:
        if named["file"] == str(files[1]):
            raise KeyboardInterrupt
        return real(chunk, *values, **named)

    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "clean", interrupted)
        with pytest.raises(OperationError) as told:
            shop.ingest(*files)
    assert told.value.code == "interrupted"
    assert told.value.message == (
        f"interrupted while {files[1]} was brought in; 1 of 2 files are in ({files[0]})"
    )
    assert "Run the same command again: it continues" in told.value.hint
    assert shop.events().num_rows == len(EARLIER)
    result = shop.ingest(*files)
    assert [account.unchanged for account in result.files] == [True, False]
    assert contents(shop) == undisturbed
    shop.close()


def test_an_interrupt_just_after_the_commit_keeps_the_file(
    tmp_path: Path,
    files: tuple[Path, Path],
    undisturbed: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop(tmp_path / "shop")
    shop.ingest(files[0])
    real = DeltaUnit.commit

    def interrupted(unit: DeltaUnit, info: Any) -> int:
        real(unit, info)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DeltaUnit, "commit", interrupted)
        with pytest.raises(OperationError, match="interrupted while"):
            shop.ingest(files[1])
    assert shop.ingest(files[1]).files[0].unchanged
    assert contents(shop) == undisturbed
    shop.close()


@pytest.mark.parametrize("part", ["events", "quarantine"])
def test_a_full_disk_leaves_the_shop_as_it_was(
    part: str,
    tmp_path: Path,
    files: tuple[Path, Path],
    undisturbed: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop(tmp_path / "shop")
    shop.ingest(files[0])
    before = contents(shop)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(shop.directory))

    with monkeypatch.context() as patch:
        if part == "events":
            patch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
        else:
            patch.setattr(QuarantineFile, "publish", full)
        with pytest.raises(OperationError, match=r"no space (was|is) left on the device") as told:
            shop.ingest(files[1])
    assert told.value.code == "disk_full"
    assert "Free some space, then run it again" in told.value.hint
    assert contents(shop) == before
    assert not list((shop.directory / "quarantine").glob("*"))
    shop.ingest(files[1])
    assert contents(shop) == undisturbed
    shop.close()


def test_a_folder_that_refuses_writing_is_told(
    tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path / "shop")

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(shop.quarantine_dir))

    monkeypatch.setattr(QuarantineFile, "publish", refused)
    with pytest.raises(
        OperationError, match=r"refused access while .*b\.csv was brought in"
    ) as told:
        shop.ingest(files[1])
    assert told.value.code == "no_permission"
    assert told.value.where == str(shop.quarantine_dir)
    assert shop.warehouse.version() == -1
    shop.close()


def test_a_killed_replay_is_settled_either_way(
    tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table decides: a replay killed after its commit took its rows out of the quarantine."""
    shop = Shop(tmp_path / "shop")
    lines = [*EARLIER, purchase(80, "c1", kind="gekauft")]
    mapping = load("shoal")
    shop.ingest(write_csv(tmp_path / "c.csv", lines), mapping=mapping)
    plain = mapping.for_columns(tuple(lines[0]))
    mended = replace(plain, source=mapping.source, kinds={**plain.kinds, "gekauft": "purchase"})

    class Killed(BaseException):
        """Stands for the end of the process."""

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    for after in (False, True):
        with monkeypatch.context() as patch:
            if after:
                patch.setattr(units, "finish", killed)
            else:
                patch.setattr(DeltaUnit, "commit", killed)
            with pytest.raises(Killed):
                shop.replay(mended)
        recovery.settle(shop.warehouse, shop.store, shop.quarantine_dir)
        assert shop.events().num_rows == 30 + after
        assert [r.count for r in shop.listing().reasons] == ([] if after else [1])
    shop.close()
