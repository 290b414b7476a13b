"""The audit log: who asked for what, when, and what came of it; each entry is chained to the last.

An entry is canonical JSON (sorted keys, no spaces, ASCII) that holds its number and the SHA-256 of
the entry before it; so an entry that is changed, moved or taken away is noticed by what follows.
Nothing of a person stands there in clear, nor of a key what opens anything.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shoal.domain.access import (
    ADJUST_APPROVE,
    EXPORTS_MAKE,
    KEYS_MANAGE,
    PERMISSIONS,
    PERSON_ERASE,
    PERSON_READ,
    RULES_WRITE,
    SEGMENTS_READ,
    WEBHOOKS_WRITE,
    Key,
)
from shoal.domain.time import iso

#: What the first entry says of the one before it.
NOTHING: Final = "0" * 64
#: Calls that ask for these are written down. Segments as a whole are nobody's secret.
AUDITED: Final = frozenset(PERMISSIONS) - {SEGMENTS_READ}
#: Calls that ask for these, other than to look, change something.
CHANGES: Final = frozenset(
    {RULES_WRITE, EXPORTS_MAKE, WEBHOOKS_WRITE, ADJUST_APPROVE, PERSON_ERASE, KEYS_MANAGE}
)
#: Routes that tell how the service is and nothing of anybody, and are asked every few seconds.
IMPERSONAL: Final = frozenset({"/metrics", "/v1/metrics", "/v1/status"})
#: What leaves the shop on these is on disk in the log before it leaves.
SYNCED: Final = CHANGES | {PERSON_READ}
#: Parts of a path that name no person; the value of any other is hidden.
PLAIN: Final = frozenset(
    {"segment_id", "segmentation_id", "version", "version_id", "key_id", "rule_id", "export_id",
     "webhook_id", "adjust_id", "model_id", "number", "receipt", "format", "feature", "name"}
)  # fmt: skip
_SHORT: Final = 16

BEGUN: Final = "begun"
DONE: Final = "done"
REFUSED: Final = "refused"
FAILED: Final = "failed"


@dataclass(frozen=True)
class Who:
    """Who asked.

    Args:
        via: `api`; `local`: the command line or Python on the shop's machine.
        key_id, role: of the key; empty without one.
        owner: the key's name, or the user of the operating system.
        address: of a client that showed no valid key.
    """

    via: str
    key_id: str = ""
    role: str = ""
    owner: str = ""
    address: str = ""

    @classmethod
    def of_key(cls, key: Key) -> Who:
        """Whoever has a key."""
        return cls("api", key.key_id, key.role, key.source)


@dataclass(frozen=True)
class Act:
    """What is written down of a call or a change, before it has its place in the chain.

    Args:
        action: the method of a call, or the verb: `GET`, `forget`.
        permission: that was asked for; empty for verbs.
        path: of the route, with the names of its parameters, never their values.
        about: parameters of the path; those that may name a person as `hidden` gives them.
        outcome: `begun`, `done`, `refused` or `failed`.
        status: the answer's, or a verb's exit code; None: there is none yet.
        times: how often the same came within a second (refusals).
        facts: what was made or done, such as a receipt's number.
    """

    at: datetime
    who: Who
    action: str
    outcome: str
    permission: str = ""
    path: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    times: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)

    def entry(self, number: int, before: str) -> str:
        """The text of the entry at a place of the chain.

        >>> from datetime import UTC
        >>> act = Act(datetime(2026, 5, 1, tzinfo=UTC), Who("local", owner="ann"), "forget", "done")
        >>> act.entry(1, "00")
        '{"action":"forget","at":"2026-05-01T00:00:00Z","before":"00","number":1,\
"outcome":"done","who":{"owner":"ann","via":"local"}}'
        """
        who = {name: value for name, value in vars(self.who).items() if value}
        told = {
            "number": number, "before": before, "at": iso(self.at), "who": who,
            "action": self.action, "permission": self.permission, "path": self.path,
            "about": dict(self.about), "outcome": self.outcome, "status": self.status,
            "times": self.times if self.times > 1 else None, "facts": dict(self.facts),
        }  # fmt: skip
        return canonical(
            {name: value for name, value in told.items() if value not in ("", None, {})}
        )


@dataclass(frozen=True)
class Recorded:
    """An entry as it is kept, with the SHA-256 of its text that was kept beside it."""

    number: int
    text: str
    digest: str

    def as_document(self) -> dict[str, Any]:
        """What the entry says, and its own digest."""
        return {**json.loads(self.text), "digest": self.digest}


def is_audited(permission: str, path: str) -> bool:
    """Whether calls of a route are written down."""
    return permission in AUDITED and path not in IMPERSONAL


def chained(acts: Sequence[Act], last: Recorded | None) -> list[Recorded]:
    """Entries of acts, each chained to the one before.

    Args:
        last: entry that is there; None: there is none.
    """
    number, before = (0, NOTHING) if last is None else (last.number, last.digest)
    found = []
    for act in acts:
        number += 1
        text = act.entry(number, before)
        before = entry_digest(text)
        found.append(Recorded(number, text, before))
    return found


def canonical(document: Mapping[str, Any]) -> str:
    """The one JSON text of a document.

    >>> canonical({"b": 1, "a": "é"})
    '{"a":"\\\\u00e9","b":1}'
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def entry_digest(text: str) -> str:
    """SHA-256 of an entry, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hidden(secret: bytes, value: str) -> str:
    """What stands for an id that may be a person's: 64 bits of its keyed hash, in hex.

    Without the secret nobody can try ids until one fits; with it, one can ask for an id's entries.

    >>> hidden(b"k" * 32, "17850")
    '437d716ac40e553b'
    """
    made = hmac.new(secret, value.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return made.hexdigest()[:_SHORT]
