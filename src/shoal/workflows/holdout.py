"""Holdouts: a random part of all customers that exports leave out for good, to measure against.

Whether a customer is held out is a keyed hash of the id (BLAKE2b, RFC 7693) against the share, with
a random key of the shop's own for each holdout: it depends on nothing else, so the same customer is
held out of every export that names the holdout, whatever the segment or its version, and a customer
who comes tomorrow is decided already. Nobody's id is stored.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain.errors import UsageError
from shoal.domain.time import Clock, iso, parse_moment, system_clock
from shoal.ports import StateStore

#: The holdout where none is named.
MAIN: Final = "main"

#: How the setting of a holdout begins.
_SETTING: Final = "holdout."
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SALT_BYTES: Final = 16
#: A share is stored to so many places, so that it reads back as it was.
_PLACES: Final = 6


@dataclass(frozen=True)
class Holdout:
    """A holdout of the shop: `share` of all customers, 0 < share < 1, made at `since`."""

    name: str
    share: float
    salt: bytes
    since: datetime

    def held(self, customers: pa.Array) -> npt.NDArray[np.bool_]:
        """Which customers are held out. Shape (customers,)."""
        limit = round(self.share * 2**64)
        digests = (
            hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=self.salt, digest_size=8)
            for name in customers.to_pylist()
        )
        drawn = (int.from_bytes(one.digest(), "big") < limit for one in digests)
        return np.fromiter(drawn, bool, len(customers))

    @property
    def percent(self) -> str:
        """The share for people, as `10%`."""
        return f"{self.share * 100:g}%"


def parse_share(text: str) -> float:
    """The share that a text such as `10%` or `0.1` means.

    Raises:
        UsageError: `bad_holdout`, no share above 0 and below 100 %.

    >>> parse_share("10%"), parse_share("0.025")
    (0.1, 0.025)
    """
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = 0.0
    share = round(share, _PLACES) if np.isfinite(share) else 0.0
    if rest or not 0 < share < 1:
        raise UsageError(
            "bad_holdout",
            f"{text!r} is no share of customers to hold out",
            where="--holdout",
            hint="Give a share above 0 and below 100 %, for example 10% or 0.1.",
        )
    return share


def holdouts(store: StateStore) -> list[Holdout]:
    """Every holdout of the shop, by name."""
    found = [
        _read(key.removeprefix(_SETTING), text)
        for key, text in store.get_settings().items()
        if key.startswith(_SETTING)
    ]
    return sorted(found, key=lambda one: one.name)


def settled(store: StateStore, name: str, share: float, *, clock: Clock = system_clock) -> Holdout:
    """The holdout of that name; what is made where there is none is not kept yet (`keep`).

    Raises:
        UsageError: `bad_holdout`, a name that none can have, or one whose share is another.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            "bad_holdout",
            f"{name!r} is no name of a holdout",
            where="--holdout-name",
            hint="Allowed: small letters, digits, - and _, at most 40, a letter first.",
        )
    known = {one.name: one for one in holdouts(store)}.get(name)
    if known is None:
        since = clock().replace(microsecond=0)
        return Holdout(name, share, secrets.token_bytes(_SALT_BYTES), since)
    if known.share != share:
        raise UsageError(
            "bad_holdout",
            f"the holdout {name!r} keeps {known.percent} out since {iso(known.since)[:10]}, "
            f"not {share * 100:g}%: who is in it must not change",
            where="--holdout",
            hint=f"Ask for {known.percent} again, or begin another: --holdout-name NAME.",
        )
    return known


def keep(store: StateStore, holdout: Holdout) -> Holdout:
    """Record a holdout; under the shop's lease. The one that is recorded already stays."""
    known = {one.name: one for one in holdouts(store)}.get(holdout.name)
    if known is not None:
        return known
    document = {
        "share": holdout.share, "salt": holdout.salt.hex(), "since": iso(holdout.since),
    }  # fmt: skip
    store.put_setting(_SETTING + holdout.name, json.dumps(document))
    return holdout


def _read(name: str, text: str) -> Holdout:
    document: Mapping[str, Any] = json.loads(text)
    salt = bytes.fromhex(document["salt"])
    return Holdout(name, document["share"], salt, parse_moment(document["since"]))
