"""Requests of a shop's tracking client, made fast: one generator has to outrun the server."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from datetime import UTC, datetime

#: Of a hundred calls: views, cart additions, orders.
_KINDS = ("view",) * 80 + ("cart",) * 15 + ("order",) * 5
_CALL = {
    "view": (
        '{"type":"track","event":"Product Viewed","messageId":"%s","userId":"%s","timestamp":"%s",'
        '"context":{"library":{"name":"bench","version":"1"}},"properties":{"product_id":"i%06d",'
        '"category":"sports/running/shoes","brand":"Long March","price":%d.99,"currency":"EUR"}}'
    ),
    "cart": (
        '{"type":"track","event":"Product Added","messageId":"%s","userId":"%s","timestamp":"%s",'
        '"context":{"library":{"name":"bench","version":"1"}},"properties":{"product_id":"i%06d",'
        '"category":"sports/running/shoes","brand":"Long March","price":%d.99,"currency":"EUR",'
        '"quantity":1}}'
    ),
}
_ORDER = (
    '{"type":"track","event":"Order Completed","messageId":"%s","userId":"%s","timestamp":"%s",'
    '"context":{"library":{"name":"bench","version":"1"}},"properties":{"order_id":"o-%s",'
    '"currency":"EUR","products":[{"product_id":"i%06d","category":"sports/running/shoes",'
    '"price":%d.99,"quantity":1}]}}'
)


class Calls:
    """Endless calls of known customers, with ids `PREFIX-0`, `PREFIX-1`, ...

    Args:
        customers: whose calls these are.
        key: the write key.
        batch: calls of a request; 1: a lone call to `/v1/track`.
        again: share of requests that were sent before and are sent once more.
        poison: share of calls of nobody, which belong into the quarantine.
    """

    def __init__(
        self,
        customers: Sequence[str],
        key: str,
        *,
        batch: int = 1,
        prefix: str = "m",
        again: float = 0.0,
        poison: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.batch, self.prefix = batch, prefix
        self._customers, self._again = customers, again
        self._poison = int(1_000 * poison)
        self._drawn = random.Random(seed)
        self._next = 0
        self._ones = self._drawn.choices(_KINDS, k=997)
        basic = base64.b64encode(f"{key}:".encode()).decode()
        path = "/v1/track" if batch == 1 else "/v1/batch"
        self._head = (
            f"POST {path} HTTP/1.1\r\nhost: load\r\nauthorization: Basic {basic}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()

    @property
    def made(self) -> int:
        """Calls with ids of their own so far."""
        return self._next

    def request(self) -> tuple[int, bytes]:
        """The number of its first call, and the request."""
        first = self._next
        if first and self._again and self._drawn.random() < self._again:
            return self._repeated(first)
        self._next += self.batch
        return first, self.numbered(first)

    def _repeated(self, made: int) -> tuple[int, bytes]:
        first = self._drawn.randrange(made // self.batch) * self.batch
        return first, self.numbered(first)

    def numbered(self, first: int) -> bytes:
        """The request whose first call has a number."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        if self.batch == 1:
            body = f'{self.call(first, now)[:-1]},"sentAt":"{now}"}}'
        else:
            calls = ",".join(self.call(one, now) for one in range(first, first + self.batch))
            body = f'{{"batch":[{calls}],"sentAt":"{now}"}}'
        told = body.encode()
        return b"%b%d\r\n\r\n%b" % (self._head, len(told), told)

    def call(self, number: int, moment: str) -> str:
        """A call: the same customer and kind for the same number."""
        kind = self._ones[number % 997]
        name = f"{self.prefix}-{number}"
        who = self._customers[number * 7919 % len(self._customers)]
        if number * 389 % 1_000 < self._poison:
            who = "null"
        item, price = number * 31 % 3_000, number % 90 + 5
        if kind == "order":
            return _ORDER % (name, who, moment, name, item, price)
        return _CALL[kind] % (name, who, moment, item, price)
