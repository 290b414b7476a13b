"""Verbs that tell who belongs where: memberships, refresh, customer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.domain.errors import UsageError
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    import pyarrow as pa

    from shoal.shop.base import Moment
    from shoal.workflows.memberships import Written
    from shoal.workflows.progress import Progress
    from shoal.workflows.refresh import Refreshed


class MembershipVerbs(Verbs):
    """Who belongs where, since when and why."""

    def memberships(
        self,
        *,
        as_of: Moment | None = None,
        segmentation: str | None = None,
        soft: bool = False,
        recorded: bool = False,
        table_version: int | None = None,
    ) -> pa.Table:
        """Who belongs where: `customer_id`, `segmentation_id`, `segment_id`, `weight`, `since`.

        The segmentation is applied to what is known at the moment. Who has a recorded membership
        stays in that segment unless another weighs more by more than the margin.

        Args:
            recorded: read the membership log instead, as it stands or (`as_of`) as it stood; rows
                have `cause` and `margin` too. Without `segmentation`, the whole line of main ones.
            soft: one row a customer and segment with its weight.

        Raises:
            UsageError: `unknown_segmentation`; `usage`, `recorded` with `soft` or `table_version`.
        """
        from shoal.workflows import memberships as told

        moment = moment_of(as_of)
        if recorded:
            if soft or table_version is not None:
                raise UsageError(
                    "usage",
                    "the log holds the one segment of each customer, as it was recorded",
                    hint="Leave out soft and table_version, or recorded.",
                )
            return told.recorded(
                store=self._parts.store, registry=self._parts.registry, as_of=moment,
                segmentation=segmentation,
            ).table  # fmt: skip
        return told.memberships(
            **self._applied(),
            as_of=moment,
            segmentation=segmentation,
            soft=soft,
            table_version=table_version,
        ).table

    def write_memberships(
        self,
        out: str | Path,
        *,
        as_of: Moment | None = None,
        segmentation: str | None = None,
        soft: bool = False,
        recorded: bool = False,
        table_version: int | None = None,
    ) -> Written:
        """Write the memberships as Parquet or CSV, by the file's ending; see `memberships`."""
        from shoal.workflows.memberships import write_memberships

        return self._listed(
            Path(out),
            "memberships",
            lambda: write_memberships(
                **self._applied(),
                out=Path(out),
                as_of=moment_of(as_of),
                segmentation=segmentation,
                soft=soft,
                table_version=table_version,
                from_log=recorded,
            ),
            lambda written: written.path,
        )

    def refresh(
        self, *, as_of: Moment | None = None, arrived: bool = False,
        progress: Progress | None = None,
    ) -> Refreshed:  # fmt: skip
        """Move every customer's recorded membership on to a moment, in the current segmentations.

        Args:
            as_of: also after the latest event: who did nothing ages. None: just after it.
            arrived: only those of whom events came in since the last refresh.

        Raises:
            UsageError: `unknown_segmentation`, there is none yet; `bad_period`, memberships are
                recorded up to a later moment.
            InputError: `too_little_data`.
            OperationError: `shop_locked`.
        """
        from shoal.workflows.refresh import refresh

        self.catch_up(progress)
        self._one_currency(moment_of(as_of))
        return refresh(
            **self._applied(), as_of=moment_of(as_of), arrived=arrived, seen=self._seen,
            progress=progress,
        )  # fmt: skip

    def customer(self, customer_id: str, *, as_of: Moment | None = None) -> dict[str, Any]:
        """What is known of one customer: segments, since when and why, tastes, features."""
        from shoal.workflows.customer import customer

        return customer(
            **self._applied(), customer_id=self._named(customer_id), as_of=moment_of(as_of)
        )
