"""Webhooks over HTTP: one POST, to an address that was checked, within a bounded time.

A name is resolved once. If one of its addresses is not public nothing is sent, and the connection
goes to an address of that answer: a name that means something else a moment later (rebinding) is
not asked again. The certificate is checked against the name. Proxies of the environment are not
used, for they would resolve the name themselves.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.webhook import Reply
from shoal.domain.webhook_address import Target, reachable, target_of

CONNECT_S: Final = 5.0
TOTAL_S: Final = 15.0
#: Of an answer's body, so many bytes are read.
READ: Final = 4096

#: As `socket.getaddrinfo`.
Resolve = Callable[[str, int], Sequence[tuple[Any, ...]]]


def resolved(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """What the system says that a host's addresses are."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class HttpSender:
    """`Sender` over HTTP.

    Args:
        trusted: hosts that may also be reached by http and at private addresses.
        resolve: asked once a message.
        connect_s: seconds for resolving, and for connecting.
        total_s: seconds for all of it, the answer too.
        tls: how certificates are checked; None: as the system does.
    """

    def __init__(
        self,
        trusted: frozenset[str] = frozenset(),
        *,
        resolve: Resolve = resolved,
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._trusted, self._resolve = trusted, resolve
        self._connect_s, self._total_s = connect_s, total_s
        self._tls = tls

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a body by POST; what came of it, whatever it is. Redirects are not followed."""
        until = time.monotonic() + self._total_s
        try:
            target = target_of(url, self._trusted)
            connection = self._connected(target, until)
        except UsageError as error:
            return Reply(failure=error.message)
        except _NoWayError as error:
            return Reply(failure=str(error))
        except (OSError, ssl.SSLError) as error:
            return Reply(failure=_words("it cannot be reached", error))
        try:
            return _asked(connection, target, headers, body, until)
        except (OSError, ssl.SSLError, http.client.HTTPException, ValueError) as error:
            return Reply(failure=_words("it did not answer", error))
        finally:
            connection.close()

    def _connected(self, target: Target, until: float) -> socket.socket:
        """A connection to an address that was checked.

        Raises:
            _NoWayError: there is none that may be used.
            OSError: it is not taken.
        """
        by = min(until, time.monotonic() + self._connect_s)
        found = self._addresses(target, _left(by))
        if not target.trusted:
            for one in found:
                if not reachable(str(one[4][0])):
                    raise _NoWayError(
                        f"its name means {one[4][0]}, which is no address of the public internet"
                    )
        by = min(until, time.monotonic() + self._connect_s)
        plain = _first_that_takes(found, by)
        if not target.tls:
            return plain
        try:
            plain.settimeout(_left(until))
            context = self._tls or ssl.create_default_context()
            return context.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise

    def _addresses(self, target: Target, seconds: float) -> Sequence[tuple[Any, ...]]:
        """What the host's name means; a resolver that takes too long is waited for no longer.

        Raises:
            _NoWayError: nobody knows, or not in time.
        """
        answer: list[Sequence[tuple[Any, ...]] | BaseException] = []

        def ask() -> None:
            try:
                answer.append(self._resolve(target.host, target.port))
            except (OSError, UnicodeError) as error:
                answer.append(error)

        asking = threading.Thread(target=ask, name="resolve", daemon=True)
        asking.start()
        asking.join(seconds)
        if not answer:
            raise _NoWayError("its name was not resolved in time")
        if isinstance(answer[0], BaseException) or not answer[0]:
            raise _NoWayError("its name has no address")
        return answer[0]


class _NoWayError(Exception):
    """There is no address that may be used."""


@dataclass
class _Bounded(io.RawIOBase):
    """What comes over a socket, until a moment: one that gives a byte now and then ends too."""

    connection: socket.socket
    until: float

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.connection.settimeout(_left(self.until))
        return self.connection.recv_into(buffer)


@dataclass(frozen=True)
class _Wire:
    """A socket as `http.client` uses one, bounded in time."""

    connection: socket.socket
    until: float

    def sendall(self, data: bytes) -> None:
        self.connection.settimeout(_left(self.until))
        self.connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Bounded(self.connection, self.until))

    def close(self) -> None:
        """Who made the connection closes it."""


def _asked(
    connection: socket.socket,
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    until: float,
) -> Reply:
    client = http.client.HTTPConnection(target.host, target.port)
    client.auto_open = 0
    client.sock = _Wire(connection, until)
    told = {**headers, "host": target.told, "connection": "close", "accept-encoding": "identity"}
    client.request("POST", target.path, body, told)
    answer = client.getresponse()
    try:
        text = answer.read(READ).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError):
        text = ""  # the status was told, and counts
    return Reply(answer.status, wait_s=_wait(answer.headers.get("retry-after")), text=text)


def _first_that_takes(found: Sequence[tuple[Any, ...]], by: float) -> socket.socket:
    """A connection to the first address that takes one.

    Raises:
        OSError: none does, in time.
    """
    last: OSError = TimeoutError("timed out")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_left(by))
            connection.connect(address)
        except OSError as error:
            connection.close()
            last = error
            continue
        return connection
    raise last


def _left(until: float) -> float:
    """Seconds until a moment.

    Raises:
        TimeoutError: it is over.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _wait(told: str | None) -> float | None:
    """Seconds of `Retry-After`; None where it says none in whole seconds."""
    return float(told) if told and told.isascii() and told.isdigit() and len(told) < 7 else None


def _words(what: str, error: Exception) -> str:
    """A failure in a line, without what the receiver said."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{what}: its certificate is not valid for its name ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return f"{what}: it took too long"
    if isinstance(error, OSError):
        return f"{what}: {error.strerror or type(error).__name__}"
    return f"{what}: no HTTP ({type(error).__name__})"
