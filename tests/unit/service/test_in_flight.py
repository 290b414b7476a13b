"""Bodies in flight: what is beyond the budget, and what stands still, may come again."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from tests.asked import Answer, Still, asked, asking

from shoal.service.in_flight import Budget, InFlight


class Reading:
    """Reads a body, and answers when it is let."""

    def __init__(self) -> None:
        self.go: asyncio.Event | None = None
        self.sizes = list[int]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await Request(scope, receive).body()
        self.sizes.append(len(body))
        if self.go is not None:
            await self.go.wait()
        await JSONResponse({"size": len(body)})(scope, receive, send)


def test_what_is_answered_is_let_go() -> None:
    budget = Budget(100)
    app = InFlight(Reading(), budget)
    for _ in range(5):
        assert asked(app, "/", b"x" * 50, b"y" * 50).document == {"size": 100}
        assert budget.taken == 0


def test_beyond_the_budget_a_client_is_told_to_come_again() -> None:
    async def both() -> tuple[Answer, Answer, Answer]:
        reading, budget = Reading(), Budget(100)
        app = InFlight(reading, budget)
        reading.go = asyncio.Event()
        first = asyncio.create_task(asking(app, "/", [b"x" * 60]))
        while not reading.sizes:
            await asyncio.sleep(0)
        second = await asking(app, "/", [b"x" * 30, b"x" * 30])
        assert budget.taken == 60  # of the second nothing is kept
        reading.go.set()
        return await first, second, await asking(app, "/", [b"x" * 60])

    first, second, third = asyncio.run(both())
    assert (first.status, third.status) == (200, 200)
    assert (second.status, second.document["code"]) == (503, "too_much_at_once")
    assert second.headers["retry-after"] == "1"
    assert second.document["message"]


def test_a_compressed_body_counts_as_what_it_becomes() -> None:
    small = gzip.compress(b"\0" * (1 << 20))
    assert asked(InFlight(Reading(), Budget(1 << 19)), "/", small).status == 503
    assert asked(InFlight(Reading(), Budget(1 << 21)), "/", small[:5], small[5:]).status == 200


def test_what_is_read_piece_by_piece_takes_the_same_however_long_it_is() -> None:
    budget = Budget(100)
    app = InFlight(Reading(), budget, {"/long": 90})
    assert asked(app, "/long/", *[b"x" * 80] * 9).document == {"size": 720}
    assert asked(app, "/", *[b"x" * 80] * 9).status == 503
    assert budget.taken == 0


def test_a_body_that_stands_still_lets_go_what_it_held() -> None:
    budget = Budget(100)
    app = InFlight(Reading(), budget, still_s=0.05)
    found = asked(app, "/", b"x" * 60, Still())
    assert (found.status, found.document["code"], budget.taken) == (408, "too_slow", 0)


def test_what_fails_within_lets_go_what_it_held() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()
        raise ValueError("odd")

    budget = Budget(100)
    with pytest.raises(ValueError, match="odd"):
        asked(InFlight(broken, budget), "/", b"x" * 60)
    assert budget.taken == 0
