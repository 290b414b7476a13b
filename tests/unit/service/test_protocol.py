"""What comes before a body ends, or is refused."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from shoal.service.answers import HEADERS
from shoal.service.protocol import MOST_HEAD, MOST_HEADERS, BoundedHeads

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


async def count(scope: Any, receive: Any, send: Any) -> None:
    """Answers with how many headers and bytes of a body came."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    body = json.dumps([len(scope["headers"]), size]).encode()
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(count, http=BoundedHeads, log_config=None, lifespan="off", ws="none",
                       server_header=False)
    )  # fmt: skip
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()
    server.should_exit = True
    thread.join()


def told(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    """The next answer: status, headers, JSON."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(1 << 16)
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(1 << 16)
    return int(first.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"a: b\r\n" * MOST_HEADERS + b"\r\n"],
        [HEAD + b"a: ", *[b"x" * 8192] * (MOST_HEAD // 8192)],
        [b"GET /", *[b"u" * 8192] * (MOST_HEAD // 8192)],
        [HEAD, *[b"a: b\r\n" * 100] * (MOST_HEAD // 600 + 1)],
    ],
    ids=["lines", "one line", "address", "no end"],
)
def test_a_head_that_is_too_large_is_refused(address: tuple[str, int], pieces: list[bytes]) -> None:
    with socket.create_connection(address, timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        status, headers, document = told(connection)
        assert (status, document["code"]) == (431, "headers_too_large")
        assert document["message"]
        assert headers["connection"] == "close"
        assert HEADERS.items() <= headers.items()
        assert connection.recv(10) == b""


def test_what_is_no_request_is_told_so_in_the_form_of_every_error(
    address: tuple[str, int],
) -> None:
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        status, headers, document = told(connection)
    assert (status, document["code"]) == (400, "bad_request")
    assert HEADERS.items() <= headers.items()


def test_large_bodies_and_many_requests_of_one_connection_are_not_heads(
    address: tuple[str, int],
) -> None:
    length = 3 * MOST_HEAD
    with socket.create_connection(address, timeout=20) as connection:
        for _ in range(3):
            connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % length + b"x" * length)
            status, headers, document = told(connection)
            assert (status, document) == (200, [2, length])
            assert "server" not in headers
        for _ in range(3):
            connection.sendall(HEAD + b"a: " + b"x" * (MOST_HEAD // 2) + b"\r\n\r\n")
            assert told(connection)[2] == [2, 0]
