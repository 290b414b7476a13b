"""The service as a process: clients send, the process is killed, and nothing is lost or doubled."""

from __future__ import annotations

import base64
import gzip
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.conftest import Shoal
from tests.shops import purchase, write_csv

import shoal as package
from shoal.service.access import FRESH_S


class Service:
    """`shoal serve` of a shop in a process of its own, on a free port."""

    def __init__(self, shop: Path, key: str, *more: str) -> None:
        self.key, self.said = key, ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shoal.cli.main", "serve", str(shop), "--port", "0", "--json",
             "--every", "0.1", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = json.loads(self.process.stdout.readline())["address"]

    def send(
        self, document: Any, path: str = "/v1/batch", *, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        basic = base64.b64encode(f"{self.key}:".encode()).decode()
        told = {"authorization": f"Basic {basic}"} if headers is None else headers
        request = urllib.request.Request(f"{self.address}{path}", body, told, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        _, self.said = self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def key(shoal: Shoal, shop: Path) -> str:
    made = shoal("keys", shop, "--make", "web", "--json")
    assert made.code == 0
    found: str = made.document["key"]
    return found


@contextmanager
def serving(shop: Path, key: str, *more: str) -> Iterator[Service]:
    service = Service(shop, key, *more)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop(signal.SIGKILL)


def views(first: int, count: int) -> dict[str, Any]:
    return {
        "batch": [
            {"type": "track", "event": "Product Viewed", "messageId": f"m{number}",
             "userId": f"u{number % 3}", "timestamp": f"2026-05-01T10:00:{number % 60:02d}Z",
             "properties": {"product_id": f"p{number}", "price": 9.5}}
            for number in range(first, first + count)
        ],
    }  # fmt: skip


def stored(shop: Path) -> int:
    with package.open(shop) as opened:
        return int(opened.status()["events"])


def test_what_was_acknowledged_is_stored_once_also_after_a_kill(shop: Path, key: str) -> None:
    with serving(shop, key) as service:
        status, told = service.send(views(0, 50))
        assert (status, told["accepted"], told["duplicates"]) == (200, 50, 0)
        service.stop(signal.SIGKILL)
    with serving(shop, key) as service:
        # A client that never heard sends again; so does one that was told.
        status, told = service.send(views(25, 50))
        assert (status, told["accepted"], told["duplicates"]) == (200, 25, 25)
        assert service.stop() == 0
        assert "leaked" not in service.said
    assert stored(shop) == 75


def test_who_is_forgotten_is_not_left_in_the_inbox(shop: Path, key: str) -> None:
    from shoal.ports import Arrived

    calls = views(0, 6)["batch"]
    with package.open(shop) as opened:
        inbox = opened.inbox()
        inbox.append(
            [Arrived("web", one["messageId"], 1, json.dumps(one).encode()) for one in calls]
        )
        inbox.close()
        assert opened.forget(["u1"])["removed"]["events"] == 2
        assert opened.status()["customers"] == 2
    for file in shop.rglob("*"):
        assert not (file.is_file() and b'"u1"' in file.read_bytes()), file


@pytest.mark.parametrize("point", ["before the log", "before the inbox"])
def test_killed_while_calls_go_into_the_log_they_go_there_once(
    shop: Path, key: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.adapters.sql_inbox import SqlInbox
    from shoal.ports import Arrived
    from shoal.workflows import ingest

    class Killed(BaseException):
        """The process is gone."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    with package.open(shop) as opened:
        inbox = opened.inbox()
        calls = views(0, 10)["batch"]
        lines = [Arrived("web", one["messageId"], 1, json.dumps(one).encode()) for one in calls]
        lines.append(Arrived("web", "deep", 1, b"{", "too_deep: nested deeper"))
        inbox.append(lines)
        with monkeypatch.context() as patch:
            if point == "before the log":
                patch.setattr(ingest, "commit", die)
            else:
                patch.setattr(SqlInbox, "drain", die)
            with pytest.raises(Killed):
                opened.drain(inbox)
        inbox.append(
            [Arrived("web", "later", 2, json.dumps(calls[0] | {"messageId": "later"}).encode())]
        )
        # Those that were on their way go again by themselves, so that the log knows them.
        drained = opened.drain(inbox)
        assert (drained.calls, drained.rows.stored) == (11, 10 if point == "before the log" else 0)
        assert opened.drain(inbox).rows.stored == 1
        assert (inbox.waiting(), opened.drain(inbox).calls) == (0, 0)
        [reason] = opened.quarantine().reasons
        assert (reason.code, reason.count) == ("too_deep", 1)
        assert (reason.samples[0].file, reason.samples[0].row) == ("inbox:web", 11)
        inbox.close()
    assert stored(shop) == 11


def _py_24(key: str, calls: list[Any]) -> tuple[bytes, dict[str, str]]:
    basic = base64.b64encode(f"{key}:".encode()).decode()
    body = {"batch": calls, "sentAt": "2026-05-01T10:00:00.123456+00:00", "writeKey": key}
    return json.dumps(body).encode(), {
        "authorization": f"Basic {basic}", "content-type": "application/json",
    }  # fmt: skip


def _py_23(key: str, calls: list[Any]) -> tuple[bytes, dict[str, str]]:
    return json.dumps({"batch": calls, "writeKey": key}).encode(), {}


def _browser(key: str, calls: list[Any]) -> tuple[bytes, dict[str, str]]:
    body = json.dumps({"writeKey": key, "batch": calls, "sentAt": "2026-05-01T10:00:00.123Z"})
    return body.encode(), {"content-type": "text/plain"}


def _rudder_node(key: str, calls: list[Any]) -> tuple[bytes, dict[str, str]]:
    basic = base64.b64encode(f"{key}:".encode()).decode()
    return gzip.compress(json.dumps({"batch": calls}).encode()), {
        "authorization": f"Basic {basic}", "content-encoding": "gzip",
        "content-type": "application/x-www-form-urlencoded",
    }  # fmt: skip


# --- One service for all that does not stop it ----------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Service]]:
    """The service of a shop with buyers and segments."""
    home = tmp_path_factory.mktemp("serve")
    rows = [purchase(number, f"c{number % 20}") for number in range(60)]
    with package.init(home / "shop") as opened:
        opened.ingest(write_csv(home / "orders.csv", rows), preset="shoal")
        opened.segment(method="rfm")
        made = opened.make_key("web")
    with serving(home / "shop", made["key"]) as service:
        yield home / "shop", service
        assert service.stop() == 0
        assert "leaked" not in service.said


def eventually(shop: Path, found: Callable[[package.Shop], bool]) -> bool:
    """Whether something is so before long: what is collected goes into the log a little later."""
    with package.open(shop) as opened:
        for _ in range(120):
            if found(opened):
                return True
            time.sleep(0.5)
    return False


def quarantined(opened: package.Shop) -> dict[str, int]:
    return {one["code"]: one["count"] for one in opened.quarantine().as_document()["reasons"]}


def recorded(opened: package.Shop) -> list[str]:
    found: list[str] = opened.memberships(recorded=True)["customer_id"].to_pylist()
    return found


def test_bad_calls_cost_no_batch_and_are_kept_with_their_reason(
    running: tuple[Path, Service],
) -> None:
    shop, service = running
    body = (
        b'{"batch":[{"type":"track","event":"Product Viewed","userId":"u1"},5,'
        b'{"type":"track","event":"x","userId":"u1","value":1e999},'
        b'{"type":"track","event":"Product Viewed","userId":"null"},'
        b'{"type":"bogus","userId":"u1"}]}'
    )
    status, told = service.send(body)
    assert (status, told["success"]) == (200, True)
    assert (told["received"], told["accepted"]) == (5, 3)
    assert [(one["index"], one["code"]) for one in told["rejected"]] == [
        (1, "bad_call"), (2, "not_finite"),
    ]  # fmt: skip
    # A batch of nothing that could be an event is kept as well.
    assert service.send(b'{"batch":[1,2]}')[1]["accepted"] == 0
    kept = {"bad_call": 3, "not_finite": 1, "bad_customer_id": 1, "unknown_kind": 1}
    assert eventually(shop, lambda opened: quarantined(opened) == kept)


@pytest.mark.parametrize("form", [_py_24, _py_23, _browser, _rudder_node])
def test_requests_of_official_clients_are_taken_as_they_come(
    running: tuple[Path, Service],
    form: Callable[[str, list[Any]], tuple[bytes, dict[str, str]]],
) -> None:
    _, service = running
    nulls = {"anonymousId": None, "category": None, "name": None, "integrations": {}}
    calls = [
        {**one, **nulls, "messageId": f"{form.__name__}-{one['messageId']}"}
        for one in views(0, 5)["batch"]
    ]
    body, headers = form(service.key, calls)
    status, told = service.send(body, headers=headers)
    assert (status, told["accepted"]) == (200, 5)
    assert service.send(body, "/v1/b/", headers=headers)[1]["duplicates"] == 5


def test_requests_that_cannot_succeed_say_why_and_nothing_is_redirected(
    running: tuple[Path, Service],
) -> None:
    _, service = running
    call = {"type": "track", "event": "Product Viewed", "userId": "u"}
    assert service.send(call, "/v1/track", headers={})[0] == 401
    assert service.send({**call, "writeKey": "other"}, "/v1/track")[0] == 401
    for body, code in (
        (b"", "bad_json"), (b"[]", "bad_json"), (b'{"batch":[]}', "empty_batch"),
        (b"x" * (6 << 20), "too_large"),
    ):  # fmt: skip
        status, told = service.send(body)
        assert (status, told["code"]) == (400, code)
        assert told["message"]
    assert service.send(call, "/nothing")[1]["code"] == "not_found"
    assert service.send({"series": []}, "/v1/m")[0] == 200
    for path in ("/v1/track", "/v1/t/", "/v1/batch/"):
        assert service.send(call, path)[0] == 200


def test_customers_move_as_events_come(running: tuple[Path, Service]) -> None:
    shop, service = running
    order = {
        "type": "track", "event": "Order Completed", "messageId": "o1", "userId": "somebody-new",
        "properties": {"order_id": "o1", "currency": "GBP",
                       "products": [{"product_id": "p1", "price": 30, "quantity": 2}]},
    }  # fmt: skip
    assert service.send(order, "/v1/track")[0] == 200
    assert eventually(
        shop,
        lambda opened: (
            "somebody-new" in opened.memberships(recorded=True)["customer_id"].to_pylist()
        ),
    )


def test_a_port_that_is_taken_and_a_shop_that_is_held_are_told(
    shoal: Shoal, running: tuple[Path, Service]
) -> None:
    shop, service = running
    port = service.address.rpartition(":")[2]
    taken = shoal("serve", shop, "--port", port, "--json")
    assert (taken.code, taken.error["code"]) == (1, "port_taken")
    held = shoal("serve", shop, "--port", "0", "--json")
    assert (held.code, held.error["code"]) == (1, "shop_locked")
    assert str(service.process.pid) in held.error["message"]


def test_keys_are_shown_once_listed_and_revoked(
    shoal: Shoal, running: tuple[Path, Service]
) -> None:
    shop, service = running
    made = shoal("keys", shop, "--make", "app", "--days", 3, "--json").document
    other = made["key"]
    listed = shoal("keys", shop, "--json").document
    assert [one["state"] for one in listed["keys"]][-1] == "valid"
    assert other not in json.dumps(listed)
    assert other.encode() not in (shop / "shop.sqlite").read_bytes()
    headers = {"x-write-key": other}
    answers = []
    for _ in range(100):  # a key that is made counts a second later at most, as one revoked does
        answers.append(service.send(views(0, 1), headers=headers)[0])
        if answers[-1] == 200:
            break
        time.sleep(0.05)
    assert answers[-1] == 200
    assert shoal("keys", shop, "--revoke", made["key_id"]).code == 0
    time.sleep(FRESH_S)
    assert service.send(views(0, 1), headers=headers)[1]["code"] == "bad_key"
    assert shoal("keys", shop, "--json").document["keys"][-1]["state"] == "revoked"
    for wrong in (("--revoke", "key-0099"), ("--make", "Web Shop"), ("--make", "a", "--days", "0"),
                  ("--days", "3")):  # fmt: skip
        assert shoal("keys", shop, *wrong, "--json").code == 2


def test_it_listens_beyond_this_machine_with_a_key_only(shoal: Shoal, shop: Path) -> None:
    refused = shoal("serve", shop, "--host", "0.0.0.0", "--port", "0", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert "--make web" in refused.error["hint"]
