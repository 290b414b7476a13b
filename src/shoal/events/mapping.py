"""How the columns and values of a source become canonical events: the mapping.

A mapping is written as TOML, comes from a preset, or is guessed. An example with everything:

    name = "my-shop"               # also the `source` of its events unless `source` is given
    currency = "EUR"               # where the file has no currency column
    value_event = "purchase"       # the kind that counts as buying
    skip = ["heartbeat"]           # values of the kind column left out, counted as skipped
    properties = ["campaign"]      # source columns kept in `properties`
    event_id = ["order", "line"]   # columns that make the id, joined by "#"; else it is generated
    shape = "ga4"                  # nested layouts: what unpacks their rows into flat ones first

    [restates]                     # a later export states these rows anew, as a whole
    scope = ["order"]              # columns that name the whole, joined by "#"
    version = "updated_at"         # the later statement has the greater time or number; without it
                                   # the statement that was ingested later counts

    [noise]                        # columns that tell robots and the shop's own people
    agent = "user_agent"
    address = "ip"

    [columns]                      # canonical = source column, or several of which the first counts
    event_time = "ts"
    customer_id = ["user_id", "uid"]
    kind = "action"

    [optional]                     # the same, used where the file has the column
    price = "amount"

    [constants]                    # canonical = a text for every row
    channel = "web"

    [kinds]                        # value of the kind column = kind; other known names map alone
    bought = "purchase"
    "*" = "custom"                 # every other value; else such rows are quarantined

    [time]
    zone = "Europe/London"         # of times without an offset; UTC if not given
    unit = "auto"                  # of numbers: auto, s, ms, us, ns since 1970
    formats = ["%d/%m/%Y %H:%M"]   # besides ISO 8601 and numbers

    [money]
    units = "units"                # or cents, micro
    price_is = "unit"              # or total: the price column is price x quantity
    decimal_mark = "."
    thousands_mark = ""

    [category]
    separator = "."                # replaced by "/" in category paths

    [csv]
    delimiter = ";"
    encoding = "latin-1"           # or a list to try in order; UTF-8 if not given
    names = ["a", "b"]             # columns of a file without a header

    [[rule]]                       # rows on which the condition holds are treated otherwise
    why = "an invoice that starts with C is a cancellation"
    when = { column = "order_id", starts_with = "C" }   # or a list of conditions, all of which hold
    set = { kind = "refund" }
    absolute = ["quantity"]
    # noise = "test_order"         # stored, but no customer's behaviour (or "staff_order")

    [[layout]]                     # other files of the same source, told by their columns
    when_columns = ["user_id", "age"]
    constants = { kind = "profile" }
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import xxhash

from shoal.domain.errors import InputError
from shoal.domain.kinds import ITEM, PURCHASE
from shoal.domain.time import Zone
from shoal.events.rules import Rule

#: Canonical columns without which a row is no event.
NEEDED: Final = ("event_time", "kind")

_PLACE: Final = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class CsvOptions:
    """How a text table is written; empty means: find out."""

    delimiter: str = ""
    encodings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceMapping:
    """How a source's rows become events. Built by a preset, `read_mapping` or `guess`.

    `columns` and `optional` give, for a canonical column, the source columns to look for, best
    first. `layouts` are variants for other files of the same source, chosen by `for_columns`.
    """

    name: str
    source: str = ""
    value_event: str = PURCHASE
    currency: str | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    event_id: tuple[str, ...] = ()
    time_zone: str = "UTC"
    time_unit: str = "auto"
    time_formats: tuple[str, ...] = ()
    money_units: str = "units"
    price_is: str = "unit"
    decimal_mark: str = "."
    thousands_mark: str = ""
    category_separator: str = ""
    csv: CsvOptions = CsvOptions()
    shape: str = ""
    scope: tuple[str, ...] = ()
    scope_version: str = ""
    noise_agent: str = ""
    noise_address: str = ""
    rules: tuple[Rule, ...] = ()
    when_columns: tuple[str, ...] = ()
    layouts: tuple[SourceMapping, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            object.__setattr__(self, "source", self.name)

    @property
    def zone(self) -> Zone:
        """The zone of times without an offset."""
        return Zone(self.time_zone)

    @property
    def fingerprint(self) -> str:
        """32 hex digits that change with anything that changes the events made."""
        document = json.dumps(asdict(self), sort_keys=True, default=str)
        return xxhash.xxh3_128_hexdigest(document.encode())

    def for_columns(self, found: Sequence[str]) -> SourceMapping:
        """The layout for a file with these columns; the mapping itself if none asks for them."""
        for layout in self.layouts:
            if set(layout.when_columns) <= set(found):
                return layout
        return replace(self, layouts=()) if self.layouts else self

    def bind(self, found: Sequence[str], *, file: str = "") -> dict[str, str]:
        """Canonical column -> the source column that feeds it, for a file with these columns.

        Raises:
            InputError: `unknown_columns`, the file lacks a column the mapping needs.
        """
        chosen = self.for_columns(found)
        have = set(found)
        bound: dict[str, str] = {}
        missing: list[str] = []
        for canonical, candidates in chosen.columns.items():
            column = next((name for name in candidates if name in have), None)
            if column is not None:
                bound[canonical] = column
            elif canonical not in chosen.constants:
                missing.append(f"{canonical} (from {' or '.join(candidates)})")
        for canonical, candidates in chosen.optional.items():
            column = next((name for name in candidates if name in have), None)
            if column is not None and canonical not in bound:
                bound[canonical] = column
        missing += [
            f"{name} (no column or constant is mapped to it)"
            for name in NEEDED
            if name not in chosen.columns and name not in bound and name not in chosen.constants
        ]
        missing += [f"event_id (from {name})" for name in chosen.event_id if name not in have]
        missing += [f"restates.scope (from {name})" for name in chosen.scope if name not in have]
        missing += [f"properties (from {name})" for name in chosen.properties if name not in have]
        missing += [
            f"{name} (a rule asks for it)"
            for name in sorted(chosen.rule_columns())
            if name not in have and name not in bound
        ]
        if missing:
            raise self._lacks(missing, found, file)
        return bound

    def rule_columns(self) -> set[str]:
        """Every column, canonical or of the source, that the rules look at."""
        asked = {condition.column for rule in self.rules for condition in rule.conditions}
        templates = [text for rule in self.rules for text in rule.note.values()]
        return asked | {name for text in templates for name in _PLACE.findall(text)}

    def _lacks(self, missing: list[str], found: Sequence[str], file: str) -> InputError:
        names = ", ".join(repr(name) for name in list(found)[:40])
        hint = (
            "Choose another preset, or write a mapping file with [columns] that names the file's "
            "own columns (shoal ingest SHOP FILE --mapping MAP.toml)."
        )
        if self.constants.get("kind") == ITEM and any("event_time" in one for one in missing):
            hint = "Say from when the facts of the items hold: --valid-from 2024-01-01."
        if len(found) == 1 and any(mark in found[0] for mark in ",;\t|"):
            hint = (
                "The whole header is one column, so the delimiter is probably another one: set "
                '[csv] delimiter = ";" (or "," "\\t" "|") in a mapping file.'
            )
        return InputError(
            "unknown_columns",
            f"the file lacks columns that the mapping {self.name!r} needs: {', '.join(missing)}; "
            f"found {len(found)} columns: {names}",
            where=file,
            hint=hint,
        )


def read_mapping(path: str | Path) -> SourceMapping:
    """The mapping of a TOML file, in the format this module's docstring shows.

    Raises:
        InputError: `input_missing`, no such file.
        UsageError: `bad_mapping`, malformed TOML or unknown keys, columns, kinds or values.
    """
    from shoal.events.mapping_file import parse

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            "input_missing",
            f"there is no mapping file {str(path)!r}",
            hint="Give the path of a TOML file, or --preset NAME.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "input_unreadable", f"the mapping file cannot be read: {error}", where=str(path)
        ) from error
    return parse(text, file=str(path), default_name=path.stem)
