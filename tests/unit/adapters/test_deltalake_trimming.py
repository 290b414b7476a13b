"""Old versions of a table on disk: the moments of the log, and a trim that dies on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from tests.contracts.event_rows import BUCKETS, events, ingest, rows, stored

from shoal.adapters import delta_files
from shoal.adapters.delta_log import DeltaLog
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.log_files import LogFiles
from shoal.adapters.trimming import Trimming
from shoal.domain.errors import UsageError
from shoal.domain.time import system_clock, to_us

ENGINE = DuckEngine(threads=1, memory_mib=256)


def table(path: Path) -> DeltaWarehouse:
    return DeltaWarehouse(path / "events", BUCKETS, ENGINE)


def filled(path: Path, units: int, first: int = 0) -> DeltaWarehouse:
    """Units of five events, all merged into one file a bucket after every second."""
    warehouse = table(path)
    for number in range(first, first + units):
        ingest(warehouse, f"u{number}", events(rows(range(number * 5, number * 5 + 5))))
        if number % 2:
            warehouse.compact()
    return warehouse


def dated(path: Path, age: Callable[[int], timedelta]) -> None:
    """Let each version say that it was committed so long ago."""
    for entry in (path / "events" / "_delta_log").glob("*.json"):
        lines = [json.loads(line) for line in entry.read_text().splitlines()]
        then = system_clock() - age(int(entry.stem))
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["timestamp"] = to_us(then) // 1000
        entry.write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines))


def files(path: Path) -> set[str]:
    root = path / "events"
    return {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}


def days_ago(days: float) -> datetime:
    return system_clock() - timedelta(days=days)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of nine versions."""
    path = tmp_path_factory.mktemp("made")
    assert filled(path, 6).version() == 9
    return path


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "events", tmp_path / "events")
    return tmp_path


def test_a_version_is_as_old_as_the_commit_that_took_its_place(home: Path) -> None:
    dated(home, lambda version: timedelta(days=9 - version))
    assert table(home).trim(days_ago(3.5)).oldest == 5  # 6 came three days ago
    assert table(home).trim(days_ago(2.5)).oldest == 6


@pytest.mark.parametrize(
    ("wrong", "oldest"),
    [
        ({3: -3650.0}, 5),  # dated ten years ahead: its neighbours tell
        ({3: 3650.0}, 5),
        ({7: 3650.0}, 5),  # a clock that was behind for a while lets nothing go early
        ({2: 0.0}, 1),  # it may have been as young as it says
        ({9: -1.0}, 5),
        ({4: -1.0, 5: -1.0}, 3),
    ],
    ids=["ahead", "behind", "behind later", "young", "ahead at the end", "ahead at the border"],
)
def test_a_clock_that_was_wrong_lets_nothing_go_early(
    home: Path, wrong: dict[int, float], oldest: int
) -> None:
    dated(home, lambda version: timedelta(days=wrong.get(version, 9 - version)))
    assert table(home).trim(days_ago(3.5)).oldest == oldest


def test_what_is_left_is_what_the_kept_versions_name(home: Path) -> None:
    dated(home, lambda version: timedelta(days=9 - version))
    warehouse = table(home)
    named = {path for version in range(5, 10) for path in warehouse.events(version=version).paths}
    found = warehouse.trim(days_ago(3.5))
    assert found.bytes > found.files * 1000
    assert {str(file) for file in (home / "events").glob("bucket=*/*")} == named
    numbers = {Path(name).name.partition(".")[0] for name in files(home) if "_delta_log/" in name}
    assert numbers - {"_last_checkpoint"} == {f"{number:020d}" for number in range(5, 10)}


def test_a_reader_that_stood_still_meanwhile_reads_on(home: Path) -> None:
    reader, writer = table(home), table(home)
    before = stored(reader)
    held = reader.events()
    filled(home, 1, first=6)
    writer.trim(days_ago(-1))
    assert len(stored(reader)) == len(before) + 5, "its own log is older than any that is left"
    reading = reader.engine.run("SELECT event_id FROM events", {"events": held})
    assert reading.num_rows == len(before), "no file that the latest version names went"


def test_what_is_staged_stays(home: Path) -> None:
    warehouse = table(home)
    writer = warehouse.unit("under way")
    writer.append(events(rows(range(200, 210))))
    writer.resolve()
    Trimming(DeltaLog(home / "events", BUCKETS)).trim(days_ago(-1), -1, None)
    writer.commit({})
    assert len(stored(warehouse)) == 40


class Killed(BaseException):
    """The process is gone."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die before the n-th thing that it changes on disk."""
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))
    monkeypatch.setattr(DeltaTable, "create_checkpoint", counted(DeltaTable.create_checkpoint))


@pytest.mark.parametrize("step", [0, 1, 2, 4, 5, 6, 7, 12])
def test_killed_at_any_step_all_is_sound_and_the_next_call_finishes(
    home: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    dated(home, lambda version: timedelta(days=9 - version))
    whole = home / "whole"
    shutil.copytree(home / "events", whole / "events")
    table(whole).trim(days_ago(3.5))
    kept = {version: stored(table(whole), version=version) for version in range(5, 10)}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(step, patch)
        table(home).trim(days_ago(3.5))
    after = table(home)
    assert {version: stored(after, version=version) for version in kept} == kept
    for version in range(5):
        try:
            stored(after, version=version)
        except UsageError as error:
            assert "is not kept any more; the oldest that is kept is 5" in error.message
    assert list(delta_files.faults(home / "events", BUCKETS, "rows")) == []
    copied = home / "copied"
    delta_files.copy(DeltaLog(home / "events", BUCKETS), copied, 9, 0, link=True)
    assert len(stored(DeltaWarehouse(copied, BUCKETS, ENGINE))) == 30
    assert table(home).trim(days_ago(3.5)).oldest == 5
    wanted = files(whole)
    assert {name for name in files(home) if "copied" not in name} == wanted


def test_a_log_that_lost_its_beginning_is_damaged_all_the_same(home: Path) -> None:
    (home / "events" / "_delta_log" / f"{0:020d}.json").unlink()
    found = list(delta_files.faults(home / "events", BUCKETS, "sizes"))
    assert [one.message for one in found][:1] == ["entry 0 of the event table's log is missing"]


def test_a_log_that_is_looked_at_while_its_old_entries_go_is_sound(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing may still show the first entry and not the second, which went after it."""
    real, listings = LogFiles.of, [{0: True, 1: False, 2: False}]

    def of(root: Path) -> LogFiles:
        found = real(root)
        if not listings:
            return found
        entries = {one for one in found.entries if listings[0].get(one, True)}
        listings.clear()
        table(home).trim(days_ago(-1))
        return LogFiles(frozenset(entries), found.checkpoints)

    monkeypatch.setattr(LogFiles, "of", of)
    assert list(delta_files.faults(home / "events", BUCKETS, "sizes")) == []
    assert not listings


def test_many_commits_have_checkpoints(tmp_path: Path) -> None:
    """Opening a table reads at most a hundred entries, also where nothing was ever trimmed."""
    warehouse = filled(tmp_path, 1)
    log = DeltaLog(tmp_path / "events", BUCKETS)
    for _ in range(101):
        log.commit([], [], {"operation": "nothing"})
    assert any("checkpoint.parquet" in name for name in files(tmp_path))
    assert len(stored(warehouse)) == 5
