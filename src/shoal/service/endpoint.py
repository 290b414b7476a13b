"""A route of the API as data: what is routed, guarded, documented and tested from one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shoal.domain.access import Key
from shoal.service.guard import Guard

Handler = Callable[[Request, Key], Awaitable[Response]]


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

    def route(self, guard: Guard) -> Route:
        """The guarded route."""

        async def guarded(request: Request) -> Response:
            key = await guard.admit(request, self.permission)
            return key if isinstance(key, Response) else await self.handle(request, key)

        return Route(self.path, guarded, methods=[self.method])
