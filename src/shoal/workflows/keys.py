"""Keys of the service: made, listed, revoked, and found by what a client shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from shoal.domain.access import (
    ADMIN,
    LIVES_DAYS,
    ROLES,
    WRITE,
    Key,
    checked_source,
    digest_of,
    new_secret,
)
from shoal.domain.errors import UsageError
from shoal.ports import StateStore

SCHEMA: Final = "shoal.keys/1"
#: Days that a key may be told to live.
MOST_DAYS: Final = 36_600
#: Characters of a key that are kept, behind what all of its role begin with.
_SHOWN: Final = 4


def make(
    store: StateStore, now: datetime, *, role: str = WRITE, source: str, days: float | None = None
) -> tuple[str, Key]:
    """A new key, which is told this once, and what is kept of it.

    Args:
        source: of the events that it sends; of a key that reads, whose it is.
        days: after which it opens nothing any more; None: as `LIVES_DAYS` has it, or never.

    Raises:
        UsageError: `usage`: no such role, a name that no source can have, or no time to live.
    """
    if role not in ROLES:
        raise UsageError(
            "usage", f"there is no role {role!r}", where=role, hint=f"Roles: {', '.join(ROLES)}."
        )
    if days is not None and not 0 < days <= MOST_DAYS:
        raise UsageError(
            "usage",
            f"a key cannot live for {days:g} days",
            hint=f"Allowed: above 0, up to {MOST_DAYS}.",
        )
    checked_source(source)
    days = LIVES_DAYS.get(role) if days is None else days
    secret = new_secret(role)
    expires = None if days is None else now + timedelta(days=days)
    beginning = secret[: len(f"shoal_{role}_") + _SHOWN]
    key = store.keys.add(role, source, digest_of(secret), beginning, now, expires)
    return secret, key


def revoke(store: StateStore, key_id: str, now: datetime, *, keep_admin: bool = False) -> Key:
    """Let a key open nothing any more; one that is revoked already stays as it is.

    Args:
        keep_admin: refuse the last valid key of an administrator.

    Raises:
        UsageError: `unknown_key`; `last_admin_key`.
    """
    with store.transaction():  # of two who take each other's key one is second
        known = {key.key_id: key for key in store.keys.all()}
        if key_id not in known:
            raise UsageError(
                "unknown_key",
                f"the shop has no key {key_id!r}",
                where=key_id,
                hint=f"Keys: {', '.join(known)}."
                if known
                else "It has none: shoal keys SHOP --make",
            )
        admins = {key.key_id for key in known.values() if key.role == ADMIN and key.valid(now)}
        if keep_admin and admins == {key_id}:
            raise UsageError(
                "last_admin_key",
                f"{key_id} is the last valid key of an administrator",
                where=key_id,
                hint="Make another one first, or revoke it on the shop's machine: shoal keys SHOP "
                f"--revoke {key_id}",
            )
        store.keys.revoke(key_id, now)
        return next(key for key in store.keys.all() if key.key_id == key_id)


def listed(store: StateStore, now: datetime) -> dict[str, Any]:
    """The JSON document `shoal.keys/1`."""
    return {"schema": SCHEMA, "keys": [key.as_document(now) for key in store.keys.all()]}
