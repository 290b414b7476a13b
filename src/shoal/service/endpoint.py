"""A route of the API as data: what is routed, guarded, documented and tested from one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shoal.service.guard import Guard, Handler

#: What is answered to anybody. Collection asks for its write key itself, wherever clients put it.
PUBLIC: Final = frozenset({"/health", "/ready", "/openapi.json", "/v1/openapi.json"})


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    Args:
        path: as Starlette writes it, such as `/v1/segments/{segment_id}`.
        permission: one of `shoal.domain.access.PERMISSIONS`.
        handle: is given the request and the key that asks.
        summary: one line for the documentation.
        operation: further fields of its OpenAPI operation (parameters, requestBody, responses).
    """

    method: str
    path: str
    permission: str
    handle: Handler
    summary: str
    operation: Mapping[str, Any] = field(default_factory=dict)

    def route(self, guard: Guard) -> Guarded:
        """The guarded route."""
        return Guarded(self, guard)


class Guarded(Route):
    """The route of an endpoint: nobody comes to its handler but through a guard."""

    def __init__(self, asked: Endpoint, guard: Guard) -> None:
        async def answered(request: Request) -> Response:
            return await guard.answered(request, asked.permission, asked.path, asked.handle)

        super().__init__(asked.path, answered, methods=[asked.method])
        self.asked = asked
        self.app = _answering(answered)


def _answering(answered: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """What answers a request, without the net that Starlette puts around every route: errors come
    to the one around all of them."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        found = await answered(Request(scope, receive, send))
        await found(scope, receive, send)

    return answering


def open_to_all(routes: Iterable[BaseRoute], collection: Iterable[BaseRoute]) -> list[str]:
    """Paths that are neither public, nor of collection, nor guarded: there may be none."""
    known = PUBLIC | {getattr(one, "path", "") for one in collection}
    paths = (one for one in routes if not isinstance(one, Guarded))
    return sorted({str(getattr(one, "path", one)) for one in paths} - known)
