"""Several processes take connections on one port: nothing is lost or doubled, whoever is killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import Service, key, serving, stored, views

import shoal as package
from shoal.service.access import FRESH_S

__all__ = ["key"]
SENDERS = 4


def until(found: Callable[[], Any], seconds: float = 20.0) -> float:
    """Seconds until something is so."""
    began = time.monotonic()
    while not found():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def workers(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get("/ready")["workers"]
    return found


def ends(pid: int) -> bool:
    """Whether a process is gone, or waits only to be noticed."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return told.rpartition(")")[2].split()[0] == "Z"


def sent(service: Service, calls: dict[str, Any]) -> dict[str, Any]:
    """What is answered at last to a client that sends until it is told that its calls are kept."""
    while True:
        try:
            status, told = service.send(calls)
        except (OSError, http.client.HTTPException):
            continue
        if status == 200:
            return told


def ask(service: Service, path: str, token: str, method: str = "GET") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{service.address}{path}", headers={"authorization": f"Bearer {token}"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else text.decode()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@contextmanager
def changes(service: Service, token: str) -> Iterator[http.client.HTTPResponse]:
    """The stream of changes, by one of the workers."""
    told = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    host = service.address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", "/v1/changes", headers=told)
    found = connection.getresponse()
    assert (found.status, found.headers["content-type"][:17]) == (200, "text/event-stream")
    try:
        yield found
    finally:
        connection.close()


def test_calls_that_come_together_are_stored_once_and_a_killed_worker_comes_back(
    shop: Path, key: str, shoal: Shoal
) -> None:
    token = shoal("keys", shop, "--make", "me", "--role", "admin", "--json").document["key"]
    accepted: list[int] = []

    def send(number: int) -> None:
        # Each sends half of what the one before it sends too.
        for start in range(100 * number, 100 * number + 200, 10):
            told = sent(service, views(start, 10))
            accepted.append(told["accepted"])

    with serving(shop, key, "--workers", "2") as service:
        first = workers(service)
        assert [(one["worker"], one["state"], one["restarts"]) for one in first] == [
            (1, "up", 0), (2, "up", 0),
        ]  # fmt: skip
        assert len({service.process.pid, *(one["pid"] for one in first)}) == 3
        senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
        for one in senders:
            one.start()
        until(lambda: len(accepted) > 10)
        os.kill(first[0]["pid"], signal.SIGKILL)
        for one in senders:
            one.join()
        until(lambda: [one["state"] for one in workers(service)] == ["up", "up"])
        assert [one["restarts"] for one in workers(service)] == [1, 0]
        told = ask(service, "/metrics", token)[1].splitlines()
        assert 'shoal_worker_restarts_total{worker="1"} 1' in told
        counted = {name: int(value) for name, _, value in (line.rpartition(" ") for line in told)
                if name.startswith("shoal_calls_total")}  # fmt: skip
        # What the killed one counted last is not known, and nothing else is lacking.
        assert 200 < counted['shoal_calls_total{outcome="received"}'] <= 40 * SENDERS * 10
        with changes(service, token) as stream:
            assert service.stop() == 0
            assert b'"code":"stopping"' in stream.read()
        assert all(ends(one["pid"]) for one in first)
    # Only an answer that the kill swallowed may have taken calls that no sender was told of.
    assert 500 - 10 * SENDERS <= sum(accepted) <= 500
    assert stored(shop) == 500
    assert shoal("verify", shop, "--json").document["findings"] == []


def test_what_one_worker_took_another_tells_and_without_the_service_there_are_none(
    shop: Path, key: str, shoal: Shoal
) -> None:
    token = shoal("keys", shop, "--make", "me", "--role", "admin", "--json").document["key"]
    with serving(shop, key, "--workers", "2") as service:
        first, second = (one["pid"] for one in workers(service))
        for number, (takes, tells) in enumerate(((first, second), (second, first))):
            os.kill(tells, signal.SIGSTOP)
            call = views(number, 1)
            call["batch"][0]["userId"] = f"reader-{number}"
            request = urllib.request.Request(
                f"{service.address}/v1/batch", json.dumps({**call, "writeKey": key}).encode()
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                seq = int(answer.headers["x-shoal-seq"])
            assert seq == number + 1
            os.kill(tells, signal.SIGCONT)
            os.kill(takes, signal.SIGSTOP)
            path = f"/v1/customers/reader-{number}?features=false&min_seq={seq}&max_wait=10"
            status, told = ask(service, path, token)
            assert (status, told["customer_id"]) == (200, f"reader-{number}")
            os.kill(takes, signal.SIGCONT)

        # The log names the client, and not the worker.
        entries = ask(service, "/v1/audit?limit=100", token)[1]["entries"]
        assert {one["who"]["key_id"] for one in entries if one["who"]["via"] == "api"} == {
            "key-0002"
        }

        # A key that is revoked opens nothing by any of them.
        assert ask(service, "/v1/keys/key-0001", token, "DELETE")[0] == 200
        time.sleep(FRESH_S)
        assert {service.send(views(9, 1))[0] for _ in range(10)} == {401}

        service.process.kill()
        service.process.communicate(timeout=60)
        assert until(lambda: ends(first) and ends(second)) < 2.0
    with package.open(shop) as opened:
        assert opened.empty_inbox() in (0, 1, 2)
    assert stored(shop) == 2
