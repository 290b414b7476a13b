"""Workers are started, watched, started again, and what they counted is added up."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.service.calls import call
from tests.unit.service.test_access import RING, secret

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.config import CollectionConfig
from shoal.domain.access import WRITE
from shoal.domain.errors import OperationError
from shoal.domain.limits import ServiceLimits
from shoal.service import workers as module
from shoal.service.answers import answer
from shoal.service.counters import Counters
from shoal.service.front import front
from shoal.service.workers import AllCounters, Workers
from shoal.workflows.collecting import Collector

#: A worker that takes nothing and counts how often it was asked.
SCRIPT = """
import json, signal, socket, sys
control = socket.socket(fileno=int(sys.argv[1]))
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(control.shutdown(socket.SHUT_RD)))
calls = 0
def tell(answered):
    told = {"calls": {"received": calls}, "refused": {}, "requests":
            {"requests": {"/v1/t POST 200": calls}, "seconds": {"/v1/t": 0.5},
             "buckets": {"/v1/t": [calls] + [0] * 13}}}
    control.sendall(json.dumps({"counted": told, "answered": answered}).encode() + b"\\n")
tell(0)
while asked := control.recv(100):
    calls += 1
    tell(int(asked.split()[-1]))
"""


def until(found: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    """Makes two workers of a script, on a socket that nobody is to connect to."""
    made: list[Workers] = []

    def make(script: str = SCRIPT) -> Workers:
        def command(shop: Path, upstream: str, count: int) -> module.Command:
            return lambda listener, control: [sys.executable, "-c", script, str(control)]

        monkeypatch.setattr(module, "worker_command", command)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        found = Workers(tmp_path, listener, 2)
        made.append(found.__enter__())
        return found

    yield make
    for one in made:
        one.__exit__(None, None, None)


def received(crew: Workers) -> int:
    return int(crew.counted().get("calls", {}).get("received", 0))


def test_what_all_count_is_added_up_and_stays_when_one_is_killed(
    crew: Callable[..., Workers],
) -> None:
    found = crew()
    found.start()
    assert [(one["worker"], one["state"], one["restarts"]) for one in found.told()] == [
        (1, "up", 0), (2, "up", 0),
    ]  # fmt: skip
    assert [received(found) for _ in range(3)] == [2, 4, 6]
    first = found.told()[0]["pid"]
    os.kill(first, signal.SIGKILL)
    until(lambda: [(one["state"], one["restarts"]) for one in found.told()] == [
        ("up", 1), ("up", 0)])  # fmt: skip
    assert found.told()[0]["pid"] != first
    assert received(found) == 8
    own = Counters()
    own.observe("/v1/keys", "GET", 200, 0.1)
    lines = list(AllCounters(own, found).lines())
    assert 'shoal_http_requests_total{route="/v1/keys",method="GET",status="200"} 1' in lines
    assert 'shoal_http_requests_total{route="/v1/t",method="POST",status="200"} 10' in lines
    found.stop()
    assert [one["state"] for one in found.told()] == ["down", "down"]
    assert found.with_own("calls", {"received": 1, "accepted": 1}) == {
        "received": 11, "accepted": 1,
    }  # fmt: skip


def test_one_that_stands_still_is_taken_at_what_it_told_last(crew: Callable[..., Workers]) -> None:
    found = crew()
    found.start()
    assert received(found) == 2
    still = found.told()[0]["pid"]
    os.kill(still, signal.SIGSTOP)
    assert received(found) == 3
    os.kill(still, signal.SIGCONT)
    until(lambda: received(found) >= 6)


def test_workers_that_do_not_start_are_told_and_none_is_left(crew: Callable[..., Workers]) -> None:
    told = {"failure": {"code": "disk_full", "message": "no space", "hint": "Free some."}}
    line = json.dumps(told).encode() + b"\n"
    found = crew(
        f"import socket, sys\nsocket.socket(fileno=int(sys.argv[1])).sendall({line!r})\nsys.exit(1)"
    )
    with pytest.raises(OperationError, match=r"worker 1 did not start: no space") as error:
        found.start()
    assert (error.value.code, error.value.hint) == ("disk_full", "Free some.")
    found.stop()
    silent = crew("raise SystemExit(3)")
    with pytest.raises(OperationError, match="did not start") as error:
        silent.start()
    assert error.value.code == "not_served"
    silent.stop()
    assert [one["pid"] for one in (*found.told(), *silent.told())] == [None] * 4


def test_one_that_does_not_end_is_killed(
    crew: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = crew(
        SCRIPT.replace("lambda *_: ended.append(control.shutdown(socket.SHUT_RD))", "print")
    )
    found.start()
    monkeypatch.setattr(module, "_END_S", 0.2)
    began = time.monotonic()
    found.stop()
    assert time.monotonic() - began < 10
    assert [one["state"] for one in found.told()] == ["down", "down"]


def test_a_socket_where_there_can_be_none_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with socket.socket() as listener, pytest.raises(OperationError) as told:
        Workers(tmp_path, listener, 2)
    assert told.value.code == "not_served"
    assert list(deep.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with socket.socket() as listener, pytest.raises(OperationError, match="no socket") as told:
        Workers(tmp_path, listener, 2)
    assert told.value.code == "not_served"


# --- What one may take ----------------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector(MemoryInbox())
    yield found
    found.close()


def worker(collector: Collector, limits: ServiceLimits, bounds: CollectionConfig) -> Any:
    return front(collector, RING, answer({}), share=4, limits=limits, bounds=bounds,
                 counters=Counters())  # fmt: skip


def test_a_worker_has_its_share_of_what_a_source_may_send(collector: Collector) -> None:
    limits = ServiceLimits(collect_per_second=0.4, collect_burst=8)
    app = worker(collector, limits, CollectionConfig())
    event = b'{"type":"track","event":"x"}'
    told = [call(app, "POST", "/v1/t", key=secret(WRITE), body=event) for _ in range(3)]
    assert [one.status for one in told] == [200, 200, 429]
    assert int(told[2].headers["retry-after"]) == 10


def test_a_worker_has_its_share_of_what_may_be_in_flight(collector: Collector) -> None:
    shares = {}
    for mib in (8, 40, 64, 128):
        bounds = replace(CollectionConfig(), in_flight_mib=mib)
        app = worker(collector, ServiceLimits(), bounds)
        [budget] = [one.args[0] for one in app._app.user_middleware if one.args
                    and hasattr(one.args[0], "most")]  # fmt: skip
        shares[mib] = budget.most >> 20
    assert shares == {8: 8, 40: 12, 64: 16, 128: 32}
