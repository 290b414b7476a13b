"""Verbs that form segments and use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.shop.base import Verbs, moment_of
from shoal.shop.quality import checked

if TYPE_CHECKING:
    import pyarrow as pa

    from shoal.report.document import Segment
    from shoal.report.notebook import Segments
    from shoal.shop.base import Moment
    from shoal.workflows.export import Exported
    from shoal.workflows.memberships import Written
    from shoal.workflows.progress import Progress
    from shoal.workflows.segment import SegmentResult


class SegmentVerbs(Verbs):
    """Segments: made, read, exported, reported."""

    def current(self, name: str = "main") -> str | None:
        """The id of the current segmentation, `main` or `rfm`; None before the first."""
        return self._parts.store.get_pointer(f"segmentation.{name}")

    def segment(
        self,
        *,
        method: str = "kmeans",
        on: str | None = None,
        k: int | None = None,
        until: Moment | None = None,
        seed: int | None = None,
        table_version: int | None = None,
        progress: Progress | None = None,
    ) -> SegmentResult:
        """Form segments: `kmeans` (with the RFM rules beside it) or `rfm` alone.

        Args:
            on: what k-means is made on: `features`, `embedding` of the current behaviour model, or
                `both`. None: both where the shop has a model, else features.

        Raises:
            UsageError: `unknown_method`, `unknown_input`, `unknown_model`.
            InputError: `too_little_data`.
        """
        from shoal.workflows.segment import segment

        self.catch_up(progress)
        self._one_currency(moment_of(until), table_version)
        return segment(
            **self._applied(),
            settings=self.config.segment,
            until=moment_of(until),
            methods=("kmeans", "rfm") if method == "kmeans" else (method,),
            on=on,
            k=k,
            seed=seed,
            table_version=table_version,
            progress=progress,
        )

    def segments(self, segmentation: str | None = None) -> Segments:
        """A segmentation (the main one by default) and the profile of each of its segments.

        A dictionary (the document `shoal.segments/1`) that `plot` draws and a notebook shows.
        """
        from shoal.report import compose
        from shoal.report.notebook import Segments
        from shoal.segments.wording import describe
        from shoal.workflows.memberships import current, overview

        store, registry = self._parts.store, self._parts.registry
        document = overview(store=store, registry=registry, segmentation=segmentation)

        def composed(lang: str) -> Sequence[Segment]:
            found = current(store, registry, document["segmentation_id"])
            has_money = any(one["revenue"] for one in document["segments"])
            described = describe(self._parts.fold.catalog, found.vocabulary)
            return compose.segments(found.profiles, lang, described, {}, has_money=has_money)

        return Segments(document, composed)

    def memberships(
        self,
        *,
        as_of: Moment | None = None,
        segmentation: str | None = None,
        soft: bool = False,
        table_version: int | None = None,
    ) -> pa.Table:
        """Who belongs where: `customer_id`, `segmentation_id`, `segment_id`, `weight`, `since`."""
        from shoal.workflows.memberships import memberships

        return memberships(
            **self._applied(),
            as_of=moment_of(as_of),
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
        table_version: int | None = None,
    ) -> Written:
        """Write the memberships as Parquet or CSV, by the file's ending."""
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
            ),
            lambda written: written.path,
        )

    def customer(self, customer_id: str, *, as_of: Moment | None = None) -> dict[str, Any]:
        """What is known of one customer: segments, why, tastes, features."""
        from shoal.workflows.customer import customer

        return customer(**self._applied(), customer_id=customer_id, as_of=moment_of(as_of))

    def export(
        self,
        segment: str,
        *,
        format: str = "csv",
        out: str | Path | None = None,
        segmentation: str | None = None,
        consent: str = "",
    ) -> Exported:
        """Write the members of a segment (csv, parquet), or the SQL that selects them (sql)."""
        from shoal.workflows.export import export

        return self._listed(
            None if out is None or format == "sql" else Path(out),
            "export",
            lambda: export(
                **self._applied(),
                segment=segment,
                format=format,
                exports_dir=self.directory / bootstrap.EXPORTS_DIR,
                out=None if out is None else Path(out),
                segmentation=segmentation,
                consent=consent,
            ),
            lambda written: written.path,
        )

    def report(
        self,
        *,
        out: str | Path | None = None,
        lang: str = "en",
        segmentation: str | None = None,
        since: Moment | None = None,
    ) -> Path:
        """Write the report, one self-contained HTML file; `report.html` in the shop by default.

        The path that comes back shows the page itself in a notebook.

        Args:
            since: the date to compare with; by default one that fits the length of the log.

        Raises:
            UsageError: `bad_period`, `since` lies outside the log.
        """
        from shoal.report.notebook import ReportFile
        from shoal.workflows.report import report

        path = Path(out) if out is not None else self.directory / "report.html"
        written = self._listed(
            path,
            "report",
            lambda: report(
                **self._applied(),
                out=path,
                shop_name=self.directory.resolve().name,
                currency=self.config.shop.currency,
                lang=lang,
                segmentation=segmentation,
                since=moment_of(since),
                quality=checked(self._parts),
            ),
            lambda written: written,
        )
        return ReportFile(written)
