"""One POST to an address that was checked: what a receiver, a name or a certificate may try."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shoal.adapters.webhook_http import HttpSender

CERTIFICATE = Path(__file__).parents[2] / "fixtures" / "webhooks" / "hooks.example.pem"
HERE = frozenset({"127.0.0.1"})
NAMED = frozenset({"hooks.example"})
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Receiver:
    """A server that says what it is told to say, and keeps what it was asked."""

    def __init__(self, answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None) -> None:
        self.asked, self.names = list[bytes](), list[str | None]()
        self._answer, self._tls = answer, tls
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            try:
                taken.settimeout(5)
                if self._tls is not None:
                    taken = self._tls.wrap_socket(taken, server_side=True)
                self.asked.append(_whole(taken))
                self._answer(taken)
            except OSError:
                pass
            finally:
                taken.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def _whole(taken: socket.socket) -> bytes:
    """A request with its body."""
    told = b""
    while b"\r\n\r\n" not in told:
        piece = taken.recv(65536)
        if not piece:
            return told
        told += piece
    head, _, body = told.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0].split(b":")[1]):
        body += taken.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def receiving(
    answer: bytes | Callable[[socket.socket], None], tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    say = answer if callable(answer) else lambda taken: taken.sendall(answer)
    found = Receiver(say, tls)
    try:
        yield found
    finally:
        found.close()


def address(host: str, port: int = 0) -> tuple[Any, ...]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (host, port))


class Names:
    """A resolver that answers otherwise each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), list[str]()

    def __call__(self, host: str, port: int) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        return [address(one, port) for one in self.answers.pop(0)]


def test_a_message_arrives_as_it_was_given() -> None:
    with receiving(OK) as receiver:
        reply = HttpSender(HERE).send(
            f"http://127.0.0.1:{receiver.port}/hook?a=b", {"webhook-id": "m1"}, b'{"a":1}'
        )
    assert (reply.status, reply.text, reply.delivered) == (200, "ok", True)
    (asked,) = receiver.asked
    head, _, body = asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=b HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{receiver.port}".encode() in head.lower()
    assert b"webhook-id: m1" in head
    assert body == b'{"a":1}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiving(OK) as other:
        target = f"http://127.0.0.1:{other.port}/inside"
        answer = f"HTTP/1.1 {status} X\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
        with receiving(answer.encode()) as receiver:
            reply = HttpSender(HERE).send(f"http://127.0.0.1:{receiver.port}/", {}, b"{}")
        assert (reply.status, reply.delivered) == (status, False)
        assert other.asked == []


def test_a_name_that_means_a_private_address_gets_nothing() -> None:
    for answers in (["127.0.0.1"], ["169.254.169.254"], ["::1"], ["8.8.8.8", "10.0.0.1"],
                    ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["fe80::1%eth0"]):  # fmt: skip
        names = Names(answers)
        reply = HttpSender(resolve=names).send("https://hooks.example.com/", {}, b"{}")
        assert reply.status is None
        assert "no address of the public internet" in reply.failure
        assert answers[-1] in reply.failure


def test_the_form_of_an_address_is_checked_again_when_it_is_sent_to() -> None:
    names = Names()
    for url in ("http://hooks.example.com/", "https://127.0.0.1/", "https://localhost/"):
        reply = HttpSender(resolve=names).send(url, {}, b"{}")
        assert reply.failure.startswith("the webhook's address")
    assert names.asked == []


def test_a_name_that_means_something_else_a_moment_later_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rebinding: checked is one address, and connected to is that one."""
    connected: list[Any] = []

    def refuse(_: socket.socket, where: Any) -> None:
        connected.append(where)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    reply = HttpSender(resolve=names).send("https://hooks.example.com:8443/", {}, b"{}")
    assert names.asked == ["hooks.example.com"]
    assert connected == [("93.184.216.34", 8443)]
    assert reply.failure == "it cannot be reached: Connection refused"


def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    with receiving(OK) as receiver:
        gone = socket.create_server(("127.0.0.1", 0))
        closed = gone.getsockname()[1]
        gone.close()
        found = [address("127.0.0.1", closed), address("127.0.0.1", receiver.port)]
        sender = HttpSender(NAMED, resolve=lambda *_: found)
        assert sender.send("http://hooks.example:8080/", {}, b"{}").status == 200
    assert b"host: hooks.example:8080" in receiver.asked[0].lower()


def test_a_name_that_nobody_knows_is_told() -> None:
    def unknown(host: str, port: int) -> list[tuple[Any, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    for resolve in (unknown, lambda *_: []):
        reply = HttpSender(resolve=resolve).send("https://hooks.example.com/", {}, b"{}")
        assert reply.failure == "its name has no address"


def test_a_resolver_that_hangs_is_waited_for_no_longer() -> None:
    go = threading.Event()

    def hang(host: str, port: int) -> list[tuple[Any, ...]]:
        go.wait(10)
        return []

    sender = HttpSender(resolve=hang, connect_s=0.1)
    assert "not resolved in time" in sender.send("https://hooks.example.com/", {}, b"{}").failure
    go.set()


@pytest.mark.parametrize("drip", [b"H", b"HTTP/1.1 200 OK\r\nx-a: "])
def test_a_receiver_that_gives_a_byte_now_and_then_ends_in_time(drip: bytes) -> None:
    stop = threading.Event()

    def slowly(taken: socket.socket) -> None:
        taken.sendall(drip)
        while not stop.wait(0.05):
            taken.sendall(b"a")

    with receiving(slowly) as receiver:
        began = time.monotonic()
        reply = HttpSender(HERE, total_s=0.4).send(f"http://127.0.0.1:{receiver.port}/", {}, b"{}")
        took = time.monotonic() - began
        stop.set()
    assert reply.failure == "it did not answer: it took too long"
    assert took < 3


def test_an_answer_without_end_is_read_as_far_as_is_bounded() -> None:
    def endless(taken: socket.socket) -> None:
        taken.sendall(b"HTTP/1.1 500 X\r\n\r\n")
        while True:
            taken.sendall(b"x" * 65536)

    with receiving(endless) as receiver:
        reply = HttpSender(HERE).send(f"http://127.0.0.1:{receiver.port}/", {}, b"{}")
    assert (reply.status, len(reply.text)) == (500, 4096)


@pytest.mark.parametrize(
    "answer",
    [b"", b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200,
     b"HTTP/1.1 " + b"2" * 70000, b"\x16\x03\x01"],
    ids=["nothing", "words", "status", "headers", "line", "tls"],
)  # fmt: skip
def test_what_is_no_http_is_a_failure_and_no_crash(answer: bytes) -> None:
    with receiving(answer) as receiver:
        reply = HttpSender(HERE, total_s=2).send(f"http://127.0.0.1:{receiver.port}/", {}, b"{}")
    assert reply.status is None
    assert reply.failure.startswith("it did not answer")


def test_a_body_that_breaks_off_takes_nothing_from_the_status() -> None:
    with receiving(b"HTTP/1.1 204 X\r\ntransfer-encoding: chunked\r\n\r\nzz") as receiver:
        reply = HttpSender(HERE).send(f"http://127.0.0.1:{receiver.port}/", {}, b"{}")
    assert reply.delivered


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("120", 120.0), ("0", 0.0), ("-5", None), ("1e9", None), ("Fri, 01 May 2026", None),
     ("9" * 30, None)],
)  # fmt: skip
def test_how_long_a_receiver_asks_for_patience(told: str, seconds: float | None) -> None:
    answer = f"HTTP/1.1 429 X\r\nretry-after: {told}\r\ncontent-length: 0\r\n\r\n".encode()
    with receiving(answer) as receiver:
        reply = HttpSender(HERE).send(f"http://127.0.0.1:{receiver.port}/", {}, b"{}")
    assert (reply.status, reply.wait_s) == (429, seconds)


# --- Certificates ---------------------------------------------------------------------------------


def server_side() -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(CERTIFICATE)
    return found


def test_the_certificate_is_checked_against_the_name_and_the_name_is_told() -> None:
    known = ssl.create_default_context(cafile=str(CERTIFICATE))
    with receiving(OK, server_side()) as receiver:
        names = Names(["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"])
        trusted = NAMED | {"other.example"}
        sender = HttpSender(trusted, resolve=names, tls=known)
        assert sender.send(f"https://hooks.example:{receiver.port}/", {}, b"{}").status == 200
        other = sender.send(f"https://other.example:{receiver.port}/", {}, b"{}")
        assert "its certificate is not valid for its name" in other.failure
        # Nobody vouches for it where the system's authorities are asked.
        strange = HttpSender(trusted, resolve=names)
        reply = strange.send(f"https://hooks.example:{receiver.port}/", {}, b"{}")
        assert "its certificate is not valid for its name" in reply.failure
    assert receiver.names[:2] == ["hooks.example", "other.example"]
    assert len(receiver.asked) == 1
    assert b"host: hooks.example:" in receiver.asked[0].lower()
