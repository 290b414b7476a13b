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
#: What a key may be for.
ROLES: Final = {
    WRITE: Text(
        "sends events of one source, and reads nothing",
        "发送一个来源的事件，不能读取任何数据",
    ),
}
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
            f"a source cannot be called {source!r}",
            where=source,
            hint="Allowed: 1 to 64 of a-z, 0-9, dot, dash and underscore, a letter or digit first.",
        )
    return source
