"""Sealed values: encrypted with a key of the environment before they are written anywhere.

A value is sealed by AES-256-GCM (NIST SP 800-38D) under a random nonce, bound to the name of its
field. Beside it stands a short keyed hash of customer, field and value, so that a row that comes
again is known again, also after the keys were rotated; it tells that a customer's value is the same
as before, and of two customers nothing.

A row that was refused is sealed as a whole by AES-SIV (RFC 5297): the same text under the same key
looks the same, for a row that is stated again word for word must be told.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from shoal.events.pseudonyms import derived
from shoal.events.sealed_form import MARK, ROW, ROW_MARK, VALUE

_NONCE_BYTES: Final = 12
_HASH_BYTES: Final = 9
#: Values are filled up with blanks to a multiple of that, so that their length tells less.
_STEP: Final = 16

_ENCODE: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True
).encode


class SealedError(Exception):
    """A sealed value cannot be opened; says why, without a value.

    Args:
        why: in a few words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Seals:
    """Seals and opens; safe to use from several threads.

    Args:
        fields: keys by name; new values are under the first. With none nothing can be sealed.
        root: what the keyed hashes are made with, the same for good.
    """

    def __init__(self, fields: Mapping[str, bytes], root: bytes) -> None:
        self._values = {n: AESGCM(derived(k, "value")) for n, k in fields.items()}
        self._rows = {
            n: AESSIV(derived(k, "row 1") + derived(k, "row 2")) for n, k in fields.items()
        }
        self._first = next(iter(fields), "")
        self._hashes = derived(root, "same value")

    def seal(self, value: Any, field: str, whose: str) -> str:
        """A value, sealed.

        Args:
            value: what JSON has a word for.
            field: its name, by which alone it can be opened.
            whose: the id that the row is of.

        Raises:
            UnicodeEncodeError, ValueError, TypeError: it is nothing that JSON has a word for.
        """
        text = _ENCODE(value).encode()
        same = hmac.digest(
            self._hashes, b"\x1f".join((field.encode(), whose.encode(), text)), "sha256"
        )
        name, nonce = self._first, os.urandom(_NONCE_BYTES)
        filled = text + b" " * (-len(text) % _STEP)
        closed = nonce + self._values[name].encrypt(nonce, filled, _bound(name, field))
        return f"{MARK}{name}:{_text(same[:_HASH_BYTES])}:{_text(closed)}"

    def opened(self, sealed: str, field: str) -> Any:
        """The value of a sealed one.

        Raises:
            SealedError: its key is not at hand, or it is damaged, another field's or no such.
        """
        parts = VALUE.fullmatch(sealed)
        if parts is None:
            raise SealedError("damaged")
        name, closed = parts[1], _bytes(parts[3])
        cipher = self._values.get(name)
        if cipher is None:
            raise SealedError(f"key {name} is not at hand")
        try:
            found = cipher.decrypt(
                closed[:_NONCE_BYTES], closed[_NONCE_BYTES:], _bound(name, field)
            )
            return json.loads(found)
        except (InvalidTag, ValueError):
            raise SealedError(f"key {name} does not open it") from None

    def genuine(self, text: str, field: str) -> bool:
        """Whether a text is a value of a field that was sealed under a key at hand."""
        try:
            self.opened(text, field)
        except SealedError:
            return False
        return True

    def seal_row(self, raw: str) -> str:
        """A row that was refused, sealed as a whole; one that is stays."""
        if ROW.fullmatch(raw):
            try:
                self.opened_row(raw)
            except SealedError:
                pass
            else:
                return raw
        closed = self._rows[self._first].encrypt(raw.encode("utf-8", "backslashreplace"), None)
        return f"{ROW_MARK}{self._first}:{_text(closed)}"

    def opened_row(self, sealed: str) -> str:
        """The text of a sealed row.

        Raises:
            SealedError: its key is not at hand, or it is damaged.
        """
        parts = ROW.fullmatch(sealed)
        if parts is None:
            raise SealedError("damaged")
        cipher = self._rows.get(parts[1])
        if cipher is None:
            raise SealedError(f"key {parts[1]} is not at hand")
        try:
            return cipher.decrypt(_bytes(parts[2]), None).decode()
        except (InvalidTag, ValueError):
            raise SealedError(f"key {parts[1]} does not open it") from None


def _bound(name: str, field: str) -> bytes:
    return f"shoal value 1\x1f{name}\x1f{field}".encode()


def _text(closed: bytes) -> str:
    return base64.urlsafe_b64encode(closed).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise SealedError("damaged") from None
