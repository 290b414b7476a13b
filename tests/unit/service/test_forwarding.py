"""What a worker hands on to the process that writes: nobody comes in that way who may not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp
from tests.unit.service.calls import call
from tests.unit.service.test_access import RING, app_of, filled, secret, stub

import shoal
from shoal.adapters.memory_audit import MemoryAudit
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.config import CollectionConfig
from shoal.domain.access import ADMIN, ALLOWED, ROLES, SEGMENTS_READ, VIEWER, WRITE, Key
from shoal.domain.limits import ServiceLimits
from shoal.service.answers import answer
from shoal.service.counters import Counters
from shoal.service.endpoint import Endpoint, Guarded
from shoal.service.endpoints import endpoints_of
from shoal.service.forwarding import Believed, Forwarding, OnSocket
from shoal.service.front import front
from shoal.workflows.collecting import Collector

EVENT = b'{"type":"track","event":"x","messageId":"m1","userId":"u1"}'


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    with shoal.init(tmp_path_factory.mktemp("forwarding") / "shop") as shop:
        yield endpoints_of(shop, MemoryAudit())


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector(MemoryInbox())
    yield found
    found.close()


@contextmanager
def answering(app: ASGIApp, path: Path) -> Iterator[None]:
    """The process that writes, as far as it answers: a server on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(50)
    server = uvicorn.Server(
        uvicorn.Config(Believed(app), http=OnSocket, lifespan="off", log_config=None,
                       proxy_headers=False, timeout_graceful_shutdown=1)
    )  # fmt: skip
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


Worker = Callable[[ASGIApp], ASGIApp]


@pytest.fixture
def worker(collector: Collector, tmp_path: Path) -> Iterator[Worker]:
    """Makes what stands before an application; anew for each request, which has its own loop."""
    with ExitStack() as stack:

        def made(app: ASGIApp) -> ASGIApp:
            path = tmp_path / "writer"
            stack.enter_context(answering(app, path))

            async def asked(scope: Any, receive: Any, send: Any) -> None:
                others = Forwarding(str(path))
                found = front(
                    collector, RING, others, share=2, limits=ServiceLimits(),
                    bounds=CollectionConfig(), counters=Counters(),
                )  # fmt: skip
                try:
                    await found(scope, receive, send)
                finally:
                    others.close()
                    await asyncio.sleep(0)

            return asked

        yield made


def reading(path: str, handle: Any, method: str = "GET") -> Endpoint:
    return Endpoint(method, path, SEGMENTS_READ, handle, "")


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_every_role_at_every_route_by_a_worker(
    collector: Collector, endpoints: list[Endpoint], worker: Worker, role: str
) -> None:
    app = app_of(collector, [replace(one, handle=stub) for one in endpoints])
    workers = worker(app)
    routes = [route for route in app.routes if isinstance(route, Guarded)]
    for route in routes:
        for method in route.methods or ():
            found = call(workers, method, filled(route.path), key=secret(role))
            allowed = route.asked.permission in ALLOWED[role]
            assert found.status == (200 if allowed else 403), (method, route.path, found)
            if method != "HEAD":
                assert found.document.get("came") == (role if allowed else None)


@pytest.mark.parametrize("shown", ["no key", "expired", "revoked"])
def test_nobody_comes_in_by_a_worker_without_a_valid_key(
    collector: Collector, endpoints: list[Endpoint], worker: Worker, shown: str
) -> None:
    app = app_of(collector, [replace(one, handle=stub) for one in endpoints])
    workers = worker(app)
    key = "" if shown == "no key" else secret(ADMIN, shown)
    claims = {"x-shoal-client": "http 1 127.0.0.1", "x-forwarded-for": "127.0.0.1"}
    for route in app.routes:
        if isinstance(route, Guarded):
            found = call(workers, route.asked.method, filled(route.path), key=key,
                         headers=claims)  # fmt: skip
            assert (found.status, found.document["code"]) == (401, "unauthorized"), route.path


def test_collection_is_taken_by_the_worker_and_everything_else_handed_on(
    collector: Collector, worker: Worker
) -> None:
    came: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["path"])
        await answer({"from": "writer"})(scope, receive, send)

    workers = worker(app)
    for path in ("/v1/batch", "/v1/t/", "/v1/import", "/beacon/v1/batch", "/v1/m"):
        assert call(workers, "POST", path, key=secret(WRITE), body=EVENT).document != {
            "from": "writer"
        }
    settings = f"/v1/projects/{secret(WRITE)}/settings"
    assert "integrations" in call(workers, "GET", settings).document
    assert call(workers, "GET", "/health").document["status"] == "up"
    assert came == []
    others = ["/ready", "/metrics", "/v1/keys", "/v1/batches", "/v1/projects", "/", "/v1/t/x"]
    for path in others:
        assert call(workers, "GET", path).document == {"from": "writer"}
    assert came == others


# --- As it was sent -------------------------------------------------------------------------------


async def shown(request: Request, key: Key) -> Response:
    body = await request.body()
    return answer({
        "client": list(request.client or ()), "scheme": request.url.scheme,
        "target": request.scope["raw_path"].decode(), "query": request.url.query,
        "headers": [name for name, _ in request.headers.items()],
        "host": request.headers.get("host"), "body": body.decode(),
    })  # fmt: skip


def test_address_path_and_headers_come_as_the_client_sent_them(
    collector: Collector, worker: Worker
) -> None:
    workers = worker(app_of(collector, [reading("/v1/x/{name:path}", shown)]))

    def told(address: str, **headers: str) -> Any:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        return call(workers, "GET", "/v1/x/a%2Fb", key=secret(VIEWER), query="q=%20&a=1",
                    address=address, headers=given).document  # fmt: skip

    found = told("203.0.113.7", host="shop", x_shoal_client="http 9 127.0.0.1",
                 x_forwarded_for="127.0.0.1", expect="100-continue")  # fmt: skip
    assert found["client"] == ["203.0.113.7", 5]
    assert (found["scheme"], found["host"]) == ("http", "shop")
    assert (found["target"], found["query"]) == ("/v1/x/a%2Fb", "q=%20&a=1")
    assert not {"x-shoal-client", "expect"} & set(found["headers"])
    assert told("2001:db8::7")["client"] == ["2001:db8::7", 5]
    assert told("")["client"] == []


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_body_is_handed_on_with_and_without_its_length(
    collector: Collector, worker: Worker, pieces: int
) -> None:
    workers = worker(app_of(collector, [reading("/v1/x", shown, "POST")]))
    body: bytes | Sequence[bytes] = [b"a" * 70_000] * pieces if pieces > 1 else b"a" * 200_000
    headers = {"transfer-encoding": "chunked"} if pieces > 1 else {}
    found = call(workers, "POST", "/v1/x", key=secret(VIEWER), body=body, headers=headers)
    assert len(found.document["body"]) == (200_000 if pieces == 1 else 70_000 * pieces)


def test_a_refusal_comes_back_before_the_body_has_gone(
    collector: Collector, worker: Worker
) -> None:
    limits = ServiceLimits(body_bytes=1024)
    workers = worker(app_of(collector, [reading("/v1/x", shown, "POST")], limits=limits))
    found = call(workers, "POST", "/v1/x", key=secret(VIEWER), body=[b"a" * 60_000] * 40,
                 headers={"content-length": str(60_000 * 40)})  # fmt: skip
    assert (found.status, found.document["code"]) == (413, "too_large")


def test_an_answer_without_a_body_is_one(collector: Collector, worker: Worker) -> None:
    async def empty(request: Request, key: Key) -> Response:
        return Response(status_code=204)

    ends = [reading("/v1/x", empty, "DELETE"), reading("/v1/y", shown)]
    workers = worker(app_of(collector, ends))
    assert call(workers, "DELETE", "/v1/x", key=secret(VIEWER)).status == 204
    head = call(workers, "HEAD", "/v1/y", key=secret(VIEWER))
    assert (head.status, head.document) == (200, None)
    assert int(head.headers["content-length"]) > 0


def test_what_does_not_listen_is_told_as_something_that_passes(
    collector: Collector, tmp_path: Path
) -> None:
    alone = Forwarding(str(tmp_path / "nobody"))
    found = call(alone, "GET", "/v1/keys")
    assert (found.status, found.document["code"]) == (503, "no_answer")
    assert found.document["message"]
    assert found.headers["retry-after"] == "1"


# --- Streams --------------------------------------------------------------------------------------


def test_a_stream_comes_piece_by_piece_and_ends_when_its_client_goes(
    worker: Worker,
) -> None:
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def pieces() -> AsyncIterator[str]:
            try:
                for number in range(1_000):
                    yield f"data: {number}\n\n"
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        await StreamingResponse(pieces(), media_type="text/event-stream")(scope, receive, send)

    workers = worker(app)
    seen: list[bytes] = []

    async def listen() -> None:
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            seen.append(message.get("body", b""))
            if len(seen) == 4:  # after the head and three pieces
                left.set()

        scope = {
            "type": "http", "method": "GET", "path": "/v1/changes", "raw_path": b"/v1/changes",
            "query_string": b"", "scheme": "http", "client": ("203.0.113.7", 5), "headers": [],
        }  # fmt: skip
        await asyncio.wait_for(workers(scope, receive, send), 10)

    asyncio.run(listen())
    assert seen[1:4] == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert ended.wait(5)


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "writer"))
    listener.listen()

    def half() -> None:
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        connection.close()

    thread = threading.Thread(target=half)
    thread.start()
    with pytest.raises(EOFError):
        call(Forwarding(str(tmp_path / "writer")), "GET", "/v1/keys")
    thread.join()
    listener.close()


def test_a_connection_is_used_again(tmp_path: Path) -> None:
    peers: set[int] = set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        peers.add(id(receive.__self__.transport))
        await answer({"ok": 1})(scope, receive, send)

    async def ask(forwarding: Forwarding) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            pass

        scope = {
            "type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "query_string": b"",
            "scheme": "http", "client": None, "headers": [],
        }  # fmt: skip
        for _ in range(3):
            await forwarding(scope, receive, send)
        forwarding.close()
        await asyncio.sleep(0)

    with answering(app, tmp_path / "writer"):
        asyncio.run(ask(Forwarding(str(tmp_path / "writer"))))
    assert len(peers) == 1
