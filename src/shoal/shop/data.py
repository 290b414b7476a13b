"""Verbs that bring data in and read it out: ingest, quarantine, compact, trim, features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from shoal import bootstrap
from shoal.domain.errors import UsageError
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    import pyarrow as pa

    from shoal.events.mapping import SourceMapping
    from shoal.events.row_noise import RowNoise
    from shoal.shop.base import Moment
    from shoal.workflows.features import WrittenFeatures
    from shoal.workflows.ingest_result import IngestResult
    from shoal.workflows.progress import Progress
    from shoal.workflows.quarantine import Listing


class DataVerbs(Verbs):
    """Data in and out."""

    @property
    def row_noise(self) -> RowNoise:
        """The rules on agents and addresses that the shop's configuration names."""
        from shoal.events.row_noise import RowNoise

        return RowNoise(self.config.noise.agents, self.config.noise.addresses)

    @property
    def _front_door(self) -> dict[str, Any]:
        """What everything that brings events in shares."""
        return {
            "warehouse": self._parts.warehouse,
            "store": self._parts.store,
            "fold": self._parts.fold_of,
            "admission": self._parts.admission,
            "quarantine_dir": self.directory / bootstrap.QUARANTINE_DIR,
            "zone": self.zone,
            "buckets": self.config.shop.buckets,
            "noise": self.row_noise,
            "privacy": self._parts.privacy,
        }

    def ingest(
        self,
        files: str | Path | Sequence[str | Path],
        *,
        preset: str | None = None,
        mapping: str | Path | SourceMapping | None = None,
        valid_from: Moment | None = None,
        again: bool = False,
        confirm: Callable[[str], bool] | None = None,
        progress: Progress | None = None,
    ) -> IngestResult:
        """Bring files, folders or globs into the shop; one of them may stand alone.

        Without a preset or a mapping the layout is guessed and described to `confirm`, which says
        whether to take it. `valid_from` is the time of rows in files without a column of times:
        from when the facts of an item table hold. With `again` a file that is in already, and of
        which a later file stated a part anew, is taken as the latest statement.

        Raises:
            UsageError: `unknown_preset`, `bad_mapping`, `mapping_unconfirmed`; `usage`, what was
                given is no path.
            InputError: a file is missing, unreadable or holds nothing usable.
            OperationError: disk, permission, lock or interrupt; the shop is as before that file.
        """
        from shoal.workflows.ingest import ingest
        from shoal.workflows.layout import dated, layout_of

        self._finish_erasures()
        return ingest(
            **self._front_door,
            paths=_paths(files),
            mapping=dated(layout_of(preset, mapping, confirm), moment_of(valid_from)),
            again=again,
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
        from shoal.workflows.quarantine_replay import replay

        chosen = layout_of(preset, mapping)
        if callable(chosen):
            raise UsageError(
                "usage", "no mapping was given", hint="Give preset=NAME or mapping=FILE."
            )
        self._finish_erasures()
        return replay(
            **self._front_door,
            mapping=chosen,
            progress=progress,
        )

    def compact(self) -> int:
        """Merge the event table's small files; returns the new table version."""
        self._finish_erasures()
        with self._parts.store.lease():
            return self._parts.warehouse.compact()

    def trim(self, days: int | None = None, *, most: int | None = None) -> dict[str, Any]:
        """Let go of what only old versions of the event table need: files that were replaced, and
        entries of its log; the document `shoal.trim/1`.

        Versions that were the latest within so many days stay, and so does what customers' states
        have yet to follow.

        Args:
            days: None: those of `[table] keep_days`; 0: every version is kept.
            most: so many versions, or files, at once (`left`: there are more); None: all.

        Raises:
            UsageError: `usage`, that is no number of days.
            OperationError: `shop_locked`, `disk_full`, `no_permission`, `shop_damaged`; some may be
                gone already, and the next call goes on.
        """
        from shoal.config import KEEP_DAYS
        from shoal.domain.time import system_clock
        from shoal.workflows.forgotten import unfinished
        from shoal.workflows.table_retention import trim

        kept = self.config.table.keep_days if days is None else days
        if not 0 <= kept <= KEEP_DAYS:
            allowed = f"0 (for ever) to {KEEP_DAYS:,} days"
            raise UsageError("usage", f"versions cannot be kept for {kept} days", hint=allowed)
        warehouse, store = self._parts.warehouse, self._parts.store
        if unfinished(store) or store.applied_version() != warehouse.version():
            self._finish_erasures()  # else nothing is written that a stream would have to know of
        return trim(warehouse, store, system_clock(), kept, most)

    def features(
        self, *, as_of: Moment | None = None, table_version: int | None = None
    ) -> pa.Table:
        """The features of all customers with an event before `as_of`, one row a customer."""
        from shoal.features.snapshot import latest_moment, snapshot_table

        parts = self._parts
        moment = moment_of(as_of) or latest_moment(parts.warehouse, version=table_version)
        self._one_currency(moment, table_version)
        return snapshot_table(
            parts.admission.at(moment, version=table_version),
            parts.fold,
            zone=self.zone,
            as_of=moment,
            version=table_version,
        )

    def write_features(
        self, out: str | Path, *, as_of: Moment | None = None, table_version: int | None = None
    ) -> WrittenFeatures:
        """Write the features of all customers to a Parquet file, in bounded memory."""
        from shoal.workflows.features import write_features

        self._one_currency(moment_of(as_of), table_version)
        return self._listed(
            Path(out),
            "features",
            lambda: write_features(
                warehouse=self._parts.warehouse,
                fold=self._parts.fold,
                admission=self._parts.admission,
                zone=self.zone,
                out=Path(out),
                as_of=moment_of(as_of),
                version=table_version,
            ),
            lambda written: written.path,
        )


def _paths(files: object) -> list[str]:
    """Each path as text; a single one need not stand in a list.

    Raises:
        UsageError: `usage`.
    """
    several = isinstance(files, Iterable) and not isinstance(files, str | bytes | Path)
    found = []
    for one in cast("Iterable[object]", files) if several else [files]:
        if not isinstance(one, str | Path):
            raise UsageError(
                "usage",
                f"{one!r} is no path but of type {type(one).__name__}",
                hint="Give the path of a file or folder, a glob, or a list of them.",
            )
        found.append(str(one))
    return found
