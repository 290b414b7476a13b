"""Calls of the Segment spec as a shop that hides ids and personal values keeps them.

An id is replaced wherever a call repeats it, in addresses of pages too. A call that is refused is
kept sealed as a whole, for nobody knows what stands where in it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from shoal.domain.event import NO_IDS
from shoal.events.collected import Judged, beginning_of, judge
from shoal.events.draft import LONGEST_ID
from shoal.events.personal import ALL, Walk
from shoal.events.privacy import Privacy, Repeated, renamed, told
from shoal.events.pseudonyms import derived
from shoal.events.reasons import REASONS
from shoal.events.shapes.order_facts import email_id
from shoal.events.shapes.segment_calls import EMAIL_ID
from shoal.events.texts import id_text

_IDS: Final = ("userId", "anonymousId", "previousId")
#: Calls whose properties are traits of a customer.
_OF_TRAITS: Final = ("identify", "group")
#: Members that are not gone through with the others.
_APART: Final = frozenset({*_IDS, "messageId", EMAIL_ID, "type"})


class UnfitError(Exception):
    """A call cannot be kept.

    Args:
        code: of `shoal.events.reasons.REASONS`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PrivateCalls:
    """Judges calls as `shoal.events.collected.judge` does, and hides what is to be hidden."""

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy
        self._texts = derived(privacy.root, "texts")

    def judge(self, call: Any, sent_at: datetime | None, received_at: datetime) -> Judged:
        """A call as it is kept; what is kept of one that is refused is sealed."""
        code = None
        hidden = call
        try:
            hidden = self.hidden(call) if isinstance(call, dict) else call
        except UnfitError as error:
            code = error.code
        except (ValueError, TypeError, RecursionError):  # what it holds is refused anyway
            code = "bad_call"
        found = judge(hidden, sent_at, received_at)
        if code is not None and found.fault is None:
            found = replace(found, line=beginning_of(call), fault=(code, REASONS[code]))
        return found if found.fault is None else self.refused(found)

    def refused(self, judged: Judged) -> Judged:
        """A call with a fault, with what is kept of it sealed."""
        text = judged.line.decode("ascii", "backslashreplace")
        return replace(judged, line=self._privacy.seals.seal_row(text).encode())

    def digest(self, place: str, content: bytes) -> str:
        """What tells a text at a place from others, and from which nobody finds out the text."""
        return hmac.digest(self._texts, place.encode() + b"\n" + content, "sha256").hex()

    def hidden(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """A call as it may be written.

        Raises:
            UnfitError: an id that no event may have.
            ValueError, TypeError: what JSON has no word for.
        """
        found = dict(call)
        found.pop(EMAIL_ID, None)
        repeated = self._ids(call, found)
        self._addresses(call, found, repeated)
        message_id = call.get("messageId")
        if isinstance(message_id, str) and any(one in message_id for one, _ in repeated):
            found["messageId"] = self._privacy.pseudonyms.of(message_id)
        whose = found.get("userId") or found.get("anonymousId")
        traits = self._walk(whose, repeated, trait=True)
        for name, value in call.items():
            if type(value) is str:
                if repeated and name not in _APART:
                    found[name] = renamed(value, repeated)
            elif name == "context" and type(value) is dict:
                found[name] = self._context(value, traits, repeated)
            elif name == "properties" and type(value) is dict:
                walk = traits
                if call.get("type") not in _OF_TRAITS:
                    walk = self._walk(whose, repeated, trait=False)
                found[name] = walk.through(value)
            elif name == "traits" and type(value) is dict:
                found[name] = traits.through(value)
            elif repeated and type(value) in (dict, list) and name not in _APART:
                found[name] = _everywhere(repeated).through({name: value})[name]
        return found

    def _ids(self, call: Mapping[str, Any], found: dict[str, Any]) -> Repeated:
        """Put pseudonyms in the place of a call's ids; the ids and their pseudonyms."""
        repeated = []
        for name in _IDS:
            value = call.get(name)
            plain = "" if value is None else id_text(told(value))
            if plain and plain.lower() not in NO_IDS and self._privacy.hidden(plain):
                found[name] = self._fit(plain)
                if found[name] != plain:
                    repeated.append((plain, found[name]))
        return repeated

    def _addresses(
        self, call: Mapping[str, Any], found: dict[str, Any], repeated: Repeated
    ) -> None:
        """Name the pseudonym of a customer's address, by which order exports know them."""
        if not self._privacy.hides:
            return
        context = call.get("context")
        for holder in (context.get("traits") if isinstance(context, dict) else None,
                       call.get("traits")):  # fmt: skip
            address = holder.get("email") if isinstance(holder, dict) else None
            if isinstance(address, str) and "@" in address:
                hidden = self._fit(email_id(address) or "")
                if found.get("userId"):
                    found[EMAIL_ID] = hidden
                if self._privacy.personal.covers("email", trait=True) and hidden != address:
                    repeated.append((address, hidden))

    def _context(
        self, context: Mapping[str, Any], traits: Walk, repeated: Repeated
    ) -> dict[str, Any]:
        rest = {name: value for name, value in context.items() if name != "traits"}
        found = _everywhere(repeated).through(rest) if repeated else rest
        if "traits" in context:
            own = context["traits"]
            found["traits"] = traits.through(own) if type(own) is dict else own
        if self._privacy.hides == ALL and context.get("sessionId"):
            found["sessionId"] = self._fit(id_text(told(context["sessionId"])))
        return found

    def _walk(self, whose: Any, repeated: Repeated, *, trait: bool) -> Walk:
        return self._privacy.walk(str(whose or ""), repeated, trait=trait, texts=True)

    def _fit(self, plain: str) -> str:
        """The pseudonym of an id that an event may have.

        Raises:
            UnfitError: `nul_byte`, `text_too_long`.
        """
        if "\0" in plain:
            raise UnfitError("nul_byte")
        if len(plain.encode()) > LONGEST_ID:
            raise UnfitError("text_too_long")
        return self._privacy.pseudonyms.of(plain)


def _everywhere(repeated: Repeated) -> Walk:
    """Renames ids wherever they stand."""
    return Walk(
        lambda value, _: renamed(value, repeated) if type(value) is str else value,
        lambda _: False,
        lambda *_: False,
    )
