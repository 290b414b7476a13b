"""One request to an application without a network: what it is asked, and what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """What an application answered; `document` is its JSON, None where it has no body."""

    status: int
    headers: dict[str, str]
    document: Any


class Still:
    """Stands for a piece of a body that does not come."""


async def asking(
    app: Any,
    path: str,
    pieces: Sequence[bytes | Still] = (b"",),
    headers: dict[str, str] | None = None,
    method: str = "POST",
    *,
    broken_off: bool = False,
) -> Answer:
    """Ask once; a body that is `broken_off` ends with its connection."""
    sent: list[dict[str, Any]] = []
    waiting = list(pieces)

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        piece = waiting.pop(0)
        if isinstance(piece, Still):
            await asyncio.sleep(60)
            raise AssertionError("nobody waits so long")
        more = bool(waiting) or broken_off
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(message: Any) -> None:
        sent.append(message)

    told = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": told, "scheme": "http", "server": ("shop", 80),
        "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    text = b"".join(one.get("body", b"") for one in sent[1:])
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, json.loads(text) if text else None)


def asked(app: Any, path: str, *pieces: bytes | Still, **more: Any) -> Answer:
    """`asking`, waited for."""
    return asyncio.run(asking(app, path, pieces or (b"",), **more))
