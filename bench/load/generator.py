"""The load generator, a process of its own: `python -m bench.load.generator '{...}'`.

Raw connections that stay open, one request in flight on each. *Closed*: each sends its next request
as soon as it is answered, which shows what a server can do at most. *Open*: requests are due at a
stated rate whether or not earlier ones were answered, and time counts from when a request was due,
so that a server which stands still is not spared the requests that would have come meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load.calls import Calls

#: How often an open generator looks what is due.
_TICK_S = 0.001
#: Requests under way may end for so long after the last was sent.
_END_S = 15.0


@dataclass
class Tally:
    """What the answers were.

    Args:
        took: seconds of every answer 200.
        by_second: answers 200 by second since the start.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    took: array[float] = field(default_factory=lambda: array("d"))
    by_second: Counter[int] = field(default_factory=Counter)
    calls: int = 0
    cut: int = 0


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._got = bytearray()
        self._wanted = -1
        self._due = 0.0
        self.first = -1
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._load.free(self)

    def send(self, first: int, request: bytes, due: float) -> None:
        """Send a request that was due at a moment of the monotonic clock."""
        assert self.transport is not None
        self.first, self._due, self._wanted = first, due, -1
        self._got.clear()
        self.transport.write(request)

    def close(self) -> None:
        """End it."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._wanted < 0:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._got[:end].lower()
            at = head.find(b"content-length:")
            self._wanted = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else end
        if len(self._got) < self._wanted:
            return
        first, self.first = self.first, -1
        self._load.answered(first, int(self._got[9:12]), self._due)
        self._load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._load.lost(self)


class Load:
    """Sends what is due and counts what comes back.

    Args:
        rate: requests a second; None: as many as are answered.
        acknowledged: numbers of the first calls of answered requests are written there, a line a
            request, as soon as the answer is there.
        impatient: what is due and was not sent in time is not sent any more.
    """

    def __init__(
        self,
        address: tuple[str, int],
        calls: Any,
        *,
        connections: int,
        seconds: float,
        rate: float | None,
        acknowledged: Path | None = None,
        impatient: bool = False,
    ) -> None:
        self._address, self._calls, self._count = address, calls, connections
        self._seconds, self._rate, self._impatient = seconds, rate, impatient
        self._log = acknowledged.open("a", buffering=1) if acknowledged else None
        self.tally = Tally()
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._unanswered: deque[int] = deque()
        self._started = self._until = 0.0
        self._open = 0
        self._all: set[Connection] = set()
        self._beginning: set[asyncio.Future[None]] = set()
        self._most_late = 0

    async def run(self) -> dict[str, Any]:
        """Run for its time, or until SIGTERM; what is told of it."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        self._started = time.monotonic()
        self._until = self._started + self._seconds
        for _ in range(self._count):
            self._begin_connection()
        await (self._unpaced() if self._rate is None else self._paced())
        ended = time.monotonic()
        while self._under_way() and time.monotonic() < ended + _END_S:
            await asyncio.sleep(0.01)
        for connection in list(self._all):
            connection.close()
        await asyncio.sleep(0)
        if self._log is not None:
            self._log.close()
        return self._told(ended - self._started)

    def stop(self) -> None:
        """Send no more."""
        self._until = time.monotonic()

    async def _unpaced(self) -> None:
        while time.monotonic() < self._until:
            await asyncio.sleep(0.05)

    async def _paced(self) -> None:
        assert self._rate is not None
        sent = 0
        while (now := time.monotonic()) < self._until:
            due = int((now - self._started) * self._rate)
            while sent < due:
                self._due.append(self._started + (sent + 1) / self._rate)
                sent += 1
            while self._due and self._idle:
                self._send(self._idle.popleft(), self._due.popleft())
            self._most_late = max(self._most_late, len(self._due))
            await asyncio.sleep(_TICK_S)
        if self._impatient:
            self._due.clear()

    def _under_way(self) -> bool:
        return self._open > len(self._idle)

    def free(self, connection: Connection) -> None:
        """A connection may send again."""
        if not self._open_for(connection):
            return
        if self._rate is None:
            if time.monotonic() < self._until:
                self._send(connection, time.monotonic())
                return
        elif self._due:
            self._send(connection, self._due.popleft())
            return
        self._idle.append(connection)

    @staticmethod
    def _open_for(connection: Connection) -> bool:
        return connection.transport is not None and not connection.transport.is_closing()

    def _send(self, connection: Connection, due: float) -> None:
        if not self._open_for(connection):
            self._due.append(due)
            return
        if self._unanswered:  # what was cut off is sent again, as clients do
            first = self._unanswered.popleft()
            connection.send(first, self._calls.numbered(first), due)
            return
        first, request = self._calls.request()
        connection.send(first, request, due)

    def answered(self, first: int, status: int, due: float) -> None:
        """A request was answered."""
        now = time.monotonic()
        tally = self.tally
        tally.statuses[status] += 1
        if status != 200:
            if status in (429, 503):
                self._unanswered.append(first)
            return
        tally.took.append(now - due)
        tally.by_second[int(now - self._started)] += 1
        tally.calls += self._calls.batch
        if self._log is not None:
            self._log.write(f"{first}\n")

    def lost(self, connection: Connection) -> None:
        """A connection ended; another takes its place."""
        self._open -= 1
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.first >= 0:
            self.tally.cut += 1
            self._unanswered.append(connection.first)
        if time.monotonic() < self._until:
            self._begin_connection()

    def _begin_connection(self) -> None:
        begun = asyncio.ensure_future(self._connect())
        self._beginning.add(begun)
        begun.add_done_callback(self._beginning.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while time.monotonic() < self._until:
            try:
                _, made = await loop.create_connection(lambda: Connection(self), *self._address)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            self._open += 1
            self._all.add(made)
            return

    def _told(self, seconds: float) -> dict[str, Any]:
        took, used = sorted(self.tally.took), resource.getrusage(resource.RUSAGE_SELF)
        whole = [self.tally.by_second[one] for one in range(int(seconds))]
        return {
            "seconds": seconds,
            "requests": len(took),
            "calls": self.tally.calls,
            "made": self._calls.made,
            # What was answered after the time was over is no part of the rate.
            "requests_s": sum(whole) / max(1, len(whole)),
            "calls_s": self._calls.batch * sum(whole) / max(1, len(whole)),
            "least_in_a_second": min(whole) if whole else None,
            "took_ms": quantiles_ms(took),
            "statuses": {str(k): n for k, n in sorted(self.tally.statuses.items())},
            "cut": self.tally.cut,
            "unanswered": len(self._unanswered) + len(self._due),
            "most_due_at_once": self._most_late,
            "generator_cpu_s": used.ru_utime + used.ru_stime,
        }


class Reads:
    """Requests for a customer's profile, one after the other."""

    batch = 1

    def __init__(self, customers: list[str], key: str, path: str) -> None:
        self._customers, self._key, self._path = customers, key, path
        self.made = 0

    def request(self) -> tuple[int, bytes]:
        self.made += 1
        return self.made, self.numbered(self.made)

    def numbered(self, first: int) -> bytes:
        who = self._customers[first * 7919 % len(self._customers)]
        return (
            f"GET {self._path.format(who)} HTTP/1.1\r\nhost: load\r\n"
            f"authorization: Bearer {self._key}\r\n\r\n"
        ).encode()


def quantiles_ms(ordered: list[float]) -> dict[str, float]:
    """Of sorted seconds, in milliseconds; empty where there are none."""
    if not ordered:
        return {}
    places = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
    last = len(ordered) - 1
    found = {name: 1000 * ordered[min(last, int(share * last + 0.5))]
             for name, share in places.items()}  # fmt: skip
    return {**found, "max": 1000 * ordered[-1]}


def main(told: dict[str, Any]) -> dict[str, Any]:
    """Run one load; its figures."""
    customers = Path(told["customers"]).read_text().split()
    if told.get("path"):
        calls: Any = Reads(customers, told["key"], told["path"])
    else:
        calls = Calls(
            customers, told["key"], batch=told["batch"], prefix=told["prefix"],
            again=told.get("again", 0.0), poison=told.get("poison", 0.0),
        )  # fmt: skip
    log = told.get("acknowledged")
    load = Load(
        (told["host"], told["port"]), calls, connections=told["connections"],
        seconds=told["seconds"], rate=told.get("rate"),
        acknowledged=Path(log) if log else None, impatient=told.get("impatient", False),
    )  # fmt: skip
    return asyncio.run(load.run())


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
