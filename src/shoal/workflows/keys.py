"""Keys of the service: made, listed, revoked, and found by what a client shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from shoal.domain.access import ROLES, WRITE, Key, checked_source, digest_of, new_secret
from shoal.domain.errors import UsageError
from shoal.ports import StateStore

SCHEMA: Final = "shoal.keys/1"
_SHOWN: Final = 16


def make(
    store: StateStore, now: datetime, *, role: str = WRITE, source: str, days: float | None = None
) -> tuple[str, Key]:
    """A new key, which is told this once, and what is kept of it.

    Args:
        days: after which it opens nothing any more; None: it does not expire.

    Raises:
        UsageError: `usage`: no such role, a name that no source can have, or no time to live.
    """
    if role not in ROLES:
        raise UsageError(
            "usage", f"there is no role {role!r}", where=role, hint=f"Roles: {', '.join(ROLES)}."
        )
    if days is not None and not 0 < days <= 36_600:
        raise UsageError(
            "usage", f"a key cannot live for {days:g} days", hint="Allowed: above 0, up to 36600."
        )
    checked_source(source)
    secret = new_secret(role)
    expires = None if days is None else now + timedelta(days=days)
    key = store.keys.add(role, source, digest_of(secret), secret[:_SHOWN], now, expires)
    return secret, key


def revoke(store: StateStore, key_id: str, now: datetime) -> Key:
    """Let a key open nothing any more; one that is revoked already stays as it is.

    Raises:
        UsageError: `usage`, there is no such key.
    """
    known = {key.key_id: key for key in store.keys.all()}
    if key_id not in known:
        raise UsageError(
            "usage",
            f"the shop has no key {key_id!r}",
            where=key_id,
            hint=f"Keys: {', '.join(known)}." if known else "It has none: shoal keys SHOP --make",
        )
    store.keys.revoke(key_id, now)
    return next(key for key in store.keys.all() if key.key_id == key_id)


def listed(store: StateStore, now: datetime) -> dict[str, Any]:
    """The JSON document `shoal.keys/1`."""
    return {"schema": SCHEMA, "keys": [key.as_document(now) for key in store.keys.all()]}
