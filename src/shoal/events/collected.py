"""Bodies of the collection API as calls of the Segment spec: unpacked, bounded, judged, stamped.

What official clients send is taken as they send it: any content type, gzip or plain, an envelope
with a batch or a lone call, nulls and unknown keys everywhere. A body that can never be read is
refused as a whole (`BodyError`); a call that cannot be kept as it is does not cost its batch, and
says why (`Judged.fault`). Whether a call makes an event is not judged here: that is the front
door's business, which keeps what it refuses.

Sources: Segment documentation, "HTTP API Source" (paths, batch, `sentAt`, sizes) and "Spec: Common
Fields" (corrected time).
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

#: What a body may be once it is expanded. Clients batch up to 4 MB.
MAX_BODY: Final = 5 << 20
#: What one call may be, as JSON.
MAX_CALL: Final = 1 << 20
MAX_CALLS: Final = 10_000
MAX_DEPTH: Final = 64
MAX_KEYS: Final = 1_000
MAX_ID: Final = 100
#: Values of a body, about: each takes up to 90 bytes once it is read, whatever it takes in JSON.
MAX_VALUES: Final = 500_000
#: A body is expanded in pieces of that size, so that a bomb is noticed before it is memory.
_PIECE: Final = 1 << 18
#: A gzip body has at least so many bytes around what it holds; the last four tell its size.
_GZIP_ENDS: Final = 18
#: Values of `type`, by the last part of the path that says it for the whole body.
TYPES: Final[Mapping[str, str]] = {
    **{name: name for name in ("track", "identify", "page", "screen", "group", "alias")},
    "t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias",
}  # fmt: skip
#: What calls of a batch take from its envelope where they lack it.
_SHARED: Final = ("context", "integrations")

Call = dict[str, Any]


class BodyError(Exception):
    """The body as a whole can never be taken.

    Args:
        code: one word for machines.
        message: what is wrong and what is allowed, for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Envelope:
    """A body: its calls and what it says of them all.

    Args:
        calls: anything that stood where a call should; `judge` says which can be kept.
        write_key: of the body; None where it names none.
        sent_at: when the client says it sent the body; None where it does not, or not readably.
    """

    calls: tuple[Any, ...]
    write_key: str | None
    sent_at: datetime | None


@dataclass(frozen=True)
class Judged:
    """A call as it is kept.

    Args:
        message_id: of the client; None: it has none.
        line: the call as one line of JSON; of one with a fault its beginning, in ASCII.
        fault: why it cannot be an event: a code of `shoal.events.reasons.REASONS` and words; None:
            it may be one.
    """

    message_id: str | None
    line: bytes
    fault: tuple[str, str] | None = None


# --- Bodies ---------------------------------------------------------------------------------------


def expanded(body: bytes, encoding: str, most: int = MAX_BODY) -> bytes:
    """A body as it was before the client compressed it.

    Args:
        encoding: of the header `Content-Encoding`; empty, `identity` or `gzip`.
        most: bytes that it may have.

    Raises:
        BodyError: `bad_encoding`, `too_large`.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        if len(body) > most:
            raise _too_large(most)
        return body
    if name not in ("gzip", "x-gzip"):
        raise BodyError(
            "bad_encoding", f"Content-Encoding is {encoding[:40]!r}; allowed: gzip, identity."
        )
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    pieces, size, rest = [], 0, body
    try:
        while rest and not unpacker.eof:
            piece = unpacker.decompress(rest, _PIECE)
            rest = unpacker.unconsumed_tail
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise _too_large(most)
    except zlib.error as error:
        raise BodyError(
            "bad_encoding", f"The body says that it is gzip and is not: {error}."
        ) from None
    if not unpacker.eof:
        raise BodyError("bad_encoding", "The gzip body ends before its end: it was cut off.")
    if unpacker.unused_data:
        raise BodyError("bad_encoding", "There is something behind the end of the gzip body.")
    return b"".join(pieces)


def told_size(body: bytes) -> int:
    """Bytes that a body has once it is expanded, by what it says of itself.

    One that says less than is true is refused when it is expanded.

    >>> import gzip
    >>> told_size(b"abc"), told_size(gzip.compress(b"a" * 1000))
    (3, 1000)
    """
    if body.startswith(b"\x1f\x8b") and len(body) > _GZIP_ENDS:
        return int.from_bytes(body[-4:], "little")
    return len(body)


def _too_large(most: int) -> BodyError:
    return BodyError(
        "too_large",
        f"The body is larger than {most:,} bytes once it is expanded. Send smaller batches.",
    )


def opened(body: bytes, kind: str | None = None) -> Envelope:
    """The calls of a body.

    Args:
        kind: the type that the path says, for a lone call; None: the body says it.

    Raises:
        BodyError: `bad_json`, `empty_batch`, `too_many`.
    """
    found = _json(body)
    if not isinstance(found, dict):
        raise BodyError("bad_json", f"A JSON object is wanted; this is a {_kind(found)}.")
    key = found.get("writeKey")
    sent_at = _moment(found.get("sentAt"))
    write_key = key if isinstance(key, str) and key else None
    if "batch" not in found:
        call = {**found, "type": kind} if kind is not None else found
        return Envelope((_without_key(call),), write_key, sent_at)
    batch = found["batch"]
    if not isinstance(batch, list):
        raise BodyError("bad_json", f"batch: a list of calls is wanted; this is {_kind(batch)}.")
    if not batch:
        raise BodyError("empty_batch", "batch: at least one call is wanted; there is none.")
    if len(batch) > MAX_CALLS:
        raise BodyError(
            "too_many", f"batch: {len(batch):,} calls; at most {MAX_CALLS:,} are taken at once."
        )
    shared = {name: found[name] for name in _SHARED if isinstance(found.get(name), dict)}
    return Envelope(tuple(_with(call, shared) for call in batch), write_key, sent_at)


def _without_key(call: Call) -> Call:
    """A call without the key that it was sent with: keys are no part of what happened."""
    return {name: value for name, value in call.items() if name != "writeKey"}


def _with(call: Any, shared: Mapping[str, Any]) -> Any:
    """A call of a batch with what the envelope says of all of them; its own words win."""
    if not isinstance(call, dict):
        return call
    more = {
        name: {**value, **own} if isinstance(own := call.get(name), dict) else value
        for name, value in shared.items()
        if _open(call.get(name))
    }
    return _without_key({**call, **more})


def _open(value: Any) -> bool:
    """Whether an envelope may add to what a call says under a name."""
    return value is None or isinstance(value, dict)


class _Strange:
    """What JSON has no word for, such as NaN, where a client wrote it all the same."""


_STRANGE: Final = _Strange()
#: Refuses what is not finite or strange.
_ENCODE: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
_DECODE: Final = json.JSONDecoder(parse_constant=lambda _: _STRANGE).decode


def _json(body: bytes) -> Any:
    if len(body) > MAX_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise BodyError(
            "too_many", f"The body holds more than {MAX_VALUES:,} values. Send smaller batches."
        )
    try:
        return _DECODE(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BodyError("bad_json", f"The body is not UTF-8: {error.reason}.") from None
    except RecursionError:
        raise BodyError(
            "bad_json", f"The body is nested too deeply; at most {MAX_DEPTH} levels."
        ) from None
    except ValueError as error:
        raise BodyError("bad_json", f"The body is not JSON: {error}.") from None


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "a yes or no",
            type(None): "null"}.get(type(value), "a number")  # fmt: skip


# --- Calls ----------------------------------------------------------------------------------------


def judge(call: Any, sent_at: datetime | None, received_at: datetime) -> Judged:
    """A call as it is kept, with the times that the server knows, or why it cannot be an event.

    Args:
        call: of `Envelope.calls`.
        received_at: the server's clock.
    """
    if not isinstance(call, dict):
        return Judged(
            None, beginning_of(call), ("bad_call", f"an object is wanted, this is {_kind(call)}")
        )
    name = call.get("messageId")
    message_id = name if isinstance(name, str) else None
    line = _line_of(call, sent_at, received_at)
    fault = _unfit(call) if line is None else None
    if fault is None and name is not None and not _is_id(name):
        fault = ("bad_message_id", f"messageId: a text of 1 to {MAX_ID} characters is wanted")
    if fault is not None:
        return Judged(message_id if _is_id(name) else None, beginning_of(call), fault)
    if line is None:
        line = _ENCODE(stamped(call, sent_at, received_at)).encode()
    if len(line) > MAX_CALL:
        words = f"{len(line):,} bytes; a call may have {MAX_CALL:,}"
        return Judged(message_id, beginning_of(call), ("call_too_large", words))
    return Judged(message_id, line)


def _line_of(call: Call, sent_at: datetime | None, received_at: datetime) -> bytes | None:
    """A call as one line, if writing it shows that nothing in it can be unfit; else None.

    Brackets and colons are counted with those in texts: what has few of them is not nested deeply
    and has few keys, and most calls need no closer look.
    """
    try:
        line = _ENCODE(stamped(call, sent_at, received_at)).encode()
    except (ValueError, TypeError, RecursionError):
        return None
    if line.count(b"{") + line.count(b"[") > MAX_DEPTH or line.count(b":") > MAX_KEYS:
        return None
    return line


def stamped(call: Call, sent_at: datetime | None, received_at: datetime) -> Call:
    """A call with `receivedAt`, and `timestamp` by the server's clock.

    receivedAt - (sentAt - timestamp): the client's clock may be wrong, its two readings are wrong
    by the same. Where it does not say when it sent the call its own time stands.
    """
    told = call.get("timestamp") or call.get("originalTimestamp")
    own = _moment(told)
    found = {**call, "receivedAt": _iso(received_at)}
    if sent_at is not None:
        found["sentAt"] = _iso(sent_at)
    if told is None:
        found["timestamp"] = found["receivedAt"]
    elif own is not None and sent_at is not None:
        found["originalTimestamp"] = told
        try:
            found["timestamp"] = _iso(received_at - (sent_at - own))
        except OverflowError:  # a year that no calendar has: the front door says so
            found["timestamp"] = told
    return found


def _unfit(call: Call) -> tuple[str, str] | None:
    """Why a call cannot be kept as a line of JSON that others read."""
    keys = 0
    for depth, value in _walk(call):
        if depth > MAX_DEPTH:
            return "too_deep", f"nested deeper than {MAX_DEPTH} levels"
        if value is _STRANGE or (isinstance(value, float) and not math.isfinite(value)):
            return "not_finite", "a number that is not finite (NaN, Infinity, 1e400)"
        if isinstance(value, dict):
            keys += len(value)
            if keys > MAX_KEYS:
                return "too_many_keys", f"more than {MAX_KEYS:,} keys"
        if isinstance(value, str) and (not value.isascii()) and _broken(value):
            return "broken_text", "half of a surrogate pair, which is no text"
    return None


def _walk(value: Any) -> Iterator[tuple[int, Any]]:
    """Every value and key within, with its depth; no recursion, so that depth costs no stack."""
    waiting: list[tuple[int, Any]] = [(0, value)]
    while waiting:
        depth, one = waiting.pop()
        yield depth, one
        if depth > MAX_DEPTH:
            continue
        if isinstance(one, dict):
            waiting += [(depth + 1, name) for name in one]
            waiting += [(depth + 1, inner) for inner in one.values()]
        elif isinstance(one, list):
            waiting += [(depth + 1, inner) for inner in one]


def _broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable()


def beginning_of(call: Any) -> bytes:
    """A call that cannot be an event as a line that can be kept: its beginning, in ASCII."""
    try:
        text = json.dumps(call, default=lambda _: "NaN")
    except (RecursionError, ValueError):
        text = repr(call)
    return text[:MAX_CALL].encode("ascii", "backslashreplace")


def _moment(value: Any) -> datetime | None:
    """A time as clients write it; None where it is none. Without an offset it is in UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        return None


@lru_cache(maxsize=256)  # calls of a body, and of a thousand lines, were received at once
def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
