"""What is done about every request, and what a worker answers: collection and health.

It loads little: a worker begins in a second, and holds a fraction of what the whole service does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shoal.config import CollectionConfig
from shoal.domain.limits import ServiceLimits
from shoal.domain.version import __version__
from shoal.service.access import Keyring
from shoal.service.answers import answer, failure
from shoal.service.collection import Collection, Direct
from shoal.service.counters import Counters, Measured
from shoal.service.headers import Headers
from shoal.service.importing import HELD, Importing
from shoal.service.importing import PATH as IMPORT
from shoal.service.in_flight import Budget, InFlight
from shoal.service.routing import ByBeginning
from shoal.workflows.collecting import Collector

_LOG: Final = logging.getLogger("shoal.service")
#: Of what may be in flight a worker has so much at least: the largest body, packed and expanded.
_LEAST_MIB: Final = 12


def front(
    collector: Collector,
    keyring: Keyring,
    others: ASGIApp,
    *,
    share: int,
    limits: ServiceLimits,
    bounds: CollectionConfig,
    counters: Counters,
) -> ASGIApp:
    """What one of several workers answers: collection and health, and `others` all else.

    Args:
        share: how many workers there are. Each has this part of what a source may send in a second
            and of what may be in flight, so that together they take no more than one process does.
        counters: count what is answered here.
    """
    part = replace(
        limits,
        collect_per_second=limits.collect_per_second / share,
        collect_burst=max(limits.collect_burst // share, 1),
    )
    mib = min(bounds.in_flight_mib, max(bounds.in_flight_mib // share, _LEAST_MIB))
    bounds = replace(bounds, in_flight_mib=mib)
    taking = Collection(collector, keyring, part)
    collection = collecting(taking, bounds)
    own = [*collection, Route("/health", live)]
    return _Apart(answering(own, collection, taking, bounds, counters), own, others)


class _Apart:
    """Has one application answer the paths of its routes, and another one everything else."""

    def __init__(self, app: ASGIApp, own: Sequence[Route], others: ASGIApp) -> None:
        self._app, self._others = app, others
        beginnings = {one.path.partition("{") for one in own}
        self._paths = frozenset(path.rstrip("/") for path, more, _ in beginnings if not more)
        self._beginnings = tuple({path for path, more, _ in beginnings if more})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        own = path.rstrip("/") in self._paths or path.startswith(self._beginnings)
        await (self._app if own else self._others)(scope, receive, send)


def collecting(taking: Collection, bounds: CollectionConfig) -> list[Route]:
    """The routes of collection."""
    return [*Importing(taking, bounds).routes(), *taking.routes()]


def answering(
    routes: Sequence[BaseRoute],
    collection: Sequence[Route],
    taking: Collection,
    bounds: CollectionConfig,
    counters: Counters,
) -> Starlette:
    """Routes, with all that is done about every request."""
    counters.known = frozenset(one.path for one in collection)
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Measured, counters),
            Middleware(InFlight, Budget(bounds.in_flight_bytes), {IMPORT: HELD}),
            Middleware(Direct, taking.collect),
            Middleware(Headers),
        ],
        exception_handlers={HTTPException: _refused, Exception: _unexpected},
    )
    app.router = ByBeginning(routes)
    return app


async def live(request: Request) -> Response:
    """That the service answers."""
    return answer({"status": "up", "version": __version__})


async def _refused(request: Request, error: Exception) -> Response:
    """What the router refuses: an unknown path, or another method than a path has."""
    assert isinstance(error, HTTPException)
    code, message = {
        404: ("not_found", f"There is nothing at {request.url.path}."),
        405: ("bad_method", f"{request.method} is not for {request.url.path}."),
        413: ("too_large", str(error.detail)),
    }.get(error.status_code, ("refused", str(error.detail)))
    return failure(error.status_code, code, message, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    """The last net: a client gets a form it can read, the details go to the log."""
    _LOG.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    return failure(500, "internal", "The service failed. It is logged there.")
