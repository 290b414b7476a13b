"""One request to an application, without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Told:
    """What was answered."""

    status: int
    headers: dict[str, str]
    document: Any


def call(
    app: Any, method: str, path: str, *, key: str = "", body: bytes | Sequence[bytes] = b"",
    query: str = "", address: str = "203.0.113.7", headers: dict[str, str] | None = None,
) -> Told:  # fmt: skip
    """What an application answers to one request.

    Args:
        key: shown as a bearer token; empty: none is.
        body: in pieces: without saying how long it is.
    """
    sent: list[dict[str, Any]] = []
    pieces = [body] if isinstance(body, bytes) else list(body)
    given = dict(headers or {})
    if key:
        given["authorization"] = f"Bearer {key}"
    if isinstance(body, bytes):
        given["content-length"] = str(len(body))

    read = False

    async def receive() -> dict[str, Any]:
        nonlocal read
        if read:  # a client that waits for its answer says nothing more
            await asyncio.Event().wait()
        piece = pieces.pop(0) if pieces else b""
        read = not pieces
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "scheme": "http", "server": ("shop", 80),
        "client": (address, 5), "http_version": "1.1", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    text = b"".join(one.get("body", b"") for one in sent[1:])
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    json_told = "json" in found.get("content-type", "")
    return Told(sent[0]["status"], found, json.loads(text) if text and json_told else None)
