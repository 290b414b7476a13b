"""Bodies in flight: bounded in memory all together, and none that stands still.

Every body is bounded by itself; a hundred of them at once are not. What has come of bodies that
are not answered yet is counted in bytes, and beyond a budget a client is told to come again.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shoal.events.collected import MAX_BODY
from shoal.events.lines import GZIP
from shoal.service.answers import failure, try_again

#: Seconds that the next piece of a body may be away.
STILL_S: Final = 30.0
_AGAIN_S: Final = 1
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
#: Every answer is readable for a browser's scripts, as those of collection are.
_CORS: Final = {"access-control-allow-origin": "*"}


class _FullError(Exception):
    """No more bytes may come in now."""


class _StillError(Exception):
    """A body that does not go on."""


class Budget:
    """Bytes that may be in flight at once.

    >>> budget = Budget(10)
    >>> budget.take(8), budget.take(3), budget.taken
    (True, False, 8)
    >>> budget.give(8)
    >>> budget.take(10)
    True
    """

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    def take(self, size: int) -> bool:
        """Whether so many more fit; they are then taken."""
        if self.taken + size > self.most:
            return False
        self.taken += size
        return True

    def give(self, size: int) -> None:
        self.taken -= size


class InFlight:
    """Counts what has come of each body until it is answered.

    Args:
        app: what answers.
        budget: of all requests together.
        flat: paths of which a body is read piece by piece and let go: what they take all the same.
        still_s: seconds that the next piece may be away.

    What is beyond the budget is answered 503, what stands still 408; both may come again.
    """

    def __init__(
        self,
        app: ASGIApp,
        budget: Budget,
        flat: Mapping[str, int] | None = None,
        still_s: float = STILL_S,
    ) -> None:
        self._app, self._budget, self._still_s = app, budget, still_s
        self._flat = dict(flat or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        flat = self._flat.get(scope["path"].rstrip("/")) if self._flat else None
        body = _Body(receive, self._budget, self._still_s, flat)
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, body.receive, sent)
        except (_FullError, _StillError) as error:
            if begun:
                raise
            await _refusal(error)(scope, receive, send)
        finally:
            body.let_go()


class _Body:
    """The body of one request on its way in."""

    def __init__(self, receive: Receive, budget: Budget, still_s: float, flat: int | None) -> None:
        self._receive, self._budget, self._still_s = receive, budget, still_s
        self._flat, self._held, self._size, self._more = flat, 0, 0, False
        self._first = self._last = b""

    async def receive(self) -> Message:
        """The next piece, once it is counted."""
        if self._more:  # the first is there with the request, and after the last nothing has to be
            try:
                message = await asyncio.wait_for(self._receive(), self._still_s)
            except TimeoutError:
                raise _StillError from None
        else:
            message = await self._receive()
        if message["type"] == "http.request":
            self._more = message.get("more_body", False)
            self._count(message.get("body", b""))
        return message

    def let_go(self) -> None:
        self._budget.give(self._held)
        self._held = 0

    def _count(self, piece: bytes) -> None:
        if self._flat is not None:
            self._hold(self._flat - self._held)
            return
        if len(self._first) < 2:
            self._first = (self._first + piece[:2])[:2]
        self._last = (self._last + piece)[-4:] if len(piece) < 4 else piece[-4:]
        self._size += len(piece)
        self._hold(len(piece))
        if not self._more and self._first == GZIP and len(self._last) == 4:
            # The last four bytes say how long it is once it is expanded. Where they lie, the body
            # is refused when it is, and so many threads as there are hold one at a time.
            self._hold(min(struct.unpack("<I", self._last)[0], MAX_BODY))

    def _hold(self, size: int) -> None:
        if size > 0:
            if not self._budget.take(size):
                raise _FullError
            self._held += size


def _refusal(error: Exception) -> ASGIApp:
    if isinstance(error, _StillError):
        return failure(408, "too_slow", "The body did not go on.", _CORS)
    found = try_again(503, "too_much_at_once", "Too much is being sent at once.", _AGAIN_S)
    found.headers.update(_CORS)
    return found
