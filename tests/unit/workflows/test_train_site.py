"""Directories of trainings: locked, found again, emptied by an erasure."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.event_rows import events, ingest, rows

from shoal.adapters.memory import MemoryWarehouse
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import system_clock
from shoal.workflows import train_site
from shoal.workflows.train_site import begun, gone_on_with, matching, remove_all, unfinished

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def call(**changes: Any) -> dict[str, Any]:
    return {"recipe": "nano", "seed": 0, "until": None, **changes}


def left(work: Path, **changes: Any) -> train_site.Site:
    """A training that was begun and not finished."""
    with begun(work, call(**changes), {"training": changes}, NOW) as site:
        (site.fit / "checkpoint").write_text("weights")
    return site


def test_what_was_left_is_found_and_gone_on_with(tmp_path: Path) -> None:
    assert unfinished(tmp_path) == []
    site = left(tmp_path)
    assert unfinished(tmp_path) == [site]
    with gone_on_with(matching(tmp_path, {"seed": 0})) as found:
        assert (found.fit / "checkpoint").read_text() == "weights"
    found.remove()
    assert not any(tmp_path.iterdir())


def test_beginning_anew_leaves_nothing_of_before(tmp_path: Path) -> None:
    first = left(tmp_path)
    with begun(tmp_path, call(), {"training": {}}, NOW) as second:
        assert second.directory == first.directory
        assert not any(second.fit.iterdir())


def test_two_processes_are_not_at_the_same_training(tmp_path: Path) -> None:
    with begun(tmp_path, call(), {"training": {}}, NOW) as site:
        for other in (begun(tmp_path, call(), {"training": {}}, NOW), gone_on_with(site)):
            with pytest.raises(
                OperationError, match=r"process \d+ is at the same training"
            ) as told:
                other.__enter__()
            assert told.value.code == "shop_locked"
        with begun(tmp_path, call(seed=1), {"training": {"seed": 1}}, NOW) as other_site:
            assert other_site.directory != site.directory


def test_which_one_is_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no unfinished training"):
        matching(tmp_path, {})
    left(tmp_path)
    left(tmp_path, seed=1)
    assert matching(tmp_path, {"seed": 1}).call["seed"] == 1
    with pytest.raises(UsageError, match="2 unfinished trainings are like the one") as told:
        matching(tmp_path, {"recipe": "nano"})
    assert "seed 1" in told.value.hint
    with pytest.raises(UsageError, match="recipe is nano, received base"):
        matching(tmp_path, {"recipe": "base"})


def test_what_has_changed_is_named(tmp_path: Path) -> None:
    site = left(tmp_path)
    train_site.refuse_changed(site, {"training": {}})
    with pytest.raises(UsageError, match="has changed since: training, rules of the shop"):
        train_site.refuse_changed(site, {"training": {"steps": 3}, "rules of the shop": {}})


def test_whose_version_of_the_table_is_not_kept_cannot_be_gone_on_with(tmp_path: Path) -> None:
    site, table = left(tmp_path), MemoryWarehouse()
    for unit in ("first", "second"):
        ingest(table, unit, events(rows(range(3))))
    train_site.refuse_gone(site, 1, table)
    table.trim(system_clock() + timedelta(days=1))
    train_site.refuse_gone(site, table.version(), table)
    with pytest.raises(UsageError, match="version 1 of the event table is not kept") as told:
        train_site.refuse_gone(site, 1, table)
    assert told.value.code == "nothing_to_resume"


def test_an_erasure_stops_who_is_at_it(tmp_path: Path) -> None:
    (tmp_path / "admitted-1-x").mkdir()
    with begun(tmp_path, call(), {"training": {}}, NOW) as site:
        site.check()
        assert remove_all(tmp_path) == 1
        site.directory.joinpath("fit").mkdir(parents=True)  # as a checkpoint does
        with pytest.raises(OperationError, match="somebody was forgotten") as told:
            site.check()
        assert told.value.code == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["admitted-1-x"]
    with pytest.raises(OperationError, match="somebody was forgotten"), site.watched():
        raise FileNotFoundError("data")


def test_a_full_disk_says_how_to_go_on(tmp_path: Path) -> None:
    with begun(tmp_path, call(), {"training": {}}, NOW) as site:
        with pytest.raises(OperationError, match="no space is left") as told, site.watched():
            raise OSError(errno.ENOSPC, "No space left on device", str(site.data))
        assert (told.value.code, told.value.where) == ("disk_full", str(site.data))
        assert "--resume" in told.value.hint
        with pytest.raises(PermissionError), site.watched():
            raise PermissionError(errno.EACCES, "Permission denied")
    assert unfinished(tmp_path) == [site]


def test_a_torn_document_is_nobodys(tmp_path: Path) -> None:
    site = left(tmp_path)
    (site.directory / "training.json").write_text("{")
    assert unfinished(tmp_path) == []
