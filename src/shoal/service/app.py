"""The service's application: everything that it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shoal.config import CollectionConfig
from shoal.domain.errors import ShoalError
from shoal.domain.limits import ServiceLimits
from shoal.service.access import Keyring
from shoal.service.answers import answer, failure
from shoal.service.api import openapi
from shoal.service.collection import Collection
from shoal.service.counters import Counters
from shoal.service.driver import Driver
from shoal.service.endpoint import Endpoint, open_to_all
from shoal.service.front import answering, collecting, live
from shoal.service.guard import Guard
from shoal.service.trail import Trail
from shoal.workflows.collecting import Collector


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
    workers: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    partitions: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
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
        workers: processes that take requests, where there are several.
        partitions: processes among which customers are divided, where there are several.
    """

    async def ready(request: Request) -> Response:
        """Whether what is collected also becomes events."""
        told = driver.told()
        failed = told["failure"]
        if failed is None:
            receivers = await _standing(webhooks)
            files = [{name: one[name] for name in ("source", "state")} for one in following()]
            more = {"following": files, "recovered": told.get("recovered"),
                    "webhooks": receivers, "workers": workers(),
                    "partitions": partitions()}  # fmt: skip
            return answer({"status": "ready", **{name: one for name, one in more.items() if one}})
        return failure(503, failed["code"], failed["message"], {"retry-after": "30"})

    guard = Guard(keyring, limits, trail)
    bounds = bounds or CollectionConfig()
    taking = Collection(collector, keyring, limits)
    collection = collecting(taking, bounds)
    routes = [
        *collection,
        Route("/health", live),
        Route("/ready", ready),
        *openapi.routes(endpoints),
        *(one.route(guard) for one in endpoints),
    ]
    if unguarded := open_to_all(routes, collection):
        raise TypeError(f"no permission is asked for at {', '.join(unguarded)}")
    return answering(routes, collection, taking, bounds, counters or Counters())


async def _standing(
    webhooks: Callable[[], Sequence[Mapping[str, Any]]],
) -> list[Mapping[str, Any]]:
    """How receivers stand. That one is gone, or that nobody can say, keeps no event from being
    stored and no customer from being moved: the service is ready all the same."""
    try:
        return list(await anyio.to_thread.run_sync(webhooks))
    except ShoalError as error:
        return [{"state": "unknown", "failure": error.code}]
