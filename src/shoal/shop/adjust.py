"""Verbs that let segments adjust, and tell what was noticed and done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from shoal import bootstrap
from shoal.domain.errors import UsageError
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    from shoal.shop.base import Moment
    from shoal.workflows.adjust import Ground
    from shoal.workflows.adjust_result import AdjustResult
    from shoal.workflows.progress import Progress


#: What is kept in the audit log of what somebody typed.
_SHOWN: Final = 40


class AdjustVerbs(Verbs):
    """Segments that notice, learn, change, and can say why."""

    def adjust(
        self,
        *,
        as_of: Moment | None = None,
        dry_run: bool = False,
        approve: str | None = None,
        decline: str | None = None,
        by: str = "",
        if_due: bool = False,
        retrain: bool = True,
        granted: Callable[[], None] | None = None,
        audit: bool = True,
        progress: Progress | None = None,
    ) -> AdjustResult:
        """Look for drift and adjust the main segmentation where that pays and the gates allow it.

        Memberships are moved on to the moment first. What changes is a new version with permanent
        ids, its lineage and causes; `rollback` goes back.

        Args:
            as_of: the moment to look at, also after the latest event. None: just after it.
            dry_run: say what would be done; nothing is written.
            approve: the look whose change waits for a person: it is put in force, applied to
                customers as they are now; or is tried on some customers: it is for all then.
            decline: the look whose change is dropped, or stopped.
            by: who says so, for the record.
            if_due: do nothing before the cadence of `[adjust]` asks for a look.
            retrain: train the behaviour model on where its growth, its age or harmful drift asks.
            granted: called where there is something to look at, before anything is written; returns
                once the process that holds the shop stands aside.
            audit: False: the caller has a person's word in the audit log already.

        Raises:
            UsageError: `unknown_segmentation`; `bad_period`, a later moment was looked at already;
                `usage`, the main segmentation is by rules, or nothing waits.
            InputError: `too_little_data`.
            OperationError: `shop_locked`, `artefact_damaged`, `disk_full`, `no_permission`: what is
                in force stays.
        """
        from shoal.workflows.adjust import adjust
        from shoal.workflows.adjust_approve import approve as approved
        from shoal.workflows.adjust_approve import decline as declined

        said = [one for one in (approve, decline) if one is not None]
        if len(said) > 1 or (said and (as_of is not None or dry_run or if_due)):
            raise UsageError(
                "usage",
                "a change that waits is approved or declined, and nothing else",
                hint="Give --approve ID or --decline ID alone.",
            )
        if granted is None:
            self.catch_up(progress)
        self._one_currency(moment_of(as_of))
        ground = self._ground(progress, retrain=retrain)
        if approve is not None:
            with self._word("adjust.approve", approve, audit):
                return approved(ground, approve, by=by)
        if decline is not None:
            with self._word("adjust.decline", decline, audit):
                return declined(ground, decline, by=by)

        def mine() -> None:
            """The shop is ours from here on: what its holder left is brought up to date."""
            assert granted is not None
            granted()
            self.catch_up(progress)

        return adjust(
            ground, as_of=moment_of(as_of), dry_run=dry_run, if_due=if_due,
            granted=None if granted is None else mine,
        )  # fmt: skip

    def _word(self, action: str, look: str, audit: bool) -> AbstractContextManager[Any]:
        """A block in which a person's word is carried out, written down unless it is already."""
        from shoal.shop.audited import audited

        if not audit:
            return nullcontext()
        return audited(self.directory, action, adjust_id=look[:_SHOWN])

    def adjustments(self) -> dict[str, Any]:
        """Every look, oldest first: the document `shoal.adjustments/1`."""
        from shoal.workflows.adjust_result import adjustments

        return adjustments(store=self._parts.store, registry=self._parts.registry)

    def _ground(self, progress: Progress | None, *, retrain: bool) -> Ground:
        from shoal.features.text import CACHE
        from shoal.workflows.adjust import Ground
        from shoal.workflows.progress import NoProgress

        return Ground(
            **self._applied(),
            settings=self.config.segment,
            dials=self.config.adjust,
            work_dir=self.directory / bootstrap.WORK_DIR,
            text_cache=self.directory / CACHE,
            behaviour=self.config.model,
            retrain=retrain,
            progress=progress or NoProgress(),
        )
