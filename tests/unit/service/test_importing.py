"""Bulk import: every line on its own, in bounded memory, and the same lines twice are the same."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from tests.asked import Answer, asked

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.config import CollectionConfig
from shoal.domain.access import Key, digest_of, new_secret
from shoal.domain.errors import OperationError
from shoal.ports import Arrived
from shoal.service.access import Keyring
from shoal.service.app import application
from shoal.service.collection import Collection
from shoal.service.driver import Driver
from shoal.service.importing import Importing
from shoal.workflows.collecting import Collector

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECRET = new_secret("write")
KEY = Key("key-0001", "write", "web", digest_of(SECRET), SECRET[:16], NOW)
LINES = {"x-write-key": SECRET, "content-type": "application/x-ndjson"}


class StillDriver:
    def told(self) -> dict[str, Any]:
        return {"failure": None}


def app_of(collector: Collector, **bounds: int) -> Any:
    driver = cast(Driver, StillDriver())
    keyring = Keyring(lambda: [KEY], lambda: NOW)
    return application(collector, keyring, driver, bounds=CollectionConfig(**bounds))


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector(MemoryInbox(), lambda: NOW)
    yield found
    found.close()


def call(number: int, **more: Any) -> bytes:
    told = {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": f"m{number}"}
    return json.dumps({**told, **more}).encode() + b"\n"


def sent(
    collector: Collector, *pieces: bytes, headers: dict[str, str] = LINES, **more: Any
) -> Answer:
    bounds = {name: more.pop(name) for name in list(more) if name != "broken_off"}
    return asked(app_of(collector, **bounds), "/v1/import", *pieces, headers=headers, **more)


def kept(collector: Collector) -> list[Arrived]:
    return [one for _, one in collector.inbox.after(0, 1_000_000)]


def test_lines_are_counted_and_bad_ones_are_named_and_kept(collector: Collector) -> None:
    body = (
        call(1) + b"\n \r\n" + b"{broken\n" + call(2).replace(b"\n", b"\r\n") + b"[1]\n"
        + b'{"type":"track","v":NaN,"messageId":"m9"}\n' + b"\xff\xfe\n" + call(1)
        + b'{"batch":[{"type":"page"},5],"sentAt":"2026-05-01T00:00:00Z"}\n'
        + b'{"type":"track","userId":"the last line has no end"}'
    )  # fmt: skip
    found = sent(collector, body)
    assert found.status == 200
    told = found.document
    assert (told["success"], told["received"]) == (True, 10)
    assert (told["stored"], told["duplicates"], told["quarantined"]) == (4, 1, 5)
    assert [(one["line"], one["code"]) for one in told["bad_lines"]] == [
        (4, "bad_json"), (6, "bad_json"), (7, "not_finite"), (8, "bad_json"), (10, "bad_call"),
    ]  # fmt: skip
    assert all(one["message"] for one in told["bad_lines"])
    assert sum(one.fault is None for one in kept(collector)) == 4
    assert sum(one.fault is not None for one in kept(collector)) == 5
    # Once more, in other pieces and compressed: nothing is new, with an id or without one.
    raw = gzip.compress(body)
    again = sent(collector, *(raw[at : at + 50] for at in range(0, len(raw), 50))).document
    assert (again["stored"], again["duplicates"], again["quarantined"]) == (0, 5, 5)
    assert len(kept(collector)) == 9


def test_a_mended_call_is_taken_though_it_was_refused(collector: Collector) -> None:
    assert sent(collector, b'{"type":"track","v":NaN,"messageId":"m1"}').document["stored"] == 0
    assert sent(collector, b'{"type":"track","v":1,"messageId":"m1"}').document["stored"] == 1


@pytest.mark.parametrize(
    "kind",
    ["application/x-ndjson", "Application/JSONL; charset=utf-8", "text/plain", "application/gzip"],
)
def test_lines_are_told_by_their_content_type(collector: Collector, kind: str) -> None:
    headers = {"x-write-key": SECRET, "content-type": kind}
    assert sent(collector, call(1) + call(2), headers=headers).document["stored"] == 2


@pytest.mark.parametrize("kind", [None, "application/json", "application/x-www-form-urlencoded"])
def test_what_says_nothing_of_lines_is_a_batch_as_clients_send_it(
    collector: Collector, kind: str | None
) -> None:
    headers = {"x-write-key": SECRET} | ({} if kind is None else {"content-type": kind})
    found = sent(collector, b'{"batch":[' + call(1) + b"]}", headers=headers)
    assert (found.status, found.document["accepted"]) == (200, 1)
    found = sent(collector, call(1) + call(2), headers=headers)
    assert (found.status, found.document["code"]) == (400, "bad_json")


def test_a_body_that_breaks_off_leaves_what_was_whole(collector: Collector) -> None:
    found = sent(collector, call(1), call(2) + call(3)[:20], broken_off=True)
    assert (found.status, found.document["code"]) == (400, "cut_off")
    assert found.document["stored"] == 2
    assert [one.message_id for one in kept(collector)] == ["m1", "m2"]
    told = sent(collector, call(1), call(2), call(3)).document
    assert (told["stored"], told["duplicates"]) == (1, 2)


def test_gzip_that_is_cut_off_leaves_what_was_whole(collector: Collector) -> None:
    raw = gzip.compress(b"".join(call(number) for number in range(3000)))
    found = sent(collector, raw[: len(raw) // 2])
    assert (found.status, found.document["code"]) == (400, "bad_encoding")
    assert 0 < found.document["stored"] == len(kept(collector)) < 3000
    assert sent(collector, raw).document["received"] == 3000
    assert len(kept(collector)) == 3000


def test_bounds_of_a_line_and_of_all(collector: Collector) -> None:
    long = call(2, properties={"text": "x" * 5000})
    found = sent(collector, call(1), long, call(3), line_kib=4)
    assert (found.document["stored"], found.document["quarantined"]) == (2, 1)
    assert found.document["bad_lines"][0]["code"] == "call_too_large"
    found = sent(collector, *(call(n, text="y" * 100_000) for n in range(10, 30)), import_mib=1)
    assert (found.status, found.document["code"]) == (400, "too_large")
    assert found.document["stored"] == 10


def test_an_import_of_any_length_costs_no_more_memory() -> None:
    class Counting(MemoryInbox):
        """Keeps how many came, and lets them go."""

        count = 0

        def append(self, arrived: Sequence[Arrived]) -> list[bool]:
            self.count += len(arrived)
            return [True] * len(arrived)

    inbox = Counting()
    collector = Collector(inbox, lambda: NOW)
    raw = gzip.compress(b"".join(call(number, text="z" * 1000) for number in range(15_000)), 1)
    pieces = [raw[at : at + 65536] for at in range(0, len(raw), 65536)]
    tracemalloc.start()
    try:
        assert sent(collector, *pieces).document["stored"] == inbox.count == 15_000
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
        collector.close()


def test_an_import_that_begins_behind_the_log_is_told_to_come_again(
    collector: Collector,
) -> None:
    assert sent(collector, call(1) + call(2)).status == 200
    found = sent(collector, call(3), waiting_calls=1)
    assert (found.status, found.document["code"]) == (503, "behind")
    assert int(found.headers["retry-after"]) > 0
    collector.inbox.drain(2)
    assert sent(collector, call(3), waiting_calls=1).status == 200


def test_an_import_that_is_ahead_of_the_log_waits_with_its_connection_open(
    collector: Collector,
) -> None:
    class Slow(Importing):
        """The log takes what waits when it was asked a few times."""

        asked = 0

        def _behind(self) -> bool:
            self.asked += 1
            if self.asked % 3 == 0 and self.drains:
                collector.inbox.drain(collector.inbox.last())
            return super()._behind()

        drains = True

    taking = Collection(collector, Keyring(lambda: [KEY], lambda: NOW))
    slow = Slow(taking, CollectionConfig(waiting_calls=500), patience_s=0.5)
    lines = b"".join(call(number) for number in range(3000))
    found = asked(Starlette(routes=slow.routes()), "/v1/import", lines, headers=LINES)
    assert (found.status, found.document["stored"]) == (200, 3000)
    Slow.drains = False
    collector.inbox.drain(collector.inbox.last())
    more = b"".join(call(number) for number in range(3000, 6000))
    found = asked(Starlette(routes=slow.routes()), "/v1/import", more, headers=LINES)
    assert (found.status, found.document["code"], found.document["stored"]) == (503, "behind", 1000)


def test_a_full_disk_and_keys_that_open_nothing() -> None:
    class Full(MemoryInbox):
        def append(self, arrived: Sequence[Arrived]) -> list[bool]:
            raise OperationError("disk_full", "no space is left on the device")

    full = Collector(Full(), lambda: NOW)
    found = sent(full, call(1))
    assert (found.status, found.document["code"], found.document["stored"]) == (503, "disk_full", 0)
    assert "retry-after" in found.headers
    for headers, code in (({}, "no_key"), ({"x-write-key": "other"}, "bad_key")):
        found = sent(full, call(1), headers={**headers, "content-type": "text/plain"})
        assert (found.status, found.document["code"]) == (401, code)
    found = sent(full, b"\n\n")
    assert (found.status, found.document["code"]) == (400, "empty_batch")
    found = sent(full, call(1), headers={**LINES, "content-encoding": "br"})
    assert (found.status, found.document["code"]) == (400, "bad_encoding")
    full.close()
