"""Customers' events as arrays: what a sequence model reads, without any text or Arrow in it.

Ragged and flat: the events of customer `i` are rows `offsets[i]:offsets[i + 1]` of every field, in
the total order of events. A field that an event does not carry is 0 (codes) or NaN (numbers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from shoal.domain.kinds import KINDS

Array = npt.NDArray[Any]

#: Fields of an event that are codes of a vocabulary; 0 is none. Sizes are the tokenizer's.
CODES: Final = (
    "kind", "item", "category1", "category2", "category3", "brand", "channel", "device",
    "price_bucket", "text",
)  # fmt: skip
#: Fields that are numbers, NaN where unknown:
#: `price` log1p of the unit price over the shop's median, `quantity` log1p of units, `discount`
#: share of the line's amount, `rating` as told over 5, `hour` local hour 0-24, `weekday` 0-7 local
#: (with the hour as its fraction; Monday 0).
NUMBERS: Final = ("price", "quantity", "discount", "rating", "hour", "weekday")
#: The moment of an event, UTC microseconds.
TIME: Final = "us"

#: Codes of `kind`: 0 is padding, a kind is 1 + its place in `KINDS`; NOW stands after a customer's
#: last event for the moment at which the customer is asked about, MASK for an event that is hidden.
NOW: Final = len(KINDS) + 1
MASK: Final = len(KINDS) + 2
KIND_CODES: Final = len(KINDS) + 3

DTYPES: Final[Mapping[str, str]] = {
    TIME: "int64",
    **dict.fromkeys(CODES, "int32"),
    "kind": "int16",
    "channel": "int16",
    "device": "int16",
    "price_bucket": "int16",
    **dict.fromkeys(NUMBERS, "float32"),
}


class TextFeatures(Protocol):
    """Turns texts (titles, queries) into rows of numbers that a model reads.

    `name` tells the method in artefacts, `width` the numbers a text, `dtype` is `int32` for codes
    of n-grams (0 is padding) and `float32` for vectors.
    """

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def dtype(self) -> str: ...

    def encode(self, texts: Sequence[str], *, titles: bool = False) -> Array:
        """(n, width) of `dtype`; the same text gives the same row.

        `titles` tells that the texts are titles of items, which may be kept; other texts are
        people's own words, which may not.
        """
        ...

    def to_document(self) -> dict[str, Any]:
        """As JSON: all that is needed to make it again."""
        ...


@dataclass(frozen=True)
class EventSequences:
    """Events of customers as arrays.

    Args:
        customers: (n,) ids, texts.
        offsets: (n + 1,) int64; the first is 0, the last the number of events.
        fields: every name of `DTYPES` -> (events,) array of that type.
        texts: (t + 1, w) what the codes `text` stand for, row 0 zeros: n-gram codes (int32) or
            vectors (float32), as the tokenizer's text features give them.

    Raises:
        ValueError: lengths do not fit together or a field is missing.
    """

    customers: Array
    offsets: npt.NDArray[np.int64]
    fields: Mapping[str, Array]
    texts: Array

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.customers) + 1 or self.offsets[0] != 0:
            raise ValueError(f"{len(self.customers)} customers need one offset more, from 0")
        for name in DTYPES:
            if name not in self.fields or len(self.fields[name]) != self.offsets[-1]:
                raise ValueError(f"field {name!r} is missing or not one value an event")

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def events(self) -> int:
        return int(self.offsets[-1])

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(n,) events of each customer."""
        return self.offsets[1:] - self.offsets[:-1]

    def take(self, rows: npt.NDArray[np.int64]) -> EventSequences:
        """Some customers, in that order (texts stay whole)."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        where = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        fields = {name: values[where] for name, values in self.fields.items()}
        return EventSequences(self.customers[rows], offsets, fields, self.texts)
