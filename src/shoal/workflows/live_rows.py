"""Calls that were accepted become events through the one front door, without a file of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.account import RowAccount
from shoal.domain.time import Zone
from shoal.events.clean import CLEANED_SCHEMA, clean
from shoal.events.mapping import SourceMapping
from shoal.events.reading import open_source
from shoal.events.row_noise import RowNoise
from shoal.events.schema import QUARANTINE_SCHEMA
from shoal.events.tombstones import Tombstones
from shoal.ports import Arrived, LiveBatch
from shoal.workflows.collected_rows import Collected
from shoal.workflows.draining import written
from shoal.workflows.forgotten import id_columns
from shoal.workflows.ingest_errors import told
from shoal.workflows.live_waiting import as_told

if TYPE_CHECKING:
    from shoal.events.privacy import Privacy

_STEM: Final = "live"
#: Key of a batch's quarantined rows under which the columns of its source are kept.
COLUMNS: Final = b"shoal.columns"


@dataclass(frozen=True)
class FrontDoor:
    """How calls are read.

    Args:
        mapping: of the Segment spec; events are of the source that sent them.
        zone: the shop's.
        buckets: number of customer buckets.
        noise: whose agents and addresses are no customer's.
        privacy: hides ids and seals what is personal; None: nothing is hidden.
        work_dir: where calls lie while they are read.
    """

    mapping: SourceMapping
    zone: Zone
    buckets: int
    noise: RowNoise | None
    privacy: Privacy | None
    work_dir: Path

    def of(self, source: str) -> SourceMapping:
        """How calls of a source are read."""
        return replace(self.mapping, name=source, source=source)

    def batches(
        self, calls: Sequence[tuple[int, Arrived]], forgotten: Tombstones
    ) -> list[LiveBatch]:
        """What becomes of calls, a batch a source."""
        by_source: dict[str, list[tuple[int, Arrived]]] = {}
        for place, call in calls:
            by_source.setdefault(call.source, []).append((place, call))
        return [self._batch(source, own, forgotten) for source, own in by_source.items()]

    def _batch(
        self, source: str, calls: Sequence[tuple[int, Arrived]], forgotten: Tombstones
    ) -> LiveBatch:
        mapping = self.of(source)
        named = Collected(source, [place for place, _ in calls])
        self.work_dir.mkdir(parents=True, exist_ok=True)
        file = self.work_dir / f"{_STEM}-{calls[0][0]:012d}-{calls[-1][0]:012d}.jsonl"
        events, quarantined = [CLEANED_SCHEMA.empty_table()], [QUARANTINE_SCHEMA.empty_table()]
        read = skipped = 0
        try:
            with told(file):
                written(file, calls)
                opened = open_source(file, mapping)
                for chunk in opened.chunks():
                    found = clean(
                        chunk, mapping, zone=self.zone, buckets=self.buckets, file=str(file),
                        noise=self.noise, privacy=self.privacy,
                    )  # fmt: skip
                    found = forgotten.left_out(found, id_columns(mapping))
                    if self.privacy is not None:
                        found = self.privacy.sealed(found)
                    found = named.named(found, chunk)
                    events.append(found.events.select(CLEANED_SCHEMA.names))
                    quarantined.append(found.quarantined)
                    read, skipped = read + found.read, skipped + found.skipped
                columns = opened.columns
        finally:
            file.unlink(missing_ok=True)
        rows, refused = pa.concat_tables(events), pa.concat_tables(quarantined)
        account = RowAccount(
            read=read, stored=rows.num_rows, skipped=skipped, quarantined=refused.num_rows,
            quarantine=dict(_counted(refused)),
        )  # fmt: skip
        refused = refused.replace_schema_metadata({COLUMNS: "\x1f".join(columns)})
        return LiveBatch(source, rows, refused, as_told(account))


def columns_of(batches: Sequence[LiveBatch]) -> tuple[str, ...]:
    """The columns of the sources that batches were read from."""
    found: dict[str, None] = {}
    for batch in batches:
        kept = (batch.quarantined.schema.metadata or {}).get(COLUMNS, b"").decode()
        found |= dict.fromkeys(name for name in kept.split("\x1f") if name)
    return tuple(found)


def _counted(refused: pa.Table) -> Counter[str]:
    counted = pc.value_counts(refused["code"].combine_chunks()).to_pylist()
    return Counter({one["values"]: one["counts"] for one in counted})
