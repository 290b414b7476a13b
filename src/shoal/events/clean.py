"""Raw rows become canonical events, or go to quarantine with a reason: the front door.

`clean` is a pure function of a chunk, a mapping and the shop's zone and buckets. Whatever the file
format was, the same rows give the same events, ids and keys. Every row read is exactly one of
event, quarantined, skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.domain.event import CANONICAL
from shoal.domain.time import Zone
from shoal.events import identity
from shoal.events.chunks import RawChunk, no_rows
from shoal.events.draft import Draft
from shoal.events.mapping import SourceMapping
from shoal.events.row_noise import RowNoise
from shoal.events.schema import (
    BUCKET,
    CONTENT_KEY,
    EVENT_KEY,
    NOISE,
    SCOPE_KEY,
    SCOPE_VERSION,
    TABLE_SCHEMA,
    UTC_OFFSET,
)
from shoal.events.sealed_form import bare
from shoal.events.texts import one_array
from shoal.events.zones import zone_table

if TYPE_CHECKING:
    from shoal.events.privacy import Privacy

Mask = NDArray[np.bool_]

#: Says, beside the table's columns, which events got a generated id.
GENERATED: Final = "generated_id"
CLEANED_SCHEMA: Final = TABLE_SCHEMA.append(pa.field(GENERATED, pa.bool_()))

_CANONICAL: Final = pa.schema(list(TABLE_SCHEMA)[: len(CANONICAL)])


@dataclass(frozen=True)
class Cleaned:
    """What became of a chunk; `read` = events + quarantined + skipped, always.

    `forgotten` of the skipped are of persons who were forgotten (`shoal.events.tombstones`).

    `events` has `CLEANED_SCHEMA` (the table's columns and `generated_id`; and where ids of the
    forgotten were taken out, `shoal.events.identity.AS_CAME`), `quarantined` has
    `QUARANTINE_SCHEMA` with rows counted from 1.
    """

    events: pa.Table
    quarantined: pa.Table
    read: int
    skipped: int
    forgotten: int = 0

    def __post_init__(self) -> None:
        if self.read != self.events.num_rows + self.quarantined.num_rows + self.skipped:
            raise RuntimeError("clean: rows read are not events, quarantined and skipped rows")


def clean(
    chunk: RawChunk,
    mapping: SourceMapping,
    *,
    zone: Zone,
    buckets: int,
    file: str,
    noise: RowNoise | None = None,
    privacy: Privacy | None = None,
) -> Cleaned:
    """Canonical events of a chunk, the rows that cannot be, and why.

    Args:
        mapping: how the source's columns become canonical ones.
        zone: the shop's time zone, for `utc_offset_s`.
        buckets: into how many buckets customers are spread.
        file: the name that quarantined rows carry.
        noise: whose agents and addresses are no customer's; None: the known robots'.
        privacy: hides ids and seals what is personal; None: nothing is hidden.

    Raises:
        InputError: `unknown_columns`, the chunk lacks columns that the mapping needs.
    """
    table = chunk.table
    n = table.num_rows
    if not n:
        return _cleaned(CLEANED_SCHEMA.empty_table(), no_rows(), chunk, 0, file)
    bound = mapping.bind(table.column_names, file=file)
    draft = Draft(table, mapping.for_columns(table.column_names), bound)
    draft.read_kinds()
    draft.read_times()
    draft.read_texts()
    draft.read_quantities()
    draft.read_amounts()
    draft.read_rest(chunk.row_places())
    draft.read_marks(noise or RowNoise())
    kept = draft.faults.none & ~draft.skipped
    events = _events(draft, kept, zone, buckets, privacy)
    quarantined = draft.faults.quarantine(draft.table, draft.skipped, chunk.row_places(), file)
    return _cleaned(events, quarantined, chunk, int(draft.skipped.sum()), file)


def _cleaned(
    events: pa.Table, quarantined: pa.Table, chunk: RawChunk, skipped: int, file: str
) -> Cleaned:
    rejected = chunk.rejected
    if rejected.num_rows:
        names = pa.array([file] * rejected.num_rows, pa.string())
        rejected = rejected.set_column(rejected.column_names.index("file"), "file", names)
        quarantined = pa.concat_tables([rejected, quarantined])
    return Cleaned(events, quarantined, chunk.rows, skipped)


def _events(
    draft: Draft, kept: Mask, zone: Zone, buckets: int, privacy: Privacy | None
) -> pa.Table:
    """The rows without fault, with ids, keys, marks, offset and bucket."""
    n = len(kept)
    done = draft.done
    columns = [done.get(f.name, pa.nulls(n, f.type)) if f.name in CANONICAL else None
               for f in TABLE_SCHEMA]  # fmt: skip
    canonical = pa.table(columns[: len(CANONICAL)], schema=_CANONICAL)
    if not kept.all():
        canonical = canonical.filter(pa.array(kept)).combine_chunks()
        draft.marks = {name: marks.filter(pa.array(kept)) for name, marks in draft.marks.items()}
    if privacy is not None:
        canonical = privacy.stored(canonical)
    texts = identity.content_texts(canonical if privacy is None else _as_comes_again(canonical))
    ids, generated = _with_ids(canonical, texts)
    times = canonical["event_time"].cast(pa.int64()).to_numpy()
    visitors = one_array(pc.coalesce(canonical["customer_id"], canonical["anonymous_id"]))
    keys = identity.event_keys(one_array(canonical["source"]), ids)
    internal = {
        EVENT_KEY: pa.array(keys),
        CONTENT_KEY: pa.array(identity.content_keys(texts)),
        UTC_OFFSET: pa.array(zone_table(zone).offset_s(times)),
        SCOPE_KEY: _scopes(draft.marks[SCOPE_KEY], privacy),
        SCOPE_VERSION: draft.marks[SCOPE_VERSION],
        NOISE: draft.marks[NOISE],
        BUCKET: identity.bucket_column(visitors, buckets),
        GENERATED: pa.array(generated),
    }
    arrays = [ids, *canonical.columns[1:], *(internal[f.name] for f in CLEANED_SCHEMA
                                             if f.name in internal)]  # fmt: skip
    return pa.table(arrays, schema=CLEANED_SCHEMA)


def _scopes(keys: pa.Array, privacy: Privacy | None) -> pa.Array:
    return keys if privacy is None else privacy.scopes(keys)


def _as_comes_again(canonical: pa.Table) -> pa.Table:
    """Rows with sealed values as they are when the same row comes again."""
    place = canonical.schema.get_field_index("properties")
    return canonical.set_column(place, canonical.schema.field(place), bare(canonical["properties"]))


def _with_ids(canonical: pa.Table, texts: NDArray[np.object_]) -> tuple[pa.Array, Mask]:
    """The events' ids, generated (as occurrence 0) where the source gave none."""
    ids = one_array(canonical["event_id"])
    missing = np.asarray(ids.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    if not missing.any():
        return ids, missing
    sources = one_array(canonical["source"])
    rows = np.flatnonzero(missing)
    same = pc.count_distinct(sources).as_py() <= 1
    source = sources[0].as_py() if same else sources.take(pa.array(rows)).to_pylist()
    made = identity.generated_ids(texts[rows], source)
    if missing.all():
        return pa.array(made, pa.string()), missing
    return pc.replace_with_mask(ids, pa.array(missing), pa.array(made, pa.string())), missing
