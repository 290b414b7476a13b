"""Verbs about the state of the data: quality checks and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal import bootstrap
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    from shoal.domain.quality import Quality
    from shoal.shop.base import Moment
    from shoal.workflows.noise_overview import NoiseOverview
    from shoal.workflows.progress import Progress


class QualityVerbs(Verbs):
    """About the state of the data: quality checks and noise."""

    def quality(self, *, since: Moment | None = None, progress: Progress | None = None) -> Quality:
        """Everything that is wrong with the events, or may be, gravest first.

        Args:
            since: only what happened since then; what is usual is learnt from all events.
        """
        from shoal.workflows.quality import check_quality

        return check_quality(
            warehouse=self._parts.warehouse,
            store=self._parts.store,
            quarantine_dir=self.directory / bootstrap.QUARANTINE_DIR,
            zone=self.zone,
            config=self.config,
            since=moment_of(since),
            progress=progress,
        )

    def noise(self) -> NoiseOverview:
        """What each noise rule caught, and whether it is switched on."""
        from shoal.workflows.noise_overview import noise_overview

        return noise_overview(
            warehouse=self._parts.warehouse, store=self._parts.store, settings=self.config.noise
        )
