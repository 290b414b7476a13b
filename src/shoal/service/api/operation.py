"""An operation of the API: what it takes, read and checked; work in a thread; documentation.

From one declaration come the endpoint, the refusal of what it does not take, and its part of the
OpenAPI document.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import anyio
import anyio.to_thread
import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shoal.domain.access import Key
from shoal.domain.errors import UsageError
from shoal.domain.time import EARLIEST, LATEST, iso, parse_moment
from shoal.service.answers import answer, failure
from shoal.service.api.problems import Refused
from shoal.service.endpoint import Endpoint

#: Bytes of a body.
MAX_BODY: Final = 5 << 20
_LONGEST_ID: Final = 512
#: Threads for reads that take milliseconds, and for those that take longer: neither waits for the
#: other, and collection has threads of its own.
_QUICK: Final = 4
_SLOW: Final = 3
_LONGEST_WAIT_S: Final = 30.0
_POLL_S: Final = 0.02
#: What is told of an id that nobody can have, by the name of a path's parameter.
_UNKNOWN: Final[Mapping[str, str]] = {
    "customer_id": "unknown_customer", "segment_id": "unknown_segment",
    "version": "unknown_segmentation", "name": "unknown_export",
}  # fmt: skip


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
        most = self.schema.get("maxLength", _LONGEST_ID)
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


@dataclass(frozen=True)
class Asked:
    """A request as it was read.

    Args:
        path, query: parameters; those of the query as values, defaults among them.
        body: raw, or an object of JSON; None where the operation takes none.
    """

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    key: Key


@dataclass(frozen=True)
class Body:
    """What an operation takes as its body.

    Args:
        schema: of JSON Schema; of an object its members and which must be there are held to.
        raw: the work is given the bytes.
    """

    schema: Mapping[str, Any]
    example: Any
    raw: bool = False


Work = Callable[[Asked], Any]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Args:
        work: gives a JSON document or an answer; it runs in a thread, and may raise `ShoalError`
            and `Refused`.
        slow: it takes longer than some milliseconds.
        waits: it may wait for what was just collected.
        example: of its answer.
        media: of its answer.
    """

    method: str
    path: str
    permission: str
    work: Work
    summary: str
    query: Sequence[Parameter] = ()
    body: Body | None = None
    example: Any = None
    slow: bool = False
    waits: bool = False
    status: int = 200
    media: str = "application/json"
    tag: str = ""
    description: str = ""


class Operations:
    """Makes endpoints of operations.

    Args:
        past: the sequence of the inbox past which customers are moved.
    """

    def __init__(self, past: Callable[[], int]) -> None:
        self._past = past
        self._quick, self._slow = anyio.CapacityLimiter(_QUICK), anyio.CapacityLimiter(_SLOW)

    def endpoint(self, asked_for: Operation) -> Endpoint:
        """The endpoint of an operation."""
        one = asked_for
        if one.waits:
            one = replace(one, query=(*one.query, MIN_SEQ, MAX_WAIT))

        async def handle(request: Request, key: Key) -> Response:
            try:
                asked = await _asked(request, one, key)
                if asked.query.get("min_seq") is not None:
                    await self._wait(asked.query["min_seq"], asked.query["max_wait"])
                limiter = self._slow if one.slow else self._quick
                found = await anyio.to_thread.run_sync(one.work, asked, limiter=limiter)
            except Refused as error:
                return error.response()
            except ClientDisconnect:
                return failure(400, "cut_off", "The connection ended before the body did.")
            return found if isinstance(found, Response) else answer(plain(found), one.status)

        return Endpoint(one.method, one.path, one.permission, handle, one.summary, _documented(one))

    async def _wait(self, seq: int, max_wait: float) -> None:
        """Until customers are moved past a sequence.

        Raises:
            Refused: `not_yet`.
        """
        until = time.monotonic() + max_wait
        while self._past() < seq:
            if time.monotonic() >= until:
                raise Refused(
                    409, "not_yet",
                    f"Customers are moved past {self._past():,} of the inbox, not past {seq:,}.",
                    hint="Ask again, or give a larger max_wait.", retry_s=1,
                )  # fmt: skip
            await asyncio.sleep(_POLL_S)


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


async def _asked(request: Request, one: Operation, key: Key) -> Asked:
    """What a request asks for.

    Raises:
        UsageError: `usage`, `bad_time`: what the operation does not take.
        Refused: an id that nobody can have; a body that cannot be read.
    """
    path = {name: str(value) for name, value in request.path_params.items()}
    for name, value in path.items():
        if len(value) > _LONGEST_ID or "\0" in value or not value:
            raise Refused(
                404, _UNKNOWN.get(name, "not_found"), f"There is no {name} {value[:80]!r}."
            )
    body = None
    if one.body is not None:
        raw = await _raw(request)
        body = raw if one.body.raw else _object(raw, one.body.schema)
    return Asked(path, _query(request, one), body, key)


def _query(request: Request, one: Operation) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in one.query}
    found = {name: parameter.default for name, parameter in known.items()}
    seen = set[str]()
    for name, text in request.query_params.multi_items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise UsageError(
                "usage", f"there is no parameter {name[:80]!r} here", where=name[:80],
                hint=f"Allowed: {allowed}.",
            )  # fmt: skip
        if name in seen:
            raise UsageError("usage", f"{name} was given twice", where=name, hint="Give it once.")
        seen.add(name)
        found[name] = known[name].read(text)
    return found


async def _raw(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY:
            raise Refused(413, "too_large", f"The body is larger than {MAX_BODY:,} bytes.")
        pieces.append(piece)
    return b"".join(pieces)


def _object(raw: bytes, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The body as an object that has the members it must have and no others."""
    try:
        found = json.loads(raw.decode("utf-8-sig"))
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise Refused(400, "bad_json", "The body is nested too deeply.") from None
    except ValueError as error:  # no UTF-8, no JSON, NaN, half of a surrogate pair
        raise Refused(400, "bad_json", f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Refused(400, "bad_json", "The body is to be an object of JSON.")
    known = schema.get("properties", {})
    unknown = [name for name in found if name not in known]
    lacking = [name for name in schema.get("required", ()) if name not in found]
    if unknown or lacking:
        told = f"there is no member {unknown[0][:80]!r}" if unknown else f"{lacking[0]} is missing"
        raise UsageError(
            "usage", f"the body: {told}", where=unknown[0][:80] if unknown else lacking[0],
            hint=f"Members: {', '.join(known)}.",
        )  # fmt: skip
    for name, value in found.items():
        _hold(name, value, known[name])
    return found


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "object": (dict,), "array": (list,), "null": (type(None),),
}  # fmt: skip


def _hold(name: str, value: Any, schema: Mapping[str, Any]) -> None:
    """Refuse a member of another type or size than it has."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    fits = any(
        isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
        for kind in kinds
    )
    if fits and isinstance(value, str):
        fits = len(value) <= schema.get("maxLength", _LONGEST_ID) and "\0" not in value
    if fits and isinstance(value, int | float) and not isinstance(value, bool):
        fits = schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
    if fits and "enum" in schema:
        fits = value in schema["enum"]
    if not fits:
        allowed = {one: of for one, of in schema.items() if one != "description"}
        raise UsageError(
            "usage", f"{name} cannot be {json.dumps(value)[:80]}", where=name,
            hint=f"Allowed: {json.dumps(allowed)}",
        )  # fmt: skip


def plain(value: Any) -> Any:
    """A document as JSON has it: no number that is not finite, times as texts."""
    if isinstance(value, str | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    return str(value)


def _documented(one: Operation) -> dict[str, Any]:
    """The operation's part of the OpenAPI document, but for what its endpoint tells."""
    content: dict[str, Any] = {"schema": {"type": "object"}}
    if one.media != "application/json":
        content = {"schema": {"type": "string"}}
    if one.example is not None:
        content["example"] = one.example
    found: dict[str, Any] = {
        "parameters": [parameter.document() for parameter in one.query],
        "responses": {
            str(one.status): {"description": one.summary, "content": {one.media: content}}
        },
    }
    if one.tag:
        found["tags"] = [one.tag]
    if one.description:
        found["description"] = one.description
    if one.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": one.body.schema,
                                             "example": one.body.example}},
        }  # fmt: skip
    return found
