"""Who asks: every route of the API names what it allows, and what no role allows is denied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from shoal.domain.access import ALLOWED, WRITE, Key
from shoal.service.access import Keyring
from shoal.service.answers import failure

Handler = Callable[[Request, Key], Awaitable[Response]]


class Guard:
    """Lets requests pass whose key has a role that allows what they ask for.

    Args:
        keyring: the shop's keys.

    A key is shown as a bearer token (`Authorization: Bearer KEY`) and nowhere else: what stands in
    an address is written into logs.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def answered(
        self, request: Request, permission: str, path: str, handle: Handler
    ) -> Response:
        """The handler's answer to who may ask, the refusal to anybody else.

        Args:
            path: of the route, with the names of its parameters.
        """
        key = await self.admit(request, permission)
        return key if isinstance(key, Response) else await handle(request, key)

    async def admit(self, request: Request, permission: str) -> Key | Response:
        """The key that asks; the refusal where it may not."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        key = self._keyring.key_of(secret.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            return failure(
                401, "unauthorized",
                "Show a valid key: Authorization: Bearer KEY (shoal keys SHOP --make NAME "
                "--role viewer).",
                {"www-authenticate": 'Bearer realm="shoal"'},
            )  # fmt: skip
        if permission not in ALLOWED.get(key.role, frozenset()):
            roles = ", ".join(role for role, allowed in ALLOWED.items() if permission in allowed)
            why = "A write key sends events and reads nothing. " if key.role == WRITE else ""
            return failure(
                403, "forbidden",
                f"{why}Role {key.role} may not do this ({permission}); allowed: {roles}.",
            )  # fmt: skip
        return key
