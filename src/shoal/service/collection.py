"""Collection, as Segment's HTTP API has it: official clients work unchanged against it.

200 means that every call of the request is on disk. What can never succeed is answered with 400 or
401, what passes with 429 or 503 and `Retry-After`; no path is ever redirected, because clients
follow a redirect without their events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shoal.domain.errors import OperationError
from shoal.domain.limits import ServiceLimits
from shoal.events.collected import (
    MAX_BODY,
    TYPES,
    BodyError,
    Envelope,
    Judged,
    expanded,
    opened,
    told_size,
)
from shoal.service.access import Keyring, shown_keys
from shoal.service.answers import Prepared, answer, failure, raw_headers, try_again
from shoal.service.limits import Buckets
from shoal.workflows.collecting import BusyError, Collector

_LOG: Final = logging.getLogger("shoal.service")
#: Paths below `/v1/` whose body says the type of each of its calls.
_BATCHES: Final = ("batch", "b", "import")
CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, x-retry-count, x-write-key, "
    "content-encoding",
    "access-control-max-age": "86400",
}
#: Said with every answer 200.
_SAID: Final = raw_headers(CORS)
#: Bytes of a body that is read without another thread.
_QUICK: Final = 1 << 16
#: Bytes of a body, expanded, from which on one is read after the other.
_LARGE: Final = 1 << 18
_BUSY_S: Final = 1
_FULL_S: Final = 30


_PATHS: Final = (*(f"/v1/{name}" for name in (*_BATCHES, *TYPES)), "/beacon/v1/batch")


class Direct:
    """Lets requests that bring calls go to collection without the router's detours.

    There are many more of these than of all others, and matching routes and wrapping the answer
    costs as much as taking the call. Everything else, and every other method, goes on to `app`.
    """

    def __init__(self, app: ASGIApp, collect: Callable[[Request], Awaitable[Response]]) -> None:
        self._app, self._collect = app, collect
        paths = [path for path in _PATHS if path != "/v1/import"]
        self._paths = frozenset({*paths, *(f"{path}/" for path in paths)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths:
            found = await self._collect(Request(scope, receive, send))
            await found(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Collection:
    """The routes of collection.

    Args:
        collector: where calls go.
        keyring: who may send.
        limits: how often a source may; None: as often as it likes.
    """

    def __init__(
        self, collector: Collector, keyring: Keyring, limits: ServiceLimits | None = None
    ) -> None:
        self.collector, self.keyring = collector, keyring
        found = limits or ServiceLimits()
        self._of_source = Buckets(found.collect_per_second, found.collect_burst)
        # Large ones one after the other: what JSON becomes takes many times its bytes. A thread of
        # their own, so that others do not wait behind them.
        self._large = ThreadPoolExecutor(1, "large-bodies")

    def routes(self) -> list[Route]:
        """Every path with and without a slash at its end: none is ever redirected."""
        found = [route(path, self.collect) for path in _PATHS]
        found.append(route("/v1/m", self.metrics))
        found.append(route("/v1/projects/{key}/settings", self.settings, "GET"))
        return [one for pair in found for one in pair]

    async def collect(self, request: Request) -> Response:
        """Take the calls of a request; answers once they are on disk."""
        received_at = self.collector.clock()
        try:
            body = await _body(request)
            encoding, kind = request.headers.get("content-encoding", ""), _type_of(request)
            # Megabytes of JSON take a tenth of a second, in which others are to be answered; what
            # is small is read in less time than another thread takes to begin.
            if len(body) > _QUICK or encoding:
                envelope, judged = await asyncio.get_running_loop().run_in_executor(
                    self._large if told_size(body) > _LARGE else None,
                    self._read, body, encoding, kind, received_at,
                )  # fmt: skip
            else:
                envelope, judged = self._read(body, encoding, kind, received_at)
        except BodyError as error:
            return failure(400, error.code, error.message, CORS)
        except ClientDisconnect:
            return failure(400, "cut_off", "The connection ended before the body did.")
        source = self.source(request, envelope.write_key)
        if isinstance(source, Response):
            return source
        try:
            loop = asyncio.get_running_loop()
            written: asyncio.Future[list[bool]] = loop.create_future()
            self.collector.submit_for(
                written, loop.call_soon_threadsafe, source, judged, received_at
            )
            new = await written
        except BusyError:
            return _passing(429, "busy", "Too many calls wait to be written.", _BUSY_S)
        except OperationError as error:
            _LOG.error("calls were not taken: %s", error.message)
            return _passing(503, error.code, error.message, _FULL_S)
        seq = (b"x-shoal-seq", b"%d" % self.collector.written)
        return Prepared(self.collector.taken(judged, new).as_json(), [*_SAID, seq])

    def _read(
        self, body: bytes, encoding: str, kind: str | None, received_at: datetime
    ) -> tuple[Envelope, list[Judged]]:
        envelope = opened(expanded(body, encoding), kind)
        return envelope, self.collector.judged(envelope, received_at)

    def source(self, request: Request, of_body: str | None) -> str | Response:
        """The source of the request's key, or why there is none.

        Args:
            of_body: the key that the body names.
        """
        shown = shown_keys(request, of_body)
        if not shown:
            return failure(
                401, "no_key",
                "No write key was sent: as HTTP Basic user, or writeKey in the body.", CORS,
            )  # fmt: skip
        if len(shown) > 1:
            return failure(401, "bad_key", "Two different write keys were sent.", CORS)
        try:
            source = self.keyring.source_of(shown.pop())
        except OperationError as error:
            _LOG.error("keys cannot be read: %s", error.message)
            return _passing(503, error.code, error.message, _FULL_S)
        if source is None:
            return failure(401, "bad_key", "The write key is not known, expired or revoked.", CORS)
        if seconds := self._of_source.wait(source):
            return _passing(429, "too_many_requests", f"Too many requests of {source}.", seconds)
        return source

    async def metrics(self, request: Request) -> Response:
        """What browser clients say of themselves: taken, and let go."""
        return answer({"success": True}, headers=CORS)

    async def settings(self, request: Request) -> Response:
        """What a browser client loads before it sends: that there is one destination, this one."""
        key = request.path_params["key"]
        if self.keyring.source_of(key) is None:
            return failure(404, "bad_key", "The write key is not known, expired or revoked.", CORS)
        host = request.url.netloc
        return answer(
            {"integrations": {"Segment.io": {
                "apiKey": key, "apiHost": f"{host}/v1", "protocol": request.url.scheme,
                "unbundledIntegrations": [], "addBundledMetadata": True}},
             "plan": {}, "edgeFunction": {}, "metrics": {"sampleRate": 0.0}},
            headers=CORS,
        )  # fmt: skip


def route(path: str, endpoint: object, method: str = "POST") -> tuple[Route, Route]:
    async def handle(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=CORS)
        found: Response = await endpoint(request)  # type: ignore[operator]
        return found

    return (
        Route(path, handle, methods=[method, "OPTIONS"]),
        Route(f"{path}/", handle, methods=[method, "OPTIONS"]),
    )


def _type_of(request: Request) -> str | None:
    """The type that a path says, for bodies of one call."""
    return TYPES.get(request.scope["path"].rstrip("/").rpartition("/")[2])


async def _body(request: Request) -> bytes:
    """The raw body, no further than it may go.

    Raises:
        BodyError: `too_large`.
    """
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY:
            raise BodyError(
                "too_large", f"The body is larger than {MAX_BODY:,} bytes. Send smaller batches."
            )
        pieces.append(piece)
    return b"".join(pieces)


def _passing(status: int, code: str, message: str, seconds: int) -> Response:
    found = try_again(status, code, message, seconds)
    found.headers.update(CORS)
    return found
