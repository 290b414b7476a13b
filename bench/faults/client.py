"""A client that asks one thing after the other and remembers what was acknowledged."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from typing import Any

from bench.load.calls import Calls
from bench.load.site import Server, until


class Client:
    """Sends calls of a generator one by one.

    Args:
        calls: of one call a request.
    """

    def __init__(self, server: Server, calls: Calls) -> None:
        self._server, self._calls = server, calls
        self.acknowledged: set[int] = set()

    def send(self) -> tuple[int, dict[str, str], float]:
        """One new call: status (0: no answer), headers, seconds."""
        number, request = self._calls.request()
        head, _, body = request.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        began = time.monotonic()
        status, told = self.ask("POST", "/v1/track", body, headers)
        if status == 200:
            self.acknowledged.add(number)
        return status, told, time.monotonic() - began

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Any = None
    ) -> tuple[int, dict[str, str]]:
        """Status and headers of any request; 0: no answer."""
        try:
            with closing(
                http.client.HTTPConnection(self._server.host, self._server.port, timeout=60)
            ) as connection:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                answer.read()
                return answer.status, {name.lower(): value for name, value in answer.getheaders()}
        except (OSError, http.client.HTTPException):
            return 0, {}

    def until_taken(self, timeout_s: float = 60.0) -> float | None:
        """Seconds until a call is acknowledged again; None: it is not in time."""
        return until(lambda: self.send()[0] == 200, timeout_s, 0.1)

    def ready(self, timeout_s: float = 90.0) -> float | None:
        """Seconds until the service says that what is collected becomes events."""
        return until(lambda: self.ask("GET", "/ready")[0] == 200, timeout_s, 0.2)


def post_lines(server: Server, key: str, calls: list[dict[str, Any]]) -> int:
    """Send a batch of calls as they are; the status."""
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request("POST", "/v1/batch", json.dumps({"batch": calls}), {"x-write-key": key})
        return connection.getresponse().status
