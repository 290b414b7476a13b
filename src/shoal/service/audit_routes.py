"""The audit log over HTTP: pages of entries, oldest first, and the head of the chain."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from shoal.domain.access import AUDIT_READ, Key
from shoal.domain.errors import UsageError
from shoal.ports import AuditLog
from shoal.service.answers import answer
from shoal.service.endpoint import Endpoint
from shoal.workflows.audit import SCHEMA, head, page, verify

_LIMIT: Final = 100
_MOST: Final = 1_000
_ENTRY: Final = {
    "number": 1, "at": "2026-05-01T10:00:00Z", "before": "0" * 64, "digest": "9f" * 32,
    "who": {"via": "api", "key_id": "key-0002", "role": "analyst", "owner": "ann"},
    "action": "GET", "permission": "customers.read", "path": "/v1/customers/{customer_id}",
    "about": {"customer_id": "437d716ac40e553b"}, "outcome": "done", "status": 200,
}  # fmt: skip


def audit_endpoints(log: AuditLog) -> list[Endpoint]:
    """`/v1/audit`, and whether its chain holds."""

    async def entries(request: Request, key: Key) -> Response:
        after = _number(request, "after", 0, 1 << 62)
        limit = _number(request, "limit", _LIMIT, _MOST)
        return answer(await asyncio.to_thread(_page, log, after, max(limit, 1)))

    async def verification(request: Request, key: Key) -> Response:
        return answer(await asyncio.to_thread(verify, log))

    return [
        Endpoint(
            "GET", "/v1/audit", AUDIT_READ, entries, "Entries of the audit log, oldest first",
            {"parameters": [_parameter("after", "the number behind which the page begins"),
                            _parameter("limit", f"entries of a page, up to {_MOST}")],
             "responses": _responses({"schema": SCHEMA, "entries": [_ENTRY], "next": None,
                                      "head": {"number": 1, "digest": "9f" * 32}})},
        ),
        Endpoint(
            "GET", "/v1/audit/verification", AUDIT_READ, verification,
            "Walk the whole chain; 409 names the first entry that does not hold",
            {"responses": _responses({"schema": SCHEMA, "verified": True, "entries": 1,
                                      "head": {"number": 1, "digest": "9f" * 32}})},
        ),
    ]  # fmt: skip


def _page(log: AuditLog, after: int, limit: int) -> dict[str, Any]:
    found = page(log, after, limit + 1)
    more = len(found) > limit
    return {
        "schema": SCHEMA, "entries": found[:limit],
        "next": found[limit - 1]["number"] if more else None, "head": head(log),
    }  # fmt: skip


def _number(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query.

    Raises:
        UsageError: `usage`.
    """
    told = request.query_params.get(name)
    if told is None:
        return default
    if not (told.isascii() and told.isdigit() and len(told) < 20 and int(told) <= most):
        raise UsageError("usage", f"{name} is no whole number from 0 to {most:,}", where=name)
    return int(told)


def _parameter(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description,
            "schema": {"type": "integer", "minimum": 0}}  # fmt: skip


def _responses(example: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "Done", "content": {"application/json": {"example": example}}}}
