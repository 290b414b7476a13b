"""Headers of security on whatever is answered, whoever made the answer.

`Strict-Transport-Security` is not among them: the service speaks plain HTTP, where browsers have to
ignore it, and what speaks HTTPS in front of it is to say it.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shoal.service.answers import HEADERS

_SAID: Final = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


class Headers:
    """Adds what an answer does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = list(message.get("headers", ()))
                names = {name.lower() for name, _ in told}
                told += [pair for pair in _SAID if pair[0] not in names]
                message = {**message, "headers": told}
            await send(message)

        await self._app(scope, receive, sent)
