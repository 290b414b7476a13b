"""What a monitor reads: the service in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shoal.domain.access import DATA_READ, VIEWER, Key
from shoal.domain.errors import ShoalError
from shoal.domain.time import EARLIEST, Clock, parse_moment, system_clock
from shoal.service.answers import HEADERS
from shoal.service.api.asked import Asked
from shoal.service.api.operation import Operation, Operations
from shoal.service.counters import Counters, series
from shoal.service.endpoint import Endpoint, Guarded
from shoal.service.guard import Guard

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"
PATH: Final = "/metrics"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})

#: Who asks where nobody has a key.
_NOBODY: Final = Key("none", VIEWER, "this machine", "", "", EARLIEST)

#: Of each receiver: name, words, and the value by how it stands.
_OF_WEBHOOK: Final[Sequence[tuple[str, str, Callable[[Mapping[str, Any]], float]]]] = (
    ("shoal_webhook_up", "0: the message under way fails, or it is disabled; else 1.",
     lambda one: int(one["state"] == "ok")),
    ("shoal_webhook_pending", "Rows of the membership log that it is not told of.",
     lambda one: one["pending"]),
    ("shoal_webhook_undelivered_seconds", "Age of the message that it does not take; 0: none.",
     lambda one: one["undelivered_s"]),
    ("shoal_webhook_dead_letters", "Messages that were given up.",
     lambda one: one["dead_letters"]),
)  # fmt: skip

#: Of each worker: name, type, words, and the value by how it stands.
_OF_WORKER: Final[Sequence[tuple[str, str, str, Callable[[Mapping[str, Any]], float]]]] = (
    ("shoal_worker_up", "gauge", "1: the process takes requests.",
     lambda one: int(one["state"] == "up")),
    ("shoal_worker_restarts_total", "counter", "How often it ended and was started again.",
     lambda one: one["restarts"]),
)  # fmt: skip
#: The same of each partition.
_OF_PARTITION: Final[Sequence[tuple[str, str, str, Callable[[Mapping[str, Any]], float]]]] = (
    ("shoal_partition_up", "gauge", "1: the process moves its share of the customers.",
     lambda one: int(one["state"] == "up")),
    ("shoal_partition_restarts_total", "counter", "How often it ended and was started again.",
     lambda one: one["restarts"]),
    ("shoal_partition_shares_total", "counter", "Shares of steps that it did.",
     lambda one: one["shares"]),
)  # fmt: skip


class Metrics:
    """The route of a monitor.

    Args:
        told: what the driver tells of itself.
        counts: calls by what became of them.
        refused: calls that could be no event, by reason.
        waiting_since: when the oldest call came that is not in the log; None: none waits.
        nobody: whether nobody has a key.
        webhooks: how receivers stand.
        workers: how processes stand that take requests, where there are several.
        partitions: how processes stand among which customers are divided, where there are several.
    """

    def __init__(
        self,
        counters: Counters,
        told: Callable[[], Mapping[str, Any]],
        counts: Callable[[], Mapping[str, int]],
        refused: Callable[[], Mapping[str, int]],
        waiting_since: Callable[[], datetime | None],
        nobody: Callable[[], bool],
        webhooks: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        workers: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        partitions: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        clock: Clock = system_clock,
    ) -> None:
        self._counters, self._told, self._counts = counters, told, counts
        self._refused, self._waiting_since, self._clock = refused, waiting_since, clock
        self._nobody, self._webhooks = nobody, webhooks
        self._workers, self._partitions = workers, partitions

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """The one route; without a key where nobody has one, for this machine alone."""
        found = operations.endpoint(
            Operation(
                "GET", PATH, DATA_READ, self._metrics,
                "Counts and times, in Prometheus' text format", slow=True, media=MEDIA,
                tag="shop", example='shoal_calls_total{outcome="accepted"} 50\n',
            )
        )  # fmt: skip
        return [AtHome(**vars(found), nobody=self._nobody)]

    def _metrics(self, asked: Asked) -> Response:
        body = "\n".join([*self._lines(), *self._counters.lines()]) + "\n"
        return Response(body.encode(), headers={**HEADERS, "content-type": MEDIA})

    def _lines(self) -> Iterable[str]:
        told, counts, now = self._told(), self._counts(), self._clock()
        yield from series(
            "shoal_calls_total", "counter", "Calls collected, by what became of them.",
            [((("outcome", name),), counts.get(name, 0))
             for name in ("received", "accepted", "duplicates", "rejected")],
        )  # fmt: skip
        yield from series(
            "shoal_calls_refused_total",
            "counter",
            "Calls that can be no event, by reason.",
            [((("reason", name),), count) for name, count in sorted(self._refused().items())],
        )
        since = self._waiting_since()
        lag = 0.0 if since is None else max((now - since).total_seconds(), 0.0)
        behind = told.get("behind_since")
        moved = lag if behind is None else (now - parse_moment(behind)).total_seconds()
        for name, kind, words, value in (
            ("shoal_events_stored_total", "counter", "Events stored.", told.get("events", 0)),
            ("shoal_memberships_changed_total", "counter", "Customers who changed segment.",
             told.get("moved", 0)),
            ("shoal_inbox_waiting", "gauge", "Calls that are not in the log.",
             told.get("waiting", 0)),
            ("shoal_drain_lag_seconds", "gauge", "Age of the oldest call that is not in the log.",
             lag),
            ("shoal_move_lag_seconds", "gauge",
             "Time for which customers wait to be moved after what came.", max(moved, lag)),
        ):  # fmt: skip
            yield from series(name, kind, words, [((), value)])
        failure = told.get("failure")
        rows = [] if failure is None else [((("code", str(failure["code"])),), 1)]
        yield from series(
            "shoal_driver_failing", "gauge", "1 by the code of what the driver fails at now.", rows
        )
        yield from self._of_webhooks()
        for what, found, columns in (
            ("worker", self._workers(), _OF_WORKER),
            ("partition", self._partitions(), _OF_PARTITION),
        ):
            for name, kind, words, value in columns if found else ():
                told_of = [(((what, str(one[what])),), value(one)) for one in found]
                yield from series(name, kind, words, told_of)

    def _of_webhooks(self) -> Iterable[str]:
        """How receivers stand; nothing where that cannot be read now."""
        try:
            found = self._webhooks()
        except ShoalError:
            return
        for name, words, value in _OF_WEBHOOK:
            rows = [((("webhook", one["webhook_id"]),), value(one)) for one in found]
            yield from series(name, "gauge", words, rows)


@dataclass(frozen=True)
class AtHome(Endpoint):
    """An endpoint that asks no key of this machine while `nobody` has one."""

    nobody: Callable[[], bool] = bool

    def route(self, guard: Guard) -> Guarded:
        return _AtHome(self, guard)


class _AtHome(Guarded):
    """The route of an endpoint that may be asked from this machine."""

    asked: AtHome

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        host = request.client.host if request.client is not None else ""
        if host in _LOOPBACK and scope["method"] == self.asked.method and self.asked.nobody():
            found = await self.asked.handle(request, _NOBODY)
            await found(scope, receive, send)
        else:
            await super().handle(scope, receive, send)
