"""Tombstones: who was forgotten, told by keyed hashes, so that old files do not bring anybody back.

A tombstone is HMAC-SHA256 of a raw id (RFC 2104) under a key of the shop's own, and the stretch of
time for which it holds. Without the key nobody can tell from it whom it is about, and the id itself
is kept nowhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.events.clean import Cleaned
from shoal.events.identity import AS_CAME
from shoal.events.raw_ids import texts_of

Span = tuple[int, int]
#: Ids that the raw text of a row may name, of some of its columns or all.
RawIds: TypeAlias = Callable[[str, Sequence[str] | None], Iterable[str]]
#: The stretch of a tombstone that holds for all times, in microseconds since 1970.
EVER: Final[Span] = (-(2**62), 2**62)


def fingerprint(key: bytes, raw_id: str, *, shared: bool = False) -> str:
    """The tombstone's name: 64 hex digits.

    Args:
        shared: of stretches of a device that others use too; they speak of events without a
            customer alone, should a customer have the same id.

    >>> fingerprint(b"k", "ann") == fingerprint(b"k", "ann") != fingerprint(b"other", "ann")
    True
    """
    return _digest(key, raw_id, shared).hex()


def _digest(key: bytes, raw_id: str, shared: bool) -> bytes:
    text = f"device\x1f{raw_id}" if shared else raw_id
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")


@dataclass(frozen=True)
class Tombstones:
    """The forgotten of a shop.

    Args:
        key: the shop's own.
        spans: fingerprint -> stretches [from, to) of UTC microseconds in which events of the id
            stay out. On a device that others use too, only the forgotten person's.
        raw_ids: the ids, as the shop knows them, that a quarantined row may name.
    """

    key: bytes = b""
    spans: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    raw_ids: RawIds = texts_of

    def __bool__(self) -> bool:
        return bool(self.spans)

    @cached_property
    def _by_digest(self) -> dict[bytes, Sequence[Span]]:
        return {bytes.fromhex(name): spans for name, spans in self.spans.items()}

    @cached_property
    def _any_stretch(self) -> bool:
        return any(span != EVER for spans in self.spans.values() for span in spans)

    def of(self, raw_id: str, *, shared: bool = False) -> Sequence[Span]:
        """The stretches in which events of an id stay out."""
        return self._by_digest.get(_digest(self.key, raw_id, shared), ())

    def wholly(self, raw_id: str) -> bool:
        """Whether everything of an id stays out, whatever its time."""
        return EVER in self.of(raw_id)

    def left_out(self, cleaned: Cleaned, columns: Sequence[str] | None = None) -> Cleaned:
        """What became of a chunk, with the rows of the forgotten skipped.

        Events of others that carry a forgotten id as their anonymous id stay, without it. Their
        keys are those of the row as it came, so that the same row is a duplicate; for the keys of
        repeated rows, which are made later, the id goes along in a column `AS_CAME`.

        Args:
            columns: of the source, those that hold ids; None: any may.
        """
        if not self:
            return cleaned
        events, quarantined = self.caught(cleaned.events), cleaned.quarantined
        kept = cleaned.events.filter(pa.array(~events)) if events.any() else cleaned.events
        named = self.caught_raw(quarantined, columns)
        gone = int(events.sum() + named.sum())
        return replace(
            cleaned,
            events=self._unnamed(kept),
            quarantined=quarantined.filter(pa.array(~named)),
            skipped=cleaned.skipped + gone,
            forgotten=gone,
        )

    def caught(self, events: pa.Table) -> npt.NDArray[np.bool_]:
        """Which events are of somebody forgotten.

        Args:
            events: with `customer_id`, `anonymous_id` and `event_time`.
        """
        customers, devices = _array(events["customer_id"]), _array(events["anonymous_id"])
        alone = pc.is_null(customers)
        us = events["event_time"].cast(pa.int64()).to_numpy()
        return (
            self._inside(pc.coalesce(customers, devices), us, shared=False)
            | self._inside(pc.if_else(alone, devices, None), us, shared=True)
        )  # fmt: skip

    def _inside(
        self, ids: pa.Array, us: npt.NDArray[np.int64], *, shared: bool
    ) -> npt.NDArray[np.bool_]:
        """Which of some ids, each with its time, are in one of their stretches."""
        found = np.zeros(len(ids), dtype=bool)
        if shared and not self._any_stretch:
            return found
        coded = ids.dictionary_encode()
        stretches = self._among(coded.dictionary, shared=shared)
        if stretches:
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            for place, spans in stretches.items():
                for first, last in spans:
                    found |= (codes == place) & (us >= first) & (us < last)
        return found

    def _among(self, names: pa.Array, *, shared: bool = False) -> dict[int, Sequence[Span]]:
        """The stretches of those of some ids that have any, by place."""
        known, key = self._by_digest, self.key
        found = {
            place: known.get(_digest(key, name, shared))
            for place, name in enumerate(names.to_pylist())
        }
        return {place: spans for place, spans in found.items() if spans}

    def caught_raw(
        self, quarantined: pa.Table, columns: Sequence[str] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Which quarantined rows hold the id of somebody forgotten; see `texts_of`."""
        raw = quarantined["raw"].to_pylist()
        return np.array(
            [any(map(self.wholly, self.raw_ids(text, columns))) for text in raw], dtype=bool
        )

    def _unnamed(self, events: pa.Table) -> pa.Table:
        """The events without anonymous ids that were forgotten; those of no customer are right."""
        ids = _array(events["anonymous_id"])
        names = ids.filter(pc.is_valid(events["customer_id"])).unique().drop_null()
        gone = [place for place, spans in self._among(names).items() if EVER in spans]
        if not gone:
            return events
        mask = pc.is_in(ids, value_set=names.take(pa.array(gone)))
        place = events.column_names.index("anonymous_id")
        rest = pc.if_else(mask, pa.scalar(None, pa.string()), ids)
        lost = pc.if_else(mask, ids, pa.scalar(None, pa.string()))
        return events.set_column(place, events.schema.field(place), rest).append_column(
            AS_CAME, lost
        )


def _array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
