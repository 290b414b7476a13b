"""Bodies of the collection API: what is taken as it comes, what is refused, and what it says."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shoal.events.collected import (
    MAX_BODY,
    MAX_CALL,
    BodyError,
    Judged,
    expanded,
    judge,
    opened,
)
from shoal.events.reasons import REASONS

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def lines_of(raw: bytes) -> list[Judged]:
    envelope = opened(raw)
    return [judge(call, envelope.sent_at, NOW) for call in envelope.calls]


def told(one: Judged) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.line)
    return found


# --- Encodings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "GZIP", "x-gzip"])
def test_gzip_and_plain_are_taken(encoding: str) -> None:
    plain = b'{"type":"track"}'
    raw = gzip.compress(plain) if "gzip" in encoding.lower() else plain
    assert expanded(raw, encoding) == plain


@pytest.mark.parametrize(
    ("raw", "encoding", "code"),
    [
        (b"{}", "br", "bad_encoding"),
        (b"{}", "gzip", "bad_encoding"),
        (gzip.compress(b"x" * 999)[:-9], "gzip", "bad_encoding"),
        (gzip.compress(b"{}") + b"\0\0\0\0", "gzip", "bad_encoding"),
        (b"x" * (MAX_BODY + 1), "", "too_large"),
    ],
    # Named here: a gzip header carries the time, and workers must collect the same names.
    ids=["unknown", "not gzip", "cut off", "more behind it", "too large"],
)
def test_other_encodings_and_cut_off_bodies_are_refused(
    raw: bytes, encoding: str, code: str
) -> None:
    with pytest.raises(BodyError) as caught:
        expanded(raw, encoding)
    assert caught.value.code == code


def test_a_bomb_is_noticed_before_it_is_memory() -> None:
    bomb = gzip.compress(b"\0" * (400 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyError, match=f"{MAX_BODY:,} bytes"):
            expanded(bomb, "gzip")
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BODY
    finally:
        tracemalloc.stop()


# --- Envelopes ------------------------------------------------------------------------------------


def test_a_batch_gives_its_calls_what_it_says_of_all() -> None:
    envelope = opened(
        body(
            {
                "batch": [
                    {"type": "track", "context": {"ip": "1.2.3.4"}, "integrations": None},
                    {"type": "page", "context": None},
                    "no call",
                ],
                "context": {"ip": "9.9.9.9", "locale": "de"}, "integrations": {"All": True},
                "writeKey": "KEY", "sentAt": "2026-05-01T11:00:00Z", "timestamp": "x",
            }
        )
    )  # fmt: skip
    first, second, third = envelope.calls
    assert first["context"] == {"ip": "1.2.3.4", "locale": "de"}
    assert first["integrations"] == {"All": True}
    assert second["context"]["locale"] == "de"
    assert third == "no call"
    assert (envelope.write_key, envelope.sent_at) == ("KEY", NOW - timedelta(hours=1))


def test_a_lone_call_is_of_the_type_that_the_path_says() -> None:
    envelope = opened(body({"type": "bogus", "writeKey": "KEY", "event": "x"}), "track")
    assert envelope.calls == ({"type": "track", "event": "x"},)
    assert envelope.write_key == "KEY"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"[1]", "bad_json"),
        (b"\xff\xfe{\x00}\x00", "bad_json"),
        ('{"event":"é"}'.encode("latin-1"), "bad_json"),
        (b'{"batch":{}}', "bad_json"),
        (b'{"batch":[]}', "empty_batch"),
        (b'{"batch":[' + b",".join([b"1"] * 10_001) + b"]}", "too_many"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "bad_json"),
    ],
)
def test_a_body_that_can_never_be_read_says_why(raw: bytes, code: str) -> None:
    with pytest.raises(BodyError) as caught:
        opened(raw)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")


def test_a_byte_order_mark_is_no_fault() -> None:
    assert opened(b'\xef\xbb\xbf{"type":"track"}').calls == ({"type": "track"},)


# --- Calls ----------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"5", "bad_call"),
        (b"null", "bad_call"),
        (b'{"type":"track","value":NaN}', "not_finite"),
        (b'{"type":"track","value":[1e400]}', "not_finite"),
        (b'{"type":"track","event":"\\ud800"}', "broken_text"),
        (b'{"type":"track","\\udc00":1}', "broken_text"),
        (body({"type": "track", "properties": nested(70)}), "too_deep"),
        (body({"type": "track", "properties": {f"k{n}": n for n in range(1001)}}), "too_many_keys"),
        (body({"type": "track", "properties": {"a": "x" * MAX_CALL}}), "call_too_large"),
        (body({"type": "track", "messageId": "x" * 101}), "bad_message_id"),
        (body({"type": "track", "messageId": ""}), "bad_message_id"),
        (body({"type": "track", "messageId": "a\0b"}), "bad_message_id"),
        (body({"type": "track", "messageId": 5}), "bad_message_id"),
    ],
)
def test_a_call_that_cannot_be_an_event_costs_no_other(raw: bytes, code: str) -> None:
    sound = b'{"type":"track","messageId":"ok"}'
    first, bad, last = lines_of(b'{"batch":[' + b",".join([sound, raw, sound]) + b"]}")
    assert (first.fault, last.fault) == (None, None)
    assert bad.fault is not None
    assert bad.fault[0] == code in REASONS
    assert bad.line.isascii()
    assert 0 < len(bad.line) <= MAX_CALL


def test_nulls_unknown_keys_and_numbers_of_any_size_pass() -> None:
    call = {
        "type": "track", "userId": None, "anonymousId": None, "category": None, "_metadata": {},
        "channel": "server", "properties": {"big": 2**80, "emoji": "🐟", "rtl": "\u202eabc"},
    }  # fmt: skip
    (one,) = lines_of(body(call))
    assert one.fault is None
    assert one.message_id is None
    assert told(one)["properties"] == call["properties"]


# --- Times ----------------------------------------------------------------------------------------


def test_a_clock_that_is_wrong_is_set_right() -> None:
    ahead = NOW + timedelta(minutes=10)
    own = (ahead - timedelta(seconds=30)).isoformat()
    for name in ("timestamp", "originalTimestamp"):
        sent = body({"batch": [{"type": "track", name: own}], "sentAt": ahead.isoformat()})
        (one,) = lines_of(sent)
        assert told(one)["timestamp"] == "2026-05-01T11:59:30.000000Z"
        assert told(one)["originalTimestamp"] == own
        assert told(one)["receivedAt"] == "2026-05-01T12:00:00.000000Z"


def test_history_stays_in_the_past() -> None:
    sent = {"type": "track", "timestamp": "2019-03-01T08:00:00Z", "sentAt": NOW.isoformat()}
    (one,) = lines_of(body(sent))
    assert told(one)["timestamp"] == "2019-03-01T08:00:00.000000Z"


@pytest.mark.parametrize(
    ("call", "timestamp"),
    [
        ({}, "2026-05-01T12:00:00.000000Z"),
        ({"timestamp": "2026-04-30T10:00:00+02:00"}, "2026-04-30T10:00:00+02:00"),
        ({"timestamp": "soon", "sentAt": "2026-05-01T12:00:00Z"}, "soon"),
        ({"timestamp": "2026-04-30", "sentAt": "yesterday"}, "2026-04-30"),
        ({"timestamp": "9999-12-31T23:59:59Z", "sentAt": "0001-01-01T00:00:00Z"},
         "9999-12-31T23:59:59Z"),
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_set_right_stands_as_it_is(
    call: dict[str, Any], timestamp: str
) -> None:
    (one,) = lines_of(body({"type": "track", **call}))
    assert told(one)["timestamp"] == timestamp
