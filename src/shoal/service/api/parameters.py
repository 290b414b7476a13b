"""Parameters of the query: what they may be, read and documented from one declaration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.time import EARLIEST, LATEST, parse_moment

#: Characters of a text of which nothing else is said.
LONGEST: Final = 512
_LONGEST_WAIT_S: Final = 30.0


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query.

    Args:
        schema: of JSON Schema; `type`, `format`, `minimum`, `maximum`, `maxLength` and `enum` are
            held to.
        default: what counts where it is left out.
    """

    name: str
    summary: str
    schema: Mapping[str, Any]
    default: Any = None

    @classmethod
    def text(cls, name: str, summary: str, *, most: int = 200) -> Parameter:
        return cls(name, summary, {"type": "string", "minLength": 1, "maxLength": most})

    @classmethod
    def choice(
        cls, name: str, summary: str, choices: Sequence[str], default: str | None = None
    ) -> Parameter:
        return cls(name, summary, {"type": "string", "enum": list(choices)}, default)

    @classmethod
    def whole(
        cls, name: str, summary: str, *, least: int, most: int, default: int | None = None
    ) -> Parameter:
        schema = {"type": "integer", "minimum": least, "maximum": most}
        return cls(name, summary, schema, default)

    @classmethod
    def number(
        cls, name: str, summary: str, *, least: float, most: float, default: float | None = None
    ) -> Parameter:
        return cls(name, summary, {"type": "number", "minimum": least, "maximum": most}, default)

    @classmethod
    def flag(cls, name: str, summary: str, *, default: bool) -> Parameter:
        return cls(name, summary, {"type": "boolean"}, default)

    @classmethod
    def moment(cls, name: str, summary: str) -> Parameter:
        return cls(name, summary, {"type": "string", "format": "date-time"})

    def read(self, text: str) -> Any:
        """The value of a text.

        Raises:
            UsageError: `usage`, `bad_time`.
        """
        kind = self.schema["type"]
        if self.schema.get("format") == "date-time":
            return moment_of(text, self.name)
        if kind == "boolean":
            if text not in ("true", "false"):
                raise self._bad(text, "true or false")
            return text == "true"
        if kind in ("integer", "number"):
            return self._number(text, int if kind == "integer" else float)
        if "enum" in self.schema and text not in self.schema["enum"]:
            raise self._bad(text, ", ".join(self.schema["enum"]))
        most = self.schema.get("maxLength", LONGEST)
        if not 0 < len(text) <= most or "\0" in text:
            raise self._bad(text, f"1 to {most} characters")
        return text

    def document(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        schema = dict(self.schema)
        if self.default is not None:
            schema["default"] = self.default
        return {"name": self.name, "in": "query", "description": self.summary, "schema": schema}

    def _number(self, text: str, make: Callable[[str], float]) -> float:
        least, most = self.schema["minimum"], self.schema["maximum"]
        allowed = f"a number from {least:,} to {most:,}"
        try:
            value = make(text) if len(text) <= 20 else math.nan
        except ValueError:
            raise self._bad(text, allowed) from None
        if not least <= value <= most:
            raise self._bad(text, allowed)
        return value

    def _bad(self, text: str, allowed: str) -> UsageError:
        return UsageError(
            "usage", f"{self.name} is {text[:80]!r}", where=self.name, hint=f"Allowed: {allowed}."
        )


#: Of reads that may wait for what was just collected.
MIN_SEQ: Final = Parameter.whole(
    "min_seq",
    "wait until customers are moved past this `x-shoal-seq` of a collection's answer",
    least=0, most=2**63 - 1,
)  # fmt: skip
MAX_WAIT: Final = Parameter.number(
    "max_wait", "seconds to wait for min_seq", least=0, most=_LONGEST_WAIT_S, default=2.0
)


def moment_of(text: Any, where: str) -> datetime:
    """A moment of ISO 8601, between 1990 and 2100.

    Raises:
        UsageError: `bad_time`.
    """
    told = text if isinstance(text, str) else str(text)
    try:
        # A plus sign of an offset is a space in a query that was not escaped.
        found = parse_moment(told[:40].replace(" ", "+") if "T" in told else told[:40])
    except (UsageError, OverflowError):
        found = None
    if found is None or not EARLIEST <= found <= LATEST:
        raise UsageError(
            "bad_time", f"cannot take {told[:40]!r} as a time", where=where,
            hint="Give ISO 8601 from 1990 on, such as 2026-03-01 or 2026-03-01T14:30:00Z.",
        )  # fmt: skip
    return found
