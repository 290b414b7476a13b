"""Keys, the audit log and limits as people meet them: on the command line and over the network."""

from __future__ import annotations

import http.client
import json
import signal
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import Service, serving
from tests.shops import purchase, write_csv

import shoal as package


def ask(
    service: Service, method: str, path: str, key: str, body: bytes = b""
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """What the service answers, with all of its headers."""
    place = urlsplit(service.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=30)
    try:
        connection.request(method, path, body or None, {"authorization": f"Bearer {key}"})
        found = connection.getresponse()
        return found.status, found.headers, found.read()
    finally:
        connection.close()


# --- Keys -----------------------------------------------------------------------------------------


def test_keys_are_made_for_roles(shoal: Shoal, shop: Path) -> None:
    for role, lives in (("viewer", False), ("marketer", False), ("analyst", False),
                        ("privacy", True), ("admin", True)):  # fmt: skip
        made = shoal("keys", shop, "--make", "ann", "--role", role, "--json").document
        assert made["key"].startswith(f"shoal_{role}_")
        assert (made["role"], made["expires"] is not None) == (role, lives)
    made = shoal("keys", shop, "--make", "web", "--json").document
    assert (made["role"], made["expires"]) == ("write", None)
    told = shoal("keys", shop)
    for role in ("viewer", "marketer", "analyst", "privacy", "admin", "write"):
        assert role in told.out
    assert "90" not in shoal("keys", shop, "--make", "b", "--role", "admin", "--days", 3).err
    wrong = shoal("keys", shop, "--make", "ann", "--role", "boss", "--json")
    assert (wrong.code, wrong.error["code"]) == (2, "usage")
    assert "viewer, marketer, analyst, privacy, admin" in wrong.error["hint"]
    for usage in (("--role", "viewer"), ("--days", 3), ("--revoke", "key-0001", "--make", "x")):
        assert shoal("keys", shop, *usage, "--json").code == 2
    unknown = shoal("keys", shop, "--revoke", "key-0099", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown_key")
    # On the machine itself the last key of an administrator may go.
    for key in ("key-0005", "key-0007"):
        assert shoal("keys", shop, "--revoke", key, "--json").document["state"] == "revoked"


def test_keys_that_open_nothing_any_more_do_not_open_the_service_to_others(
    shoal: Shoal, shop: Path
) -> None:
    with package.open(shop) as opened:
        opened.make_key("web", days=1e-9)
        opened.revoke_key(opened.make_key("ann", role="admin")["key_id"])
    for host in ("0.0.0.0", "::"):
        refused = shoal("serve", shop, "--host", host, "--port", "0", "--json")
        assert (refused.code, refused.error["code"]) == (2, "usage")
        assert "no valid key" in refused.error["message"]


# --- The audit log --------------------------------------------------------------------------------


def test_changes_of_keys_and_erasures_are_in_the_audit_log_and_nobody_is_named(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    orders = write_csv(tmp_path / "orders.csv", [purchase(n, f"person-{n % 3}") for n in range(6)])
    assert shoal("audit", shop, "--json").document["entries"] == []
    assert shoal("audit", shop, "--verify").out.startswith("All 0 entries")
    secret = shoal("keys", shop, "--make", "ann", "--role", "privacy", "--json").document["key"]
    assert shoal("keys", shop, "--revoke", "key-0099").code == 2
    assert shoal("ingest", shop, orders, "--preset", "shoal").code == 0
    assert shoal("forget", shop, "person-1", "--yes").code == 0
    assert shoal("forget", shop, "person-1", "--lift").code == 0
    told = shoal("audit", shop, "--json").document
    acts = [(one["action"], one["outcome"], one.get("status")) for one in told["entries"]]
    assert acts == [
        ("keys.make", "begun", None), ("keys.make", "done", 0),
        ("keys.revoke", "begun", None), ("keys.revoke", "failed", 2),
        ("forget", "begun", None), ("forget", "done", 0),
        ("forget.lift", "begun", None), ("forget.lift", "done", 0),
    ]  # fmt: skip
    assert told["entries"][1]["facts"]["key_id"] == "key-0001"
    assert told["entries"][5]["facts"] == {"asked": 1, "began": 5, "receipt": 1}
    assert all(one["who"]["via"] == "local" for one in told["entries"])
    for file in shop.glob("audit.sqlite*"):
        for never in (b"person-1", secret.encode()):
            assert never not in file.read_bytes()
    table = shoal("audit", shop, "--since", "2020-01-01", "--limit", 3)
    assert table.code == 0
    assert "receipt 1" in table.out


def test_a_log_that_was_changed_is_told_with_exit_code_1(shoal: Shoal, shop: Path) -> None:
    for name in ("a", "b", "c"):
        shoal("keys", shop, "--make", name)
    head = shoal("audit", shop, "--verify", "--json").document["head"]
    written = f"{head['number']}:{head['digest']}"
    assert shoal("audit", shop, "--verify", "--expect", written).code == 0
    for wrong in (("--verify", "--expect", "6"), ("--expect", written), ("--since", "soon"),
                  ("--limit", "-1")):  # fmt: skip
        assert shoal("audit", shop, *wrong, "--json").code == 2
    with sqlite3.connect(shop / "audit.sqlite") as connection:
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute("UPDATE audit SET entry = replace(entry, 'done', 'DONE') WHERE number=4")
    broken = shoal("audit", shop, "--verify", "--json")
    assert (broken.code, broken.error["code"]) == (1, "audit_broken")
    assert broken.error["where"] == "entry 4"
    # What lacks its end is not written on, and the service does not start.
    with sqlite3.connect(shop / "audit.sqlite") as connection:
        connection.execute("DROP TRIGGER audit_no_delete")
        connection.execute("DELETE FROM audit WHERE number > 4")
    for verb in (("keys", shop, "--make", "d"), ("serve", shop, "--port", 0)):
        refused = shoal(*verb, "--json")
        assert (refused.code, refused.error["code"]) == (1, "audit_broken")
        assert "audit.sqlite.mark" in refused.error["hint"]
    assert len(shoal("keys", shop, "--json").document["keys"]) == 3


# --- Over the network -----------------------------------------------------------------------------


@pytest.fixture
def admin(shop: Path) -> str:
    with package.open(shop) as opened:
        made: str = opened.make_key("ann", role="admin")["key"]
    return made


def test_what_was_answered_is_in_the_log_though_the_service_is_killed(
    shoal: Shoal, shop: Path, admin: str
) -> None:
    config = shop / "shop.toml"
    text = config.read_text()
    for old, new in (("key_per_second = 200.0", "key_per_second = 0.01"), ("key_burst = 400",
                     "key_burst = 12"), ("body_bytes = 1048576", "body_bytes = 2048")):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    with serving(shop, admin) as service:
        for _ in range(10):
            status, headers, _ = ask(service, "GET", "/v1/keys", admin)
            assert status == 200
        assert "server" not in headers
        assert headers["x-content-type-options"] == "nosniff"
        made = ask(service, "POST", "/v1/keys", admin, b'{"name": "b", "role": "viewer"}')
        assert made[0] == 201
        status, _, body = ask(service, "POST", "/v1/keys", admin, b" " * 2049)
        assert (status, json.loads(body)["code"]) == (413, "too_large")
        status, headers, body = ask(service, "GET", "/v1/keys", admin)
        assert (status, json.loads(body)["code"]) == (429, "too_many_requests")
        assert 0 < int(headers["retry-after"]) <= 100
        assert ask(service, "GET", "/health", admin)[0] == 200
        service.stop(signal.SIGKILL)
    told = shoal("audit", shop, "--key", "key-0001", "--json").document["entries"]
    acts = [(one["action"], one["outcome"]) for one in told if one["outcome"] != "refused"]
    assert acts == [("GET", "done")] * 10 + [("POST", "begun"), ("POST", "done")]
    assert shoal("audit", shop, "--verify").code == 0
