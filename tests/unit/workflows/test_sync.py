"""The order of a night's steps, what is noted of each, and where the next call goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shoal.adapters.files import FileRegistry
from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.errors import InputError, OperationError, UsageError
from shoal.segments import artefact
from shoal.workflows.movement_report import MovementReport
from shoal.workflows.refresh import Refreshed
from shoal.workflows.sync import Synced, sync
from shoal.workflows.sync_journal import Journal
from shoal.workflows.sync_steps import SyncOrder

NOW = datetime(2024, 3, 1, 2, 30, tzinfo=UTC)
NOTHING_DUE = {"looked": False, "notes": [{"en": "not due"}], "warnings": []}
LOOKED = {
    "looked": True, "adjust_id": "look-0001", "alarms": [{}], "warnings": ["mind this"],
    "adjustments": [{"action": "keep"}, {"action": "nudge"}], "published": "kmeans-0002",
}  # fmt: skip


@dataclass
class Table:
    """What a sync asks of the event table."""

    number: int = -1

    def version(self) -> int:
        return self.number

    def bucket_counts(self) -> dict[int, int]:
        return {0: 10 * (self.number + 1)}


@dataclass
class Doors:
    """A shop whose verbs note that they were called."""

    store: MemoryStateStore
    table: Table
    fails: dict[str, Exception] = field(default_factory=dict)
    look: Mapping[str, Any] = field(default_factory=lambda: NOTHING_DUE)
    prints: str = "a"
    new: bool = True
    called: list[str] = field(default_factory=list)

    def _call(self, name: str) -> None:
        self.called.append(name)
        if name in self.fails:
            raise self.fails.pop(name)

    def ingest(self) -> Any:
        self._call("ingest")
        if self.new:
            self.table.number += 1
            self.new = False

    def catch_up(self) -> None:
        self._call("catch_up")

    def fingerprint(self) -> str:
        return self.prints

    def segment(self) -> str:
        self._call("segment")
        self.store.set_pointer(artefact.MAIN, "kmeans-0001", NOW)
        return "kmeans-0001"

    def refresh(self) -> Refreshed:
        self._call("refresh")
        return Refreshed(NOW, ({"segmentation_id": "kmeans-0001", "changed": 3},))

    def adjust(self) -> Mapping[str, Any]:
        self._call("adjust")
        return self.look

    def lists(self, stem: str) -> Mapping[str, Any]:
        self._call("lists")
        return {"to": "nightly", "lists": [], "unchanged": [stem], "warnings": []}

    def movement(self) -> MovementReport:
        self._call("movement")
        return MovementReport({"schema": "shoal.movement_report/1"})


@pytest.fixture
def doors() -> Doors:
    return Doors(MemoryStateStore(), Table())


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "artefacts")


def night(doors: Doors, registry: FileRegistry, **changes: Any) -> Synced:
    order = SyncOrder(Path("/lists"), **changes)
    return sync(
        doors, order, warehouse=doors.table, store=doors.store, registry=registry,
        clock=lambda: NOW,
    )  # type: ignore[arg-type] # fmt: skip


def test_the_steps_in_their_order(doors: Doors, registry: FileRegistry) -> None:
    doors.look = LOOKED
    found = night(doors, registry)
    assert doors.called == [
        "ingest", "catch_up", "segment", "refresh", "adjust", "lists", "movement",
    ]  # fmt: skip
    assert found.document["headline"] == (
        "10 events of 0 new files; 3 memberships changed; segments adjusted (nudge); "
        "0 entered and 0 left 0 lists"
    )
    assert found.document["steps"]["adjust"] == {
        "look": "look-0001", "alarms": 1, "actions": ["keep", "nudge"], "published": "kmeans-0002",
    }  # fmt: skip
    assert found.warnings == ("mind this",)


def test_with_nothing_new_only_the_source_is_read(doors: Doors, registry: FileRegistry) -> None:
    night(doors, registry)
    doors.called.clear()
    assert night(doors, registry).quiet
    assert doors.called == ["ingest", "catch_up"]


@pytest.mark.parametrize("change", ["data", "settings", "segments", "call"])
def test_what_is_new(doors: Doors, registry: FileRegistry, change: str) -> None:
    night(doors, registry)
    if change == "data":
        doors.new = True
    if change == "settings":
        doors.prints = "b"
    if change == "segments":
        doors.store.set_pointer(artefact.MAIN, "kmeans-0002", NOW)
    asked = {"adjust": False} if change == "call" else {}
    assert not night(doors, registry, **asked).quiet


@pytest.mark.parametrize("step", ["segment", "refresh", "adjust", "lists", "movement"])
def test_after_a_failure_it_goes_on_there(doors: Doors, registry: FileRegistry, step: str) -> None:
    doors.fails[step] = OperationError("disk_full", "no space is left")
    with pytest.raises(OperationError):
        night(doors, registry)
    told = Journal(doors.store, registry, lambda: NOW).document()
    assert told["failed"]["code"] == "disk_full"
    assert told["under_way"]["run"] == "sync-0001"
    before = list(doors.called)
    doors.called.clear()
    found = night(doors, registry)
    assert found.document["run"] == "sync-0001"
    done = set(before[2:-1])  # but for reading the source, nothing is done again
    assert done.isdisjoint(doors.called)
    assert [*before[2:-1], *doors.called[2:]] == [
        "segment", "refresh", "adjust", "lists", "movement",
    ]  # fmt: skip
    assert Journal(doors.store, registry, lambda: NOW).document()["failed"] is None


def test_an_unexpected_failure_is_noted_too(doors: Doors, registry: FileRegistry) -> None:
    doors.fails["refresh"] = RuntimeError("a mistake of ours")
    with pytest.raises(RuntimeError):
        night(doors, registry)
    told = Journal(doors.store, registry, lambda: NOW).document()["failed"]
    assert (told["step"], told["message"]) == ("memberships", "RuntimeError: a mistake of ours")


def test_a_disk_too_full_for_the_note_does_not_hide_the_failure(
    doors: Doors, registry: FileRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doors.store.put_setting

    def full(key: str, value: str) -> None:
        if key == "sync.failed" and value:
            raise OperationError("disk_full", "no space for the note")
        real(key, value)

    monkeypatch.setattr(doors.store, "put_setting", full)
    doors.fails["lists"] = OperationError("disk_full", "no space for the list")
    with pytest.raises(OperationError, match="no space for the list"):
        night(doors, registry)


def test_more_data_for_a_run_under_way_does_every_step_again(
    doors: Doors, registry: FileRegistry
) -> None:
    doors.fails["lists"] = OperationError("disk_full", "no space is left")
    with pytest.raises(OperationError):
        night(doors, registry)
    doors.new = True
    doors.called.clear()
    found = night(doors, registry)
    assert doors.called[2:] == ["refresh", "adjust", "lists", "movement"]
    assert found.document["attempts"] == 2
    assert found.document["steps"]["ingest"]["events"] == 20
    assert found.document["steps"]["lists"]["unchanged"] == ["sync-0001-2"]


def test_a_bad_source_leaves_no_run(doors: Doors, registry: FileRegistry) -> None:
    doors.fails["ingest"] = InputError("input_missing", "there is no such file")
    with pytest.raises(InputError):
        night(doors, registry)
    told = Journal(doors.store, registry, lambda: NOW).document()
    assert (told["under_way"], told["failed"]["step"], told["runs"]) == (None, "ingest", [])


@pytest.mark.parametrize("error", [UsageError, InputError])
def test_segments_that_cannot_be_adjusted_stop_no_night(
    doors: Doors, registry: FileRegistry, error: type[UsageError | InputError]
) -> None:
    doors.fails["adjust"] = error("too_little_data", "too few customers")
    found = night(doors, registry)
    assert found.document["steps"]["adjust"] == {"skipped": "too few customers"}
    assert found.warnings == ("Segments were not adjusted: too few customers.",)


def test_what_waits_is_told_every_night(doors: Doors, registry: FileRegistry) -> None:
    doors.store.put_setting("adjust.pending", "look-0001")
    assert night(doors, registry).waiting
    again = night(doors, registry)
    assert again.quiet and again.waiting
    doors.store.put_setting("adjust.pending", "")
    assert not night(doors, registry).waiting


def test_too_few_customers_are_not_tried_again_every_night(
    doors: Doors, registry: FileRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = 40
    monkeypatch.setattr(doors.store, "count_states", lambda: customers)
    for count, tried in ((40, True), (45, False), (60, True)):
        customers, doors.new = count, True
        doors.called.clear()
        doors.fails["segment"] = InputError("too_little_data", "too few customers")
        found = night(doors, registry)
        assert ("segment" in doors.called) == tried
        assert found.document["steps"]["lists"] == {"skipped": "no segments yet"}
        assert found.movement is None
