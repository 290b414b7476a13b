"""Stands between a client and the service: counts what is sent, and lets things go wrong."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What may happen to a request instead of, or beside, being passed on.
Fault = tuple[int, dict[str, str]] | str
_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


class Proxy:
    """A proxy on a free port of this machine.

    `faults` are used up one a request: a status with headers is answered at once, "cut" passes the
    request on and ends the connection without a word, "gone" ends it before.
    """

    def __init__(self, upstream: Callable[[], str]) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.requests: list[tuple[bytes, dict[str, str]]] = []
        self.before: Callable[[int], None] = lambda number: None
        self._guard = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def begin(self, *faults: Fault) -> None:
        """Forget what came, and let these things go wrong next."""
        with self._guard:
            self.faults, self.requests = list(faults), []
        self.before = lambda number: None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Tests say what matters."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with proxy._guard:
                    proxy.requests.append((body, dict(self.headers)))
                    number = len(proxy.requests)
                    fault = proxy.faults.pop(0) if proxy.faults else None
                proxy.before(number)
                if isinstance(fault, tuple):
                    told = json.dumps({"code": "made_up", "message": "A test says so."}).encode()
                    self._answer(fault[0], fault[1], told)
                    return
                found = None
                if fault != "gone":
                    with suppress(OSError, http.client.HTTPException):
                        found = proxy._passed(self.path, body, dict(self.headers))
                if found is None or fault == "cut":
                    self.close_connection = True
                    self.connection.close()
                    return
                self._answer(*found)

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                if status == HTTPStatus.NO_CONTENT:
                    body = b""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler

    def _passed(
        self, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.upstream().rpartition("/")[2], timeout=30)
        try:
            kept = {name: text for name, text in headers.items() if name.lower() not in _HOP}
            connection.request("POST", path, body, kept)
            found = connection.getresponse()
            told = {n: v for n, v in found.getheaders() if n.lower() not in _HOP}
            return found.status, told, found.read()
        finally:
            connection.close()
