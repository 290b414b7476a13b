"""Reads that are answered from what is at hand: the same answers, from less work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router
from tests.shops import purchase, write_csv
from tests.unit.service.calls import call
from tests.unit.service.served import Shelf, served

import shoal
from shoal.adapters.memory_audit import MemoryAudit
from shoal.domain.audit import Act
from shoal.domain.errors import OperationError
from shoal.service import access
from shoal.service.app import application
from shoal.service.routing import ByBeginning
from shoal.service.trail import Trail
from shoal.workflows.auditing import Auditor


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with served(tmp_path_factory.mktemp("reads")) as found:
        yield found


def at_hand(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What was told without a thread, from now on; None where it was not."""
    from shoal.workflows.profile import Profiles

    told: list[str | None] = []
    asked = Profiles.at_hand

    def watched(self: Profiles, *given: Any, **named: Any) -> str | None:
        told.append(asked(self, *given, **named))
        return told[-1]

    monkeypatch.setattr(Profiles, "at_hand", watched)
    return told


def agree(shelf: Shelf, *customers: str) -> None:
    """Every profile is what a shop that was just opened tells of the customer."""
    shelf.asking_again()
    with shoal.open(shelf.shop.directory) as fresh:
        asking = fresh.asking()
        for name in customers:
            for features in (True, False):
                twice = [shelf.get(f"/v1/customers/{name}", features=features) for _ in range(2)]
                wanted = json.loads(json.dumps(asking.profile(name, features=features)))
                assert twice == [wanted, wanted]


def versions(shelf: Shelf, customer: str) -> list[str]:
    told = shelf.get(f"/v1/customers/{customer}")["segments"]
    return [one["segmentation_id"] for one in told]


def test_what_is_at_hand_is_what_the_states_tell_whatever_happens(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = at_hand(shelf, monkeypatch)
    names = ["c1", "c2", "c3", "with/slash", "device-1"]
    agree(shelf, *names)
    assert told[1] is not None  # the second time; the first one finished features
    assert "device-1" not in str(told)  # an id that stands for another is looked for in a thread
    # Events come in, and customers move.
    rows = [purchase(100 + number, "c2") for number in range(5)]
    shelf.shop.ingest(write_csv(shelf.shop.directory / "more.csv", rows), preset="shoal")
    shelf.shop.refresh()
    agree(shelf, *names)
    # A version is made anew, and taken back.
    shelf.shop.segment(method="kmeans", k=2)
    agree(shelf, *names)
    assert versions(shelf, "c2") == ["kmeans-0001", "rfm-0002"]
    shelf.shop.rollback("rfm-0001")
    agree(shelf, *names)
    assert versions(shelf, "c2") == ["kmeans-0001", "rfm-0001"]
    assert sum(one is not None for one in told) > len(told) / 2
    # A person is forgotten.
    shelf.shop.forget(["c3"])
    shelf.asking_again()
    gone = shelf.ask("/v1/customers/c3")
    assert (gone.status, gone.document["code"]) == (404, "unknown_customer")
    agree(shelf, "c1", "c2")


def test_a_key_that_is_revoked_opens_nothing_that_is_at_hand(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FRESH_S", 0.1)
    made = shelf.shop.make_key("short", role="marketer")
    time.sleep(access.FRESH_S + 1.0)
    assert call(shelf.app, "GET", "/v1/customers/c1", key=made["key"]).status == 200
    shelf.shop.revoke_key(made["key_id"])
    time.sleep(access.FRESH_S)
    assert call(shelf.app, "GET", "/v1/customers/c1", key=made["key"]).status == 401


def test_routes_by_their_beginning_are_those_that_are_tried_one_by_one(shelf: Shelf) -> None:
    routes = shelf.app.router.routes
    assert isinstance(shelf.app.router, ByBeginning)
    one_by_one = Router(routes, redirect_slashes=False)
    paths = [getattr(one, "path", "") for one in routes]
    filled = [path.replace("{", "").replace("}", "").replace(":path", "/x") for path in paths]
    strange = ["/", "", "/v1", "/v1/", "/v1/nothing", "/nothing", "//", "/v1//", "/v1/customers",
               "/v1/customers/", "/v1/customers//history", "/v1/segments/a/b/c"]  # fmt: skip
    for path in dict.fromkeys([*paths, *filled, *(f"{one}/" for one in filled), *strange]):
        for method in ("GET", "POST", "DELETE", "PUT"):
            scope = {"type": "http", "method": method, "path": path, "root_path": ""}
            own = shelf.app.router._by_beginning.get(
                tuple(path.split("/", 3)[1:3]), shelf.app.router._others
            )  # fmt: skip
            assert found(own, scope) == found(one_by_one, scope), (path, method)


def found(router: Router, scope: dict[str, Any]) -> tuple[Match, str]:
    """How a request matches, and the path of its route."""
    matches = [(one.matches(scope)[0], getattr(one, "path", "")) for one in router.routes]
    for wanted in (Match.FULL, Match.PARTIAL):
        for match, path in matches:
            if match == wanted:
                return match, path
    return Match.NONE, ""


def test_a_route_that_may_take_any_path_is_tried_in_its_place() -> None:
    async def told(request: Request) -> Response:
        return Response(request.scope["route"].path)

    paths = ["/v1/a", "/{any}/b", "/v1/b", "/v1/a/{x}"]
    app = ByBeginning([Route(path, told) for path in paths])
    for path, wanted in (("/v1/a", "/v1/a"), ("/v1/b", "/{any}/b"), ("/z/b", "/{any}/b"),
                         ("/v1/a/q", "/v1/a/{x}")):  # fmt: skip
        assert asked(app, path) == wanted


def asked(app: Any, path: str) -> str:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": [],
             "query_string": b""}  # fmt: skip
    asyncio.run(app(scope, None, send))
    return b"".join(one.get("body", b"") for one in sent).decode()


# --- The audit log of many reads ------------------------------------------------------------------


class Counted(MemoryAudit):
    """Counts commits, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[int] = []
        self.full = False

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        if self.full:
            raise OperationError("disk_full", "no space is left on the device")
        self.commits.append(len(acts))
        return super().append(acts, synced=synced)


def audited(shelf: Shelf, auditor: Auditor) -> Any:
    return application(
        shelf.collector, access.Keyring(shelf.shop.known_keys), shelf.driver, shelf.endpoints,
        trail=Trail(auditor),
    )  # fmt: skip


async def together(app: Any, key: str, paths: Sequence[str]) -> list[int]:
    """Statuses of requests that come in one turn of the event loop."""

    async def one(path: str) -> int:
        status = 0

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
                 "query_string": b"", "scheme": "http", "client": ("203.0.113.7", 5),
                 "server": ("shop", 80), "http_version": "1.1", "root_path": "",
                 "headers": [(b"authorization", f"Bearer {key}".encode())]}  # fmt: skip
        await app(scope, None, send)
        return status

    return list(await asyncio.gather(*(one(path) for path in paths)))


def test_reads_of_one_turn_share_a_commit_and_each_has_its_entry(shelf: Shelf) -> None:
    log = Counted()
    auditor = Auditor(log, lambda: datetime(2026, 5, 1, tzinfo=UTC))
    app, key = audited(shelf, auditor), shelf.keys["marketer"]
    paths = [f"/v1/customers/c{number % 3}" for number in range(30) if number % 3]
    shelf.asking_again()
    asyncio.run(together(app, key, paths[:2]))  # keys and what is in force are read
    entries = len(log.entries)
    assert asyncio.run(together(app, key, paths)) == [200] * len(paths)
    assert len(log.entries) == entries + len(paths)
    assert max(log.commits) > 1
    # A full disk lets reads go on: what they owe is written later.
    log.full = True
    assert asyncio.run(together(app, key, paths)) == [200] * len(paths)
    log.full = False
    assert asyncio.run(together(app, key, paths[:1])) == [200]
    assert len(log.entries) == entries + 2 * len(paths) + 1
    auditor.close()


def test_a_read_is_answered_after_its_entry_is_written(shelf: Shelf) -> None:
    class Slow(Counted):
        def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
            time.sleep(0.05)
            return super().append(acts, synced=synced)

    log = Slow()
    auditor = Auditor(log)
    app = audited(shelf, auditor)
    for number in range(3):
        assert asyncio.run(together(app, shelf.keys["marketer"], ["/v1/customers/c1"])) == [200]
        assert len(log.entries) == number + 1
    auditor.close()
    # Nothing is taken any more: the read stands, and that it is not written down is logged.
    assert asyncio.run(together(app, shelf.keys["marketer"], ["/v1/customers/c1"])) == [200]
