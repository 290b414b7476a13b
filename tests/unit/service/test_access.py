"""Who may ask what: every route of the application, every role, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.unit.service.calls import Told, call

import shoal
from shoal.adapters.memory_audit import MemoryAudit
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.domain.access import (
    ADMIN,
    ALLOWED,
    CUSTOMERS_READ,
    EXPORTS_MAKE,
    PERMISSIONS,
    PERSON_ERASE,
    ROLES,
    SEGMENTS_READ,
    VIEWER,
    WRITE,
    Key,
    digest_of,
    new_secret,
)
from shoal.domain.audit import Act, hidden
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.limits import ServiceLimits
from shoal.service.access import Keyring
from shoal.service.answers import HEADERS, answer
from shoal.service.app import application
from shoal.service.driver import Driver
from shoal.service.endpoint import Endpoint, Guarded, open_to_all
from shoal.service.endpoints import endpoints_of
from shoal.service.guard import Guard
from shoal.service.limits import Buckets
from shoal.service.trail import Trail, tell
from shoal.workflows import auditing
from shoal.workflows.auditing import Auditor
from shoal.workflows.collecting import Collector

NOW = datetime(2026, 5, 1, tzinfo=UTC)
#: What is answered without a permission, besides collection.
PUBLIC = {"/health", "/ready", "/openapi.json", "/v1/openapi.json"}
#: What asks for a write key, wherever its client puts it.
COLLECTION = {
    *(f"/v1/{name}" for name in ("batch", "b", "import", "m", "track", "identify", "page", "screen",
                                 "group", "alias", "t", "i", "p", "s", "g", "a")),
    "/beacon/v1/batch", "/v1/projects/{key}/settings",
}  # fmt: skip


class StillDriver:
    """A driver that has nothing to do."""

    def told(self) -> dict[str, Any]:
        return {"failure": None}


class Ring(Keyring):
    """A valid, an expired and a revoked key of every role."""

    def __init__(self) -> None:
        self.secrets = {(role, state): new_secret(role) for role in ROLES
                        for state in ("valid", "expired", "revoked")}  # fmt: skip
        made = [
            Key(f"key-{number:04d}", role, f"{role}-owner", digest_of(secret), secret[:4], NOW,
                NOW if state == "expired" else NOW + timedelta(days=1),
                NOW if state == "revoked" else None)
            for number, ((role, state), secret) in enumerate(self.secrets.items())
        ]  # fmt: skip
        super().__init__(lambda: made, lambda: NOW)


RING = Ring()


def secret(role: str, state: str = "valid") -> str:
    return RING.secrets[role, state]


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector(MemoryInbox())
    yield found
    found.close()


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    """Every endpoint of the API, whoever added it."""
    with shoal.init(tmp_path_factory.mktemp("access") / "shop") as shop:
        yield endpoints_of(shop, MemoryAudit())


def app_of(
    collector: Collector, endpoints: Sequence[Endpoint], *, limits: ServiceLimits | None = None,
    auditor: Auditor | None = None,
) -> Starlette:  # fmt: skip
    return application(
        collector, RING, cast(Driver, StillDriver()), endpoints,
        limits=limits or ServiceLimits(key_per_second=0, refused_per_second=0),
        trail=None if auditor is None else Trail(auditor),
    )  # fmt: skip


async def stub(request: Request, key: Key) -> Response:
    return answer({"came": key.role})


def filled(path: str) -> str:
    """A path with something for each of its parameters."""
    return re.sub(r"{(\w+)(?::\w+)?}", "1", path)


# --- Deny by default ------------------------------------------------------------------------------


def test_every_route_is_public_or_of_collection_or_asks_for_a_permission(
    collector: Collector, endpoints: list[Endpoint]
) -> None:
    app = app_of(collector, endpoints)
    asked = {route.path: route for route in app.routes if isinstance(route, Guarded)}
    assert {"/v1/keys", "/v1/audit"} <= asked.keys()
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is not looked into by this test"
        if not isinstance(route, Guarded):
            assert route.path.rstrip("/") in PUBLIC | COLLECTION, route.path
            assert "{key}" in route.path or "{" not in route.path
    for one in asked.values():
        assert one.asked.permission in PERMISSIONS
        # Nothing that asks for a permission is also there without one.
        assert not any(path == one.path for path in PUBLIC | COLLECTION)


def test_an_application_with_a_route_that_asks_nobody_is_not_made() -> None:
    assert open_to_all([Route("/v1/all", lambda request: Response())], []) == ["/v1/all"]
    assert open_to_all([Route("/health", lambda request: Response())], []) == []


@pytest.mark.parametrize("role", ROLES)
def test_every_role_at_every_route(
    collector: Collector, endpoints: list[Endpoint], role: str
) -> None:
    app = app_of(collector, [replace(one, handle=stub) for one in endpoints])
    routes = [route for route in app.routes if isinstance(route, Guarded)]
    assert len(routes) == len(endpoints)
    for route in routes:
        for method in route.methods or ():
            found = call(app, method, filled(route.path), key=secret(role))
            allowed = route.asked.permission in ALLOWED[role]
            assert (found.status == 200) == allowed, (method, route.path, role, found)
            if not allowed:
                assert (found.status, found.document["code"]) == (403, "forbidden")
                assert found.document["message"]


@pytest.mark.parametrize("shown", ["no key", "expired", "revoked", "unknown", "basic", "query"])
def test_nobody_comes_in_without_a_valid_key(
    collector: Collector, endpoints: list[Endpoint], shown: str
) -> None:
    app = app_of(collector, [replace(one, handle=stub) for one in endpoints])
    given: dict[str, Any] = {
        "no key": {}, "unknown": {"key": new_secret(ADMIN)},
        "expired": {"key": secret(ADMIN, "expired")}, "revoked": {"key": secret(ADMIN, "revoked")},
        "basic": {"headers": {"authorization": f"Basic {secret(ADMIN)}",
                              "x-write-key": secret(ADMIN)}},
        "query": {"query": f"writeKey={secret(ADMIN)}&key={secret(ADMIN)}"},
    }[shown]  # fmt: skip
    for route in app.routes:
        if isinstance(route, Guarded):
            for method in route.methods or ():
                for address in ("203.0.113.7", "127.0.0.1"):
                    found = call(app, method, filled(route.path), address=address, **given)
                    assert found.status == 401, (method, route.path)
                    assert found.document["code"] == "unauthorized"
                    assert found.headers["www-authenticate"].startswith("Bearer")


def test_a_key_of_a_role_that_this_program_does_not_know_may_do_nothing() -> None:
    hidden_key = new_secret("other")
    key = Key("key-0001", "other", "x", digest_of(hidden_key), "", NOW)
    guard = Guard(Keyring(lambda: [key], lambda: NOW))
    endpoint = Endpoint("GET", "/v1/x", SEGMENTS_READ, stub, "")
    app = Starlette(routes=[endpoint.route(guard)])
    assert call(app, "GET", "/v1/x", key=hidden_key).status == 403


def test_a_key_that_reads_sends_no_events(collector: Collector) -> None:
    app = app_of(collector, [])
    event = b'{"type":"track","event":"x","messageId":"m1"}'
    for role in set(ROLES) - {WRITE}:
        assert call(app, "POST", "/v1/track", key=secret(role), body=event).status == 401
    assert call(app, "POST", "/v1/track", key=secret(WRITE), body=event).status == 200


def test_keys_that_cannot_be_read_are_a_failure_that_passes(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> Any:
        raise OperationError("store_unreachable", "the database does not answer")

    monkeypatch.setattr(RING, "_fresh", gone)
    app = app_of(collector, [Endpoint("GET", "/v1/x", SEGMENTS_READ, stub, "")])
    event = b'{"type":"track","event":"x"}'
    told = [call(app, "GET", "/v1/x", key=secret(VIEWER)),
            call(app, "POST", "/v1/t", key=secret(WRITE), body=event)]  # fmt: skip
    for one in told:
        assert (one.status, one.document["code"]) == (503, "store_unreachable")
        assert int(one.headers["retry-after"]) > 0


# --- Headers --------------------------------------------------------------------------------------


def test_headers_of_security_are_on_every_answer(collector: Collector) -> None:
    async def bare(request: Request, key: Key) -> Response:
        return Response("text", headers={"cache-control": "max-age=5"})

    endpoint = Endpoint("GET", "/v1/bare", SEGMENTS_READ, bare, "")
    app = app_of(collector, [endpoint])
    answers = {
        200: call(app, "GET", "/health"), 404: call(app, "GET", "/nothing"),
        405: call(app, "DELETE", "/health"), 401: call(app, "GET", "/v1/bare"),
        403: call(app, "GET", "/v1/bare", key=secret(WRITE)),
        204: call(app, "OPTIONS", "/v1/track"), 400: call(app, "POST", "/v1/track"),
    }  # fmt: skip
    for status, found in answers.items():
        assert found.status == status
        assert HEADERS.items() <= found.headers.items(), status
        assert "strict-transport-security" not in found.headers
    told = call(app, "GET", "/v1/bare", key=secret(VIEWER)).headers
    assert told["cache-control"] == "max-age=5"
    assert told["x-content-type-options"] == "nosniff"


def test_a_failure_that_nobody_foresaw_has_them_too(collector: Collector) -> None:
    async def broken(request: Request, key: Key) -> Response:
        raise ValueError("a secret")

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    app = app_of(collector, [Endpoint("GET", "/v1/x", SEGMENTS_READ, broken, "")])
    scope = {
        "type": "http", "method": "GET", "path": "/v1/x", "raw_path": b"/v1/x", "root_path": "",
        "query_string": b"", "scheme": "http", "server": ("shop", 80), "http_version": "1.1",
        "headers": [(b"authorization", f"Bearer {secret(VIEWER)}".encode())],
    }  # fmt: skip
    with pytest.raises(ValueError, match="a secret"):  # the server logs it, after it answered
        asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert sent[0]["status"] == 500
    assert HEADERS.items() <= headers.items()
    assert b"a secret" not in sent[1]["body"]


# --- Limits ---------------------------------------------------------------------------------------


def test_a_bucket_fills_again_and_remembers_no_more_than_it_may() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3, most=2, clock=lambda: now[0])
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 1]
    now[0] = 0.5
    assert [buckets.wait("a") for _ in range(2)] == [0, 1]
    now[0] = 100.0
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 1]
    assert (buckets.wait("b"), buckets.wait("a") > 0, buckets.wait("c")) == (0, True, 0)
    assert len(buckets) == 2
    assert buckets.wait("a") > 0  # b was not seen for longest
    assert Buckets(0.1, 1, clock=lambda: 0.0).wait("a") == 0
    slow = Buckets(0.1, 1, clock=lambda: 0.0)
    assert (slow.wait("a"), slow.wait("a")) == (0, 10)
    assert [Buckets(0, 1).wait("a") for _ in range(3)] == [0, 0, 0]


def test_who_asks_too_often_is_told_when_to_come_again(collector: Collector) -> None:
    limits = ServiceLimits(key_per_second=0.5, key_burst=2, refused_per_second=0.5, refused_burst=1)
    endpoint = Endpoint("GET", "/v1/x", SEGMENTS_READ, stub, "")
    app = app_of(collector, [endpoint], limits=limits)

    def told(key: str, address: str = "203.0.113.7") -> int:
        found = call(app, "GET", "/v1/x", key=key, address=address)
        if found.status == 429:
            assert found.document["code"] == "too_many_requests"
            assert found.document["message"]
            assert int(found.headers["retry-after"]) in (1, 2)
        return found.status

    assert [told("wrong") for _ in range(3)] == [401, 429, 429]
    # Of another address; two of one network of IPv6 are one client.
    assert told("wrong", "203.0.113.8") == 401
    assert [told("wrong", f"2001:db8::{n}") for n in (1, 2)] == [401, 429]
    # Whoever has a key is not held back for those beside him.
    assert [told(secret(VIEWER)) for _ in range(3)] == [200, 200, 429]
    # One that may not ask for this is counted as well.
    assert [told(secret(WRITE)) for _ in range(3)] == [403, 403, 429]
    # Neither is collection.
    event = b'{"type":"track","event":"x"}'
    for _ in range(5):
        assert call(app, "POST", "/v1/track", key=secret(WRITE), body=event).status == 200


def test_collection_is_limited_where_the_shop_says_so(collector: Collector) -> None:
    app = app_of(collector, [], limits=ServiceLimits(collect_per_second=0.1, collect_burst=2))
    event = b'{"type":"track","event":"x"}'
    told = [call(app, "POST", "/v1/t", key=secret(WRITE), body=event) for _ in range(3)]
    assert [one.status for one in told] == [200, 200, 429]
    assert told[2].document["code"] == "too_many_requests"
    assert int(told[2].headers["retry-after"]) == 10
    assert told[2].headers["access-control-allow-origin"] == "*"


def test_a_body_is_read_so_far_and_no_further(collector: Collector) -> None:
    read: list[int] = []

    async def take(request: Request, key: Key) -> Response:
        read.append(len(await request.body()))
        return answer({})

    endpoint = Endpoint("POST", "/v1/x", SEGMENTS_READ, take, "")
    app = app_of(collector, [endpoint], limits=ServiceLimits(body_bytes=1024))

    def told(body: bytes | Sequence[bytes]) -> Told:
        return call(app, "POST", "/v1/x", key=secret(VIEWER), body=body)

    assert told(b"x" * 1024).status == told([b"x" * 1000, b"x" * 24]).status == 200
    for body in (b"x" * 1025, [b"x" * 1000, b"x" * 25], [b"x" * 600] * 1000):
        found = told(body)
        assert (found.status, found.document["code"]) == (413, "too_large")
        assert "1,024 bytes" in found.document["message"]
    assert read == [1024, 1024]


# --- What is written down -------------------------------------------------------------------------


class FullLog(MemoryAudit):
    """A log on a disk that may be full."""

    full = False

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        if self.full:
            raise OperationError("disk_full", "no space is left on the device")
        return super().append(acts, synced=synced)


@pytest.fixture
def log() -> FullLog:
    return FullLog()


@pytest.fixture
def auditor(log: FullLog) -> Iterator[Auditor]:
    found = Auditor(log, lambda: NOW)
    yield found
    found.close()


def entries(log: MemoryAudit) -> list[dict[str, Any]]:
    return [json.loads(one.text) for one in log.entries]


async def erase(request: Request, key: Key) -> Response:
    if request.path_params["customer_id"] == "nobody":
        raise UsageError("unknown_customer", "the shop knows no customer 'nobody'")
    tell(request, receipt=3)
    return answer({})


READ = Endpoint("GET", "/v1/customers/{customer_id}", CUSTOMERS_READ, stub, "")
ERASE = Endpoint("DELETE", "/v1/persons/{customer_id}", PERSON_ERASE, erase, "")
SEE = Endpoint("GET", "/v1/segments/{segment_id}", SEGMENTS_READ, stub, "")


def test_what_reads_persons_is_written_down_before_it_is_answered_and_names_nobody(
    collector: Collector, log: FullLog, auditor: Auditor
) -> None:
    app = app_of(collector, [READ, SEE], auditor=auditor)
    path = "/v1/customers/ann@shop.example"
    assert call(app, "GET", path, key=secret(ADMIN), query="email=ann@shop.example").status == 200
    [told] = entries(log)
    assert told["who"] == {
        "via": "api", "key_id": told["who"]["key_id"], "role": "admin", "owner": "admin-owner",
    }  # fmt: skip
    assert told["about"] == {"customer_id": hidden(log.secret(), "ann@shop.example")}
    assert {name: told[name] for name in ("action", "permission", "path", "outcome", "status")} == {
        "action": "GET", "permission": "customers.read", "path": "/v1/customers/{customer_id}",
        "outcome": "done", "status": 200,
    }  # fmt: skip
    text = json.dumps(told)
    assert "ann@" not in text
    assert secret(ADMIN) not in text
    assert digest_of(secret(ADMIN)) not in text
    # What stands where Shoal's own ids are may be anything.
    rules = Endpoint("GET", "/v1/exports/{name}", EXPORTS_MAKE, stub, "")
    lists = app_of(collector, [rules], auditor=auditor)
    for name, kept in (("s03.csv", "s03.csv"), ("ann@shop.example", None)):
        call(lists, "GET", f"/v1/exports/{name}", key=secret(ADMIN))
        about = entries(log)[-1]["about"]["name"]
        assert about == (kept or hidden(log.secret(), name))
    del log.entries[1:]
    # Segments as a whole are nobody's secret.
    assert call(app, "GET", "/v1/segments/s01", key=secret(VIEWER)).status == 200
    assert len(log.entries) == 1


def test_a_change_is_written_down_before_it_is_begun_and_when_it_ended(
    collector: Collector, log: FullLog, auditor: Auditor
) -> None:
    seen: list[list[str]] = []

    async def watched(request: Request, key: Key) -> Response:
        seen.append([one["outcome"] for one in entries(log)])
        return await erase(request, key)

    app = app_of(collector, [replace(ERASE, handle=watched)], auditor=auditor)
    assert call(app, "DELETE", "/v1/persons/ann", key=secret(ADMIN)).status == 200
    assert seen == [["begun"]]
    begun, done = entries(log)
    assert (done["outcome"], done["status"]) == ("done", 200)
    assert done["facts"] == {"began": begun["number"], "receipt": 3}
    assert "ann" not in json.dumps([begun, done])
    found = call(app, "DELETE", "/v1/persons/nobody", key=secret(ADMIN))
    assert (found.status, found.document["code"]) == (404, "unknown_customer")
    assert {**entries(log)[-1], "number": 0, "before": ""}["facts"]["code"] == "unknown_customer"
    assert (entries(log)[-1]["outcome"], entries(log)[-1]["status"]) == ("failed", 404)


def test_refusals_are_gathered(
    collector: Collector, log: FullLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "GATHERED_S", 60.0)
    auditor = Auditor(log, lambda: NOW)
    app = app_of(collector, [READ, SEE], auditor=auditor)
    for _ in range(5):
        assert call(app, "GET", "/v1/customers/1", key="wrong").status == 401
    assert call(app, "GET", "/v1/customers/1", key=secret(VIEWER)).status == 403
    for number in range(2 * auditing.DIFFERENT):
        call(app, "GET", "/v1/customers/1", address=f"198.51.100.{number}")
    auditor.close()
    told = entries(log)
    assert sum(one.get("times", 1) for one in told) == 6 + 2 * auditing.DIFFERENT
    assert len(told) <= auditing.DIFFERENT + 3
    first = told[0]
    assert (first["who"]["address"], first["status"]) == ("203.0.113.7", 401)
    assert first["outcome"] == "refused"
    assert next(one for one in told if one.get("status") == 403)["who"]["role"] == "viewer"
    assert (told[-1]["who"], told[-1]["path"]) == ({"via": "api", "owner": "several"}, "*")


def test_where_it_cannot_be_written_changes_are_refused_and_reading_goes_on(
    collector: Collector, log: FullLog, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "OWED", 2)
    app = app_of(collector, [READ, ERASE], auditor=auditor)
    log.full = True
    found = call(app, "DELETE", "/v1/persons/ann", key=secret(ADMIN))
    assert (found.status, found.document["code"]) == (503, "disk_full")
    assert int(found.headers["retry-after"]) > 0
    for _ in range(5):
        assert call(app, "GET", "/v1/customers/1", key=secret(ADMIN)).status == 200
    assert log.entries == []
    log.full = False
    assert call(app, "DELETE", "/v1/persons/ann", key=secret(ADMIN)).status == 200
    told = [(one["action"], one["outcome"]) for one in entries(log)]
    assert told == [
        ("GET", "done"), ("GET", "done"), ("audit.lost", "failed"),
        ("DELETE", "begun"), ("DELETE", "done"),
    ]  # fmt: skip
    assert entries(log)[2]["facts"] == {"entries": 3}


# --- Keys and the log over HTTP -------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[shoal.Shop]:
    with shoal.init(tmp_path / "shop") as opened:
        yield opened


@pytest.fixture
def served(collector: Collector, shop: shoal.Shop) -> Iterator[tuple[Any, str]]:
    """The application of a shop and the secret of its administrator."""
    made = shop.make_key("ann", role="admin")
    log = shop.audit_log()
    auditor = Auditor(log)
    app = application(
        collector, Keyring(shop.known_keys), cast(Driver, StillDriver()), endpoints_of(shop, log),
        trail=Trail(auditor),
    )  # fmt: skip
    yield app, made["key"]
    auditor.close()
    log.close()


def test_keys_are_made_listed_and_revoked_over_http(
    served: tuple[Any, str], shop: shoal.Shop
) -> None:
    app, admin = served
    body = json.dumps({"name": "board", "role": "viewer", "days": 30}).encode()
    made = call(app, "POST", "/v1/keys", key=admin, body=body)
    assert (made.status, made.document["role"]) == (201, "viewer")
    new = made.document["key"]
    assert new.startswith("shoal_viewer_")
    listed = call(app, "GET", "/v1/keys", key=admin).document
    assert [one["source"] for one in listed["keys"]] == ["ann", "board"]
    assert new not in json.dumps(listed)
    key_id = made.document["key_id"]
    gone = call(app, "DELETE", f"/v1/keys/{key_id}", key=admin)
    assert (gone.status, gone.document["state"]) == (200, "revoked")
    assert call(app, "DELETE", "/v1/keys/key-0099", key=admin).document["code"] == "unknown_key"
    last = call(app, "DELETE", "/v1/keys/key-0001", key=admin)
    assert (last.status, last.document["code"]) == (409, "last_admin_key")
    assert last.document["message"]
    told = call(app, "GET", "/v1/audit", key=admin).document
    kept = json.dumps(told)
    assert new not in kept and admin not in kept
    facts = [one["facts"].get("key_id") for one in told["entries"] if one["action"] == "POST"
             and one["outcome"] == "done"]  # fmt: skip
    assert facts == [key_id]
    # With another one it goes.
    body = json.dumps({"name": "eve", "role": "admin"}).encode()
    assert call(app, "POST", "/v1/keys", key=admin, body=body).status == 201
    assert call(app, "DELETE", "/v1/keys/key-0001", key=admin).status == 200
    assert shop.verify_audit()["entries"] > 8


BAD_BODIES = (
    b"", b"[]", b"5", b"{", b"\xff", b'{"name": "x"}', b'{"name": 5, "role": "viewer"}',
    b'{"name": "x", "role": "boss"}', b'{"name": "X Y", "role": "viewer"}',
    b'{"name": "x", "role": "viewer", "days": "3"}', b'{"name": "x", "role": "viewer", "days": 0}',
    b'{"name": "x", "role": "viewer", "days": NaN}',
    b'{"name": "x", "role": "viewer", "days": true}',
    b'{"name": "x", "role": "viewer", "days": 1e400}', b'{"name": "\\ud800", "role": "viewer"}',
    b'{"name": "x", "role": "viewer", "days": 1' + b"0" * 400 + b"}",
    b'{"name": "x", "role": "viewer", "days": 1' + b"0" * 5000 + b"}",
    b'{"name": "x", "role": ["viewer"]}', b'{"name": "x", "role": "viewer", "key": "mine"}',
    b"[" * 100_000,
)  # fmt: skip


def test_a_key_that_cannot_be_made_is_refused_with_a_reason(
    served: tuple[Any, str], shop: shoal.Shop
) -> None:
    app, admin = served
    for body in BAD_BODIES:
        found = call(app, "POST", "/v1/keys", key=admin, body=body)
        assert (found.status, found.document["code"]) == (400, "usage"), body[:60]
        assert found.document["message"]
    assert len(shop.known_keys()) == 1


def test_the_log_is_read_in_pages_and_verified(served: tuple[Any, str], shop: shoal.Shop) -> None:
    app, admin = served
    for _ in range(3):
        call(app, "GET", "/v1/keys", key=admin)
    numbers: list[int] = []
    after = 0
    while True:
        told = call(app, "GET", "/v1/audit", key=admin, query=f"after={after}&limit=2").document
        numbers += [one["number"] for one in told["entries"]]
        if told["next"] is None or len(numbers) > 8:
            break
        after = told["next"]
    assert numbers[:5] == [1, 2, 3, 4, 5]
    assert call(app, "GET", "/v1/audit/verification", key=admin).document["verified"] is True
    for query in ("after=-1", "after=x", "limit=1001", "after=" + "9" * 30, "limit=%00"):
        found = call(app, "GET", "/v1/audit", key=admin, query=query)
        assert (found.status, found.document["code"]) == (400, "usage"), query
