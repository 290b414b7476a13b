"""Pseudonyms: a keyed hash in the place of an id, the same in every source.

HMAC-SHA-256 (RFC 2104) under keys made of the shop's for one use each. A pseudonym carries a
second, shorter one of itself, so that the shop knows its own again: what comes back from a list
under a pseudonym is the same customer's, and no other text passes for one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from functools import lru_cache
from typing import Final

import pyarrow as pa

BEGINNING: Final = "p_"
_ID_BYTES: Final = 16
_CHECK_BYTES: Final = 5
_LENGTH: Final = len(BEGINNING) + (_ID_BYTES + _CHECK_BYTES) * 4 // 3
#: Ids whose pseudonyms are kept in memory: customers come again.
_KEPT: Final = 65_536


def derived(key: bytes, use: str) -> bytes:
    """A key of 32 bytes for one use, of another key."""
    return hmac.digest(key, b"shoal/privacy/1 " + use.encode(), "sha256")


def fingerprint_of(key: bytes) -> str:
    """By which a shop knows its key again, and from which nobody gets it: 32 hex digits."""
    return derived(key, "check value").hex()[:32]


def looks_made(text: str) -> bool:
    """Whether a text looks like a pseudonym, under whatever key."""
    return len(text) == _LENGTH and text.startswith(BEGINNING)


class Pseudonyms:
    """Pseudonyms under a key; safe to use from several threads.

    >>> made = Pseudonyms(b"k" * 32)
    >>> name = made.of("ann@x.example")
    >>> name[:2], len(name), made.of(name) == name, made.of("ann@y.example") == name
    ('p_', 30, True, False)
    """

    def __init__(self, key: bytes) -> None:
        self._ids, self._checks = derived(key, "id"), derived(key, "of itself")
        #: The pseudonym of an id; of a pseudonym itself.
        self.of = lru_cache(maxsize=_KEPT)(self._of)

    def made(self, text: str) -> bool:
        """Whether a text is a pseudonym made under this key."""
        if not looks_made(text):
            return False
        try:
            told = base64.b64decode(text[len(BEGINNING) :], altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(told[_ID_BYTES:], self._check(told[:_ID_BYTES]))

    def column(self, ids: pa.Array) -> pa.Array:
        """The pseudonyms of a column of ids; null stays null."""
        coded = ids.dictionary_encode()
        names = pa.array([self.of(name) for name in coded.dictionary.to_pylist()], pa.string())
        return names.take(coded.indices)

    def _of(self, raw_id: str) -> str:
        if self.made(raw_id):
            return raw_id
        found = hmac.digest(self._ids, raw_id.encode(), "sha256")[:_ID_BYTES]
        return BEGINNING + base64.urlsafe_b64encode(found + self._check(found)).decode()

    def _check(self, found: bytes) -> bytes:
        return hmac.digest(self._checks, found, "sha256")[:_CHECK_BYTES]
