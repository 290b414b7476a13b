"""Secret keys that the environment tells: read and held to what a key must be, kept nowhere."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import Final

from shoal.domain.errors import UsageError

#: Of pseudonyms: one key for good.
PSEUDONYM_KEY: Final = "SHOAL_PSEUDONYM_KEY"
#: Of personal values: several, `name:key` with a comma between; new values are under the first.
FIELD_KEYS: Final = "SHOAL_FIELD_KEYS"
KEY_BYTES: Final = 32

_NAME: Final = re.compile(r"[a-z0-9_-]{1,16}")
_MAKE: Final = "shoal secret prints a fresh key."


def fresh() -> str:
    """A new key: 32 random bytes as base64, URL-safe, without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=").decode()


def pseudonym_key(told: str | None) -> bytes:
    """The key of pseudonyms, by what the environment tells.

    Raises:
        UsageError: `no_secret`, `bad_secret`.
    """
    if not (told or "").strip():
        raise _missing(PSEUDONYM_KEY, "one key")
    return _key(str(told).strip(), PSEUDONYM_KEY)


def field_keys(told: str | None) -> dict[str, bytes]:
    """Keys of personal values by name, that of new values first, by what the environment tells.

    Raises:
        UsageError: `no_secret`, `bad_secret`.
    """
    if not (told or "").strip():
        raise _missing(FIELD_KEYS, "name:key, several with a comma between")
    found: dict[str, bytes] = {}
    for part in str(told).split(","):
        name, colon, text = (one.strip() for one in part.partition(":"))
        if not colon or not _NAME.fullmatch(name) or name in found:
            raise UsageError(
                "bad_secret",
                f"{FIELD_KEYS} has a part that is no name and key, or a name twice",
                where=FIELD_KEYS,
                hint="Give name:key, several with a comma between, the key of new values first; "
                "a name has 1 to 16 of a-z, 0-9, dash and underscore.",
            )
        found[name] = _key(text, f"{FIELD_KEYS}, {name}")
    return found


def fields_at_hand(told: str | None) -> dict[str, bytes]:
    """As `field_keys`; none where there are none, or they are unsound: for who reads."""
    try:
        return field_keys(told)
    except UsageError:
        return {}


def _key(text: str, where: str) -> bytes:
    """The bytes of a key; what was given is never shown."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        found = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(
            "bad_secret", f"the key in {where} is no base64", where=where, hint=_MAKE
        ) from None
    if len(found) != KEY_BYTES:
        raise UsageError(
            "bad_secret",
            f"the key in {where} has {len(found)} bytes; a key has {KEY_BYTES}",
            where=where,
            hint=_MAKE,
        )
    return found


def _missing(variable: str, form: str) -> UsageError:
    return UsageError(
        "no_secret",
        f"[privacy] is on and {variable} is not set",
        where=variable,
        hint=f"Set it to {form}: 32 random bytes as base64. {_MAKE}",
    )
