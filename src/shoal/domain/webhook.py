"""Webhooks: who is told of changes, signed how, how often it is tried, and what was given up.

The signature is that of Standard Webhooks (standardwebhooks.com, specification 1.0.0): symmetric,
`v1`. No secret is kept: it is derived from a master key, which the environment holds, the webhook's
id and a random salt, so that the shop's files alone sign nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shoal.domain.time import iso

STANDARD: Final = "standard"
SEGMENT: Final = "segment"
#: The forms of what is sent.
SHAPES: Final = (STANDARD, SEGMENT)

#: Seconds between tries, about three days in all; each is made up to a fifth longer by chance, so
#: that receivers that come back are not met by everybody at once.
WAITS_S: Final = (
    5, 30, 120, 300, 600, 1_200, 2_400, 5_400, 10_800, 21_600, 43_200, 86_400, 86_400,
)  # fmt: skip
_CHANCE: Final = 0.2
#: The receiver is there and will not have this: so many tries, and then the next message.
_WILL_NOT: Final = frozenset({400, 413, 415, 422})
_WILL_NOT_TRIES: Final = 4
#: A receiver that asks for more patience than this is asked again after it.
_LONGEST_WAIT_S: Final = 86_400
#: The receiver is no more.
GONE: Final = 410

_SECRET: Final = "whsec_"
_MESSAGE: Final = "msg_"


@dataclass(frozen=True)
class Webhook:
    """A receiver as it is kept.

    Args:
        webhook_id: `wh-0001`.
        shape: one of `SHAPES`.
        segments: it is told of changes into or out of these; none: of all.
        channel: only of customers who granted it; empty: of all but who refused all marketing.
        salt: random, hex; with the master key it makes the secret.
        check: by which a master key is known to be the one that it was made with.
        disabled: since when nothing is sent to it; None: it is on. `reason` says why.
    """

    webhook_id: str
    url: str
    shape: str
    segments: tuple[str, ...]
    channel: str
    salt: str
    check: str
    made: datetime
    disabled: datetime | None = None
    reason: str = ""

    def as_document(self) -> dict[str, Any]:
        """As JSON, without what signs."""
        return {
            "webhook_id": self.webhook_id, "url": self.url, "shape": self.shape,
            "segments": list(self.segments), "channel": self.channel, "made": iso(self.made),
            "state": "on" if self.disabled is None else "disabled",
            "disabled": None if self.disabled is None else iso(self.disabled),
            "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """How far a receiver is told.

    Args:
        position: of the membership log: all up to it is done with.
        until: the last position of the message under way; None: none is.
        formed: when that message was made up; it carries this moment at every try.
        tries: that failed, of that message.
        due: when it is tried next; None: at once.
        failure: of the last try.
        messages, changes, left_out: that were delivered, and changes that consents kept back.
        succeeded: when a message was last delivered.
    """

    position: int
    until: int | None = None
    formed: datetime | None = None
    tries: int = 0
    due: datetime | None = None
    failure: str = ""
    messages: int = 0
    changes: int = 0
    left_out: int = 0
    succeeded: datetime | None = None

    def as_document(self, last: int) -> dict[str, Any]:
        """As JSON.

        Args:
            last: the last position of the log.
        """
        return {
            "position": self.position, "behind": max(0, last - self.position),
            "tries": self.tries, "due": None if self.due is None else iso(self.due),
            "failure": self.failure, "messages": self.messages, "changes": self.changes,
            "left_out": self.left_out,
            "succeeded": None if self.succeeded is None else iso(self.succeeded),
        }  # fmt: skip

    def waited_s(self, now: datetime) -> float:
        """Seconds since the message under way was made up; 0: none is."""
        if self.until is None or self.formed is None:
            return 0.0
        return max((now - self.formed).total_seconds(), 0.0)


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up: where it lies in the log, and nothing of what it said.

    Args:
        after, until: the stretch of the log that it told of.
        due: when it is sent once more; None: when somebody asks for it.
    """

    number: int
    webhook_id: str
    after: int
    until: int
    formed: datetime
    tries: int
    reason: str
    died: datetime
    due: datetime | None = None

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "number": self.number, "webhook_id": self.webhook_id, "after_seq": self.after,
            "until_seq": self.until, "formed": iso(self.formed), "tries": self.tries,
            "reason": self.reason, "died": iso(self.died), "retrying": self.due is not None,
        }  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What a receiver answered.

    Args:
        status: of HTTP; None: there was no answer, and `failure` says why.
        wait_s: how long it asks to be left alone.
        text: the beginning of its body; nobody but who tests a webhook sees it.
    """

    status: int | None = None
    failure: str = ""
    wait_s: float | None = None
    text: str = field(default="", repr=False)

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def told(self) -> str:
        """What went wrong, without a word of the receiver's: it may name persons."""
        if self.delivered:
            return ""
        if self.status is None:
            return self.failure
        redirect = ", which would be a redirect" if 300 <= self.status < 400 else ""
        return f"it answered {self.status}{redirect}"


def wait_s(tries: int, reply: Reply, chance: float) -> float | None:
    """Seconds until the next try; None: the message is given up.

    Args:
        tries: that failed, this one among them.
        chance: 0 to 1, by which the wait is made longer.

    >>> wait_s(1, Reply(503), 0.0), wait_s(1, Reply(503), 1.0), wait_s(14, Reply(503), 0.0)
    (5.0, 6.0, None)
    >>> wait_s(4, Reply(422), 0.0) is None
    True
    """
    most = _WILL_NOT_TRIES if reply.status in _WILL_NOT else len(WAITS_S) + 1
    if tries >= most:
        return None
    wait = WAITS_S[tries - 1] * (1 + _CHANCE * chance)
    return max(wait, min(reply.wait_s or 0.0, _LONGEST_WAIT_S))


def check_of(master: bytes, salt: str) -> str:
    """By which a master key is known again; it tells nothing of the secret."""
    return hmac.new(master, f"shoal webhook check\0{salt}".encode(), hashlib.sha256).hexdigest()


def secret_of(master: bytes, webhook_id: str, salt: str) -> bytes:
    """The 32 bytes that sign what is sent to a webhook."""
    return hmac.new(
        master, f"shoal webhook\0{webhook_id}\0{salt}".encode(), hashlib.sha256
    ).digest()


def shown(secret: bytes) -> str:
    """A secret as receivers' libraries take it."""
    return _SECRET + base64.b64encode(secret).decode()


def message_id(webhook: Webhook, after: int, until: int) -> str:
    """The id of the message of a stretch of the log: the same however often it is sent."""
    told = f"{webhook.webhook_id}\0{webhook.salt}\0{after}\0{until}"
    return _MESSAGE + hashlib.sha256(told.encode()).hexdigest()[:32]


def signed(secret: bytes, message: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a message, its signature among them.

    Args:
        message: its id.
        seconds: since 1970, of this try; receivers refuse what is too old.
    """
    content = f"{message}.{seconds}.".encode() + body
    digest = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{digest}",
    }
