"""HTTP as uvicorn speaks it, with an end to what may come before a body.

The parser knows none: a header of 50 MB was taken, and kept the service busy for 19 seconds.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shoal.service.answers import failure

#: Bytes after which the head of a request has to be whole. One that comes in a single piece may be
#: as large as what is read at once (256 KiB).
MOST_HEAD: Final = 64 << 10
MOST_HEADERS: Final = 100


class BoundedHeads(HttpToolsProtocol):
    """Refuses heads that do not end, and tells what it refuses in the form of every other error."""

    most_head, most_headers = MOST_HEAD, MOST_HEADERS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._in_head, self._came = True, 0
        self._too_much = False

    def data_received(self, data: bytes) -> None:
        if not self._in_head:
            super().data_received(data)
            return
        self._came += len(data)
        super().data_received(data)
        if self._in_head and self._came > self.most_head and not self.transport.is_closing():
            self._too_much = True
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.headers) > self.most_headers:
            self._too_much = True
            raise ValueError("too many headers")  # the parser stops, and the client is told
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._came = True, 0

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read, and end the connection."""
        if self._too_much:
            told = failure(
                431, "headers_too_large",
                f"The request has more than {MOST_HEAD:,} bytes or {MOST_HEADERS} lines before its "
                "body.",
            )  # fmt: skip
        else:
            told = failure(400, "bad_request", "This is no HTTP request.")
        lines = [b"%s: %s\r\n" % pair for pair in told.raw_headers]
        self.transport.write(
            b"".join([STATUS_LINE[told.status_code], *lines, b"connection: close\r\n\r\n",
                      bytes(told.body)])
        )  # fmt: skip
        self.transport.close()
