"""What the pointers of a shop name: an artefact each, which must be there."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

from shoal.ports import StateStore

#: Beginning of a pointer's name -> kind of the artefact that it names.
KINDS: Final = MappingProxyType(
    {
        "segmentation": "segmentation", "model": "model", "reference": "reference",
        "items": "items", "rates": "rates", "covariates": "covariates", "adjust": "adjustments",
    }
)  # fmt: skip


def named(store: StateStore) -> dict[str, tuple[str, str]]:
    """Pointer -> (kind, artefact) of every pointer that names one."""
    found = {}
    for pointer, target in store.pointers().items():
        kind = KINDS.get(pointer.partition(".")[0])
        if kind is not None and target:
            found[pointer] = (kind, target)
    return found


def lost(store: StateStore, artefacts: Path) -> list[tuple[str, str]]:
    """(kind, artefact) that a pointer names and that are not there."""
    return sorted(
        {(kind, name) for kind, name in named(store).values()
         if not (artefacts / kind / name).is_dir()}
    )  # fmt: skip
