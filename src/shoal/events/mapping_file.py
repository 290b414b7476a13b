"""The TOML form of a mapping: every key is checked; errors name key, file and what is allowed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.event import CANONICAL, MONEY_COLUMNS, TIME_COLUMNS
from shoal.domain.kinds import KINDS
from shoal.domain.money import CURRENCIES
from shoal.domain.time import Zone
from shoal.events.mapping import CsvOptions, SourceMapping
from shoal.events.noise import ORDER_NOISE
from shoal.events.rules import TESTS, Condition, Rule
from shoal.events.shapes import SHAPES

_TOP: Final = (
    "name", "source", "description", "value_event", "currency", "skip", "properties", "event_id",
    "columns", "optional", "constants", "kinds", "time", "money", "category", "csv", "shape",
    "restates", "noise", "rule", "layout", "when_columns",
)  # fmt: skip
_TIME: Final = {"zone": "time_zone", "unit": "time_unit", "formats": "time_formats"}
_MONEY: Final = {
    "units": "money_units",
    "price_is": "price_is",
    "decimal_mark": "decimal_mark",
    "thousands_mark": "thousands_mark",
}
_RESTATES: Final = ("scope", "version")
_NOISE: Final = {"agent": "noise_agent", "address": "noise_address"}
_RULE: Final = ("why", "when", "set", "clear", "absolute", "note", "skip", "noise")
_CHOICES: Final = {
    "time_unit": ("auto", "s", "ms", "us", "ns"),
    "money_units": ("units", "cents", "micro"),
    "price_is": ("unit", "total"),
    "decimal_mark": (".", ","),
    "thousands_mark": ("", ",", ".", " ", "'"),
}
_NUMBERS: Final = (*MONEY_COLUMNS, *TIME_COLUMNS, "quantity", "rating", "sequence", "properties")
_SETTABLE: Final = tuple(name for name in CANONICAL if name not in (*_NUMBERS, "event_id"))


def parse(text: str, *, file: str, default_name: str) -> SourceMapping:
    """The mapping that a TOML text describes.

    Raises:
        UsageError: `bad_mapping`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            "bad_mapping", f"not valid TOML: {error}", where=file, hint="Mend the line named."
        ) from error
    return _Reader(file).mapping(document, default_name)


class _Reader:
    """Reads one file's document; keeps the file's name for messages."""

    def __init__(self, file: str) -> None:
        self.file = file

    def fail(self, key: str, received: object, allowed: Iterable[str] | str) -> UsageError:
        listed = allowed if isinstance(allowed, str) else ", ".join(allowed)
        return UsageError(
            "bad_mapping",
            f"{key}: {received!r} is not allowed",
            where=self.file,
            hint=f"Allowed: {listed}.",
        )

    def mapping(
        self, document: Mapping[str, Any], default_name: str, base: SourceMapping | None = None
    ) -> SourceMapping:
        """The mapping of one (layout) table; what a layout leaves out it takes from `base`."""
        self.known(document, _TOP, "")
        found: dict[str, Any] = {"name": base.name if base else default_name}
        for key in ("name", "source", "description", "value_event", "currency"):
            if key in document:
                found[key] = self.text(document[key], key)
        for key in ("skip", "properties", "event_id", "when_columns"):
            if key in document:
                found[key] = self.texts(document[key], key)
        for key in ("columns", "optional"):
            table = self.table(document.get(key, {}), key)
            self.known(table, CANONICAL, f"{key}.")
            found[key] = {name: self.texts(v, f"{key}.{name}") for name, v in table.items()}
        found["constants"] = self.constants(self.table(document.get("constants", {}), "constants"))
        found["kinds"] = self.kinds(self.table(document.get("kinds", {}), "kinds"))
        found |= self.section(document, "time", _TIME)
        found |= self.section(document, "money", _MONEY)
        category = self.table(document.get("category", {}), "category")
        self.known(category, ("separator",), "category.")
        if "separator" in category:
            found["category_separator"] = self.text(category["separator"], "category.separator")
        found |= self.section(document, "noise", _NOISE)
        restates = self.table(document.get("restates", {}), "restates")
        self.known(restates, _RESTATES, "restates.")
        if restates:
            found["scope"] = self.texts(restates.get("scope", []), "restates.scope")
            found["scope_version"] = self.text(restates.get("version", ""), "restates.version")
        if "shape" in document:
            found["shape"] = self.text(document["shape"], "shape")
            if found["shape"] not in SHAPES:
                raise self.fail("shape", found["shape"], SHAPES)
        if "csv" in document:
            found["csv"] = self.csv(self.table(document["csv"], "csv"))
        found["rules"] = tuple(
            self.rule(self.table(rule, f"rule[{i}]"), f"rule[{i}].")
            for i, rule in enumerate(self.list(document.get("rule", []), "rule"))
        )
        mapping = self.checked(found if base is None else _inherit(base, found))
        layouts = self.list(document.get("layout", []), "layout")
        if layouts:
            made = tuple(
                self.layout(self.table(entry, f"layout[{i}]"), mapping, i)
                for i, entry in enumerate(layouts)
            )
            mapping = SourceMapping(**{**_fields(mapping), "layouts": made})
        return mapping

    def layout(self, entry: Mapping[str, Any], base: SourceMapping, place: int) -> SourceMapping:
        if "when_columns" not in entry:
            raise self.fail(f"layout[{place}].when_columns", None, "a list of column names")
        return self.mapping(entry, base.name, base)

    def checked(self, found: dict[str, Any]) -> SourceMapping:
        """The mapping, after its values were checked."""
        if found.get("value_event", "purchase") not in KINDS:
            raise self.fail("value_event", found["value_event"], KINDS)
        currency = found.get("currency")
        if currency is not None and currency not in CURRENCIES:
            raise self.fail("currency", currency, "an ISO 4217 code in circulation, such as EUR")
        for key, allowed in _CHOICES.items():
            if key in found and found[key] not in allowed:
                raise self.fail(key.removeprefix("time_").removeprefix("money_"), found[key],
                                [repr(a) for a in allowed])  # fmt: skip
        try:
            Zone(found.get("time_zone", "UTC"))
        except UsageError as error:
            raise self.fail(
                "time.zone", found["time_zone"], "an IANA name such as Europe/London"
            ) from error
        return SourceMapping(**found)

    def constants(self, table: Mapping[str, Any]) -> dict[str, str]:
        self.known(table, CANONICAL, "constants.")
        found = {name: self.text(value, f"constants.{name}") for name, value in table.items()}
        if "kind" in found and found["kind"] not in KINDS:
            raise self.fail("constants.kind", found["kind"], KINDS)
        return found

    def kinds(self, table: Mapping[str, Any]) -> dict[str, str]:
        for value, kind in table.items():
            if kind not in KINDS:
                raise self.fail(f"kinds.{value}", kind, KINDS)
        return dict(table)

    def section(
        self, document: Mapping[str, Any], name: str, keys: Mapping[str, str]
    ) -> dict[str, Any]:
        table = self.table(document.get(name, {}), name)
        self.known(table, keys, f"{name}.")
        return {
            keys[key]: self.texts(value, f"{name}.{key}")
            if key == "formats"
            else self.text(value, f"{name}.{key}")
            for key, value in table.items()
        }

    def csv(self, table: Mapping[str, Any]) -> CsvOptions:
        self.known(table, ("delimiter", "encoding", "names"), "csv.")
        delimiter = self.text(table.get("delimiter", ""), "csv.delimiter")
        if len(delimiter) > 1:
            raise self.fail("csv.delimiter", delimiter, "one character")
        encodings = self.texts(table.get("encoding", []), "csv.encoding")
        for name in encodings:
            try:
                "".encode(name)
            except LookupError as error:
                raise self.fail("csv.encoding", name, "a Python codec such as utf-8, latin-1, "
                                "cp1252, utf-16, gbk") from error  # fmt: skip
        return CsvOptions(delimiter, encodings, self.texts(table.get("names", []), "csv.names"))

    def rule(self, table: Mapping[str, Any], at: str) -> Rule:
        self.known(table, _RULE, at)
        if "when" not in table:
            raise self.fail(f"{at}when", None, "a condition such as { column = ..., equals = ... }")
        when = table["when"] if isinstance(table["when"], list) else [table["when"]]
        constants = {
            key: self.text(value, f"{at}set.{key}")
            for key, value in self.table(table.get("set", {}), f"{at}set").items()
        }
        self.known(constants, _SETTABLE, f"{at}set.")
        if constants.get("kind", KINDS[0]) not in KINDS:
            raise self.fail(f"{at}set.kind", constants["kind"], KINDS)
        clear = self.texts(table.get("clear", []), f"{at}clear")
        self.known(clear, [name for name in CANONICAL if name not in NEEDED_SET], f"{at}clear: ")
        absolute = self.texts(table.get("absolute", []), f"{at}absolute")
        self.known(absolute, ("quantity",), f"{at}absolute: ")
        note = self.table(table.get("note", {}), f"{at}note")
        return Rule(
            conditions=tuple(self.condition(entry, f"{at}when") for entry in when),
            set=constants,
            clear=clear,
            absolute=absolute,
            note={key: self.text(value, f"{at}note.{key}") for key, value in note.items()},
            skip=bool(table.get("skip", False)),
            noise=self.noise(table.get("noise", ""), f"{at}noise"),
            why=self.text(table.get("why", ""), f"{at}why"),
        )

    def noise(self, value: object, key: str) -> str:
        code = self.text(value, key)
        if code and code not in ORDER_NOISE:
            raise self.fail(key, code, ORDER_NOISE)
        return code

    def condition(self, entry: object, at: str) -> Condition:
        table = self.table(entry, at)
        self.known(table, ("column", *TESTS), f"{at}.")
        tests = [key for key in table if key in TESTS]
        if "column" not in table or len(tests) != 1:
            raise self.fail(at, dict(table), f"a column and one of {', '.join(TESTS)}")
        test, value = tests[0], table[tests[0]]
        expected = TESTS[test]
        ok = isinstance(value, (int, float)) if expected is float else isinstance(value, expected)
        if not ok:
            raise self.fail(f"{at}.{test}", value, f"a {expected.__name__}")
        if isinstance(value, list):
            value = self.texts(value, f"{at}.{test}")
        return Condition(self.text(table["column"], f"{at}.column"), test, value)

    def known(self, keys: Iterable[str], allowed: Iterable[str], at: str) -> None:
        listed = list(allowed)
        for key in keys:
            if key not in listed:
                raise UsageError(
                    "bad_mapping",
                    f"{at}{key}: there is no such key",
                    where=self.file,
                    hint=f"Allowed: {', '.join(listed)}.",
                )

    def text(self, value: object, key: str) -> str:
        if isinstance(value, str):
            return value
        raise self.fail(key, value, "a text in quotes")

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            return tuple(value)
        raise self.fail(key, value, "a text or a list of texts")

    def table(self, value: object, key: str) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        raise self.fail(key, value, "a table of keys and values")

    def list(self, value: object, key: str) -> Sequence[Any]:
        if isinstance(value, list):
            return value
        raise self.fail(key, value, f"tables written as [[{key}]]")


NEEDED_SET: Final = frozenset({"event_time", "kind", "source", "sequence", "event_id"})


def _fields(mapping: SourceMapping) -> dict[str, Any]:
    return {name: getattr(mapping, name) for name in mapping.__dataclass_fields__}


def _inherit(base: SourceMapping, found: dict[str, Any]) -> dict[str, Any]:
    """A layout's fields: a table that is given and not empty replaces that of the base."""
    fields = _fields(base) | {"layouts": ()}
    kept = {key: value for key, value in found.items() if value or key in ("skip", "properties")}
    return fields | kept
