"""From an event to a membership that others see: customers who lack one event to be placed get it.

Time counts from just before the request is sent until the customer's new membership can be read
from the state store by another process.
"""

from __future__ import annotations

import base64
import http.client
import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.load.generator import quantiles_ms
from bench.load.site import Server

_LOOK_S = 0.02


class Probe:
    """Sends an event of a new customer to place every so often, and looks when each is placed.

    Args:
        customers: each is used once.
        every_s: between two of them.
        lost_s: a customer who is not moved by then counts as lost.
    """

    def __init__(
        self,
        server: Server,
        shop: Path,
        key: str,
        customers: Sequence[str],
        every_s: float = 0.5,
        lost_s: float = 120.0,
    ) -> None:
        self._server, self._key = server, key
        self._every_s, self._lost_s = every_s, lost_s
        self._customers = list(customers)
        self._store = sqlite3.connect(
            f"file:{shop / 'shop.sqlite'}?mode=ro", uri=True, check_same_thread=False
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._sent: dict[str, tuple[float, int]] = {}
        self._took: list[float] = []

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more, and wait for those on their way."""
        self._stopped.set()
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Give back what it reads with."""
        self._store.close()

    def once(self) -> float | None:
        """Seconds until one customer is placed; None: it was not in time."""
        self._send()
        while self._sent and self._look():
            time.sleep(_LOOK_S)
        return self._took.pop() if self._took else None

    def told(self) -> dict[str, Any]:
        """How long it took."""
        return {"probes": len(self._took) + len(self._sent), "lost": len(self._sent),
                "took_ms": quantiles_ms(sorted(self._took))}  # fmt: skip

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            if time.monotonic() >= due and self._customers:
                due += self._every_s
                self._send()
            self._look()
            time.sleep(_LOOK_S)
        while self._sent and self._look():
            time.sleep(_LOOK_S)

    def _send(self) -> None:
        who = self._customers.pop()
        told = {
            "type": "track", "event": "Product Viewed", "messageId": f"probe-{who}", "userId": who,
            "properties": {"product_id": "i000001", "price": 9.5, "currency": "EUR"},
        }  # fmt: skip
        basic = base64.b64encode(f"{self._key}:".encode()).decode()
        before = self._latest([who]).get(who, 0)
        sent = time.monotonic()
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=60)
        with closing(connection):
            connection.request(
                "POST", "/v1/track", json.dumps(told), {"authorization": f"Basic {basic}"}
            )
            status = connection.getresponse().status
        if status != 200:
            raise RuntimeError(f"a probe was answered with {status}")
        self._sent[who] = sent, before

    def _look(self) -> bool:
        """Note who was placed; whether those who were not may still be."""
        now = time.monotonic()
        for who, position in self._latest(list(self._sent)).items():
            sent, before = self._sent[who]
            if position > before:
                self._took.append(now - sent)
                del self._sent[who]
        return not self._sent or now - min(sent for sent, _ in self._sent.values()) < self._lost_s

    def _latest(self, customers: list[str]) -> dict[str, int]:
        marks = ",".join("?" * len(customers))
        return dict(
            self._store.execute(
                "SELECT customer_id, max(position) FROM memberships "
                f"WHERE customer_id IN ({marks}) GROUP BY customer_id",
                customers,
            )
        )
