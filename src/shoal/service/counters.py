"""The counting of requests, and how counts are written in Prometheus' text format.

Source: Prometheus documentation, "Exposition formats" (text-based format, escaping of labels).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Upper ends of the histogram's buckets, seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Of requests that no route was found for: paths of others' choosing would be series without end.
UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

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

    def as_document(self) -> dict[str, Any]:
        """What was counted, as it is told to another process."""
        told = {" ".join((route, method, str(status))): count
                for (route, method, status), count in list(self.requests.items())}  # fmt: skip
        buckets = {route: list(counted) for route, counted in list(self.buckets.items())}
        return {"requests": told, "seconds": dict(self.seconds), "buckets": buckets}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Counters:
        """By what `as_document` told."""
        found = cls(seconds=dict(document["seconds"]), buckets=dict(document["buckets"]))
        for key, count in document["requests"].items():
            route, method, status = key.rsplit(" ", 2)
            found.requests[route, method, int(status)] = count
        return found

    def lines(self) -> Iterable[str]:
        """The series of requests."""
        yield from series(
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


def added(one: Any, other: Any) -> Any:
    """Two documents of counts, count by count.

    >>> added({"a": 1, "b": [1, 2]}, {"b": [3, 4], "c": {"d": 5}})
    {'a': 1, 'b': [4, 6], 'c': {'d': 5}}
    """
    if isinstance(one, Mapping):
        found = {**one, **other}
        return {**found, **{name: added(one[name], other[name]) for name in one if name in other}}
    if isinstance(one, list):
        return [added(*pair) for pair in zip(one, other, strict=True)]
    return one + other


def series(name: str, kind: str, words: str, rows: Iterable[tuple[Labels, float]]) -> Iterable[str]:
    """A series and what it says, in Prometheus' text format."""
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in rows:
        yield _line(name, labels, value)


def _line(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{told}}} {value!r}" if told else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
