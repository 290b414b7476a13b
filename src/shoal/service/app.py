"""The service's application: collection, health, and errors in one form."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shoal.config import CollectionConfig
from shoal.domain.errors import ShoalError
from shoal.domain.limits import ServiceLimits
from shoal.domain.version import __version__
from shoal.service.access import Keyring
from shoal.service.answers import answer, failure
from shoal.service.api import openapi
from shoal.service.api.metrics import Counters, Measured
from shoal.service.collection import Collection, Direct
from shoal.service.driver import Driver
from shoal.service.endpoint import Endpoint, open_to_all
from shoal.service.guard import Guard
from shoal.service.headers import Headers
from shoal.service.importing import HELD, Importing
from shoal.service.importing import PATH as IMPORT
from shoal.service.in_flight import Budget, InFlight
from shoal.service.routing import ByBeginning
from shoal.service.trail import Trail
from shoal.workflows.collecting import Collector

_LOG: Final = logging.getLogger("shoal.service")


def application(
    collector: Collector,
    keyring: Keyring,
    driver: Driver,
    endpoints: Sequence[Endpoint] = (),
    *,
    limits: ServiceLimits | None = None,
    trail: Trail | None = None,
    bounds: CollectionConfig | None = None,
    following: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    counters: Counters | None = None,
    webhooks: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
) -> Starlette:
    """Everything that the service answers.

    Args:
        endpoints: of the API; a route that is neither one of these, nor of collection, nor on the
            list of public ones is a programming mistake, and nothing is served.
        limits: how much one client may ask.
        trail: writes down who asks the API for what; None: nobody does.
        bounds: of what comes in at once, and of a bulk import.
        following: how files stand that are followed.
        counters: count what is answered.
        webhooks: how receivers stand; it may take a moment.
    """

    async def live(request: Request) -> Response:
        return answer({"status": "up", "version": __version__})

    async def ready(request: Request) -> Response:
        """Whether what is collected also becomes events."""
        told = driver.told()
        failed = told["failure"]
        if failed is None:
            receivers = await _standing(webhooks)
            files = [{name: one[name] for name in ("source", "state")} for one in following()]
            more = {"following": files, "recovered": told.get("recovered"),
                    "webhooks": receivers}  # fmt: skip
            return answer({"status": "ready", **{name: one for name, one in more.items() if one}})
        return failure(503, failed["code"], failed["message"], {"retry-after": "30"})

    guard = Guard(keyring, limits, trail)
    taking = Collection(collector, keyring, limits)
    bounds = bounds or CollectionConfig()
    collection = [*Importing(taking, bounds).routes(), *taking.routes()]
    in_flight = Middleware(InFlight, Budget(bounds.in_flight_bytes), {IMPORT: HELD})
    routes = [
        *collection,
        Route("/health", live),
        Route("/ready", ready),
        *openapi.routes(endpoints),
        *(one.route(guard) for one in endpoints),
    ]
    counters = counters or Counters()
    counters.known = frozenset(one.path for one in collection)
    if unguarded := open_to_all(routes, collection):
        raise TypeError(f"no permission is asked for at {', '.join(unguarded)}")
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Measured, counters),
            in_flight,
            Middleware(Direct, taking.collect),
            Middleware(Headers),
        ],
        exception_handlers={HTTPException: _refused, Exception: _unexpected},
    )
    app.router = ByBeginning(routes)
    return app


async def _standing(
    webhooks: Callable[[], Sequence[Mapping[str, Any]]],
) -> list[Mapping[str, Any]]:
    """How receivers stand. That one is gone, or that nobody can say, keeps no event from being
    stored and no customer from being moved: the service is ready all the same."""
    try:
        return list(await anyio.to_thread.run_sync(webhooks))
    except ShoalError as error:
        return [{"state": "unknown", "failure": error.code}]


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
