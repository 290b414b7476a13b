"""The Python face: `shop = shoal.open(DIR)`. The verbs are those of the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.config import Config
from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, parse_moment

if TYPE_CHECKING:
    from datetime import date, datetime

    import pyarrow as pa

    from shoal.events.mapping import SourceMapping
    from shoal.workflows.export import Exported
    from shoal.workflows.features import WrittenFeatures
    from shoal.workflows.ingest_result import IngestResult
    from shoal.workflows.memberships import Written
    from shoal.workflows.progress import Progress
    from shoal.workflows.quarantine import Listing
    from shoal.workflows.segment import SegmentResult

    Moment = str | date | datetime


def init(directory: str | Path, config: Config | None = None) -> Shop:
    """Make a shop directory and open it.

    Raises:
        UsageError: `shop_exists`.
        OperationError: `no_permission`, `disk_full`.
    """
    return Shop(bootstrap.create(Path(directory), config or Config()))


def open(directory: str | Path) -> Shop:
    """Open an existing shop.

    Raises:
        UsageError: `not_a_shop`, or a bad setting in its `shop.toml`.
    """
    return Shop(bootstrap.attach(Path(directory)))


class Shop:
    """One shop. Usable as a context manager; `close` releases its connections."""

    def __init__(self, parts: bootstrap.Parts) -> None:
        self._parts = parts

    def __enter__(self) -> Shop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Shop({str(self.directory)!r})"

    def close(self) -> None:
        """Release the shop's connections."""
        self._parts.close()

    @property
    def directory(self) -> Path:
        return self._parts.directory

    @property
    def config(self) -> Config:
        return self._parts.config

    @property
    def zone(self) -> Zone:
        return Zone(self.config.shop.time_zone)

    # -- data in ---------------------------------------------------------------------------------

    def ingest(
        self,
        files: Sequence[str | Path],
        *,
        preset: str | None = None,
        mapping: str | Path | SourceMapping | None = None,
        confirm: Callable[[str], bool] | None = None,
        progress: Progress | None = None,
    ) -> IngestResult:
        """Bring files, folders or globs into the shop.

        Without a preset or a mapping the layout is guessed and described to `confirm`, which says
        whether to take it.

        Raises:
            UsageError: `unknown_preset`, `bad_mapping`, `mapping_unconfirmed`.
            InputError: a file is missing, unreadable or holds nothing usable.
            OperationError: disk, permission, lock or interrupt; the shop is as before that file.
        """
        from shoal.workflows.ingest import ingest
        from shoal.workflows.layout import layout_of

        return ingest(
            warehouse=self._parts.warehouse,
            store=self._parts.store,
            fold=self._parts.fold_of,
            quarantine_dir=self.directory / bootstrap.QUARANTINE_DIR,
            paths=[str(file) for file in files],
            mapping=layout_of(preset, mapping, confirm),
            zone=self.zone,
            buckets=self.config.shop.buckets,
            progress=progress,
        )

    def quarantine(self, *, code: str | None = None, samples: int = 3) -> Listing:
        """The rows that were not stored, by reason, with samples."""
        from shoal.workflows.quarantine import listing

        return listing(
            store=self._parts.store,
            quarantine_dir=self.directory / bootstrap.QUARANTINE_DIR,
            code=code,
            samples=samples,
        )

    def replay_quarantine(
        self,
        *,
        preset: str | None = None,
        mapping: str | Path | SourceMapping | None = None,
        progress: Progress | None = None,
    ) -> IngestResult:
        """Try the quarantined rows again with a mended mapping; those now valid are stored."""
        from shoal.workflows.layout import layout_of
        from shoal.workflows.quarantine import replay

        chosen = layout_of(preset, mapping)
        if callable(chosen):
            raise UsageError(
                "usage", "no mapping was given", hint="Give preset=NAME or mapping=FILE."
            )
        return replay(
            warehouse=self._parts.warehouse,
            store=self._parts.store,
            fold=self._parts.fold_of,
            quarantine_dir=self.directory / bootstrap.QUARANTINE_DIR,
            mapping=chosen,
            zone=self.zone,
            buckets=self.config.shop.buckets,
            progress=progress,
        )

    def compact(self) -> int:
        """Merge the event table's small files; returns the new table version."""
        with self._parts.store.lease():
            return self._parts.warehouse.compact()

    # -- segments --------------------------------------------------------------------------------

    def current(self, name: str = "main") -> str | None:
        """The id of the current segmentation, `main` or `rfm`; None before the first."""
        return self._parts.store.get_pointer(f"segmentation.{name}")

    def segment(
        self,
        *,
        method: str = "kmeans",
        k: int | None = None,
        until: Moment | None = None,
        seed: int | None = None,
        table_version: int | None = None,
        progress: Progress | None = None,
    ) -> SegmentResult:
        """Form segments: `kmeans` (with the RFM rules beside it) or `rfm` alone.

        Raises:
            UsageError: `unknown_method`.
            InputError: `too_little_data`.
        """
        from shoal.workflows.segment import segment

        self.catch_up(progress)
        return segment(
            **self._applied(),
            settings=self.config.segment,
            until=_moment(until),
            methods=("kmeans", "rfm") if method == "kmeans" else (method,),
            k=k,
            seed=seed,
            table_version=table_version,
            progress=progress,
        )

    def catch_up(self, progress: Progress | None = None) -> None:
        """Fold committed events that a killed ingest left out of the customers' states."""
        from shoal.workflows.catch_up import catch_up

        if self._parts.warehouse.version() > self._parts.store.applied_version():
            with self._parts.store.lease():
                catch_up(
                    warehouse=self._parts.warehouse,
                    store=self._parts.store,
                    fold=self._parts.fold_of,
                    progress=progress,
                )

    def features(
        self, *, as_of: Moment | None = None, table_version: int | None = None
    ) -> pa.Table:
        """The features of all customers with an event before `as_of`, one row a customer."""
        from shoal.features.snapshot import snapshot_table

        return snapshot_table(
            self._parts.warehouse,
            self._parts.fold,
            zone=self.zone,
            as_of=_moment(as_of),
            version=table_version,
        )

    def write_features(
        self, out: str | Path, *, as_of: Moment | None = None, table_version: int | None = None
    ) -> WrittenFeatures:
        """Write the features of all customers to a Parquet file, in bounded memory."""
        from shoal.workflows.features import write_features

        return write_features(
            warehouse=self._parts.warehouse,
            fold=self._parts.fold,
            zone=self.zone,
            out=Path(out),
            as_of=_moment(as_of),
            version=table_version,
        )

    def segments(self, segmentation: str | None = None) -> dict[str, Any]:
        """A segmentation (the main one by default) and the profile of each of its segments."""
        from shoal.workflows.memberships import overview

        return overview(
            store=self._parts.store, registry=self._parts.registry, segmentation=segmentation
        )

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
            as_of=_moment(as_of),
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

        return write_memberships(
            **self._applied(),
            out=Path(out),
            as_of=_moment(as_of),
            segmentation=segmentation,
            soft=soft,
            table_version=table_version,
        )

    def customer(self, customer_id: str, *, as_of: Moment | None = None) -> dict[str, Any]:
        """What is known of one customer: segments, why, tastes, features."""
        from shoal.workflows.customer import customer

        return customer(**self._applied(), customer_id=customer_id, as_of=_moment(as_of))

    def export(
        self,
        segment: str,
        *,
        format: str = "csv",
        out: str | Path | None = None,
        segmentation: str | None = None,
    ) -> Exported:
        """Write the members of a segment (csv, parquet), or the SQL that selects them (sql)."""
        from shoal.workflows.export import export

        return export(
            **self._applied(),
            segment=segment,
            format=format,
            exports_dir=self.directory / bootstrap.EXPORTS_DIR,
            out=None if out is None else Path(out),
            segmentation=segmentation,
        )

    def _applied(self) -> dict[str, Any]:
        """What every workflow that applies a segmentation needs."""
        return {
            "warehouse": self._parts.warehouse,
            "store": self._parts.store,
            "registry": self._parts.registry,
            "fold": self._parts.fold,
            "zone": self.zone,
        }

    def report(
        self, *, out: str | Path | None = None, lang: str = "en", segmentation: str | None = None
    ) -> Path:
        """Write the report, one self-contained HTML file; `report.html` in the shop by default."""
        from shoal.workflows.report import report

        return report(
            **self._applied(),
            out=Path(out) if out is not None else self.directory / "report.html",
            shop_name=self.directory.resolve().name,
            currency=self.config.shop.currency,
            lang=lang,
            segmentation=segmentation,
        )

    def status(self) -> dict[str, Any]:
        """What the shop holds and what is current."""
        from shoal.workflows.status import status

        return {"shop": str(self.directory), **status(store=self._parts.store)}


def _moment(text: Moment | None) -> datetime | None:
    return None if text is None else parse_moment(text)
