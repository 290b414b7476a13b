"""Requests that a worker hands to the process that writes, and how that one reads them.

Over a Unix socket in a folder that is this user's alone: whoever comes in there says for whom, and
is believed. A client's own word for it is taken out on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from shoal.service.answers import try_again
from shoal.service.protocol import MOST_HEADERS, BoundedHeads

_LOG: Final = logging.getLogger("shoal.service")
#: Scheme of the request, port and address of its client.
CLIENT: Final = b"x-shoal-client"
#: What is said of one connection, and not of the request; `date` is said by who answers.
_OF_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
     b"upgrade", b"expect", CLIENT}
)  # fmt: skip
_NOT_AGAIN: Final = _OF_CONNECTION | {b"date"}
#: Connections that wait for the next request.
_IDLE: Final = 64
_PIECE: Final = 1 << 16
_AGAIN_S: Final = 1
Headers = list[tuple[bytes, bytes]]


class OnSocket(BoundedHeads):
    """HTTP of requests whose heads a worker has held to their bounds; it adds some lines."""

    most_headers = MOST_HEADERS + 10
    most_head = 1 << 19


class Believed:
    """Takes the client for whom a worker says that it asks; for the Unix socket alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            told = next((value for name, value in scope["headers"] if name == CLIENT), b"")
            headers = [pair for pair in scope["headers"] if pair[0] != CLIENT]
            scheme, port, host = [*told.decode("latin-1").split(" "), "", "", ""][:3]
            client = (host, int(port)) if host else None
            scope = {**scope, "headers": headers, "client": client, "scheme": scheme or "http"}
        await self._app(scope, receive, send)


class Forwarding:
    """An application whose answers another process gives, piece by piece in both directions.

    Args:
        path: of the Unix socket where that process listens.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[_Link] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope, receive, send)
        link = None
        try:
            link = await self._link()
            if await exchange.over(link) and len(self._idle) < _IDLE:
                self._idle.append(link)
                link = None
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            if exchange.left:
                return
            _LOG.error("the process that writes does not answer: %r", error)
            if exchange.begun:
                raise  # the client's connection ends, so that half an answer is not a whole one
            told = try_again(503, "no_answer", "The service is starting or stopping.", _AGAIN_S)
            await told(scope, receive, send)
        finally:
            if link is not None:
                link.close()

    def close(self) -> None:
        """End the connections that wait for the next request."""
        while self._idle:
            self._idle.pop().close()

    async def _link(self) -> _Link:
        while self._idle:
            link = self._idle.pop()
            if link.usable():
                return link
            link.close()
        return _Link(*await asyncio.open_unix_connection(self._path))


class _Link:
    """A connection to the process that writes; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def usable(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    def close(self) -> None:
        self.writer.transport.abort()

    async def head(self) -> tuple[int, Headers]:
        """Status and headers of the answer.

        Raises:
            EOFError, OSError, ValueError, asyncio.LimitOverrunError: there is none.
        """
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        pairs = (line.partition(b":") for line in lines)
        return int(first.split(b" ", 2)[1]), [(name.lower(), text.strip())
                                              for name, _, text in pairs]  # fmt: skip

    async def chunk(self) -> bytes:
        """The next piece of a body that does not say how long it is; empty: that was all."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        #: Whether the answer was begun, and whether the client went away.
        self.begun = self.left = False

    async def over(self, link: _Link) -> bool:
        """Have it answered; whether the connection may be used again."""
        headers: Headers = [pair for pair in self._scope["headers"]
                            if pair[0] not in _OF_CONNECTION]  # fmt: skip
        told = {name: value for name, value in headers if name == b"content-length"}
        chunked = any(name == b"transfer-encoding" for name, _ in self._scope["headers"])
        if chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        link.writer.write(_head(self._scope, headers))
        body = None
        if chunked or int(told.get(b"content-length", b"0")):
            body = asyncio.create_task(self._body(link, chunked))
        try:
            status, said = await link.head()
            await self._answered(link, status, said, body)
        finally:
            whole = body is None or body.done()
            if body is not None:
                body.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await body
        return whole and not self.left and (b"connection", b"close") not in said

    async def _body(self, link: _Link, chunked: bool) -> None:
        """Hand on the body as it comes."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.left = True
                link.close()
                return
            piece, more = message.get("body", b""), message.get("more_body", False)
            if piece and chunked:
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
            link.writer.write(piece if more or not chunked else piece + b"0\r\n\r\n")
            await link.writer.drain()

    async def _answered(
        self, link: _Link, status: int, said: Headers, body: asyncio.Task[None] | None
    ) -> None:
        self.begun = True
        headers = [pair for pair in said if pair[0] not in _NOT_AGAIN]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        length = next((int(text) for name, text in said if name == b"content-length"), None)
        if self._scope["method"] == "HEAD" or status in (204, 304):
            length = 0
        if length is None:
            await self._streamed(link, body)
            return
        while length > _PIECE:
            await self._piece(await link.reader.readexactly(_PIECE), more=True)
            length -= _PIECE
        await self._piece(await link.reader.readexactly(length), more=False)

    async def _streamed(self, link: _Link, body: asyncio.Task[None] | None) -> None:
        """Hand on an answer without an end of its own, until there is one or the client goes."""
        gone = asyncio.create_task(self._gone(body))
        try:
            more = True
            while more:
                piece = asyncio.create_task(link.chunk())
                await asyncio.wait((piece, gone), return_when=asyncio.FIRST_COMPLETED)
                if not piece.done():
                    piece.cancel()
                    self.left = True
                    return
                found = piece.result()
                more = bool(found)
                await self._piece(found, more=more)
        finally:
            gone.cancel()

    async def _gone(self, body: asyncio.Task[None] | None) -> None:
        if body is not None:
            await asyncio.wait((body,))
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _piece(self, piece: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})


def _head(scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a request as the process that writes is sent it."""
    target = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    host, port = scope.get("client") or ("", 0)
    told = f"{scope['scheme']} {port} {host}".encode("latin-1", "replace")
    lines = [b"%s %s HTTP/1.1" % (scope["method"].encode(), target), CLIENT + b": " + told]
    lines += [name + b": " + value for name, value in headers]
    head = b"\r\n".join([*lines, b"", b""])
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
        raise ValueError("a line of the request holds another")
    return head
