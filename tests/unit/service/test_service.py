"""The service without a network: what clients are told when things go wrong, and who may send."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.domain.access import Key, checked_source, digest_of, new_secret
from shoal.domain.account import RowAccount
from shoal.domain.errors import OperationError, UsageError
from shoal.events.collected import opened
from shoal.ports import Arrived
from shoal.service.access import Keyring, shown_keys
from shoal.service.app import application
from shoal.service.driver import Driver
from shoal.service.listening import is_loopback, listening
from shoal.workflows import collecting
from shoal.workflows.collecting import BusyError, Collector
from shoal.workflows.draining import Drained

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECRET = new_secret("write")
KEY = Key("key-0001", "write", "web", digest_of(SECRET), SECRET[:16], NOW)
CALL = b'{"type":"track","event":"x","messageId":"m1"}'


class FullInbox(MemoryInbox):
    """A disk without space."""

    def append(self, arrived: Sequence[Arrived]) -> list[bool]:
        raise OperationError("disk_full", "no space is left on the device")


class SlowInbox(MemoryInbox):
    """Commits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.commits = threading.Event(), list[int]()

    def append(self, arrived: Sequence[Arrived]) -> list[bool]:
        self.go.wait(10)
        self.commits.append(len(arrived))
        return super().append(arrived)


class StillDriver:
    """A driver that has nothing to do."""

    def __init__(self, failure: dict[str, str] | None = None) -> None:
        self.failure = failure

    def told(self) -> dict[str, Any]:
        return {"failure": self.failure}


def asked(
    app: Any, path: str, body: bytes = b"", headers: dict[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, dict[str, str], Any]:  # fmt: skip
    """What an application answers to one request: status, headers, JSON."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    told = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": told, "scheme": "http", "server": ("shop", 80),
        "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    text = b"".join(one.get("body", b"") for one in sent[1:])
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, json.loads(text) if text else None


def app_of(collector: Collector, failure: dict[str, str] | None = None) -> Any:
    driver = cast(Driver, StillDriver(failure))
    return application(collector, Keyring(lambda: [KEY], lambda: NOW), driver)


# --- What clients are told ------------------------------------------------------------------------


def test_a_full_disk_is_told_to_come_again_and_reads_go_on() -> None:
    collector = Collector(FullInbox())
    app = app_of(collector)
    status, headers, told = asked(app, "/v1/track", CALL, {"x-write-key": SECRET})
    assert (status, told["code"]) == (503, "disk_full")
    assert int(headers["retry-after"]) > 0
    assert headers["access-control-allow-origin"] == "*"
    assert asked(app, "/health", method="GET")[0] == 200
    collector.close()


def test_more_than_can_wait_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "WAITING", 0)
    collector = Collector(MemoryInbox())
    status, headers, told = asked(app_of(collector), "/v1/track", CALL, {"x-write-key": SECRET})
    assert (status, told["code"], headers["retry-after"]) == (429, "busy", "1")
    collector.close()


def test_a_failure_that_nobody_foresaw_has_a_form_and_no_details() -> None:
    class Broken(MemoryInbox):
        def append(self, arrived: Sequence[Arrived]) -> list[bool]:
            raise ValueError("a secret")

    collector = Collector(Broken())
    with pytest.raises(ValueError, match="a secret"):  # the server logs it, after it answered
        asked(app_of(collector), "/v1/track", CALL, {"x-write-key": SECRET})
    collector.close()


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [("/v1/nothing", "POST", 404, "not_found"), ("/v1/track", "GET", 405, "bad_method"),
     ("/v1/track/x", "POST", 404, "not_found")],
)  # fmt: skip
def test_every_error_has_a_code_and_a_message(
    path: str, method: str, status: int, code: str
) -> None:
    collector = Collector(MemoryInbox())
    found, _, told = asked(app_of(collector), path, method=method)
    assert (found, told["code"]) == (status, code)
    assert told["message"]
    collector.close()


def test_browsers_may_ask_first_and_find_their_settings() -> None:
    collector = Collector(MemoryInbox())
    app = app_of(collector)
    status, headers, _ = asked(app, "/v1/t", method="OPTIONS")
    assert status == 204
    assert "x-retry-count" in headers["access-control-allow-headers"]
    status, _, told = asked(app, f"/v1/projects/{SECRET}/settings", method="GET")
    assert told["integrations"]["Segment.io"]["apiKey"] == SECRET
    assert asked(app, "/v1/projects/other/settings", method="GET")[0] == 404
    collector.close()


def test_readiness_says_why_events_wait() -> None:
    collector = Collector(MemoryInbox())
    failure = {"code": "disk_full", "message": "no space is left"}
    status, _, told = asked(app_of(collector, failure), "/ready", method="GET")
    assert (status, told["code"]) == (503, "disk_full")
    assert asked(app_of(collector), "/ready", method="GET")[0] == 200
    collector.close()


# --- Commits --------------------------------------------------------------------------------------


def test_requests_that_come_meanwhile_share_the_next_commit() -> None:
    inbox = SlowInbox()
    collector = Collector(inbox, lambda: NOW)
    judged = [collector.judged(opened(CALL.replace(b"m1", f"m{n}".encode())), NOW)
              for n in range(5)]  # fmt: skip
    first = collector.submit("web", judged[0], NOW)
    while collector._waiting.qsize():
        pass
    others = [collector.submit("web", one, NOW) for one in judged[1:]]
    # Who goes away takes nothing back that others wait for as well.
    assert not others[0].cancel()
    inbox.go.set()
    assert [one.result(10) for one in (first, *others)] == [[True]] * 5
    assert inbox.commits == [1, 4]
    collector.close()
    with pytest.raises(BusyError):
        collector.submit("web", judged[0], NOW)


def test_counts_add_up() -> None:
    collector = Collector(MemoryInbox(), lambda: NOW)
    body = b'{"batch":[' + b",".join([CALL, CALL, b"5", b'{"type":"track"}']) + b"]}"
    judged = collector.judged(opened(body), NOW)
    taken = collector.taken(judged, collector.submit("web", judged, NOW).result(10))
    assert (taken.received, taken.accepted, taken.duplicates) == (4, 2, 1)
    assert [one[:2] for one in taken.rejected] == [(2, "bad_call")]
    assert dict(collector.counts) == {
        "received": 4, "accepted": 2, "duplicates": 1, "rejected": 1,
    }  # fmt: skip
    collector.close()


# --- Keys -----------------------------------------------------------------------------------------


def request(headers: dict[str, str], query: str = "") -> Request:
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": told, "query_string": query.encode()})


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "query", "of_body", "shown"),
    [
        ({}, "", None, set()),
        (basic("K:"), "", None, {"K"}),
        (basic("K:"), "", "K", {"K"}),
        (basic("K:"), "", "L", {"K", "L"}),
        ({"authorization": "Bearer K"}, "", None, {"K"}),
        ({"authorization": "Basic ???"}, "", None, {""}),
        ({"x-write-key": "K"}, "writeKey=K", None, {"K"}),
        ({}, "write_key=K", "", {"K"}),
    ],
)
def test_a_key_is_found_wherever_its_client_puts_it(
    headers: dict[str, str], query: str, of_body: str | None, shown: set[str]
) -> None:
    assert shown_keys(request(headers, query), of_body) == shown


def test_a_key_opens_until_it_expires_or_is_revoked() -> None:
    from dataclasses import replace

    for key, source in (
        (KEY, "web"),
        (replace(KEY, expires=NOW), None),
        (replace(KEY, expires=NOW + timedelta(days=1)), "web"),
        (replace(KEY, revoked=NOW - timedelta(days=1)), None),
        (replace(KEY, role="read"), None),
    ):
        assert Keyring(lambda key=key: [key], lambda: NOW).source_of(SECRET) == source  # type: ignore[misc]
    assert Keyring(lambda: [KEY], lambda: NOW).source_of("another") is None


@pytest.mark.parametrize("source", ["", "Web", "a b", "../x", "x" * 65, "名"])
def test_names_that_no_source_can_have_are_refused(source: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        checked_source(source)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("shop", False)],
)
def test_addresses_of_this_machine_alone(host: str, own: bool) -> None:
    assert is_loopback(host) == own


def test_answers_do_not_wait_for_each_other_on_a_connection_that_is_used_again() -> None:
    with listening("127.0.0.1", 0) as found:
        assert found.proto == socket.IPPROTO_TCP  # asyncio then sets TCP_NODELAY


# --- The driver -----------------------------------------------------------------------------------


class Around:
    """A stream whose calls all go through the event table."""

    detour = "a test says so"
    behind = False

    def __init__(self, inbox: MemoryInbox) -> None:
        self._inbox = inbox

    @property
    def position(self) -> int:
        return self._inbox.drained()

    def step(self, now: datetime | None) -> None:
        return None

    def sweep(self, after: str, most: int, now: datetime | None) -> Any:
        return None

    def flush_due(self) -> bool:
        return False

    def flush(self) -> int:
        return 0


class Brought:
    """A shop that takes what is drained, or fails."""

    def streaming(self, inbox: MemoryInbox, **how: object) -> Around:
        self.around = Around(inbox)
        return self.around

    def __init__(self, *outcomes: Drained | Exception) -> None:
        self.outcomes, self.refreshed, self.arrived = list(outcomes), 0, list[bool]()

    def drain(self, inbox: object) -> Drained:
        found = self.outcomes.pop(0) if self.outcomes else Drained()
        if isinstance(found, Exception):
            raise found
        return found

    def refresh(self, as_of: datetime | None = None, *, arrived: bool) -> Any:
        self.refreshed += as_of is None or as_of >= NOW
        self.arrived.append(arrived)
        raise UsageError("unknown_segmentation", "there is none")


def test_a_driver_that_fails_says_so_and_goes_on() -> None:
    full = OperationError("disk_full", "no space is left")
    shop = Brought(full, ValueError("odd"), Drained(2, RowAccount(read=2, stored=2)))
    driver = Driver(cast(Any, shop), MemoryInbox(), clock=lambda: NOW)
    assert not driver._step()
    assert driver.told()["failure"]["code"] == "disk_full"
    assert not driver._step()
    assert driver.told()["failure"]["code"] == "internal"
    assert driver._step()
    told = driver.told()
    assert (told["failure"], told["calls"], told["events"], shop.refreshed) == (None, 2, 2, 2)
    assert (told["detours"], told["detour"]) == (2, "a test says so")


def test_it_rests_as_long_as_calls_took_and_longer_after_failures() -> None:
    shop = Brought(*(OperationError("disk_full", "no space is left") for _ in range(4)))

    def rests(every_s: float) -> list[float]:
        driver = Driver(cast(Any, shop), MemoryInbox(), every_s=every_s, clock=lambda: NOW)
        found = []
        for took in (None, 0.01, 0.4, 7.0):
            driver._took = took
            found.append(driver._rest(every_s))
        driver._took, driver._sweeping = None, (NOW, "c")
        found.append(driver._rest(every_s))
        driver._swept = NOW
        return [*found, driver._rest(every_s)]

    assert rests(1.0) == pytest.approx([0.2, 0.1, 0.4, 1.0, 0.0, 0.1])
    assert rests(0.05) == [0.05] * 4 + [0.0, 0.05]
    driver = Driver(cast(Any, shop), MemoryInbox(), every_s=1.0, clock=lambda: NOW)
    waited = [1.0]
    for _ in range(4):
        driver._step()
        waited.append(driver._rest(waited[-1]))
    assert waited == [1.0, 2.0, 4.0, 8.0, 10.0]
    driver._step()  # what failed is over
    assert driver._rest(10.0) == pytest.approx(0.2)


def test_customers_are_moved_on_though_nothing_comes() -> None:
    now = [NOW]
    shop = Brought()
    driver = Driver(cast(Any, shop), MemoryInbox(), sweep_s=60, clock=lambda: now[0])
    for seconds, swept in ((0, 1), (59, 1), (61, 2)):
        now[0] = NOW + timedelta(seconds=seconds)
        assert not driver._step()
        assert shop.refreshed == swept
    # What comes in between moves those alone of whom it tells.
    shop.outcomes.append(Drained(1, RowAccount(read=1, stored=1)))
    assert driver._step()
    assert shop.arrived == [False, False, True]


def test_between_two_parts_of_a_sweep_what_came_is_taken_in() -> None:
    done = []

    class Many(Around):
        """Customers who are moved in three parts."""

        def step(self, now: datetime | None) -> None:
            done.append("taken")

        def sweep(self, after: str, most: int, now: datetime | None) -> Any:
            done.append(f"after {after}")
            return SimpleNamespace(after={"": "c", "c": "f"}.get(after), changed=2, as_of=now)

    now = [NOW]
    shop = Brought()
    driver = Driver(cast(Any, shop), MemoryInbox(), sweep_s=60, clock=lambda: now[0])
    driver._stream = cast(Any, Many(MemoryInbox()))
    for _ in range(4):
        driver._step()
        now[0] += timedelta(seconds=10)
    assert done == ["taken", "after ", "taken", "after c", "taken", "after f", "taken"]
    told = driver.told()
    assert (told["moved"], told["swept_at"]) == (6, "2026-05-01T00:00:00Z")
    now[0] = NOW + timedelta(seconds=61)  # of when it began
    driver._step()
    assert done[-2:] == ["taken", "after "]
    # Customers whose events came in while more waited are known as long as nobody else is moved.
    driver._owed = now[0]
    cast(Any, driver._stream).behind = True
    driver._step()
    assert done[-1] == "taken"


def test_while_a_backlog_comes_in_customers_follow_once_a_minute() -> None:
    now = [NOW]
    inbox = MemoryInbox()
    inbox.append([Arrived("web", f"m{n}", 1, CALL) for n in range(5)])
    shop = Brought(*(Drained(1, RowAccount(read=1, stored=1)) for _ in range(5)))
    driver = Driver(cast(Any, shop), inbox, clock=lambda: now[0])
    driver._swept = NOW + timedelta(hours=1)  # no sweep is due
    shop.around.behind = True
    steps = ((0, [], 0), (30, [], 0), (61, [True], 3), (62, [True], 3))
    for place, (seconds, moved, past) in enumerate(steps):
        now[0] = NOW + timedelta(seconds=seconds)
        inbox.drain(place + 1)
        assert driver._step() == 1
        assert (shop.arrived, driver.past) == (moved, past)
    assert driver.told()["behind_since"] == "2026-05-01T00:01:02Z"
    shop.around.behind = False
    inbox.drain(5)
    assert driver._step() == 1
    assert (shop.arrived, driver.past, driver.told()["behind_since"]) == ([True, True], 5, None)


def test_what_is_drained_and_not_moved_is_owed_and_not_past() -> None:
    class Stuck(Brought):
        """Brings events in, and cannot move anybody at first."""

        stuck = True

        def refresh(self, as_of: datetime | None = None, *, arrived: bool) -> Any:
            if self.stuck:
                raise OperationError("disk_full", "no space is left")
            return super().refresh(as_of, arrived=arrived)

    inbox = MemoryInbox()
    inbox.append([Arrived("web", "m1", 1, CALL)])
    inbox.drain(1)
    shop = Stuck(Drained(1, RowAccount(read=1, stored=1)))
    driver = Driver(cast(Any, shop), inbox, clock=lambda: NOW)
    assert not driver._step()
    told = driver.told()
    assert (driver.past, told["behind_since"], told["failure"]["code"]) == (
        0, "2026-05-01T00:00:00Z", "disk_full",
    )  # fmt: skip
    shop.stuck = False
    driver._swept = NOW  # no sweep is due: it is what is owed that moves them
    assert not driver._step()
    assert (driver.past, driver.told()["behind_since"], shop.arrived) == (1, None, [True])
