"""Changes as they happen, from an event to who is told: streams, webhooks, kills, forgetting."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import Service, serving
from tests.shops import purchase, write_csv

import shoal as package
from shoal.config import Config, WebhookConfig

MASTER = "a master key that only tests know"


class Receiver:
    """A receiver of webhooks on this machine, which answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.sent: list[tuple[dict[str, str], bytes]] = []
        sent, receiver = self.sent, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sent.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def changes(self) -> list[dict[str, Any]]:
        """What it was told, each message once, in the order in which they first came."""
        told = {headers["webhook-id"]: json.loads(body) for headers, body in self.sent}
        return [
            one
            for document in told.values()
            if document["type"] == "membership.changed"
            for one in document["data"]["changes"]
        ]


class Stream:
    """A client of `/v1/changes` that reads what comes in a thread."""

    def __init__(self, service: Service, key: str, last_id: str = "") -> None:
        address = urlsplit(service.address)
        assert address.hostname is not None
        self._client = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        headers = {"accept": "text/event-stream", "authorization": f"Bearer {key}"}
        if last_id:
            headers["last-event-id"] = last_id
        self._client.request("GET", "/v1/changes?since_seq=0", headers=headers)
        self._answer = self._client.getresponse()
        assert self._answer.status == 200
        self.last_id, self.events = last_id, list[tuple[str, dict[str, Any]]]()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        kind = ""
        try:
            for line in iter(self._answer.readline, b""):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    self.events.append((kind, json.loads(value)))
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the service was killed

    def seqs(self) -> list[int]:
        return [told["seq"] for kind, told in self.events if kind == "membership.changed"]

    def ended(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._client.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with buyers and segments, whose webhooks may go to this machine."""
    home = tmp_path_factory.mktemp("webhooks")
    rows = [purchase(number, f"buyer-{number % 20}") for number in range(60)]
    config = Config(webhooks=WebhookConfig(trusted_hosts=("127.0.0.1",)))
    with package.init(home / "shop", config) as opened:
        opened.ingest(write_csv(home / "orders.csv", rows), preset="shoal")
        opened.segment(method="rfm")
    return home / "shop"


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with the key that signs in the environment."""
    monkeypatch.setenv("SHOAL_WEBHOOK_KEY", MASTER)
    return Path(shutil.copytree(made, tmp_path / "shop"))


def keys(shop: Path) -> tuple[str, str]:
    """A key that sends events, and one that reads."""
    with package.open(shop) as opened:
        return opened.make_key("web")["key"], opened.make_key("board", role="admin")["key"]


def order(customer: str, number: int) -> dict[str, Any]:
    return {
        "type": "track", "event": "Order Completed", "messageId": f"o{number}", "userId": customer,
        "properties": {"order_id": f"o{number}", "currency": "GBP",
                       "products": [{"product_id": "p1", "price": 30, "quantity": 2}]},
    }  # fmt: skip


def eventually(found: Callable[[], bool], what: str = "it did not happen") -> None:
    for _ in range(1_200):
        if found():
            return
        time.sleep(0.05)
    raise AssertionError(what)


@contextmanager
def asked(service: Service, key: str) -> Iterator[Callable[..., Any]]:
    """Asks the API: method, path and body give status and document."""
    address = urlsplit(service.address)
    assert address.hostname is not None
    client = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {key}", "accept": "application/json"}
        client.request(method, path, None if body is None else json.dumps(body), headers)
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())

    yield ask
    client.close()


def test_from_an_event_to_who_is_told_over_a_kill(
    shoal: Shoal, shop: Path, receiver: Receiver
) -> None:
    added = shoal("webhooks", shop, "--add", receiver.url, "--json").document
    write, read = keys(shop)
    with serving(shop, write) as service:
        # Everybody's first membership is history; the webhook hears of what comes from now on.
        stream = Stream(service, read)
        receiver.status = 503
        assert service.send(order("newcomer", 1), "/v1/track")[0] == 200
        eventually(lambda: any(t.get("customer_id") == "newcomer" for _, t in stream.events))
        eventually(lambda: bool(receiver.sent), "nothing was sent")
        (headers, body) = receiver.sent[0]
        key = base64.b64decode(added["secret"].removeprefix("whsec_"))
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{digest}"
        service.stop(signal.SIGKILL)
        stream.ended()
    receiver.status = 200
    with serving(shop, write) as service:
        assert service.send(order("another", 2), "/v1/track")[0] == 200
        eventually(
            lambda: [one["customer_id"] for one in receiver.changes()][-1:] == ["another"],
            "who came after the kill was not told of",
        )
        eventually(lambda: len({h["webhook-id"] for h, _ in receiver.sent}) >= 2)
        again = Stream(service, read, stream.last_id)
        eventually(lambda: any(t.get("customer_id") == "another" for _, t in again.events))
        with asked(service, read) as ask:
            status, page = ask("GET", "/v1/changes?limit=1000")
            assert status == 200
            listed = [one["seq"] for one in page["changes"]]
            assert stream.seqs() + again.seqs() == listed, "nothing lost, nothing twice"
            told = [one["seq"] for one in receiver.changes()]
            assert told == [seq for seq in listed if seq > 20], "those after it was added"
            _, state = ask("GET", f"/v1/webhooks/{added['webhook_id']}")
            assert (state["behind"], state["dead_letters"], state["changes"]) == (0, [], len(told))
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 15, "a stream has no end to be waited for"
        again.ended()
        assert again.events[-1][1]["code"] == "stopping"


def test_webhooks_on_the_command_line(
    shoal: Shoal,
    shop: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert "no webhook yet" in shoal("webhooks", shop).out
    made = shoal("webhooks", shop, "--add", receiver.url, "--shape", "segment",
                 "--segments", "r01,r02", "--channel", "email", "--json").document  # fmt: skip
    assert (made["shape"], made["segments"], made["channel"]) == (
        "segment", ["r01", "r02"], "email",
    )  # fmt: skip
    table = shoal("webhooks", shop)
    assert "r01, r02" in table.out
    assert made["secret"] not in table.out + shoal("webhooks", shop, "--json").out
    assert shoal("webhooks", shop, "--test", "wh-0001").code == 0
    assert json.loads(receiver.sent[0][1])["type"] == "webhook.test"
    receiver.status = 418
    refused = shoal("webhooks", shop, "--test", "wh-0001", "--json")
    assert (refused.code, refused.document["status"]) == (1, 418)
    assert "Nothing was given up" in shoal("webhooks", shop, "--dead").out
    assert shoal("webhooks", shop, "--retry", "wh-0001").code == 0
    for wrong, code in (
        (("--add", "http://10.0.0.1/"), "bad_webhook"), (("--retry", "wh-0009"), "unknown_webhook"),
        (("--shape", "segment"), "usage"), (("--dead", "--test", "wh-0001"), "usage"),
    ):  # fmt: skip
        answer = shoal("webhooks", shop, *wrong, "--json")
        assert (answer.code, answer.error["code"]) == (2, code)
    monkeypatch.delenv("SHOAL_WEBHOOK_KEY")
    answer = shoal("webhooks", shop, "--add", receiver.url, "--json")
    assert (answer.code, answer.error["code"]) == (2, "no_secret")
    with package.open(shop) as opened, opened.sending() as sending:
        assert sending is None
    assert "SHOAL_WEBHOOK_KEY is not set" in caplog.text
    assert shoal("webhooks", shop, "--remove", "wh-0001").code == 0
    assert shoal("webhooks", shop, "--json").document["webhooks"] == []
    with package.open(shop) as opened:
        entries = [
            (one["action"], one["facts"].get("host")) for one in opened.audit()["entries"]
            if one["outcome"] == "done"
        ]  # fmt: skip
    assert entries == [
        ("webhooks.add", "127.0.0.1"), ("webhooks.retry", None), ("webhooks.remove", None),
    ]  # fmt: skip


def test_of_who_was_forgotten_nothing_waits_and_nothing_is_sent(
    shop: Path, receiver: Receiver
) -> None:
    receiver.status = 422
    with package.open(shop) as opened:
        opened.add_webhook(receiver.url, since_seq=0)
        with opened.sending() as sending:
            assert sending is not None
            (webhook,) = sending.store.all()
            while not sending.store.letters():  # given up, with everybody in it
                progress = sending.store.progress("wh-0001")
                assert progress is not None
                if progress.due is not None:
                    time.sleep(0)
                    sending.store.retry("wh-0001", sending.clock())
                sending.step(webhook)
        assert {one["customer_id"] for one in receiver.changes()} >= {"buyer-1", "buyer-2"}
        opened.forget(["buyer-1"])
        for file in shop.glob("webhooks.sqlite*"):
            assert b"buyer-1" not in file.read_bytes()
        receiver.sent.clear()
        receiver.status = 200
        opened.retry_webhook("wh-0001")
        with opened.sending() as sending:
            assert sending is not None
            while sending.due():
                sending.step(webhook)
            assert sending.store.letters() == []
    told = [one["customer_id"] for one in receiver.changes()]
    assert "buyer-2" in told
    assert "buyer-1" not in told


def test_consents_are_read_from_what_customers_said(shop: Path, receiver: Receiver) -> None:
    with package.open(shop) as opened:
        said = [
            {"event_id": "y1", "customer_id": "buyer-2", "kind": "consent", "event_time":
             "2024-03-01T00:00:00Z", "channel": "email", "properties": '{"granted": true}'},
            {"event_id": "y2", "customer_id": "buyer-3", "kind": "consent", "event_time":
             "2024-03-01T00:00:00Z", "channel": "email", "properties": '{"granted": false}'},
        ]  # fmt: skip
        path = shop.parent / "consents.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in said), encoding="utf-8")
        opened.ingest(path, preset="shoal")
        opened.add_webhook(receiver.url, since_seq=0)
        opened.add_webhook(f"{receiver.url}/mail", since_seq=0, channel="email")
        with opened.sending() as sending:
            assert sending is not None
            while due := sending.due():
                for webhook in due:
                    sending.step(webhook)
        first, second = opened.webhooks()["webhooks"]
    assert (first["changes"], first["left_out"]) == (19, 1), "who refused all that was asked"
    assert (second["changes"], second["left_out"]) == (1, 19), "who granted it"


def test_a_port_that_nobody_listens_on_is_a_failure_like_any_other(shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with package.open(shop) as opened:
        opened.add_webhook(f"http://127.0.0.1:{port}/", since_seq=0)
        told = opened.test_webhook("wh-0001")
        assert (told["delivered"], told["status"]) == (False, None)
        assert told["failure"] == "it cannot be reached: Connection refused"
