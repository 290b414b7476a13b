"""A log that comes in at once: from the import until the customer of the last call has moved."""

from __future__ import annotations

import base64
import gzip
import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.load.calls import Calls
from bench.load.site import Server
from bench.load.visible import Probe

#: Over which calls are spread, up to now.
_SPAN = timedelta(days=30)
_TIMEOUT_S = 1_800.0
_PART = 10_000


def imported(
    server: Server, shop: Path, settings: Mapping[str, Any], probes: Sequence[str]
) -> dict[str, Any]:
    """Import calls and wait until all are in states and memberships.

    The last call is of a customer who lacks one to be placed; calls are taken in in their order,
    so once that membership can be read from the state store all others are there.
    """
    made, count = Calls(_names(settings), settings["key"], prefix="replay"), settings["calls"]
    body = b"".join(_lines(made, count))
    before, begun = server.cpu_s(), time.monotonic()
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=_TIMEOUT_S)) as to:
        basic = base64.b64encode(f"{settings['key']}:".encode()).decode()
        told = {"authorization": f"Basic {basic}", "content-type": "application/x-ndjson",
                "content-encoding": "gzip"}  # fmt: skip
        to.request("POST", "/v1/import", body, told)
        answer = to.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the import was answered {answer.status}: {answer.read()[:500]!r}")
        answer.read()
    taken = time.monotonic() - begun
    with closing(Probe(server, shop, settings["key"], probes[-1:], lost_s=_TIMEOUT_S)) as last:
        if last.once() is None:
            raise RuntimeError(f"the last customer was not moved within {_TIMEOUT_S:,.0f} s")
    return {
        "calls": count, "taken_s": taken, "replayed_s": time.monotonic() - begun,
        "server_cpu_s": server.cpu_s() - before, "bytes": len(body),
    }  # fmt: skip


def _names(settings: Mapping[str, Any]) -> list[str]:
    return Path(settings["customers"]).read_text().split()


def _lines(made: Calls, count: int) -> Iterator[bytes]:
    """Calls a line, oldest first, as gzip members."""
    end = datetime.now(UTC)
    for first in range(0, count, _PART):
        part = range(first, min(first + _PART, count))
        moments = (end - _SPAN * (1 - number / count) for number in part)
        lines = [
            made.call(number, moment.isoformat(timespec="milliseconds"))
            for number, moment in zip(part, moments, strict=True)
        ]
        yield gzip.compress(("\n".join(lines) + "\n").encode(), 1)
