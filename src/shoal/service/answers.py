"""Answers of the service: JSON always, and errors that every client understands.

Clients of the field read an error's `code` and `message`, and send a permanent failure again where
either is missing; so every error body holds both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from shoal.domain.errors import InputError, OperationError, ShoalError

#: Said with every answer.
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

#: What a path names and the shop has not, and what the shop's state forbids for now.
_STATUS: Final = {
    "unknown_customer": 404, "unknown_segment": 404, "unknown_segmentation": 404,
    "unknown_model": 404, "unknown_item": 404, "unknown_export": 404, "unknown_key": 404,
    "unknown_webhook": 404, "no_secret": 409, "bad_secret": 409, "wrong_secret": 409,
    "privacy_changed": 409,
    "last_admin_key": 409, "audit_broken": 409, "unknown_action": 404, "unknown_covariate": 404,
    "bad_rule": 422, "bad_holdout": 422, "no_sql_form": 422, "unknown_channel": 422,
}  # fmt: skip
#: What another try may find otherwise.
_PASSING: Final = (
    "shop_locked", "disk_full", "erasure_unfinished", "interrupted", "store_unreachable",
)  # fmt: skip
_AGAIN_S: Final = 30
#: Characters of a text in an error.
_LONGEST: Final = 1_000


def answer(
    document: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    strict: bool = False,
) -> Response:
    """A JSON answer.

    Raises:
        ValueError: with `strict`, a number that is not finite.
    """
    # Half of a surrogate pair, which a client may send and be told of, is no text.
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=not strict)
    body = text.encode("utf-8", "replace")
    return Response(body, status, {**HEADERS, **(headers or {})}, media_type="application/json")


class Prepared(Response):
    """A JSON answer 200 whose headers are made once for all of its kind.

    Args:
        body: the document, as it is sent.
        raw: of `raw_headers`.
    """

    def __init__(self, body: bytes, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self.status_code, self.body, self.background = 200, body, None
        self.raw_headers = [*raw, (b"content-length", b"%d" % len(body))]


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """What every JSON answer says, and `headers`, as they are sent."""
    return [
        pair for pair in answer({}, headers=headers).raw_headers if pair[0] != b"content-length"
    ]


def failure(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error: what a machine and what a person reads of it."""
    return answer({"code": code, "message": message}, status, headers)


def failure_of(error: ShoalError) -> Response:
    """What an error of the shop is to a client: 404, 409, 422 and 400 are its own, 503 passes."""
    document = {"code": error.code, "message": clipped(error.message)}
    # Where a store failed is a path of this machine.
    for name, text in (("where", error.where), ("hint", error.hint)):
        if text and not (name == "where" and isinstance(error, OperationError)):
            document[name] = clipped(text)
    if error.code in _PASSING:
        return answer(document, 503, {"retry-after": str(_AGAIN_S)})
    if error.code in _STATUS:
        return answer(document, _STATUS[error.code])
    if isinstance(error, InputError):
        return answer(document, 422)
    return answer(document, 500 if isinstance(error, OperationError) else 400)


def clipped(text: str) -> str:
    """A text of an error: what a client sent comes back in it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def try_again(status: int, code: str, message: str, seconds: int) -> Response:
    """An error that passes: when to come again, in whole seconds, which all clients read."""
    return failure(status, code, message, {"retry-after": str(seconds)})
