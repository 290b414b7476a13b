"""Answers of the service: JSON always, and errors that every client understands.

Clients of the field read an error's `code` and `message`, and send a permanent failure again where
either is missing; so every error body holds both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

#: Said with every answer.
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def answer(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, {**HEADERS, **(headers or {})}, media_type="application/json")


def failure(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error: what a machine and what a person reads of it."""
    return answer({"code": code, "message": message}, status, headers)


def try_again(status: int, code: str, message: str, seconds: int) -> Response:
    """An error that passes: when to come again, in whole seconds, which all clients read."""
    return failure(status, code, message, {"retry-after": str(seconds)})
