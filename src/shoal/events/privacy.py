"""Privacy at the front door: ids become pseudonyms, personal values are sealed, before all else.

Rows of files pass here when they are cleaned, calls when they are collected
(`shoal.events.private_calls`). Both come to the same: a pseudonym or a sealed value that the shop
made itself passes as it is, so that a call that was collected is not changed again on its way into
the log.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.events.clean import Cleaned
from shoal.events.personal import ADDRESSES, ALL, GROUP, Personal, TooDeepError, Walk, plain_name
from shoal.events.pseudonyms import Pseudonyms, derived
from shoal.events.raw_ids import texts_of
from shoal.events.reasons import REASONS
from shoal.events.sealed_form import MARK, ROW_MARK
from shoal.events.sealing import SealedError, Seals
from shoal.events.shapes.order_facts import EMAIL_ALIAS
from shoal.events.texts import id_text, one_array, raw_text

#: Property that holds others, sealed, which are nested too deeply to be looked through.
TOO_DEEP: Final = "too_deep"
#: An id of fewer characters is not looked for within other texts: it would be found anywhere.
_LEAST: Final = 4
#: Ids of a row or a call, and their pseudonyms.
Repeated: TypeAlias = list[tuple[str, str]]
#: Ids of sessions are often made of one of a visitor.
_SESSION: Final[Mapping[str, tuple[str, ...]]] = {ALL: ("session_id",), ADDRESSES: (), "": ()}
_PLACES: Final = ("customer_id", "anonymous_id")


@dataclass(frozen=True)
class Privacy:
    """What a shop hides, and with what.

    Args:
        hides: `ALL`, `ADDRESSES` or nothing: which ids become pseudonyms.
        ids: names of traits and properties whose values become pseudonyms.
        personal: names of those whose values are sealed.
        root: the key of pseudonyms.
    """

    hides: str
    ids: frozenset[str]
    personal: Personal
    root: bytes = field(repr=False)
    pseudonyms: Pseudonyms
    seals: Seals

    @classmethod
    def of(cls, hides: str, ids: Sequence[str], personal: Sequence[str], root: bytes,
           fields: Mapping[str, bytes]) -> Privacy:  # fmt: skip
        """By a shop's settings and keys.

        Args:
            root: the key of pseudonyms.
            fields: keys of sealed values by name, that of new ones first.
        """
        return cls(
            hides, frozenset(map(plain_name, [*ids, *_SESSION[hides]])), Personal.of(personal),
            root, Pseudonyms(root), Seals(fields, root),
        )  # fmt: skip

    def named(self, raw_id: str) -> str:
        """How the shop knows an id that somebody asks for; its own pseudonyms as they are."""
        if not self.hidden(raw_id):
            return raw_id
        text = id_text(raw_id)
        return self.pseudonyms.of(text) if text else raw_id

    def hidden(self, raw_id: str) -> bool:
        """Whether an id becomes a pseudonym."""
        return self.hides == ALL or (self.hides == ADDRESSES and "@" in raw_id)

    # -- rows ------------------------------------------------------------------------------------

    def stored(self, events: pa.Table) -> pa.Table:
        """Canonical rows as they may be written, before keys are made of them.

        An event's id in which the id of its visitor stands is a pseudonym too, as is every id of a
        session: these are often made of one.
        """
        plain = {name: one_array(events[name]) for name in _PLACES}
        names = {name: self._names(events, name) for name in _PLACES}
        found = {**names}
        if self.hides:
            found["event_id"] = self._event_ids(events, plain, names)
        if self.hides == ALL:
            found["session_id"] = self.pseudonyms.column(one_array(events["session_id"]))
        whose = pc.coalesce(*names.values()).to_pylist()
        found["properties"] = self._properties(events, plain, names, whose)
        for name, column in found.items():
            events = events.set_column(
                events.column_names.index(name), events.schema.field(name), column
            )
        return events

    def _names(self, events: pa.Table, name: str) -> pa.Array:
        ids = one_array(events[name])
        if self.hides == ALL:
            return self.pseudonyms.column(ids)
        if self.hides == ADDRESSES:
            mask = pc.match_substring(ids, "@")
            return pc.if_else(mask, self.pseudonyms.column(ids), ids)
        return ids

    def scopes(self, keys: pa.Array) -> pa.Array:
        """Keys of scopes (int64), from which nobody finds out an id that a scope is named by."""
        if self.hides != ALL or keys.null_count == len(keys):
            return keys
        coded = one_array(keys).dictionary_encode()
        made = [self._scope(one) for one in coded.dictionary.to_pylist()]
        return pa.array(made, pa.int64()).take(coded.indices)

    def _scope(self, key: int) -> int:
        found = hmac.digest(self._of_scopes, key.to_bytes(8, "little", signed=True), "sha256")
        return int.from_bytes(found[:8], "little", signed=True)

    @cached_property
    def _of_scopes(self) -> bytes:
        return derived(self.root, "scopes")

    def _event_ids(
        self, events: pa.Table, plain: Mapping[str, pa.Array], names: Mapping[str, pa.Array]
    ) -> pa.Array:
        made = self.pseudonyms.of
        told = one_array(events["event_id"]).to_pylist()
        for name in _PLACES:
            pairs = zip(plain[name].to_pylist(), names[name].to_pylist(), strict=True)
            for row, (one, hidden) in enumerate(pairs):
                event_id = told[row]
                if one is not None and one != hidden and event_id is not None and one in event_id:
                    told[row] = made(event_id)
        return pa.array(told, pa.string())

    def _properties(
        self,
        events: pa.Table,
        plain: Mapping[str, pa.Array],
        names: Mapping[str, pa.Array],
        whose: Sequence[str | None],
    ) -> pa.Array:
        told = one_array(events["properties"])
        if told.null_count == len(told):
            return told
        own = [list(zip(plain[n].to_pylist(), names[n].to_pylist(), strict=True)) for n in _PLACES]
        rows = told.to_pylist()
        worth = pc.match_substring_regex(told, self._worth, ignore_case=True).to_pylist()
        for row, (text, kind) in enumerate(zip(rows, events["kind"].to_pylist(), strict=True)):
            if text is None or text == EMAIL_ALIAS or kind == kinds.ITEM:
                continue
            if not (worth[row] or any(one[row][0] and one[row][0] in text for one in own)):
                continue
            repeated = [(one, hidden) for one, hidden in (own[0][row], own[1][row])
                        if one is not None and one != hidden]  # fmt: skip
            walk = self.walk(whose[row] or "", repeated, trait=kind == kinds.PROFILE)
            try:
                hidden = walk.through(json.loads(text))
            except TooDeepError:  # nobody knows what is in it, so all of it is sealed
                hidden = {TOO_DEEP: self.seals.seal(text, TOO_DEEP, whose[row] or "")}
            rows[row] = json.dumps(hidden, ensure_ascii=False, separators=(",", ":"))
        return pa.array(rows, pa.string())

    @cached_property
    def _worth(self) -> str:
        """A pattern of texts in which a name may stand that matters: by the first word of each.

        A text with escaped letters may hold any.
        """
        names = self.personal.traits | self.personal.properties | self.ids
        words = sorted({re.escape(name.partition("_")[0]) for name in names})
        return "|".join([*words, "\\\\u"])

    def walk(self, whose: str, repeated: Repeated, *, trait: bool, texts: bool = False) -> Walk:
        """Seals what is personal and names what is an id.

        Args:
            repeated: ids of the row that may stand in other values, and their pseudonyms.
            texts: values are sealed as the texts that they are stored as.
        """
        personal, seals = self.personal, self.seals

        def leaf(value: Any, name: str) -> Any:
            if value is None or value == "":
                return value
            if personal.covers(name, trait=trait):
                if type(value) is str and value.startswith(MARK) and seals.genuine(value, name):
                    return value
                return seals.seal(told(value) if texts else value, name, whose)
            if name in self.ids:
                return self.pseudonyms.of(_address_or_id(told(value)))
            return renamed(value, repeated) if type(value) is str else value

        return Walk(
            leaf,
            lambda name: personal.covers(name, trait=trait) or name in self.ids,
            lambda name, _: name == GROUP or personal.within(name, trait=trait),
        )

    # -- rows that are refused -------------------------------------------------------------------

    def sealed(self, cleaned: Cleaned) -> Cleaned:
        """What became of a chunk, with the rows that were refused sealed."""
        return replace(cleaned, quarantined=self.quarantined(cleaned.quarantined))

    def quarantined(self, rows: pa.Table) -> pa.Table:
        """Rows of `QUARANTINE_SCHEMA` as they may be written: sealed, reasons without values."""
        if not rows.num_rows:
            return rows
        raw = [self.seals.seal_row(text) for text in rows["raw"].to_pylist()]
        told = [
            _without_values(detail, code)
            for detail, code in zip(
                rows["detail"].to_pylist(), rows["code"].to_pylist(), strict=True
            )
        ]
        for name, column in (("raw", raw), ("detail", told)):
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(place), pa.array(column, pa.string()))
        return rows

    def opened(self, raw: str) -> str:
        """The text of a quarantined row, and of a call that was refused before; as it is where it
        was never sealed.

        Raises:
            SealedError: its key is not at hand.
        """
        if not raw.startswith(ROW_MARK):
            return raw
        found = self.seals.opened_row(raw)
        if ROW_MARK not in found:
            return found
        told = json.loads(found)
        return json.dumps(
            {name: self.opened(text) if isinstance(text, str) else text
             for name, text in told.items()},
            ensure_ascii=False,
        ) if isinstance(told, dict) else found  # fmt: skip

    def opened_or_none(self, raw: str) -> str | None:
        """As `opened`; None where the key is not at hand."""
        try:
            return self.opened(raw)
        except SealedError:
            return None

    def ids_in(self, raw: str, columns: Sequence[str] | None = None) -> set[str]:
        """The ids, as the shop knows them, that a quarantined row may name; see `texts_of`.

        A row whose key is gone names nobody: nobody can read it any more.
        """
        plain = self.opened_or_none(raw)
        if plain is None:
            return set()
        return {self.named(text) for text in texts_of(plain, columns)}


def told(value: Any) -> str:
    """A value of a call as the text that it is stored as.

    Raises:
        ValueError, TypeError: JSON has no word for it.
    """
    if type(value) is not str and value is not None:
        json.dumps(value, allow_nan=False)
    return raw_text(value) or ""


def _address_or_id(text: str) -> str:
    """An id as order exports have it: an e-mail address in small letters."""
    found = id_text(text)
    return found.lower() if "@" in found else found


def renamed(text: str, repeated: Repeated) -> str:
    """A text in which ids that stand there are their pseudonyms."""
    for plain, hidden in repeated:
        if text == plain:
            return hidden
        if len(plain) >= _LEAST and plain in text and hidden not in text:
            text = text.replace(plain, hidden)
    return text


def _without_values(detail: str | None, code: str) -> str | None:
    """Where and why a row was refused, without what stood there."""
    name, equals, _ = (detail or "").partition(" = ")
    meaning = REASONS.get(code, code)
    return f"{name}: {meaning}" if equals and len(name) <= 80 else meaning
