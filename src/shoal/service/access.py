"""Who sends: the write key of a request, wherever its client puts it.

Official clients put the key into HTTP Basic (`KEY:`), a bearer token, the body (`writeKey`), a
header of its own or the query; some into two of these. Whatever is shown has to be one key.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from starlette.requests import Request

from shoal.domain.access import WRITE, Key, digest_of
from shoal.domain.time import Clock, system_clock

#: A key that is made or revoked counts after so many seconds at most.
FRESH_S: Final = 1.0


class Keyring:
    """The shop's keys by digest, read again now and then.

    Args:
        read: every key as it is kept.
    """

    def __init__(self, read: Callable[[], Sequence[Key]], clock: Clock = system_clock) -> None:
        self._read, self._clock = read, clock
        self._guard = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._until = 0.0

    def source_of(self, secret: str) -> str | None:
        """The source that a write key sends events of; None: it opens nothing."""
        found = self.key_of(secret)
        return found.source if found is not None and found.role == WRITE else None

    def key_of(self, secret: str) -> Key | None:
        """The valid key that has this secret; None: it opens nothing."""
        # Looked up in a table: what its time gives away is about digests, which nobody can choose.
        found = self._fresh().get(digest_of(secret))
        now: datetime = self._clock()
        return found if found is not None and found.valid(now) else None

    def still_valid(self, key: Key) -> bool:
        """Whether a key that was let in would be let in again."""
        found = self._fresh().get(key.digest)
        return found is not None and found.valid(self._clock())

    def nobody(self) -> bool:
        """Whether no key is valid."""
        now = self._clock()
        return not any(key.valid(now) for key in self._fresh().values())

    def _fresh(self) -> dict[str, Key]:
        with self._guard:
            if time.monotonic() >= self._until:
                self._keys = {key.digest: key for key in self._read()}
                self._until = time.monotonic() + FRESH_S
            return self._keys


def shown_keys(request: Request, of_body: str | None) -> set[str]:
    """Every key that a request shows, of however many places.

    Args:
        of_body: what stands under `writeKey` there.
    """
    found = {of_body} if of_body else set()
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        found.add(_user_of(rest.strip()))
    elif scheme.lower() == "bearer":
        found.add(rest.strip())
    others = [request.headers.get("x-write-key")]
    if request.scope["query_string"]:
        others += map(request.query_params.get, ("writeKey", "write_key"))
    return found.union(filter(None, others))


def _user_of(told: str) -> str:
    """The part before the colon of HTTP Basic; empty where it is none."""
    try:
        return base64.b64decode(told, validate=True).decode("utf-8").partition(":")[0]
    except (binascii.Error, ValueError):
        return ""
