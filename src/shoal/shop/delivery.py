"""Verbs that hand segments over: export, what was exported, and what it made."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.shop.base import Verbs
from shoal.shop.lists import remembered, without_forgotten

if TYPE_CHECKING:
    from shoal.workflows.audience import Now, Sources
    from shoal.workflows.delivery import Order
    from shoal.workflows.exported import Exported


class DeliveryVerbs(Verbs):
    """Lists for other systems, held to consents, with control groups."""

    def export(
        self,
        segment: str,
        *,
        format: str = "csv",
        out: str | Path | None = None,
        segmentation: str | None = None,
        channel: str = "",
        to: str = "",
        since: str = "",
        holdout: str | float | None = None,
        holdout_name: str = "main",
        asked_by: str = "",
    ) -> Exported:
        """Write the members of a segment as a list, or the SQL that selects them.

        Args:
            format: `csv`, `parquet`, `klaviyo` (CSV of its list import), `segment` (calls as JSON
                Lines), `history` (stretches of membership), `sql` (rule segments).
            channel: only who granted it; empty: everybody but who refused all marketing.
            to: the destination's name, under which the list is recorded.
            since: list what changed since `last`, an export (`export-0001`), a segmentation or a
                moment.
            holdout: the share of a control group that is kept out for good: `"10%"` or 0.1. Who was
                sent to and who was held out is told as `exposure` events.
            holdout_name: which control group.
            asked_by: who wanted the list, for the record.

        Raises:
            UsageError: `unknown_segment`, `unknown_format`, `unknown_channel`, `unknown_export`,
                `bad_holdout`, `no_sql_form`, `usage`; `no_secret`, of addresses that are sealed.
            OperationError: `shop_locked`, `disk_full`, `no_permission`; no half file is left.
        """
        from shoal.workflows.delivery import Order
        from shoal.workflows.export import check
        from shoal.workflows.holdout import parse_share

        share = None if holdout is None else parse_share(str(holdout))
        path = None if out is None else Path(out)
        order = Order(segment, format, segmentation, channel, to, since, share, holdout_name)
        check(order, path)
        if order.delivery:
            self._finish_erasures()
        return self._exported(order, path, asked_by=asked_by)

    def _exported(
        self, order: Order, path: Path | None, *, asked_by: str, now: Now | None = None
    ) -> Exported:
        """Write an export that was checked; what it leaves outside the shop is remembered."""
        from shoal.workflows.export import export, files_of

        reading = self._parts.reading
        if order.format == "klaviyo" and reading is not None and not reading.keys:
            self._hold_readable()

        def write() -> Exported:
            return export(
                **self._applied(), segment=order.segment, format=order.format, out=path,
                exports_dir=self.directory / bootstrap.EXPORTS_DIR,
                segmentation=order.segmentation, channel=order.channel, to=order.to,
                since=order.since, share=order.share, holdout_name=order.holdout_name,
                asked_by=asked_by, buckets=self.config.shop.buckets, now=now,
                opened=None if reading is None else reading.plain,
            )  # fmt: skip

        erasures = self._parts.store.erasures
        inside = path is None or order.format == "sql"
        outside = [] if inside or path is None else self._outside(files_of(order, path))
        with ExitStack() as stack:
            for one in outside:
                stack.enter_context(remembered(erasures, one, "export"))
            # a recorded one looks itself, under the lease, whether somebody was forgotten meanwhile
            written = (
                write()
                if order.delivery
                else without_forgotten(erasures, write, lambda made: made.path)
            )
        erasures.drop_exports([str(one.resolve()) for one in outside if not one.exists()])
        return written

    def _hold_readable(self) -> None:
        """Refuse a list of addresses that nobody here can read.

        Raises:
            UsageError: `no_secret`, `bad_secret`.
        """
        from shoal.domain.secret_keys import FIELD_KEYS, field_keys
        from shoal.workflows.hiding import addresses_are_personal

        if addresses_are_personal(self._parts.store):
            field_keys(os.environ.get(FIELD_KEYS))

    def exports(self) -> list[dict[str, Any]]:
        """The recorded exports, oldest first: what was asked by whom, and the counts."""
        from shoal.workflows.deliveries import deliveries

        return [dict(one.document) for one in deliveries(self._parts.registry)]

    def lift_of(self, action: str, *, days: int | None = None) -> dict[str, Any]:
        """What an export with a holdout made: buyers and revenue against the control group.

        Args:
            action: of an export with a holdout, or the export's id.
            days: how long after the export something counts; None: until now.

        Returns:
            The document `shoal.lift/1`.

        Raises:
            UsageError: `unknown_action`.
            InputError: `too_little_data`, nothing happened since, or a group is empty;
                `mixed_currencies`, `rates_missing`.
        """
        from shoal.workflows.lift import lift

        self._one_currency(None)
        return lift(self._sources(), action, days=days)

    def _sources(self) -> Sources:
        from shoal.workflows.audience import Sources

        return Sources(**self._applied())

    def _outside(self, files: list[Path]) -> list[Path]:
        """Those of some files that do not lie among the shop's exports, where they are found."""
        exports = (self.directory / bootstrap.EXPORTS_DIR).resolve()
        return [one for one in files if not one.resolve().is_relative_to(exports)]
