"""Verbs about versions of the segments: which there are, what became of whom, and going back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from shoal.workflows.progress import Progress

#: What is kept in the audit log of what somebody typed.
_SHOWN: Final = 40


class VersionVerbs(Verbs):
    """Versions of segmentations, their lineage, and an existing segmentation beside them."""

    def versions(self) -> dict[str, Any]:
        """Every version, oldest first: the document `shoal.versions/1`."""
        from shoal.workflows.versions import versions

        return versions(store=self._parts.store, registry=self._parts.registry)

    def lineage(self, version: str | None = None) -> dict[str, Any]:
        """What became of segments from the first version to a later one (the main one by default).

        The document `shoal.lineages/1`: versions, changes (continue, split, merge, birth, death)
        with counts, causes and confidence, the life of each segment, flows of customers.

        Raises:
            UsageError: `unknown_segmentation`.
            OperationError: `artefact_damaged`.
        """
        from shoal.workflows.lineage import lineages

        return lineages(
            store=self._parts.store, registry=self._parts.registry, segmentation=version
        )

    def draw_lineage(
        self, out: str | Path, *, version: str | None = None, lang: str = "en"
    ) -> Path:
        """Write the lineage as a picture, an SVG file.

        Raises:
            UsageError: `unknown_segmentation`; `unknown_format`, another ending.
        """
        from shoal.report.lineage_picture import lineage_picture
        from shoal.workflows.memberships import check_ending

        path = Path(out)
        check_ending(path, (".svg",), "pictures")
        path.write_text(lineage_picture(self.lineage(version), lang), encoding="utf-8")
        return path

    def movement(self, version: str | None = None, *, since: str | None = None) -> dict[str, Any]:
        """Who moved between two versions: customers who changed, and the model that changed.

        The document `shoal.movement/1`; its parts add up exactly.

        Args:
            version: the later one; None: the main one.
            since: the earlier one; None: the one that the later one continues.

        Raises:
            UsageError: `unknown_segmentation`; `usage`, there is no earlier version.
            OperationError: `artefact_damaged`.
        """
        from shoal.workflows.movement import moved

        self.catch_up(reading=True)
        return moved(**self._applied(), version=version, since=since)

    def rollback(self, version: str) -> dict[str, Any]:
        """Make an earlier version the current one again; the document `shoal.rollback/1`.

        A canary that runs is dropped first (`canary` tells which; None: none ran).

        Raises:
            UsageError: `unknown_segmentation`; `usage`, it is the current one, or was never in
                force but for a share of customers.
            OperationError: `artefact_damaged`, nothing was changed; `shop_locked`.
        """
        from shoal.shop.audited import audited
        from shoal.workflows.rollback import rollback

        self.catch_up()
        with audited(self.directory, "rollback", to=version[:_SHOWN]) as facts:
            found = rollback(
                warehouse=self._parts.warehouse,
                store=self._parts.store,
                registry=self._parts.registry,
                version=version,
            )
            facts["canary"] = found["canary"]
        return found

    def incumbent(
        self,
        file: str | Path,
        *,
        segmentation: str | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Compare an existing segmentation with Shoal's: the document `shoal.incumbent/1`.

        A crosswalk of customers now, and a backtest of both on a quarter that neither may know.
        Nothing of the shop changes.

        Args:
            file: CSV, JSONL or Parquet with `customer_id`, `segment` and, where known, `since`.
            segmentation: Shoal's side; None: the main one.

        Raises:
            UsageError: `unknown_segmentation`; `usage`, too many segments to be any.
            InputError: `input_missing`, `input_unreadable`, `unknown_columns`, `input_unusable`.
        """
        from shoal.workflows.incumbent import incumbent

        self.catch_up(progress, reading=True)
        return incumbent(
            **self._applied(),
            path=Path(file),
            segmentation=segmentation,
            settings=self.config.segment,
            seed=seed,
            progress=progress,
        )
