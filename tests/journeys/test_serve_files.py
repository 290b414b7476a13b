"""Calls from files: bulk import and followed files, of a service that is killed and goes on."""

from __future__ import annotations

import gzip
import json
import signal
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import Service, eventually, key, serving, stored, views

import shoal as package

__all__ = ["key"]
LINES = {"content-type": "application/x-ndjson"}


def lines(first: int, count: int) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in views(first, count)["batch"])


def test_an_import_and_followed_files_come_once_through_kills(
    shop: Path, key: str, tmp_path: Path
) -> None:
    log = tmp_path / "app.jsonl"
    log.write_bytes(lines(0, 500))
    follow = ("--follow", f"app={log}", "--follow", f"later={tmp_path / 'later'}")
    body = gzip.compress(lines(1000, 3000) + b"{broken\n")
    with serving(shop, key, *follow) as service:
        headers = {"x-write-key": service.key, **LINES}
        status, told = service.send(body, "/v1/import", headers=headers)
        assert (status, told["stored"], told["quarantined"]) == (200, 3000, 1)
        assert told["bad_lines"][0]["line"] == 3001
        service.stop(signal.SIGKILL)
    with log.open("ab") as file:
        file.write(lines(400, 200))  # of these a hundred came before
    with serving(shop, key, *follow) as service:
        status, told = service.send(body, "/v1/import", headers=headers)
        assert (status, told["stored"], told["duplicates"]) == (200, 0, 3000)
        assert eventually(shop, lambda opened: opened.status()["events"] == 3600)
        ready = service.get("/ready")
        assert ready["following"] == [
            {"source": "app", "state": "following"}, {"source": "later", "state": "missing"},
        ]  # fmt: skip
        assert service.stop() == 0
    assert stored(shop) == 3600


def test_bombs_at_once_cost_little_memory_and_no_call(shop: Path, key: str) -> None:
    bomb = gzip.compress(b"\0" * (100 << 20))
    many = gzip.compress(b'{"batch":[' + b"{}," * 1_600_000 + b"1]}")
    with serving(shop, key) as service:
        for first in (0, 10):  # what the first events load is not what bodies take
            service.send(views(first, 10))
            assert eventually(shop, lambda opened, n=first + 10: opened.status()["events"] == n)  # type: ignore[misc]
        before = _memory_mib(service)
        found: list[int] = []
        headers = {"x-write-key": service.key, "content-encoding": "gzip"}

        def send(raw: bytes) -> None:
            found.append(service.send(raw, headers=headers)[0])

        threads = [threading.Thread(target=send, args=(raw,)) for raw in (bomb, many) * 8]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(found) == 16
        assert set(found) <= {400, 503}
        assert _memory_mib(service) - before < 64
        assert service.send(views(10, 10))[0] == 200


def _memory_mib(service: Service) -> int:
    """The most that the service's process ever held."""
    text = Path(f"/proc/{service.process.pid}/status").read_text()
    if "VmHWM" not in text:
        pytest.skip("the system does not tell of memory")
    return int(text.partition("VmHWM:")[2].split()[0]) >> 10


def test_what_cannot_be_followed_is_refused_at_once(shoal: Shoal, shop: Path) -> None:
    twice = shoal("serve", shop, "--follow", "web=a", "--follow", "web=b", "--json")
    assert (twice.code, twice.error["code"]) == (2, "usage")
    unnamed = shoal("serve", shop, "--follow", "/", "--json")
    assert (unnamed.code, unnamed.error["code"]) == (2, "usage")


def test_hostile_calls_are_in_the_log_or_in_the_quarantine(shop: Path) -> None:
    from tests.unit.service.test_hostile_bodies import BODIES, CALL, CALLS, LINES, Asked

    raws = [raw for raw, _ in CALLS.values()] + [raw for raw, _ in BODIES.values()]
    body = b"\n".join(raw.replace(b"\n", b" ") for raw in (CALL, *raws))
    asked = Asked("/v1/import", body, LINES)
    asked.hold()
    with package.open(shop) as opened, closing(opened.inbox()) as inbox:
        inbox.append(asked.kept)
        drained = opened.drain(inbox)
        assert (drained.calls, inbox.waiting()) == (len(asked.kept), 0)
        rows = drained.rows
        assert rows.read == rows.stored + rows.duplicate + rows.quarantined + rows.skipped
        assert rows.stored > 0
        found = opened.quarantine(samples=100)
        assert sum(reason.count for reason in found.reasons) == rows.quarantined
        places = [sample.row for reason in found.reasons for sample in reason.samples]
        assert {s.file for reason in found.reasons for s in reason.samples} == {"inbox:web"}
        refused = {place for place, one in enumerate(asked.kept, 1) if one.fault is not None}
        assert refused <= set(places)
