"""What a monitor reads: Prometheus' text format, and the counting of requests.

Source: Prometheus documentation, "Exposition formats" (text-based format, escaping of labels).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shoal.domain.access import DATA_READ, VIEWER, Key
from shoal.domain.errors import ShoalError
from shoal.domain.time import EARLIEST, Clock, parse_moment, system_clock
from shoal.service.answers import HEADERS
from shoal.service.api.asked import Asked
from shoal.service.api.operation import Operation, Operations
from shoal.service.endpoint import Endpoint, Guarded
from shoal.service.guard import Guard

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"
PATH: Final = "/metrics"
#: Upper ends of the histogram's buckets, seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Of requests that no route was found for: paths of others' choosing would be series without end.
UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
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

Labels = tuple[tuple[str, str], ...]


@dataclass
class Counters:
    """Requests by route, method and status, and how long they took; of the event loop alone.

    Args:
        known: paths that are answered without a route.
    """

    known: frozenset[str] = frozenset()
    requests: dict[tuple[str, str, int], int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, list[int]] = field(default_factory=dict)

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        key = (route, method if method in _METHODS else "other", status)
        self.requests[key] = self.requests.get(key, 0) + 1
        self.seconds[route] = self.seconds.get(route, 0.0) + seconds
        counted = self.buckets.setdefault(route, [0] * (len(BUCKETS) + 1))
        counted[bisect_left(BUCKETS, seconds)] += 1

    def lines(self) -> Iterable[str]:
        """The series of requests."""
        yield from _series(
            "shoal_http_requests_total", "counter", "Requests answered.",
            [((("route", route), ("method", method), ("status", str(status))), count)
             for (route, method, status), count in sorted(self.requests.items())],
        )  # fmt: skip
        name = "shoal_http_request_seconds"
        yield f"# HELP {name} Time until an answer was sent."
        yield f"# TYPE {name} histogram"
        for route, counted in sorted(self.buckets.items()):
            total = 0
            for end, count in zip((*map(str, BUCKETS), "+Inf"), counted, strict=True):
                total += count
                yield _line(f"{name}_bucket", (("route", route), ("le", end)), total)
            yield _line(f"{name}_sum", (("route", route),), self.seconds[route])
            yield _line(f"{name}_count", (("route", route),), total)


class Measured:
    """Counts what an application answers."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app, self._counters = app, counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            route = getattr(scope.get("route"), "path", None)
            if route is None:
                path = scope["path"].rstrip("/")
                route = path if path in self._counters.known else UNMATCHED
            self._counters.observe(route, scope["method"], status, time.perf_counter() - began)


class Metrics:
    """The route of a monitor.

    Args:
        told: what the driver tells of itself.
        counts: calls by what became of them.
        refused: calls that could be no event, by reason.
        waiting_since: when the oldest call came that is not in the log; None: none waits.
        nobody: whether nobody has a key.
        webhooks: how receivers stand.
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
        clock: Clock = system_clock,
    ) -> None:
        self._counters, self._told, self._counts = counters, told, counts
        self._refused, self._waiting_since, self._clock = refused, waiting_since, clock
        self._nobody, self._webhooks = nobody, webhooks

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
        yield from _series(
            "shoal_calls_total", "counter", "Calls collected, by what became of them.",
            [((("outcome", name),), counts.get(name, 0))
             for name in ("received", "accepted", "duplicates", "rejected")],
        )  # fmt: skip
        yield from _series(
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
            yield from _series(name, kind, words, [((), value)])
        failure = told.get("failure")
        rows = [] if failure is None else [((("code", str(failure["code"])),), 1)]
        yield from _series(
            "shoal_driver_failing", "gauge", "1 by the code of what the driver fails at now.", rows
        )
        yield from self._of_webhooks()

    def _of_webhooks(self) -> Iterable[str]:
        """How receivers stand; nothing where that cannot be read now."""
        try:
            found = self._webhooks()
        except ShoalError:
            return
        for name, words, value in _OF_WEBHOOK:
            rows = [((("webhook", one["webhook_id"]),), value(one)) for one in found]
            yield from _series(name, "gauge", words, rows)


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


def _series(
    name: str, kind: str, words: str, rows: Iterable[tuple[Labels, float]]
) -> Iterable[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in rows:
        yield _line(name, labels, value)


def _line(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{told}}} {value!r}" if told else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
