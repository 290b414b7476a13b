"""A canary: segments made anew are in force for a share of customers before they are for all.

Who is in it is told by a keyed hash of the id (BLAKE2b, RFC 7693) against the share: neither order
nor chance, so that a customer stays in it, and one who comes tomorrow is decided already. While it
runs the live segments go on beside it for everybody, so that both are judged on the same customers:
by where they were put, by who went to and fro, and by what came of them next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.adjust.gates import FORETOLD, Gate, asks, shut
from shoal.domain.text import Text
from shoal.domain.time import to_us

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

FLICKER: Final = "flicker"

#: What becomes of a canary: it goes on, waits for a person, is for all, or is for nobody.
BEGUN: Final = "begun"
GOES_ON: Final = "goes_on"
ASKS: Final = "asks"
PROMOTED: Final = "promoted"
DROPPED: Final = "dropped"

#: Fewer customers tell nothing, and segments are put in force for all at once.
LEAST_CUSTOMERS: Final = 30
#: Returns of a customer that are let pass, whatever the live segments do.
_FLICKER: Final = 0.02
#: Standard errors of chance (one-sided 5 %) at the end; more before, where it is asked again and
#: again (one-sided 0.1 %).
_AT_END: Final = 1.645
_BEFORE: Final = 3.09

#: Codes of reasons, in words.
REASONS: Final = {
    "not_due": Text("Its days are not over.", "试用期尚未结束。"),
    "blocked": Text(
        "Tracking is broken: nothing is decided on it until it is mended.",
        "数据采集异常，修复前不作决定。",
    ),
    "gates": Text(
        "What was recorded of its customers does not hold what is asked.",
        "其客户的记录未达到要求。",
    ),
    "person": Text("A person approves or declines it.", "需要人工批准或否决。"),
    "passed": Text(
        "Its customers are placed as well as before, and foretold no worse.",
        "其客户的归群不劣于之前，预测也不更差。",
    ),
    "word": Text("A person said so.", "由人工决定。"),
    "overtaken": Text(
        "Other segments were put in force meanwhile.", "其间启用了其他分群。"
    ),
}  # fmt: skip


def key_of(segmentation_id: str, since: datetime) -> bytes:
    """The key of a canary's hash: its own for each, and the same whenever it is asked."""
    told = f"{segmentation_id} {to_us(since)}".encode()
    return hashlib.blake2b(told, digest_size=16).digest()


def drawn(customers: Sequence[str] | pa.Array, share: float, key: bytes) -> Mask:
    """(n,) which customers are in a canary.

    >>> drawn(["a", "b", "c", "d"], 0.5, b"key").tolist()
    [False, True, True, True]
    """
    names = customers if isinstance(customers, Sequence) else customers.to_pylist()
    limit = round(share * 2**64)
    digests = (
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=8).digest()
        for name in names
    )
    return np.fromiter((int.from_bytes(one, "big") < limit for one in digests), bool, len(names))


def returns(history: pa.Table, customers: Sequence[str], since: datetime) -> Counts:
    """(n,) how often each customer came back to the segment that it had just left.

    Args:
        history: `customer_id`, `segment_id`, `since` in the order in which they were written.
        since: only returns after this moment count.
    """
    places = {name: place for place, name in enumerate(customers)}
    found = np.zeros(len(places), np.int64)
    last: dict[str, tuple[str | None, str]] = {}
    for row in history.select(["customer_id", "segment_id", "since"]).to_pylist():
        name, here = row["customer_id"], row["segment_id"]
        if name not in places:
            continue
        before, there = last.get(name, (None, here))
        if here == there:
            last[name] = (before, here)
            continue
        found[places[name]] += here == before and row["since"] > since
        last[name] = (there, here)
    return found


def flicker(live: Counts, canary: Counts) -> Gate:
    """Whether customers go to and fro no more than by the live segments.

    Args:
        live, canary: (n,) returns of the same customers.
    """
    more = (canary - live).astype(np.float64)
    value = float(more.mean()) if len(more) else 0.0
    error = float(more.std(ddof=1)) / np.sqrt(len(more)) if len(more) > 1 else 0.0
    limit = max(_FLICKER, _AT_END * float(error))
    return Gate(
        FLICKER, value, limit, value <= limit, False,
        Text(
            f"Returns to a segment just left are {value:+.3f} a customer beside those by the live "
            f"segments; at most {limit:.3f}.",
            f"与现有分群相比，每位客户折返次数差 {value:+.3f}；至多 {limit:.3f}。",
        ),
    )  # fmt: skip


def foretold(share: float, error: float, *, over: bool) -> Gate:
    """Whether what came of its customers is foretold no worse than by the live segments.

    Args:
        share: what the new segments leave less of what the live ones leave; below 0: more.
        error: its standard error.
        over: the canary's days are over; before, more is asked for stopping it.
    """
    limit = (_AT_END if over else _BEFORE) * error
    return Gate(
        FORETOLD, -share, limit, -share <= limit + 1e-12, False,
        Text(
            f"What came of its customers is foretold worse by {-share:.2%} of what the live "
            f"segments leave; chance explains {limit:.2%}.",
            f"其客户后续行为的预测误差高出 {-share:.2%}；随机波动可解释 {limit:.2%}。",
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What becomes of a canary.

    Args:
        outcome: `goes_on`, `asks`, `promoted` or `dropped`.
        reason: code of `REASONS`.
        gates: what was asked of it.
    """

    outcome: str
    reason: str
    gates: tuple[Gate, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "outcome": self.outcome, "reason": self.reason,
            "words": REASONS[self.reason].as_document(),
            "gates": [one.as_document() for one in self.gates],
            "shut": list(shut(self.gates)), "asks": list(asks(self.gates)),
        }  # fmt: skip


def verdict(found: Sequence[Gate], *, over: bool, blocked: bool, approved: bool) -> Verdict:
    """What becomes of a canary: a pure function of what was found.

    Args:
        found: gates, asked of what was recorded of its customers.
        over: its days are over.
        blocked: tracking is broken: it is neither promoted nor dropped on what that says.
        approved: a person has said yes to this change already.
    """
    gates = tuple(found)
    if blocked:
        return Verdict(GOES_ON, "blocked", gates)
    if shut(gates):
        return Verdict(DROPPED, "gates", gates)
    if not over:
        return Verdict(GOES_ON, "not_due", gates)
    if asks(gates) and not approved:
        return Verdict(ASKS, "person", gates)
    return Verdict(PROMOTED, "passed", gates)
