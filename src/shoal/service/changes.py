"""`GET /v1/changes`: who changed segment, as server-sent events or page by page.

What is told is read from the membership log, and a client's place in it is a position that it shows
again when it comes back. So nothing is queued for a client but the page in hand, nothing is lost
over a restart, and a client that was away goes on where it was.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shoal.domain.access import CUSTOMERS_READ, Key
from shoal.domain.change import Change
from shoal.domain.errors import ShoalError, UsageError
from shoal.ports import StateStore
from shoal.service.answers import HEADERS, answer, failure, try_again
from shoal.service.endpoint import Endpoint
from shoal.workflows.changes import SCHEMA, Page, listed, page_after

_LOG: Final = logging.getLogger("shoal.service")
STREAMS: Final = 64
_HEARTBEAT_S: Final = 15.0
#: A client that takes nothing for so long is let go; it has as long again to hear of it.
_SLOW_S: Final = 20.0
_GRACE_S: Final = 5.0
_LOOK_S: Final = 0.25
#: Events that are handed to the connection at once.
_AT_ONCE: Final = 50
_MOST: Final = 1_000
_USUAL: Final = 100
_HIGHEST: Final = 2**63 - 1
_STREAM: Final = "text/event-stream"
_JSON: Final = "application/json"
_SEGMENTS: Final = 100
_BUSY_S: Final = 5
#: A browser comes back after so many milliseconds.
_RETRY_MS: Final = 2_000

_CHANGE: Final = {
    "seq": 812, "customer_id": "17850", "segmentation_id": "kmeans-0002", "from": "s01",
    "to": "s03", "cause": "event", "weight": 0.83, "margin": 0.41, "since": "2026-05-01T10:00:00Z",
}  # fmt: skip


class ChangeFeed:
    """Streams of changes, and what they share: one look at the log for all that are up to date.

    Args:
        log: the membership log.
        still_valid: whether a key opens anything yet; asked as long as a stream lasts.
        most: streams at once.
        heartbeat_s: seconds after which a stream says that it lives.
        slow_s, grace_s: seconds in which a client has to take a page, and to hear that it did not.
        look_s: how often it is looked for changes.
    """

    def __init__(
        self,
        log: StateStore,
        still_valid: Callable[[Key], bool],
        *,
        most: int = STREAMS,
        heartbeat_s: float = _HEARTBEAT_S,
        slow_s: float = _SLOW_S,
        grace_s: float = _GRACE_S,
        look_s: float = _LOOK_S,
    ) -> None:
        self._log, self.still_valid, self._most = log, still_valid, most
        self.heartbeat_s, self.slow_s, self.grace_s = heartbeat_s, slow_s, grace_s
        self._look_s = look_s
        self.streams = 0
        self.stopping = False
        self._last = 0
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._reading: dict[int, asyncio.Task[Page]] = {}

    def endpoints(self) -> list[Endpoint]:
        """`/v1/changes`."""
        return [
            Endpoint(
                "GET", "/v1/changes", CUSTOMERS_READ, self.read,
                "Changes of membership: a stream of events, or a page of them as JSON", _OPERATION,
            )
        ]  # fmt: skip

    def stop(self) -> None:
        """End every stream, so that nobody waits for them; called in the loop that serves them."""
        self.stopping = True
        self._news.set()

    async def read(self, request: Request, key: Key) -> Response:
        """A stream, or a page where JSON is asked for."""
        wanted = _wanted(request.headers.get("accept", ""))
        segments = _segments(request)
        since = _position(request, "since_seq")
        if wanted is None:
            return failure(406, "not_acceptable", f"Accept {_STREAM} or {_JSON}.")
        if wanted == _JSON:
            most = _limit(request)
            found = await asyncio.to_thread(listed, self._log, since or 0, most, segments)
            return answer(found)
        shown = _resumed(request)
        if self.stopping or self.streams >= self._most:
            return try_again(429, "too_many_streams", "Too many streams are open.", _BUSY_S)
        last = await asyncio.to_thread(self._log.last_membership)
        after = shown if shown is not None else since
        # Whoever was further than the log is was told by one that a backup took the place of.
        return _Stream(self, key, last if after is None else min(after, last), segments)

    async def page(self, after: int) -> Page:
        """The changes behind a position; streams that are at the same one share it."""
        reading = self._reading.get(after)
        if reading is None:
            reading = asyncio.create_task(asyncio.to_thread(page_after, self._log, after))
            self._reading[after] = reading
            reading.add_done_callback(lambda _: self._reading.pop(after, None))
        return await asyncio.shield(reading)

    async def news(self, place: int) -> bool:
        """Wait for something behind a position, as long as a heartbeat is; whether there is."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            # `wait_for` may lose that it is cancelled where there is news at the same moment.
            async with asyncio.timeout(self.heartbeat_s):
                while self._last <= place and not self.stopping:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        """Look for changes as long as anybody waits for them."""
        while self.streams and not self.stopping:
            try:
                last = await asyncio.to_thread(self._log.last_membership)
            except ShoalError as error:
                _LOG.error("changes cannot be looked for: %s", error.message)
                last = self._last
            if last != self._last:
                self._last = last
                news, self._news = self._news, asyncio.Event()
                news.set()
            await asyncio.sleep(self._look_s)


class _Stream(Response):
    """One client's stream.

    Args:
        after: the position behind which it begins.
        segments: only into or out of these; none: all.
    """

    def __init__(self, feed: ChangeFeed, key: Key, after: int, segments: frozenset[str]) -> None:
        self._feed, self._key, self._place, self._segments = feed, key, after, segments
        super().__init__(b"", 200, {**HEADERS, "x-accel-buffering": "no"}, media_type=_STREAM)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        feed = self._feed
        feed.streams += 1
        telling = asyncio.create_task(self._told(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            feed.streams -= 1
            for one in (telling, leaving):
                one.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)

    async def _told(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            await self._taken(send, f"retry: {_RETRY_MS}\n\n")
            code, message = await self._followed(send)
        except TimeoutError:
            code, message = "too_slow", "Events were not taken in time; come back to go on."
        except ShoalError as error:
            code, message = error.code, error.message
        last = _event("closed", {"code": code, "message": message, "seq": self._place})
        try:
            async with asyncio.timeout(self._feed.grace_s):
                await send({"type": "http.response.body", "body": last.encode()})
        except TimeoutError:
            _LOG.warning("a stream of %s ended: its client takes nothing", self._key.key_id)

    async def _followed(self, send: Send) -> tuple[str, str]:
        """Tell of changes as they come; why there are no more.

        Raises:
            TimeoutError: the client is too slow.
            OperationError: the log cannot be read.
        """
        feed = self._feed
        while True:
            if feed.stopping:
                return "stopping", "The service stops; come back to go on."
            if not feed.still_valid(self._key):
                return "unauthorized", "The key is not valid any more."
            page = await feed.page(self._place)
            found = page.touching(self._segments)
            for start in range(0, len(found), _AT_ONCE):
                part = found[start : start + _AT_ONCE]
                await self._taken(send, "".join(map(_changed, part)))
                self._place = part[-1].sequence
            if page.until > self._place:  # a place without an event: it is not read again
                await self._taken(send, f"id: {page.until}\n\n")
                self._place = page.until
            if not page.more and not await feed.news(self._place):
                await self._taken(send, ": heartbeat\n\n")

    async def _taken(self, send: Send, text: str) -> None:
        async with asyncio.timeout(self._feed.slow_s):
            await send(
                {"type": "http.response.body", "body": text.encode("utf-8", "backslashreplace"),
                 "more_body": True}
            )  # fmt: skip


async def _left(receive: Receive) -> None:
    """Until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _changed(change: Change) -> str:
    return _event("membership.changed", change.as_document(), change.sequence)


def _event(kind: str, document: dict[str, Any], place: int | None = None) -> str:
    told = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    head = "" if place is None else f"id: {place}\n"
    return f"{head}event: {kind}\ndata: {told}\n\n"


# -- what is asked ---------------------------------------------------------------------------------


def _wanted(accept: str) -> str | None:
    """What a client prefers, the stream if it has no preference; None: neither."""
    weights = {_STREAM: 0.0, _JSON: 0.0}
    for part in filter(None, map(str.strip, (accept or "*/*").lower().split(","))):
        name, _, more = part.partition(";")
        weight = _quality(more)
        for kind in weights:
            if name.strip() in (kind, "*/*", kind.partition("/")[0] + "/*"):
                weights[kind] = max(weights[kind], weight)
    best = max(weights, key=lambda kind: weights[kind])
    return best if weights[best] > 0 else None


def _quality(parameters: str) -> float:
    for one in parameters.split(";"):
        name, _, value = one.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 1.0
    return 1.0


def _segments(request: Request) -> frozenset[str]:
    told = [
        name for text in request.query_params.getlist("segment") for name in text.split(",") if name
    ]
    if len(told) > _SEGMENTS:
        raise UsageError("usage", f"more than {_SEGMENTS} segments were named")
    return frozenset(told)


def _position(request: Request, name: str) -> int | None:
    return _whole(request.query_params.get(name), name, 0, _HIGHEST)


def _resumed(request: Request) -> int | None:
    return _whole(request.headers.get("last-event-id") or None, "Last-Event-ID", 0, _HIGHEST)


def _limit(request: Request) -> int:
    return _whole(request.query_params.get("limit"), "limit", 1, _MOST) or _USUAL


def _whole(text: str | None, name: str, least: int, most: int) -> int | None:
    """A whole number of a request; None: it names none.

    Raises:
        UsageError: `usage`.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise UsageError(
        "usage", f"{name} is no whole number that is allowed", where=name,
        hint=f"Allowed: {least} to {most}.",
    )  # fmt: skip


def _parameter(name: str, place: str, words: str, kind: str = "integer") -> dict[str, Any]:
    return {"name": name, "in": place, "description": words, "schema": {"type": kind}}


_OPERATION: Final = {
    "parameters": [
        _parameter("since_seq", "query", "Behind this position of the log. Default: of a stream "
                   "what happens from now on, of a page the beginning."),
        _parameter("Last-Event-ID", "header", "As since_seq, and before it: where a stream ended."),
        _parameter("segment", "query", "Only into or out of this; several with commas.", "string"),
        _parameter("limit", "query", f"Of a page: so many changes at most, up to {_MOST}."),
    ],
    "responses": {
        "200": {
            "description": "Changes in the order in which they were written",
            "content": {
                _STREAM: {"example": _event("membership.changed", _CHANGE, 812)},
                _JSON: {"example": {
                    "schema": SCHEMA, "changes": [_CHANGE], "next_seq": 812, "more": False}},
            },
        }
    },
}  # fmt: skip
