"""Verbs about the state of the data: quality checks and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal import bootstrap
from shoal.domain.time import Zone
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    from datetime import datetime

    from shoal.domain.quality import Quality
    from shoal.shop.base import Moment
    from shoal.workflows.noise_overview import NoiseOverview
    from shoal.workflows.progress import Progress


def checked(
    parts: bootstrap.Parts,
    *,
    since: datetime | None = None,
    progress: Progress | None = None,
) -> Quality:
    """The quality checks of a shop."""
    from shoal.workflows.quality import check_quality

    return check_quality(
        warehouse=parts.warehouse,
        store=parts.store,
        quarantine_dir=parts.directory / bootstrap.QUARANTINE_DIR,
        zone=Zone(parts.config.shop.time_zone),
        config=parts.config,
        since=since,
        progress=progress,
    )


class QualityVerbs(Verbs):
    """About the state of the data: quality checks and noise."""

    def quality(self, *, since: Moment | None = None, progress: Progress | None = None) -> Quality:
        """Everything that is wrong with the events, or may be, gravest first.

        Args:
            since: only what happened since then; what is usual is learnt from all events.
        """
        return checked(self._parts, since=moment_of(since), progress=progress)

    def noise(self) -> NoiseOverview:
        """What each noise rule caught, and whether it is switched on."""
        from shoal.workflows.noise_overview import noise_overview

        return noise_overview(
            warehouse=self._parts.warehouse, store=self._parts.store, settings=self.config.noise
        )
