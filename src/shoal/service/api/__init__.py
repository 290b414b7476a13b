"""The API of a shop that is served: one file a topic, each a class with its endpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shoal.domain.time import from_us, system_clock
from shoal.service.api.adjustments import Adjustments
from shoal.service.api.assign import Assign
from shoal.service.api.customers import Customers
from shoal.service.api.exports import Exports
from shoal.service.api.metrics import Metrics
from shoal.service.api.operation import Operations
from shoal.service.api.rules import Rules
from shoal.service.api.segments import Segments
from shoal.service.api.shop_state import ShopState
from shoal.service.api.writing import Lock, Writing
from shoal.service.counters import Counters

if TYPE_CHECKING:
    from shoal.service.access import Keyring
    from shoal.service.driver import Driver
    from shoal.service.endpoint import Endpoint
    from shoal.shop import Shop
    from shoal.workflows.collecting import Collector


@dataclass(frozen=True)
class Served:
    """What goes on around a shop that is served.

    Args:
        past: position of the inbox past which customers are moved.
        turn: held by whoever writes.
        told: what the driver tells of itself.
        counts, refused: calls by what became of them, and by reason.
        waiting_since: when the oldest call came that is not in the log; None: none waits.
        nobody: whether nobody has a key.
        counters: of requests.
        workers: how processes stand that take requests, where there are several.
        partitions: how processes stand among which customers are divided, where there are several.
    """

    past: Callable[[], int] = int
    turn: Lock = field(default_factory=threading.RLock)
    told: Callable[[], Mapping[str, Any]] = dict
    counts: Callable[[], Mapping[str, int]] = dict
    refused: Callable[[], Mapping[str, int]] = dict
    waiting_since: Callable[[], datetime | None] = lambda: None
    nobody: Callable[[], bool] = bool
    counters: Counters = field(default_factory=Counters)
    workers: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    partitions: Callable[[], Sequence[Mapping[str, Any]]] = tuple

    @classmethod
    def of(
        cls, collector: Collector, driver: Driver, keyring: Keyring, counters: Counters
    ) -> Served:
        """By collector, driver and keys."""

        def waiting_since() -> datetime | None:
            inbox = collector.inbox
            oldest = inbox.after(inbox.drained(), 1)
            return from_us(oldest[0][1].received_us) if oldest else None

        return cls(
            lambda: driver.past, driver.turn, driver.told, lambda: collector.counts,
            lambda: collector.refused, waiting_since, keyring.nobody, counters,
        )  # fmt: skip


def api_endpoints(shop: Shop, served: Served) -> list[Endpoint]:
    """Every endpoint of this package, those whose path another one's would take last."""
    asking = shop.asking()
    operations = Operations(served.past)
    writing = Writing(served.turn)
    groups = (
        Customers(asking),
        Segments(shop, asking),
        Assign(asking, system_clock),
        Rules(shop, asking, writing),
        Exports(shop, asking, writing),
        Adjustments(shop, writing),
        ShopState(shop, asking, served.told, served.counts),
        Metrics(
            served.counters, served.told, served.counts, served.refused, served.waiting_since,
            served.nobody, shop.webhooks_standing, served.workers, served.partitions,
        ),
    )  # fmt: skip
    found = [one for group in groups for one in group.endpoints(operations)]
    return sorted(found, key=lambda one: one.path.endswith(":path}"))
