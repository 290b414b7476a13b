"""Pages: how many at once, and an opaque cursor that says where the next page begins.

A cursor holds all that decides the rest of a list, so that every page is of the same moment. It is
no secret: whoever changes one asks another question, within what the key may read.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.service.api.parameters import Parameter

LIMIT: Final = Parameter.whole("limit", "how many at once", default=100, least=1, most=1_000)
CURSOR: Final = Parameter.text(
    "cursor", "`next` of the page before; without it the list begins", most=4_000
)
#: Of whole numbers in a cursor; a database has no larger ones.
_LARGEST: Final = 2**63 - 1


def cursor_of(kind: str, *values: str | int) -> str:
    """An opaque cursor of a list.

    Args:
        kind: of the list; a cursor of another one is refused.
    """
    told = json.dumps([kind, *values], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def values_of(kind: str, cursor: str, types: Sequence[type]) -> list[Any]:
    """What a cursor holds.

    Raises:
        UsageError: `usage`, it is none of this list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded.encode("ascii"), b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _bad() from None
    if not isinstance(found, list) or len(found) != len(types) + 1 or found[0] != kind:
        raise _bad()
    values = found[1:]
    if not all(_fits(value, wanted) for value, wanted in zip(values, types, strict=True)):
        raise _bad()
    return values


def _fits(value: Any, wanted: type) -> bool:
    if type(value) is not wanted:
        return False
    return abs(value) <= _LARGEST if isinstance(value, int) else _is_text(str(value))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _bad() -> UsageError:
    return UsageError(
        "usage", "the cursor is none of this list", where="cursor",
        hint="Give `next` of the page before as it is, or leave the cursor out.",
    )  # fmt: skip
