"""Webhooks over HTTP: listed, made, removed, tried out, given another try."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from shoal.domain.access import WEBHOOKS_WRITE, Key
from shoal.domain.errors import UsageError
from shoal.domain.webhook import STANDARD
from shoal.service.answers import answer
from shoal.service.endpoint import Endpoint
from shoal.service.trail import tell

#: What each field of a new webhook may be.
_FIELDS: Final[Mapping[str, type]] = {
    "url": str, "shape": str, "segments": list, "channel": str, "since_seq": int,
}  # fmt: skip
_WEBHOOK: Final = {
    "webhook_id": "wh-0001", "url": "https://hooks.example.com/shoal", "shape": "standard",
    "segments": ["s03"], "channel": "", "made": "2026-05-01T10:00:00Z", "state": "on",
    "disabled": None, "reason": "",
}  # fmt: skip
_TOLD: Final = {
    **_WEBHOOK, "position": 812, "behind": 0, "tries": 0, "due": None, "failure": "",
    "messages": 3, "changes": 41, "left_out": 2, "succeeded": "2026-05-01T10:02:00Z",
}  # fmt: skip
_LETTER: Final = {
    "number": 1, "webhook_id": "wh-0001", "after_seq": 700, "until_seq": 731,
    "formed": "2026-04-27T10:00:00Z", "tries": 14, "reason": "it answered 503",
    "died": "2026-04-30T10:00:00Z", "retrying": False,
}  # fmt: skip


class WebhookKeeper(Protocol):
    """What is asked of a shop."""

    def webhooks(self) -> dict[str, Any]: ...

    def webhook(self, webhook_id: str) -> dict[str, Any]: ...

    def add_webhook(
        self,
        url: str,
        *,
        shape: str = STANDARD,
        segments: Sequence[str] = (),
        channel: str = "",
        since_seq: int | None = None,
        audit: bool = True,
    ) -> dict[str, Any]: ...

    def remove_webhook(self, webhook_id: str, *, audit: bool = True) -> dict[str, Any]: ...

    def retry_webhook(self, webhook_id: str, *, audit: bool = True) -> dict[str, Any]: ...

    def test_webhook(self, webhook_id: str) -> dict[str, Any]: ...


def webhook_endpoints(shop: WebhookKeeper) -> list[Endpoint]:
    """`/v1/webhooks` and what lies below it; a secret is told once, by what makes it."""

    async def listed(request: Request, key: Key) -> Response:
        return answer(await asyncio.to_thread(shop.webhooks))

    async def one(request: Request, key: Key) -> Response:
        return answer(await asyncio.to_thread(shop.webhook, _id(request)))

    async def add(request: Request, key: Key) -> Response:
        wanted = _wanted(await request.body())
        url = wanted.pop("url")
        made = await asyncio.to_thread(lambda: shop.add_webhook(url, **wanted, audit=False))
        tell(request, webhook_id=made["webhook_id"])
        return answer(made, 201)

    async def remove(request: Request, key: Key) -> Response:
        return answer(await asyncio.to_thread(shop.remove_webhook, _id(request), audit=False))

    async def retry(request: Request, key: Key) -> Response:
        return answer(await asyncio.to_thread(shop.retry_webhook, _id(request), audit=False))

    async def test(request: Request, key: Key) -> Response:
        return answer(await asyncio.to_thread(shop.test_webhook, _id(request)))

    path = "/v1/webhooks/{webhook_id}"
    return [
        Endpoint(
            "GET", "/v1/webhooks", WEBHOOKS_WRITE, listed,
            "Every webhook, how far it is told, and what was given up",
            _done("200", {"schema": "shoal.webhooks/1", "last_seq": 812,
                          "webhooks": [{**_TOLD, "dead_letters": 0}]}),
        ),
        Endpoint(
            "POST", "/v1/webhooks", WEBHOOKS_WRITE, add,
            "A new webhook; `secret` is told this once",
            {"requestBody": {"required": True, "content": _json(
                {"url": _WEBHOOK["url"], "shape": "standard", "segments": ["s03"]})},
             **_done("201", {"schema": "shoal.webhook/1", "secret": "whsec_...", **_WEBHOOK})},
        ),
        Endpoint(
            "GET", path, WEBHOOKS_WRITE, one, "One webhook with its dead letters",
            _done("200", {**_TOLD, "dead_letters": [_LETTER]}),
        ),
        Endpoint(
            "DELETE", path, WEBHOOKS_WRITE, remove, "Tell a receiver nothing more",
            _done("200", {"schema": "shoal.webhook/1", **_WEBHOOK,
                          "removed": "2026-05-02T10:00:00Z"}),
        ),
        Endpoint(
            "POST", f"{path}/test", WEBHOOKS_WRITE, test,
            "Send a message that tells of nobody, and say what came of it",
            _done("200", {"webhook_id": "wh-0001", "url": _WEBHOOK["url"],
                          "message_id": "msg_...", "delivered": True, "status": 204,
                          "failure": "", "answer": ""}),
        ),
        Endpoint(
            "POST", f"{path}/retry", WEBHOOKS_WRITE, retry,
            "Send at once what failed: the webhook is on, its dead letters are due",
            _done("200", {**_TOLD, "dead_letters": [{**_LETTER, "retrying": True}]}),
        ),
    ]  # fmt: skip


def _id(request: Request) -> str:
    return str(request.path_params["webhook_id"])


def _wanted(body: bytes) -> dict[str, Any]:
    """The settings of a new webhook, those that are told.

    Raises:
        UsageError: `usage`.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not told.keys() <= _FIELDS.keys() or "url" not in told:
        raise UsageError(
            "usage",
            f"the body is no JSON object of {', '.join(_FIELDS)}, or has no url",
            hint='Such as {"url": "https://hooks.example.com/shoal", "segments": ["s03"]}.',
        )
    found = {name: value for name, value in told.items() if value is not None or name == "url"}
    for name, value in found.items():
        names = value if isinstance(value, list) else []
        if (
            isinstance(value, bool)
            or not isinstance(value, _FIELDS[name])
            or not all(isinstance(one, str) for one in names)
        ):
            words = {"segments": "a list of texts", "since_seq": "a whole number"}
            raise UsageError("usage", f"{name} is not {words.get(name, 'a text')}", where=name)
    return found


def _done(status: str, example: Mapping[str, Any]) -> dict[str, Any]:
    return {"responses": {status: {"description": "Done", "content": _json(example)}}}


def _json(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"example": example}}
