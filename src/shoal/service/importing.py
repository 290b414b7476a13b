"""Bulk import: JSON Lines of any length, a call a line, answered once all of it is on disk.

The same path is where some clients send a batch as one JSON document. They say so, or nothing, in
`Content-Type`; whoever sends lines says that it is lines, text or a gzip file.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from shoal.domain.errors import OperationError
from shoal.events.collected import BodyError
from shoal.service.answers import answer, failure
from shoal.service.collection import CORS, Collection, route
from shoal.workflows.collecting import BusyError
from shoal.workflows.importing import Group, Import, Imported

if TYPE_CHECKING:
    from shoal.config import CollectionConfig

_LOG: Final = logging.getLogger("shoal.service")
PATH: Final = "/v1/import"
#: What an import holds in memory at once, in bytes: two groups, a line, and what is expanded.
HELD: Final = 6 << 20
#: Groups that wait for the disk while the next is read.
_AHEAD: Final = 2
_LINES: Final = frozenset(
    {
        "application/x-ndjson", "application/ndjson", "application/jsonl",
        "application/x-jsonlines", "application/jsonlines", "application/json-lines",
        "application/x-json-stream", "application/gzip", "application/x-gzip",
        "application/octet-stream",
    }
)  # fmt: skip
#: A client that is ahead of the log waits so long, with its connection open, before it is told.
PATIENCE_S: Final = 20.0
_ASK_S: Final = 0.2
_BUSY_S: Final = 5
_FULL_S: Final = 30


class BehindError(Exception):
    """More waits for the log than may."""


class Importing:
    """The route of bulk import.

    Args:
        collection: judges keys, takes what is a batch, and has where calls go.
        limits: of bodies, lines, and of what waits.
    """

    def __init__(
        self, collection: Collection, limits: CollectionConfig, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._collection, self._limits, self._patience_s = collection, limits, patience_s

    def routes(self) -> list[Route]:
        return list(route(PATH, self.take))

    async def take(self, request: Request) -> Response:
        """Take a body of lines, or what is a batch as collection does."""
        if not _is_lines(request):
            return await self._collection.collect(request)
        source = self._collection.source(request, None)
        if isinstance(source, Response):
            return source
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            words = f"Content-Encoding is {encoding[:40]!r}; allowed: gzip, identity."
            return failure(400, "bad_encoding", words, CORS)
        return await self._lines(request, source)

    async def _lines(self, request: Request, source: str) -> Response:
        """Take the lines of a body as they come."""
        collector = self._collection.collector
        done = Imported()
        reader = Import(
            self._limits.import_bytes, self._limits.line_bytes, collector.clock, collector.private
        )
        writing = _Writing(self, source, done)
        try:
            if await asyncio.to_thread(self._behind):
                raise BehindError
            try:
                async for piece in request.stream():
                    await writing.all(reader.feed(piece))
                await writing.all(reader.finish())
            except (BodyError, ClientDisconnect):
                # Whole lines before what went wrong are kept.
                await writing.all(reader.rest())
                raise
            finally:
                await writing.ended()
        except BodyError as error:
            return _told(400, error.code, error.message, done)
        except ClientDisconnect:
            return _told(400, "cut_off", "The connection ended before the body did.", done)
        except BehindError:
            return _told(503, "behind", "Too many calls wait to become events.", done, _BUSY_S)
        except BusyError:
            return _told(429, "busy", "Too many calls wait to be written.", done, _BUSY_S)
        except OperationError as error:
            _LOG.error("an import was not taken: %s", error.message)
            return _told(503, error.code, error.message, done, _FULL_S)
        if not done.received:
            return _told(400, "empty_batch", "At least one line is wanted; there is none.", done)
        return answer({"success": True, **done.as_document()}, headers=CORS)

    def counted(self, group: Group, new: Sequence[bool]) -> None:
        """Count a group among all that was collected."""
        self._collection.collector.taken(group.judged, new)

    async def room(self) -> None:
        """Wait until calls may be handed on.

        Raises:
            BehindError: the log did not come nearer in time.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while await asyncio.to_thread(self._behind):
            if loop.time() >= until:
                raise BehindError
            await asyncio.sleep(_ASK_S)

    async def submit(self, source: str, group: Group) -> asyncio.Future[list[bool]]:
        """Have a group written; waits while others fill the queue.

        Raises:
            BusyError: they go on to.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while True:
            try:
                return asyncio.wrap_future(
                    self._collection.collector.submit(source, group.judged, group.received_at)
                )
            except BusyError:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(_ASK_S)

    def _behind(self) -> bool:
        inbox = self._collection.collector.inbox
        return inbox.last() - inbox.drained() > self._limits.waiting_calls


class _Writing:
    """Groups of one body on their way to the disk, a few at a time."""

    def __init__(self, importing: Importing, source: str, done: Imported) -> None:
        self._importing, self._source, self._done = importing, source, done
        self._under_way: deque[tuple[Group, asyncio.Future[list[bool]]]] = deque()

    async def all(self, groups: Iterator[Group]) -> None:
        """Hand on groups as they are made; what makes them works beside the loop."""
        while (group := await asyncio.to_thread(next, groups, None)) is not None:
            await self._importing.room()
            self._under_way.append((group, await self._importing.submit(self._source, group)))
            while len(self._under_way) >= _AHEAD:
                await self._oldest()

    async def ended(self) -> None:
        """Wait for those that are still on their way."""
        while self._under_way:
            await self._oldest()

    async def _oldest(self) -> None:
        group, written = self._under_way.popleft()
        new = await written
        self._importing.counted(group, new)
        self._done.count(group, new)


def _is_lines(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in _LINES or kind.startswith("text/")


def _told(
    status: int, code: str, message: str, done: Imported, again_s: int | None = None
) -> Response:
    """An error, and what is on disk all the same: the same lines may be sent again."""
    headers = CORS if again_s is None else {**CORS, "retry-after": str(again_s)}
    return answer({"code": code, "message": message, **done.as_document()}, status, headers)
