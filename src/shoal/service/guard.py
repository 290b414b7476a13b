"""Who asks: every route of the API names what it allows, and what no role allows is denied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shoal.domain.access import ALLOWED, WRITE, Key
from shoal.domain.errors import ShoalError
from shoal.domain.limits import ServiceLimits
from shoal.service.access import Keyring
from shoal.service.answers import failure, failure_of, try_again
from shoal.service.limits import Buckets, bounded, client_of
from shoal.service.trail import Trail, tell

Handler = Callable[[Request, Key], Awaitable[Response]]


class Guard:
    """Lets requests pass whose key has a role that allows what they ask for.

    Args:
        keyring: the shop's keys.
        limits: how much one client may ask.
        trail: writes down who asked; None: nobody does.

    A key is shown as a bearer token (`Authorization: Bearer KEY`) and nowhere else: what stands in
    an address is written into logs. Who shows a valid one is never held back for what others at the
    same address do.
    """

    def __init__(
        self,
        keyring: Keyring,
        limits: ServiceLimits | None = None,
        trail: Trail | None = None,
    ) -> None:
        self._keyring = keyring
        self._limits = found = limits or ServiceLimits()
        self._trail = trail
        self._of_key = Buckets(found.key_per_second, found.key_burst)
        self._of_refused = Buckets(found.refused_per_second, found.refused_burst)

    async def answered(
        self, request: Request, permission: str, path: str, handle: Handler
    ) -> Response:
        """The handler's answer to who may ask, the refusal to anybody else.

        Args:
            path: of the route, with the names of its parameters.

        Raises:
            HTTPException: 413.
        """
        try:
            key = self._key_of(request)
        except ShoalError as error:  # the store that holds them does not answer
            return failure_of(error)
        refusal = self._refusal(request, key, permission)
        if key is None or refusal is not None:
            assert refusal is not None
            if self._trail is not None:
                self._trail.refused(request, key, permission, path, refusal.status_code)
            return refusal
        asked = bounded(request, self._limits.body_bytes)

        async def told() -> Response:
            try:
                return await handle(asked, key)
            except ShoalError as error:
                tell(asked, code=error.code)
                return failure_of(error)
            except ClientDisconnect:
                return failure(400, "cut_off", "The connection ended before the body did.")

        if self._trail is None:
            return await told()
        return await self._trail.held(asked, key, permission, path, told)

    def _key_of(self, request: Request) -> Key | None:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        return self._keyring.key_of(secret.strip()) if scheme.lower() == "bearer" else None

    def _refusal(self, request: Request, key: Key | None, permission: str) -> Response | None:
        """Why a request is not let in; None: it is."""
        if key is None:
            if seconds := self._of_refused.wait(client_of(request)):
                return _too_many("Too many requests without a valid key.", seconds)
            return failure(
                401, "unauthorized",
                "Show a valid key: Authorization: Bearer KEY (shoal keys SHOP --make NAME "
                "--role viewer).",
                {"www-authenticate": 'Bearer realm="shoal"'},
            )  # fmt: skip
        if seconds := self._of_key.wait(key.key_id):
            return _too_many(f"Too many requests of {key.key_id}.", seconds)
        if permission in ALLOWED.get(key.role, frozenset()):
            return None
        roles = ", ".join(role for role, allowed in ALLOWED.items() if permission in allowed)
        why = "A write key sends events and reads nothing. " if key.role == WRITE else ""
        return failure(
            403, "forbidden",
            f"{why}Role {key.role} may not do this ({permission}); allowed: {roles}.",
        )  # fmt: skip


def _too_many(message: str, seconds: int) -> Response:
    return try_again(429, "too_many_requests", message, seconds)
