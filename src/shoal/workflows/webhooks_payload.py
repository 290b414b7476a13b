"""What a webhook is told: a message of changes in its shape, with who refuses left out.

Changes are held to consents as lists are: who refuses is not told of on the way in. Who left a
segment after refusing is told of, because the receiver was told before that the customer is there;
who refused before that is not, because it was not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.change import Change
from shoal.domain.time import iso
from shoal.domain.webhook import SEGMENT, Webhook
from shoal.segments.base import CUSTOMER
from shoal.workflows.audience import allowing
from shoal.workflows.list_formats import ENTERED, EXITED, track

CHANGED: Final = "membership.changed"
TEST: Final = "webhook.test"

#: Of some customers those who refuse a channel (empty: all marketing), each with since when;
#: None: they never said anything of it.
Refusing = Callable[[Sequence[str], str], Mapping[str, datetime | None]]


def refusing(
    consents: pa.Table, customers: Sequence[str], channel: str
) -> dict[str, datetime | None]:
    """Those of some customers who may not be told of, by the rule of lists, and since when.

    Args:
        consents: `shoal.features.consent.CONSENTS_SCHEMA`, as of now.
        channel: as of an export.
    """
    names = pa.array(sorted(set(customers)), pa.string())
    left = names.filter(pa.array(~allowing(consents, names, channel)))
    said = consents.filter(
        pc.and_(pc.is_in(consents[CUSTOMER], value_set=left), pc.invert(consents["granted"]))
    )
    if channel:
        said = said.filter(pc.equal(said["channel"], channel))
    since: dict[str, datetime | None] = dict.fromkeys(left.to_pylist())
    for name, moment in zip(said[CUSTOMER].to_pylist(), said["since"].to_pylist(), strict=True):
        known = since[name]
        since[name] = moment if known is None else max(known, moment)
    return since


def told(
    changes: Sequence[Change], refused: Mapping[str, datetime | None]
) -> tuple[list[Change], int]:
    """The changes that may be told of, and how many may not."""
    kept = [one for one in changes if one.customer_id not in refused or _left(one, refused)]
    return kept, len(changes) - len(kept)


def _left(change: Change, refused: Mapping[str, datetime | None]) -> bool:
    """Whether a refusal came while the customer was where the change leads away from."""
    said, began = refused[change.customer_id], change.before_since
    return said is not None and began is not None and said > began


def body_of(
    webhook: Webhook,
    formed: datetime,
    changes: Sequence[Change],
    refused: Mapping[str, datetime | None],
) -> bytes:
    """The body of a message.

    Args:
        formed: when it was made up, which it says at every try.
        changes: that may be told of; of who refuses only what they left is said.
    """
    if webhook.shape == SEGMENT:
        calls = [call for one in changes for call in _calls(webhook, one, refused)]
        return _json({"batch": calls, "sentAt": iso(formed)})
    data = [
        {**one.as_document(), "to": None} if one.customer_id in refused else one.as_document()
        for one in changes
    ]
    return _json({"type": CHANGED, "timestamp": iso(formed), "data": {"changes": data}})


def trial_body(webhook: Webhook, now: datetime) -> bytes:
    """A body that tells of nobody."""
    return _json({"type": TEST, "timestamp": iso(now), "data": {"webhook_id": webhook.webhook_id}})


def _calls(
    webhook: Webhook, change: Change, refused: Mapping[str, datetime | None]
) -> Iterator[dict[str, Any]]:
    """Who leaves one audience and enters another is told of twice."""
    for segment, way in ((change.before, EXITED), (change.after, ENTERED)):
        if segment is None or (webhook.segments and segment not in webhook.segments):
            continue
        if way == EXITED or change.customer_id not in refused:
            yield track(change.customer_id, segment, way, change.since)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
