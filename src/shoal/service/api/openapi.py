"""The description of the API as a machine reads it: OpenAPI 3.1, made from the endpoints.

Source: OpenAPI Specification 3.1.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shoal.domain.access import ALLOWED
from shoal.domain.version import __version__
from shoal.events.collected import TYPES
from shoal.service.answers import HEADERS
from shoal.service.endpoint import Endpoint

PATHS: Final = ("/v1/openapi.json", "/openapi.json")
_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")
#: What a request may be answered with besides, by status.
_ERRORS: Final[Mapping[str, str]] = {
    "400": "The request can never succeed as it is.",
    "401": "No valid key was shown.",
    "403": "The key's role may not do this.",
    "404": "There is no such thing.",
    "409": "Not yet, or not in the state that the shop is in.",
    "413": "The body is too large.",
    "422": "Understood, and it cannot be had.",
    "429": "Too many requests: come again after `Retry-After` seconds.",
    "500": "A store or this machine failed.",
    "503": "Come again after `Retry-After` seconds.",
}  # fmt: skip
_ERROR: Final = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "description": "one word for machines"},
        "message": {"type": "string", "description": "what is wrong, for people"},
        "where": {"type": "string", "description": "the parameter or member concerned"},
        "hint": {"type": "string", "description": "what is allowed and what to do next"},
    },
    "example": {"code": "unknown_segment", "message": "there is no segment 's99'", "where": "s99",
                "hint": "Segments: s01, s02, new."},
}  # fmt: skip
_CALL: Final = {
    "type": "track", "event": "Product Viewed", "userId": "17850", "messageId": "m1",
    "timestamp": "2026-05-01T10:00:00Z", "properties": {"product_id": "p1", "price": 9.5},
}  # fmt: skip
_TAKEN: Final = {
    "success": True, "received": 1, "accepted": 1, "duplicates": 0, "rejected": [],
}  # fmt: skip
_BATCHES: Final = ("batch", "b", "import")


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document of some endpoints and of collection."""
    paths: dict[str, dict[str, Any]] = {}
    for one in sorted(endpoints, key=lambda one: (_plain(one.path), one.method)):
        paths.setdefault(_plain(one.path), {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Shoal",
            "version": __version__,
            "summary": "Customer segments that move with the customers.",
            "description": "Keys are shown as a bearer token. Every error has `code` and "
            "`message`. Lists are read page by page: give `next` as `cursor`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {**_collection(), **paths},
        "components": {
            "schemas": {"Error": _ERROR},
            "responses": {f"E{status}": _error(words) for status, words in _ERRORS.items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer",
                        "description": "of a role: shoal keys SHOP --make NAME --role ROLE"},
                "writeKey": {"type": "http", "scheme": "basic",
                             "description": "the write key as user name, without a password"},
            },
        },
    }  # fmt: skip


def routes(endpoints: Sequence[Endpoint]) -> list[Route]:
    """The routes at which anybody may read it."""
    body = json.dumps(document(endpoints), ensure_ascii=False, separators=(",", ":")).encode()

    async def told(request: Request) -> Response:
        return Response(body, headers=HEADERS, media_type="application/json")

    return [Route(path, told) for path in PATHS]


def _plain(path: str) -> str:
    """A path as OpenAPI writes it.

    >>> _plain("/v1/customers/{customer_id:path}/history")
    '/v1/customers/{customer_id}/history'
    """
    return _PARAMETER.sub(r"{\1}", path)


def _operation(one: Endpoint) -> dict[str, Any]:
    own = dict(one.operation)
    told = {
        "name": None, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}
    }  # fmt: skip
    of_path = [{**told, "name": name} for name in _PARAMETER.findall(one.path)]
    responses = own.pop("responses", {"200": {"description": one.summary}})
    statuses = [status for status in _ERRORS if status not in responses]
    if not of_path and not own.get("parameters") and "requestBody" not in own:
        statuses = [status for status in statuses if status not in ("404", "413", "422")]
    roles = [role for role, allowed in ALLOWED.items() if one.permission in allowed]
    allowed = f"Asks for `{one.permission}`: {', '.join(roles)}."
    return {
        "operationId": _id_of(one),
        "summary": one.summary,
        **own,
        "description": " ".join(filter(None, (own.get("description"), allowed))),
        "parameters": [*of_path, *own.get("parameters", ())],
        "responses": {
            **responses,
            **{status: {"$ref": f"#/components/responses/E{status}"} for status in statuses},
        },
        "security": [{"key": []}],
        "x-permission": one.permission,
    }


def _id_of(one: Endpoint) -> str:
    """A name that no other operation has.

    >>> from shoal.service.api.openapi import _id
    >>> _id("GET", "/v1/customers/{customer_id:path}/history")
    'get_customers_customer_id_history'
    """
    return _id(one.method, one.path)


def _id(method: str, path: str) -> str:
    words = re.findall(r"\w+", _plain(path).removeprefix("/v1"))
    return "_".join([method.lower(), *words])


def _error(words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _collection() -> dict[str, Any]:
    """The routes of collection, as its own clients use them."""
    batch = {"type": "object", "required": ["batch"], "properties": {
        "batch": {"type": "array", "items": {"type": "object"}},
        "sentAt": {"type": "string"}, "writeKey": {"type": "string"}}}  # fmt: skip
    call = {"type": "object"}
    found = {f"/v1/{name}": _take(name, batch, {"batch": [_CALL]}) for name in _BATCHES}
    found |= {f"/v1/{name}": _take(name, call, _CALL) for name in TYPES if len(name) > 1}
    return found


def _take(name: str, schema: Mapping[str, Any], example: Any) -> dict[str, Any]:
    statuses = ("400", "401", "429", "503")
    seq = {"description": "customers who are moved past it know of these calls",
           "schema": {"type": "integer"}}  # fmt: skip
    return {"post": {
        "operationId": f"collect_{name}",
        "summary": "Collect calls, as Segment's HTTP API has them",
        "description": "200 means that every call is on disk. Also taken: gzip, any content type, "
        "the key as `writeKey` in the body.",
        "tags": ["collection"],
        "requestBody": {"required": True, "content": {
            "application/json": {"schema": schema, "example": example}}},
        "responses": {
            "200": {"description": "On disk.", "headers": {"x-shoal-seq": seq}, "content": {
                "application/json": {"schema": {"type": "object"}, "example": _TAKEN}}},
            **{one: {"$ref": f"#/components/responses/E{one}"} for one in statuses},
        },
        "security": [{"writeKey": []}, {}],
    }}  # fmt: skip
