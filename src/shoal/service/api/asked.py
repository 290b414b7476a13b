"""A request as an operation is given it: read, and held to what the operation takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from shoal.domain.access import Key
from shoal.domain.errors import UsageError
from shoal.service.api.parameters import LONGEST, Parameter
from shoal.service.api.problems import Refused

#: Bytes of a body.
MAX_BODY: Final = 5 << 20
#: What is told of an id that nobody can have, by the name of a path's parameter.
_UNKNOWN: Final[Mapping[str, str]] = {
    "customer_id": "unknown_customer", "segment_id": "unknown_segment",
    "version": "unknown_segmentation", "name": "unknown_export",
}  # fmt: skip


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


async def read(
    request: Request, key: Key, parameters: Sequence[Parameter], body: Body | None
) -> Asked:
    """What a request asks for.

    Raises:
        UsageError: `usage`, `bad_time`: what the operation does not take.
        Refused: an id that nobody can have; a body that cannot be read.
    """
    path = {name: str(value) for name, value in request.path_params.items()}
    for name, value in path.items():
        if len(value) > LONGEST or "\0" in value or not value:
            raise Refused(
                404, _UNKNOWN.get(name, "not_found"), f"There is no {name} {value[:80]!r}."
            )
    found = None
    if body is not None:
        raw = await _raw(request)
        found = raw if body.raw else _object(raw, body.schema)
    return Asked(path, _query(request, parameters), found, key)


def _query(request: Request, parameters: Sequence[Parameter]) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in parameters}
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
        fits = len(value) <= schema.get("maxLength", LONGEST) and "\0" not in value
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
