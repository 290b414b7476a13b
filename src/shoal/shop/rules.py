"""Rule segments: `shop.rules`, the verbs of `shoal rules`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    import pyarrow as pa

    from shoal.segments.ruled.language import RuleSet
    from shoal.shop.base import Moment
    from shoal.workflows.progress import Progress
    from shoal.workflows.rule_known import Rules
    from shoal.workflows.rule_preview import RuleShop
    from shoal.workflows.segment import SegmentResult


class RuleVerbs(Verbs):
    """Rules, as a group of verbs of their own."""

    @property
    def rules(self) -> ShopRules:
        """Checking, previewing and publishing rules; rules are a file, a document or Python."""
        return ShopRules(self)

    def protected(
        self, segmentation: str | None = None, *, as_of: Moment | None = None
    ) -> dict[str, Any]:
        """How segments fall by protected traits: the document `shoal.protected/1`.

        Counts and shares of each value in each segment, the largest gap, and the features that
        learned segments leave out for them.

        Raises:
            UsageError: `unknown_segmentation`.
            InputError: `too_little_data`.
        """
        from shoal.workflows.protected_traits import protected_traits

        return protected_traits(
            **self._applied(), settings=self.config.segment, as_of=moment_of(as_of),
            segmentation=segmentation,
        )  # fmt: skip


class ShopRules:
    """What can be done with rules in a shop."""

    def __init__(self, shop: Verbs) -> None:
        self._shop = shop

    def check(self, rules: Rules, *, more: pa.Table | None = None) -> RuleSet:
        """The rules, after everything in them was found to be right.

        Args:
            more: a table by `customer_id` whose columns rules may use as features.

        Raises:
            InputError: `input_missing`, `input_unreadable`.
            UsageError: `bad_rule`; `where` is the path in the JSON.
        """
        return self._parts().read(rules, more)

    def doubts(self, rules: Rules) -> list[dict[str, str]]:
        """What a person should look at again, such as a rule that nobody can fulfil."""
        parts = self._parts()
        return parts.doubts(parts.read(rules))

    def preview(
        self,
        rules: Rules,
        *,
        as_of: Moment | None = None,
        sample: int = 10,
        seed: int = 0,
        table_version: int | None = None,
        more: pa.Table | None = None,
    ) -> dict[str, Any]:
        """How many customers each segment has, some of them, and what each clause keeps and drops.

        The document `shoal.rules.preview/1`.

        Raises:
            InputError: `input_missing`, `input_unreadable`, `too_little_data`.
            UsageError: `bad_rule`.
        """
        from shoal.workflows.rule_preview import preview

        moment = moment_of(as_of)
        self._shop._one_currency(moment, table_version)
        parts = self._parts(table_version)
        return preview(parts, rules, as_of=moment, sample=sample, seed=seed, more=more)

    def members(
        self,
        rules: Rules,
        segment: str | None = None,
        *,
        as_of: Moment | None = None,
        table_version: int | None = None,
        more: pa.Table | None = None,
    ) -> pa.Table:
        """The customers of a rule segment: one column `customer_id`, sorted.

        Raises:
            InputError: `input_missing`, `input_unreadable`, `too_little_data`.
            UsageError: `bad_rule`, `unknown_segment`.
        """
        moment = moment_of(as_of)
        self._shop._one_currency(moment, table_version)
        return self._parts(table_version).members(rules, segment=segment, as_of=moment, more=more)

    def sql(
        self,
        rules: Rules,
        *,
        dialect: str = "duckdb",
        segment: str | None = None,
        as_of: Moment | None = None,
    ) -> str:
        """SQL that selects the same customers from a deduplicated events table.

        Args:
            as_of: T; None: just after the latest event.

        Raises:
            UsageError: `no_sql_form`, a clause has none; `unknown_dialect`, `unknown_segment`.
        """
        from shoal.features.snapshot import latest_moment
        from shoal.segments.ruled.sql import rules_sql

        parts = self._parts()
        found = parts.read(rules)
        moment = moment_of(as_of) or latest_moment(parts.warehouse)
        return rules_sql(
            found, parts.fold.rules, as_of=moment, zone=parts.zone, dialect=dialect,
            segment=segment, since=parts.first_moment(),
        )  # fmt: skip

    def segment(
        self,
        rules: Rules,
        *,
        until: Moment | None = None,
        table_version: int | None = None,
        progress: Progress | None = None,
    ) -> SegmentResult:
        """Make the segments of rules the shop's current rule segments (`segmentation.rules`).

        Raises:
            InputError: `input_missing`, `input_unreadable`, `too_little_data`.
            UsageError: `bad_rule`.
            OperationError: `shop_locked`, `disk_full`, `no_permission`.
        """
        from shoal.workflows.rule_segment import segment_by_rules

        self._shop.catch_up(progress)
        moment = moment_of(until)
        self._shop._one_currency(moment, table_version)
        return segment_by_rules(
            self._parts(table_version), rules, settings=self._shop.config.segment, until=moment,
            progress=progress,
        )  # fmt: skip

    def _parts(self, table_version: int | None = None) -> RuleShop:
        from shoal.workflows.rule_preview import RuleShop

        applied = self._shop._applied()
        names = {one.name for one in fields(RuleShop)} - {"table_version"}
        return RuleShop(**{name: applied[name] for name in names}, table_version=table_version)
