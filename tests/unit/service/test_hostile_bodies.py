"""Bodies that mean harm, or nothing: the service does not fail, and what it took is kept once.

The same is asked of collection and of import, with cases of the kinds that are known to hurt and
with whatever a fuzzer makes of sound ones.
"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.asked import Answer, asked

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.domain.access import Key, digest_of, new_secret
from shoal.events.collected import MAX_BODY, MAX_CALL, MAX_VALUES
from shoal.events.reasons import REASONS
from shoal.service.access import Keyring
from shoal.service.app import application
from shoal.service.driver import Driver
from shoal.workflows.collecting import Collector

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECRET = new_secret("write")
KEY = Key("key-0001", "write", "web", digest_of(SECRET), SECRET[:16], NOW)
CALL = b'{"type":"track","event":"Product Viewed","userId":"u1","messageId":"m1"}'
LINES = {"content-type": "application/x-ndjson"}


class StillDriver:
    def told(self) -> dict[str, Any]:
        return {"failure": None}


@cache
def _service() -> tuple[Collector, Any]:
    collector = Collector(MemoryInbox(), lambda: NOW)
    driver = cast(Driver, StillDriver())
    return collector, application(collector, Keyring(lambda: [KEY], lambda: NOW), driver)


class Asked:
    """A service with an empty inbox, asked once."""

    def __init__(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        collector, app = _service()
        collector.inbox = inbox = MemoryInbox()
        told = {"x-write-key": SECRET, **(headers or {})}
        self.answer: Answer = asked(app, path, body, headers=told)
        self.kept = [one for _, one in inbox.after(0, 1_000_000)]

    def hold(self) -> None:
        """What must be so whatever was sent."""
        told = self.answer.document
        assert self.answer.status in (200, 400, 401)
        for one in self.kept:
            assert len(one.line) <= MAX_CALL
            assert b"\n" not in one.line
            if one.fault is None:
                assert isinstance(json.loads(one.line), dict)
            else:
                assert one.fault.partition(":")[0] in REASONS
                assert one.line.isascii()
        if self.answer.status != 200:
            assert told["code"]
            assert told["message"]
            return
        sound = sum(one.fault is None for one in self.kept)
        refused = len(self.kept) - sound
        if "stored" in told:
            assert told["received"] == told["stored"] + told["duplicates"] + told["quarantined"]
            assert (told["stored"], told["quarantined"]) >= (sound, refused)
            assert told["stored"] == sound
        else:
            assert told["received"] == (
                told["accepted"] + told["duplicates"] + len(told["rejected"])
            )
            assert told["accepted"] == sound
            assert refused <= len(told["rejected"])


def body(call: Any) -> bytes:
    return json.dumps(call).encode()


def track(**more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "x", "userId": "u1", **more}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


#: What is sent as a body, and the code of its refusal.
BODIES = {
    "nothing": (b"", "bad_json"),
    "blanks": (b" \t\r ", "bad_json"),
    "broken": (b'{"batch":[', "bad_json"),
    "two documents": (CALL + CALL, "bad_json"),
    "bad UTF-8": (b'{"event":"\xff"}', "bad_json"),
    "half a character": (b'{"event":"\xc3"}', "bad_json"),
    "an encoded surrogate": (b'{"event":"\xed\xa0\x80"}', "bad_json"),
    "UTF-16": (CALL.decode().encode("utf-16"), "bad_json"),
    "UTF-16 without a mark": (CALL.decode().encode("utf-16-le"), "bad_json"),
    "UTF-32": (CALL.decode().encode("utf-32"), "bad_json"),
    "a raw NUL": (b'{"event":"a\0b"}', "bad_json"),
    "a pickle": (b"\x80\x04\x95\x0b\x00\x00\x00", "bad_json"),
    "a text": (b'"x"', "bad_json"),
    "a number": (b"1", "bad_json"),
    "null": (b"null", "bad_json"),
    "very deep": (b"[" * 200_000 + b"]" * 200_000, "bad_json"),
    "an integer of 5,000 digits": (b'{"a":' + b"9" * 5000 + b"}", "bad_json"),
}


@pytest.mark.parametrize("name", list(BODIES))
def test_bodies_that_are_no_batch(name: str) -> None:
    raw, code = BODIES[name]
    found = Asked("/v1/batch", raw)
    found.hold()
    assert (found.answer.status, found.answer.document["code"]) == (400, code)
    assert not found.kept
    # As a line among others it costs no other.
    lines = Asked("/v1/import", CALL + b"\n" + raw.replace(b"\n", b" ") + b"\n", LINES)
    lines.hold()
    assert lines.answer.document["stored"] == 1
    assert lines.answer.document["quarantined"] == bool(raw.strip())


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track", "/v1/import", "/beacon/v1/batch/"])
def test_what_is_too_large_is_told_so(path: str) -> None:
    for raw, headers in (
        (b" " * (MAX_BODY + 1), {}),
        (gzip.compress(b" " * (100 << 20)), {"content-encoding": "gzip"}),
    ):
        found = Asked(path, raw, headers)
        found.hold()
        assert (found.answer.status, found.answer.document["code"]) == (400, "too_large")


def test_more_values_than_memory_has_room_for() -> None:
    raw = b'{"type":"track","a":[' + b"{}," * MAX_VALUES + b"1]}"
    found = Asked("/v1/track", raw)
    found.hold()
    assert (found.answer.status, found.answer.document["code"]) == (400, "too_many")


#: A call of a batch, and the code of its refusal; None: it may be an event.
CALLS: dict[str, tuple[bytes, str | None]] = {
    "a number": (b"7", "bad_call"),
    "a list": (b"[]", "bad_call"),
    "null": (b"null", "bad_call"),
    "NaN": (b'{"type":"track","v":NaN}', "not_finite"),
    "-Infinity": (b'{"type":"track","v":-Infinity}', "not_finite"),
    "1e400": (b'{"type":"track","v":1e400}', "not_finite"),
    "half a surrogate": (b'{"type":"track","event":"\\ud83d"}', "broken_text"),
    "half a surrogate as a key": (b'{"type":"track","\\udc00":1}', "broken_text"),
    "deep lists": (body(track(v=nested(65))), "too_deep"),
    "many keys": (body(track(v={f"k{n}": 1 for n in range(1001)})), "too_many_keys"),
    "more than 1 MiB": (body(track(v="x" * MAX_CALL)), "call_too_large"),
    "no id": (body(track(messageId="")), "bad_message_id"),
    "a long id": (body(track(messageId="x" * 101)), "bad_message_id"),
    "an id with a line break": (body(track(messageId="a\nb")), "bad_message_id"),
    "an id that turns the text": (body(track(messageId="\u202eab")), "bad_message_id"),
    "an id that is a number": (body(track(messageId=5)), "bad_message_id"),
    "an empty object": (b"{}", None),
    "64 levels": (body(track(v=nested(62))), None),
    "beyond 64 bits": (body(track(v=2**64)), None),
    "far beyond 64 bits": (body(track(v=10**300)), None),
    "-0.0": (b'{"type":"track","v":-0.0}', None),
    "NUL": (body(track(event="a\0b")), None),
    "bidi": (body(track(event="\u202eabc\u2066")), None),
    "a long text": (body(track(v="x" * 1_000_000)), None),
    "no time": (body(track(timestamp=None)), None),
    "year 1": (body(track(timestamp="0001-01-01T00:00:00Z", sentAt="9999-12-31")), None),
    "a time of no calendar": (body(track(timestamp="2026-13-45T99:99:99Z")), None),
    "a time that is a number": (body(track(timestamp=1e30)), None),
    "a time that is a list": (body(track(timestamp=[1])), None),
    "message id null": (body(track(messageId=None)), None),
    "id null": (body(track(userId="null")), None),
    "id missing": (b'{"type":"track","event":"x"}', None),
    "id an object": (body(track(userId={"a": 1})), None),
    "keys twice": (b'{"type":"track","type":"page","a":1,"a":2}', None),
    "a refusal of its own": (b'{"$refused":["too_deep","words"],"raw":"x"}', None),
    "a batch within": (b'{"batch":[{"batch":[1]}]}', None),
    "SQL": (body(track(event="'; DROP TABLE inbox; --")), None),
    "script": (body(track(event="<script>alert(1)</script>")), None),
    "a formula": (body(track(event="=HYPERLINK(A1)")), None),
    "a path": (body(track(userId="../../etc/passwd")), None),
    "prototype": (b'{"type":"track","__proto__":{"a":1},"constructor":1}', None),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_a_bad_call_costs_no_other(name: str) -> None:
    raw, code = CALLS[name]
    found = Asked("/v1/batch", b'{"batch":[' + CALL + b"," + raw + b"]}")
    found.hold()
    told = found.answer.document
    assert (found.answer.status, told["received"]) == (200, 2)
    assert [(one["index"], one["code"]) for one in told["rejected"]] == (
        [] if code is None else [(1, code)]
    )
    assert len(found.kept) == 2
    lines = Asked("/v1/import", CALL + b"\n" + raw, LINES)
    lines.hold()
    assert lines.answer.document["stored"] >= 1
    expected = "bad_json" if code == "bad_call" else code  # as a line these are no document
    codes = [one["code"] for one in lines.answer.document["bad_lines"]]
    assert codes == ([] if expected is None else [expected])


def test_an_id_that_was_refused_is_for_the_call_once_it_is_mended() -> None:
    odd = CALL.replace(b"}", b',"v":NaN}')
    found = Asked("/v1/batch", b'{"batch":[' + odd + b"," + CALL + b"," + odd + b"]}")
    found.hold()
    assert (found.answer.document["accepted"], len(found.answer.document["rejected"])) == (1, 2)
    assert [one.fault is None for one in found.kept] == [False, True]


def test_of_an_id_with_other_content_the_first_is_kept() -> None:
    other = CALL.replace(b"u1", b"u2")
    found = Asked("/v1/batch", b'{"batch":[' + CALL + b"," + other + b"]}")
    found.hold()
    assert (found.answer.document["accepted"], found.answer.document["duplicates"]) == (1, 1)
    assert b"u1" in found.kept[0].line


# --- Fuzz -----------------------------------------------------------------------------------------

_TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["null", "", "track", "identify", "m1", "2026-05-01T00:00:00Z", "\0", "\ud800",
                     "9999-12-31T23:59:59.999999+00:00", "0001-01-01", "x" * 101]),
)  # fmt: skip
_NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([2**63, -(2**63) - 1, 10**40, 1e308])
)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    ["type", "event", "messageId", "userId", "anonymousId", "timestamp", "originalTimestamp",
     "sentAt", "context", "integrations", "properties", "traits", "previousId", "groupId", "batch",
     "writeKey", "$refused", "raw"]
)  # fmt: skip
_CALLS = st.dictionaries(_FIELDS, _VALUES, max_size=6).map(
    lambda more: {"type": "track", "event": "x", "userId": "u", **more}
)
_ENVELOPES = st.builds(
    lambda calls, more: {**more, "batch": calls},
    st.lists(st.one_of(_CALLS, _VALUES), max_size=5),
    st.dictionaries(st.sampled_from(["sentAt", "context", "integrations", "x"]), _VALUES),
)


def _text_of(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@settings(max_examples=100, deadline=None)
@given(_ENVELOPES, st.sampled_from(["/v1/batch", "/v1/b/", "/v1/import", "/beacon/v1/batch"]))
def test_whatever_is_in_a_batch(envelope: dict[str, Any], path: str) -> None:
    Asked(path, _text_of(envelope)).hold()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(_CALLS, _VALUES, _ENVELOPES), max_size=5))
def test_whatever_is_in_lines(values: list[Any]) -> None:
    Asked("/v1/import", b"\n".join(map(_text_of, values)), LINES).hold()


_BATCH = b'{"batch":[' + CALL + b"]}"
_CHANGES = st.tuples(
    st.integers(0, 200), st.sampled_from(["put", "cut", "flip"]), st.binary(max_size=4)
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([_BATCH, gzip.compress(_BATCH, 9, mtime=0), CALL + b"\n" + CALL]),
    st.lists(_CHANGES, max_size=4),
    st.sampled_from(["/v1/batch", "/v1/t", "/v1/import"]),
    st.sampled_from(["", "gzip", "GZIP", "br"]),
    st.sampled_from(["application/json", "text/plain", "application/x-ndjson"]),
)  # fmt: skip
def test_whatever_happens_to_bytes_on_the_way(
    raw: bytes, changes: list[tuple[int, str, bytes]], path: str, encoding: str, kind: str
) -> None:
    for at, how, more in changes:
        place = at % (len(raw) + 1)
        if how == "put":
            raw = raw[:place] + more + raw[place:]
        elif how == "cut":
            raw = raw[:place] + raw[place + len(more) :]
        else:
            raw = (
                raw[:place]
                + bytes(255 - byte for byte in raw[place : place + 1])
                + raw[place + 1 :]
            )
    Asked(path, raw, {"content-encoding": encoding, "content-type": kind}).hold()
