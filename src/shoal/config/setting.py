"""The file of the configuration, and a setting that it may not have."""

from __future__ import annotations

from typing import Final

from shoal.domain.errors import UsageError

FILE_NAME: Final = "shop.toml"


def bad(key: str, received: object, allowed: str) -> UsageError:
    """The error of a setting that holds what it may not hold.

    Args:
        key: its section and name, such as `shop.buckets`.
        allowed: in words.
    """
    return UsageError(
        "bad_setting",
        f"setting {key} has the value {received!r}",
        where=FILE_NAME,
        hint=f"Allowed: {allowed}.",
    )
