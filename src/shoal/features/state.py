"""A customer's partials as one `body` of bytes, and back; whole columns at a time.

Layout of a body (little-endian), for G partial tables with n_g rows of the customer in each:

    int32  n_1 .. n_G, a filler if G is odd
    int64  every 8-byte column of every table, n_g values each
    int32  the byte lengths of every text column, n_g values each (-1 for null)
           zero bytes up to a multiple of 8
    bytes  the texts of every text column
           zero bytes up to a multiple of 8

A column of all customers lies in one Arrow buffer, sorted by customer; a customer's share of it is
a slice. So encoding is one element-wise join of slices and decoding is cutting them out again: no
loop over customers, no copy in Python. Equal partials give equal bytes.

What is stored is the body's length (little-endian int32) and the body in LZ4: a third of the bytes,
for ten microseconds a customer each way. What a step of the stream writes has to reach the disk at
once, and whoever collects events waits for the same disk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import OperationError
from shoal.features.algebra import CUSTOMER
from shoal.features.queries import PARTIAL_SCHEMAS, TAIL

#: Raised whenever the layout, a grain or a column of a partial changes, or how a body is stored.
STATE_VERSION: Final = 3
#: The same bodies, stored as they are; read as long as nobody wrote them again.
_PLAIN: Final = 2
#: Raised with it, so that states are made anew; but not where bodies say the same as before, as 3
#: says what 2 did.
CONTENT_VERSION: Final = 2

STATE_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("version", pa.int32()),
        pa.field("body", pa.binary()),
    ]
)

#: Stands for null in an 8-byte column; no moment, count or amount of micro-units comes near it.
_NULL: Final = np.iinfo(np.int64).min
_JOINT: Final = pa.scalar(b"", pa.large_binary())
_WORD: Final = 8
_HALF_WORD: Final = 4
_CUSTOMERS_A_CHUNK: Final = 10_000
_LENGTH: Final = struct.Struct("<i")
_CODEC: Final = pa.Codec("lz4_raw")
#: LZ4 makes no more than so many bytes of one.
_MOST_EXPANDED: Final = 255
_HEADER_BYTES: Final = -(-len(PARTIAL_SCHEMAS) * _HALF_WORD // _WORD) * _WORD

Ints = npt.NDArray[np.int64]


def _columns(text: bool) -> Iterator[tuple[int, str, pa.Field]]:
    """Place of the table, its name and field, for all text or all 8-byte columns, in body order."""
    for place, (name, schema) in enumerate(PARTIAL_SCHEMAS.items()):
        for field in schema:
            if field.name != CUSTOMER and pa.types.is_string(field.type) == text:
                yield place, name, field


def encode(partials: Mapping[str, pa.Table]) -> pa.Table:
    """States (`STATE_SCHEMA`), one row a customer in order of `customer_id`.

    Args:
        partials: tables of `shoal.features.fold.Fold`, each sorted by customer.

    Raises:
        ValueError: a table is not in the order of the customers, or holds others.
    """
    customers = _one(partials["customer"].column(CUSTOMER))
    total = len(customers)
    counts = np.zeros((len(PARTIAL_SCHEMAS), total), np.int64)
    for place, name in enumerate(PARTIAL_SCHEMAS):
        found = pc.index_in(_one(partials[name].column(CUSTOMER)), value_set=customers)
        owner = found.to_numpy(zero_copy_only=False)
        # Unsorted rows would end in other customers' states, and nothing later would notice.
        if found.null_count or (len(owner) > 1 and (np.diff(owner) < 0).any()):
            raise ValueError(f"partials {name!r} are not sorted by customer, or of others")
        counts[place] = np.bincount(owner, minlength=total)
    first = np.concatenate([np.zeros((len(counts), 1), np.int64), counts.cumsum(axis=1)], axis=1)
    chunks = []
    for start in range(0, total, _CUSTOMERS_A_CHUNK):
        stop = min(start + _CUSTOMERS_A_CHUNK, total)
        rows = {
            name: partials[name].slice(first[g, start], first[g, stop] - first[g, start])
            for g, name in enumerate(PARTIAL_SCHEMAS)
        }
        chunks.append(_packed(_bodies(rows, counts[:, start:stop])))
    body = pa.chunked_array(chunks, pa.binary())
    version = pa.repeat(pa.scalar(STATE_VERSION, pa.int32()), total)
    return pa.table([customers, version, body], schema=STATE_SCHEMA)


def _packed(bodies: pa.Array) -> pa.Array:
    """Bodies as they are stored."""
    return pa.array(
        (_LENGTH.pack(len(one)) + _CODEC.compress(one, asbytes=True) for one in bodies.to_pylist()),
        pa.binary(),
    )


def body_of(version: int, stored: bytes) -> bytes:
    """A customer's body, of what is stored under a version that this program reads.

    Raises:
        OperationError: `shop_damaged`.
    """
    if version == _PLAIN:
        return stored
    (size,) = _LENGTH.unpack_from(stored) if len(stored) > _LENGTH.size else (-1,)
    if not 0 <= size <= _MOST_EXPANDED * len(stored):
        raise _damaged()
    try:
        body: bytes = _CODEC.decompress(stored[_LENGTH.size :], size, asbytes=True)
    except (pa.ArrowException, OSError):
        raise _damaged() from None
    return body


def _bodies(rows: Mapping[str, pa.Table], counts: Ints) -> pa.Array:
    """Bodies of some customers; counts is rows a table and customer, (G, N)."""
    starts = np.concatenate([np.zeros((len(counts), 1), np.int64), counts.cumsum(axis=1)], axis=1)
    header = np.zeros((counts.shape[1], _HEADER_BYTES // _HALF_WORD), "<i4")
    header[:, : len(counts)] = counts.T
    parts = [_slices(header, np.arange(counts.shape[1] + 1) * _HEADER_BYTES)]
    for place, name, field in _columns(text=False):
        words = _words(rows[name].column(field.name))
        parts.append(_slices(words, starts[place] * _WORD))
    lengths, texts = [], []
    for place, name, field in _columns(text=True):
        column = _one(rows[name].column(field.name))
        offsets, data = _text_buffers(column)
        size = np.diff(offsets).astype("<i4")
        size[column.is_null().to_numpy(zero_copy_only=False)] = -1
        lengths.append(_slices(size, starts[place] * _HALF_WORD))
        texts.append(_slices(data, offsets[starts[place]]))
    parts += [*lengths, _padding(lengths), *texts, _padding(texts)]
    return pc.binary_join_element_wise(*parts, _JOINT).cast(pa.binary())


def _slices(data: npt.NDArray[np.generic] | pa.Buffer, offsets: Ints) -> pa.Array:
    """One bytes value a customer over a shared buffer."""
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(np.ascontiguousarray(data))
    where = pa.py_buffer(np.ascontiguousarray(offsets, dtype=np.int64))
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, [None, where, buffer])


def _padding(parts: list[pa.Array]) -> pa.Array:
    """Zero bytes that fill the parts together up to whole words."""
    size = sum((np.diff(_offsets(part)) for part in parts), np.zeros(len(parts[0]), np.int64))
    offsets = np.concatenate([[0], (-size % _WORD).cumsum()])
    return _slices(np.zeros(int(offsets[-1]), np.uint8), offsets)


def _offsets(array: pa.Array) -> Ints:
    buffer = array.buffers()[1]
    return np.frombuffer(buffer, np.int64)[array.offset : array.offset + len(array) + 1]


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _words(column: pa.ChunkedArray) -> Ints:
    """An 8-byte column (integer, time or float) as int64, null as `_NULL`."""
    array = _one(column)
    if pa.types.is_floating(array.type):
        # adding 0 turns -0.0, whose bits are those of _NULL, into 0.0
        values = (pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False) + 0.0).view(np.int64)
    else:
        array = array.cast(pa.int64())
        values = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    if column.null_count:
        values = np.where(array.is_null().to_numpy(zero_copy_only=False), _NULL, values)
    return values


def _text_buffers(array: pa.Array) -> tuple[Ints, pa.Buffer]:
    """Offsets (int64) and bytes of a string column; nulls are empty."""
    if array.null_count:
        array = pc.fill_null(array, "")
    array = array.cast(pa.large_string())
    data = array.buffers()[2]
    return _offsets(array), data if data is not None else pa.py_buffer(b"")


def decode(states: pa.Table, *, tail: bool = True) -> dict[str, pa.Table]:
    """The partials that `encode` was given, of the customers in `states` (any order).

    Args:
        tail: False leaves the last events out (an empty table): no feature reads them, and they are
            half of the rows.

    Raises:
        OperationError: `shop_older` or `shop_newer` for states of a version that is not read,
            `shop_damaged` for a body that is not as long as it says.
    """
    _check_version(states)
    states = states.select(STATE_SCHEMA.names).sort_by(CUSTOMER)
    chunks = [
        _decoded(states.slice(start, _CUSTOMERS_A_CHUNK), tail)
        for start in range(0, states.num_rows, _CUSTOMERS_A_CHUNK)
    ]
    return {
        name: pa.concat_tables([chunk[name] for chunk in chunks])
        if chunks
        else schema.empty_table()
        for name, schema in PARTIAL_SCHEMAS.items()
    }


def _check_version(states: pa.Table) -> None:
    for version in pc.unique(states.column("version")).to_pylist():
        if version not in (_PLAIN, STATE_VERSION):
            newer = version > STATE_VERSION
            raise OperationError(
                "shop_newer" if newer else "shop_older",
                f"customer states have version {version}; this program reads {STATE_VERSION}",
                where="customer states",
                hint="Use the newer Shoal that wrote them."
                if newer
                else "Rebuild the states from the event table.",
            )


def _decoded(states: pa.Table, tail: bool) -> dict[str, pa.Table]:
    customers = _one(states.column(CUSTOMER))
    versions, stored = (states.column(name).to_pylist() for name in ("version", "body"))
    body = pa.array(map(body_of, versions, stored), pa.large_binary())
    ends = _offsets(body)
    cut = _Cutter(body.buffers()[2], ends[:-1])
    head = np.frombuffer(cut.take(np.full(len(body), _HEADER_BYTES)), "<i4")
    counts = head.reshape(len(body), -1)[:, : len(PARTIAL_SCHEMAS)].T.astype(np.int64)
    columns: dict[tuple[str, str], pa.Array] = {}
    for place, name, field in _columns(text=False):
        if name == TAIL and not tail:
            cut.skip(counts[place] * _WORD)
            continue
        words = np.frombuffer(cut.take(counts[place] * _WORD), np.int64)
        columns[name, field.name] = _from_words(words, field.type)
    sizes = []
    for place, _name, _field in _columns(text=True):
        sizes.append(np.frombuffer(cut.take(counts[place] * _HALF_WORD), "<i4"))
    cut.align(ends[:-1])
    for (place, name, field), size in zip(_columns(text=True), sizes, strict=True):
        offsets = np.concatenate([[0], np.maximum(size, 0).cumsum()])
        first = np.concatenate([[0], counts[place].cumsum()])
        if name == TAIL and not tail:
            cut.skip(np.diff(offsets[first]))
            continue
        data = cut.take(np.diff(offsets[first]))
        columns[name, field.name] = _from_texts(offsets, data, size < 0)
    cut.align(ends[:-1])
    if not np.array_equal(cut.position, ends[1:]):
        raise _damaged()
    tables = {}
    for place, (name, schema) in enumerate(PARTIAL_SCHEMAS.items()):
        if name == TAIL and not tail:
            tables[name] = schema.empty_table()
            continue
        owners = customers.take(pa.array(np.repeat(np.arange(len(customers)), counts[place])))
        arrays = [
            owners if field.name == CUSTOMER else columns[name, field.name] for field in schema
        ]
        tables[name] = pa.table(arrays, schema=schema)
    return tables


class _Cutter:
    """Cuts the next bytes of every customer out of a shared buffer."""

    def __init__(self, data: pa.Buffer | None, position: Ints) -> None:
        self.data = data if data is not None else pa.py_buffer(b"")
        self.position = position.copy()

    def take(self, size: Ints) -> pa.Buffer:
        """The next `size` bytes of each customer, one customer after the other."""
        starts, stops = self.position, self.position + size
        # offsets that alternate wanted and unwanted stretches must not decrease
        if (
            (size < 0).any()
            or (stops[:-1] > starts[1:]).any()
            or (len(stops) and stops[-1] > self.data.size)
        ):
            raise _damaged()
        offsets = np.empty(2 * len(size), np.int64)
        offsets[0::2], offsets[1::2] = starts, stops
        stretches = _slices(self.data, offsets)
        wanted = stretches.take(pa.array(np.arange(0, len(offsets) - 1, 2)))
        self.position = stops
        data = wanted.buffers()[2]
        return data if data is not None else pa.py_buffer(b"")

    def skip(self, size: Ints) -> None:
        """Leave the next `size` bytes of each customer where they are."""
        self.position = self.position + size

    def align(self, origin: Ints) -> None:
        """Skip the filler up to whole words from the beginning of each body."""
        self.position = self.position + (-(self.position - origin)) % _WORD


def _from_words(words: Ints, kind: pa.DataType) -> pa.Array:
    null = words == _NULL
    if pa.types.is_floating(kind):
        return pa.array(words.view(np.float64), mask=null)
    return pa.array(words, mask=null).cast(kind)


def _from_texts(offsets: Ints, data: pa.Buffer, null: npt.NDArray[np.bool_]) -> pa.Array:
    validity = pa.array(~null).buffers()[1] if null.any() else None
    where = pa.py_buffer(offsets.astype(np.int64))
    array = pa.Array.from_buffers(pa.large_string(), len(null), [validity, where, data])
    return array.cast(pa.string())


def _damaged() -> OperationError:
    return OperationError(
        "shop_damaged",
        "a stored customer state is not as long as it says",
        where="customer states",
        hint="Rebuild the states from the event table.",
    )
