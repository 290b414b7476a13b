"""An operation of the API: what it takes, read and checked; work in a thread; documentation.

From one declaration come the endpoint, the refusal of what it does not take, and its part of the
OpenAPI document.
"""

from __future__ import annotations

import asyncio
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
from shoal.domain.time import iso
from shoal.service.answers import Prepared, answer, failure, raw_headers
from shoal.service.api.asked import Asked, Body, read
from shoal.service.api.parameters import MAX_WAIT, MIN_SEQ, Parameter
from shoal.service.api.problems import Refused
from shoal.service.endpoint import Endpoint

#: Threads for reads that take milliseconds, and for those that take longer: neither waits for the
#: other, and collection has threads of its own.
_QUICK: Final = 4
_SLOW: Final = 3
_POLL_S: Final = 0.02


Work = Callable[[Asked], Any]
#: The text of an answer, if it is at hand.
AtHand = Callable[[Asked], str | None]
#: Headers of such an answer.
_SAID: Final = raw_headers({})


@dataclass(frozen=True)
class Operation:
    """One operation.

    Args:
        work: gives a JSON document or an answer; it runs in a thread, and may raise `ShoalError`
            and `Refused`.
        at_hand: asked first, without a thread, so it takes well under a millisecond; a JSON text,
            or None, and then the work is done. It raises nothing.
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
    at_hand: AtHand | None = None
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
                asked = await read(request, key, one.query, one.body)
                if asked.query.get("min_seq") is not None:
                    await self._wait(asked.query["min_seq"], asked.query["max_wait"])
                if one.at_hand is not None and (text := one.at_hand(asked)) is not None:
                    return Prepared(text.encode("utf-8", "replace"), _SAID)
                limiter = self._slow if one.slow else self._quick
                found = await anyio.to_thread.run_sync(one.work, asked, limiter=limiter)
            except Refused as error:
                return error.response()
            except ClientDisconnect:
                return failure(400, "cut_off", "The connection ended before the body did.")
            return found if isinstance(found, Response) else as_answer(found, one.status)

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


def as_answer(document: Any, status: int = 200) -> Response:
    """A document as an answer; most are JSON as they are."""
    try:
        return answer(document, status, strict=True)
    except (TypeError, ValueError):
        return answer(plain(document), status)


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
