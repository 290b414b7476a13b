"""What sealed values look like, for whoever meets them without the means to open them."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

#: How sealed values and sealed rows begin.
MARK: Final = "~s1:"
ROW_MARK: Final = "~r1:"
#: Mark, name of the key, keyed hash of the value, and what is encrypted.
VALUE: Final = re.compile(r"~s1:([a-z0-9_-]{1,16}):([A-Za-z0-9_-]{12}):([A-Za-z0-9_-]{38,})")
ROW: Final = re.compile(r"~r1:([a-z0-9_-]{1,16}):([A-Za-z0-9_-]+)")
#: As `VALUE`, for a column; what stays of a value is its keyed hash.
_BARE: Final = r"~s1:[a-z0-9_-]{1,16}:([A-Za-z0-9_-]{12}):[A-Za-z0-9_-]{38,}"


def bare(properties: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """JSON texts with, of each sealed value, what stays the same when it is sealed again."""
    return pc.replace_substring_regex(properties, pattern=_BARE, replacement=rf"{MARK}\1")


def shown_row(raw: str) -> str:
    """A quarantined row as a listing shows it: nothing of one that is sealed."""
    return "[sealed]" if raw.startswith(ROW_MARK) else raw


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, sealed ones of one customer too."""
    return bool(_bare_value(one) == _bare_value(other))


def _bare_value(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(MARK):
        parts = VALUE.fullmatch(value)
        return value if parts is None else MARK + parts[2]
    return value
