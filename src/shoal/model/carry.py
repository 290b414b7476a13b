"""What is kept of a customer for a model: states and last events, as few bytes as can be.

States are rows of a `Layout`. Events of a tail are records of `EVENT`; a text that is the known
title of its item is not kept again, any other once a customer.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from shoal.domain.errors import OperationError
from shoal.domain.sequence import DTYPES, TIME, Array, EventSequences
from shoal.model.runtime import About

#: One event of a tail.
EVENT: Final = np.dtype([(name, DTYPES[name]) for name in DTYPES])
#: The code of a text that is the known title of the event's item.
_TITLE: Final = -1

_MAGIC: Final = b"SHLC"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sHBBIIIII")


class Tail(NamedTuple):
    """Events in order: `records` of `EVENT`, and the rows that their codes of texts stand for.

    Code k > 0 is row k - 1 of `texts`.
    """

    records: bytes = b""
    texts: bytes = b""

    def __len__(self) -> int:
        return len(self.records) // EVENT.itemsize


@dataclass(frozen=True, slots=True)
class CustomerCarry:
    """The model's memory of one customer.

    Args:
        model_id, fingerprint: of the model and of the vocabularies that made it.
        head: state after the last event.
        base: state before the tail; empty where the tail holds all events.
        tail: the last events.
    """

    model_id: str
    fingerprint: str
    head: bytes
    base: bytes
    tail: Tail

    @property
    def nbytes(self) -> int:
        """Bytes as it is stored."""
        parts = (self.head, self.base, self.tail.records, self.tail.texts)
        names = len(self.model_id.encode()) + len(self.fingerprint.encode())
        return _HEAD.size + names + sum(len(part) for part in parts)

    def check(self, about: About) -> None:
        """Refuse to go on with another model than made it.

        Raises:
            OperationError: `model_mismatch`.
        """
        if (self.model_id, self.fingerprint) == (about.model_id, about.fingerprint):
            return
        raise OperationError(
            "model_mismatch",
            f"a customer's state was made by {self.model_id} with vocabularies "
            f"{self.fingerprint}; the model here is {about.model_id} with {about.fingerprint}",
            where=self.model_id,
            hint="Build the states anew from the events with the model that is current.",
        )

    def to_bytes(self) -> bytes:
        """As flat bytes with a checksum."""
        name, print_ = self.model_id.encode(), self.fingerprint.encode()
        parts = (self.head, self.base, self.tail.records, self.tail.texts)
        body = b"".join((name, print_, *parts))
        sizes = (len(part) for part in parts)
        return _HEAD.pack(_MAGIC, _VERSION, len(name), len(print_), *sizes, zlib.crc32(body)) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> CustomerCarry:
        """What `to_bytes` wrote.

        Raises:
            OperationError: `shop_damaged`, these are other bytes; `shop_newer`, those of a newer
                version.
        """
        if len(data) < _HEAD.size or data[:4] != _MAGIC:
            raise _damaged("begins otherwise")
        _, version, *lengths, checksum = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise OperationError(
                "shop_newer",
                f"a customer's state has the version {version}, this one reads {_VERSION}",
                hint="Upgrade Shoal, or build the states anew from the events.",
            )
        body = memoryview(data)[_HEAD.size :]
        if len(body) != sum(lengths) or zlib.crc32(body) != checksum:
            raise _damaged("was cut or changed")
        parts, start = [], 0
        for length in lengths:
            parts.append(bytes(body[start : start + length]))
            start += length
        name, print_, head, base, records, texts = parts
        return cls(name.decode(), print_.decode(), head, base, Tail(records, texts))


def _damaged(how: str) -> OperationError:
    return OperationError(
        "shop_damaged",
        f"a customer's state cannot be read: it {how}",
        hint="Build the states anew from the events.",
    )


# -- tails -----------------------------------------------------------------------------------------


def tails_of(events: EventSequences, about: About) -> list[Tail]:
    """Each customer's events as a tail."""
    records = np.empty(events.events, EVENT)
    for name in DTYPES:
        records[name] = events.fields[name]
    texts = [b""] * len(events)
    given = events.texts[events.fields["text"]]
    item = np.where(records["item"] < len(about.item_texts), records["item"], 0)
    title = (given == about.texts[about.item_texts[item]]).all(axis=1)
    told = events.fields["text"] > 0
    records["text"][told & title] = _TITLE
    offsets = events.offsets.tolist()
    own = np.flatnonzero(told & ~title)
    if len(own):
        for n in np.unique(np.searchsorted(events.offsets, own, "right")).tolist():
            part = slice(offsets[n - 1], offsets[n])
            texts[n - 1] = _own_texts(records["text"][part], given[part])
    whole, size = records.tobytes(), EVENT.itemsize
    return [
        Tail(whole[start * size : stop * size], own)
        for start, stop, own in zip(offsets[:-1], offsets[1:], texts, strict=True)
    ]


def _own_texts(codes: Array, given: Array) -> bytes:
    """Number the texts (codes above 0) of one customer's events anew; the rows they stand for."""
    rows: dict[bytes, int] = {}
    for place in np.flatnonzero(codes > 0).tolist():
        codes[place] = 1 + rows.setdefault(given[place].tobytes(), len(rows))
    return b"".join(rows)


def joined(first: Tail, second: Tail, about: About) -> Tail:
    """Events of one tail after those of another."""
    if not second.texts:
        return Tail(first.records + second.records, first.texts)
    rows = {row: n for n, row in enumerate(_rows(first.texts, about))}
    places = [rows.setdefault(row, len(rows)) for row in _rows(second.texts, about)]
    records = np.frombuffer(second.records, EVENT).copy()
    own = records["text"] > 0
    records["text"][own] = np.array(places)[records["text"][own] - 1] + 1
    return Tail(first.records + records.tobytes(), b"".join(rows))


def in_time(tail: Tail) -> Tail:
    """The events by their moments; those of one moment stay as they are."""
    records = np.frombuffer(tail.records, EVENT)
    order = np.argsort(records[TIME], kind="stable")
    return Tail(records[order].tobytes(), tail.texts)


def cut(tail: Tail, kept: int, about: About) -> tuple[Tail, Tail]:
    """All events but the last `kept`, and those; of texts each has what it needs."""
    at = max(len(tail) - kept, 0) * EVENT.itemsize
    older, newer = tail.records[:at], tail.records[at:]
    if not tail.texts:
        return Tail(older), Tail(newer)
    return Tail(older, tail.texts), _pruned(Tail(newer, tail.texts), about)


def _pruned(tail: Tail, about: About) -> Tail:
    records = np.frombuffer(tail.records, EVENT).copy()
    own = records["text"] > 0
    used, places = np.unique(records["text"][own], return_inverse=True)
    records["text"][own] = places + 1
    rows = _rows(tail.texts, about)
    return Tail(records.tobytes(), b"".join(rows[code - 1] for code in used.tolist()))


def events_of(tails: Sequence[Tail], about: About) -> EventSequences:
    """Tails as sequences, customers without names."""
    records = np.frombuffer(b"".join(tail.records for tail in tails), EVENT)
    offsets = np.concatenate([[0], np.cumsum([len(tail) for tail in tails])]).astype(np.int64)
    own = np.frombuffer(b"".join(tail.texts for tail in tails), about.texts.dtype)
    rows = own.reshape(-1, about.texts.shape[1])
    codes = records["text"].astype(np.int64)
    title = codes == _TITLE
    titles, places = np.unique(
        about.item_texts[np.where(title, records["item"], 0)], return_inverse=True
    )
    before = np.cumsum([0, *(len(tail.texts) // _width(about) for tail in tails)])[:-1]
    shift = np.repeat(before, np.diff(offsets)) + 1 + len(titles)
    code = np.where(title, 1 + places, np.where(codes > 0, codes - 1 + shift, 0))
    texts = np.concatenate([np.zeros_like(about.texts[:1]), about.texts[titles], rows])
    fields: dict[str, Array] = {name: records[name] for name in DTYPES}
    fields["text"] = code.astype(DTYPES["text"])
    return EventSequences(np.full(len(tails), "", dtype=object), offsets, fields, texts)


def _width(about: About) -> int:
    """Bytes of one text's row."""
    return int(about.texts.shape[1] * about.texts.dtype.itemsize)


def _rows(texts: bytes, about: About) -> list[bytes]:
    width = _width(about)
    return [texts[start : start + width] for start in range(0, len(texts), width)]
