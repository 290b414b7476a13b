"""Artefacts as immutable directories: written aside, checked, then renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from shoal.adapters.failures import translated
from shoal.domain.errors import OperationError
from shoal.domain.time import iso, system_clock

MANIFEST: Final = "manifest.json"
_MANIFEST_SCHEMA: Final = "shoal.manifest/1"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")


class FileRegistry:
    """Artefacts under `root/<kind>/<stem>-<NNNN>`, each with a manifest of sha256 checksums.

    A directory is complete or absent: it is filled aside, synchronised to disk, and renamed. Any
    process may read; only the holder of the shop's lease may create. Numbers count up for each stem
    and are not used again while a later one stands.

    Args:
        root: directory of all artefacts; made when the first one is published.

    >>> import tempfile
    >>> registry = FileRegistry(tempfile.mkdtemp())
    >>> with registry.create("segmentation", "kmeans") as directory:
    ...     _ = (directory / "a.txt").write_text("A")
    >>> registry.list("segmentation")
    ['kmeans-0001']
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root).absolute()
        self._open: set[Path] = set()

    @contextmanager
    def create(self, kind: str, stem: str) -> Iterator[Path]:
        """A directory to fill; published as `<stem>-<NNNN>` when the block ends well.

        The directory is named like the artefact, so its `name` is the id inside the block already.
        If the block raises, nothing of it remains.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_locked`.
        """
        home = self._root / _checked(kind)
        with translated(home):
            home.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned(home)
            aside = home / f".{uuid.uuid4().hex}"
            directory = aside / _next_id(home, _checked(stem))
            self._open.add(aside)
            try:
                directory.mkdir(parents=True)
                yield directory
                _write_manifest(directory, kind)
                _publish(directory, home / directory.name)
            finally:
                self._open.discard(aside)
                shutil.rmtree(aside, ignore_errors=True)

    def path(self, kind: str, artefact_id: str) -> Path:
        """The directory of an artefact, after its checksums were verified.

        Raises:
            OperationError: `artefact_damaged`: the artefact or one of its files is missing, was
                changed, or was added later.
        """
        directory = self._root / kind / artefact_id
        with translated(directory):
            try:
                manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
                expected: dict[str, Any] = manifest["files"]
            except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
                raise _damaged(directory, "has no readable manifest") from None
            # An erasure is at work (or was killed): these files are whole, of before or after it.
            changing = set(manifest.get("redacting", {}).get("files", ()))
            present = {_relative(file, directory) for file in _files(directory)}
            if changing:
                present = {name for name in present if not name.startswith(".")}
            for name in sorted(present ^ set(expected)):
                what = "is missing" if name in expected else "is not in the manifest"
                raise _damaged(directory / name, what)
            for name, entry in expected.items():
                if name not in changing and _sha256(directory / name) != entry["sha256"]:
                    raise _damaged(directory / name, "was changed after it was published")
        return directory

    def redact(
        self,
        kind: str,
        artefact_id: str,
        held: Callable[[Path], int],
        edit: Callable[[Path], object],
    ) -> int:
        """Let `edit` take persons out of the files in which `held` counts entries of them.

        The manifest says first which files are being changed, so that the artefact can be read
        meanwhile, and after a kill until it is redacted again. Without a manifest the files change
        all the same. Returns the entries, also of what an earlier, killed attempt removed.

        Raises:
            OperationError: `disk_full`, `no_permission`.
        """
        directory = self._root / kind / artefact_id
        with translated(directory):
            found = {_relative(file, directory): held(file) for file in _files(directory)}
            names = [name for name, entries in found.items() if entries]
            manifest = _manifest_of(directory)
            if manifest is None:
                for name in names:
                    edit(directory / name)
                return sum(found.values())
            if "redacting" not in manifest and names:
                manifest.setdefault("was", _sha256(directory / MANIFEST))
                manifest["redacting"] = {"files": names, "entries": sum(found.values())}
                _put_manifest(directory, manifest)
            if "redacting" not in manifest:
                return 0
            for name in names:
                edit(directory / name)
            told = manifest.pop("redacting")
            for name in {*told["files"], *names}:
                manifest["files"][name] = _entry(directory / name)
            manifest["erased"] = manifest.get("erased", 0) + told["entries"]
            manifest["note"] = "not reproducible after erasure"
            _put_manifest(directory, manifest)
            return int(told["entries"])

    def remove(self, kind: str, artefact_id: str) -> None:
        """Remove an artefact that nothing refers to any more; nothing happens if it is not there.

        Its id may be given again.

        Raises:
            OperationError: `no_permission`.
        """
        home = self._root / kind
        with translated(home):
            aside = home / f".{artefact_id}-removed"
            with suppress(FileNotFoundError):
                (home / artefact_id).rename(aside)  # whole or not at all, whoever reads
                shutil.rmtree(aside)

    def sweep(self) -> None:
        """Remove what killed processes left half made, of every kind; under the lease only."""
        for kind in self.kinds():
            with translated(self._root / kind):
                self._remove_abandoned(self._root / kind)

    def directory(self, kind: str, artefact_id: str) -> Path:
        """The directory of an artefact, whatever its state."""
        return self._root / kind / artefact_id

    def kinds(self) -> Sequence[str]:
        """Kinds of which there are artefacts."""
        if not self._root.is_dir():
            return []
        return sorted(e.name for e in self._root.iterdir() if e.is_dir())

    def list(self, kind: str) -> list[str]:
        """Ids of a kind, oldest first (by time of publication)."""
        home = self._root / kind
        with translated(home):
            if not home.is_dir():
                return []
            found = [entry for entry in home.iterdir() if not entry.name.startswith(".")]
            return [e.name for e in sorted(found, key=lambda entry: (_created(entry), entry.name))]

    def _remove_abandoned(self, home: Path) -> None:
        """Remove what killed processes left half made."""
        for entry in home.glob(".*"):
            if entry not in self._open:
                shutil.rmtree(entry, ignore_errors=True)


def _next_id(home: Path, stem: str) -> str:
    form = re.compile(re.escape(stem) + r"-(\d{4,})")
    taken = [int(found[1]) for entry in home.iterdir() if (found := form.fullmatch(entry.name))]
    return f"{stem}-{max(taken, default=0) + 1:04d}"


def _publish(directory: Path, target: Path) -> None:
    """Rename into place; onto a directory that is not empty this fails, so none is overwritten."""
    try:
        directory.rename(target)
    except OSError as error:
        if not target.exists():
            raise
        raise OperationError(
            "shop_locked",
            f"another process has published {target.name} meanwhile",
            where=str(target),
            hint="Let the other process finish, then run this again.",
        ) from error
    _sync(target.parent)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a kind or stem is lower-case letters, digits, _ and -; got {name!r}")
    return name


def _write_manifest(directory: Path, kind: str) -> None:
    files = _checksums(directory)
    for name in files:
        _sync(directory / name)
    manifest = {
        "schema": _MANIFEST_SCHEMA,
        "kind": kind,
        "created_at": iso(system_clock()),
        "files": files,
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    _sync(directory / MANIFEST)
    _sync(directory)


def _checksums(directory: Path) -> dict[str, Any]:
    return {_relative(file, directory): _entry(file) for file in _files(directory)}


def _entry(file: Path) -> dict[str, Any]:
    return {"sha256": _sha256(file), "bytes": file.stat().st_size}


def _manifest_of(directory: Path) -> dict[str, Any] | None:
    """An artefact's manifest; None if it cannot be read."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "files" in manifest else None


def _put_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    aside = directory / f".{MANIFEST}"
    aside.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    _sync(aside)
    aside.replace(directory / MANIFEST)
    _sync(directory)


def _files(directory: Path) -> list[Path]:
    manifest = directory / MANIFEST
    return sorted(file for file in directory.rglob("*") if file.is_file() and file != manifest)


def _relative(file: Path, directory: Path) -> str:
    return file.relative_to(directory).as_posix()


def _created(directory: Path) -> str:
    try:
        return str(json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["created_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _damaged(where: Path, what: str) -> OperationError:
    return OperationError(
        "artefact_damaged",
        f"an artefact cannot be used: {where.name} {what}",
        where=str(where),
        hint="Make it again (for example `shoal segment SHOP`), or restore it from a backup.",
    )
