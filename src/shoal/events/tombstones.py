"""Tombstones: who was forgotten, told by keyed hashes, so that old files do not bring anybody back.

A tombstone is HMAC-SHA256 of a raw id (RFC 2104) under a key of the shop's own, and the stretch of
time for which it holds. Without the key nobody can tell from it whom it is about, and the id itself
is kept nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.events.chunks import RAW_LINE
from shoal.events.clean import Cleaned

#: Where ids end in a line that could not be cut into fields.
_BETWEEN: Final = re.compile(r"[\s,;|\"'{}\[\]<>=]+")

Span = tuple[int, int]


def fingerprint(key: bytes, raw_id: str) -> str:
    """The tombstone's name: 64 hex digits.

    >>> fingerprint(b"k", "ann") == fingerprint(b"k", "ann") != fingerprint(b"other", "ann")
    True
    """
    return hmac.new(key, raw_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Tombstones:
    """The forgotten of a shop.

    Args:
        key: the shop's own.
        spans: fingerprint -> stretches [from, to) of UTC microseconds in which events of the id
            stay out. On a device that others use too, only the forgotten person's.
    """

    key: bytes = b""
    spans: Mapping[str, Sequence[Span]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def of(self, raw_id: str) -> Sequence[Span]:
        """The stretches in which events of an id stay out."""
        return self.spans.get(_fingerprint(self.key, raw_id), ())

    def caught(self, events: pa.Table) -> npt.NDArray[np.bool_]:
        """Which events are of somebody forgotten.

        Args:
            events: with `customer_id`, `anonymous_id` and `event_time`.
        """
        found = np.zeros(events.num_rows, dtype=bool)
        us = events["event_time"].cast(pa.int64()).to_numpy()
        who = pc.coalesce(events["customer_id"], events["anonymous_id"])
        coded = who.combine_chunks() if isinstance(who, pa.ChunkedArray) else who
        coded = coded.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for place, name in enumerate(coded.dictionary.to_pylist()):
            for first, last in self.of(name):
                found |= (codes == place) & (us >= first) & (us < last)
        return found

    def caught_raw(self, quarantined: pa.Table) -> npt.NDArray[np.bool_]:
        """Which quarantined rows hold the id of somebody forgotten, as a cell or in their line."""
        return np.array([self._names(text) for text in quarantined["raw"].to_pylist()], dtype=bool)

    def left_out(self, cleaned: Cleaned) -> Cleaned:
        """What became of a chunk, with the rows of the forgotten skipped."""
        if not self:
            return cleaned
        events, quarantined = self.caught(cleaned.events), self.caught_raw(cleaned.quarantined)
        gone = int(events.sum() + quarantined.sum())
        return replace(
            cleaned,
            events=cleaned.events.filter(pa.array(~events)),
            quarantined=cleaned.quarantined.filter(pa.array(~quarantined)),
            skipped=cleaned.skipped + gone,
            forgotten=gone,
        )

    def _names(self, raw: str) -> bool:
        return any(self.of(text) for text in texts_of(raw))


def texts_of(raw: str) -> Iterable[str]:
    """Every text of a quarantined row that may be an id: its cells, or the words of its line."""
    try:
        row: Any = json.loads(raw)
    except ValueError:
        row = {RAW_LINE: raw}
    for name, value in row.items() if isinstance(row, dict) else ():
        text = str(value)
        yield text.strip()
        if name == RAW_LINE:
            yield from _BETWEEN.split(text)


@lru_cache(maxsize=200_000)
def _fingerprint(key: bytes, raw_id: str) -> str:
    return fingerprint(key, raw_id)
