"""What the API writes into the audit log: who asked for what, and what came of it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shoal.domain.access import Key
from shoal.domain.audit import (
    BEGUN,
    CHANGES,
    DONE,
    FAILED,
    PLAIN,
    REFUSED,
    SYNCED,
    Act,
    Who,
    hidden,
    is_audited,
)
from shoal.domain.errors import OperationError
from shoal.service.answers import try_again
from shoal.service.limits import client_of
from shoal.workflows.auditing import Asked, Auditor

_LOG: Final = logging.getLogger("shoal.service")
_LOOKING: Final = ("GET", "HEAD")
#: After so many seconds a client may ask again for a change that could not be written down.
_AGAIN_S: Final = 30
#: What ids that Shoal gives look like; whatever else a client writes in their place is hidden.
_GIVEN: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


def tell(request: Request, **facts: Any) -> None:
    """Have facts of what was done stand in its entry: numbers and ids of what was made.

    Never what names a person, and never a key.
    """
    request.scope.setdefault("shoal.audit", {}).update(facts)


class Trail:
    """Writes down calls of the API.

    Args:
        auditor: whoever made it closes it.
    """

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor
        self._secret = auditor.log.secret()
        #: Entries of this turn of the event loop.
        self._together: list[Asked] = []

    def refused(
        self, request: Request, key: Key | None, permission: str, path: str, status: int
    ) -> None:
        """A call that was not let in; nobody waits for its entry."""
        if is_audited(permission, path):
            act = self._act(request, key, permission, path)
            self._auditor.note(replace(act, outcome=REFUSED, status=status))

    async def held(
        self, request: Request, key: Key, permission: str, path: str,
        answered: Callable[[], Awaitable[Response]],
    ) -> Response:  # fmt: skip
        """The answer to a call that was let in, once its entry is written.

        Of a change it stands in the log before it is begun, and a second entry says what came of
        it: one that a kill cut off has no second.
        """
        if not is_audited(permission, path):
            return await answered()
        act = self._act(request, key, permission, path)
        changes = permission in CHANGES and request.method not in _LOOKING
        if changes:
            try:
                number = await self._kept(replace(act, outcome=BEGUN), synced=True, owed=False)
            except OperationError as error:
                return try_again(503, error.code, f"Nothing was done: {error.message}", _AGAIN_S)
            tell(request, began=number)
        outcome, status = FAILED, 500
        try:
            response = await answered()
            outcome, status = (DONE if response.status_code < 400 else FAILED), response.status_code
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            facts = request.scope.get("shoal.audit", {})
            ended = replace(
                act, at=self._auditor.clock(), outcome=outcome, status=status, facts=facts
            )
            await self._ended(ended, synced=changes or permission in SYNCED)
        return response

    async def _ended(self, act: Act, *, synced: bool) -> None:
        """Write what came of a call; where that fails it is written later, and the call stands."""
        try:
            await self._kept(act, synced=synced, owed=True)
        except OperationError as error:
            _LOG.error("an entry of the audit log waits: %s", error.message)

    async def _kept(self, act: Act, *, synced: bool, owed: bool) -> int:
        """Have an entry written, with those that come in the same turn of the event loop.

        A client that goes away does not take back its entry.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        if not self._together:
            loop.call_soon(self._hand_over, loop)
        self._together.append(Asked(act, done, synced, owed))
        return await done

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        together, self._together = self._together, []
        try:
            self._auditor.keep_for(together, loop.call_soon_threadsafe)
        except OperationError as error:
            for one in together:
                if not one.promise.done():
                    one.promise.set_exception(error)

    def _act(self, request: Request, key: Key | None, permission: str, path: str) -> Act:
        who = Who("api", address=client_of(request)) if key is None else Who.of_key(key)
        about = {
            name: str(value) if _is_plain(name, str(value)) else hidden(self._secret, str(value))
            for name, value in request.path_params.items()
        }
        return Act(self._auditor.clock(), who, request.method, DONE, permission, path, about)


def _is_plain(name: str, value: str) -> bool:
    return name in PLAIN and _GIVEN.fullmatch(value) is not None
