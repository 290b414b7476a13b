"""Verbs that form segments and use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.shop.base import Verbs, moment_of
from shoal.shop.quality import checked

if TYPE_CHECKING:
    from shoal.report.document import Segment
    from shoal.report.notebook import Segments
    from shoal.shop.base import Moment
    from shoal.workflows.progress import Progress
    from shoal.workflows.segment import SegmentResult


class SegmentVerbs(Verbs):
    """Segments: made, read, reported."""

    def current(self, name: str = "main") -> str | None:
        """The id of the current segmentation, `main` or `rfm`; None before the first."""
        return self._parts.store.get_pointer(f"segmentation.{name}")

    def segment(
        self,
        *,
        method: str | Sequence[str] = "kmeans",
        on: str | None = None,
        aim: str | None = None,
        k: int | None = None,
        levels: Sequence[int] = (),
        density: str = "hdbscan",
        of: Sequence[str] = (),
        labels: str | Path | None = None,
        warm: bool = True,
        tune: int = 0,
        until: Moment | None = None,
        seed: int | None = None,
        table_version: int | None = None,
        progress: Progress | None = None,
    ) -> SegmentResult:
        """Form segments by one method or several, the RFM rules beside learned ones.

        Args:
            method: `kmeans`, `mixture`, `hierarchy`, `density`, `deep`, `seeded`, `consensus`
                (docs/concepts/methods.md) or `rfm`; of several the first becomes the main one.
            on: what learned segments are made on: `features`, `embedding` of the current behaviour
                model, or `both`. None: both where the shop has a model, else features.
            aim: `style` tells segments by how customers shop, `outlook` by what they are expected
                to do next, the others by style and stages of each by outlook: `foretell` as
                foretells best, `balance` with the most styles within one standard error of it.
                None: balance, but style of labelled customers and on the embedding alone.
            levels: of `hierarchy`, such as 3, 8, 20; the finest counts unless `k` says another.
            density: `hdbscan` or `dbscan`, of `density`.
            of: the members of `consensus`.
            labels: of `seeded`: a file with customer_id and segment, or a text feature (a trait).
            tune: trials of a search (Optuna) for method, inputs, number and weights, judged by the
                last period of the log; what is told (method, k, aim) stays.
            warm: start from the segments of the version before as well; the better end counts.

        Raises:
            UsageError: `unknown_method`, `unknown_aim`, `unknown_input`, `unknown_model`, `usage`.
            InputError: `too_little_data`, and what is wrong with the labels.
        """
        from shoal.segments.methods.registry import Options
        from shoal.workflows.segment import segment
        from shoal.workflows.segment_methods import beside

        self.catch_up(progress)
        self._one_currency(moment_of(until), table_version)
        return segment(
            **self._applied(),
            settings=self.config.segment,
            until=moment_of(until),
            methods=beside((method,) if isinstance(method, str) else tuple(method)),
            options=Options(tuple(levels), density, tuple(of)),
            labels=None if labels is None else str(labels),
            warm=warm,
            tune=tune,
            on=on,
            aim=aim,
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
                settings=self.config.segment,
            ),
            lambda written: written,
        )
        return ReportFile(written)
