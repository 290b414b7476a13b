"""A chunk on its way from raw columns to canonical ones, column by column.

Everything is done to whole columns; a row's first fault decides what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.domain.event import CANONICAL, MONEY_COLUMNS, NO_IDS, TIME_COLUMNS
from shoal.domain.kinds import PURCHASE, REFUND, kind_of
from shoal.domain.money import CURRENCIES, MICROS
from shoal.events.faults import Faults
from shoal.events.identity import scope_keys
from shoal.events.mapping import SourceMapping
from shoal.events.money import LARGEST_TOTAL, per_unit, read_amounts, read_quantities
from shoal.events.properties import pack_properties
from shoal.events.row_noise import RowNoise
from shoal.events.rules import Rule
from shoal.events.schema import NOISE, SCOPE_KEY, SCOPE_VERSION
from shoal.events.shapes import SKIP
from shoal.events.texts import as_text, contains_byte, one_array, parse_numbers, raw_text
from shoal.events.times import read_times

Mask = NDArray[np.bool_]

#: Longest text of a column in bytes: free text, and everything else.
LONGEST_TEXT: Final = 1_048_576
LONGEST_ID: Final = 512
_FREE_TEXT: Final = frozenset({"text", "query", "title", "properties"})
_PERSONS: Final = {"customer_id": "bad_customer_id", "anonymous_id": "bad_anonymous_id"}
_WHOLE: Final = frozenset({"event_id", *_PERSONS, "item_id", "order_id", "session_id", "category"})
_NUMBERS: Final = frozenset({*MONEY_COLUMNS, *TIME_COLUMNS, "quantity", "rating", "sequence"})
_TEXTS: Final = tuple(n for n in CANONICAL if n not in _NUMBERS and n not in ("kind", "properties"))


@dataclass
class Draft:
    """The chunk on its way: `done` canonical arrays so far, faults and skipped rows.

    The readers are called in the order below: quantities turn kinds, prices look at quantities.
    """

    table: pa.Table
    mapping: SourceMapping
    bound: dict[str, str]
    done: dict[str, pa.Array] = field(default_factory=dict)
    faults: Faults = field(init=False)
    skipped: Mask = field(init=False)
    rule_masks: list[Mask] = field(default_factory=list)
    #: Columns of the table's own: `scope_key`, `scope_version`, `noise`.
    marks: dict[str, pa.Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.table.num_rows
        self.faults = Faults(n)
        self.skipped = np.zeros(n, dtype=bool)
        self._repair_encoding()
        for rule in self.mapping.rules:
            mask = rule.mask(self.table, self.bound)
            self.rule_masks.append(mask)
            if rule.skip:
                self.skipped |= mask
        if SKIP in self.table.column_names:
            self.skipped |= ~_np(one_array(self.table[SKIP]).is_null())

    def raw(self, canonical: str) -> pa.ChunkedArray | None:
        """The raw column that feeds a canonical one."""
        return self.table[self.bound[canonical]] if canonical in self.bound else None

    def source_name(self, canonical: str) -> str:
        return self.bound.get(canonical, canonical)

    def constant(self, canonical: str) -> pa.Array | None:
        value = self.mapping.constants.get(canonical)
        return None if value is None else pa.array([value] * self.table.num_rows, pa.string())

    def read_kinds(self) -> None:
        """Kinds from the source's words, then from the rules."""
        raw = self.raw("kind")
        if raw is None:
            self.done["kind"] = self._apply_set("kind", self.constant("kind"))
            return
        words = as_text(raw)
        missing = _np(words.is_null())
        coded = words.dictionary_encode()
        names = coded.dictionary.to_pylist()
        meant = [self._kind(name) for name in names]
        left_out = np.array([*(name in self.mapping.skip for name in names), False], dtype=bool)
        place = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
        self.skipped |= left_out[place]
        kinds = pa.array([*meant, None], pa.string()).take(pa.array(place))
        kinds = self._apply_set("kind", kinds)
        assert kinds is not None, "rules change a column, they do not take it away"
        self.done["kind"] = kinds
        nameless = _np(kinds.is_null()) & ~self.skipped
        self.faults.add(nameless & missing, "missing_kind", self.source_name("kind"))
        self.faults.add(nameless & ~missing, "unknown_kind", self.source_name("kind"))

    def _kind(self, word: str) -> str | None:
        kinds = self.mapping.kinds
        return kinds.get(word) or kinds.get(word.lower()) or kind_of(word) or kinds.get("*")

    def read_times(self) -> None:
        """`event_time` (needed) and `received_at`."""
        mapping = self.mapping
        for name in TIME_COLUMNS:
            raw = self.raw(name)
            if raw is None:
                raw = self.constant(name)
            if raw is None:
                continue
            times = read_times(raw, mapping.zone, mapping.time_unit, mapping.time_formats)
            at = self.source_name(name)
            if name == "event_time":
                self.faults.add(times.missing, "missing_time", at)
            self.faults.add(times.bad, "bad_time", at)
            self.faults.add(times.absurd, "absurd_time", at)
            mask = times.missing if times.missing.any() else None
            self.done[name] = pa.array(times.us, mask=mask).cast(pa.timestamp("us", tz="UTC"))

    def read_texts(self) -> None:
        """Ids and texts: trimmed, empty is null, limits held, literal no-ids refused."""
        for name in _TEXTS:
            raw = self.raw(name)
            text = self._made_id() if name == "event_id" and self.mapping.event_id else None
            if text is None and raw is not None:
                text = as_text(raw, integral=name in _WHOLE)
            default = self.mapping.constants.get(name)
            if name == "source":
                default = default or self.mapping.source
            if text is None and default is not None:
                text = pa.array(np.full(self.table.num_rows, default, dtype=object), pa.string())
            elif text is not None and default is not None and text.null_count:
                text = text.fill_null(default)
            text = self._apply_set(name, text)
            if text is not None:
                self.done[name] = self._checked_text(name, text)
        self._read_currency()
        mark = self.mapping.category_separator
        if mark and "category" in self.done:
            self.done["category"] = pc.replace_substring(self.done["category"], mark, "/")

    def _checked_text(self, name: str, text: pa.Array) -> pa.Array:
        at = self.source_name(name)
        limit = LONGEST_TEXT if name in _FREE_TEXT else LONGEST_ID
        lengths = pc.binary_length(text)
        if (pc.max(lengths).as_py() or 0) > limit:
            self.faults.add(
                _np(pc.fill_null(pc.greater(lengths, limit), False)), "text_too_long", at
            )
        if contains_byte(text, b"\x00"):
            found = pc.fill_null(pc.match_substring(text, "\x00"), False)
            self.faults.add(_np(found), "nul_byte", at)
        if name in _PERSONS:
            coded = text.dictionary_encode()
            literal = [value.lower() in NO_IDS for value in coded.dictionary.to_pylist()]
            if any(literal):
                place = coded.indices.fill_null(len(literal)).to_numpy(zero_copy_only=False)
                self.faults.add(np.array([*literal, False], dtype=bool)[place], _PERSONS[name], at)
        return text

    def _read_currency(self) -> None:
        text = self.done.pop("currency", None)
        n = self.table.num_rows
        if text is not None:
            text = pc.utf8_upper(text)
            known = pc.is_in(text, value_set=pa.array(sorted(CURRENCIES)))
            known = pc.or_(known, text.is_null())
            self.faults.add(~_np(known), "unknown_currency", self.source_name("currency"))
            if self.mapping.currency and text.null_count:
                text = text.fill_null(self.mapping.currency)
        elif self.mapping.currency:
            text = pa.array(np.full(n, self.mapping.currency, dtype=object), pa.string())
        if text is not None:
            self.done["currency"] = text

    def _made_id(self) -> pa.Array:
        """The event id from several columns, joined by #; null where one is missing."""
        parts = [as_text(self.table[name], integral=True) for name in self.mapping.event_id]
        return pc.binary_join_element_wise(*parts, "#")

    def read_quantities(self) -> None:
        """Whole units; a negative quantity turns a purchase into a refund."""
        raw = self.raw("quantity")
        if raw is None:
            raw = self.constant("quantity")
        if raw is None:
            return
        found, at = read_quantities(raw), self.source_name("quantity")
        self.faults.add(found.bad, "bad_quantity", at)
        self.faults.add(found.not_finite, "not_finite", at)
        self.faults.add(found.fractional, "fractional_quantity", at)
        self.faults.add(found.absurd, "absurd_quantity", at)
        units, below = found.units, found.units < 0
        if below.any():
            kinds = self.done["kind"]
            bought = below & _np(pc.fill_null(pc.equal(kinds, PURCHASE), False))
            kinds = self.done["kind"] = pc.if_else(pa.array(bought), REFUND, kinds)
            positive = _np(pc.fill_null(pc.equal(kinds, REFUND), False))
            for rule, mask in self._rules():
                if "quantity" in rule.absolute:
                    positive |= mask
            units = np.where(positive, np.abs(units), units)
            self.faults.add(units < 0, "bad_quantity", at)
        missing = found.missing if found.missing.any() else None
        self.done["quantity"] = pa.array(units, mask=missing)

    def read_amounts(self) -> None:
        """Money columns in micro-units."""
        mapping = self.mapping
        by_file = (self.table.schema.metadata or {}).get(b"shoal.money") == b"micro"
        units = "micro" if by_file else mapping.money_units
        for name in MONEY_COLUMNS:
            raw = self.raw(name)
            if raw is None:
                raw = self.constant(name)
            if raw is None:
                continue
            found = read_amounts(raw, units, mapping.decimal_mark, mapping.thousands_mark)
            at = self.source_name(name)
            self.faults.add(found.bad, "bad_price", at)
            self.faults.add(found.not_finite, "not_finite", at)
            self.faults.add(found.negative, "negative_price", at)
            self.faults.add(found.absurd, "absurd_amount", at)
            value = found.micros
            quantity = self.done.get("quantity")
            if name == "price" and quantity is not None:
                counted = quantity.fill_null(1).to_numpy(zero_copy_only=False)
                if mapping.price_is == "total":
                    value = per_unit(value, counted)
                total = value.astype(np.float64) * np.abs(counted)
                self.faults.add(total > LARGEST_TOTAL * MICROS, "absurd_amount", at)
            missing = found.missing if found.missing.any() else None
            self.done[name] = pa.array(value, mask=missing)

    def read_rest(self, places: NDArray[np.int64]) -> None:
        """Rating, sequence and properties."""
        raw = self.raw("rating")
        if raw is not None:
            numbers, missing, bad = parse_numbers(raw)
            at = self.source_name("rating")
            self.faults.add(bad, "bad_rating", at)
            self.faults.add(~missing & ~bad & ~np.isfinite(numbers), "not_finite", at)
            self.done["rating"] = pa.array(numbers, mask=missing if missing.any() else None)
        self._read_sequence(places)
        packed, bad_rows = pack_properties(
            self.raw("properties"),
            {name: self.table[name] for name in self.mapping.properties},
            [(rule.note, mask) for rule, mask in self._rules() if rule.note],
            lambda name: as_text(self.table[self.bound.get(name, name)], integral=True),
            self.table.num_rows,
        )
        self.faults.add(bad_rows, "bad_properties", self.source_name("properties"))
        if packed is not None:
            self.done["properties"] = self._checked_text("properties", packed)

    def _read_sequence(self, places: NDArray[np.int64]) -> None:
        raw = self.raw("sequence")
        if raw is None:
            self.done["sequence"] = pa.array(places)
            return
        numbers, missing, bad = parse_numbers(raw)
        with np.errstate(invalid="ignore"):
            bad |= ~missing & ~(np.floor(numbers) == numbers) | (np.abs(numbers) > 2**53)
        self.faults.add(bad, "bad_sequence", self.source_name("sequence"))
        usable = ~missing & ~bad
        given = np.where(usable, numbers, 0).astype(np.int64)
        self.done["sequence"] = pa.array(np.where(usable, given, places))

    def read_marks(self, noise: RowNoise) -> None:
        """What the event table keeps beside the event: what restates it, whether it is noise."""
        n, mapping = self.table.num_rows, self.mapping
        self.marks = {
            SCOPE_KEY: pa.nulls(n, pa.int64()),
            SCOPE_VERSION: pa.nulls(n, pa.int64()),
            NOISE: pa.nulls(n, pa.string()),
        }
        for rule, mask in self._rules():
            if rule.noise:
                code = pa.scalar(rule.noise, pa.string())
                self.marks[NOISE] = pc.if_else(pa.array(mask), code, self.marks[NOISE])
        self._mark("agent", mapping.noise_agent, noise.robots)
        self._mark("address", mapping.noise_address, noise.own)
        if mapping.scope:
            parts = [as_text(self.table[name], integral=True) for name in mapping.scope]
            scope = pc.binary_join_element_wise(*parts, "#")
            self.marks[SCOPE_KEY] = scope_keys(self.done["source"], scope)
            if mapping.scope_version in self.table.column_names:
                raw = self.table[mapping.scope_version]
                read = read_times(raw, mapping.zone, mapping.time_unit, mapping.time_formats)
                unknown = read.missing | read.bad | read.absurd
                self.marks[SCOPE_VERSION] = pa.array(read.us, mask=unknown)

    def _mark(self, code: str, column: str, caught: Callable[[pa.Array], Mask]) -> None:
        """Mark the rows whose text in a raw column is caught and that bear no mark yet."""
        if column not in self.table.column_names:
            return
        mask = caught(as_text(self.table[column]))
        if mask.any():
            fresh = pc.and_(pa.array(mask), self.marks[NOISE].is_null())
            self.marks[NOISE] = pc.if_else(fresh, pa.scalar(code, pa.string()), self.marks[NOISE])

    def _rules(self) -> Iterator[tuple[Rule, Mask]]:
        return zip(self.mapping.rules, self.rule_masks, strict=True)

    def _apply_set(self, name: str, text: pa.Array | None) -> pa.Array | None:
        """The column after the rules that set or clear it, in order."""
        for rule, mask in self._rules():
            if name not in rule.set and name not in rule.clear:
                continue
            if text is None:
                text = pa.nulls(self.table.num_rows, pa.string())
            value = pa.scalar(rule.set.get(name), pa.string())
            text = pc.if_else(pa.array(mask), value, text)
        return text

    def _repair_encoding(self) -> None:
        """Rows with text that is not UTF-8 are rejected; the column goes on without it."""
        for place, name in enumerate(self.table.column_names):
            column = one_array(self.table[name])
            if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
                column = column.view(pa.string()) if pa.types.is_binary(column.type) else column
            if not pa.types.is_string(column.type):
                continue
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                values = column.cast(pa.binary()).to_pylist()
                texts = [_decoded(value) for value in values]
                bad = [t is None and v is not None for t, v in zip(texts, values, strict=True)]
                self.faults.add(np.array(bad, dtype=bool), "bad_encoding", name)
                escaped = [raw_text(v) for v in values]
                self.table = self.table.set_column(place, name, pa.array(escaped, pa.string()))


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _np(array: pa.Array) -> Mask:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)
