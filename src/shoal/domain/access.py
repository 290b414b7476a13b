"""Keys: who may do what through the service. A key is shown once; its digest is what is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.text import Text
from shoal.domain.time import iso

WRITE: Final = "write"
VIEWER: Final = "viewer"
MARKETER: Final = "marketer"
ANALYST: Final = "analyst"
PRIVACY: Final = "privacy"
ADMIN: Final = "admin"
#: What a key may be for.
ROLES: Final = {
    WRITE: Text(
        "sends events of one source, and reads nothing",
        "发送一个来源的事件，不能读取任何数据",
    ),
    VIEWER: Text(
        "sees segments as a whole, and nobody by name",
        "查看分群整体情况，看不到任何个人",
    ),
    MARKETER: Text(
        "sees segments and customers, makes rule segments, exports lists",
        "查看分群和客户，创建规则分群，导出名单",
    ),
    ANALYST: Text(
        "sees segments, customers and the data's quality, approves adjustments",
        "查看分群、客户和数据质量，批准调整",
    ),
    PRIVACY: Text(
        "tells and erases what is known of a person, and reads the audit log",
        "查询和删除个人数据，查看审计日志",
    ),
    ADMIN: Text("may do everything but send events", "除发送事件外可做任何事"),
}

#: What a request may ask for; every route of the API names one.
SEGMENTS_READ: Final = "segments.read"
CUSTOMERS_READ: Final = "customers.read"
DATA_READ: Final = "data.read"
RULES_WRITE: Final = "rules.write"
EXPORTS_MAKE: Final = "exports.make"
WEBHOOKS_WRITE: Final = "webhooks.write"
ADJUST_APPROVE: Final = "adjust.approve"
PERSON_READ: Final = "person.read"
PERSON_ERASE: Final = "person.erase"
KEYS_MANAGE: Final = "keys.manage"
AUDIT_READ: Final = "audit.read"
PERMISSIONS: Final = (
    SEGMENTS_READ, CUSTOMERS_READ, DATA_READ, RULES_WRITE, EXPORTS_MAKE, WEBHOOKS_WRITE,
    ADJUST_APPROVE, PERSON_READ, PERSON_ERASE, KEYS_MANAGE, AUDIT_READ,
)  # fmt: skip
#: What each role may ask for; what is not named is denied.
ALLOWED: Final = {
    WRITE: frozenset[str](),
    VIEWER: frozenset({SEGMENTS_READ}),
    MARKETER: frozenset({SEGMENTS_READ, CUSTOMERS_READ, RULES_WRITE, EXPORTS_MAKE}),
    ANALYST: frozenset({SEGMENTS_READ, CUSTOMERS_READ, DATA_READ, RULES_WRITE, ADJUST_APPROVE}),
    PRIVACY: frozenset({PERSON_READ, PERSON_ERASE, AUDIT_READ}),
    ADMIN: frozenset(PERMISSIONS),
}
#: Days after which a key of a role expires unless it is told otherwise. What sends events sits in
#: pages and apps, where nobody notices that it stopped: it does not expire by itself.
LIVES_DAYS: Final = {PRIVACY: 90.0, ADMIN: 90.0}
#: A source is also the first half of its events' identity, and part of file names.
_SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BYTES: Final = 32


@dataclass(frozen=True)
class Key:
    """A key as it is kept.

    Args:
        key_id: `key-0001`, by which people name it.
        role: one of `ROLES`.
        source: of the events that it sends.
        digest: SHA-256 of the key, in hex. The key has 256 random bits, so that a slow hash would
            protect nothing more.
        beginning: its first characters, by which its owner knows it again.
        made, expires, revoked: when; None: never.
    """

    key_id: str
    role: str
    source: str
    digest: str
    beginning: str
    made: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything at a moment."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def state(self, now: datetime) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "valid" if self.valid(now) else "expired"

    def as_document(self, now: datetime) -> dict[str, Any]:
        """As JSON, without its digest."""
        return {
            "key_id": self.key_id, "role": self.role, "source": self.source,
            "beginning": self.beginning, "made": iso(self.made),
            "expires": None if self.expires is None else iso(self.expires),
            "revoked": None if self.revoked is None else iso(self.revoked),
            "state": self.state(now),
        }  # fmt: skip


def new_secret(role: str) -> str:
    """A key that nobody guesses; it begins with what it is for."""
    return f"shoal_{role}_{secrets.token_urlsafe(_BYTES)}"


def digest_of(secret: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def checked_source(source: str) -> str:
    """The name of a source.

    Raises:
        UsageError: `usage`.
    """
    if not _SOURCE.fullmatch(source):
        raise UsageError(
            "usage",
            f"a source cannot be called {source[:80]!r}",
            where=source[:80],
            hint="Allowed: 1 to 64 of a-z, 0-9, dot, dash and underscore, a letter or digit first.",
        )
    return source
