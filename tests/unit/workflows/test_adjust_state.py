from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from shoal.adapters.files import FileRegistry
from shoal.adapters.memory_store import MemoryStateStore
from shoal.adjust.drift.detect import Monitors
from shoal.adjust.online import Statistics
from shoal.domain.errors import OperationError, UsageError
from shoal.workflows import adjust_state
from shoal.workflows.adjuster_state import AdjusterState

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "artefacts")


@pytest.fixture
def store() -> Iterator[MemoryStateStore]:
    yield MemoryStateStore()


def _state() -> AdjusterState:
    Z = np.random.default_rng(0).normal(size=(40, 3))
    statistics = Statistics.of(
        ("s01", "s04"), Z, np.eye(2)[np.arange(40) % 2], NOW, half_life_days=90.0
    )
    return AdjusterState(
        NOW - timedelta(days=60), NOW, NOW - timedelta(days=20), ((NOW, 0.05),), statistics,
        Monitors(moment=NOW),
    )  # fmt: skip


def _told(**more: object) -> dict[str, object]:
    return {"kind": "look", "as_of": "2024-05-01T00:00:00Z", "waiting": None, **more}


def test_a_state_is_read_back_as_it_was(registry: FileRegistry, store: MemoryStateStore) -> None:
    assert adjust_state.state_of(store, registry) is None
    name = adjust_state.write(registry, _told(), _state(), "kmeans-0002")
    adjust_state.remember(store, name, NOW, waiting=False)
    found = adjust_state.state_of(store, registry)
    assert found is not None
    segmentation_id, state = found
    assert segmentation_id == "kmeans-0002"
    wanted = _state()
    assert state.statistics is not None and wanted.statistics is not None
    assert np.array_equal(state.statistics.sums, wanted.statistics.sums)
    assert state.statistics.ids == ("s01", "s04")
    assert (state.fitted_at, state.looked_at, state.challenged_at, state.ledger) == (
        wanted.fitted_at, wanted.looked_at, wanted.challenged_at, wanted.ledger
    )  # fmt: skip
    assert state.monitors is not None
    assert state.monitors.to_document() == Monitors(moment=NOW).to_document()


def test_only_the_last_thirty_days_are_spent() -> None:
    state = AdjusterState(NOW, ledger=((NOW - timedelta(days=31), 0.5), (NOW, 0.2)))
    assert state.spent(NOW) == pytest.approx(0.2)
    assert state.spent(NOW - timedelta(days=2)) == pytest.approx(0.5)
    assert state.with_moved(NOW, 0.1) == ((NOW, 0.2), (NOW, 0.1))
    assert state.with_moved(NOW, 0.0) == ((NOW, 0.2),)


def test_what_a_killed_look_left_is_swept(registry: FileRegistry, store: MemoryStateStore) -> None:
    first = adjust_state.write(registry, _told(), _state(), "kmeans-0001")
    adjust_state.remember(store, first, NOW, waiting=False)
    left = adjust_state.write(registry, _told(), _state(), "kmeans-0002")
    with registry.create("segmentation", "kmeans") as directory:
        (directory / "segmentation.json").write_text('{"method": "kmeans", "adjusted": {}}')
        made = directory.name
    with registry.create("segmentation", "kmeans") as directory:
        (directory / "segmentation.json").write_text('{"method": "kmeans"}')
        asked_for = directory.name
    assert [one["adjust_id"] for one in adjust_state.looks(registry, store)] == [first]
    assert adjust_state.sweep(registry, store) == [left, made]
    assert registry.list(adjust_state.KIND) == [first]
    assert registry.list("segmentation") == [asked_for]


def test_a_segmentation_that_was_in_force_is_never_swept(
    registry: FileRegistry, store: MemoryStateStore
) -> None:
    with registry.create("segmentation", "kmeans") as directory:
        (directory / "segmentation.json").write_text('{"method": "kmeans", "adjusted": {}}')
    store.set_pointer("segmentation.main", "kmeans-0001", NOW)
    store.set_pointer("segmentation.main", "kmeans-0000", NOW)  # gone back
    assert adjust_state.sweep(registry, store) == []


def test_what_waits_waits_until_something_else_counts(
    registry: FileRegistry, store: MemoryStateStore
) -> None:
    assert adjust_state.pending(store) is None
    adjust_state.remember(store, "look-0001", NOW, waiting=True)
    assert adjust_state.pending(store) == "look-0001"
    adjust_state.remember(store, "look-0002", NOW, waiting=False, clear=False)
    assert adjust_state.pending(store) == "look-0001"
    adjust_state.remember(store, "look-0003", NOW, waiting=False)
    assert adjust_state.pending(store) is None


def test_figures_that_are_none_are_null(registry: FileRegistry, store: MemoryStateStore) -> None:
    told = _told(alarms=[{"size": float("nan"), "at": np.float64("inf"), "of": np.arange(2)}])
    name = adjust_state.write(registry, told, _state(), "kmeans-0001")
    found = adjust_state.document_at(registry, name)
    assert found["alarms"] == [{"size": None, "at": None, "of": [0, 1]}]


def test_a_look_that_is_not_there_or_damaged_is_said_to_be(
    registry: FileRegistry, store: MemoryStateStore
) -> None:
    with pytest.raises(UsageError, match="no look 'look-0009'") as caught:
        adjust_state.document_at(registry, "look-0009")
    assert "Nobody looked yet" in caught.value.hint
    name = adjust_state.write(registry, _told(), _state(), "kmeans-0001")
    adjust_state.remember(store, name, NOW, waiting=False)
    (registry.directory(adjust_state.KIND, name) / "state.json").write_text("{")
    with pytest.raises(OperationError) as damaged:
        adjust_state.state_of(store, registry)
    assert damaged.value.code == "artefact_damaged"
