"""The door to immutable artefacts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Registry(Protocol):
    """Immutable versioned artefacts: a directory each, with a manifest and checksums."""

    def create(self, kind: str, stem: str) -> AbstractContextManager[Path]:
        """A new artefact's directory, published as `artefacts/<kind>/<id>` if the block ends well.

        The id is `<stem>-<NNNN>`; a manifest with sha256 checksums of every file is added.
        """

    def path(self, kind: str, artefact_id: str) -> Path:
        """The directory of an artefact, after its checksums were verified.

        Raises:
            OperationError: `artefact_damaged`.
        """

    def redact(
        self,
        kind: str,
        artefact_id: str,
        held: Callable[[Path], int],
        edit: Callable[[Path], object],
    ) -> int:
        """Let `edit` take persons out of the files in which `held` counts entries of them.

        The manifest gets new checksums of these files, says how much was erased and that the
        artefact cannot be made again as it was. Returns the entries removed, also of what an
        earlier attempt that was killed removed.
        """

    def remove(self, kind: str, artefact_id: str) -> None:
        """Remove an artefact that nothing refers to; nothing happens if it is not there."""

    def sweep(self) -> None:
        """Remove what killed processes left half made; under the shop's lease only."""

    def directory(self, kind: str, artefact_id: str) -> Path:
        """The directory of an artefact, whatever its state."""

    def kinds(self) -> Sequence[str]:
        """Kinds of which there are artefacts."""

    def list(self, kind: str) -> list[str]:
        """Ids of a kind, oldest first."""
