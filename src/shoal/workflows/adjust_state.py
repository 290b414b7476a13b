"""Looks on disk: what was noticed and done, what the next look goes on with, and what waits.

Each is an artefact of the kind `adjustments` (`look-0001`, ...):

adjust.json                what was noticed, decided, done and why (`shoal.adjust/1`)
state.json                 the adjuster's state after it, and the segmentation that it is of
state.safetensors          its arrays
candidate.json             a segmentation that waits for a person's word, if one does
candidate.safetensors      its arrays

The pointer `adjust.state` names the latest one that counts; what lies after it was left by a killed
process and is swept. Nothing here names a customer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import load_file, save_file

from shoal.domain.errors import OperationError, UsageError
from shoal.features.tastes import Vocabulary
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.segments.artefact import document_of
from shoal.segments.base import Arrays
from shoal.segments.clustered import ClusterSegmenter
from shoal.workflows import canary
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.canary import PENDING

KIND: Final = "adjustments"
STEM: Final = "look"
SCHEMA: Final = "shoal.adjust/1"
#: Pointer to the latest look.
POINTER: Final = "adjust.state"

_DOCUMENT: Final = "adjust.json"
_STATE: Final = "state"
_CANDIDATE: Final = "candidate"


@dataclass(frozen=True)
class Candidate:
    """A segmentation that waits.

    Args:
        document: `segmentation_id` that it changes, `as_of`, `adjustments`, `lineage`, `choice`,
            `reference_id`, `fitted_at` and `highest`.
    """

    segmenter: ClusterSegmenter
    vocabulary: Vocabulary
    document: Mapping[str, Any]


# -- written ---------------------------------------------------------------------------------------


def write(
    registry: Registry,
    document: Mapping[str, Any],
    state: AdjusterState,
    segmentation_id: str,
    candidate: Candidate | None = None,
) -> str:
    """Write a look; its id. It counts once the pointer names it.

    Args:
        document: what `shoal.adjust/1` tells but for schema and id.
        segmentation_id: what is in force after it.
    """
    with registry.create(KIND, STEM) as directory:
        whole = {"schema": SCHEMA, "adjust_id": directory.name, **document}
        if whole.get("waiting") and whole["waiting"].get("adjust_id") is None:
            whole["waiting"] = {**whole["waiting"], "adjust_id": directory.name}
        if (whole.get("canary") or {}).get("adjust_id") == "":
            whole["canary"] = {**whole["canary"], "adjust_id": directory.name}
        _write_json(directory / _DOCUMENT, whole)
        told, arrays = state.to_artefact()
        _write(directory, _STATE, {"segmentation_id": segmentation_id, **told}, arrays)
        if candidate is not None:
            learned, arrays = candidate.segmenter.to_artefact()
            told = {
                **candidate.document,
                "method": candidate.segmenter.method,
                "learned": learned,
                "vocabulary": candidate.vocabulary.to_document(),
            }
            _write(directory, _CANDIDATE, told, arrays)
        return directory.name


def _write(directory: Path, stem: str, document: Mapping[str, Any], arrays: Arrays) -> None:
    _write_json(directory / f"{stem}.json", document)
    if arrays:
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(whole, directory / f"{stem}.safetensors")


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """As JSON has it: figures that are not finite are null, arrays are lists.

    >>> plain({"a": np.float64("nan"), "b": (np.int64(1), 2.0)})
    {'a': None, 'b': [1, 2.0]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


# -- read ------------------------------------------------------------------------------------------


def state_of(store: StateStore, registry: Registry) -> tuple[str, AdjusterState] | None:
    """The segmentation that the latest look left in force, and its state; None before the first.

    Raises:
        OperationError: `artefact_damaged`.
    """
    name = store.get_pointer(POINTER)
    if name is None:
        return None
    directory = registry.path(KIND, name)
    document = _read(directory / f"{_STATE}.json")
    arrays_file = directory / f"{_STATE}.safetensors"
    arrays = load_file(arrays_file) if arrays_file.exists() else {}
    return str(document["segmentation_id"]), AdjusterState.from_artefact(document, arrays)


def document_at(registry: Registry, look: str) -> dict[str, Any]:
    """What is told of a look.

    Raises:
        UsageError: `usage`, there is no such look.
        OperationError: `artefact_damaged`.
    """
    known = registry.list(KIND)
    if look not in known:
        raise UsageError(
            "usage",
            f"the shop has no look {look!r}",
            where=look,
            hint="shoal adjustments SHOP lists them."
            if known
            else "Nobody looked yet: shoal adjust SHOP",
        )
    return _read(registry.path(KIND, look) / _DOCUMENT)


def candidate_of(registry: Registry, look: str) -> Candidate:
    """What waits in a look.

    Raises:
        OperationError: `artefact_damaged`.
    """
    directory = registry.path(KIND, look)
    document = _read(directory / f"{_CANDIDATE}.json")
    arrays_file = directory / f"{_CANDIDATE}.safetensors"
    arrays = load_file(arrays_file) if arrays_file.exists() else {}
    return Candidate(
        ClusterSegmenter.from_artefact(document["learned"], arrays),
        Vocabulary.from_document(document["vocabulary"]),
        document,
    )


def pending(store: StateStore) -> str | None:
    """The look whose change waits for a person; None: none does.

    A change of segments that are no longer in force (somebody segmented anew, or went back) cannot
    be made and does not wait; it does again once they are back.
    """
    look, base = _asked(store)
    return look if base in (None, store.get_pointer(artefact.MAIN)) else None


def overtaken(store: StateStore, look: str) -> str | None:
    """The segmentation that a look which waited would change, if others are in force; else None."""
    asked, base = _asked(store)
    return base if asked == look and base != store.get_pointer(artefact.MAIN) else None


def _asked(store: StateStore) -> tuple[str | None, str | None]:
    """The look that asked for a person's word, and the segmentation that it would change."""
    look, _, base = store.get_settings().get(PENDING, "").partition(" ")
    return look or None, base or None


def looks(registry: Registry, store: StateStore) -> list[dict[str, Any]]:
    """Documents of all looks that count, oldest first; of one that cannot be read its id alone."""
    found = []
    for name in _counting(registry, store):
        try:
            found.append(_read(registry.directory(KIND, name) / _DOCUMENT))
        except OperationError:
            found.append({"adjust_id": name, "readable": False})
    return found


def _counting(registry: Registry, store: StateStore) -> list[str]:
    """Looks up to the one that the pointer names."""
    every, latest = registry.list(KIND), store.get_pointer(POINTER)
    return every[: every.index(latest) + 1] if latest in every else []


def sweep(registry: Registry, store: StateStore) -> list[str]:
    """Remove what a killed adjuster left: looks that no pointer names, and segmentations that they
    made and that were never in force. Under the shop's lease; what went."""
    registry.sweep()
    gone = []
    counting = set(_counting(registry, store))
    for name in registry.list(KIND):
        if name not in counting:
            registry.remove(KIND, name)
            gone.append(name)
    named = {
        target
        for pointer in (artefact.MAIN, canary.POINTER)
        for target, _ in store.pointer_history(pointer)
    }
    for name in registry.list(artefact.KIND):
        if name not in named and "adjusted" in (document_of(registry, name) or {}):
            registry.remove(artefact.KIND, name)
            gone.append(name)
    return gone


def ask(store: StateStore, look: str) -> None:
    """Let what is tried of a look's change wait for a person; inside a transaction."""
    store.put_setting(PENDING, f"{look} {store.get_pointer(artefact.MAIN)}")


def remember(
    store: StateStore, look: str, now: datetime, *, waiting: bool, clear: bool = True
) -> None:
    """Let a look count; inside the transaction of what it changed.

    Args:
        waiting: its change waits for a person.
        clear: what waited before waits no more.
    """
    store.set_pointer(POINTER, look, now)
    if waiting:
        base = store.get_pointer(artefact.MAIN)
        store.put_setting(PENDING, look if base is None else f"{look} {base}")
    elif clear and store.get_settings().get(PENDING):
        store.put_setting(PENDING, "")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OperationError(
            "artefact_damaged",
            f"{path.parent.name}/{path.name} cannot be read",
            where=str(path),
            hint="Restore it from a backup, or remove the directory and look again.",
        ) from error
    assert isinstance(found, dict)
    return found
