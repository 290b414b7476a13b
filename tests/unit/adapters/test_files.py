from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from shoal.adapters.files import FileRegistry
from shoal.domain.errors import OperationError


def publish(registry: FileRegistry, stem: str = "kmeans", text: str = "A") -> str:
    with registry.create("segmentation", stem) as directory:
        (directory / "deep").mkdir()
        (directory / "a.txt").write_text(text)
        (directory / "deep" / "b.bin").write_bytes(b"\x00")
        return directory.name


def test_artefacts_are_numbered_by_stem_and_listed_oldest_first(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path / "artefacts")
    assert registry.list("segmentation") == []
    made = [publish(registry, stem) for stem in ("kmeans", "rfm", "kmeans")]
    assert made == ["kmeans-0001", "rfm-0001", "kmeans-0002"]
    assert registry.list("segmentation") == made
    directory = registry.path("segmentation", "kmeans-0002")
    assert directory == tmp_path / "artefacts" / "segmentation" / "kmeans-0002"
    assert (directory / "a.txt").read_text() == "A"
    manifest = json.loads((directory / "manifest.json").read_text())
    assert sorted(manifest["files"]) == ["a.txt", "deep/b.bin"]
    digest = "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd"
    assert manifest["files"]["a.txt"] == {"sha256": digest, "bytes": 1}


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path)
    with (
        pytest.raises(KeyboardInterrupt),
        registry.create("report", "report") as directory,
    ):
        (directory / "half.html").write_text("<html>")
        raise KeyboardInterrupt
    assert registry.list("report") == []
    assert list((tmp_path / "report").iterdir()) == []


def test_what_a_killed_process_left_is_ignored_and_removed(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path)
    left = tmp_path / "segmentation" / ".0123" / "kmeans-0001"
    left.mkdir(parents=True)
    assert registry.list("segmentation") == []
    with registry.create("segmentation", "rfm"):
        assert publish(registry) == "kmeans-0001"
    assert not left.exists()
    assert registry.list("segmentation") == ["kmeans-0001", "rfm-0001"]


def test_a_number_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    one, other = FileRegistry(tmp_path), FileRegistry(tmp_path)
    with pytest.raises(OperationError) as caught, one.create("segmentation", "kmeans") as directory:
        (tmp_path / "segmentation" / "kmeans-0001").mkdir()
        (tmp_path / "segmentation" / "kmeans-0001" / "theirs").write_text("")
        (directory / "a.txt").write_text("")
    assert caught.value.code == "shop_locked"
    assert caught.value.message == "another process has published kmeans-0001 meanwhile"
    assert (tmp_path / "segmentation" / "kmeans-0001" / "theirs").exists()
    assert publish(other) == "kmeans-0002"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("change", "an artefact cannot be used: a.txt was changed after it was published"),
        ("remove", "an artefact cannot be used: a.txt is missing"),
        ("add", "an artefact cannot be used: new.txt is not in the manifest"),
        ("manifest", "an artefact cannot be used: kmeans-0001 has no readable manifest"),
        ("all", "an artefact cannot be used: kmeans-0001 has no readable manifest"),
    ],
)
def test_damage_is_told(tmp_path: Path, harm: str, message: str) -> None:
    registry = FileRegistry(tmp_path)
    directory = tmp_path / "segmentation" / publish(registry)
    if harm == "change":
        (directory / "a.txt").write_text("B")
    elif harm == "remove":
        (directory / "a.txt").unlink()
    elif harm == "add":
        (directory / "new.txt").write_text("B")
    elif harm == "manifest":
        (directory / "manifest.json").write_text("{")
    else:
        directory.rename(tmp_path / "elsewhere")
    with pytest.raises(OperationError) as caught:
        registry.path("segmentation", "kmeans-0001")
    assert caught.value.code == "artefact_damaged"
    assert caught.value.message == message
    assert "Make it again" in caught.value.hint


def test_a_full_disk_is_told_and_nothing_is_published(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path)
    with pytest.raises(OperationError) as caught, registry.create("segmentation", "kmeans"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.code == "disk_full"
    assert registry.list("segmentation") == []


@pytest.mark.parametrize("name", ["", "../up", "A", "a/b", ".hidden"])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a kind or stem is lower-case letters"):
        FileRegistry(tmp_path).create(name, "stem").__enter__()


def test_an_artefact_that_is_removed_is_gone_whole(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path)
    first, second = publish(registry), publish(registry)
    registry.remove("segmentation", first)
    assert registry.list("segmentation") == [second]
    assert [entry.name for entry in (tmp_path / "segmentation").iterdir()] == [second]
    registry.remove("segmentation", first)  # not there: nothing happens
    registry.remove("nothing", first)
    with pytest.raises(OperationError):
        registry.path("segmentation", first)
    registry.path("segmentation", second)
