"""What must be so afterwards: what was acknowledged is there once, states are as folded anew."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import shoal
from shoal.shop.keeping import verify


def account(shop: Path, prefix: str, acknowledged: Iterable[int]) -> dict[str, Any]:
    """The account of a generator's calls.

    Args:
        prefix: of their ids.
        acknowledged: numbers of the calls that were answered with 200.

    Returns:
        How many were acknowledged, lie in the log and in the quarantine, `lost`: acknowledged and
        in neither, `twice`: there more than once, and what `shoal verify --deep` finds.
    """
    told = {f"{prefix}-{number}" for number in acknowledged}
    log, kept = _in_log(shop, prefix), _in_quarantine(shop, prefix)
    counts = log + kept
    found = verify(shop, deep=True, customers=None)
    return {
        "acknowledged": len(told), "log": len(log), "quarantine": len(kept),
        "lost": len(told - counts.keys()), "twice": sum(n > 1 for n in counts.values()),
        "verified": found["ok"],
        "findings": [f"{one['check']}: {one['message']}"[:300] for one in found["findings"]][:5],
    }  # fmt: skip


def right(found: dict[str, Any]) -> bool:
    """Whether nothing is wrong."""
    return not found["lost"] and not found["twice"] and bool(found["verified"])


def numbers(file: Path, batch: int = 1) -> set[int]:
    """Numbers of acknowledged calls, of the file that the generator writes."""
    if not file.exists():
        return set()
    firsts = [int(line) for line in file.read_text().split()]
    return {one for first in firsts for one in range(first, first + batch)}


def _in_log(shop: Path, prefix: str) -> Counter[str]:
    """How often each call is in the event table; an order of one line ends with `#1`."""
    from deltalake import DeltaTable

    table = DeltaTable(str(shop / "events")).to_pyarrow_dataset()
    ids = table.to_table(columns=["event_id"])["event_id"].to_pylist()
    return Counter(
        one.removesuffix("#1") for one in ids if one is not None and one.startswith(f"{prefix}-")
    )


def _in_quarantine(shop: Path, prefix: str) -> Counter[str]:
    with shoal.open(shop) as opened:
        listed = opened.quarantine(samples=1_000_000).as_document()
    wanted = re.compile(rf'(?:event_id|messageId)\W+({re.escape(prefix)}-\d+)[#"]')
    return Counter(wanted.findall(json.dumps(listed).replace("\\", "")))
