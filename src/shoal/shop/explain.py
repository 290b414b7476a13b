"""Verbs that explain segments: what they are, who is in them and why, as rules and as SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    from shoal.shop.base import Moment
    from shoal.workflows.explain import Explaining


class ExplainVerbs(Verbs):
    """Explanations of a segmentation, a segment, a pair, a customer; its rules as SQL."""

    def explain(self, segmentation: str | None = None) -> dict[str, Any]:
        """Every segment of a segmentation (the main one by default), and its tree.

        The document `shoal.explain/1`: effects with intervals, typical and borderline customers,
        value, a paragraph and a rule a segment; the tree's fidelity, cost and stability.

        Raises:
            UsageError: `unknown_segmentation`.
        """
        return self._explaining.everything(segmentation)

    def explain_segment(self, segment: str, *, segmentation: str | None = None) -> dict[str, Any]:
        """One segment: the document `shoal.explain_segment/1`.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`.
        """
        return self._explaining.segment(segment, segmentation)

    def explain_pair(
        self, first: str, second: str, *, segmentation: str | None = None
    ) -> dict[str, Any]:
        """What tells the members of two segments apart: the document `shoal.explain_pair/1`.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`; `usage`, a segment twice.
            InputError: `too_little_data`, nobody is in one of them.
        """
        return self._explaining.pair(first, second, segmentation)

    def explain_customer(
        self, customer_id: str, *, segmentation: str | None = None, as_of: Moment | None = None
    ) -> dict[str, Any]:
        """Why a customer is where they are, why not in the next segment, what would move them.

        The document `shoal.explain_customer/1`.

        Raises:
            UsageError: `unknown_customer`, `unknown_segmentation`.
        """
        from shoal.workflows.explain_customer import explain_customer

        self.catch_up(reading=True)
        return explain_customer(
            self._explaining,
            self._named(customer_id),
            segmentation=segmentation,
            as_of=moment_of(as_of),
        )

    def segment_sql(
        self,
        segment: str | None = None,
        *,
        dialect: str = "duckdb",
        segmentation: str | None = None,
        as_of: Moment | None = None,
    ) -> dict[str, Any]:
        """The rules as one SQL statement: members of a segment, or every customer's segment.

        The document `shoal.explain_sql/1`; its `sql` speaks of a table `events` of canonical
        columns.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`, `unknown_dialect`,
                `no_sql_form`.
        """
        return self._explaining.sql(
            segment, dialect, segmentation=segmentation, as_of=moment_of(as_of)
        )

    def write_segment_sql(
        self, out: str | Path, segment: str | None = None, **how: Any
    ) -> dict[str, Any]:
        """Write what `segment_sql` gives into a file; its document."""
        document = self.segment_sql(segment, **how)
        Path(out).write_text(document["sql"], encoding="utf-8")
        return {**document, "path": str(out)}

    @property
    def _explaining(self) -> Explaining:
        from shoal.workflows.explain import Explaining

        return Explaining(**self._applied())
