"""Keys of events: what makes two rows the same event, and where a customer's events lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from shoal.domain.event import CANONICAL
from shoal.events.schema import CONTENT_KEY, NO_CUSTOMER
from shoal.events.sealed_form import bare

#: What does not belong to the content: the identity itself, and where and when the row came from.
NOT_CONTENT: Final = ("event_id", "sequence", "received_at", "source")
CONTENT: Final = tuple(name for name in CANONICAL if name not in NOT_CONTENT)

#: Column beside those of the table: the anonymous id that a row came with, where it was taken out
#: because its person was forgotten. Never stored; a repeated row has its id of the row as it came.
AS_CAME: Final = "anonymous_id_as_came"

#: Between the parts of a key's text; ASCII's unit separator.
SEPARATOR: Final = b"\x1f"


def content_texts(events: pa.Table) -> NDArray[np.object_]:
    """One `bytes` a row: the canonical row, its columns in order, empty where null.

    Numbers are written as they are stored (micro-units, microseconds), so that the text does not
    depend on the format of the file that the row came from.
    """
    parts: list[pa.Array | pa.Scalar] = []
    gap = ""
    for name in CONTENT:
        column = events[name]
        if column.null_count == len(column):
            gap += "\x1f"
            continue
        parts += [pa.scalar(gap, pa.string()), _text(column)]
        gap = "\x1f"
    if not parts:
        return np.full(events.num_rows, b"", dtype=object)
    joined = pc.binary_join_element_wise(
        *parts, pa.scalar(gap, pa.string()), pa.scalar("", pa.string()),
        null_handling="replace", null_replacement="",
    )  # fmt: skip
    return _bytes(joined)


def content_keys(texts: NDArray[np.object_]) -> NDArray[np.int64]:
    """Signed xxh3_64 of each canonical row."""
    return _hashes(texts)


def event_keys(
    source: pa.ChunkedArray | pa.Array, event_id: pa.ChunkedArray | pa.Array
) -> NDArray[np.int64]:
    """Signed xxh3_64 of source, separator, event id."""
    joined = pc.binary_join_element_wise(source, event_id, "\x1f")
    return _hashes(_bytes(joined))


def scope_keys(source: pa.Array, scope: pa.Array) -> pa.Array:
    """Signed xxh3_64 of source, separator, scope; null where the row has no scope."""
    coded = pc.binary_join_element_wise(source, scope, "\x1f").dictionary_encode()
    texts = np.array([text.encode() for text in coded.dictionary.to_pylist()], dtype=object)
    return pa.array(_hashes(texts), pa.int64()).take(coded.indices)


def generated_ids(
    texts: NDArray[np.object_], source: str | Sequence[str], occurrence: NDArray[np.int64] | int = 0
) -> list[str]:
    """Event ids for rows that came without: 32 hex digits of xxh3_128.

    Args:
        texts: canonical rows, of `content_texts`.
        source: the rows' source, one for all or one each.
        occurrence: the number of the row among identical rows of its file, from 0.
    """
    digest = xxhash.xxh3_128_hexdigest
    if isinstance(source, str) and isinstance(occurrence, int):
        head, tail = source.encode() + SEPARATOR, SEPARATOR + str(occurrence).encode()
        return [digest(head + text + tail) for text in texts]
    sources = [source] * len(texts) if isinstance(source, str) else source
    counts = np.broadcast_to(np.asarray(occurrence), len(texts)).tolist()
    return [
        digest(SEPARATOR.join((name.encode(), text, str(count).encode())))
        for name, text, count in zip(sources, texts, counts, strict=True)
    ]


def ids_as_came(events: pa.Table, generated: str) -> dict[int, str]:
    """By content key, the anonymous ids that rows with generated ids came with and lost.

    Args:
        generated: name of the bool column: the row came without an event id.
    """
    if AS_CAME not in events.column_names:
        return {}
    lost = events.filter(pc.and_(events[generated], pc.is_valid(events[AS_CAME])))
    return dict(zip(lost[CONTENT_KEY].to_pylist(), lost[AS_CAME].to_pylist(), strict=True))


def renumbered(
    events: pa.Table, occurrence: NDArray[np.int64], as_came: Mapping[int, str] | None = None
) -> tuple[pa.Array, pa.Array]:
    """New (`event_id`, `event_key`) of rows with generated ids, given their occurrence numbers.

    Args:
        events: `source` and the columns of the content; with `as_came`, `content_key` too.
        as_came: of `ids_as_came`.
    """
    if as_came:
        lost = [as_came.get(key) for key in events[CONTENT_KEY].to_pylist()]
        whole = pc.coalesce(events["anonymous_id"], pa.array(lost, pa.string()))
        place = events.schema.get_field_index("anonymous_id")
        events = events.set_column(place, "anonymous_id", whole)
    place = events.schema.get_field_index("properties")
    events = events.set_column(place, "properties", bare(events["properties"]))
    sources = events["source"].to_pylist()
    ids = pa.array(generated_ids(content_texts(events), sources, occurrence), pa.string())
    return ids, pa.array(event_keys(events["source"].combine_chunks(), ids))


def bucket_of(customer_id: str, buckets: int) -> int:
    """The bucket of one customer: xxh64 of the id's UTF-8 bytes modulo `buckets`.

    >>> bucket_of("17850", 16)
    1
    """
    return xxhash.xxh64_intdigest(customer_id.encode()) % buckets


def bucket_column(customers: pa.Array, buckets: int) -> pa.Array:
    """The bucket of each row (int32); `NO_CUSTOMER` where the customer is null."""
    coded = customers.dictionary_encode()
    table = np.fromiter(
        (bucket_of(name, buckets) for name in coded.dictionary.to_pylist()),
        np.int32,
        len(coded.dictionary),
    )
    found = np.full(len(customers), NO_CUSTOMER, np.int32)
    known = coded.indices.is_valid().to_numpy(zero_copy_only=False)
    found[known] = table[coded.indices.drop_null().to_numpy()]
    return pa.array(found)


def _text(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.cast(pa.string())


def _bytes(joined: pa.ChunkedArray | pa.Array) -> NDArray[np.object_]:
    plain = joined.cast(pa.binary())
    if isinstance(plain, pa.ChunkedArray):
        return np.asarray(plain.to_numpy(), dtype=object)
    return np.asarray(plain.to_numpy(zero_copy_only=False), dtype=object)


def _hashes(texts: NDArray[np.object_]) -> NDArray[np.int64]:
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter(map(digest, texts), np.uint64, len(texts)).view(np.int64)
