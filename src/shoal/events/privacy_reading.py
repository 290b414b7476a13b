"""Reading what was sealed: for who holds the keys and may; masked with a reason for all others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.secret_keys import PSEUDONYM_KEY, pseudonym_key
from shoal.events.personal import ADDRESSES, ALL, TooDeepError, Walk, plain_name
from shoal.events.pseudonyms import Pseudonyms, fingerprint_of, looks_made
from shoal.events.sealed_form import MARK, ROW_MARK
from shoal.events.sealing import SealedError, Seals
from shoal.events.texts import id_text

#: Stands where a value is that the reader may not see.
HIDDEN: Final = "[personal]"


class Reading:
    """Opens what the keys at hand open; never fails for a value.

    Args:
        hides: which ids the shop hides, as `shoal.events.privacy.Privacy`.
        check: by which the shop knows its key of pseudonyms; empty: not made yet.
        told: that key, as the environment tells it.
        fields: keys of sealed values that are at hand.
    """

    def __init__(
        self, hides: str, check: str, told: str | None, fields: Mapping[str, bytes]
    ) -> None:
        self._hides, self._check, self._told = hides, check, told
        self._pseudonyms: Pseudonyms | None = None
        self._seals = Seals(fields, b"")
        #: Whether any value can be opened.
        self.keys = bool(fields)

    def named(self, raw_id: str) -> str:
        """How the shop knows an id that somebody asks for; its own pseudonyms as they are.

        Raises:
            UsageError: `no_secret`, `bad_secret`, `wrong_secret`.
        """
        hidden = self._hides == ALL or (self._hides == ADDRESSES and "@" in raw_id)
        if not hidden or (not self._told and looks_made(raw_id)):
            return raw_id
        if self._pseudonyms is None:
            key = pseudonym_key(self._told)
            if self._check and fingerprint_of(key) != self._check:
                raise wrong_key()
            self._pseudonyms = Pseudonyms(key)
        text = id_text(raw_id)
        try:
            return self._pseudonyms.of(text) if text else raw_id
        except UnicodeEncodeError:  # no text, so nobody's id
            return raw_id

    def value(self, value: Any, name: str, *, may: bool = True) -> Any:
        """A value as it is told.

        Args:
            name: of the trait or property.
            may: whether the reader may see what is personal.
        """
        if not isinstance(value, str) or not value.startswith(MARK):
            return value
        if not may:
            return HIDDEN
        try:
            return self._seals.opened(value, plain_name(name))
        except SealedError as error:
            return f"[personal: {error.why}]"

    def plain(self, value: str, name: str) -> Any:
        """A sealed value; None where no key at hand opens it."""
        try:
            return self._seals.opened(value, plain_name(name))
        except SealedError:
            return None

    def members(self, found: Mapping[str, Any], *, may: bool = True) -> dict[str, Any]:
        """Properties as they are told."""
        walk = Walk(
            lambda value, name: self.value(value, name, may=may),
            lambda _: False,
            lambda _, text: MARK in text,
        )
        try:
            return walk.through(found)
        except TooDeepError:
            return {"properties": HIDDEN}

    def text(self, properties: str) -> str:
        """Properties as JSON, opened."""
        if MARK not in properties:
            return properties
        try:
            found = json.loads(properties)
        except ValueError:
            return properties
        return json.dumps(self.members(found), ensure_ascii=False, separators=(",", ":"))

    def row(self, raw: str) -> str:
        """The text of a quarantined row, with what is sealed in it opened too."""
        if not raw.startswith(ROW_MARK):
            return raw
        try:
            found = self._seals.opened_row(raw)
        except SealedError as error:
            return f"[sealed: {error.why}]"
        try:
            told = json.loads(found)
        except ValueError:
            return found
        if not isinstance(told, dict):
            return found
        inner = {name: self.row(text) if isinstance(text, str) else text
                 for name, text in told.items()}  # fmt: skip
        return json.dumps(self.members(inner), ensure_ascii=False)


def wrong_key() -> UsageError:
    """The refusal of a key that the shop's pseudonyms were not made with."""
    return UsageError(
        "wrong_secret",
        f"{PSEUDONYM_KEY} is not the key that this shop was made with",
        where=PSEUDONYM_KEY,
        hint="Give the key that the shop was made with: under another one everybody would be "
        "somebody new.",
    )
