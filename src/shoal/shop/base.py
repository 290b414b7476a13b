"""What every group of a shop's verbs shares: its parts, its zone, and how moments are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.config import Config
from shoal.domain.time import Zone, parse_moment

if TYPE_CHECKING:
    from datetime import date, datetime

    from shoal.workflows.progress import Progress

    Moment = str | date | datetime


class Verbs:
    """Base of the groups of verbs; `Shop` is all of them."""

    def __init__(self, parts: bootstrap.Parts) -> None:
        self._parts = parts

    @property
    def directory(self) -> Path:
        return self._parts.directory

    @property
    def config(self) -> Config:
        return self._parts.config

    @property
    def zone(self) -> Zone:
        return Zone(self.config.shop.time_zone)

    def catch_up(self, progress: Progress | None = None) -> None:
        """Let the customers' states follow events that a killed ingest left, and new settings."""
        from shoal.workflows.catch_up import behind, catch_up

        parts = self._parts
        if behind(parts.warehouse, parts.store, parts.admission, parts.fold):
            catch_up(
                warehouse=parts.warehouse,
                store=parts.store,
                fold=parts.fold,
                admission=parts.admission,
                progress=progress,
            )

    def _applied(self) -> dict[str, Any]:
        """What every workflow that applies a segmentation needs."""
        return {
            "warehouse": self._parts.warehouse,
            "store": self._parts.store,
            "registry": self._parts.registry,
            "fold": self._parts.fold,
            "zone": self.zone,
            "admission": self._parts.admission,
        }


def moment_of(text: Moment | None) -> datetime | None:
    """An aware moment of what a caller gave; None stays None."""
    return None if text is None else parse_moment(text)
