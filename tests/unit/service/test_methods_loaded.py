"""What a service loads before it answers: whatever reads the segmentations in force."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from shoal.adapters.files import FileRegistry
from shoal.adapters.memory_store import MemoryStateStore
from shoal.segments import artefact
from shoal.shop.live import LiveVerbs


def test_what_reads_the_segmentations_in_force_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, registry, loaded = MemoryStateStore(), FileRegistry(tmp_path), []
    shop = cast(LiveVerbs, SimpleNamespace(_parts=SimpleNamespace(store=store, registry=registry)))
    real = artefact.class_of
    monkeypatch.setattr(artefact, "class_of", lambda name: loaded.append(name) or real(name))
    LiveVerbs.load_methods(shop)
    assert loaded == []
    for pointer, method in ((artefact.MAIN, "kmeans"), (artefact.RFM, "newer")):
        with registry.create(artefact.KIND, method) as directory:
            (directory / "segmentation.json").write_text(f'{{"method": "{method}"}}')
        store.set_pointer(pointer, f"{method}-0001", datetime(2024, 4, 1, tzinfo=UTC))
    store.set_pointer(artefact.RULES, "rules-0001", datetime(2024, 4, 1, tzinfo=UTC))
    LiveVerbs.load_methods(shop)
    assert loaded == ["kmeans", "newer"]
