"""Keys of the service over HTTP: listed, made, revoked, by who may manage them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from shoal.domain.access import KEYS_MANAGE, ROLES, WRITE, Key
from shoal.domain.errors import UsageError
from shoal.service.answers import answer
from shoal.service.endpoint import Endpoint
from shoal.service.trail import tell
from shoal.workflows.keys import MOST_DAYS

_FIELDS: Final = ("name", "role", "days")
_KEY: Final = {
    "key_id": "key-0002", "role": "viewer", "source": "board", "beginning": "shoal_viewer_Qx7",
    "made": "2026-05-01T10:00:00Z", "expires": None, "revoked": None, "state": "valid",
}  # fmt: skip


class KeyKeeper(Protocol):
    """What is asked of a shop."""

    def keys(self) -> dict[str, Any]: ...

    def make_key(
        self, source: str, *, role: str = WRITE, days: float | None = None, audit: bool = True
    ) -> dict[str, Any]: ...

    def revoke_key(
        self, key_id: str, *, keep_admin: bool = False, audit: bool = True
    ) -> dict[str, Any]: ...


def key_endpoints(shop: KeyKeeper) -> list[Endpoint]:
    """`/v1/keys` and what lies below it; a secret is told once, by what makes it."""

    async def listed(request: Request, key: Key) -> Response:
        return answer(await asyncio.to_thread(shop.keys))

    async def make(request: Request, key: Key) -> Response:
        name, role, days = _wanted(await request.body())
        made = await asyncio.to_thread(shop.make_key, name, role=role, days=days, audit=False)
        tell(request, key_id=made["key_id"], role=made["role"])
        return answer(made, 201)

    async def revoke(request: Request, key: Key) -> Response:
        key_id = request.path_params["key_id"]
        return answer(
            await asyncio.to_thread(shop.revoke_key, key_id, keep_admin=True, audit=False)
        )

    return [
        Endpoint(
            "GET", "/v1/keys", KEYS_MANAGE, listed, "Every key, without what opens anything",
            {"responses": _responses("200", {"schema": "shoal.keys/1", "keys": [_KEY]})},
        ),
        Endpoint(
            "POST", "/v1/keys", KEYS_MANAGE, make, "A new key; `key` is told this once",
            {"requestBody": {
                "required": True, "content": _json({"name": "board", "role": "viewer"})},
             "responses": _responses(
                 "201", {"schema": "shoal.key/1", "key": "shoal_viewer_...", **_KEY})},
        ),
        Endpoint(
            "DELETE", "/v1/keys/{key_id}", KEYS_MANAGE, revoke,
            "Let a key open nothing any more; 409: it is the last of an administrator",
            {"responses": _responses("200", {"schema": "shoal.key/1", **_KEY, "state": "revoked"})},
        ),
    ]  # fmt: skip


def _wanted(body: bytes) -> tuple[str, str, float | None]:
    """Name, role and days of a body.

    Raises:
        UsageError: `usage`.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not told.keys() <= set(_FIELDS):
        raise UsageError(
            "usage",
            "the body is no JSON object of name, role and days",
            hint='Such as {"name": "board", "role": "viewer", "days": 90}.',
        )
    name, role, days = (told.get(field) for field in _FIELDS)
    if not isinstance(name, str) or not isinstance(role, str) or role not in ROLES:
        raise UsageError(
            "usage", "name or role is missing, or no such role", hint=f"Roles: {', '.join(ROLES)}."
        )
    if days is None:
        return name, role, None
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= MOST_DAYS:
        raise UsageError(
            "usage", "days is no number of days", hint=f"Allowed: above 0, up to {MOST_DAYS}."
        )
    return name, role, float(days)


def _json(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"example": example}}


def _responses(status: str, example: Mapping[str, Any]) -> dict[str, Any]:
    return {status: {"description": "Done", "content": _json(example)}}
