"""Persons in artefacts: members and exemplary customers of segmentations, whatever their age."""

from __future__ import annotations

from pathlib import Path

from shoal.domain.errors import OperationError
from shoal.ports import Registry
from shoal.workflows.forget_files import held, without


def in_artefacts(registry: Registry, ids: frozenset[str]) -> int:
    """How many entries of artefacts name some ids.

    Raises:
        OperationError: `artefact_damaged`, a file cannot be read.
    """
    return sum(
        _entries(registry.directory(kind, name), ids)
        for kind in registry.kinds()
        for name in registry.list(kind)
    )


def out_of_artefacts(registry: Registry, ids: frozenset[str]) -> None:
    """Take some ids out of every artefact; each says so in its manifest.

    What a killed process left half made of one, also of a kind that has none yet, is removed.
    """
    registry.sweep()
    for kind in registry.kinds():
        for name in registry.list(kind):
            registry.redact(
                kind, name, lambda path: held(path, ids), lambda path: without(path, ids)
            )


def _entries(home: Path, ids: frozenset[str]) -> int:
    entries = 0
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        try:
            entries += held(path, ids)
        except ValueError as error:
            raise OperationError(
                "artefact_damaged",
                f"{path.name} cannot be read, so nobody can say whether it names the person",
                where=str(path),
                hint="Nothing was removed. Restore it from a backup, or delete the directory "
                f"{home}, then forget again.",
            ) from error
    return entries
